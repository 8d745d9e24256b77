//! Sentences that several commands share.

use crate::output::text::shown;
use serde::Deserialize;
use std::path::Path;
use upstash_dlq_core::checkpoint::CheckpointError;
use upstash_dlq_core::engine::Cause;
use upstash_dlq_core::model::Escaped;
use upstash_dlq_core::wire::{BulkOperation, ResponseError};
use upstash_dlq_core::{DlqId, Endpoint, Halt};

/// The words for one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VerbText {
    /// `delete`
    pub(crate) infinitive: &'static str,
    /// `deleted`
    pub(crate) done: &'static str,
    /// `Deleted`
    pub(crate) done_at_start: &'static str,
    /// The end of the question.
    pub(crate) warning: &'static str,
}

pub(crate) const DELETE: VerbText =
    VerbText { infinitive: "delete", done: "deleted", done_at_start: "Deleted", warning: "This cannot be undone." };
pub(crate) const RESUME: VerbText =
    VerbText { infinitive: "resume", done: "resumed", done_at_start: "Resumed", ..START };
pub(crate) const RESTART: VerbText =
    VerbText { infinitive: "restart", done: "restarted", done_at_start: "Restarted", ..START };

/// What resume and restart have in common.
const START: VerbText = VerbText { infinitive: "", done: "", done_at_start: "", warning: "Each becomes a new run." };

impl VerbText {
    pub(crate) fn of<V: BulkOperation>() -> Self {
        [DELETE, RESUME, RESTART].into_iter().find(|words| words.infinitive == V::NAME).unwrap_or(DELETE)
    }
}

/// How to continue a delete, or anything with a checkpoint.
pub(crate) const AGAIN: &str = "run the same command again to continue";

pub(crate) const OTHER_LIST: &str =
    "--checkpoint: belongs to a longer list of ids: give the same list again, or another file";

/// Why a checkpoint file cannot be used. `text` is what the file holds, if it could not be parsed. The sentence suggests to
/// remove a file only if it is surely a checkpoint.
pub(crate) fn checkpoint(error: &CheckpointError, text: Option<&[u8]>, path: &Path) -> String {
    #[derive(Deserialize)]
    struct Versioned {
        #[serde(rename = "version")]
        _version: u32,
    }
    let path = shown(path);
    // A file that was cut short is not JSON any more.
    let begins = |text: &[u8]| {
        text.strip_prefix(b"{\"version\":").is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit))
    };
    let is_one = |text: &[u8]| begins(text) || serde_json::from_slice::<Versioned>(text).is_ok();
    let problem = match (error, text) {
        (CheckpointError::Damaged(_), Some([])) => "is empty: give another file".to_owned(),
        (CheckpointError::Damaged(_), Some(text)) if !is_one(text) => {
            "is not a checkpoint: give another file".to_owned()
        }
        (CheckpointError::Damaged(problem), _) => {
            format!("cannot be read ({}): give another file, or remove it to start over", Escaped(problem))
        }
        (CheckpointError::Version(version), _) => {
            format!("was written by another version of upstash-dlq (format {version}): use that version, or give another file")
        }
        (CheckpointError::OtherOperation(operation), _) => {
            format!("belongs to a {}: repeat the command that made it, or give another file", Escaped(operation))
        }
        (CheckpointError::OtherSelection, _) => {
            "was made with another endpoint, selection or settings: repeat the command that made it, or give another file"
                .to_owned()
        }
        (CheckpointError::OtherOptions, _) => {
            "was made with another page size, maximum or verification: repeat the command that made it, or give another file"
                .to_owned()
        }
        _ => error.to_string(),
    };
    format!("--checkpoint: {path} {problem}")
}

/// Why an operation halted, and what to do about it if that is known.
pub(crate) fn halt(halt: &Halt, endpoint: &Endpoint) -> String {
    let sentence = match halt {
        Halt::Refused { error, .. } if error.is_wrong_region() => {
            format!(
                "{error}; a token belongs to one region: give --region us-east-1 or --region eu-central-1, or the --url of its region"
            )
        }
        Halt::Refused { error: ResponseError::Status { status, .. }, .. } if status.as_u16() == 401 => {
            format!("{halt}; check QSTASH_TOKEN or --token-file")
        }
        Halt::TooLarge { .. } => format!("{halt}; --max-body raises that"),
        Halt::MaximumUnconfirmed => format!("{halt}: look at what is left with list or stats, then begin anew"),
        Halt::Mismatch { field, .. } if *field != "dlqIds" => {
            format!("{halt}; look at it with get; --trust-server goes on all the same")
        }
        Halt::DatesIgnored => format!("{halt}: run the command again with --parallel 1"),
        Halt::StillListed => format!("{halt}: wait a little, then run the same command again"),
        Halt::UnusableMessage => format!("{halt}: list --json shows it; act on the others by their ids"),
        Halt::InDoubt { asked: 1, cause } => {
            format!("{cause}; it is unknown whether it was carried out, so it was not repeated")
        }
        _ => halt.to_string(),
    };
    match halt {
        Halt::GaveUp { last: cause, .. } | Halt::WaitTooLong { cause, .. } | Halt::InDoubt { cause, .. } => {
            asked(sentence, cause, endpoint)
        }
        _ => sentence,
    }
}

/// The same while runs are listed that something is to be done with.
pub(crate) fn halt_of_listing(halt: &Halt, verb: VerbText, endpoint: &Endpoint) -> String {
    match halt {
        // One lane would follow the service's cursor, and trust it with what is started.
        Halt::DatesIgnored if verb != DELETE => {
            format!("{halt}: list them with `upstash-dlq list -o ids`, and give those to --ids-from")
        }
        _ => self::halt(halt, endpoint),
    }
}

/// `1752829295505-0 is not in the DLQ`
pub(crate) fn missing(id: &DlqId) -> String {
    format!("{} is not in the DLQ", Escaped(id.as_str()))
}

/// Adds the host if it did not respond: that is the first thing to check.
pub(crate) fn asked(sentence: String, cause: &Cause, endpoint: &Endpoint) -> String {
    match cause {
        Cause::Transport(_) if !sentence.contains(host(endpoint)) => format!("{sentence} (asked {})", host(endpoint)),
        _ => sentence,
    }
}

/// `qstash.upstash.io`, with the port if one was given.
fn host(endpoint: &Endpoint) -> &str {
    let url = endpoint.base_url();
    let after = url.split_once("://").map_or(url, |(_, after)| after);
    after.split('/').next().unwrap_or(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use upstash_dlq_core::Token;

    #[test]
    fn only_what_deletes_may_go_on_with_the_cursor_of_a_server_that_ignores_dates() {
        let endpoint = Endpoint::new("https://h.invalid", Token::new("t0ken").unwrap()).unwrap();
        for (verb, advice) in [(DELETE, "--parallel 1"), (RESUME, "--ids-from"), (RESTART, "--ids-from")] {
            let sentence = halt_of_listing(&Halt::DatesIgnored, verb, &endpoint);
            assert!(sentence.ends_with(advice), "{sentence}");
        }
        let sentence = halt_of_listing(&Halt::StillListed, RESUME, &endpoint);
        assert_eq!(sentence, halt(&Halt::StillListed, &endpoint));
    }
}
