#![doc = include_str!("../README.md")]
//!
//! # Tour
//!
//! [Page by page](#page-by-page), [look first](#look-before-you-delete), [keep what is deleted](#keep-what-is-deleted),
//! [go on after a crash](#go-on-after-a-crash), [start runs again](#resume-and-restart), [lanes](#lanes-and-rate),
//! [failures](#when-it-fails), [stopping](#stop), [tests](#test-your-program). Then what lies below:
//! [timeouts](#timeouts-and-bounds), [what is not sent](#not-sent-or-unknown), [TLS](#tls), [proxies](#proxies),
//! [your own HTTP](#http-of-your-own), [tracing](#tracing).
//!
//! In each example `client` is a [`Client`] of an emulator on this machine, with 250 failed runs. How to select runs is told in
//! [the tour of the core](upstash_dlq_core#say-which-runs), and what the official clients leave to you in [`core::comparison`].
//!
//! ## Page by page
//!
//! [`Prepared::run`] goes to the end. [`Prepared::pages`] and [`Prepared::items`] are iterators, which send requests only when they are
//! asked for more.
//!
//! ```
//! # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
//! # use upstash_dlq_ureq::{Client, core::{Endpoint, Token}};
//! # let mut service = Service::new(Config::default());
//! # service.extend(sample::runs(250, 1, 1_764_000_000_000));
//! # let server = Server::start(service, ServerOptions::default())?;
//! # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
//! use upstash_dlq_ureq::core::{List, Selection};
//!
//! let mut labels = Vec::new();
//! for run in client.list(List::everything()).items() {
//!     labels.extend(run?.labels().first().map(|label| label.to_string()));
//! }
//! assert!(labels.contains(&"nightly".to_owned()));
//!
//! let mut deleted = 0;
//! for page in client.delete(Selection::Everything).pages() {
//!     deleted += page?.deleted;
//! }
//! assert_eq!(deleted, 250);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Look before you delete
//!
//! Fix the end of the selection, look, and then delete the same selection. Runs that fail in between are neither shown nor deleted.
//!
//! ```
//! # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
//! # use upstash_dlq_ureq::{Client, core::{Endpoint, Token}};
//! # let mut service = Service::new(Config::default());
//! # service.extend(sample::runs(250, 1, 1_764_000_000_000));
//! # let server = Server::start(service, ServerOptions::default())?;
//! # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
//! use upstash_dlq_ureq::core::{Filter, List, Selection, UnixMillis};
//!
//! let present = UnixMillis::new(1_764_000_000_000); // in milliseconds since 1970
//! let nightly = Selection::Filter(Filter::builder().label("nightly").build()?).until(present)?;
//! let matching = client.count(List::for_selection(&nightly)).run().into_result()?.listed;
//! let deleted = client.delete(nightly).run().into_result()?.totals.affected;
//! assert_eq!((matching, deleted), (74, 74));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Keep what is deleted
//!
//! With [`Prepared::archive`] a run is deleted only after the store has kept it. The files of `upstash-dlq-store` are stores, and so is
//! a closure.
//!
//! ```
//! # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
//! # use upstash_dlq_ureq::{Client, core::{Endpoint, Token}};
//! # let mut service = Service::new(Config::default());
//! # service.extend(sample::runs(250, 1, 1_764_000_000_000));
//! # let server = Server::start(service, ServerOptions::default())?;
//! # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
//! use upstash_dlq_ureq::core::{DlqMessage, Selection};
//!
//! let mut kept = Vec::new();
//! let archive = |messages: &[DlqMessage]| -> std::io::Result<()> {
//!     kept.extend(messages.iter().map(|run| run.as_json().to_owned())); // write and sync it
//!     Ok(())
//! };
//! let outcome = client.delete(Selection::Everything).archive(archive).run().into_result()?;
//! assert_eq!((outcome.archived, outcome.totals.affected, kept.len()), (250, 250, 250));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Go on after a crash
//!
//! With [`Prepared::checkpoint`] the store has a checkpoint before each request is sent. Another process with the same selection and
//! the same store goes on from there, totals included. The store removes it when all is done.
//!
//! ```
//! # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
//! # use upstash_dlq_ureq::{Client, core::{Endpoint, Token}};
//! # let mut service = Service::new(Config::default());
//! # service.extend(sample::runs(250, 1, 1_764_000_000_000));
//! # let server = Server::start(service, ServerOptions::default())?;
//! # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
//! use upstash_dlq_store::CheckpointFile;
//! use upstash_dlq_ureq::core::{Halt, Selection};
//!
//! let folder = tempfile::tempdir()?;
//! let position = folder.path().join("position");
//! let mut asked = 0;
//! let stopped = client
//!     .delete(Selection::Everything)
//!     .checkpoint(CheckpointFile::open(&position)?)
//!     .stop_when(|| {
//!         asked += 1;
//!         asked > 3
//!     })
//!     .run();
//! assert_eq!(stopped.halted, Some(Halt::Stopped));
//! assert!(stopped.totals.affected < 250);
//!
//! let completed = client
//!     .delete(Selection::Everything)
//!     .checkpoint(CheckpointFile::open(&position)?)
//!     .run()
//!     .into_result()?;
//! assert_eq!(completed.totals.affected, 250);
//! assert!(!position.exists());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Resume and restart
//!
//! A request to start runs is never repeated if it is unknown whether it was carried out. The outcome has halted with
//! [`Halt::InDoubt`](upstash_dlq_core::Halt::InDoubt), and holds a checkpoint. Look, say what you found, and go on.
//!
//! ```
//! # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
//! # use upstash_dlq_ureq::{Client, core::{Endpoint, Token}};
//! # let mut service = Service::new(Config::default());
//! # service.extend(sample::runs(250, 1, 1_764_000_000_000));
//! # let server = Server::start(service, ServerOptions::default())?;
//! # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
//! use upstash_dlq_emulator::{Fault, FaultPlan};
//! use upstash_dlq_ureq::core::{Halt, Ids, Selection, Settlement};
//!
//! let ids = server.with_service(|service| Ids::parse(service.runs().take(3).map(|run| run.dlq_id.clone())))?;
//! server.with_service(|service| service.set_faults(FaultPlan::script(vec![Some(Fault::LostResponse)])));
//!
//! let outcome = client.resume(Selection::Ids(ids.clone())).run();
//! assert!(matches!(outcome.halted, Some(Halt::InDoubt { asked: 3, .. })));
//! let checkpoint = outcome.checkpoint().cloned().ok_or("it has begun")?;
//!
//! // All three have left the DLQ, so they were started.
//! assert_eq!(client.get_many(ids.clone()).run().into_result()?.found, 0);
//! let resume = client.resume(Selection::Ids(ids)).resume_from(checkpoint).settle(Settlement::Applied);
//! assert!(resume.run().into_result().is_ok());
//! assert_eq!(server.with_service(|service| service.started().count()), 3, "none was started twice");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Lanes and rate
//!
//! [`Prepared::lanes`] is how many requests may be in flight at once, each in a thread of its own.
//! [`Prepared::max_requests_per_second`] bounds all lanes together, and [`Prepared::max`] how many runs are asked for in all.
//!
//! ```
//! # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
//! # use upstash_dlq_ureq::{Client, core::{Endpoint, Token}};
//! # let mut service = Service::new(Config::default());
//! # service.extend(sample::runs(250, 1, 1_764_000_000_000));
//! # let server = Server::start(service, ServerOptions::default())?;
//! # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
//! use upstash_dlq_ureq::core::Selection;
//!
//! let delete = client.delete(Selection::Everything).lanes(16).max_requests_per_second(1_000).max(120);
//! assert_eq!(delete.run().into_result()?.totals.affected, 120);
//! assert_eq!(server.with_service(|service| service.len()), 130);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## When it fails
//!
//! The client retries with the policy of the core ([`Client::with_retry`], [`Prepared::retry`]). [`core::Incomplete`] says what was done, why
//! it ended, whether later is better, and whether anything may have changed. [The core's page](upstash_dlq_core#when-it-fails) has the rules.
//!
//! ```
//! # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
//! # use upstash_dlq_ureq::{Client, core::{Endpoint, Token}};
//! # let mut service = Service::new(Config::default());
//! # service.extend(sample::runs(250, 1, 1_764_000_000_000));
//! # let server = Server::start(service, ServerOptions::default())?;
//! # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
//! use std::num::NonZeroU32;
//! use upstash_dlq_emulator::{Fault, FaultPlan};
//! use upstash_dlq_ureq::core::{RetryPolicy, Selection};
//!
//! let once = RetryPolicy::default().max_attempts(NonZeroU32::MIN);
//! let fails_with = |fault| {
//!     server.with_service(|service| service.set_faults(FaultPlan::script(vec![Some(fault)])));
//!     client.delete(Selection::Everything).retry(once).run().into_result().unwrap_err()
//! };
//! let busy = fails_with(Fault::TooManyRequests { retry_after_s: None });
//! assert!(busy.halt().is_retryable() && !busy.may_have_changed());
//! let lost = fails_with(Fault::LostResponse);
//! assert!(lost.halt().is_retryable() && lost.may_have_changed());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Stop
//!
//! [`Prepared::stop_when`] asks a closure before each request, after each response, and every 100 ms of a wait. Once it is true, nothing
//! more is sent, and the requests in flight are awaited: nothing stays in doubt. [`core::client::cancellation`] compares this with being
//! killed.
//!
//! ## Test your program
//!
//! [`Client::with_transport`] takes a function. The model of the emulator is one, without a socket, and it misbehaves on demand.
//!
//! ```
//! use std::sync::Mutex;
//! use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Service, sample};
//! use upstash_dlq_ureq::Client;
//! use upstash_dlq_ureq::core::{Endpoint, Selection, Token};
//!
//! let mut service = Service::new(Config::default());
//! service.extend(sample::runs(7, 1, 1_764_000_000_000));
//! let service = Mutex::new(service);
//! let endpoint = Endpoint::new(Endpoint::DEFAULT_URL, Token::new(LOCAL_TOKEN)?)?;
//! let client = Client::with_transport(endpoint, move |request: http::Request<()>| {
//!     Ok(service.lock().unwrap().handle(1_764_000_000_000, request.map(|()| Vec::new())))
//! });
//! assert_eq!(client.delete(Selection::Everything).run().into_result()?.totals.affected, 7);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What lies below
//!
//! ## Timeouts and bounds
//!
//! | what | default | set with |
//! |---|---|---|
//! | one whole request, from the name lookup to the last byte of the body | 30 s | [`ClientBuilder::timeout`] |
//! | connecting | 10 s | [`ClientBuilder::connect_timeout`] |
//! | an idle connection is kept | 4 s | |
//! | the body of a page | 16 MiB | [`ClientBuilder::max_body`] |
//! | the body of one message | 64 MiB | [`ClientBuilder::max_message_body`] |
//! | the bodies of all lanes together | 64 MiB | [`ClientBuilder::body_budget`] |
//!
//! A request that runs out of time while connecting was not sent. If the time of the whole request is up, that is unknown. A page that is
//! too large is asked for again with fewer runs.
//!
//! Redirects, errors by status and retries of ureq are off: they are the core's.
//!
//! ## Not sent, or unknown
//!
//! What fails before the first byte of a request is [`Delivery::NotSent`](upstash_dlq_core::Delivery::NotSent): the name lookup, connecting, a
//! proxy's refusal, the TLS handshake. Everything else is unknown. Of an agent that you bring, less is certain: see
//! [`ClientBuilder::agent`].
//!
//! ## TLS
//!
//! The features above say which TLS is used. With `rustls` and `native-tls` together it is rustls. Certificates are always verified.
//! [`ClientBuilder::configure`] takes other roots or a client certificate.
//! `http` without TLS is for this machine alone, unless [`EndpointBuilder::allow_plain_http`](upstash_dlq_core::model::EndpointBuilder::allow_plain_http)
//! says otherwise.
//!
//! ## Proxies
//!
//! A proxy comes from the environment as ureq reads it: the first of `ALL_PROXY`, `HTTPS_PROXY` and `HTTP_PROXY` that is set, but for the
//! hosts in `NO_PROXY`. [`ClientBuilder::configure`] sets another. No proxy is used to this very machine. One that cannot be used is an
//! error when the client is built, and is never passed over. SOCKS needs the feature `socks-proxy`.
//!
//! ## HTTP of your own
//!
//! [`ClientBuilder::configure`] changes our agent, [`ClientBuilder::agent`] takes yours, and [`Client::with_transport`] takes any function that
//! sends: another library, a mock, or a middleware around ours ([`ClientBuilder::build_transport`]). [`core::client::transport`] says
//! what it must do, and `upstash_dlq_emulator::conformance` tests it.
//!
//! ## Tracing
//!
//! The feature `tracing` adds a span for each operation and each request, and counters as events with the target
//! `upstash_dlq::metrics`: `monotonic_counter.upstash_dlq_requests`, `…_responses` (with `status`), `…_retries`, `…_affected` (runs),
//! `…_unsent` and `…_unknown` (requests). A request's span has `method` and `path`, and an event in it has `status`. None holds a
//! token.
//!
//! [`core::Incomplete`]: upstash_dlq_core::Incomplete
//! [`core::client::cancellation`]: upstash_dlq_core::client::cancellation
//! [`core::client::transport`]: upstash_dlq_core::client::transport
//! [`core::comparison`]: upstash_dlq_core::comparison
#![cfg_attr(docsrs, feature(doc_cfg))]

mod budget;
mod builder;
mod chain;
mod client;
mod connect;
mod connection;
mod facade;
mod failure;
mod hooks;
mod not_sent;
mod pages;
mod prepared;
mod proxy;
mod resolver;
mod run;
mod settings;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
mod tls;
#[cfg_attr(not(feature = "tracing"), path = "untraced.rs")]
mod trace;
mod transport;

pub use builder::ClientBuilder;
pub use client::Client;
pub use pages::{Items, Pages};
pub use prepared::Prepared;
pub use transport::UreqTransport;
pub use upstash_dlq_core as core;
pub use upstash_dlq_core::client::{BuildError, MAX_BODY};
