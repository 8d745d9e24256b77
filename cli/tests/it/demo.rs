//! The demo: its counts add up, its commands do what it says, and it leaves nothing behind.

use crate::common::{command, emulator, json, run, text};

/// What a demo with so many runs prints. Its temporary folder is gone when it has ended.
fn demo(runs: u32) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = command("").args(["demo", "--runs", &runs.to_string()]).env("TMPDIR", folder.path()).output().unwrap();
    let (shown, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{runs}: {shown}{said}");
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{runs}: {shown}");
    let lines = shown.lines().count() + said.lines().count();
    assert!(lines < 60, "{runs}: {lines} lines: {shown}{said}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    shown
}

/// The lines of a step.
fn step(shown: &str, number: u32) -> Vec<&str> {
    let begin = format!("{number}. ");
    shown.lines().skip_while(|line| !line.starts_with(&begin)).take_while(|line| !line.is_empty()).collect()
}

/// The numbers of the line that begins with these words.
fn numbers(shown: &str, begin: &str) -> Vec<u64> {
    let line = shown.lines().find(|line| line.trim_start().starts_with(begin)).unwrap_or_else(|| panic!("{shown}"));
    let words = line.split(|c: char| !c.is_ascii_digit() && c != ',').map(|word| word.replace(',', ""));
    words.filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn the_counts_of_the_demo_add_up() {
    for runs in [0, 1, 10, 1_000] {
        let shown = demo(runs);
        let told = numbers(&shown, "The client counted");
        let truly = numbers(&shown, "The emulator counted");
        let ([kept, labelled, resumed], [truly_kept, deleted, started]) = (&told[..], &truly[..]) else {
            panic!("{shown}")
        };
        assert_eq!((kept, resumed), (truly_kept, started), "{shown}");
        assert!(labelled <= deleted, "{shown}");
        assert_eq!(kept + deleted + started, u64::from(runs), "{shown}");
        for number in 1..=6 {
            assert!(step(&shown, number).len() >= 2, "{number}: {shown}");
        }
        if runs == 1_000 {
            assert!(*kept > 0 && labelled < deleted && *labelled > 0 && *resumed > 0, "{shown}");
            assert!(step(&shown, 4).concat().contains("(2 requests unconfirmed)"), "{shown}");
        }
    }
}

#[test]
fn the_commands_of_the_demo_do_what_it_says() {
    let shown = demo(1_000);
    let (told, truly) = (numbers(&shown, "The client counted"), numbers(&shown, "The emulator counted"));
    // The same sample runs.
    let server = emulator(1_000);
    let folder = tempfile::tempdir().unwrap();
    let copy = format!("--archive={}", folder.path().join("copy.ndjson").to_str().unwrap());
    let mut done = Vec::new();
    for line in shown.lines().filter_map(|line| line.trim_start().strip_prefix("$ upstash-dlq ")) {
        let args = line.split(' ').map(|word| if word.starts_with("--archive=") { &copy } else { word });
        let output = run(&server.url(), &args.chain(["--json"]).collect::<Vec<_>>());
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
        done.extend(["deleted", "resumed"].iter().filter_map(|what| json(&output)[what].as_u64()));
    }
    assert_eq!(done, [told[0], truly[1], told[2]], "{shown}");
    assert_eq!(server.with_service(|service| (service.len(), service.started().count() as u64)), (0, told[2]));
}
