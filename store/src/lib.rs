//! Files for upstash-dlq-core: what was deleted, how far a command came, and which ids it acts on.
//!
#![doc = include_str!("../README.md")]
//!
//! # Design
//!
//! A [`Disk`] is everything that the files ask of an operating system: names in a folder, and files that are read
//! anywhere and appended to. [`RealDisk`] is the one of this machine. A simulation can take its place and stop, tear or
//! refuse any single step. Nothing else in this crate touches the system: no clock, no environment, no state between
//! calls.
//!
//! [`ArchiveFile`] is locked itself, because it only grows. [`CheckpointFile`] is replaced, so the lock is an empty
//! sibling, `.NAME.lock`. A replacement is written to a sibling with a fixed name, `.NAME.tmp`, synced, and renamed; the
//! next [`CheckpointFile::open`] removes what a crash left there. [`IdSpool`] is stored next to its checkpoint as `.NAME.ids`,
//! is written once (through `.NAME.ids-tmp`), and is covered by the checkpoint's lock.
//!
//! A [`StoreError`] is data: a path and a [`Problem`]. It names no option of any command.

mod archive_file;
mod archive_tail;
mod bugs;
mod checkpoint_file;
mod client_stores;
mod digest;
mod disk;
mod error;
mod id_spool;
mod real_disk;

pub use archive_file::{ArchiveFile, FoundArchive};
pub use archive_tail::ArchiveTail;
pub use checkpoint_file::CheckpointFile;
pub use disk::{Access, Disk, Entry, Kind};
pub use error::{NotAnArchive, Problem, StoreError};
pub use id_spool::{IdSpool, IdSpoolWriter};
pub use real_disk::RealDisk;
pub use upstash_dlq_core as core;
