#![doc = include_str!("../README.md")]
//!
//! # Tour
//!
//! [Say which runs](#say-which-runs), [delete](#delete-page-after-page), [look first](#look-before-you-delete),
//! [keep what is deleted](#keep-what-is-deleted), [stop and go on](#stop-and-go-on),
//! [start runs again](#resume-and-restart), [go faster, or slower](#lanes-and-rate),
//! [when it fails](#when-it-fails), [cancel](#cancel), [use any runtime](#use-any-runtime-or-none), [test](#test-your-program).
//! Or go straight to the [table of types](#where-to-look).
//!
//! In the examples, `send` sends one request and returns its response, `now` reads a clock, and `sleep` waits. Here the model
//! of `upstash-dlq-emulator` stands for the service, with 250 failed runs in its DLQ. All examples are tests.
//!
//! ## Say which runs
//!
//! A [`Selection`] names runs by their [`Ids`], by a [`Filter`] that the service applies, by a
//! [`Refinement`](selection::Refinement) that is applied here to a listing, or it is [`Selection::Everything`]. Nothing turns into
//! everything by accident: an empty list, an empty filter and an empty value are errors. Times are in milliseconds
//! ([`UnixMillis`]), and both ends of a window belong to it.
//!
//! ```
//! use upstash_dlq_core::selection::{Refined, Refinement};
//! use upstash_dlq_core::{Filter, Ids, Selection, UnixMillis};
//!
//! let two = Selection::Ids(Ids::parse(["1752829295505-0", "1752829295505-1"])?);
//! let week = Filter::builder()
//!     .label("nightly") // or …
//!     .label("weekly") // either label, and
//!     .from(UnixMillis::new(1_752_224_495_505))
//!     .to(UnixMillis::new(1_752_829_295_505))
//!     .build()?;
//! let gateways = Refinement::builder().status(502).status(504).build()?;
//! let of_that_week = Selection::Refined(Refined::new(Some(week), gateways));
//!
//! assert!(Ids::parse(Vec::<String>::new()).is_err());
//! assert!(Filter::builder().build().is_err(), "no condition");
//! assert!(Filter::builder().label("").build().is_err(), "the service would drop it");
//! assert!(Filter::builder().label("a,b").build().is_err(), "the service would split it");
//! # assert!(two != of_that_week);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Delete page after page
//!
//! One request deletes one page. [`BulkDelete`] asks for pages until there are none. Then it makes one more pass, the
//! *verification pass*, because nobody promises that a cursor survives a deletion. [`Outcome::verified`] says that a whole pass
//! found nothing left. [`drive()`] is the loop, and an [`Observer`] sees each event.
//!
//! ```
//! # use upstash_dlq_core::{Delivery, Endpoint, Token};
//! # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Service, sample};
//! # const PRESENT: i64 = 1_764_000_000_000;
//! # let mut service = Service::new(Config::default());
//! # service.extend(sample::runs(250, 1, PRESENT));
//! # let send = |request: http::Request<()>| Ok::<_, Delivery>(service.handle(PRESENT, request.map(|()| Vec::new())));
//! # let (now, sleep) = (|| std::time::Duration::ZERO, |_| ());
//! # let endpoint = Endpoint::new(Endpoint::DEFAULT_URL, Token::new(LOCAL_TOKEN)?)?;
//! use upstash_dlq_core::wire::DeletePage;
//! use upstash_dlq_core::{BulkDelete, Event, Selection, drive};
//!
//! let mut delete = BulkDelete::builder(endpoint, Selection::Everything).build();
//! let mut pages = Vec::new();
//! let mut observer = |_: &BulkDelete, event: &Event<DeletePage>| {
//!     if let Event::Page(page) = event {
//!         pages.push(page.deleted);
//!     }
//! };
//! let driven = drive(&mut delete, send, now, sleep, &mut observer);
//! let completed = driven.into_outcome(&delete).into_result()?;
//! assert_eq!(pages, [100, 100, 50, 0]);
//! assert!(completed.verified && completed.totals.affected == 250);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`BulkBuilder`](operation::BulkBuilder) has the settings: runs in a page, a maximum of runs, whether to verify.
//!
//! ## Look before you delete
//!
//! A [`Listing`] shows what a filter matches. [`Selection::until`] fixes the end of the window first, so that runs that fail while
//! somebody reads the list are neither shown nor deleted. [`Selection::check_listed`] holds each run against the selection here, too, and
//! applies a refinement.
//!
//! ```
//! # use upstash_dlq_core::{Delivery, Endpoint, Token};
//! # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Service, sample};
//! # const PRESENT: i64 = 1_764_000_000_000;
//! # let mut service = Service::new(Config::default());
//! # service.extend(sample::runs(250, 1, PRESENT));
//! # let send = |request: http::Request<()>| Ok::<_, Delivery>(service.handle(PRESENT, request.map(|()| Vec::new())));
//! # let (now, sleep) = (|| std::time::Duration::ZERO, |_| ());
//! # let endpoint = Endpoint::new(Endpoint::DEFAULT_URL, Token::new(LOCAL_TOKEN)?)?;
//! use upstash_dlq_core::selection::Listed;
//! use upstash_dlq_core::wire::{List, ListPage};
//! use upstash_dlq_core::{Event, Filter, Listing, Selection, UnixMillis, drive};
//!
//! let nightly = Selection::Filter(Filter::builder().label("nightly").build()?);
//! let selection = nightly.until(UnixMillis::new(PRESENT))?;
//! let mut listing = Listing::builder(endpoint, List::for_selection(&selection)).build();
//! let mut matching = 0;
//! let mut observer = |_: &Listing, event: &Event<ListPage>| {
//!     if let Event::Page(page) = event {
//!         let is_selected = |run: &_| matches!(selection.check_listed(run, false), Listed::Selected { .. });
//!         matching += page.messages.iter().filter(|run| is_selected(run)).count();
//!     }
//! };
//! let driven = drive(&mut listing, send, now, sleep, &mut observer);
//! let outcome = driven.into_outcome(&listing).into_result()?;
//! assert_eq!((outcome.listed, matching), (74, 74));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`GetMany`] fetches runs by their ids. [`DlqMessage`] reads the fields of a run and keeps the bytes of the server.
//! [`Signature`](model::Signature) tells which runs failed for the same reason.
//!
//! ## Keep what is deleted
//!
//! [`ArchivedDelete`] lists a page, hands it over as a [`Batch`](operation::Batch), and deletes exactly those ids after
//! [`stored`](ArchivedDelete::stored). A crash at any point leaves runs that are stored and not deleted, never the reverse.
//!
//! ```
//! # use upstash_dlq_core::{Delivery, Endpoint, Token};
//! # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Service, sample};
//! # const PRESENT: i64 = 1_764_000_000_000;
//! # let mut service = Service::new(Config::default());
//! # service.extend(sample::runs(250, 1, PRESENT));
//! # let send = |request: http::Request<()>| Ok::<_, Delivery>(service.handle(PRESENT, request.map(|()| Vec::new())));
//! # let (now, sleep) = (|| std::time::Duration::ZERO, |_| ());
//! # let endpoint = Endpoint::new(Endpoint::DEFAULT_URL, Token::new(LOCAL_TOKEN)?)?;
//! use std::ops::ControlFlow;
//! use upstash_dlq_core::operation::ArchivePage;
//! use upstash_dlq_core::{ArchivedDelete, BulkDelete, Event, Observer, Selection, drive};
//!
//! struct Archive(Vec<String>);
//!
//! impl Observer<ArchivedDelete> for Archive {
//!     fn on_event(&mut self, delete: &mut ArchivedDelete, event: &Event<ArchivePage>) -> ControlFlow<()> {
//!         if let Event::Page(ArchivePage { batch: Some(batch), .. }) = event {
//!             self.0.extend(batch.messages.iter().map(|run| run.as_json().to_owned()));
//!             // A file would be written and synced here.
//!             if delete.stored(batch.number).is_err() {
//!                 return ControlFlow::Break(());
//!             }
//!         }
//!         ControlFlow::Continue(())
//!     }
//! }
//!
//! let mut archive = Archive(Vec::new());
//! let mut delete = BulkDelete::builder(endpoint, Selection::Everything).build_archived();
//! let driven = drive(&mut delete, send, now, sleep, &mut archive);
//! let outcome = driven.into_outcome(&delete).into_result()?;
//! assert_eq!((outcome.archived, outcome.totals.affected, archive.0.len()), (250, 250, 250));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The crate `upstash-dlq-store` has archive files that survive a crash.
//!
//! ## Stop and go on
//!
//! A [`Checkpoint`] holds everything that another process needs, except the ids and the token: resolved times, the place of each lane,
//! totals, and the requests in flight. Take it before a request is sent. It has a [`Fingerprint`](checkpoint::Fingerprint) of
//! endpoint and selection, and is refused with any other. Whatever stands in it, no request asks for a run outside the selection that
//! is given with it.
//!
//! ```
//! # use std::time::Duration;
//! # use upstash_dlq_core::{Endpoint, Token};
//! # let endpoint = Endpoint::new(Endpoint::DEFAULT_URL, Token::new("my-token")?)?;
//! use upstash_dlq_core::{BulkDelete, Checkpoint, Filter, Operation, Selection, Step};
//!
//! let nightly = Selection::Filter(Filter::builder().label("nightly").build()?);
//! let builder = BulkDelete::builder(endpoint, nightly);
//! let mut delete = builder.clone().build();
//! let Step::Send(_, lost) = delete.poll(Duration::ZERO) else { unreachable!() };
//! let saved = delete.checkpoint().to_json();
//! drop(delete); // The process ends here. Nobody knows what became of the request.
//!
//! let mut delete = builder.resume_from(Checkpoint::from_json(saved)?)?;
//! assert_eq!(delete.totals().unconfirmed, 1);
//! let Step::Send(_, again) = delete.poll(Duration::ZERO) else { unreachable!() };
//! assert_eq!(again.uri(), lost.uri());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Resume and restart
//!
//! [`BulkResume`] starts runs again where they failed, [`BulkRestart`] from their beginning. [`Overrides`](wire::Overrides) give the
//! new runs other settings. To start a run twice may do damage, so a request whose fate is unknown is never repeated. It is *in
//! doubt*: the operation halts, says where to look ([`Bulk::in_doubt`](operation::Bulk::in_doubt)), and goes on once you have said what
//! you found ([`Bulk::settle`](operation::Bulk::settle)).
//!
//! ```
//! # use std::time::Duration;
//! # use upstash_dlq_core::{Endpoint, Token};
//! # let endpoint = Endpoint::new(Endpoint::DEFAULT_URL, Token::new("my-token")?)?;
//! use upstash_dlq_core::operation::InDoubt;
//! use upstash_dlq_core::{BulkResume, Delivery, Halt, Ids, Operation, Selection, Settlement, Step};
//!
//! let ids = Ids::parse(["a", "b"])?;
//! let mut resume = BulkResume::builder(endpoint, Selection::Ids(ids.clone())).build();
//! let Step::Send(id, _) = resume.poll(Duration::ZERO) else { unreachable!() };
//! resume.on_failure(id, Delivery::Unknown.into())?;
//! let Step::Done(outcome) = resume.poll(Duration::ZERO) else { unreachable!() };
//! assert!(matches!(outcome.halted, Some(Halt::InDoubt { asked: 2, .. })));
//! assert_eq!(resume.in_doubt(), Some(InDoubt::Ids(ids.as_slice())));
//!
//! // Both have left the DLQ, as `GetMany` shows.
//! resume.settle(Settlement::Applied)?;
//! let Step::Done(outcome) = resume.poll(Duration::ZERO) else { unreachable!() };
//! assert!(outcome.halted.is_none() && outcome.totals.unconfirmed == 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Lanes and rate
//!
//! A *lane* has one request in flight at most. Lanes of a delete and of a listing share windows of time, and lanes over ids share the
//! list. `max_requests_per_second` bounds all lanes together. The server bounds them, too: one 429 pauses every lane, and a burst
//! of them halves how many requests may be in flight.
//!
//! ```
//! # use std::time::Duration;
//! # use upstash_dlq_core::{Endpoint, Token};
//! # let endpoint = Endpoint::new(Endpoint::DEFAULT_URL, Token::new("my-token")?)?;
//! use std::num::NonZeroU32;
//! use upstash_dlq_core::{BulkDelete, Ids, Operation, Selection, Step, UnixMillis};
//!
//! let ids = Ids::parse((0..10_000).map(|n| format!("1752829295505-{n}")))?;
//! let mut delete = BulkDelete::builder(endpoint, Selection::Ids(ids))
//!     .lanes(16.try_into()?, UnixMillis::new(1_764_000_000_000))
//!     .max_requests_per_second(NonZeroU32::new(50))
//!     .build();
//! assert_eq!(delete.concurrency(), 16);
//! let Step::Send(..) = delete.poll(Duration::ZERO) else { unreachable!() };
//! let Step::WaitUntil(time) = delete.poll(Duration::ZERO) else { unreachable!() };
//! assert_eq!(time, Duration::from_millis(20));
//! let Step::Send(..) = delete.poll(time) else { unreachable!() };
//! assert_eq!(delete.in_flight(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A resume or restart by filter stays in one lane. To start runs on many lanes, list them and give their ids.
//! [`Shard`](selection::Shard) spreads one delete over machines.
//!
//! ## When it fails
//!
//! Each failed request is one of three things:
//!
//! | the request | such as | is repeated |
//! |---|---|---|
//! | was not carried out | [`Delivery::NotSent`], 429 | yes |
//! | is *unknown*: it may have been carried out | [`Delivery::Unknown`], 5xx, a response that cannot be read | by a delete and by what only reads |
//! | was refused | other 4xx, a redirect | no |
//!
//! [`RetryPolicy`] says how often and how long. What cannot go on is a [`Halt`], which says what happened.
//! [`Halt::is_retryable`] says whether later is better, and [`Incomplete::may_have_changed`] whether anything may have been sent that
//! changed the DLQ. While [`Totals::unconfirmed`] is above 0, [`Totals::affected`] is a lower bound.
//!
//! ```
//! # use std::time::Duration;
//! # use upstash_dlq_core::{Endpoint, Token};
//! # let endpoint = Endpoint::new(Endpoint::DEFAULT_URL, Token::new("my-token")?)?;
//! use std::num::NonZeroU32;
//! use upstash_dlq_core::{BulkDelete, Operation, RetryPolicy, Selection, Step, TransportFailure};
//!
//! let once = RetryPolicy::default().max_attempts(NonZeroU32::MIN);
//! let fails_with = |failure: TransportFailure| {
//!     let builder = BulkDelete::builder(endpoint.clone(), Selection::Everything);
//!     let mut delete = builder.retry(once, 0).build();
//!     let Step::Send(id, _) = delete.poll(Duration::ZERO) else { unreachable!() };
//!     delete.on_failure(id, failure).unwrap();
//!     delete.outcome_so_far().into_result().unwrap_err()
//! };
//!
//! let refused = fails_with(TransportFailure::not_sent("connection refused"));
//! assert!(!refused.may_have_changed() && refused.halt().is_retryable());
//! assert_eq!(refused.to_string(), "no run was affected: the request could not be sent: connection refused");
//!
//! let lost = fails_with(TransportFailure::unknown("connection reset"));
//! assert!(lost.may_have_changed() && lost.totals.unconfirmed == 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Cancel
//!
//! An operation does no I/O, so it can be dropped at any point. An observer that breaks stops it: nothing more is sent, and
//! [`Halt::Stopped`] leaves nothing in doubt. The module [`cancellation`](client::cancellation) compares stopping, dropping and being
//! killed.
//!
//! ## Use any runtime, or none
//!
//! [`drive()`] blocks, [`drive_async`] awaits, and both have one request in flight. [`drive::next_step`] and [`drive::report`] are for
//! many. Underneath is this loop, which needs nothing but a way to send and a clock. The module
//! [`transport`](client::transport) says what a way to send must do, and when it may say [`Delivery::NotSent`].
//!
//! ```
//! use std::time::Instant;
//! use upstash_dlq_core::http::{Request, Response};
//! use upstash_dlq_core::{BulkDelete, Delivery, Endpoint, Operation, Selection, Step, Token};
//!
//! // Yours. This one makes its response up.
//! fn send(_request: Request<()>) -> Result<Response<Vec<u8>>, Delivery> {
//!     Ok(Response::new(br#"{"deleted":0}"#.to_vec()))
//! }
//!
//! let endpoint = Endpoint::new(Endpoint::DEFAULT_URL, Token::new("my-token")?)?;
//! let mut delete = BulkDelete::builder(endpoint, Selection::Everything).build();
//! let start = Instant::now();
//! let outcome = loop {
//!     let now = start.elapsed();
//!     match delete.poll(now) {
//!         Step::Send(id, request) => match send(request) {
//!             Ok(response) => {
//!                 let (head, body) = response.into_parts();
//!                 delete.on_response(id, Response::from_parts(head, &body))?;
//!             }
//!             Err(delivery) => {
//!                 delete.on_failure(id, delivery.into())?;
//!             }
//!         },
//!         Step::WaitUntil(time) => std::thread::sleep(time.saturating_sub(now)),
//!         Step::AwaitResponse => unreachable!("nothing is in flight here"),
//!         Step::Done(outcome) => break outcome,
//!     }
//! };
//! assert!(outcome.halted.is_none() && outcome.verified);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Test your program
//!
//! A test needs no network: responses are values. `upstash-dlq-emulator` has the service's behaviour as a model, with faults that
//! are the same each time, and a suite that tests a transport. The example `emulator_model` runs a delete through a rate limit of
//! thirty seconds without waiting for it.
//!
//! # Where to look
//!
//! | to … | take |
//! |---|---|
//! | delete, resume or restart by ids, by filter, or everything | [`BulkDelete`], [`BulkResume`], [`BulkRestart`] |
//! | say which runs | [`Selection`], [`Filter`], and the rest of [`selection`] |
//! | say which runs by what the service cannot filter by: a response status, a failure's signature, a text in the error | [`selection::Refinement`], [`selection::Refined`] |
//! | set lanes, a maximum, a rate, retries | [`operation::BulkBuilder`], [`operation::ListingBuilder`] |
//! | delete only what has been archived first | [`ArchivedDelete`] |
//! | list, or count on many lanes | [`Listing`] |
//! | get, delete, resume or restart one run, or its failure callback | [`SingleCall`], and the calls in [`wire`] |
//! | drive an operation | [`drive()`], [`drive_async`], [`Observer`]; with many connections, `next_step` and `report` in [`mod@drive`] |
//! | see the states of a request | [`Operation`](Operation#states) |
//! | know how it ended | [`Outcome`], [`Totals`], [`Halt`] |
//! | continue in another process | [`Checkpoint`], [`operation::BulkBuilder::resume_from`], [`checkpoint`] |
//! | settle a start whose response was lost | [`Halt::InDoubt`], [`operation::Bulk::settle`], [`Settlement`] |
//! | read ids, times and messages | [`model`] |
//! | know what the official clients do, and what they leave to you | [`comparison`] |
#![no_std]

extern crate alloc;

#[cfg(not(upstash_dlq_bugs))]
mod bugs;
#[cfg(upstash_dlq_bugs)]
pub mod bugs;
pub mod checkpoint;
pub mod client;
#[doc = include_str!("../COMPARISON.md")]
pub mod comparison {}
pub mod drive;
pub mod engine;
mod job;
pub mod model;
pub mod operation;
mod plan;
pub mod selection;
pub mod wire;

pub use checkpoint::Checkpoint;
pub use drive::{Driven, Observer, drive, drive_async};
pub use engine::{Delivery, Event, Halt, Operation, RetryPolicy, Settlement, Step, Totals, TransportFailure};
pub use http;
pub use model::{DlqId, DlqMessage, Endpoint, Token, UnixMillis};
pub use operation::{ArchivedDelete, BulkDelete, BulkRestart, BulkResume, GetMany, Listing, SingleCall};
pub use operation::{Completed, Incomplete, Outcome};
pub use selection::{Filter, Ids, Selection};
pub use wire::List;
