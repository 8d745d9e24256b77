//! A list of ids that is read back from its file.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use upstash_dlq_store::{Access, CheckpointFile, Disk, Entry, Kind};

/// Two bytes of where to begin and how many, then a list: what was written is read back, and nothing else is.
///
/// After a byte of 0 the rest stands for the file itself: whatever it holds, it is read, and refused, since its digest is another.
pub fn id_spool(data: &[u8]) {
    let Some((&[before, count, kind], rest)) = data.split_first_chunk() else { return };
    let disk = Memory::default();
    let file = CheckpointFile::open_on(disk.clone(), "/c").expect("nothing is there");
    if kind == 0 {
        disk.0.borrow_mut().insert("/.c.ids".into(), Rc::new(RefCell::new(rest.to_vec())));
        let spool = file.spool("00000000000000000000000000000000");
        assert!(spool.is_err(), "the digest of nothing fits {rest:?}");
        return;
    }
    let ids = rest.split(|byte| *byte == b'\n').filter_map(|id| std::str::from_utf8(id).ok());
    let mut written = Vec::new();
    let mut writer = file.new_spool().expect("there is room");
    for id in ids.filter_map(|id| upstash_dlq_store::core::DlqId::new(id).ok()) {
        if writer.add(&id).expect("there is room") {
            assert!(!written.contains(&id));
            written.push(id);
        } else {
            assert!(written.contains(&id));
        }
    }
    let digest = writer.finish().expect("there is room").digest();
    let spool = file.spool(&digest).expect("it was just written");
    assert_eq!(spool.total(), written.len() as u64);
    let (from, count) = (usize::from(before), usize::from(count));
    let read = spool.read(from as u64, count).expect("nothing has changed");
    let expected = written.get(from..).unwrap_or_default();
    assert_eq!(read, expected.get(..count.min(expected.len())).unwrap_or_default());
    // Any other byte in it is noticed.
    let bytes = disk.0.borrow().get(Path::new("/.c.ids")).map(Rc::clone).expect("it was put there");
    let len = bytes.borrow().len();
    let at = (from * 251 + count) % len.max(1);
    if let Some(byte) = bytes.borrow_mut().get_mut(at) {
        *byte ^= 1;
    }
    assert!(file.spool(&digest).is_err(), "byte {at} of {len} has changed");
}

type Bytes = Rc<RefCell<Vec<u8>>>;

/// Files in memory, for one process that has no trouble.
#[derive(Clone, Debug, Default)]
struct Memory(Rc<RefCell<BTreeMap<PathBuf, Bytes>>>);

impl Disk for Memory {
    type File = Bytes;

    fn kind(&self, path: &Path) -> Result<Option<Kind>> {
        Ok(self.0.borrow().contains_key(path).then_some(Kind::File))
    }

    fn can_create_in(&self, _folder: &Path) -> Result<()> {
        Ok(())
    }

    fn open(&self, path: &Path, _access: Access) -> Result<Bytes> {
        self.0.borrow().get(path).map(Rc::clone).ok_or_else(|| Error::from(ErrorKind::NotFound))
    }

    fn create_new(&self, path: &Path) -> Result<Bytes> {
        let file = Bytes::default();
        self.0.borrow_mut().insert(path.to_owned(), Rc::clone(&file));
        Ok(file)
    }

    fn make_private(&self, _file: &Bytes) -> Result<()> {
        Ok(())
    }

    fn is_trusted(&self, _file: &Bytes, _path: &Path) -> Result<bool> {
        Ok(true)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let file = self.0.borrow_mut().remove(from).ok_or(ErrorKind::NotFound)?;
        self.0.borrow_mut().insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.0.borrow_mut().remove(path).map(drop).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn sync_folder(&self, _folder: &Path) -> Result<()> {
        Ok(())
    }

    fn try_lock(&self, _file: &Bytes) -> Result<bool> {
        Ok(true)
    }

    fn entry(&self, file: &Bytes) -> Result<Entry> {
        Ok(Entry { kind: Kind::File, len: file.borrow().len() as u64 })
    }

    fn is_at(&self, file: &Bytes, path: &Path) -> Result<bool> {
        Ok(self.0.borrow().get(path).is_some_and(|there| Rc::ptr_eq(there, file)))
    }

    fn read_at(&self, file: &Bytes, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let bytes = file.borrow();
        let rest = usize::try_from(offset).ok().and_then(|from| bytes.get(from..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer.iter_mut().zip(rest).for_each(|(to, byte)| *to = *byte);
        Ok(count)
    }

    fn append(&self, file: &Bytes, bytes: &[u8]) -> Result<usize> {
        file.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn rewrite_byte(&self, _file: &Bytes, _path: &Path, _offset: u64, _byte: u8) -> Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn truncate(&self, file: &Bytes, len: u64) -> Result<()> {
        file.borrow_mut().truncate(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(())
    }

    fn sync(&self, _file: &Bytes) -> Result<()> {
        Ok(())
    }
}
