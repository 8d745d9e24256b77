//! The base URL and the token, which come from the command line, the environment or a file.

use super::shown::assert_safe_to_show;
use super::wire::pairs;
use http::header::AUTHORIZATION;
use std::net::{Ipv4Addr, Ipv6Addr};
use upstash_dlq_core::model::EndpointError;
use upstash_dlq_core::wire::{Call, GetMessage};
use upstash_dlq_core::{DlqId, Endpoint, Token};

/// A byte of options, then a URL and a token on lines of their own. A URL that is accepted is the one that other parsers
/// read, and the token goes there and nowhere else.
pub fn endpoint(data: &[u8]) {
    let Some((options, rest)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(rest);
    let (url, secret) = text.split_once('\n').unwrap_or((&text, "s3cret"));
    let secret = match Token::new(secret) {
        Ok(_) => secret,
        Err(error) => {
            assert!(!secret.bytes().all(|b| b.is_ascii_graphic()) || secret.is_empty() || secret.len() > 2_000);
            assert_safe_to_show(&error.to_string());
            "s3cret"
        }
    };
    let (in_query, plain_http) = (options & 1 == 1, options & 2 == 2);
    let build = |url: &str, token: &str| -> Result<Endpoint, EndpointError> {
        let mut builder = Endpoint::builder();
        if in_query {
            builder = builder.token_in_query();
        }
        if plain_http {
            builder = builder.allow_plain_http();
        }
        builder.build(url, Token::new(token)?)
    };
    let endpoint = match build(url, secret) {
        Ok(endpoint) => endpoint,
        Err(error) => return assert_safe_to_show(&error.to_string()),
    };
    // It does not depend on the token, so it cannot show it.
    assert_eq!(format!("{endpoint:?}"), format!("{:?}", build(url, "other").expect("the same URL")));
    let base = endpoint.base_url();
    assert_eq!(build(base, secret).map(|again| again.base_url().to_owned()).as_deref(), Ok(base));
    let read = match url::Url::parse(base) {
        Ok(read) => read,
        // Whether the letters behind `xn--` stand for a name, core does not say. Whoever reads them sends nothing.
        Err(url::ParseError::IdnaError) if base.contains("xn--") => return,
        Err(error) => panic!("{base:?}: {error}"),
    };
    assert_eq!(read.as_str().trim_end_matches('/'), base, "another parser reads another URL");
    let given = url::Url::parse(url).unwrap_or_else(|error| panic!("{url:?}: {error}"));
    assert_eq!((given.host(), given.port_or_known_default()), (read.host(), read.port_or_known_default()));
    assert_eq!(endpoint.is_loopback(), is_loopback(&read), "{base:?}");
    assert!(read.scheme() == "https" || (read.scheme() == "http" && (plain_http || endpoint.is_loopback())));
    assert!(read.username().is_empty() && read.password().is_none() && read.query().is_none());

    let get = GetMessage(DlqId::new("a/../b?").expect("an id"));
    let request = get.to_request(&endpoint).expect("every part was checked");
    let target = request.uri().to_string();
    let path = target.strip_prefix(base).unwrap_or_else(|| panic!("{target:?} is not under {base:?}"));
    assert!(path.starts_with("/v2/workflows/dlq/a%2F..%2Fb%3F"), "{path:?}");
    let header = request.headers().get(AUTHORIZATION);
    if in_query {
        assert_eq!((header, pairs(&request)), (None, vec![("qstash_token".to_owned(), secret.to_owned())]));
    } else {
        assert!(header.is_some_and(|value| value.is_sensitive() && *value == format!("Bearer {secret}").as_str()));
        assert!(!path.contains('?'));
    }
}

fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => Ipv4Addr::is_loopback(&ip),
        Some(url::Host::Ipv6(ip)) => Ipv6Addr::is_loopback(&ip),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
