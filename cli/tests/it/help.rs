//! The help of each command: it fits a terminal of 80 columns, and its examples can be pasted as they are shown.

use crate::common::{command, text};
use std::collections::BTreeSet;
use std::process::Stdio;

const WIDTH: usize = 80;

pub(crate) fn help(words: &[&str], columns: usize) -> String {
    shown_by("--help", words, columns)
}

fn shown_by(flag: &str, words: &[&str], columns: usize) -> String {
    let output = command("").args(words).arg(flag).env("COLUMNS", columns.to_string()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{words:?}");
    text(&output.stdout)
}

/// The words of each command that has a help, found in the help above it.
pub(crate) fn commands() -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    let mut at = 0;
    while let Some(words) = all.get(at).cloned() {
        let shown = help(&words.iter().map(String::as_str).collect::<Vec<_>>(), WIDTH);
        let below = shown.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        // Deeper lines continue what is said of a command.
        let names = below.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
        all.extend(names.map(|name| [&words[..], &[name.to_owned()]].concat()));
        at += 1;
    }
    all
}

/// The lines under "Examples:".
pub(crate) fn examples(shown: &str) -> Vec<&str> {
    shown.lines().skip_while(|line| *line != "Examples:").skip(1).take_while(|line| !line.is_empty()).collect()
}

#[test]
fn each_help_fits_80_columns_and_its_examples_are_whole() {
    let commands = commands();
    assert!(commands.len() > 12, "{commands:?}");
    let mut seen = 0;
    for words in &commands {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let shown = help(&words, WIDTH);
        for line in shown.lines() {
            assert!(line.chars().count() <= WIDTH, "{words:?}: {line}");
        }
        let examples = examples(&shown);
        // Clap breaks what is too long: then it is another text than on a wide terminal, and may be another command.
        for columns in [60, 1_000] {
            assert_eq!(examples, self::examples(&help(&words, columns)), "{words:?}, {columns} columns");
        }
        let mut goes_on = false;
        for line in &examples {
            assert!(line.chars().count() <= WIDTH - 2, "{words:?}: {line}");
            let start = if goes_on { "    " } else { "  upstash-dlq " };
            assert!(line.starts_with(start), "{words:?}: {line:?} does not begin with {start:?}");
            goes_on = line.ends_with('\\') || line.ends_with('|');
        }
        assert!(!goes_on, "{words:?}: the last example is not whole");
        seen += examples.len();
    }
    assert!(seen > 20, "{seen}");
}

/// `-h` leaves out most global options, and all but the first sentence of the others.
#[test]
fn the_short_help_has_each_option_and_the_examples() {
    let options = |shown: &str| {
        let of = |line: &str| line.split_whitespace().take(2).find(|word| word.starts_with("--")).map(str::to_owned);
        shown
            .lines()
            .filter(|line| line.starts_with("  ") && !line.starts_with("        "))
            .filter_map(of)
            .collect::<BTreeSet<_>>()
    };
    for words in commands() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (short, whole) = (shown_by("-h", &words, WIDTH), help(&words, WIDTH));
        let (own, global) = whole.split_once("Global options:\n").unwrap();
        let global = options(global.split("\n\n").next().unwrap());
        let example = |shown: &str| examples(shown).join("\n");
        assert_eq!(example(&short), example(&whole), "{words:?}");
        let (without_examples, _) = short.split_once("Examples:\n").unwrap_or((&short, ""));
        let shown = options(without_examples);
        assert_eq!(shown.difference(&global).cloned().collect::<BTreeSet<_>>(), options(own), "{words:?}");
        let few: BTreeSet<_> = shown.intersection(&global).map(String::as_str).collect();
        // Those that a command refuses or has no use for are in neither help.
        let (expected, most): (&[_], _) = match words.first() {
            Some(&"demo") => (&["--json"], 8),
            Some(&"emulator") => (&["--json"], 3),
            Some(&("completions" | "man")) => (&[], 2),
            _ => (&["--url", "--token-file", "--json"], 11),
        };
        assert_eq!(few, BTreeSet::from_iter(expected.iter().copied()), "{words:?}");
        assert_eq!((short.contains("[OPTIONS]"), global.len()), (!few.is_empty(), most), "{words:?}: {global:?}");
        assert!(short.trim_end().ends_with("the other global options."), "{words:?}: {short}");
        let shorter = if most == 11 { whole.lines().count() * 3 / 4 } else { whole.lines().count() };
        assert!(short.lines().count() < shorter, "{words:?}: {short}");
        assert!(
            words
                .last()
                .is_none_or(|name| examples(&short).iter().all(|line| *name != "restart" || !line.contains("resume")))
        );
    }
}

#[test]
fn the_short_help_keeps_warnings_and_is_told_apart() {
    let short = shown_by("-h", &["delete"], 200);
    for warning in ["delete nothing", "may take it as a prefix", "if FILE exists, continue from there"] {
        assert!(short.contains(warning), "{warning}: {short}");
    }
    let whole = help(&["delete"], 200);
    for (words, expected) in [
        (&["delete", "-yh"][..], &short),
        (&["delete", "--label", "help", "-h"], &short),
        (&["delete", "--help"], &whole),
        (&["help", "delete"], &whole),
        (&["delete", "--from", "-12h", "--help"], &whole),
    ] {
        let output = command("").args(words).env("COLUMNS", "200").output().unwrap();
        assert_eq!(&text(&output.stdout), expected, "{words:?}");
    }
    #[cfg(unix)]
    {
        let bytes = std::os::unix::ffi::OsStrExt::from_bytes(&b"\xff"[..]);
        let words = [std::ffi::OsStr::new("delete"), "--archive".as_ref(), bytes, "-h".as_ref()];
        let output = command("").args(words).env("COLUMNS", "200").output().unwrap();
        assert_eq!(text(&output.stdout), short, "{}", text(&output.stderr));
    }
    let wrong = |args: &[&str]| text(&command("").args(args).output().unwrap().stderr);
    assert_eq!(wrong(&["get", "--bogus", "--", "-h"]), wrong(&["get", "--bogus", "--", "x"]));
}

/// An example names only options that there are.
#[cfg(unix)]
#[test]
fn each_example_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    // In place of the command: it parses, and ends before it does anything.
    let script = folder.path().join("upstash-dlq");
    let real = env!("CARGO_BIN_EXE_upstash-dlq");
    std::fs::write(&script, format!("#!/bin/sh\nexec {real} --url nonsense \"$@\"\n")).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for words in commands() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let shown = help(&words, WIDTH);
        let text_of = examples(&shown).join("\n").replace("\\\n", " ").replace("|\n", "| ");
        for example in text_of.lines().filter(|line| !line.contains("upstash-dlq emulator")) {
            for part in example.split(" | ").filter(|part| part.trim_start().starts_with("upstash-dlq")) {
                let mut shell = std::process::Command::new("sh");
                let path = format!("{}:/usr/bin:/bin", folder.path().display());
                shell.args(["-c", part]).env("PATH", path).env("QSTASH_TOKEN", "t").current_dir(folder.path());
                let output = shell.stdin(Stdio::null()).output().unwrap();
                let said = text(&output.stderr);
                assert!(!said.contains("Usage:"), "{words:?}: {part}: {said}");
            }
        }
    }
}

#[test]
fn the_help_of_the_emulator_says_what_each_fault_is() {
    let shown = help(&["emulator"], WIDTH);
    let faults: BTreeSet<&str> = shown
        .lines()
        .skip_while(|line| !line.starts_with("Faults of --fault"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with("    "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(faults, upstash_dlq_emulator::PROFILES.into_iter().collect());
}

/// What connects to no service has no use for its address.
#[test]
fn what_connects_to_no_service_refuses_its_address() {
    for (args, sentence) in [
        (&["demo", "--url", "http://127.0.0.1:9"][..], "--url: demo never connects to a service: leave it out"),
        (&["demo", "--token-file", "x"], "--token-file: demo never"),
        (&["--region", "us-east-1", "completions", "bash"], "--region: completions never"),
        (&["man", "nowhere", "--url", "http://127.0.0.1:9"], "--url: man never"),
        (&["emulator", "--url", "http://127.0.0.1:9"], "--url: emulator never"),
        (&["emulator", "--token-file", "x"], "--token-file: the emulator takes the token that it accepts with --token"),
    ] {
        let output = command("").args(args).output().unwrap();
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(sentence), "{args:?}: {said}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}
