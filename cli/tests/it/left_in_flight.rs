//! A second interrupt ends the command at once: it says what it leaves in doubt, and how to settle that.
#![cfg(unix)]

use crate::common::{command, text};
use crate::going_on::full_pipe;
use rustix::process::{Pid, Signal, kill_process};
use std::io::Read;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

/// Starts it against a server that takes a request and never responds, and interrupts it until it has ended.
fn interrupt_twice(args: &[&str], stderr: Stdio) -> (Option<i32>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut child = command(&url).args(args).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
    // Held, with the request in it.
    let (mut held, _) = listener.accept().unwrap();
    assert!(held.read(&mut [0; 64]).unwrap() > 0);
    // Within a second they are one; so they come until the process has ended.
    while child.try_wait().unwrap().is_none() {
        kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), Signal::INT).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = child.wait_with_output().unwrap();
    (output.status.code(), text(&output.stderr))
}

#[test]
fn a_second_interrupt_says_which_runs_are_in_doubt_and_how_to_settle_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let doubt = "interrupted with 1 request in flight; it is unknown whether the runs that were asked for were ";
    let wait = "Wait 7s, because a late request may still be carried out. Then ";
    let again = "run the same command again: it sends nothing, and says how to find out what happened and how to settle the request\n";
    let list = "list what is still in the DLQ. A run that is still listed may have been started all the same: look for it before you start it again\n";
    let (by_id, by_filter) = (path("by-id"), path("by-filter"));
    let callback = "interrupted with 1 request in flight; it is unknown whether the failure callback was sent again. ";
    let look = "look at its state with: upstash-dlq get a-0\n";
    let gone = "some of the runs that were asked for may have been deleted; run the same command again to continue";
    let since = "in place of --all leaves alone what failed since\n";
    let cancel = callback.replace("sent again", "canceled");
    let cases: [(&[&str], String); 9] = [
        (&["resume", "a-0", "--yes", "--checkpoint", &by_id], format!("{doubt}resumed. {wait}{again}")),
        (&["restart", "--all", "--yes", "--checkpoint", &by_filter], format!("{doubt}restarted. {wait}{again}")),
        (&["resume", "a-0", "--yes", "--quiet", "--json"], format!("{doubt}resumed. {wait}{list}")),
        (&["callback", "retry", "a-0"], format!("{callback}{wait}{look}")),
        (&["callback", "cancel", "a-0"], format!("{cancel}{wait}{look}")),
        (&["delete", "a-0", "--yes", "--quiet"], format!("interrupted with 1 request in flight; {gone}\n")),
        (&["delete", "--all", "--yes", "--parallel", "1"], since.to_owned()),
        (&["delete", "--all", "--yes", "--parallel", "1", "--archive", &path("kept")], since.to_owned()),
        // Asked again, nothing is done twice.
        (&["list"], String::new()),
    ];
    std::thread::scope(|scope| {
        for (args, expected) in &cases {
            scope.spawn(move || {
                let args = [args, &["--timeout=7s"][..]].concat();
                let (status, said) = interrupt_twice(&args, Stdio::piped());
                assert_eq!(status, Some(130), "{args:?}: {said}");
                assert!(said.ends_with(&**expected), "{said}");
                let left = said.contains("interrupted with 1 request in flight; ");
                assert_eq!(left, !expected.is_empty(), "{args:?}: {said}");
                // The first one says what is waited for.
                let finishing = "Finishing 1 request in flight. Press Ctrl-C again to end at once.\n";
                let is_quiet = args.contains(&"--quiet");
                assert_eq!(said.matches(finishing).count(), usize::from(!is_quiet), "{args:?}: {said}");
            });
        }
    });
}

/// It says that to nobody, and does not wait for a reader.
#[test]
fn a_second_interrupt_ends_it_also_where_nobody_reads() {
    // They say nothing before their request.
    for args in [&["resume", "a-0", "--yes"][..], &["delete", "a-0", "--yes"], &["list"]] {
        let (_reader, full) = full_pipe();
        assert_eq!(interrupt_twice(args, full.into()), (Some(130), String::new()), "{args:?}");
    }
}
