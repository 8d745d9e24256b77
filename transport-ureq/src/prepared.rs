//! An operation that a client is to run: its settings, and what happens around its requests.

use crate::client::Client;
use crate::hooks::{Archive, Checkpoints, Hooks};
use crate::pages::{Items, Pages};
use std::fmt;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use upstash_dlq_core::client::{ArchiveStore, CheckpointStore};
use upstash_dlq_core::operation::{ArchivedDeleteBuilder, BulkBuilder, Itemized, OperationBuilder, Paged};
use upstash_dlq_core::wire::{BulkOperation, Delete, Overrides, Restart, Resume};
use upstash_dlq_core::{Checkpoint, Driven, Halt, Observer, Operation, RetryPolicy, Settlement};

/// An operation that the client is to run. It owns its client, so it can be moved to another thread.
///
/// Settings that cannot be used, such as no lanes at all, are told by [`Self::run`]: the outcome has halted with
/// [`Halt::InvalidSetting`], and nothing was sent.
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use upstash_dlq_ureq::Client;
/// use upstash_dlq_ureq::core::{BulkDelete, Event, Incomplete, Selection};
/// static STOP: AtomicBool = AtomicBool::new(false);
/// fn clean_up(client: &Client) -> Result<u64, Incomplete> {
///     let delete = client
///         .delete(Selection::Everything)
///         .lanes(16)
///         .max_requests_per_second(50)
///         .max(1_000)
///         .observe(|_: &BulkDelete, event: &Event<_>| println!("{event:?}"))
///         .stop_when(|| STOP.load(Ordering::Relaxed));
///     Ok(delete.run().into_result()?.totals.affected)
/// }
/// # use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Server, ServerOptions, Service};
/// # use upstash_dlq_ureq::core::{Endpoint, Token};
/// # let server = Server::start(Service::new(Config::default()), ServerOptions::default())?;
/// # let client = Client::new(Endpoint::new(&server.url(), Token::new(LOCAL_TOKEN)?)?)?;
/// assert_eq!(clean_up(&client)?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "nothing is sent before `run`"]
pub struct Prepared<'a, B: OperationBuilder> {
    client: Client,
    builder: B,
    hooks: Hooks<'a, B::Operation>,
    resume_from: Option<Checkpoint>,
    /// How the requests in doubt are settled that a checkpoint brings.
    settle: Option<Settle<B::Operation>>,
    /// The first setting that cannot be used.
    invalid: Option<Halt>,
}

type Settle<O> = Box<dyn FnOnce(&mut O) + Send>;

impl<'a, B: OperationBuilder> Prepared<'a, B> {
    /// `builder` has no lanes, rate or retries set.
    pub(crate) fn new(client: Client, builder: B) -> Self {
        let builder = builder.retry(client.retry(), client.seed());
        Self { client, builder, hooks: Hooks::default(), resume_from: None, settle: None, invalid: None }
    }

    fn with(self, change: impl FnOnce(B) -> B) -> Self {
        Self { builder: change(self.builder), ..self }
    }

    fn refuse(mut self, setting: &str, problem: impl fmt::Display) -> Self {
        let (setting, problem) = (setting.to_owned(), problem.to_string());
        self.invalid.get_or_insert(Halt::InvalidSetting { setting, problem });
        self
    }

    /// Sets how many requests may be in flight at once, each in a thread of its own. At most 100,000 are used. The default is
    /// one.
    pub fn lanes(self, lanes: usize) -> Self {
        let Some(lanes) = NonZeroUsize::new(lanes) else { return self.refuse("lanes", AT_LEAST_ONE) };
        let now = self.client.now();
        self.with(|builder| builder.lanes(lanes, now))
    }

    /// Sets how many requests may be sent in a second, all lanes together. By default only the server limits them.
    pub fn max_requests_per_second(self, limit: u32) -> Self {
        let Some(limit) = NonZeroU32::new(limit) else { return self.refuse("max_requests_per_second", AT_LEAST_ONE) };
        self.with(|builder| builder.max_requests_per_second(Some(limit)))
    }

    /// Sets how requests are retried. The default is the client's policy (`Client::with_retry`).
    pub fn retry(self, policy: RetryPolicy) -> Self {
        let seed = self.client.seed();
        self.with(|builder| builder.retry(policy, seed))
    }

    /// Calls the observer before each request and after each response or failure. A closure that takes an event is an observer,
    /// too. One that breaks stops the operation.
    pub fn observe(mut self, observer: impl Observer<B::Operation> + Send + 'a) -> Self {
        self.hooks.observer = Some(Box::new(observer));
        self
    }

    /// Stops the operation once `is_stopped` returns true: nothing more is sent, the requests in flight are awaited, and the
    /// outcome has halted with [`Halt::Stopped`]. It is called before each request, after each response, and every 100 ms
    /// while the operation only waits.
    pub fn stop_when(mut self, is_stopped: impl FnMut() -> bool + Send + 'a) -> Self {
        self.hooks.is_stopped = Some(Box::new(is_stopped));
        self
    }

    /// Returns the operation, for [`Client::run`]: to look at a request in doubt, or to drive it in parts. It stands where its
    /// checkpoint was taken. The observer, the stores and `stop_when` are dropped.
    ///
    /// # Errors
    /// Returns [`Halt::InvalidSetting`] if a setting cannot be used, and [`Halt::StoreFailed`] if a checkpoint cannot be read.
    pub fn into_operation(mut self) -> Result<B::Operation, Halt> {
        self.build().map_err(|(_, halt)| halt)
    }

    /// Builds the operation where its checkpoint was taken. If that fails, returns one that has done nothing, and why.
    fn build(&mut self) -> Result<B::Operation, (B::Operation, Halt)> {
        let failed = |builder: &B, halt| Err((builder.clone().build(), halt));
        if let Some(halt) = self.invalid.take() {
            return failed(&self.builder, halt);
        }
        let stored = match self.hooks.load() {
            Ok(stored) => stored,
            Err(halt) => return failed(&self.builder, halt),
        };
        let invalid = |setting: &str, problem: String| Halt::InvalidSetting { setting: setting.to_owned(), problem };
        let (setting, checkpoint) = match (stored, self.resume_from.take()) {
            (Some(_), Some(_)) => {
                let problem = "the store holds another checkpoint to continue from".to_owned();
                return failed(&self.builder, invalid("resume_from", problem));
            }
            (Some(stored), None) => ("checkpoint", Some(stored)),
            (None, given) => ("resume_from", given),
        };
        match self.builder.clone().build_at(checkpoint) {
            Ok(mut operation) => {
                if let Some(settle) = self.settle.take() {
                    settle(&mut operation);
                }
                Ok(operation)
            }
            Err(error) => failed(&self.builder, invalid(setting, error.to_string())),
        }
    }

    /// The client, the operation, what happens around its requests, and why it cannot begin.
    fn begin(mut self) -> (Client, B::Operation, Hooks<'a, B::Operation>, Option<Halt>) {
        let (operation, halt) = match self.build() {
            Ok(operation) => (operation, None),
            Err((operation, halt)) => (operation, Some(halt)),
        };
        (self.client, operation, self.hooks, halt)
    }

    /// Runs the operation to its end. Waits block the thread.
    ///
    /// # Panics
    /// Panics if the observer panics: see [`Client::run`].
    pub fn run(self) -> <B::Operation as Operation>::Outcome
    where
        B::Operation: Operation<Outcome: Send> + Send,
    {
        let (client, mut operation, mut hooks, halt) = self.begin();
        if let Some(halt) = halt {
            return operation.outcome_halted(halt);
        }
        match client.run(&mut operation, &mut hooks) {
            Driven::Done(outcome) => hooks.end(&operation, outcome),
            Driven::Stopped => {
                let outcome = operation.outcome_halted(hooks.reason());
                hooks.end(&operation, outcome)
            }
        }
    }

    /// The pages one after another, as an iterator. It sends requests only when it is asked for a page. Everything set here
    /// holds for it, too. With several lanes, pages arrive in any order, and some may be ready before they are asked for.
    pub fn pages(self) -> Pages<'a, B::Operation>
    where
        B::Operation: Paged,
    {
        let (client, operation, hooks, halt) = self.begin();
        Pages::new(client, operation, hooks, halt)
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

const AT_LEAST_ONE: &str = "it must be at least 1";

impl<'a, O: BulkOperation> Prepared<'a, BulkBuilder<O>> {
    /// See [`BulkBuilder::page_size`].
    pub fn page_size(self, page_size: u32) -> Self {
        let Some(page_size) = NonZeroU32::new(page_size) else { return self.refuse("page_size", AT_LEAST_ONE) };
        self.with(|builder| builder.page_size(page_size))
    }

    /// Sets how many runs may be asked for in all. By default there is no maximum.
    pub fn max(self, max: u64) -> Self {
        let Some(max) = NonZeroU64::new(max) else { return self.refuse("max", AT_LEAST_ONE) };
        self.with(|builder| builder.max(Some(max)))
    }

    /// Continues where the checkpoint was taken. See [`BulkBuilder::resume_from`].
    pub fn resume_from(mut self, checkpoint: Checkpoint) -> Self {
        self.resume_from = Some(checkpoint);
        self
    }

    /// Keeps checkpoints in a store: continues from the one that is there, saves one before each request and when the operation
    /// stops short, and removes it when the operation is complete. If the store fails, nothing more is sent, and the outcome
    /// has halted with [`Halt::StoreFailed`].
    ///
    /// A request that was in flight when a process ended may have been carried out. A delete sends it again. A resume or
    /// restart halts with [`Halt::InDoubt`] before it sends anything: see `settle`.
    pub fn checkpoint(mut self, store: impl CheckpointStore + Send + 'a) -> Self {
        self.hooks.storage = Some(Box::new(Checkpoints(store)));
        self
    }
}

impl<'a> Prepared<'a, BulkBuilder<Delete>> {
    /// See [`BulkBuilder::verify`].
    pub fn verify(self, verify: bool) -> Self {
        self.with(|builder| builder.verify(verify))
    }

    /// See [`BulkBuilder::trust_server`].
    pub fn trust_server(self, trust_server: bool) -> Self {
        self.with(|builder| builder.trust_server(trust_server))
    }

    /// Deletes only runs that the store has kept first. If the store fails, nothing is deleted after it, and the outcome has
    /// halted with [`Halt::StoreFailed`]. An archived delete has one lane and no checkpoint: to continue, run it again with the
    /// same archive. It observes another operation, so call `observe` after this.
    pub fn archive(mut self, store: impl ArchiveStore + Send + 'a) -> Prepared<'a, ArchivedDeleteBuilder> {
        if self.hooks.observer.is_some() {
            self = self.refuse("observe", "call it after `archive`");
        }
        if self.hooks.storage.is_some() || self.resume_from.is_some() {
            self = self.refuse("archive", "an archived delete has no checkpoint");
        }
        let Hooks { is_stopped, .. } = self.hooks;
        let hooks = Hooks { is_stopped, storage: Some(Box::new(Archive(store))), ..Hooks::default() };
        let builder = self.builder.archived();
        Prepared { client: self.client, builder, hooks, resume_from: None, settle: None, invalid: self.invalid }
    }
}

impl Prepared<'_, BulkBuilder<Resume>> {
    /// Sets the options that the new runs get in place of their old ones.
    pub fn overrides(self, overrides: Overrides) -> Self {
        self.with(|builder| builder.overrides(overrides))
    }

    /// Says whether the requests that a checkpoint has in doubt were carried out, all of them alike. Look first: the operation
    /// of [`Self::into_operation`] tells where ([`Bulk::in_doubt`](upstash_dlq_core::operation::Bulk::in_doubt)). If they differ, settle them there, one by one.
    pub fn settle(mut self, settlement: Settlement) -> Self {
        self.settle = Some(Box::new(move |operation| while operation.settle(settlement).is_ok() {}));
        self
    }
}

impl Prepared<'_, BulkBuilder<Restart>> {
    /// Sets the options that the new runs get in place of their old ones.
    pub fn overrides(self, overrides: Overrides) -> Self {
        self.with(|builder| builder.overrides(overrides))
    }

    /// Says whether the requests that a checkpoint has in doubt were carried out, all of them alike. Look first: the operation
    /// of [`Self::into_operation`] tells where ([`Bulk::in_doubt`](upstash_dlq_core::operation::Bulk::in_doubt)). If they differ, settle them there, one by one.
    pub fn settle(mut self, settlement: Settlement) -> Self {
        self.settle = Some(Box::new(move |operation| while operation.settle(settlement).is_ok() {}));
        self
    }
}

impl<B: OperationBuilder + fmt::Debug> fmt::Debug for Prepared<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("client", &self.client).field("builder", &self.builder).finish_non_exhaustive()
    }
}
