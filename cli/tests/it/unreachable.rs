//! A proxy that cannot be used: nothing is sent. What cannot be reached stands in the table of faults.

use crate::common::text;
use crate::scene::command_of;

#[test]
fn a_proxy_that_cannot_be_used_is_wrong_usage() {
    for args in [
        &["resume", "--all", "--yes"][..],
        &["delete", "--all", "--yes"],
        &["list"],
        &["stats"],
        &["check"],
        &["get", "a"],
        &["callback", "retry", "a"],
    ] {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut command = command_of("https://service.invalid", &args);
        let output = command.env("ALL_PROXY", "socks5://me:hidden@127.0.0.1:1").output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains("ALL_PROXY") && said.contains("SOCKS") && !said.contains("hidden"), "{args:?}: {said}");
    }
}
