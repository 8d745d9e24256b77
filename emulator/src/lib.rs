#![doc = include_str!("../README.md")]
//!
//! # Tour
//!
//! [A server](#a-server), [faults](#faults), [a service that differs](#a-service-that-differs),
//! [what really happened](#what-really-happened), [an archive](#an-archive), [a transport of your own](#a-transport-of-your-own).
//! Times are in milliseconds since 1970.
//!
//! ## A server
//!
//! [`Server::start`] serves the model on the loopback address, at a free port, until it is dropped. [`Server::url`] and [`LOCAL_TOKEN`]
//! are what a client needs.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//! use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
//!
//! let mut service = Service::new(Config::default());
//! service.extend(sample::runs(250, 1, 1_764_000_000_000));
//! let server = Server::start(service, ServerOptions::default())?;
//!
//! let mut stream = TcpStream::connect(server.addr())?;
//! write!(
//!     stream,
//!     "DELETE /v2/workflows/dlq?count=100 HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {LOCAL_TOKEN}\r\nconnection: close\r\n\r\n",
//!     server.addr()
//! )?;
//! let mut response = String::new();
//! stream.read_to_string(&mut response)?;
//! assert!(response.starts_with("HTTP/1.1 200") && response.contains(r#""deleted":100"#));
//! assert_eq!(server.with_service(|service| service.len()), 150);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Faults
//!
//! A [`FaultPlan`] says which requests meet which [`Fault`]: by a script, one entry a request, or at random from a seed. A fault of the
//! connection, such as a response that is lost, is a [`Wire`] in the response's extensions. The server does what it says, and a test
//! without a server looks at it.
//!
//! ```
//! use http::{Request, StatusCode};
//! use upstash_dlq_emulator::{Config, Fault, FaultPlan, LOCAL_TOKEN, Service, Wire, sample};
//!
//! let faults = FaultPlan::script(vec![Some(Fault::TooManyRequests { retry_after_s: Some(30) }), Some(Fault::LostResponse)]);
//! let mut service = Service::new(Config::default().faults(faults));
//! service.extend(sample::runs(250, 1, 1_764_000_000_000));
//! let mut delete = || {
//!     let request = Request::delete("/v2/workflows/dlq").header("authorization", format!("Bearer {LOCAL_TOKEN}"));
//!     request.body(Vec::new()).map(|request| service.handle(1_764_000_000_000, request))
//! };
//! let busy = delete()?;
//! assert_eq!((busy.status(), &busy.headers()["retry-after"]), (StatusCode::TOO_MANY_REQUESTS, &"30".parse()?));
//! let lost = delete()?;
//! assert_eq!(lost.extensions().get(), Some(&Wire::CloseBeforeResponse { applied: true }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## A service that differs
//!
//! The contract leaves much open, and [`Config`] has a setting for it: what a cursor stands for ([`CursorKind`]), the order of a listing,
//! whether started runs stay, how long a listing still shows what is deleted, and a limit of the rate. Other settings are those of a
//! broken server, such as one that ignores dates. A client that works with all of them relies on no promise that the contract does not make.
//!
//! ## What really happened
//!
//! A response may be lost, so a test asks the model itself: [`Service::runs`], [`Service::deleted_total`], [`Service::started`], and the
//! requests of [`Service::log`]. `upstash-dlq-core` and its clients have examples.
//!
//! ## An archive
//!
//! [`load`] reads the lines of an archive, and each message is served as its line stands.
//!
//! ```
//! use upstash_dlq_emulator::{Config, Service, load};
//!
//! let archive = "{\"dlqId\":\"a\",\"labels\":[\"nightly\"],\"unknown\":1}\n{\"dlqId\":\"b\"}\n";
//! let mut service = Service::new(Config::default());
//! service.extend(load(archive.as_bytes())?);
//! assert!(service.len() == 2 && service.contains("a"));
//! assert_eq!(load("{}".as_bytes()).unwrap_err().to_string(), "line 1: has no dlqId");
//! # Ok::<(), upstash_dlq_emulator::LoadError>(())
//! ```
//!
//! ## A transport of your own
//!
//! The module [`conformance`] tests one, whichever library is behind it, and says what to mend.

mod access;
mod body;
mod config;
pub mod conformance;
mod date;
mod failure;
mod fault;
mod handle;
mod load;
mod model;
mod operations;
mod overrides;
mod query;
mod random;
mod response;
mod route;
mod run;
pub mod sample;
mod server;
mod setters;
mod started;

pub use config::{Config, CursorKind, Ignored, LOCAL_TOKEN, RateLimit};
pub use fault::{Fault, FaultPlan, PROFILES, Wire};
pub use load::{LoadError, load};
pub use model::{LoggedRequest, Service};
pub use run::{FailureCallbackInfo, Run};
pub use server::{Clock, RecordedRequest, Server, ServerOptions};
pub use started::{Started, StartedBy};
