#![doc = include_str!("../README.md")]
//!
//! # Tour
//!
//! [Look first](#look-before-you-delete), [keep what is deleted](#keep-what-is-deleted),
//! [go on after a crash](#go-on-after-a-crash), [start runs again](#resume-and-restart), [lanes, tasks](#lanes-and-tasks),
//! [failures](#when-it-fails), [stopping and dropping](#stop-or-drop), [tests](#test-your-program). Then what lies below:
//! [runtime](#runtime), [timeouts](#timeouts-and-bounds), [what is not sent](#not-sent-or-unknown), [TLS](#tls),
//! [proxies](#proxies), [your own HTTP](#http-of-your-own), [tracing](#tracing).
//!
//! In each example `client` is a [`Client`] of an emulator on this machine, with 250 failed runs. How to select runs is told in
//! [the tour of the core](upstash_dlq_core#say-which-runs), and what the official clients leave to you in [`core::comparison`].
//!
//! ## Look before you delete
//!
//! Fix the end of the selection, look, and then delete the same selection. Runs that fail in between are neither shown nor deleted.
//! [`Prepared::items`] is a `Stream` of single runs.
//!
//! ```
//! # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
//! # use upstash_dlq_reqwest::{Client, core::{Endpoint, Token}};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut service = Service::new(Config::default());
//! # service.extend(sample::runs(250, 1, 1_764_000_000_000));
//! # let server = Server::start(service, ServerOptions::default())?;
//! # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
//! use futures_util::TryStreamExt;
//! use upstash_dlq_reqwest::core::{DlqMessage, Filter, List, Selection, UnixMillis};
//!
//! let present = UnixMillis::new(1_764_000_000_000); // in milliseconds since 1970
//! let nightly = Selection::Filter(Filter::builder().label("nightly").build()?).until(present)?;
//! let runs: Vec<DlqMessage> = client.list(List::for_selection(&nightly)).items().try_collect().await?;
//! assert!(runs.iter().all(|run| run.labels().iter().any(|label| label == "nightly")));
//! let deleted = client.delete(nightly).run().await.into_result()?.totals.affected;
//! assert_eq!((runs.len(), deleted), (74, 74));
//! # Ok(())
//! # }
//! ```
//!
//! ## Keep what is deleted
//!
//! With [`Prepared::archive`] a run is deleted only after the store has kept it. A closure that returns a future is a store.
//! [`Blocking`] makes one of a store that blocks, such as the files of `upstash-dlq-store`.
//!
//! ```
//! # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
//! # use upstash_dlq_reqwest::{Client, core::{Endpoint, Token}};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut service = Service::new(Config::default());
//! # service.extend(sample::runs(250, 1, 1_764_000_000_000));
//! # let server = Server::start(service, ServerOptions::default())?;
//! # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
//! use upstash_dlq_reqwest::Blocking;
//! use upstash_dlq_reqwest::core::Selection;
//! use upstash_dlq_store::ArchiveFile;
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("runs.ndjson");
//! let archive = Blocking::new(ArchiveFile::open(&path)?);
//! let outcome = client.delete(Selection::Everything).archive(archive).run().await.into_result()?;
//! assert_eq!((outcome.archived, outcome.totals.affected), (250, 250));
//! assert_eq!(std::fs::read_to_string(&path)?.lines().count(), 250);
//! # Ok(())
//! # }
//! ```
//!
//! ## Go on after a crash
//!
//! With [`Prepared::checkpoint`] the store has a checkpoint before each request is sent. Another process with the same selection and
//! the same store goes on from there, totals included. The store removes it when all is done. Here a drop stands for the crash.
//!
//! ```
//! # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
//! # use upstash_dlq_reqwest::{Client, core::{Endpoint, Token}};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut service = Service::new(Config::default());
//! # service.extend(sample::runs(250, 1, 1_764_000_000_000));
//! # let server = Server::start(service, ServerOptions::default())?;
//! # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
//! use futures_util::StreamExt;
//! use upstash_dlq_reqwest::Blocking;
//! use upstash_dlq_reqwest::core::Selection;
//! use upstash_dlq_store::CheckpointFile;
//!
//! let folder = tempfile::tempdir()?;
//! let position = folder.path().join("position");
//! let store = Blocking::new(CheckpointFile::open(&position)?);
//! let mut pages = client.delete(Selection::Everything).checkpoint(store).pages();
//! assert_eq!(pages.next().await.ok_or("a first page")??.deleted, 100);
//! drop(pages);
//!
//! let store = Blocking::new(CheckpointFile::open(&position)?);
//! let completed = client.delete(Selection::Everything).checkpoint(store).run().await.into_result()?;
//! assert_eq!(completed.totals.affected, 250);
//! assert!(!position.exists());
//! # Ok(())
//! # }
//! ```
//!
//! ## Resume and restart
//!
//! A request to start runs is never repeated if it is unknown whether it was carried out. The outcome has halted with
//! [`Halt::InDoubt`](upstash_dlq_core::Halt::InDoubt), and holds a checkpoint. Look, say what you found, and go on.
//!
//! ```
//! # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
//! # use upstash_dlq_reqwest::{Client, core::{Endpoint, Token}};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut service = Service::new(Config::default());
//! # service.extend(sample::runs(250, 1, 1_764_000_000_000));
//! # let server = Server::start(service, ServerOptions::default())?;
//! # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
//! use upstash_dlq_emulator::{Fault, FaultPlan};
//! use upstash_dlq_reqwest::core::{Halt, Ids, Selection, Settlement};
//!
//! let ids = server.with_service(|service| Ids::parse(service.runs().take(3).map(|run| run.dlq_id.clone())))?;
//! server.with_service(|service| service.set_faults(FaultPlan::script(vec![Some(Fault::LostResponse)])));
//!
//! let outcome = client.resume(Selection::Ids(ids.clone())).run().await;
//! assert!(matches!(outcome.halted, Some(Halt::InDoubt { asked: 3, .. })));
//! let checkpoint = outcome.checkpoint().cloned().ok_or("it has begun")?;
//!
//! // All three have left the DLQ, so they were started.
//! assert_eq!(client.get_many(ids.clone()).run().await.into_result()?.found, 0);
//! let resume = client.resume(Selection::Ids(ids)).resume_from(checkpoint).settle(Settlement::Applied);
//! assert!(resume.run().await.into_result().is_ok());
//! assert_eq!(server.with_service(|service| service.started().count()), 3, "none was started twice");
//! # Ok(())
//! # }
//! ```
//!
//! ## Lanes and tasks
//!
//! [`Prepared::lanes`] is how many requests may be in flight at once, all in the task that awaits the operation.
//! [`Prepared::max_requests_per_second`] bounds all lanes together, and [`Prepared::max`] how many runs are asked for in all. An operation
//! owns its client, and its future is `Send`, so a task can have it.
//!
//! ```
//! # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
//! # use upstash_dlq_reqwest::{Client, core::{Endpoint, Token}};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut service = Service::new(Config::default());
//! # service.extend(sample::runs(250, 1, 1_764_000_000_000));
//! # let server = Server::start(service, ServerOptions::default())?;
//! # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
//! use upstash_dlq_reqwest::core::Selection;
//!
//! let delete = client.delete(Selection::Everything).lanes(16).max_requests_per_second(1_000).max(120);
//! let outcome = tokio::spawn(delete.run()).await?;
//! assert_eq!(outcome.into_result()?.totals.affected, 120);
//! # Ok(())
//! # }
//! ```
//!
//! ## When it fails
//!
//! The client retries with the policy of the core ([`Client::with_retry`], [`Prepared::retry`]). [`core::Incomplete`] says what was done, why
//! it ended, whether later is better, and whether anything may have changed. [The core's page](upstash_dlq_core#when-it-fails) has the rules.
//!
//! ```
//! # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
//! # use upstash_dlq_reqwest::{Client, core::{Endpoint, Token}};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut service = Service::new(Config::default());
//! # service.extend(sample::runs(250, 1, 1_764_000_000_000));
//! # let server = Server::start(service, ServerOptions::default())?;
//! # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
//! use std::num::NonZeroU32;
//! use upstash_dlq_emulator::{Fault, FaultPlan};
//! use upstash_dlq_reqwest::core::{RetryPolicy, Selection};
//!
//! let client = client.with_retry(RetryPolicy::default().max_attempts(NonZeroU32::MIN));
//! for (fault, may_have_changed) in [(Fault::TooManyRequests { retry_after_s: None }, false), (Fault::LostResponse, true)] {
//!     server.with_service(|service| service.set_faults(FaultPlan::script(vec![Some(fault)])));
//!     let error = client.delete(Selection::Everything).run().await.into_result().unwrap_err();
//!     assert!(error.halt().is_retryable());
//!     assert_eq!(error.may_have_changed(), may_have_changed);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! ## Stop, or drop
//!
//! [`Prepared::stop_when`] takes a future, such as a signal. Once that is done, nothing more is sent, and the requests in flight are
//! awaited: nothing stays in doubt. Every future and stream of this crate may also be dropped at any await, by a timeout or by
//! `select!`. The requests in flight are unknown then. [`core::client::cancellation`] says what that means and how to lose nothing.
//!
//! ```
//! # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service, sample};
//! # use upstash_dlq_reqwest::{Client, core::{Endpoint, Token}};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut service = Service::new(Config::default());
//! # service.extend(sample::runs(250, 1, 1_764_000_000_000));
//! # let server = Server::start(service, ServerOptions::default())?;
//! # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
//! use upstash_dlq_reqwest::core::{Halt, Selection};
//!
//! let shut_down = tokio::sync::Notify::new();
//! shut_down.notify_one();
//! let outcome = client.delete(Selection::Everything).stop_when(shut_down.notified()).run().await;
//! assert_eq!((outcome.halted, outcome.totals.unconfirmed), (Some(Halt::Stopped), 0));
//! # Ok(())
//! # }
//! ```
//!
//! ## Test your program
//!
//! [`Client::with_transport`] takes a function. The model of the emulator is one, without a socket, and it misbehaves on demand.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Service, sample};
//! use upstash_dlq_reqwest::Client;
//! use upstash_dlq_reqwest::core::{Endpoint, Selection, Token};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut service = Service::new(Config::default());
//! service.extend(sample::runs(7, 1, 1_764_000_000_000));
//! let service = Arc::new(Mutex::new(service));
//! let endpoint = Endpoint::new(Endpoint::DEFAULT_URL, Token::new(LOCAL_TOKEN)?)?;
//! let client = Client::with_transport(endpoint, move |request: http::Request<()>| {
//!     let service = Arc::clone(&service);
//!     async move { Ok(service.lock().unwrap().handle(1_764_000_000_000, request.map(|()| Vec::new()))) }
//! });
//! assert_eq!(client.delete(Selection::Everything).run().await.into_result()?.totals.affected, 7);
//! # Ok(())
//! # }
//! ```
//!
//! # What lies below
//!
//! ## Runtime
//!
//! The client needs a tokio runtime with time, and our own HTTP needs one with I/O. For another runtime, drive `upstash-dlq-core` with
//! [`core::drive_async`]: its example `smol` has no tokio runtime.
//!
//! ## Timeouts and bounds
//!
//! | what | default | set with |
//! |---|---|---|
//! | one whole request, from the name lookup to the last byte of the body | 30 s | [`ClientBuilder::timeout`] |
//! | connecting, at most nine tenths of that | 10 s | [`ClientBuilder::connect_timeout`] |
//! | an idle connection is kept | 4 s | |
//! | the body of a page | 16 MiB | [`ClientBuilder::max_body`] |
//! | the body of one message | 64 MiB | [`ClientBuilder::max_message_body`] |
//! | the bodies of all lanes together | 64 MiB | [`ClientBuilder::body_budget`] |
//!
//! A request that runs out of time while connecting was not sent. If the time of the whole request is up, that is unknown. A page that is
//! too large is asked for again with fewer runs.
//!
//! Redirects and retries of reqwest are off: they are the core's.
//!
//! ## Not sent, or unknown
//!
//! What fails before the first byte of a request is [`Delivery::NotSent`](upstash_dlq_core::Delivery::NotSent): the name lookup, connecting, a
//! proxy's refusal, the TLS handshake. Everything else is unknown.
//!
//! ## TLS
//!
//! The features above say which TLS is used. Certificates are always verified by our own client. [`ClientBuilder::http`] takes other
//! roots or a client certificate. `http` without TLS is for this machine alone, unless
//! [`EndpointBuilder::allow_plain_http`](upstash_dlq_core::model::EndpointBuilder::allow_plain_http) says otherwise.
//!
//! ## Proxies
//!
//! A proxy comes from the environment as reqwest reads it (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`). [`ClientBuilder::http`]
//! sets another. No proxy is used to this very machine. One of the environment that cannot be used is an error when our own
//! HTTP client is built; with one of yours it is not checked. SOCKS needs the feature `socks-proxy`.
//!
//! ## HTTP of your own
//!
//! [`ClientBuilder::http`] takes a builder of reqwest, [`ClientBuilder::client`] a ready client, and [`Client::with_transport`] any function
//! that sends: another library, a mock, or a middleware around ours ([`ClientBuilder::build_transport`]). A ready client that follows
//! redirects is refused. [`core::client::transport`] says what a transport must do, and `upstash_dlq_emulator::conformance` tests it.
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
//! [`core::drive_async`]: upstash_dlq_core::drive_async
#![cfg_attr(docsrs, feature(doc_cfg))]

mod blocking;
mod budget;
mod bugs;
mod builder;
mod client;
mod driver;
mod facade;
mod failure;
mod pages;
mod prepared;
mod proxy;
mod ready;
mod run;
mod running;
mod storage;
mod timer;
mod tls;
#[cfg(feature = "tracing")]
mod trace;
mod transport;

pub use blocking::Blocking;
pub use builder::ClientBuilder;
pub use client::Client;
pub use pages::{Items, Pages};
pub use prepared::Prepared;
pub use transport::ReqwestTransport;
pub use upstash_dlq_core as core;
pub use upstash_dlq_core::client::{BuildError, MAX_BODY};
