//! Cancellation: what it means to stop an operation, to drop it, or to be killed.
//!
//! An operation knows at any moment what is done, what is unknown, and what comes next. It counts a request as in flight from
//! the moment `poll` returns it. So you can stop at any point and ask the operation how it stands. You lose that only if you drop
//! the operation itself. Three ways lead out of a running operation:
//!
//! | way | requests in flight | what is kept |
//! |---|---|---|
//! | **Stop**: `stop_when`, or an [`Observer`](crate::Observer) that breaks | are awaited | everything: the outcome has halted with [`Halt::Stopped`](crate::Halt::Stopped), and holds a checkpoint |
//! | **Drop**: a future or a stream is dropped, by a timeout or `select!` | are unknown | what the caller holds: the operation given to `Client::run`, or the last checkpoint in a store |
//! | **Kill**: the process ends | are unknown | the last checkpoint in a store |
//!
//! Prefer to stop. It costs the time of one request and leaves nothing in doubt.
//!
//! # What an unknown request means
//!
//! - **List, get, count**: nothing. The request is sent again.
//! - **Delete**: the runs of that request may be deleted. To delete again is harmless. The request is sent again, and counts as
//!   unconfirmed, so [`affected`](crate::Totals::affected) is a lower bound.
//! - **Archived delete**: the same. Every run that was deleted is in the archive, since the archive comes first. A run can be in
//!   the archive twice: once from before, once after.
//! - **Resume, restart**: the runs of that request may have been started. To send it again could start them twice. The operation
//!   halts with [`Halt::InDoubt`](crate::Halt::InDoubt) before it sends anything else. Look
//!   ([`Bulk::in_doubt`](crate::operation::Bulk::in_doubt) says where), then say what you found
//!   ([`Bulk::settle`](crate::operation::Bulk::settle)).
//! - **Calls**: if [`Call::RETRY_SAFE`](crate::wire::Call::RETRY_SAFE) is true, the call is sent again, as for a delete. Otherwise it
//!   halts, as for a resume. [`Halt::may_have_changed`](crate::Halt::may_have_changed) says whether it may have been carried out.
//!
//! # How to drop and lose nothing
//!
//! - Keep the operation. `Client::run(&mut operation, …)` borrows it. After a drop, drive it again: it counts what was in flight
//!   as unknown, and goes on. A wait that was ordered by the server still holds.
//! - Or keep a checkpoint. With a [`CheckpointStore`](crate::client::CheckpointStore), a checkpoint with the request in flight is
//!   stored before that request is sent. Another process, or the same one, goes on from there.
//! - Or turn the stream back: `Pages::into_operation` gives the operation at any time, with the request in flight as unknown. Its
//!   store keeps the last checkpoint. Remove that when the operation is complete.
//!
//! A `run()` that owns its operation and has no store loses its counts when it is dropped. A delete can simply be run again. A
//! resume or restart should not: what it asked for without a response is known to nobody then.
//!
//! # Where a drop can happen
//!
//! A drop can happen at any await of a driver. It leaves this behind:
//!
//! - before a checkpoint is stored: the request was not sent, but counts as unknown;
//! - while a checkpoint is being stored: the store has the old one or the new one. In both cases the request was not sent;
//! - while a request is in flight: it counts as unknown;
//! - while an archive keeps a batch: none of it is deleted. The next process lists and archives it again;
//! - in a wait: nothing is in doubt;
//! - while the checkpoint of a complete operation is removed: it is complete, and only its outcome is lost. To run it again is to
//!   begin anew. A resume then starts whatever is still listed.
//!
//! The futures of our clients hold no lock and start no task that goes on without them. One exception: an archive or checkpoint on
//! a thread for blocking work finishes the write that it has begun. Until then its file is still locked. To open it again at once can
//! fail, because it is in use: keep one store and share it, or try again.
