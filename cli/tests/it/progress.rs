//! Progress on a terminal: that it is there while a command runs, and gone afterwards.
#![cfg(unix)]

use crate::common::{NEWEST, command};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use upstash_dlq_emulator::{Config, Fault, FaultPlan, Server, ServerOptions, Service, sample};

const COLUMNS: usize = 100;

/// A command on a terminal of its own, with all that was ever written there.
pub(crate) struct Shown {
    pub(crate) child: Child,
    pub(crate) keyboard: File,
    screen: Receiver<Vec<u8>>,
    bytes: Vec<u8>,
}

impl Shown {
    pub(crate) fn start(url: &str, args: &[&str]) -> Self {
        let mut run = command(url);
        run.args(args);
        Self::spawn(run)
    }

    /// Only standard error is on the terminal, of so many columns.
    fn piped(url: &str, args: &[&str], columns: usize) -> Self {
        let mut run = command(url);
        run.args(args);
        Self::spawn_with(run, columns, Some(Stdio::piped()))
    }

    /// With the terminal as the one that controls it, so that keys become signals.
    #[cfg(target_os = "linux")]
    fn controlled(url: &str, args: &[&str]) -> Self {
        let alone = command(url);
        let mut run = Command::new("setsid");
        run.arg("--ctty").arg(alone.get_program()).args(args);
        for (name, value) in alone.get_envs() {
            match value {
                Some(value) => run.env(name, value),
                None => run.env_remove(name),
            };
        }
        Self::spawn(run)
    }

    pub(crate) fn spawn(run: Command) -> Self {
        Self::spawn_with(run, COLUMNS, None)
    }

    fn spawn_with(mut run: Command, columns: usize, output: Option<Stdio>) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let open = || OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let size = ["cols", &columns.to_string(), "rows", "50"].map(str::to_owned);
        assert!(Command::new("stty").args(size).stdin(open()).status().unwrap().success());
        run.env("TERM", "xterm")
            .env_remove("COLUMNS")
            .stdin(open())
            .stdout(output.unwrap_or_else(|| open().into()))
            .stderr(open());
        let child = run.spawn().unwrap();
        drop(run);
        let keyboard = File::from(ours);
        let mut shown = keyboard.try_clone().unwrap();
        let (sender, screen) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = shown.read(&mut bytes) {
                if sender.send(bytes[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keyboard, screen, bytes: Vec::new() }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(crate) fn until(&mut self, seen: impl Fn(&str) -> bool) {
        while !seen(&self.text()) {
            match self.screen.recv_timeout(Duration::from_secs(60)) {
                Ok(bytes) => self.bytes.extend(bytes),
                Err(error) => panic!("{error}: {}", self.text()),
            }
        }
    }

    fn signal(&self, signal: &str) {
        Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).output().unwrap();
    }

    /// The exit status, and the lines that are left on the screen.
    pub(crate) fn end(&mut self) -> (Option<i32>, Vec<String>) {
        let status = self.child.wait().unwrap().code();
        // Until the terminal has no writer any more.
        while let Ok(bytes) = self.screen.recv_timeout(Duration::from_secs(60)) {
            self.bytes.extend(bytes);
        }
        (status, left_on_screen(&self.text()))
    }
}

/// As a terminal shows it: text, line ends, and the sequences that move the cursor and erase.
fn left_on_screen(written: &str) -> Vec<String> {
    let mut rows: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0_usize, 0_usize);
    let mut letters = written.chars();
    while let Some(c) = letters.next() {
        match c {
            '\r' => column = 0,
            '\n' => row += 1,
            '\u{1b}' => {
                assert_eq!(letters.next(), Some('['), "{written:?}");
                let (mut number, mut command) = (String::new(), ' ');
                for c in letters.by_ref() {
                    if c.is_ascii_alphabetic() {
                        command = c;
                        break;
                    }
                    number.push(c);
                }
                let n = number.parse::<usize>().unwrap_or(1);
                match command {
                    'A' => row = row.saturating_sub(n),
                    'B' => row += n,
                    'K' => {
                        if number == "2" {
                            rows[row].clear();
                        } else {
                            rows[row].truncate(column);
                        }
                    }
                    'J' => {
                        rows[row].truncate(column);
                        rows.truncate(row + 1);
                    }
                    'm' | 'h' | 'l' => {}
                    other => panic!("unknown sequence {number}{other}: {written:?}"),
                }
            }
            c => {
                if column == COLUMNS {
                    (row, column) = (row + 1, 0);
                }
                rows.resize(rows.len().max(row + 1), Vec::new());
                let line = &mut rows[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
        rows.resize(rows.len().max(row + 1), Vec::new());
    }
    let lines = rows.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

/// Slow enough for the progress to be drawn more than once.
pub(crate) fn slow(runs: usize) -> Server {
    let mut service = Service::new(Config::default());
    sample::runs(runs, 1, NEWEST).into_iter().for_each(|run| service.insert(run));
    let options = ServerOptions::default().latency(Duration::from_millis(30));
    Server::start(service, options).unwrap()
}

/// Whether it was drawn with a number above zero.
fn counts(shown: &str, done: &str) -> bool {
    let before =
        |(at, _): (usize, &str)| shown[..at].trim_end().chars().next_back().is_some_and(|c| c.is_ascii_digit());
    let not_zero = |(at, _): (usize, &str)| !shown[..at].trim_end().ends_with(" 0");
    let rate = |(at, _): (usize, &str)| shown[at..].chars().take(30).collect::<String>().contains("/s");
    shown.match_indices(&format!("{done}, ")).any(|found| before(found) && not_zero(found) && rate(found))
}

#[test]
fn counts_and_rates_are_shown_and_nothing_is_left_behind() {
    let cases: [(&[&str], &str, usize); 5] = [
        (&["list", "--limit", "5000"], "listed", 3_001),
        (&["stats"], "counted", 0),
        (&["delete", "--all", "--dry-run"], "found", 0),
        (&["delete", "--all", "--yes"], "deleted", 0),
        (&["resume", "--all", "--yes", "--max", "1000"], "resumed", 0),
    ];
    std::thread::scope(|scope| {
        for (args, done, lines) in cases {
            scope.spawn(move || a_count_and_a_rate_are_shown(args, done, lines));
        }
    });
}

fn a_count_and_a_rate_are_shown(args: &[&str], done: &str, lines: usize) {
    let server = slow(3_000);
    let mut shown = Shown::start(&server.url(), &[args, &["--parallel", "1"]].concat());
    let (status, left) = shown.end();
    assert_eq!(status, Some(0), "{args:?}: {left:?}");
    let all = shown.text();
    assert!(counts(&all, done), "{args:?}: {all:?}");
    let stale = |line: &&String| line.contains(&format!("{done},"));
    assert_eq!(left.iter().filter(stale).count(), 0, "{args:?}: {left:?}");
    assert!(lines == 0 || left.len() == lines, "{args:?}: {} lines", left.len());
}

/// Another program that reads the list may write to the same terminal.
#[test]
fn a_list_that_is_piped_has_no_bar() {
    let server = slow(3_000);
    let mut shown = Shown::piped(&server.url(), &["list", "--json"], COLUMNS);
    let mut output = shown.child.stdout.take().unwrap();
    let mut listed = String::new();
    output.read_to_string(&mut listed).unwrap();
    let (status, left) = shown.end();
    assert_eq!((status, listed.lines().count(), left), (Some(0), 3_000, Vec::new()));
    assert!(shown.bytes.is_empty(), "{:?}", shown.text());
}

#[test]
fn the_preview_fits_the_terminal_it_is_shown_on() {
    let server = slow(30);
    let mut shown = Shown::piped(&server.url(), &["delete", "--all", "--json"], 80);
    shown.until(|shown| shown.contains("[y/N] "));
    shown.keyboard.write_all(b"n\n").unwrap();
    let (_, left) = shown.end();
    let table: Vec<&String> = left.iter().skip_while(|line| !line.starts_with("ID ")).take(6).collect();
    assert!(table.len() == 6 && table.iter().all(|line| line.chars().count() <= 80), "{left:?}");
}

#[test]
fn the_time_left_is_shown_where_the_number_is_known() {
    let server = slow(900);
    let mut shown = Shown::start(&server.url(), &["delete", "--all", "--page-size", "25", "--parallel", "1"]);
    shown.until(|shown| shown.contains("[y/N] "));
    assert!(!shown.text().contains(" left"));
    shown.keyboard.write_all(b"y\n").unwrap();
    let (status, left) = shown.end();
    assert_eq!(status, Some(0), "{left:?}");
    let all = shown.text();
    assert!(all.contains("/900 deleted") && all.contains(" left "), "{all:?}");
    assert!(left.iter().all(|line| !line.contains("/900")), "{left:?}");
}

#[test]
fn an_interrupt_leaves_nothing_behind() {
    for (args, done) in [
        (&["list", "--limit", "900"][..], "listed"),
        (&["stats"], "counted"),
        (&["delete", "--all", "--yes"], "deleted"),
    ] {
        let server = slow(300);
        let wait = Some(Fault::TooManyRequests { retry_after_s: Some(30) });
        server.with_service(|s| s.set_faults(FaultPlan::script(vec![None, wait])));
        let mut shown = Shown::start(&server.url(), &[args, &["--parallel", "1"]].concat());
        shown.until(|shown| shown.contains("trying again"));
        shown.signal("INT");
        let (status, left) = shown.end();
        assert_eq!(status, Some(130), "{left:?}");
        let stale = |line: &String| line.contains(&format!("{done},")) || line.contains("trying again");
        assert!(!left.iter().any(stale), "{left:?}");
    }
}

/// The terminal writes `^C` after the progress, which must not wrap into a row that nobody clears.
#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_that_is_typed_leaves_nothing_behind() {
    for (args, done) in [
        (&["list", "--limit", "90000"][..], "listed"),
        (&["stats"], "counted"),
        (&["delete", "--all", "--yes"], "deleted"),
    ] {
        // With a message that fills the line, and without one.
        for busy in [true, false] {
            let server = slow(if busy { 300 } else { 30_000 });
            let wait = busy.then_some(Fault::TooManyRequests { retry_after_s: Some(30) });
            server.with_service(|s| s.set_faults(FaultPlan::script(vec![None, wait])));
            let mut shown = Shown::controlled(&server.url(), &[args, &["--parallel", "1"]].concat());
            shown.until(|shown| if busy { shown.contains("trying again") } else { counts(shown, done) });
            shown.keyboard.write_all(&[3]).unwrap();
            let (status, left) = shown.end();
            assert!(shown.text().contains("^C"), "{:?}", shown.text());
            assert_eq!(status, Some(130), "{left:?}");
            let stale = |line: &String| line.contains(&format!("{done},")) || line.contains("trying again");
            assert!(!left.iter().any(stale), "{left:?}");
        }
    }
}

/// The second interrupt ends at once, with a request in flight that gets no response.
#[test]
fn a_second_interrupt_leaves_nothing_behind() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut shown = Shown::start(&url, &["stats"]);
    // Held, with the request in it.
    let (mut held, _) = listener.accept().unwrap();
    assert!(held.read(&mut [0; 64]).unwrap() > 0);
    shown.until(|shown| shown.contains(" counted,"));
    // Within a second they are one; so they come until the process has ended.
    while shown.child.try_wait().unwrap().is_none() {
        shown.signal("INT");
        std::thread::sleep(Duration::from_millis(100));
    }
    let (status, left) = shown.end();
    // What the first one says stays, and nothing else.
    let said = "Finishing 1 request in flight. Press Ctrl-C again to end at once.".to_owned();
    assert_eq!((status, left), (Some(130), vec![said]));
    drop(held);
}
