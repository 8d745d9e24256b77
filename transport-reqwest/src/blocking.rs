//! Stores that block, on a thread where they may.

use std::fmt;
use std::sync::{Arc, Mutex};
use upstash_dlq_core::client::{ArchiveStore, AsyncArchiveStore, AsyncCheckpointStore, CheckpointStore, StoreResult};
use upstash_dlq_core::{Checkpoint, DlqMessage};

/// Makes an async store of a blocking one: each call is made on a thread of [`tokio::task::spawn_blocking`].
///
/// ```
/// # use upstash_dlq_reqwest::{Blocking, Client, core::{ArchivedDelete, DlqMessage, Incomplete, Selection}};
/// # async fn example(client: Client) -> Result<(), Incomplete> {
/// let print = |messages: &[DlqMessage]| -> std::io::Result<()> {
///     messages.iter().for_each(|message| println!("{}", message.as_json()));
///     Ok(())
/// };
/// client.delete(Selection::Everything).archive(Blocking::new(print)).run().await.into_result()?;
/// # Ok(())
/// # }
/// ```
///
/// A call that has begun goes on when its future is dropped. A call that panics is an error, and so is every call after it.
pub struct Blocking<S>(Arc<Mutex<S>>);

impl<S: Send + 'static> Blocking<S> {
    /// Wraps a blocking store.
    pub fn new(store: S) -> Self {
        Self(Arc::new(Mutex::new(store)))
    }

    async fn call<T: Send + 'static>(
        &mut self,
        call: impl FnOnce(&mut S) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let store = Arc::clone(&self.0);
        let call = move || match store.lock() {
            Ok(mut store) => call(&mut store),
            Err(_) => Err("the store panicked before".into()),
        };
        tokio::task::spawn_blocking(call).await?
    }
}

impl<S: ArchiveStore + Send + 'static> AsyncArchiveStore for Blocking<S> {
    async fn append(&mut self, messages: Vec<DlqMessage>) -> StoreResult {
        self.call(move |store| store.append(&messages)).await
    }

    async fn finish(&mut self) -> StoreResult {
        self.call(S::finish).await
    }
}

impl<S: CheckpointStore + Send + 'static> AsyncCheckpointStore for Blocking<S> {
    async fn load(&mut self) -> StoreResult<Option<Checkpoint>> {
        self.call(S::load).await
    }

    async fn save(&mut self, checkpoint: Checkpoint) -> StoreResult {
        self.call(move |store| store.save(&checkpoint)).await
    }

    async fn remove(&mut self) -> StoreResult {
        self.call(S::remove).await
    }
}

impl<S> fmt::Debug for Blocking<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking").finish_non_exhaustive()
    }
}
