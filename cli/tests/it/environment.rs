//! Where the endpoint and the token come from: options, variables of the environment, and a file. No test leaves this machine:
//! what would is sent to a proxy that is not there.

use crate::common::{command, emulator, text};
use std::process::Output;
use upstash_dlq_emulator::LOCAL_TOKEN;

type Variables<'a> = &'a [(&'a str, &'a str)];

/// Lists with these variables, where nothing else is set.
fn list(variables: Variables<'_>, args: &[&str]) -> Output {
    let mut command = command("");
    for name in ["QSTASH_URL", "QSTASH_TOKEN", "EU_CENTRAL_1_QSTASH_URL", "EU_CENTRAL_1_QSTASH_TOKEN", "NO_PROXY"] {
        command.env_remove(name);
    }
    command.env_remove("no_proxy").env("HTTPS_PROXY", "http://127.0.0.1:9").envs(variables.iter().copied());
    command.args(["list", "--max-attempts", "1"]).args(args).output().unwrap()
}

#[test]
fn a_region_has_a_url_and_a_token_of_its_own() {
    let server = emulator(3);
    let url = server.url();
    let (elsewhere, wrong) = (("QSTASH_URL", "http://127.0.0.1:1"), ("QSTASH_TOKEN", "wr0ng"));
    let of_region = [("US_EAST_1_QSTASH_URL", &*url), ("US_EAST_1_QSTASH_TOKEN", LOCAL_TOKEN)];
    let cases: [(Variables<'_>, &[&str]); 5] = [
        (&[("QSTASH_URL", &*url), ("QSTASH_TOKEN", LOCAL_TOKEN)], &[]),
        (&[elsewhere, wrong, of_region[0], of_region[1], ("QSTASH_REGION", "us-east-1")], &[]),
        (&[elsewhere, wrong, of_region[0], of_region[1]], &["--region", "US_EAST_1"]),
        // Without a token of the region the usual one counts, and what is set to nothing is not set.
        (
            &[elsewhere, of_region[0], ("US_EAST_1_QSTASH_TOKEN", ""), ("QSTASH_TOKEN", LOCAL_TOKEN)],
            &["--region=us-east-1"],
        ),
        // A URL that was given counts more than a region of the environment, which is not even read.
        (&[("QSTASH_REGION", "mars"), ("QSTASH_TOKEN", LOCAL_TOKEN)], &["--url", &url]),
    ];
    for (variables, args) in cases {
        let output = list(variables, args);
        assert_eq!(output.status.code(), Some(0), "{variables:?} {args:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout).lines().count(), 4, "a title and three runs");
    }
}

#[test]
fn each_region_is_asked_at_its_host() {
    for (variable, host) in [
        (("QSTASH_REGION", "us-east-1"), "qstash-us-east-1.upstash.io"),
        (("QSTASH_REGION", "EU_CENTRAL_1"), "qstash-eu-central-1.upstash.io"),
        (("QSTASH_REGION", ""), "qstash.upstash.io"),
    ] {
        // The URL of no region does not count for a region.
        let general = ("QSTASH_URL", if variable.1.is_empty() { "" } else { "http://127.0.0.1:1" });
        let output = list(&[variable, general, ("QSTASH_TOKEN", "t0ken")], &[]);
        let error = text(&output.stderr);
        assert!(output.status.code() == Some(1) && error.contains(&format!("(asked {host})")), "{variable:?}: {error}");
    }
}

#[test]
fn what_is_wrong_is_told_with_where_it_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, token: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, token).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (good, two, absent) = (file("good", " t0ken\n"), file("two", "t0ken\nother\n"), folder.path().join("absent"));
    let token = ("QSTASH_TOKEN", "t0ken");
    let cases: [(Variables<'_>, &[&str], &str); 9] = [
        (&[], &[], "no token: set QSTASH_TOKEN or pass --token-file FILE"),
        (&[("QSTASH_TOKEN", "")], &[], "no token: set QSTASH_TOKEN"),
        (&[("QSTASH_TOKEN", "t0ken other")], &[], "QSTASH_TOKEN holds a space"),
        (
            &[("QSTASH_REGION", "mars"), token],
            &[],
            "QSTASH_REGION: \"mars\" is not a region: give us-east-1 or eu-central-1",
        ),
        (&[token], &["--region", "mars"], "--region: \"mars\" is not a region"),
        (&[("QSTASH_URL", "ftp://h"), token], &[], "QSTASH_URL must begin with https://"),
        (
            &[("QSTASH_REGION", "us-east-1"), ("US_EAST_1_QSTASH_URL", "http://h"), token],
            &[],
            "the region's QSTASH_URL is http to another machine",
        ),
        (&[], &["--token-file", &two], "--token-file holds a space, a line break"),
        (&[], &["--token-file", absent.to_str().unwrap()], "--token-file: "),
    ];
    for (variables, args, sentence) in cases {
        let output = list(variables, args);
        let error = text(&output.stderr);
        assert!(output.status.code() == Some(2) && error.contains(sentence), "{variables:?} {args:?}: {error}");
        assert!(!error.contains("t0ken"), "{error}");
    }
    // The file's token counts, whatever the environment says; what stands around it does not.
    let output = list(&[("QSTASH_TOKEN", "")], &["--token-file", &good, "--url", "http://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
}
