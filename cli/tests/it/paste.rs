//! What the command suggests for copying is pasted into a shell.
#![cfg(unix)]

use crate::common::{emulator, json, run};
use proptest::prelude::*;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use upstash_dlq_core::DlqId;
use upstash_dlq_emulator::{Fault, FaultPlan, Server};

/// What the shell makes of it: the arguments that the command would get, from one that prints them.
fn pasted(suggestion: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let printer = folder.path().join("upstash-dlq");
    std::fs::write(&printer, "#!/bin/sh\nprintf '%s\\0' \"$@\"\n").unwrap();
    std::fs::set_permissions(&printer, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new("/bin/sh").args(["-c", suggestion]).env("PATH", folder.path()).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{suggestion}: {output:?}");
    let all = String::from_utf8(output.stdout).unwrap();
    all.split_terminator('\0').map(str::to_owned).collect()
}

/// After a lost response.
fn suggested(server: &Server, args: &[&str]) -> Option<String> {
    server.with_service(|s| s.set_faults(FaultPlan::script(vec![Some(Fault::LostResponse)]).only(http::Method::POST)));
    let output = run(&server.url(), &[&["resume", "--yes", "--json"], args].concat());
    let report = json(&output);
    let reason = report["reason"].as_str().unwrap_or_else(|| panic!("{args:?}: {report}"));
    assert!(output.status.code() == Some(3) && reason.contains(" whether "), "{reason}");
    let Some((_, rest)) = reason.split_once("Check with `") else {
        // What a terminal must not see is named all the same.
        let names = [" Check whether ", " is still in the DLQ. Then ", " Count what matches: if it was carried out"];
        assert!((reason.contains(names[0]) && reason.contains(names[1])) || reason.contains(names[2]), "{reason}");
        return None;
    };
    let end =
        rest.rsplit_once("`: if it was carried out").or_else(|| rest.rsplit_once("`. Then run the command again"));
    Some(end.unwrap().0.to_owned())
}

/// Whether it may stand on a terminal as it is.
fn shows(text: &str) -> bool {
    text.chars().all(|c| upstash_dlq_core::model::Escaped(&c.to_string()).to_string() == c.to_string())
}

/// An id has no white space in it.
fn as_id(text: String) -> String {
    text.replace(char::is_whitespace, "")
}

/// Strings that mean something to a shell, among others.
fn hostile() -> impl Strategy<Value = String> {
    let letters = prop_oneof![
        Just("'".to_owned()),
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just("$(x)".to_owned()),
        Just("`x`".to_owned()),
        Just(" ".to_owned()),
        Just("-".to_owned()),
        Just("=".to_owned()),
        Just("~".to_owned()),
        Just("!x".to_owned()),
        Just("*".to_owned()),
        Just("#".to_owned()),
        Just(";x".to_owned()),
        Just("&".to_owned()),
        Just("|".to_owned()),
        Just("ä".to_owned()),
        Just("\u{202e}".to_owned()),
        Just("'".repeat(300)),
        "[a-z]{1,4}",
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(letters, 1..8).prop_map(|parts| parts.concat().replace([',', '\0'], "")).prop_filter(
        "is refused before anything is sent",
        |text| {
            text.trim() == text
                && !text.is_empty()
                && !text.chars().any(char::is_control)
                && text.len() < 1_000
                && !matches!(&*text.to_ascii_lowercase().replace("%2e", "."), "." | "..")
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn filters_come_back_as_they_were_given(label in hostile(), run_id in hostile()) {
        let server = emulator(1);
        let (label_arg, run_arg) = (format!("--label={label}"), format!("--workflow-run-id={run_id}"));
        let suggestion = suggested(&server, &[&label_arg, &run_arg, "--parallel", "1"]);
        prop_assert_eq!(suggestion.is_some(), shows(&label) && shows(&run_id));
        if let Some(suggestion) = suggestion {
            let mut args = pasted(&suggestion);
            // The present moment.
            args.retain(|arg| !(arg.starts_with("--to=") && arg.ends_with('Z')));
            prop_assert_eq!(args, ["stats", &label_arg, &run_arg]);
        }
    }

    #[test]
    fn an_id_stays_an_id(id in hostile().prop_map(as_id).prop_filter("is no id", |id| id != "-" && DlqId::new(id.as_str()).is_ok())) {
        let server = emulator(1);
        let suggestion = suggested(&server, &["--", &id]);
        prop_assert_eq!(suggestion.is_some(), shows(&id));
        if let Some(suggestion) = suggestion {
            let before: &[&str] = if id.starts_with('-') { &["get", "--"] } else { &["get"] };
            prop_assert_eq!(pasted(&suggestion), [before, &[&id]].concat());
        }
    }
}

#[test]
fn an_id_that_looks_like_an_option_is_looked_up() {
    let server = emulator(0);
    let id = "--url=http://127.0.0.1:9";
    server.with_service(|s| {
        s.insert(upstash_dlq_emulator::Run::default().dlq_id(id));
    });
    let suggestion = suggested(&server, &["--", id]).unwrap();
    let args = pasted(&suggestion);
    server.with_service(|s| {
        s.insert(upstash_dlq_emulator::Run::default().dlq_id(id));
    });
    let output = run(&server.url(), &args.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn the_place_to_look_is_the_one_that_was_asked() {
    let server = emulator(1);
    server.with_service(|s| s.set_faults(FaultPlan::script(vec![Some(Fault::LostResponse)]).only(http::Method::POST)));
    let output = run("http://127.0.0.1:9", &["resume", "--all", "--yes", "--json", "--url", &server.url()]);
    let report = json(&output);
    let reason = report["reason"].as_str().unwrap();
    assert!(reason.contains(&format!("`upstash-dlq stats --url={} --to=", server.url())), "{reason}");
}

#[test]
fn a_callback_is_looked_at_by_its_id() {
    let server = emulator(0);
    let id = "--url=x'y'";
    server.with_service(|s| {
        s.insert(
            upstash_dlq_emulator::Run::default()
                .dlq_id(id)
                .failure_callback(Some("https://x.example/failed".into()))
                .failure_function_state(Some("CALLBACK_FAIL".into())),
        );
        s.set_faults(FaultPlan::script(vec![Some(Fault::LostResponse)]));
    });
    let output = run(&server.url(), &["callback", "retry", "--", id]);
    let error = crate::common::text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{error}");
    let (_, suggestion) = error.trim_end().rsplit_once("look at its state with: ").unwrap();
    assert_eq!(pasted(suggestion), ["get", "--", id]);
}
