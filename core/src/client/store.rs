//! Where an application keeps archives and checkpoints.
//!
//! A client calls a store before it sends the request that depends on it. If the store fails, the request is not sent, nothing
//! more is sent after it, and the operation halts with [`Halt::StoreFailed`](crate::Halt::StoreFailed). Files for both are in the
//! crate `upstash-dlq-store`. A closure is a store, too.
//!
//! ```
//! use upstash_dlq_core::Checkpoint;
//! use upstash_dlq_core::client::CheckpointStore;
//! fn accepts(_: impl CheckpointStore) {}
//! let mut last = None;
//! accepts(|checkpoint: &Checkpoint| -> Result<(), std::io::Error> {
//!     last = Some(checkpoint.to_json());
//!     Ok(())
//! });
//! ```
//!
//! A type can load and remove checkpoints, too. Its methods may be written as `async fn`:
//!
//! ```
//! use upstash_dlq_core::Checkpoint;
//! use upstash_dlq_core::client::{AsyncCheckpointStore, StoreResult};
//! # struct Database;
//! # impl Database {
//! #     async fn get(&self, _: &str) -> std::io::Result<Option<String>> { Ok(None) }
//! #     async fn put(&self, _: &str, _: String) -> std::io::Result<()> { Ok(()) }
//! #     async fn delete(&self, _: &str) -> std::io::Result<()> { Ok(()) }
//! # }
//! struct Row { database: Database, key: String }
//!
//! impl AsyncCheckpointStore for Row {
//!     async fn load(&mut self) -> StoreResult<Option<Checkpoint>> {
//!         let saved = self.database.get(&self.key).await?;
//!         Ok(saved.map(Checkpoint::from_json).transpose()?)
//!     }
//!
//!     async fn save(&mut self, checkpoint: Checkpoint) -> StoreResult {
//!         Ok(self.database.put(&self.key, checkpoint.to_json()).await?)
//!     }
//!
//!     async fn remove(&mut self) -> StoreResult {
//!         Ok(self.database.delete(&self.key).await?)
//!     }
//! }
//! ```

use crate::checkpoint::format::Checkpoint;
use crate::model::message::DlqMessage;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::error::Error;
use core::future::Future;

/// What a store returns. The error's text is shown to people. It must not hold a secret.
pub type StoreResult<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Keeps the runs that an archived delete deletes afterwards.
///
/// A closure that takes the messages is an archive. To lend a store that is needed afterwards, lend it to a closure:
/// `.archive(|messages: &[DlqMessage]| store.append(messages))`.
///
/// ```
/// use upstash_dlq_core::DlqMessage;
/// use upstash_dlq_core::client::{ArchiveStore, StoreResult};
///
/// #[derive(Default)]
/// struct Memory(Vec<String>);
///
/// impl ArchiveStore for Memory {
///     fn append(&mut self, messages: &[DlqMessage]) -> StoreResult {
///         self.0.extend(messages.iter().map(|message| message.as_json().to_owned()));
///         Ok(())
///     }
/// }
///
/// let mut memory = Memory::default();
/// memory.append(&[DlqMessage::parse(r#"{"dlqId":"a"}"#)?])?;
/// assert_eq!(memory.0, [r#"{"dlqId":"a"}"#]);
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
pub trait ArchiveStore {
    /// Keeps the messages. There is at least one. Once this returns, a crash must not lose them: their runs are then deleted.
    ///
    /// # Errors
    /// After an error, none of these runs is deleted, and nothing is sent any more.
    fn append(&mut self, messages: &[DlqMessage]) -> StoreResult;

    /// Called once when the operation ends, complete or not, if at least one run was kept. Checks that everything is still kept. By
    /// default it does nothing.
    ///
    /// # Errors
    /// An error halts the operation. Runs that were kept may be deleted already.
    fn finish(&mut self) -> StoreResult {
        Ok(())
    }
}

/// Keeps the runs that an archived delete deletes afterwards. The async twin of [`ArchiveStore`].
///
/// A closure that takes the messages and returns a future is an archive.
pub trait AsyncArchiveStore: Send {
    /// See [`ArchiveStore::append`].
    ///
    /// # Errors
    /// See [`ArchiveStore::append`].
    fn append(&mut self, messages: Vec<DlqMessage>) -> impl Future<Output = StoreResult> + Send;

    /// See [`ArchiveStore::finish`].
    ///
    /// # Errors
    /// See [`ArchiveStore::finish`].
    fn finish(&mut self) -> impl Future<Output = StoreResult> + Send {
        async { Ok(()) }
    }
}

/// Keeps the checkpoint of an operation. Each one replaces the one before.
///
/// A closure that takes a checkpoint is a store that only saves.
pub trait CheckpointStore {
    /// Returns the checkpoint that an earlier process has left. The operation then continues from it. By default there is none.
    ///
    /// # Errors
    /// After an error, nothing is sent.
    fn load(&mut self) -> StoreResult<Option<Checkpoint>> {
        Ok(None)
    }

    /// Keeps the checkpoint. Called before each request, with that request in flight, and when the operation stops short. Once
    /// this returns, a crash must not lose it.
    ///
    /// # Errors
    /// After an error, the request is not sent, and nothing is sent any more.
    fn save(&mut self, checkpoint: &Checkpoint) -> StoreResult;

    /// Removes the checkpoint. Called once, after the operation was completed and before its outcome is returned. By default it does
    /// nothing.
    ///
    /// If the process dies in between, the outcome is lost, and the next process begins anew: a resume then starts whatever is still
    /// listed. To avoid that, do nothing here, and remove the checkpoint yourself once you have dealt with the outcome. Until then,
    /// the last checkpoint holds the last request as in flight. The next process sends a delete again, and says that a start is in
    /// doubt.
    ///
    /// # Errors
    /// An error halts the operation, although all of it is done.
    fn remove(&mut self) -> StoreResult {
        Ok(())
    }
}

/// Keeps the checkpoint of an operation. The async twin of [`CheckpointStore`].
///
/// A closure that takes a checkpoint and returns a future is a store that only saves.
pub trait AsyncCheckpointStore: Send {
    /// See [`CheckpointStore::load`].
    ///
    /// # Errors
    /// See [`CheckpointStore::load`].
    fn load(&mut self) -> impl Future<Output = StoreResult<Option<Checkpoint>>> + Send {
        async { Ok(None) }
    }

    /// See [`CheckpointStore::save`].
    ///
    /// # Errors
    /// See [`CheckpointStore::save`].
    fn save(&mut self, checkpoint: Checkpoint) -> impl Future<Output = StoreResult> + Send;

    /// See [`CheckpointStore::remove`].
    ///
    /// # Errors
    /// See [`CheckpointStore::remove`].
    fn remove(&mut self) -> impl Future<Output = StoreResult> + Send {
        async { Ok(()) }
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>, F: FnMut(&[DlqMessage]) -> Result<(), E>> ArchiveStore for F {
    fn append(&mut self, messages: &[DlqMessage]) -> StoreResult {
        self(messages).map_err(Into::into)
    }
}

impl<E, T, F> AsyncArchiveStore for F
where
    E: Into<Box<dyn Error + Send + Sync>>,
    T: Future<Output = Result<(), E>> + Send,
    F: FnMut(Vec<DlqMessage>) -> T + Send,
{
    fn append(&mut self, messages: Vec<DlqMessage>) -> impl Future<Output = StoreResult> + Send {
        let kept = self(messages);
        async move { kept.await.map_err(Into::into) }
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>, F: FnMut(&Checkpoint) -> Result<(), E>> CheckpointStore for F {
    fn save(&mut self, checkpoint: &Checkpoint) -> StoreResult {
        self(checkpoint).map_err(Into::into)
    }
}

impl<E, T, F> AsyncCheckpointStore for F
where
    E: Into<Box<dyn Error + Send + Sync>>,
    T: Future<Output = Result<(), E>> + Send,
    F: FnMut(Checkpoint) -> T + Send,
{
    fn save(&mut self, checkpoint: Checkpoint) -> impl Future<Output = StoreResult> + Send {
        let kept = self(checkpoint);
        async move { kept.await.map_err(Into::into) }
    }
}
