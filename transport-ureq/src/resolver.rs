//! Name lookup that does not start a thread for each request.

use crate::not_sent::{NotSent, Step, authority};
use http::Uri;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use ureq::Error;
use ureq::config::Config;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// How long addresses are kept. A client talks to one host, again and again.
const KEPT: Duration = Duration::from_secs(30);

/// A resolver that remembers. ureq looks a name up for every request, even if the connection is open, and starts a thread to
/// do so within a timeout. Here an address needs no lookup, and the result for a name is kept for a while, or until a
/// connection fails.
#[derive(Debug)]
pub(crate) struct CachingResolver<R = Lookup> {
    inner: R,
    kept: Duration,
    names: Names,
}

/// Looks a name up in a thread of its own, because the system's lookup has no timeout. ureq's own resolver does the same, but panics if
/// the system refuses the thread. Here that is an error, and nothing was sent.
#[derive(Debug)]
pub(crate) struct Lookup;

impl Resolver for Lookup {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let (uri, config) = (uri.clone(), config.clone());
        let look_up = move || DefaultResolver::default().resolve(&uri, &config, NextTimeout::default());
        if timeout.after.is_not_happening() {
            return look_up();
        }
        let (sender, found) = sync_channel(1);
        let thread = thread::Builder::new().name("name lookup".into());
        let no_thread = |error: io::Error| io::Error::new(error.kind(), format!("no thread for the lookup: {error}"));
        // When it has found something, perhaps nobody waits for that any more.
        thread.spawn(move || drop(sender.send(look_up()))).map_err(no_thread)?;
        found.recv_timeout(*timeout.after).unwrap_or_else(|error| {
            Err(match error {
                RecvTimeoutError::Timeout => Error::Timeout(timeout.reason),
                RecvTimeoutError::Disconnected => io::Error::other("the lookup was given up").into(),
            })
        })
    }
}

/// What the last lookup found. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(Arc<Mutex<Option<Last>>>);

#[derive(Debug)]
struct Last {
    authority: String,
    at: Instant,
    addresses: Vec<SocketAddr>,
}

impl Names {
    pub(crate) fn forget(&self) {
        self.set(None);
    }

    fn set(&self, last: Option<Last>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }

    fn get(&self, authority: &str, kept: Duration) -> Option<Vec<SocketAddr>> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |last: &&Last| last.authority == authority && last.at.elapsed() < kept;
        last.as_ref().filter(fresh).map(|last| last.addresses.clone())
    }
}

impl<R> CachingResolver<R> {
    pub(crate) fn new(inner: R, names: Names) -> Self {
        Self { inner, kept: KEPT, names }
    }
}

impl<R: Resolver> Resolver for CachingResolver<R> {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        if let Some(address) = literal(uri) {
            return Ok(self.resolved(&[address]));
        }
        let authority = authority(uri);
        if let Some(addresses) = self.names.get(authority, self.kept) {
            return Ok(self.resolved(&addresses));
        }
        let found =
            self.inner.resolve(uri, config, timeout).map_err(|error| NotSent::mark(Step::Lookup, uri, error))?;
        let addresses = found.iter().copied().collect();
        self.names.set(Some(Last { authority: authority.to_owned(), at: Instant::now(), addresses }));
        Ok(found)
    }
}

impl<R: Resolver> CachingResolver<R> {
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
    use crate::failure::classify;
    use std::sync::atomic::{AtomicU16, Ordering};
    use upstash_dlq_core::{Delivery, Endpoint, Token};
    use ureq::unversioned::transport::time;

    #[derive(Debug, Default)]
    struct Counting(AtomicU16);

    impl Resolver for Counting {
        fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
            let mut found = self.empty();
            found.push(([192, 0, 2, 1], self.0.fetch_add(1, Ordering::SeqCst)).into());
            Ok(found)
        }
    }

    fn ask<R: Resolver>(resolver: &R, uri: &str) -> u16 {
        let timeout = NextTimeout { after: Duration::from_secs(9).into(), ..NextTimeout::default() };
        resolver.resolve(&uri.parse().unwrap(), &Config::default(), timeout).unwrap()[0].port()
    }

    #[test]
    fn a_name_is_looked_up_once_until_it_is_forgotten() {
        let names = Names::default();
        let resolver = CachingResolver::new(Counting::default(), names.clone());
        assert_eq!([1, 2, 3].map(|_| ask(&resolver, "http://a.invalid/x")), [0, 0, 0]);
        assert_eq!(ask(&resolver, "http://b.invalid"), 1, "another host");
        assert_eq!(ask(&resolver, "http://b.invalid:81"), 2, "another port");
        assert_eq!(ask(&resolver, "http://127.0.0.1:7"), 7, "an address");
        assert_eq!(ask(&resolver, "http://b.invalid:81"), 2);
        names.forget();
        assert_eq!(ask(&resolver, "http://b.invalid:81"), 3);
        let stale = CachingResolver { kept: Duration::ZERO, ..resolver };
        assert_eq!([1, 2].map(|_| ask(&stale, "http://b.invalid:81")), [4, 5]);
    }

    /// Fails with an error of its own each time.
    #[derive(Debug)]
    struct Failing(fn() -> Error);

    impl Resolver for Failing {
        fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
            Err((self.0)())
        }
    }

    #[test]
    fn a_lookup_that_fails_sends_nothing_and_says_why() {
        type Fails = fn() -> Error;
        let told: [(Fails, &str); 3] = [
            (|| Error::Timeout(ureq::Timeout::Resolve), "looking up a.invalid:81 timed out"),
            (|| Error::HostNotFound, "a.invalid:81 was not found: check the URL and the network"),
            (|| std::io::Error::other("no server").into(), "a.invalid:81 was not found (no server): check the URL"),
        ];
        for (error, sentence) in told {
            let resolver = CachingResolver::new(Failing(error), Names::default());
            let uri = "http://me:hidden@a.invalid:81/x".parse().unwrap();
            let error = resolver.resolve(&uri, &Config::default(), NextTimeout::default()).unwrap_err();
            let endpoint = Endpoint::new("http://127.0.0.1", Token::new("t0ken").unwrap()).unwrap();
            let failure = classify(&error, &endpoint);
            assert_eq!(failure.delivery, Delivery::NotSent);
            assert!(failure.to_string().starts_with(sentence), "{failure}");
        }
    }

    #[test]
    fn this_machine_has_a_name() {
        let resolver = CachingResolver::new(Lookup, Names::default());
        assert_eq!([1, 2].map(|_| ask(&resolver, "http://localhost:4321")), [4_321, 4_321]);
    }

    #[test]
    fn a_lookup_takes_only_so_long() {
        let timeout = |after| NextTimeout { after, reason: ureq::Timeout::Resolve, ..NextTimeout::default() };
        let uri = "http://localhost:4321".parse().unwrap();
        let look_up = |after| Lookup.resolve(&uri, &Config::default(), timeout(after));
        assert_eq!(look_up(time::Duration::NotHappening).unwrap()[0].port(), 4_321);
        assert!(matches!(look_up(Duration::ZERO.into()), Ok(_) | Err(Error::Timeout(ureq::Timeout::Resolve))));
    }

    #[test]
    fn addresses_need_no_lookup() {
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
