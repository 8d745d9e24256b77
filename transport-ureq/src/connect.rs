//! Marks the errors of connectors.

use crate::connection::Connection;
use crate::not_sent::{NotSent, Step};
use crate::resolver::Names;
use ureq::Error;
use ureq::unversioned::transport::{ConnectionDetails, Connector};

/// A chain of connectors whose errors are marked.
#[derive(Debug)]
pub(crate) struct Marking<C> {
    pub(crate) inner: C,
    pub(crate) names: Names,
}

impl<C: Connector<()>> Connector<()> for Marking<C> {
    type Out = Connection<C::Out>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<()>) -> Result<Option<Self::Out>, Error> {
        match self.inner.connect(details, chained) {
            Ok(connection) => Ok(connection.map(Connection)),
            Err(error) => {
                // The host may have moved.
                self.names.forget();
                Err(NotSent::mark(Step::Connect, details.uri, error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::classify;
    use crate::resolver::CachingResolver;
    use http::Uri;
    use std::io::{self, ErrorKind};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use upstash_dlq_core::{Delivery, Endpoint, Token, TransportFailure};
    use ureq::config::Config;
    use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
    use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport};

    fn refused<T>() -> Result<T, Error> {
        Err(io::Error::from(ErrorKind::ConnectionRefused).into())
    }

    /// A connection that is refused while it is made, or once it is established: while it writes, or while it reads.
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
    fn only_a_connection_that_was_never_made_was_certainly_not_used() {
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
