//! The pages for readers of the output say what the command really prints.

use crate::common::{NEWEST, command, run, text};
use crate::pages;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use upstash_dlq_emulator::{Config, Ignored, Server, ServerOptions, Service, sample};

/// The keys of what was printed, at every depth. Those of messages are the service's.
fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            found.insert(key.clone());
            keys(value, found);
        }),
        Value::Array(values) => values.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

/// What stands in the first cells of the page's tables as code.
fn first_cells(page: &str) -> BTreeSet<String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    rows.flat_map(|cell| cell.split('`').step_by(2).filter(|code| !code.starts_with([',', ' '])).map(str::to_owned))
        .collect()
}

fn id(server: &Server, state: &str) -> String {
    let has = |run: &&upstash_dlq_emulator::Run| run.failure_function_state.as_deref() == Some(state);
    server.with_service(|service| service.runs().find(has).unwrap().dlq_id.clone())
}

#[cfg(target_os = "linux")]
#[test]
fn each_key_that_is_printed_is_on_the_page_of_json() {
    let Some(root) = pages::root("each_key_that_is_printed_is_on_the_page_of_json") else { return };
    let page = pages::read(&root, "docs/json.md");
    // It lists runs whatever their IP address is, also without one.
    let mut service = Service::new(Config::default().ignored(vec![Ignored::new(None, "callerIp")]));
    sample::runs(200, 1, NEWEST).into_iter().for_each(|run| service.insert(run.caller_ip("")));
    let server = Server::start(service, ServerOptions::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let archive = format!("--archive={}", folder.path().join("a").to_str().unwrap());
    // Its result finds no room, so it is there for the next command.
    let checkpoint = format!("--checkpoint={}", folder.path().join("p").to_str().unwrap());
    let untold = ["delete", "--label=nobody", "--yes", &checkpoint];
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert_eq!(command(&server.url()).args(untold).stdout(full).status().unwrap().code(), Some(1));
    let (failed, running) = (id(&server, "CALLBACK_FAIL"), id(&server, "CALLBACK_INPROGRESS"));
    let mut printed = BTreeSet::new();
    let mut answers = BTreeSet::new();
    for args in [
        &["stats"][..],
        &["check"],
        &["callback", "retry", &failed],
        &["callback", "cancel", &running],
        &["get", "nobody"],
        &["delete", &failed, "nobody", "--dry-run"],
        &["delete", "--caller-ip=10.0.0.9", "--dry-run"],
        &["delete", "--label=nightly", "--yes", &archive],
        &untold,
        &["resume", "--all", "--max=2", "--yes"],
        &["restart", "--all", "--max=2", "--yes"],
        &["delete"],
    ] {
        let output = run(&server.url(), &[args, &["--json"]].concat());
        let said = if output.stdout.is_empty() { text(&output.stderr) } else { text(&output.stdout) };
        for line in said.lines() {
            let mut value: Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{args:?}: {error}: {line}"));
            if let Some(Value::Object(of_check)) = value.get_mut("answers").map(Value::take) {
                answers.extend(of_check.keys().cloned());
                of_check.values().for_each(|answer| keys(answer, &mut printed));
            }
            keys(&value, &mut printed);
        }
    }
    assert!(printed.len() > 40 && answers.len() > 15, "{printed:?}: {answers:?}");
    let missing: Vec<_> = printed.iter().chain(&answers).filter(|key| !page.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "docs/json.md does not speak of {missing:?}");
    // And it speaks of nothing that is not there.
    let help = text(&command("").arg("--help").output().unwrap().stdout);
    let codes: BTreeSet<String> = help
        .split_once("The codes are ")
        .unwrap()
        .1
        .split(|c: char| !c.is_ascii_lowercase() && c != '_')
        .filter(|word| !word.is_empty() && *word != "and")
        .map(str::to_owned)
        .collect();
    assert!(codes.len() > 15, "{help}");
    let known: BTreeSet<String> = printed.into_iter().chain(codes.iter().cloned()).collect();
    let invented: Vec<_> = first_cells(&page).into_iter().filter(|key| !known.contains(key)).collect();
    assert!(invented.is_empty(), "docs/json.md speaks of {invented:?}");
    assert!(codes.iter().all(|code| page.contains(&format!("| `{code}` |"))), "{codes:?}");
}

/// The sources of this folder, as one text.
fn sources(folder: &Path, all: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            sources(&entry.path(), all);
        } else {
            *all += &std::fs::read_to_string(entry.path()).unwrap();
        }
    }
}

#[test]
fn each_message_of_troubleshooting_is_one_that_is_said() {
    let Some(root) = pages::root("each_message_of_troubleshooting_is_one_that_is_said") else { return };
    let mut all = String::new();
    for folder in ["cli", "core", "store", "transport-ureq"] {
        sources(&root.join(folder).join("src"), &mut all);
    }
    let page = pages::read(&root, "docs/troubleshooting.md");
    let messages: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `").or_else(|| line.strip_prefix('`'))?.split('`').next())
        .collect();
    assert!(messages.len() > 30, "{messages:?}");
    for message in messages {
        // What differs from case to case stands between the pieces.
        for piece in message.split('…').map(|piece| piece.trim_matches([' ', ';', ':', '.', '(', ')'])) {
            assert!(piece.len() < 4 || all.contains(piece), "nothing says {piece:?} of {message:?}");
        }
    }
}
