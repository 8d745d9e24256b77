//! Name lookup that does not start a thread for each request.

use http::Uri;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::Error;
use ureq::config::Config;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// How long addresses are kept. A client talks to one host, again and again.
const KEPT: Duration = Duration::from_secs(30);

/// ureq looks names up anew for every request, also over a connection that stands, and with a timeout in a thread of its
/// own. Here an address is its own answer, and a name's answer is kept for a while.
#[derive(Debug, Default)]
pub(crate) struct CachingResolver {
    inner: DefaultResolver,
    last: Mutex<Option<Last>>,
}

#[derive(Debug)]
struct Last {
    authority: String,
    at: Instant,
    addresses: Vec<SocketAddr>,
}

impl Resolver for CachingResolver {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        if let Some(address) = literal(uri) {
            return Ok(self.resolved(&[address]));
        }
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let lock = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = lock().as_ref().filter(|last| last.authority == authority && last.at.elapsed() < KEPT) {
            return Ok(self.resolved(&last.addresses));
        }
        let found = self.inner.resolve(uri, config, timeout)?;
        let addresses = found.iter().copied().collect();
        *lock() = Some(Last { authority: authority.to_owned(), at: Instant::now(), addresses });
        Ok(found)
    }
}

impl CachingResolver {
    fn resolved(&self, addresses: &[SocketAddr]) -> ResolvedSocketAddrs {
        let mut resolved = self.inner.empty();
        addresses.iter().for_each(|address| resolved.push(*address));
        resolved
    }
}

fn literal(uri: &Uri) -> Option<SocketAddr> {
    let host = uri.host()?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let default = if uri.scheme_str() == Some("http") { 80 } else { 443 };
    Some(SocketAddr::new(host.parse::<IpAddr>().ok()?, uri.port_u16().unwrap_or(default)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_answer_for_themselves() {
        for (uri, address) in [
            ("http://127.0.0.1:8080/x", Some("127.0.0.1:8080")),
            ("https://127.0.0.1/x", Some("127.0.0.1:443")),
            ("http://[::1]/", Some("[::1]:80")),
            ("https://localhost:1/", None),
            ("https://127.1/", None),
        ] {
            assert_eq!(literal(&uri.parse().unwrap()).map(|a| a.to_string()).as_deref(), address, "{uri}");
        }
    }
}
