//! The real disk, one counted step at a time: it can fail a step, stop there for good as a killed process does, or let
//! somebody else act right before one.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use upstash_dlq_store::{Access, Disk, Entry, Kind, RealDisk};

#[derive(Clone, Debug, Default)]
pub(crate) struct StepDisk(Rc<RefCell<Steps>>);

#[derive(Debug, Default)]
struct Steps {
    /// What changed something, or made it lasting.
    done: Vec<String>,
    trouble: Option<Trouble>,
    interference: Option<Interference>,
    synced_folders: Vec<PathBuf>,
    /// A signal interrupts the next append.
    interrupts: bool,
    /// Files may only be appended to.
    appends_only: bool,
    /// Why no folder can be synced.
    closed_folders: Option<ErrorKind>,
    /// All files belong to somebody else.
    trusts_nobody: bool,
}

/// What somebody else does right before the next step of a kind.
struct Interference {
    before: Before,
    act: Box<dyn FnOnce()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    Create,
    Open,
    Lock,
    Sync,
    /// Before a folder is synced.
    Folder,
    /// At an open file.
    Look,
}

impl fmt::Debug for Interference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.before)
    }
}

#[derive(Clone, Copy, Debug)]
struct Trouble {
    /// The step that fails, counted from 0.
    at: usize,
    /// All that follow fail, too.
    for_good: bool,
    /// Half of an append has been written; the rest fails.
    halved: bool,
}

impl StepDisk {
    pub(crate) fn failing_at(at: usize) -> Self {
        Self::with_trouble(Trouble { at, for_good: false, halved: false })
    }

    pub(crate) fn append_only() -> Self {
        Self(Rc::new(RefCell::new(Steps { appends_only: true, ..Steps::default() })))
    }

    pub(crate) fn with_closed_folders(why: ErrorKind) -> Self {
        Self(Rc::new(RefCell::new(Steps { closed_folders: Some(why), ..Steps::default() })))
    }

    pub(crate) fn untrusting() -> Self {
        Self(Rc::new(RefCell::new(Steps { trusts_nobody: true, ..Steps::default() })))
    }

    pub(crate) fn stopping_at(at: usize) -> Self {
        Self::with_trouble(Trouble { at, for_good: true, halved: false })
    }

    fn with_trouble(trouble: Trouble) -> Self {
        Self(Rc::new(RefCell::new(Steps { trouble: Some(trouble), ..Steps::default() })))
    }

    /// A signal comes during the next append, before anything is written.
    pub(crate) fn interrupt(&self) {
        self.0.borrow_mut().interrupts = true;
    }

    /// The folders whose names are lasting.
    pub(crate) fn synced_folders(&self) -> Vec<PathBuf> {
        self.0.borrow().synced_folders.clone()
    }

    /// Somebody else acts once.
    pub(crate) fn interfere(&self, before: Before, act: impl FnOnce() + 'static) {
        self.0.borrow_mut().interference = Some(Interference { before, act: Box::new(act) });
    }

    /// True if somebody was to act and has not.
    pub(crate) fn awaits_interference(&self) -> bool {
        self.0.borrow().interference.is_some()
    }

    fn let_others_act(&self, before: Before) {
        let interference = self.0.borrow_mut().interference.take_if(|interference| interference.before == before);
        if let Some(interference) = interference {
            (interference.act)();
        }
    }

    /// What was done since this was last asked.
    pub(crate) fn take_steps(&self) -> Vec<String> {
        std::mem::take(&mut self.0.borrow_mut().done)
    }

    fn step(&self, what: &str, path: Option<&Path>) -> Result<()> {
        let name =
            path.and_then(Path::file_name).map(|name| format!(" {}", name.to_string_lossy())).unwrap_or_default();
        let mut steps = self.0.borrow_mut();
        let number = steps.done.len();
        steps.done.push(format!("{what}{name}"));
        match steps.trouble {
            Some(Trouble { at, for_good, .. }) if number == at || (for_good && number > at) => {
                Err(ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }

    /// True once, for the append at which the trouble begins: it writes half, and the rest fails.
    fn halves(&self) -> bool {
        let mut steps = self.0.borrow_mut();
        let number = steps.done.len();
        match &mut steps.trouble {
            Some(trouble) if trouble.at == number && !trouble.halved => {
                trouble.halved = true;
                trouble.at += 1;
                true
            }
            _ => false,
        }
    }
}

impl Disk for StepDisk {
    type File = File;

    fn kind(&self, path: &Path) -> Result<Option<Kind>> {
        RealDisk.kind(path)
    }

    fn can_create_in(&self, folder: &Path) -> Result<()> {
        RealDisk.can_create_in(folder)
    }

    fn open(&self, path: &Path, access: Access) -> Result<File> {
        self.let_others_act(Before::Open);
        RealDisk.open(path, access)
    }

    fn create_new(&self, path: &Path) -> Result<File> {
        self.let_others_act(Before::Create);
        self.step("create", Some(path))?;
        RealDisk.create_new(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.step("rename", Some(to))?;
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        if RealDisk.kind(path)?.is_some() {
            self.step("remove", Some(path))?;
        }
        RealDisk.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> Result<()> {
        self.let_others_act(Before::Folder);
        if let Some(why) = self.0.borrow().closed_folders {
            return Err(why.into());
        }
        self.step("sync folder", None)?;
        self.0.borrow_mut().synced_folders.push(folder.to_owned());
        RealDisk.sync_folder(folder)
    }

    fn try_lock(&self, file: &File) -> Result<bool> {
        self.let_others_act(Before::Lock);
        RealDisk.try_lock(file)
    }

    fn make_private(&self, file: &File) -> Result<()> {
        if self.0.borrow().appends_only {
            return Err(ErrorKind::PermissionDenied.into());
        }
        RealDisk.make_private(file)
    }

    fn is_trusted(&self, file: &File, path: &Path) -> Result<bool> {
        Ok(!self.0.borrow().trusts_nobody && RealDisk.is_trusted(file, path)?)
    }

    fn entry(&self, file: &File) -> Result<Entry> {
        self.let_others_act(Before::Look);
        RealDisk.entry(file)
    }

    fn is_at(&self, file: &File, path: &Path) -> Result<bool> {
        RealDisk.is_at(file, path)
    }

    fn read_at(&self, file: &File, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        RealDisk.read_at(file, offset, buffer)
    }

    fn append(&self, file: &File, bytes: &[u8]) -> Result<usize> {
        if std::mem::take(&mut self.0.borrow_mut().interrupts) {
            return Err(ErrorKind::Interrupted.into());
        }
        let written = if bytes.len() > 1 && self.halves() { &bytes[..bytes.len() / 2] } else { bytes };
        self.step("append", None)?;
        RealDisk.append(file, written)
    }

    fn rewrite_byte(&self, file: &File, path: &Path, offset: u64, byte: u8) -> Result<()> {
        self.step("rewrite byte", None)?;
        if self.0.borrow().appends_only {
            return Err(ErrorKind::PermissionDenied.into());
        }
        RealDisk.rewrite_byte(file, path, offset, byte)
    }

    fn truncate(&self, file: &File, len: u64) -> Result<()> {
        self.step("truncate", None)?;
        RealDisk.truncate(file, len)
    }

    fn sync(&self, file: &File) -> Result<()> {
        self.let_others_act(Before::Sync);
        self.step("sync", None)?;
        RealDisk.sync(file)
    }
}
