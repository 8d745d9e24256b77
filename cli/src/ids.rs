//! Ids from the command line and from a file of any length: checked whole, then read again part by part.

use crate::selection::in_words_of_the_command;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use upstash_dlq_core::{Bulk, DlqId, FingerprintOfMany, Ids, Selection, Verb};

/// So many ids are held at a time.
const PART: usize = 10_000;
/// No line is longer, in bytes: an id has 1,024 at most.
const MAX_LINE: u64 = 4_096;

#[derive(Debug)]
pub(crate) struct IdList {
    given: Vec<DlqId>,
    file: Option<(PathBuf, File)>,
    /// How many ids there are, those that occur twice counted twice where the list is long.
    total: u64,
    fingerprint: FingerprintOfMany,
    /// Where the last part ended, so that the next does not read the file from its start again.
    place: Place,
}

/// So many ids lie before this byte, in so many lines.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    ids: u64,
    bytes: u64,
    lines: u64,
}

impl IdList {
    /// Reads it all once, and says which line is wrong.
    pub(crate) fn check(given: &[String], from: Option<&Path>) -> Result<Self, String> {
        let given = given.iter().map(|id| DlqId::new(id.as_str()).map_err(|e| in_words_of_the_command(&e)));
        let mut list = Self {
            given: given.collect::<Result<_, _>>()?,
            file: from.map(|path| Ok::<_, String>((path.to_owned(), open(path)?))).transpose()?,
            total: 0,
            fingerprint: FingerprintOfMany::default(),
            place: Place::default(),
        };
        let mut total = 0;
        let mut fingerprint = FingerprintOfMany::default();
        list.each(0, |id| {
            total += 1;
            fingerprint.add(id.as_str());
            true
        })?;
        if total == 0 {
            return Err("--ids-from: holds no id: there is nothing to do, and nothing was sent".into());
        }
        list.total = total;
        list.fingerprint = fingerprint;
        Ok(list)
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The same, but for a short list without the ids that occur twice.
    pub(crate) fn total_of<V: Verb>(&self, bulk: &Bulk<V>) -> u64 {
        match bulk.selection() {
            Selection::Ids(ids) if self.is_short() => ids.len() as u64,
            _ => self.total,
        }
    }

    pub(crate) fn fingerprint(&self) -> &FingerprintOfMany {
        &self.fingerprint
    }

    /// Whether one part holds them all.
    pub(crate) fn is_short(&self) -> bool {
        self.total <= PART as u64
    }

    /// The ids after the first `before`, as many as one part holds, and how many of the list that are: one that occurs
    /// twice in a part is taken once. `None` where there are none.
    pub(crate) fn part(&mut self, before: u64) -> Result<Option<(Ids, u64)>, String> {
        let mut ids = Vec::new();
        self.each(before, |id| {
            ids.push(id);
            ids.len() < PART
        })?;
        let taken = ids.len() as u64;
        if ids.is_empty() {
            return Ok(None);
        }
        Ids::new(ids).map(|ids| Some((ids, taken))).map_err(|e| in_words_of_the_command(&e))
    }

    /// Each id but the first `skip`, until `visit` has seen enough.
    fn each(&mut self, skip: u64, mut visit: impl FnMut(DlqId) -> bool) -> Result<(), String> {
        let given = self.given.len() as u64;
        for id in self.given.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)) {
            if !visit(id.clone()) {
                return Ok(());
            }
        }
        // Of the file's own ids.
        let skip = skip.saturating_sub(given);
        let mut place = if self.place.ids <= skip { self.place } else { Place::default() };
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        let shown = crate::private_file::shown(path);
        let unreadable = |error: std::io::Error| format!("--ids-from: {shown} cannot be read: {error}");
        file.seek(SeekFrom::Start(place.bytes)).map_err(unreadable)?;
        let mut reader = BufReader::with_capacity(64 * 1024, file);
        let mut line = String::new();
        loop {
            line.clear();
            let read = Read::by_ref(&mut reader).take(MAX_LINE).read_line(&mut line).map_err(unreadable)?;
            if read == 0 {
                break;
            }
            place.bytes += read as u64;
            place.lines += 1;
            let text = if place.lines == 1 { line.strip_prefix('\u{feff}').unwrap_or(&line) } else { &line };
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            place.ids += 1;
            if place.ids <= skip {
                continue;
            }
            let id = DlqId::new(text).map_err(|error| {
                let problem = in_words_of_the_command(&error);
                format!("--ids-from: {shown}, line {}: {problem}", place.lines)
            })?;
            if !visit(id) {
                break;
            }
        }
        self.place = place;
        Ok(())
    }
}

/// Something that can be read twice: what cannot is copied first.
fn open(path: &Path) -> Result<File, String> {
    let unreadable =
        |error: std::io::Error| format!("--ids-from: {} cannot be read: {error}", crate::private_file::shown(path));
    let spool = |mut from: Box<dyn Read>| {
        let mut copy = tempfile::tempfile()?;
        std::io::copy(&mut from, &mut copy)?;
        Ok(copy)
    };
    if path == Path::new("-") {
        return spool(Box::new(std::io::stdin().lock())).map_err(unreadable);
    }
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_file() { Ok(file) } else { spool(Box::new(file)).map_err(unreadable) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_one_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ids");
        let lines: Vec<String> = (0..25_000).map(|n| format!("id-{n}\r\n")).collect();
        std::fs::write(&path, format!("\u{feff}\n{}", lines.concat())).unwrap();
        let mut list = IdList::check(&["first".into()], Some(&path)).unwrap();
        assert!(list.total() == 25_001 && !list.is_short());
        let mut seen = Vec::new();
        while let Some((ids, taken)) = list.part(seen.len() as u64).unwrap() {
            assert!(ids.len() <= PART && taken == ids.len() as u64);
            seen.extend(ids.as_slice().iter().map(ToString::to_string));
        }
        assert_eq!(seen.len(), 25_001);
        assert_eq!((seen[0].as_str(), seen[1].as_str(), seen[25_000].as_str()), ("first", "id-0", "id-24999"));
        std::fs::write(&path, format!("{}x,y\n", lines.concat())).unwrap();
        assert!(IdList::check(&[], Some(&path)).unwrap_err().contains("line 25001"));
    }
}
