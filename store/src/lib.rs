//! Files for upstash-dlq-core: what was deleted, how far a command came, and which ids it acts on.
//!
#![doc = include_str!("../README.md")]
//!
//! # Tour
//!
//! [Archive](#archive), [checkpoint](#checkpoint), [ids](#ids), [failures](#when-it-fails), [another disk](#design). In each example
//! `folder` is a temporary folder.
//!
//! ## Archive
//!
//! [`ArchiveFile::append`] returns once the messages are on disk. Their runs may be deleted from then on. [`write`](ArchiveFile::write)
//! does not wait for the disk, so that several pages can share one [`sync`](ArchiveFile::sync). A crash may leave half a line. The next
//! [`open`](ArchiveFile::open) cuts it off: its run was not deleted.
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! use upstash_dlq_store::ArchiveFile;
//! use upstash_dlq_store::core::DlqMessage;
//!
//! let path = folder.path().join("runs.ndjson");
//! let mut archive = ArchiveFile::open(&path)?;
//! archive.write(&[DlqMessage::parse(r#"{"dlqId":"a"}"#)?])?;
//! archive.write(&[DlqMessage::parse(r#"{"dlqId":"b"}"#)?])?;
//! archive.sync()?; // both are on disk
//! drop(archive);
//!
//! // A crash in the middle of the next line.
//! std::fs::write(&path, "{\"dlqId\":\"a\"}\n{\"dlqId\":\"b\"}\n{\"dlqId\":\"c")?;
//! let archive = ArchiveFile::open(&path)?;
//! assert!(archive.repaired());
//! assert_eq!(std::fs::read_to_string(&path)?, "{\"dlqId\":\"a\"}\n{\"dlqId\":\"b\"}\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`FoundArchive`] looks first and creates nothing, for a program that asks a person in between.
//!
//! ## Checkpoint
//!
//! [`CheckpointFile`] belongs to one process at a time. Each [`write`](CheckpointFile::write) puts a whole new checkpoint in the place
//! of the old one.
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! use upstash_dlq_store::{CheckpointFile, Problem};
//!
//! let path = folder.path().join("position");
//! let file = CheckpointFile::open(&path)?;
//! assert!(matches!(CheckpointFile::open(&path).unwrap_err().problem, Problem::InUse));
//!
//! assert_eq!(file.read()?, None);
//! file.write("one")?;
//! file.write("two")?;
//! assert_eq!(file.read()?.as_deref(), Some(&b"two\n"[..]));
//! file.remove()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## Ids
//!
//! A checkpoint holds no ids: there may be millions. [`IdSpool`] keeps them in a file next to it, and reads any part of the list without
//! the rest.
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! use upstash_dlq_store::CheckpointFile;
//! use upstash_dlq_store::core::DlqId;
//!
//! let file = CheckpointFile::open(folder.path().join("position"))?;
//! let mut writer = file.new_spool()?;
//! for id in ["a", "b", "c", "b"] {
//!     writer.add(&DlqId::new(id)?)?; // each once
//! }
//! let spool = writer.finish()?;
//! assert_eq!(spool.total(), 3);
//! assert_eq!(spool.read(1, 2)?, [DlqId::new("b")?, DlqId::new("c")?]);
//! assert!(file.spool("another digest").is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ## When it fails
//!
//! A [`StoreError`] is data: a path and a [`Problem`]. It names no option of any command. This crate sends nothing. After an error, what
//! was said to be stored before is still on disk, and nothing that depends on the failed call may be sent. An archive refuses every
//! further append after an error; open it again.
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
