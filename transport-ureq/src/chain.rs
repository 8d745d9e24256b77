//! Which connectors make a connection, one after another: a proxy, TCP, TLS. It must not know what the connection is for.

use ureq::Error;
#[cfg(feature = "native-tls")]
use ureq::unversioned::transport::NativeTlsConnector;
#[cfg(feature = "rustls")]
use ureq::unversioned::transport::RustlsConnector;
#[cfg(feature = "socks-proxy")]
use ureq::unversioned::transport::SocksConnector;
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, NextTimeout, TcpConnector, Transport,
};

/// The chain of [`DefaultConnector`](ureq::unversioned::transport::DefaultConnector), with [`Unread`] between TCP and TLS.
pub(crate) fn connector() -> impl Connector<(), Out: Transport> {
    let chain = ();
    #[cfg(feature = "socks-proxy")]
    let chain = chain.chain(SocksConnector::default());
    let chain = chain.chain(ConnectProxyConnector::default()).chain(TcpConnector::default()).chain(Watching);
    #[cfg(feature = "rustls")]
    let chain = chain.chain(RustlsConnector::default());
    #[cfg(feature = "native-tls")]
    let chain = chain.chain(NativeTlsConnector::default());
    chain.chain(Encrypting)
}

/// Wraps the connection to the server.
#[derive(Debug)]
struct Watching;

impl<In: Transport> Connector<In> for Watching {
    type Out = Unread<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(Unread))
    }
}

/// A connection below TLS, which is not open for another request while there are bytes that nobody has read.
///
/// ureq looks for such bytes in two places: in what TLS has deciphered, and in the socket. Between them lies what was read from the
/// socket, and TLS has not taken yet. It would be the beginning of the next response.
#[derive(Debug)]
pub(crate) struct Unread<T>(T);

impl<T: Transport> Transport for Unread<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.0.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.0.buffers().input().is_empty() && self.0.is_open()
    }
}

/// Goes on with TLS alone where the URL asks for it. ureq checks that of the server itself, but not of a proxy.
#[derive(Debug)]
struct Encrypting;

impl<In: Transport> Connector<In> for Encrypting {
    type Out = In;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<In>, Error> {
        match chained {
            Some(transport) if details.needs_tls() && !transport.is_tls() => Err(Error::TlsRequired),
            chained => Ok(chained),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;
    use ureq::Proxy;
    use ureq::config::Config;
    use ureq::unversioned::resolver::DefaultResolver;

    #[test]
    fn without_tls_a_proxy_that_asks_for_it_gets_no_byte() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::new(&format!("https://me:hidden@{}", listener.local_addr().unwrap())).unwrap();
        let config = Config::builder().proxy(Some(proxy)).build();
        let chain = ().chain(ConnectProxyConnector::default()).chain(TcpConnector::default()).chain(Encrypting);
        let agent = ureq::Agent::with_parts(config, chain, DefaultResolver::default());
        let error = agent.get("http://service.invalid").call().unwrap_err();
        assert!(matches!(error, Error::TlsRequired), "{error}");
        assert_eq!(listener.accept().unwrap().0.read(&mut [0]).unwrap(), 0);
    }
}
