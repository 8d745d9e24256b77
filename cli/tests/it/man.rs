//! The man pages: one for each command, with all that its help says.

use crate::common::{run, text};
use crate::help::{commands, examples, help};
use std::collections::BTreeSet;

/// The page as a reader sees it, as far as the tests look.
fn plain(page: &str) -> String {
    page.replace("\\-", "-").replace("\\*(Aq", "'").replace("\\&", "").replace("\\\\", "\\")
}

#[test]
fn each_command_has_a_page_with_its_options_and_examples() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("share/man1");
    let written = run("", &["man", pages.to_str().unwrap()]);
    assert_eq!(written.status.code(), Some(0), "{}", text(&written.stderr));
    assert!(written.stdout.is_empty());
    let commands = commands();
    assert!(text(&written.stderr).contains(&format!("Wrote {} man pages to ", commands.len())));
    let mut named = BTreeSet::new();
    for words in &commands {
        let name = [&["upstash-dlq".to_owned()], &words[..]].concat().join("-") + ".1";
        let page = std::fs::read_to_string(pages.join(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let page = plain(&page);
        let shown = help(&words.iter().map(String::as_str).collect::<Vec<_>>(), 1_000);
        let options = shown.split_whitespace().filter_map(|word| word.strip_prefix("--"));
        for option in options.map(|word| word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric())) {
            assert!(page.contains(&format!("--{option}")), "{name} lacks --{option}");
        }
        let lines: BTreeSet<&str> = page.lines().collect();
        for example in examples(&shown) {
            assert!(lines.contains(example), "{name} lacks the example {example:?}");
        }
        assert_eq!(page.contains("\n.SH EXAMPLES\n.nf\n"), shown.contains("\nExamples:\n"), "{name}");
        assert_eq!(page.contains("\n.SH \"EXIT STATUS\"\n"), shown.contains("\nExit status: "), "{name}");
        let order = [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "SUBCOMMANDS",
            "OPTIONS",
            "\"EXIT STATUS\"",
            "EXAMPLES",
            "ENVIRONMENT",
            "\"SEE ALSO\"",
        ];
        let places: Vec<usize> = order.iter().filter_map(|title| page.find(&format!(".SH {title}\n"))).collect();
        assert!(places.is_sorted() && page.contains(".SH \"SEE ALSO\"\n"), "{name}");
        let connects = !matches!(words.first().map(String::as_str), Some("demo" | "emulator" | "completions" | "man"));
        let environment = page.split_once(".SH ENVIRONMENT\n").map(|(_, after)| after.split("\n.SH ").next().unwrap());
        let names_token = environment.is_some_and(|said| said.contains("QSTASH_TOKEN") && said.contains("QSTASH_URL"));
        assert_eq!((environment.is_some(), names_token), (connects, connects), "{name}");
        assert_eq!(page.matches("\n.nf\n").count(), page.matches("\n.fi\n").count(), "{name}");
        named.insert(name);
    }
    let there: BTreeSet<String> =
        std::fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(there, named);
}

#[test]
fn a_page_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    std::fs::create_dir(folder.path().join("upstash-dlq-delete.1")).unwrap();
    for (folder, named) in [(file.as_path(), "file: "), (folder.path(), "upstash-dlq-delete.1: ")] {
        let output = run("", &["man", folder.to_str().unwrap()]);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains(named), "{said}");
    }
}

/// Somebody may have put a link there, and a page that is half written misleads.
#[test]
#[cfg(unix)]
fn an_existing_page_is_replaced_and_a_link_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("elsewhere");
    std::fs::write(&elsewhere, "kept").unwrap();
    let pages = folder.path().join("man1");
    std::fs::create_dir(&pages).unwrap();
    std::fs::write(pages.join("upstash-dlq-get.1"), "old").unwrap();
    std::os::unix::fs::symlink(&elsewhere, pages.join("upstash-dlq.1")).unwrap();
    assert_eq!(run("", &["man", pages.to_str().unwrap()]).status.code(), Some(0));
    assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "kept");
    for name in ["upstash-dlq.1", "upstash-dlq-get.1"] {
        let page = std::fs::read_to_string(pages.join(name)).unwrap();
        assert!(page.contains(".SH NAME") && page.contains(".SH \"SEE ALSO\""), "{name}");
    }
    let left = std::fs::read_dir(&pages)
        .unwrap()
        .filter(|entry| !entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with("upstash-dlq"));
    assert_eq!(left.count(), 0);
}
