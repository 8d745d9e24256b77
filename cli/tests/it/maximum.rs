//! What `--max` promises when the network does not.

use crate::common::{emulator, json, run, text};
use upstash_dlq_emulator::{Fault, FaultPlan};

/// One 500 for all that may be asked for: whether anything was deleted is not known, and that is no success.
#[test]
fn a_maximum_that_nobody_confirmed_is_a_halt() {
    for lanes in ["1", "4"] {
        let server = emulator(50);
        server.with_service(|s| s.set_faults(FaultPlan::script(vec![Some(Fault::ServerError(500))])));
        let args = ["delete", "--all", "--yes", "--json", "--max", "10", "--parallel", lanes];
        let output = run(&server.url(), &args);
        let report = json(&output);
        assert_eq!((output.status.code(), report["outcome"].as_str()), (Some(3), Some("halted")), "{report}");
        assert_eq!((report["deleted"].as_u64(), report["unconfirmed"].as_u64()), (Some(0), Some(1)), "{report}");
        assert!(text(&output.stderr).contains("maximum"), "{}", text(&output.stderr));
        assert_eq!(server.with_service(|s| s.len()), 50);
    }
}

/// Where a checkpoint leads nowhere, nobody is told to continue from it.
#[test]
fn a_checkpoint_that_leads_nowhere_is_told_as_that() {
    let server = emulator(50);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("position");
    let file = file.to_str().unwrap();
    server.with_service(|s| s.set_faults(FaultPlan::script(vec![Some(Fault::ServerError(500))])));
    let maximum = &["delete", "--all", "--yes", "--max", "10", "--checkpoint", file][..];
    let missing = &["resume", "--yes", "nobody-0", "nobody-1", "--checkpoint", file];
    for args in [maximum, maximum] {
        let error = text(&run(&server.url(), args).stderr);
        assert!(error.contains("look at what is left with list or stats, then begin anew"), "{error}");
        assert!(error.contains("is kept, and leads nowhere: remove it, or give another file"), "{error}");
        assert!(!error.contains("to continue"), "{error}");
    }
    std::fs::remove_file(file).unwrap();
    for _ in 0..2 {
        let error = text(&run(&server.url(), missing).stderr);
        assert!(error.contains("leads nowhere") && !error.contains("to continue"), "{error}");
    }
}

/// An archive says whether the maximum ended it.
#[test]
fn a_maximum_that_was_reached_is_said() {
    for (max, is_reached) in [("9", true), ("10", true), ("11", false)] {
        let server = emulator(10);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kept.ndjson");
        let args = ["delete", "--all", "--yes", "--max", max, "--archive", file.to_str().unwrap()];
        let output = run(&server.url(), &args);
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(shown.contains("the maximum was reached"), is_reached, "{max}: {shown}");
    }
}

/// Of ids, too: those that are left were not looked at.
#[test]
fn a_maximum_of_ids_that_was_reached_is_said() {
    for subcommand in ["delete", "resume"] {
        for (max, said) in [("2", "the maximum was reached"), ("3", "all ids found")] {
            let server = emulator(3);
            let ids: Vec<String> = server.with_service(|s| s.runs().map(|run| run.dlq_id.clone()).collect());
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let output = run(&server.url(), &[&[subcommand, "--yes", "--max", max], &ids[..]].concat());
            let shown = text(&output.stdout);
            assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
            assert!(shown.contains(said), "{subcommand} {max}: {shown}");
        }
    }
}
