//! Proxies of the environment. A process cannot change its own here, so that each case is a process of its own: this test,
//! run again.

use super::wire::{Wire, ok};
use super::{Driver, endpoint};
use http::Request;
use std::ffi::OsStr;
use std::fmt::Debug;
use std::process::{Command, Output};
use upstash_dlq_core::{Endpoint, Token};

const PROXIES: [&str; 8] =
    ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"];

/// Set in the process of a case, to what it works on.
pub(crate) const CASE: &str = "UPSTASH_DLQ_TEST_CASE";

pub(crate) fn case() -> Option<String> {
    std::env::var(CASE).ok()
}

/// Runs the test of this name again, alone, in a process with these variables and no other proxy.
pub(crate) fn again<V: AsRef<OsStr> + Copy + Debug>(test: &str, case: &str, variables: &[(&str, V)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(CASE, case);
    for name in PROXIES {
        command.env_remove(name);
    }
    let Output { status, stdout, stderr } = command.envs(variables.iter().copied()).output().unwrap();
    let printed = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success() && printed.contains("1 passed"), "{variables:?}: {printed}");
    printed
}

pub(crate) fn a_proxy_is_never_used_to_this_machine<D: Driver>() {
    if let Some(url) = case() {
        let endpoint = endpoint(&url);
        let request = Request::get(format!("{url}/x")).body(()).unwrap();
        assert_eq!(D::send(&endpoint, super::LONG, request).unwrap().status(), 200);
        D::build(&endpoint).unwrap();
        return;
    }
    for proxy in ["http://", "socks5://", "nonsense://"] {
        let wire = Wire::start(vec![ok("{}")]);
        let other = Wire::start(vec![ok("{}")]);
        let proxy = format!("{proxy}{}", other.addr);
        for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
            again("a_proxy_is_never_used_to_this_machine", &wire.url(), &[(name, &proxy)]);
        }
        assert_eq!((wire.requests().len(), other.connections()), (3, 0));
    }
}

pub(crate) fn a_proxy_that_cannot_be_used_is_refused<D: Driver>() {
    let socks = cfg!(feature = "socks-proxy");
    if let Some(url) = case() {
        let endpoint = Endpoint::builder().allow_plain_http().build(&url, Token::new("t0ken").unwrap()).unwrap();
        println!("built: {:?}", D::build(&endpoint));
        return;
    }
    let https = "https://service.invalid";
    let http = "http://service.invalid";
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<&'a str>);
    let cases: [Case<'_>; 14] = [
        (https, &[], None),
        (https, &[("ALL_PROXY", "")], None),
        (https, &[("ALL_PROXY", "http://me:hidden@proxy.invalid:3128")], None),
        (https, &[("HTTPS_PROXY", "https://proxy.invalid")], None),
        (https, &[("ALL_PROXY", "socks5://me:hidden@proxy.invalid")], (!socks).then_some("ALL_PROXY")),
        (https, &[("all_proxy", "socks4a://proxy.invalid")], (!socks).then_some("all_proxy")),
        (https, &[("HTTPS_PROXY", "socks5h://proxy.invalid")], (!socks).then_some("HTTPS_PROXY")),
        (http, &[("HTTP_PROXY", "socks5://proxy.invalid")], (!socks).then_some("HTTP_PROXY")),
        (https, &[("ALL_PROXY", "ftp://me:hidden@proxy.invalid")], Some("ALL_PROXY")),
        (https, &[("https_proxy", "http://pro xy")], Some("https_proxy")),
        (https, &[("ALL_PROXY", "ftp://proxy.invalid"), ("NO_PROXY", "other.invalid")], Some("ALL_PROXY")),
        (https, &[("ALL_PROXY", "ftp://proxy.invalid"), ("NO_PROXY", "x,service.invalid")], None),
        (https, &[("ALL_PROXY", "ftp://proxy.invalid"), ("no_proxy", "*")], None),
        (http, &[("ALL_PROXY", "ftp://proxy.invalid"), ("NO_PROXY", "service.invalid")], None),
    ];
    for (url, variables, refused) in cases {
        let printed = again("a_proxy_that_cannot_be_used_is_refused", url, variables);
        let built = printed.lines().find(|line| line.contains("built: ")).unwrap();
        match refused {
            None => assert!(built.ends_with("built: Ok(())"), "{variables:?}: {built}"),
            Some(name) => assert!(built.contains(&format!("Err(\"{name} holds a proxy")), "{variables:?}: {built}"),
        }
        assert!(!printed.contains("hidden"), "{printed}");
        assert!(refused.is_none() || socks || built.contains("feature socks-proxy"), "{built}");
    }
    #[cfg(unix)]
    for name in ["HTTPS_PROXY", "ALL_PROXY"] {
        let no_text: &OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"http://proxy\xff.invalid:3128");
        let printed = again("a_proxy_that_cannot_be_used_is_refused", https, &[(name, no_text)]);
        assert!(printed.contains(&format!("built: Err(\"{name} holds a proxy")), "{printed}");
    }
}
