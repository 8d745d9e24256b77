//! An operation that a client is to run: its settings, and what happens around its requests.

use crate::client::Client;
use crate::driver::Driver;
use crate::pages::{Items, Pages};
use crate::running::{BoxObserver, Running};
use crate::storage::{Archive, BoxStorage, Call, Checkpoints};
use crate::timer::Timer;
use futures_core::future::BoxFuture;
use std::fmt;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;
use upstash_dlq_core::client::setup::Setup;
use upstash_dlq_core::client::{AsyncArchiveStore, AsyncCheckpointStore};
use upstash_dlq_core::engine::StoreFailure;
use upstash_dlq_core::operation::{ArchivedDeleteBuilder, BulkBuilder, InDoubt, Itemized, OperationBuilder, Paged};
use upstash_dlq_core::wire::{BulkOperation, Delete, Overrides, StartOperation};
use upstash_dlq_core::{Checkpoint, Event, Halt, Observer, Operation, RetryPolicy, Settlement};

/// How long an operation that was stopped still waits for its checkpoint, which holds what earlier processes have done.
const PATIENCE: Duration = Duration::from_secs(1);

/// An operation that the client is to run. It owns its client, so [`Self::run`] can be spawned.
///
/// [`Self::run`] reports settings that cannot be used, such as no lanes at all: the outcome has halted with
/// [`Halt::InvalidSetting`], and nothing was sent.
///
/// ```
/// use std::time::Duration;
/// use upstash_dlq_reqwest::Client;
/// use upstash_dlq_reqwest::core::{Event, Incomplete, Selection};
/// async fn clean_up(client: &Client) -> Result<u64, Incomplete> {
///     let delete = client
///         .delete(Selection::Everything)
///         .lanes(16)
///         .max_requests_per_second(50)
///         .max(1_000)
///         .on_event(|_, event| {
///             if let Event::Retry(retried) = event {
///                 println!("once more: {}", retried.cause);
///             }
///         })
///         .stop_when(tokio::time::sleep(Duration::from_secs(600)));
///     Ok(delete.run().await.into_result()?.totals.affected)
/// }
/// # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service};
/// # use upstash_dlq_reqwest::core::{Endpoint, Token};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = Server::start(Service::new(Config::default()), ServerOptions::default())?;
/// # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
/// assert_eq!(clean_up(&client).await?, 0);
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is sent before `run`, or before the first page is taken"]
pub struct Prepared<'a, B: OperationBuilder> {
    client: Client,
    setup: Setup<'a, B>,
    observer: Option<BoxObserver<'a, B::Operation>>,
    stop: Option<BoxFuture<'a, ()>>,
    storage: Option<BoxStorage<'a, B::Operation>>,
}

impl<'a, B: OperationBuilder> Prepared<'a, B> {
    pub(crate) fn new(client: Client, builder: B) -> Self {
        let setup = Setup::new(builder).retry(client.retry(), client.seed());
        Self { client, setup, observer: None, stop: None, storage: None }
    }

    fn set(self, change: impl FnOnce(Setup<'a, B>) -> Setup<'a, B>) -> Self {
        Self { setup: change(self.setup), ..self }
    }

    /// Sets how many requests may be in flight at once, all in the caller's task. At most 100,000 are used. The default is
    /// one.
    ///
    /// A single call, and a resume or restart by filter use one, whatever is set. To start runs on many lanes, list them first and
    /// give their ids.
    pub fn lanes(self, lanes: usize) -> Self {
        let now = self.client.now();
        self.set(|setup| setup.lanes(lanes, now))
    }

    /// Sets how many requests may be sent in a second, all lanes together. By default only the server limits them.
    ///
    /// There is an example [on the crate page](crate#lanes-and-tasks).
    pub fn max_requests_per_second(self, limit: u32) -> Self {
        self.set(|setup| setup.max_requests_per_second(limit))
    }

    /// Sets how requests are retried. The default is the client's policy ([`Client::with_retry`]).
    ///
    /// There is an example [on the crate page](crate#when-it-fails).
    pub fn retry(self, policy: RetryPolicy) -> Self {
        let seed = self.client.seed();
        self.set(|setup| setup.retry(policy, seed))
    }

    /// Calls a closure after each response and each failure. It replaces what [`Self::observe`] has set.
    pub fn on_event(
        self,
        on_event: impl FnMut(&B::Operation, &Event<<B::Operation as Operation>::Page>) + Send + 'a,
    ) -> Self {
        self.observe(on_event)
    }

    /// Calls the observer before each request, and after each response and each failure. An observer that breaks stops the
    /// operation: the outcome has halted with [`Halt::Stopped`].
    pub fn observe(mut self, observer: impl Observer<B::Operation> + Send + 'a) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Stops the operation once the future is done: nothing more is sent, the requests in flight are awaited, and the outcome
    /// has halted with [`Halt::Stopped`]. A wait for the next attempt, or for the rate, is left at once. What the future returns
    /// does not count: `.stop_when(tokio::signal::ctrl_c())`.
    ///
    /// There is an example [on the crate page](crate#stop-or-drop).
    pub fn stop_when(mut self, stop: impl Future + Send + 'a) -> Self {
        self.stop = Some(Box::pin(async move {
            stop.await;
        }));
        self
    }

    /// Returns the operation, for [`Client::run`]: to look at a request in doubt, or to drive it in parts. It stands where its
    /// checkpoint was taken. The observer, the store and `stop_when` are dropped, so it saves no checkpoints any more, and the store
    /// keeps the one that it has. To go on with the store, do not drive this operation: prepare another one, with `settle_each`.
    ///
    /// # Errors
    /// Returns [`Halt::InvalidSetting`] if a setting cannot be used, and [`Halt::StoreFailed`] if a checkpoint cannot be read. Nothing
    /// has been sent.
    pub async fn into_operation(mut self) -> Result<B::Operation, Halt> {
        let stored = self.load().await;
        self.setup.begin(stored).map_err(|operation| operation.halt().cloned().unwrap_or(Halt::Stopped))
    }

    /// The checkpoint that the store has.
    async fn load(&mut self) -> Result<Option<Checkpoint>, Halt> {
        if self.setup.is_invalid() {
            return Ok(None);
        }
        let Some(mut storage) = self.storage.take() else { return Ok(None) };
        if storage.load() == Call::Nothing {
            self.storage = Some(storage);
            return Ok(None);
        }
        let mut patience = Timer::default();
        let mut is_stopped = false;
        let loaded = poll_fn(|cx| {
            if let Poll::Ready(loaded) = storage.poll(cx) {
                return Poll::Ready(loaded.map_err(|error| Halt::StoreFailed(StoreFailure::new(error))));
            }
            is_stopped = is_stopped || self.stop.as_mut().is_some_and(|stop| stop.as_mut().poll(cx).is_ready());
            if is_stopped {
                self.stop = None;
                return patience.poll(PATIENCE, cx).map(|()| Err(Halt::Stopped));
            }
            Poll::Pending
        });
        let loaded = loaded.await?;
        if is_stopped {
            self.stop = Some(Box::pin(std::future::ready(())));
        }
        self.storage = Some(storage);
        Ok(loaded)
    }

    /// Builds the operation with what happens around its requests. If it cannot begin, it has halted.
    fn begin(self, stored: Result<Option<Checkpoint>, Halt>) -> Running<'a, B::Operation> {
        let (mut operation, storage) = match self.setup.begin(stored) {
            Ok(operation) => (operation, self.storage),
            Err(operation) => (operation, None),
        };
        let mut driver = Driver::new(self.client, &mut operation);
        driver.stop_when(self.stop);
        driver.store_in(storage);
        Running { operation, observer: self.observer.unwrap_or_else(|| Box::new(())), driver }
    }

    /// Runs the operation to its end.
    ///
    /// The future owns the operation, is `Send`, and may be dropped at any await (by `tokio::time::timeout` or `select!`). The
    /// server may still carry out the requests that were in flight.
    /// [`core::client::cancellation`](upstash_dlq_core::client::cancellation) says what a drop loses, operation by operation. To stop
    /// without a loss, use [`Self::stop_when`]. To drop without a loss, keep the operation yourself ([`Self::into_operation`],
    /// [`Client::run`]).
    ///
    /// # Panics
    /// Panics if the observer panics. Nothing more is sent then.
    pub async fn run(mut self) -> <B::Operation as Operation>::Outcome {
        let stored = self.load().await;
        self.begin(stored).run().await
    }

    /// The pages one after another, as a stream. It sends requests only when it is polled for a page. Everything set here holds
    /// for it, too. With several lanes, pages arrive in any order.
    pub fn pages(mut self) -> Pages<'a, B::Operation>
    where
        B: Send + 'a,
        B::Operation: Paged,
    {
        if self.storage.is_none() || self.setup.is_invalid() {
            return Pages::running(self.begin(Ok(None)));
        }
        let operation = self.setup.build_before_load();
        let loading = async move {
            let stored = self.load().await;
            self.begin(stored)
        };
        Pages::loading(operation, Box::pin(loading))
    }

    /// The items of the pages one after another: listed runs, started runs, fetched runs, or runs that were archived and are
    /// deleted. See [`Self::pages`].
    pub fn items(self) -> Items<'a, B::Operation>
    where
        B: Send + 'a,
        B::Operation: Itemized,
    {
        self.pages().items()
    }
}

impl<'a, O: BulkOperation> Prepared<'a, BulkBuilder<O>> {
    /// Sets how many runs one request may act on. The default is 100, and 50 for resume and restart. See [`BulkBuilder::page_size`].
    pub fn page_size(self, page_size: u32) -> Self {
        self.set(|setup| setup.page_size(page_size))
    }

    /// Sets how many runs may be asked for in all. By default there is no maximum.
    pub fn max(self, max: u64) -> Self {
        self.set(|setup| setup.max(max))
    }

    /// Continues where the checkpoint was taken. Operation, endpoint, selection, overrides, `page_size`, `max` and `verify` must
    /// be the same as before. Lanes, rate and retries may differ. A checkpoint holds no ids: give the same ones again.
    pub fn resume_from(self, checkpoint: Checkpoint) -> Self {
        self.set(|setup| setup.resume_from(checkpoint))
    }

    /// Keeps checkpoints in a store: continues from the one that is there (as [`Self::resume_from`] does), saves one before each
    /// request and when the operation stops short, and removes it when the operation is complete. If the store fails, nothing
    /// more is sent, and the outcome has halted with [`Halt::StoreFailed`].
    ///
    /// The store is used up by the run. To go on, open it again. A blocking store is wrapped in
    /// [`Blocking`](crate::Blocking).
    ///
    /// A request that was in flight when a process ended, or when a future was dropped, may have been carried out. A delete
    /// sends it again. A resume or restart halts with [`Halt::InDoubt`] before it sends anything: see `settle`.
    ///
    /// A selection with a time that is relative to now is another one in the next process. Say so to the builder
    /// ([`BulkBuilder::relative_times`], [`BulkBuilder::fingerprint`]), and run that with [`Client::prepare`].
    ///
    /// A resume or restart by a refinement cannot be continued, so a store is an invalid setting of it.
    ///
    /// There is an example [on the crate page](crate#go-on-after-a-crash).
    pub fn checkpoint(mut self, store: impl AsyncCheckpointStore + 'a) -> Self {
        self.storage = Some(Box::new(Checkpoints::new(store)));
        self.set(Setup::refuse_checkpoint_unless_resumable)
    }
}

impl<'a> Prepared<'a, BulkBuilder<Delete>> {
    /// Sets whether passes are repeated until a whole one finds nothing left. The default is yes. See [`BulkBuilder::verify`].
    pub fn verify(self, verify: bool) -> Self {
        self.set(|setup| setup.with(|builder| builder.verify(verify)))
    }

    /// Sets whether an archived delete trusts that all runs the server lists match the filter. The default is no. See
    /// [`BulkBuilder::trust_server`].
    pub fn trust_server(self, trust_server: bool) -> Self {
        self.set(|setup| setup.with(|builder| builder.trust_server(trust_server)))
    }

    /// Deletes only runs that the store has kept first. If the store fails, nothing is deleted after it, and the outcome has
    /// halted with [`Halt::StoreFailed`]. A blocking store is wrapped in [`Blocking`](crate::Blocking).
    ///
    /// An archived delete has no checkpoint: to continue, run it again with the same archive. Set `max`, `page_size`, `verify` and
    /// `trust_server` before this, and `observe` after it, because it observes another operation.
    ///
    /// There is an example [on the crate page](crate#keep-what-is-deleted).
    pub fn archive(self, store: impl AsyncArchiveStore + 'a) -> Prepared<'a, ArchivedDeleteBuilder> {
        let setup = self.setup.archived(self.observer.is_some(), self.storage.is_some());
        let storage: BoxStorage<'a, _> = Box::new(Archive::new(store));
        Prepared { client: self.client, setup, observer: None, stop: self.stop, storage: Some(storage) }
    }
}

impl<'a, O: StartOperation> Prepared<'a, BulkBuilder<O>> {
    /// Sets the options that the new runs get in place of their old ones.
    pub fn overrides(self, overrides: Overrides) -> Self {
        self.set(|setup| setup.with(|builder| builder.overrides(overrides)))
    }

    /// Says whether the requests that a checkpoint has in doubt were carried out, all of them alike. Look first: the operation
    /// of [`Self::into_operation`] tells where ([`Bulk::in_doubt`](upstash_dlq_core::operation::Bulk::in_doubt)). It is meant for one run. Do not leave it in a program that
    /// runs unattended, because it would settle every later doubt without a look.
    ///
    /// There is an example [on the crate page](crate#resume-and-restart).
    pub fn settle(self, settlement: Settlement) -> Self {
        self.settle_each(move |_| settlement)
    }

    /// The same for each request in doubt: the closure gets where to look, and says what was found.
    pub fn settle_each(self, found: impl FnMut(InDoubt<'_>) -> Settlement + Send + 'a) -> Self {
        self.set(|setup| setup.settle_each(found))
    }
}

impl<B: OperationBuilder + fmt::Debug> fmt::Debug for Prepared<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("client", &self.client).field("setup", &self.setup).finish_non_exhaustive()
    }
}
