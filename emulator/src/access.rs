//! Refuses requests that a browser sends for a page from elsewhere, by whatever name the page reaches this machine.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, Uri};
use std::net::{IpAddr, Ipv6Addr};

/// Why a request is refused before the model sees it.
pub(crate) fn refusal(headers: &HeaderMap) -> Option<&'static str> {
    // A name that leads here is what DNS rebinding takes: only addresses and `localhost` are nobody's to give away.
    if !headers.get_all(HOST).iter().all(|host| of_this_machine(host, false)) {
        return Some("the Host header names another host: use the address that the emulator listens on, or localhost");
    }
    if !headers.get_all(ORIGIN).iter().all(|origin| of_this_machine(origin, true)) {
        return Some("the request comes from a page of another origin");
    }
    None
}

fn of_this_machine(value: &HeaderValue, origin: bool) -> bool {
    let Ok(text) = value.to_str() else { return false };
    let authority = if origin {
        let Ok(uri) = text.parse::<Uri>() else { return false };
        let web = matches!(uri.scheme_str(), Some("http" | "https"));
        uri.authority().filter(|_| web).cloned()
    } else {
        text.parse().ok()
    };
    let Some(authority) = authority else { return false };
    let host = authority.host();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>() {
        // A page may come from any machine in the network, but a request may go to any address of this one.
        Ok(address) => !origin || is_loopback(address),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

fn is_loopback(address: IpAddr) -> bool {
    let mapped = match address {
        IpAddr::V6(address) => Ipv6Addr::to_ipv4_mapped(&address).map(IpAddr::V4),
        IpAddr::V4(_) => None,
    };
    mapped.unwrap_or(address).is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: http::HeaderName, value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        refusal(&headers).is_some()
    }

    #[test]
    fn hosts() {
        for host in ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:9", "0.0.0.0:80", "192.168.1.2:8080"] {
            assert!(!refused(HOST, host), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example:80", "127.0.0.1.evil.example", "", "a b", "user@evil.example"]
        {
            assert!(refused(HOST, host), "{host}");
        }
    }

    #[test]
    fn origins() {
        for origin in ["http://localhost:3000", "http://127.0.0.1", "https://[::1]:3000", "http://127.9.9.9:1"] {
            assert!(!refused(ORIGIN, origin), "{origin}");
        }
        for origin in
            ["https://evil.example", "null", "http://192.168.1.2", "file://localhost", "http://localhost.evil.example"]
        {
            assert!(refused(ORIGIN, origin), "{origin}");
        }
    }
}
