//! Tells what went wrong before the first byte of a request: only here is that known for certain.
//!
//! An error's kind does not tell: a connection that stands can end as "refused", too, when its host goes away. So every
//! error on the way to a connection is put into a type of our own, and nothing that comes later is.

use crate::resolver::{Names, authority};
use http::Uri;
use std::fmt;
use std::io::ErrorKind;
use ureq::unversioned::transport::{ConnectionDetails, Connector};
use ureq::{Error, Timeout};

/// An error from before the first byte.
#[derive(Debug)]
pub(crate) struct NotSent {
    step: Step,
    /// What was to be reached: the service, or a proxy on the way to it.
    host: String,
    error: Error,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Lookup,
    Connect,
}

impl NotSent {
    /// The innermost mark stays: it knows more.
    pub(crate) fn mark(step: Step, uri: &Uri, error: Error) -> Error {
        if Self::of(&error).is_some() {
            return error;
        }
        Error::Other(Box::new(Self { step, host: authority(uri).to_owned(), error }))
    }

    pub(crate) fn of(error: &Error) -> Option<&Self> {
        match error {
            Error::Other(other) => other.downcast_ref(),
            _ => None,
        }
    }
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        match (self.step, &self.error) {
            (Step::Lookup, Error::Timeout(_)) => write!(f, "looking up {host} took too long"),
            (Step::Lookup, Error::Io(error)) => {
                write!(f, "{host} was not found ({error}): check the URL and the network")
            }
            (Step::Lookup, _) => write!(f, "{host} was not found: check the URL and the network"),
            (Step::Connect, Error::Timeout(Timeout::Resolve | Timeout::Connect | Timeout::Global)) => {
                write!(f, "connecting to {host} took too long")
            }
            (Step::Connect, Error::Io(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                write!(f, "the connection to {host} was refused: check the URL, or whether the server runs")
            }
            (Step::Connect, Error::ConnectProxyFailed(reason)) => {
                write!(f, "the proxy did not connect to {host}: {reason}")
            }
            (Step::Connect, error) => write!(f, "no connection to {host} could be made: {error}"),
        }
    }
}

impl std::error::Error for NotSent {}

/// A chain of connectors whose errors are marked. What it connects is not touched.
#[derive(Debug)]
pub(crate) struct Marking<C> {
    pub(crate) inner: C,
    pub(crate) names: Names,
}

impl<C: Connector<()>> Connector<()> for Marking<C> {
    type Out = C::Out;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<()>) -> Result<Option<Self::Out>, Error> {
        self.inner.connect(details, chained).map_err(|error| {
            // The host may have moved.
            self.names.forget();
            NotSent::mark(Step::Connect, details.uri, error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::classify;
    use crate::resolver::CachingResolver;
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use upstash_dlq_core::{Delivery, Endpoint, Token, TransportFailure};
    use ureq::config::Config;
    use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
    use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport};

    fn refused<T>() -> Result<T, Error> {
        Err(io::Error::from(ErrorKind::ConnectionRefused).into())
    }

    /// A connection that is refused when it is made, or when it stands: while it writes, or while it reads.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Refused {
        Connecting,
        Writing,
        Reading,
    }

    impl Connector<()> for Refused {
        type Out = Standing;

        fn connect(&self, _: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Standing>, Error> {
            if *self == Self::Connecting {
                refused()
            } else {
                Ok(Some(Standing(*self, LazyBuffers::new(4_096, 4_096))))
            }
        }
    }

    #[derive(Debug)]
    struct Standing(Refused, LazyBuffers);

    impl Transport for Standing {
        fn buffers(&mut self) -> &mut dyn Buffers {
            &mut self.1
        }

        fn transmit_output(&mut self, _: usize, _: NextTimeout) -> Result<(), Error> {
            if self.0 == Refused::Writing { refused() } else { Ok(()) }
        }

        fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
            refused()
        }

        fn is_open(&mut self) -> bool {
            true
        }
    }

    #[derive(Clone, Debug, Default)]
    struct Counting(Arc<AtomicUsize>);

    impl Resolver for Counting {
        fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
            self.0.fetch_add(1, Ordering::SeqCst);
            let mut found = self.empty();
            found.push(([127, 0, 0, 1], 1).into());
            Ok(found)
        }
    }

    /// Three attempts, and how often the name was looked up for them.
    fn attempts(inner: Refused) -> (TransportFailure, usize) {
        let (names, lookups) = (Names::default(), Counting::default());
        let config = ureq::Agent::config_builder().proxy(None).build();
        let resolver = CachingResolver::new(lookups.clone(), names.clone());
        let agent = ureq::Agent::with_parts(config, Marking { inner, names }, resolver);
        let endpoint = Endpoint::new("https://h.invalid", Token::new("t0ken").unwrap()).unwrap();
        let attempt = || classify(&agent.get("http://h.invalid:81/").call().unwrap_err(), &endpoint);
        let failures = [attempt(), attempt(), attempt()];
        assert!(failures.iter().all(|failure| *failure == failures[0]));
        (failures[0].clone(), lookups.0.load(Ordering::SeqCst))
    }

    #[test]
    fn only_a_connection_that_never_stood_was_surely_not_used() {
        let (failure, lookups) = attempts(Refused::Connecting);
        assert_eq!(failure.delivery, Delivery::NotSent);
        assert!(failure.message.contains("h.invalid:81 was refused"), "{failure:?}");
        assert_eq!(lookups, 3, "a host that could not be reached is looked up anew");
        for later in [Refused::Writing, Refused::Reading] {
            let (failure, lookups) = attempts(later);
            assert_eq!((failure.delivery, lookups), (Delivery::Unknown, 1), "{failure:?}");
        }
    }
}
