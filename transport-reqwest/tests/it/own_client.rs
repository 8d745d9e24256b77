//! A client or a builder of the user's: what is ours all the same, and what is not known of it.

use crate::driver::{Ready, Reqwest};
use crate::suite::environment::{again, case};
use crate::suite::wire::{Reply, Wire, ok, status};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use upstash_dlq_core::{BulkDelete, Delivery, Endpoint, Operation, Selection, Step, Token, TransportFailure};
use upstash_dlq_reqwest::{Client, ClientBuilder};

suite!(Reqwest<Ready>:
    golden_wire_bytes golden_wire_bytes_of_every_operation_on_one_run golden_wire_bytes_of_resume_and_restart
    nothing_that_starts_runs_is_repeated_by_itself the_longest_request_is_sent_whole
    cursors_base_paths_and_listing_on_the_wire the_token_in_the_query_when_asked_for
    a_redirect_is_an_error_and_not_followed unreadable_responses_are_requested_again_and_given_up
    only_what_was_surely_not_sent_is_called_so one_connection_serves_many_pages
    many_lanes_delete_everything_once each_phase_and_its_delivery
    a_body_may_be_as_large_as_the_bound_and_no_larger a_length_beyond_the_bound_ends_the_request_at_once
    a_head_of_sixty_kilobytes_is_taken for_ever_is_a_timeout_too no_token_is_shown
);

/// To a name that only the user's client knows.
fn send(choose: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Result<http::Response<Vec<u8>>, TransportFailure> {
    let token = Token::new("s3cret/token").unwrap();
    let endpoint =
        Endpoint::builder().allow_plain_http().token_in_query().build("http://service.invalid", token).unwrap();
    let mut operation = BulkDelete::builder(endpoint.clone(), Selection::Everything).build();
    let Step::Send(_, request) = operation.poll(std::time::Duration::ZERO) else { panic!() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(choose(Client::builder(endpoint)).build().unwrap().send(request))
}

fn theirs(address: SocketAddr) -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy().resolve("service.invalid", address)
}

#[test]
fn a_builder_of_the_caller_is_used_like_ours() {
    let redirect = status("302 Found", "location: /elsewhere\r\n", "");
    for (reply, expected) in [(Reply::Sized(1 << 20), 200), (redirect, 302), (status("500 Oops", "", ""), 500)] {
        let wire = Wire::start(vec![reply]);
        let none = Duration::ZERO;
        let strict = theirs(wire.addr).timeout(none).read_timeout(none).connect_timeout(none);
        assert_eq!(send(|client| client.http(strict)).unwrap().status(), expected);
        let heads = wire.requests();
        assert!(heads.len() == 1 && heads[0].contains(&"host: service.invalid".to_owned()), "{heads:?}");
    }
}

/// As [`ClientBuilder::client`] wants it.
fn ready(address: SocketAddr) -> reqwest::ClientBuilder {
    theirs(address).redirect(Policy::none())
}

#[test]
fn a_ready_client_is_used_with_our_timeout() {
    let wire = Wire::start(vec![ok("{}")]);
    let ready = ready(wire.addr).timeout(Duration::ZERO).build().unwrap();
    assert_eq!(send(|client| client.client(ready)).unwrap().status(), 200);
    assert_eq!(wire.requests().len(), 1);
}

#[test]
fn a_ready_client_that_follows_redirects_is_refused() {
    let endpoint = Endpoint::new("https://service.invalid", Token::new("s3cret").unwrap()).unwrap();
    let secret = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("s3cret"))]);
    for builder in [
        reqwest::Client::builder(),
        reqwest::Client::builder().redirect(Policy::limited(1)).default_headers(secret),
        reqwest::Client::builder().redirect(Policy::custom(|attempt| attempt.stop())),
    ] {
        let error = Client::builder(endpoint.clone()).client(builder.build().unwrap()).build().unwrap_err();
        assert!(error.to_string().contains("redirect(reqwest::redirect::Policy::none())"), "{error}");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }
}

#[test]
fn a_ready_client_follows_no_redirect() {
    for code in ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"] {
        for location in ["/elsewhere", "http://[", "mailto:x", "foo:bar", "http://a b/", "//", "http://%zz/", "#"] {
            let wire = Wire::start(vec![status(code, &format!("location: {location}\r\n"), "")]);
            let ready = ready(wire.addr).build().unwrap();
            let response = send(|client| client.client(ready)).unwrap();
            assert!(response.status().is_redirection() && wire.requests().len() == 1, "{code} {location}");
        }
    }
}

#[test]
fn a_ready_client_repeats_nothing_whatever_its_retries() {
    for reply in [status("503 Busy", "", ""), Reply::Close] {
        let wire = Wire::start(vec![reply]);
        let eager = reqwest::retry::for_host("service.invalid").no_budget().max_retries_per_request(3);
        let eager = eager.classify_fn(|attempt| attempt.retryable());
        let ready = ready(wire.addr).retry(eager).build().unwrap();
        // Without the endpoint's client, it does repeat.
        let again = reqwest::Client::clone(&ready);
        let _ = send(|client| client.client(ready));
        assert_eq!(wire.requests().len(), 1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _ = runtime.block_on(again.post("http://service.invalid/").send());
        assert_eq!(wire.requests().len(), 5);
    }
}

#[test]
fn a_refused_connection_of_a_ready_client_was_not_used() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failure = send(|client| client.http(theirs(closed))).unwrap_err();
    assert_eq!(failure.delivery, Delivery::NotSent, "{failure:?}");
    let failure = send(|client| client.client(ready(closed).build().unwrap())).unwrap_err();
    assert_eq!(failure.delivery, Delivery::NotSent, "{failure:?}");
}

#[test]
fn a_proxy_that_cannot_be_used_gets_no_request() {
    let proxy = Wire::start(vec![ok("{}")]);
    let endpoint = Endpoint::new("https://service.invalid", Token::new("s3cret").unwrap()).unwrap();
    let Step::Send(_, request) =
        BulkDelete::builder(endpoint.clone(), Selection::Everything).build().poll(Duration::ZERO)
    else {
        panic!()
    };
    let socks: &[&str] = if cfg!(feature = "socks-proxy") { &[] } else { &["socks5", "socks5h"] };
    for scheme in [socks, &["ftp"]].concat() {
        let url = format!("{scheme}://{}", proxy.addr);
        let theirs = || reqwest::Client::builder().proxy(reqwest::Proxy::all(&url).unwrap()).redirect(Policy::none());
        let builders = [
            Client::builder(endpoint.clone()).http(theirs()),
            Client::builder(endpoint.clone()).client(theirs().build().unwrap()),
        ];
        for builder in builders {
            let client = builder.build().unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let failure = runtime.block_on(client.send(request.clone())).unwrap_err();
            assert_eq!(failure.delivery, Delivery::NotSent, "{scheme}: {failure:?}");
        }
    }
    // With native-tls it was asked to connect, and then spoke no TLS.
    assert!(!format!("{:?}", proxy.requests()).contains("s3cret"));
}

#[test]
fn errors_contain_no_token() {
    let wire = Wire::start(vec![ok("{}")]);
    let strict = || ready(wire.addr).https_only(true);
    for failure in [
        send(|client| client.http(strict())).unwrap_err(),
        send(|client| client.client(strict().build().unwrap())).unwrap_err(),
    ] {
        assert_eq!((failure.delivery, wire.requests().len()), (Delivery::NotSent, 0));
        assert!(!format!("{failure:?} {failure}").contains("s3cret"), "{failure:?}");
    }
}

/// The one timeout that is not ours is told as what it is.
#[test]
fn a_ready_client_with_a_timeout_of_its_own_leaves_the_result_unknown() {
    let wire = Wire::start(vec![Reply::Silence]);
    let hasty = ready(wire.addr).read_timeout(Duration::from_millis(50)).build().unwrap();
    let failure = send(|client| client.client(hasty)).unwrap_err();
    assert_eq!((failure.delivery, wire.requests().len()), (Delivery::Unknown, 1));
    assert!(failure.to_string().starts_with("no response arrived in time: "), "{failure}");
}

#[test]
fn a_builder_that_cannot_be_built_is_an_error() {
    let endpoint = Endpoint::new("http://127.0.0.1:1", Token::new("s3cret").unwrap()).unwrap();
    let broken = reqwest::Client::builder().user_agent("s3cret\n");
    let error = Client::builder(endpoint).http(broken).build().unwrap_err().to_string();
    assert!(error.starts_with("the HTTP client could not be set up: ") && !error.contains("s3cret"), "{error}");
}

#[test]
fn a_url_that_is_not_whole_is_refused_before_it_is_sent() {
    let endpoint = Endpoint::new("http://127.0.0.1:1", Token::new("s3cret").unwrap()).unwrap();
    let client = Client::new(endpoint).unwrap();
    let request = http::Request::get("/x?s3cret").body(()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let failure = runtime.block_on(client.send(request)).unwrap_err();
    assert_eq!(failure.delivery, Delivery::NotSent);
    assert!(failure.to_string().starts_with("the URL was not accepted: "), "{failure}");
    assert!(!format!("{failure:?}").contains("s3cret"), "{failure:?}");
}

/// In a server's child process a variable may come from a request's header: reqwest takes no proxy there.
#[test]
fn a_child_of_a_server_has_no_proxy() {
    if let Some(url) = case() {
        let endpoint = Endpoint::builder().allow_plain_http().build(&url, Token::new("s3cret").unwrap()).unwrap();
        println!("built: {:?}", Client::new(endpoint).map(|_| ()));
        return;
    }
    let proxy = ("HTTP_PROXY", "ftp://proxy.invalid");
    for (variables, is_usable) in [(&[proxy] as &[_], false), (&[proxy, ("REQUEST_METHOD", "GET")], true)] {
        let printed = again("own_client::a_child_of_a_server_has_no_proxy", "http://service.invalid", variables);
        assert_eq!(printed.contains("built: Ok(())"), is_usable, "{printed}");
    }
}
