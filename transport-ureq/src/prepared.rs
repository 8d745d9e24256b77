//! An operation that a client is to run: its settings, and what happens around its requests.

use crate::client::Client;
use crate::hooks::{Archive, Checkpoints, Hooks};
use crate::pages::{Items, Pages};
use std::fmt;
use upstash_dlq_core::client::setup::Setup;
use upstash_dlq_core::client::{ArchiveStore, CheckpointStore};
use upstash_dlq_core::operation::{ArchivedDeleteBuilder, BulkBuilder, InDoubt, Itemized, OperationBuilder, Paged};
use upstash_dlq_core::wire::{BulkOperation, Delete, Overrides, StartOperation};
use upstash_dlq_core::{Checkpoint, Event, Halt, Observer, Operation, RetryPolicy, Settlement};

/// An operation that the client is to run. It owns its client, so it can be moved to another thread.
///
/// [`Self::run`] reports settings that cannot be used, such as no lanes at all: the outcome has halted with
/// [`Halt::InvalidSetting`], and nothing was sent.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use upstash_dlq_ureq::Client;
/// use upstash_dlq_ureq::core::{Event, Incomplete, Selection};
/// fn clean_up(client: &Client, stop: Arc<AtomicBool>) -> Result<u64, Incomplete> {
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
///         .stop_when(move || stop.load(Ordering::Relaxed));
///     Ok(delete.run().into_result()?.totals.affected)
/// }
/// # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service};
/// # use upstash_dlq_ureq::core::{Endpoint, Token};
/// # let server = Server::start(Service::new(Config::default()), ServerOptions::default())?;
/// # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
/// assert_eq!(clean_up(&client, Arc::default())?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "nothing is sent before `run`, or before the first page is taken"]
pub struct Prepared<'a, B: OperationBuilder> {
    client: Client,
    setup: Setup<'a, B>,
    hooks: Hooks<'a, B::Operation>,
}

impl<'a, B: OperationBuilder> Prepared<'a, B> {
    pub(crate) fn new(client: Client, builder: B) -> Self {
        let setup = Setup::new(builder).retry(client.retry(), client.seed());
        Self { client, setup, hooks: Hooks::default() }
    }

    fn set(self, change: impl FnOnce(Setup<'a, B>) -> Setup<'a, B>) -> Self {
        Self { setup: change(self.setup), ..self }
    }

    /// Sets how many requests may be in flight at once, each in a thread of its own. At most 100,000 are used. The default is
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
    /// There is an example [on the crate page](crate#lanes-and-rate).
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
        self.hooks.observer = Some(Box::new(observer));
        self
    }

    /// Stops the operation once `is_stopped` returns true: nothing more is sent, the requests in flight are awaited, and the
    /// outcome has halted with [`Halt::Stopped`]. It is called before each request, after each response, and every 100 ms
    /// while the operation only waits: `.stop_when(move || flag.load(Ordering::Relaxed))`.
    ///
    /// There is an example [on the crate page](crate#stop).
    pub fn stop_when(mut self, is_stopped: impl FnMut() -> bool + Send + 'a) -> Self {
        self.hooks.is_stopped = Some(Box::new(is_stopped));
        self
    }

    /// Returns the operation, for [`Client::run`]: to look at a request in doubt, or to drive it in parts. It stands where its
    /// checkpoint was taken. The observer, the store and `stop_when` are dropped, so it saves no checkpoints any more, and the store
    /// keeps the one that it has. To go on with the store, do not drive this operation: prepare another one, with `settle_each`.
    ///
    /// # Errors
    /// Returns [`Halt::InvalidSetting`] if a setting cannot be used, and [`Halt::StoreFailed`] if a checkpoint cannot be read. Nothing
    /// has been sent.
    pub fn into_operation(mut self) -> Result<B::Operation, Halt> {
        let stored = self.load();
        self.setup.begin(stored).map_err(|operation| operation.halt().cloned().unwrap_or(Halt::Stopped))
    }

    /// The checkpoint that the store has.
    fn load(&mut self) -> Result<Option<Checkpoint>, Halt> {
        if self.setup.is_invalid() { Ok(None) } else { self.hooks.load() }
    }

    /// The client, the operation, and what happens around its requests. If the operation cannot begin, it has halted.
    fn begin(mut self) -> (Client, B::Operation, Hooks<'a, B::Operation>) {
        let stored = self.load();
        match self.setup.begin(stored) {
            Ok(operation) => (self.client, operation, self.hooks),
            Err(operation) => (self.client, operation, Hooks { storage: None, ..self.hooks }),
        }
    }

    /// Runs the operation to its end. Waits block the thread. To stop it, use [`Self::stop_when`]: see
    /// [`core::client::cancellation`](upstash_dlq_core::client::cancellation).
    ///
    /// # Panics
    /// Panics if the observer panics: see [`Client::run`].
    pub fn run(self) -> <B::Operation as Operation>::Outcome
    where
        B::Operation: Operation<Outcome: Send> + Send,
    {
        let (client, mut operation, mut hooks) = self.begin();
        hooks.run(&client, &mut operation)
    }

    /// The pages one after another, as an iterator. It sends requests only when it is asked for a page. Everything set here
    /// holds for it, too. With several lanes, pages arrive in any order, and some may be ready before they are asked for.
    pub fn pages(self) -> Pages<'a, B::Operation>
    where
        B::Operation: Paged,
    {
        let (client, operation, hooks) = self.begin();
        Pages::new(client, operation, hooks)
    }

    /// The items of the pages one after another: listed runs, started runs, fetched runs, or runs that were archived and are
    /// deleted. See [`Self::pages`].
    pub fn items(self) -> Items<'a, B::Operation>
    where
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
    /// The store is used up by the run. To go on, open it again.
    ///
    /// A request that was in flight when a process ended may have been carried out. A delete sends it again. A resume or
    /// restart halts with [`Halt::InDoubt`] before it sends anything: see `settle`.
    ///
    /// A selection with a time that is relative to now is another one in the next process. Say so to the builder
    /// ([`BulkBuilder::relative_times`], [`BulkBuilder::fingerprint`]), and run that with [`Client::prepare`].
    ///
    /// A resume or restart by a refinement cannot be continued, so a store is an invalid setting of it.
    ///
    /// There is an example [on the crate page](crate#go-on-after-a-crash).
    pub fn checkpoint(mut self, store: impl CheckpointStore + Send + 'a) -> Self {
        self.hooks.storage = Some(Box::new(Checkpoints(store)));
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
    /// halted with [`Halt::StoreFailed`].
    ///
    /// An archived delete has no checkpoint: to continue, run it again with the same archive. Set `max`, `page_size`, `verify` and
    /// `trust_server` before this, and `observe` after it, because it observes another operation.
    ///
    /// There is an example [on the crate page](crate#keep-what-is-deleted).
    pub fn archive(self, store: impl ArchiveStore + Send + 'a) -> Prepared<'a, ArchivedDeleteBuilder> {
        let Hooks { observer, is_stopped, storage, .. } = self.hooks;
        let setup = self.setup.archived(observer.is_some(), storage.is_some());
        let hooks = Hooks { is_stopped, storage: Some(Box::new(Archive(store))), ..Hooks::default() };
        Prepared { client: self.client, setup, hooks }
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
