//! Checks of requests that were certainly not sent, so that the caller may send them again whatever they do.

use crate::conformance::trial::Trial;
use http::Method;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};

const TARGET: &str = "/v2/workflows/dlq/restart?count=100";

/// An address where nobody listens, and nobody else can while this lives: it is the near end of a connection.
pub(super) struct Refusing {
    near: TcpStream,
    _far: TcpListener,
}

impl Refusing {
    pub(super) fn start() -> io::Result<Self> {
        let far = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(Self { near: TcpStream::connect(far.local_addr()?)?, _far: far })
    }

    pub(super) fn url(&self) -> io::Result<String> {
        Ok(format!("http://{}", self.near.local_addr()?))
    }
}

pub(super) fn refused(trial: &mut Trial<'_>) -> io::Result<()> {
    let refusing = Refusing::start()?;
    for method in [Method::GET, Method::DELETE, Method::POST] {
        let outcome = trial.transport(&refusing.url()?).send(&method, TARGET);
        trial.expect_not_sent(&format!("{method} to a port where nobody listens"), &outcome);
    }
    Ok(())
}

pub(super) fn unknown_host(trial: &mut Trial<'_>) -> io::Result<()> {
    // Too long a label for a name: a resolver knows so without asking the network, which may take its time.
    let url = format!("http://{}.invalid", "a".repeat(64));
    for method in [Method::GET, Method::DELETE, Method::POST] {
        let outcome = trial.transport(&url).send(&method, TARGET);
        trial.expect_not_sent(&format!("{method} to a host name that does not exist"), &outcome);
    }
    Ok(())
}
