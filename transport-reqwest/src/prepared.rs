//! An operation that a client is to run: its settings, and what happens around its requests.

use crate::client::Client;
use crate::driver::Driver;
use crate::pages::{Items, Pages};
use crate::running::{BoxObserver, Running, Unobserved};
use crate::storage::{Archive, BoxStorage, Call, Checkpoints};
use futures_core::future::BoxFuture;
use std::fmt;
use std::future::poll_fn;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use upstash_dlq_core::client::{AsyncArchiveStore, AsyncCheckpointStore};
use upstash_dlq_core::engine::StoreFailure;
use upstash_dlq_core::operation::{ArchivedDeleteBuilder, BulkBuilder, Itemized, OperationBuilder, Paged};
use upstash_dlq_core::wire::{BulkOperation, Delete, Overrides, Restart, Resume};
use upstash_dlq_core::{Checkpoint, Halt, Observer, Operation, RetryPolicy, Settlement};

/// An operation that the client is to run. It owns its client, so [`Self::run`] can be spawned.
///
/// Settings that cannot be used, such as no lanes at all, are told by [`Self::run`]: the outcome has halted with
/// [`Halt::InvalidSetting`], and nothing was sent.
///
/// ```
/// use std::time::Duration;
/// use upstash_dlq_reqwest::Client;
/// use upstash_dlq_reqwest::core::{BulkDelete, Event, Incomplete, Selection};
/// async fn clean_up(client: &Client) -> Result<u64, Incomplete> {
///     let delete = client
///         .delete(Selection::Everything)
///         .lanes(16)
///         .max_requests_per_second(50)
///         .max(1_000)
///         .observe(|_: &BulkDelete, event: &Event<_>| println!("{event:?}"))
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
#[must_use = "nothing is sent before `run` or `pages`"]
pub struct Prepared<'a, B: OperationBuilder> {
    client: Client,
    builder: B,
    observer: BoxObserver<'a, B::Operation>,
    is_observed: bool,
    stop: Option<BoxFuture<'a, ()>>,
    storage: Option<BoxStorage<'a, B::Operation>>,
    resume_from: Option<Checkpoint>,
    /// How the requests in doubt are settled that a checkpoint brings.
    settle: Option<Settle<B::Operation>>,
    /// The first setting that cannot be used.
    invalid: Option<Halt>,
}

type Settle<O> = Box<dyn FnOnce(&mut O) + Send>;

const AT_LEAST_ONE: &str = "it must be at least 1";

impl<'a, B: OperationBuilder> Prepared<'a, B> {
    /// `builder` has no lanes, rate or retries set.
    pub(crate) fn new(client: Client, builder: B) -> Self {
        Self {
            builder: builder.retry(client.retry(), client.seed()),
            client,
            observer: Box::new(Unobserved),
            is_observed: false,
            stop: None,
            storage: None,
            resume_from: None,
            settle: None,
            invalid: None,
        }
    }

    fn with(self, change: impl FnOnce(B) -> B) -> Self {
        Self { builder: change(self.builder), ..self }
    }

    fn refuse(mut self, setting: &str, problem: &str) -> Self {
        self.invalid.get_or_insert_with(|| invalid(setting, problem));
        self
    }

    /// Sets how many requests may be in flight at once, all in the caller's task. At most 100,000 are used. The default is one.
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
        self.observer = Box::new(observer);
        self.is_observed = true;
        self
    }

    /// Stops the operation once the future is done: nothing more is sent, the requests in flight are awaited, and the outcome
    /// has halted with [`Halt::Stopped`]. A wait for the next attempt, or for the rate, is left at once.
    pub fn stop_when(mut self, stop: impl Future<Output = ()> + Send + 'a) -> Self {
        self.stop = Some(Box::pin(stop));
        self
    }

    /// Returns the operation, for [`Client::run`]: to look at a request in doubt, or to drive it in parts. It stands where its
    /// checkpoint was taken. The observer, the stores and `stop_when` are dropped.
    ///
    /// # Errors
    /// Returns [`Halt::InvalidSetting`] if a setting cannot be used, and [`Halt::StoreFailed`] if a checkpoint cannot be read.
    pub async fn into_operation(mut self) -> Result<B::Operation, Halt> {
        let stored = self.load().await?;
        self.build(stored).map_err(|(_, halt)| halt)
    }

    /// The checkpoint that the store has.
    async fn load(&mut self) -> Result<Option<Checkpoint>, Halt> {
        if self.invalid.is_some() {
            return Ok(None);
        }
        let Some(mut storage) = self.storage.take() else { return Ok(None) };
        let loaded = match storage.load() {
            Call::Begun => poll_fn(|cx| storage.poll(cx)).await,
            Call::Nothing => Ok(None),
        };
        let loaded = loaded.map_err(|error| Halt::StoreFailed(StoreFailure::new(error)))?;
        self.storage = Some(storage);
        Ok(loaded)
    }

    /// Builds the operation where its checkpoint was taken. If that fails, returns one that has done nothing, and why.
    fn build(&mut self, stored: Option<Checkpoint>) -> Result<B::Operation, (B::Operation, Halt)> {
        if let Some(halt) = self.invalid.take() {
            return Err((self.builder.clone().build(), halt));
        }
        let (setting, checkpoint) = match (stored, self.resume_from.take()) {
            (Some(_), Some(_)) => {
                let halt = invalid("resume_from", "the store holds another checkpoint to continue from");
                return Err((self.builder.clone().build(), halt));
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
            Err(error) => Err((self.builder.clone().build(), invalid(setting, &error.to_string()))),
        }
    }

    /// Builds the operation with what happens around its requests. If it cannot begin, it has halted.
    fn begin(mut self, stored: Result<Option<Checkpoint>, Halt>) -> Running<'a, B::Operation> {
        let built = match stored {
            Ok(stored) => self.build(stored),
            Err(halt) => Err((self.builder.clone().build(), halt)),
        };
        let (mut operation, halt) = match built {
            Ok(operation) => (operation, None),
            Err((operation, halt)) => (operation, Some(halt)),
        };
        let mut driver = Driver::new(self.client, &mut operation);
        driver.stop_when(self.stop);
        driver.store_in(self.storage);
        if let Some(halt) = halt {
            driver.halt(halt);
        }
        Running { operation, observer: self.observer, driver }
    }

    /// Runs the operation to its end.
    ///
    /// The future owns the operation, is `Send`, and may be dropped at any await (by `tokio::time::timeout` or `select!`). The
    /// server may still carry out the requests that were in flight. What a drop loses depends on the operation:
    ///
    /// - *delete*: only the counts. A new delete deletes the rest.
    /// - *resume*, *restart*: which runs were started. A new operation would start all runs again that are still listed. Keep a
    ///   [`checkpoint`](Self::checkpoint): its store has the requests in flight, and they are not sent again before they are
    ///   settled.
    /// - *list*, *get*: what was read.
    ///
    /// To stop without a loss, use [`Self::stop_when`]. To drop without a loss, keep the operation yourself. It counts a request
    /// that was in flight as unconfirmed. See `upstash_dlq_core::client::cancellation`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use upstash_dlq_reqwest::{Client, core::{BulkResume, Event, Halt, Selection}};
    /// # async fn example(client: Client) -> Result<(), Halt> {
    /// let mut resume = client.resume(Selection::Everything).into_operation().await?;
    /// let observer = &mut |_: &BulkResume, event: &Event<_>| println!("{event:?}");
    /// if tokio::time::timeout(Duration::from_secs(60), client.run(&mut resume, observer)).await.is_err() {
    ///     println!("so far: {:?}, checkpoint: {}", resume.totals(), resume.checkpoint().to_json());
    /// }
    /// # Ok(())
    /// # }
    /// ```
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
        if self.storage.is_none() || self.invalid.is_some() {
            return Pages::running(self.begin(Ok(None)));
        }
        let operation = match &self.resume_from {
            Some(checkpoint) => self.builder.clone().resume_from(checkpoint.clone()).ok(),
            None => None,
        };
        let operation = operation.unwrap_or_else(|| self.builder.clone().build());
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

fn invalid(setting: &str, problem: &str) -> Halt {
    Halt::InvalidSetting { setting: setting.to_owned(), problem: problem.to_owned() }
}

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
    /// has halted with [`Halt::StoreFailed`]. A blocking store is wrapped in [`Blocking`](crate::Blocking).
    ///
    /// A request that was in flight when a process ended, or when a future was dropped, may have been carried out. A delete
    /// sends it again. A resume or restart halts with [`Halt::InDoubt`] before it sends anything: see `settle`.
    pub fn checkpoint(mut self, store: impl AsyncCheckpointStore + 'a) -> Self {
        self.storage = Some(Box::new(Checkpoints::new(store)));
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
    /// halted with [`Halt::StoreFailed`]. A blocking store is wrapped in [`Blocking`](crate::Blocking).
    ///
    /// An archived delete has one lane and no checkpoint: to continue, run it again with the same archive. It observes another
    /// operation, so call `observe` after this.
    pub fn archive(mut self, store: impl AsyncArchiveStore + 'a) -> Prepared<'a, ArchivedDeleteBuilder> {
        if self.is_observed {
            self = self.refuse("observe", "call it after `archive`");
        }
        if self.storage.is_some() || self.resume_from.is_some() {
            self = self.refuse("archive", "an archived delete has no checkpoint");
        }
        Prepared {
            client: self.client,
            builder: self.builder.archived(),
            observer: Box::new(Unobserved),
            is_observed: false,
            stop: self.stop,
            storage: Some(Box::new(Archive::new(store))),
            resume_from: None,
            settle: None,
            invalid: self.invalid,
        }
    }
}

/// What a resume and a restart have in common.
macro_rules! starting {
    ($operation:ty) => {
        impl Prepared<'_, BulkBuilder<$operation>> {
            /// Sets the options that the new runs get in place of their old ones.
            pub fn overrides(self, overrides: Overrides) -> Self {
                self.with(|builder| builder.overrides(overrides))
            }

            /// Says whether the requests that a checkpoint has in doubt were carried out, all of them alike. Look first: the
            /// operation of [`Self::into_operation`] tells where
            /// ([`Bulk::in_doubt`](upstash_dlq_core::operation::Bulk::in_doubt)). If they differ, settle them there, one by one.
            pub fn settle(mut self, settlement: Settlement) -> Self {
                self.settle = Some(Box::new(move |operation| while operation.settle(settlement).is_ok() {}));
                self
            }
        }
    };
}

starting!(Resume);
starting!(Restart);

impl<B: OperationBuilder + fmt::Debug> fmt::Debug for Prepared<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("client", &self.client).field("builder", &self.builder).finish_non_exhaustive()
    }
}
