//! From the words of the command line to a selection.

use crate::args::SelectionArgs;
use crate::time::Age;
use std::io::Read;
use std::path::Path;
use upstash_dlq_core::{DlqId, Endpoint, Fingerprint, Ids, Selection, SelectionError, UnixMillis};

/// No file of ids is read beyond this many bytes: some ten million ids.
const MAX_IDS_FILE: u64 = 512 * 1024 * 1024;

impl SelectionArgs {
    /// The selection with its times resolved.
    pub(crate) fn resolve(&self, now: Age) -> Result<Selection, String> {
        let ids_given = !self.ids.is_empty() || self.ids_from.is_some();
        let ids_flag = if self.ids.is_empty() { "--ids-from" } else { "ids" };
        match (ids_given, self.filters.first_given(), self.all) {
            (true, Some(flag), _) => Err(format!(
                "{ids_flag} and {flag} cannot be combined: the service would ignore the filter; give one of them"
            )),
            (true, None, true) => Err(format!("{ids_flag} and --all cannot be combined: give one of them")),
            (false, Some(flag), true) => {
                Err(format!("--all and {flag} cannot be combined: leave out --all for what matches"))
            }
            (false, None, false) => {
                Err("nothing is selected: give ids, a filter such as --label, or --all for every run".into())
            }
            (true, None, false) => self.ids().map(Selection::Ids),
            (false, Some(_), false) => self.filters.build(now).map(Selection::Filter),
            (false, None, true) => Selection::Everything.until(now.now()).map_err(|e| in_words_of_the_command(&e)),
        }
    }

    fn ids(&self) -> Result<Ids, String> {
        let mut ids = Vec::with_capacity(self.ids.len());
        for id in &self.ids {
            ids.push(DlqId::new(id.as_str()).map_err(|e| in_words_of_the_command(&e))?);
        }
        if let Some(path) = &self.ids_from {
            read_ids(path, &mut ids)?;
        }
        if ids.is_empty() {
            return Err("--ids-from: holds no id: there is nothing to do, and nothing was sent".into());
        }
        Ids::new(ids).map_err(|e| in_words_of_the_command(&e))
    }

    /// Whether standard input holds ids, so that nobody can be asked there.
    pub(crate) fn reads_standard_input(&self) -> bool {
        self.ids_from.as_deref() == Some(Path::new("-"))
    }

    /// Of the words as they were given: "7d" stays "7d" tomorrow.
    pub(crate) fn fingerprint(&self, endpoint: &Endpoint, selection: &Selection) -> Fingerprint {
        match selection {
            Selection::Ids(_) => Fingerprint::of(endpoint, selection),
            _ if self.filters.is_empty() => Fingerprint::of(endpoint, &Selection::Everything),
            _ => Fingerprint::of_pairs(endpoint, self.filters.words()),
        }
    }
}

fn read_ids(path: &Path, ids: &mut Vec<DlqId>) -> Result<(), String> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| format!("--ids-from: {shown} cannot be read: {error}");
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_IDS_FILE + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).map_err(unreadable)?.take(MAX_IDS_FILE + 1).read_to_string(&mut text)
    };
    if read.map_err(unreadable)? as u64 > MAX_IDS_FILE {
        return Err(format!("--ids-from: {shown} is larger than 512 MiB: split it"));
    }
    for (number, line) in text.strip_prefix('\u{feff}').unwrap_or(&text).lines().enumerate() {
        let id = line.trim();
        if !id.is_empty() {
            ids.push(
                DlqId::new(id).map_err(|e| {
                    format!("--ids-from: {shown}, line {}: {}", number + 1, in_words_of_the_command(&e))
                })?,
            );
        }
    }
    Ok(())
}

/// The same sentence, with the flag's name instead of the field's.
pub(crate) fn in_words_of_the_command(error: &SelectionError) -> String {
    let flag = match error.field() {
        "dlqIds" => "id",
        "fromDate" => "--from",
        "toDate" => "--to",
        "workflowUrl" => "--workflow-url",
        "workflowRunId" => "--workflow-run-id",
        "workflowCreatedAt" => "--workflow-created-at",
        "label" => "--label",
        "failureFunctionState" => "--failure-function-state",
        "callerIp" => "--caller-ip",
        "flowControlKey" => "--flow-control-key",
        other => other,
    };
    with_flag(error, flag).replace("lies after toDate", "lies after --to (now, unless it is given)")
}

pub(crate) fn with_flag(error: &SelectionError, flag: &str) -> String {
    let sentence = error.to_string();
    format!("{flag}{}", sentence.strip_prefix(error.field()).unwrap_or(&sentence))
}

/// The resolved times, which the result repeats.
pub(crate) fn window(selection: &Selection) -> (Option<UnixMillis>, Option<UnixMillis>) {
    match selection {
        Selection::Filter(filter) => (filter.from(), filter.to()),
        Selection::Ids(_) | Selection::Everything => (None, None),
    }
}
