//! Runs from a file, as an archive holds them.

use crate::run::Run;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::fmt;
use std::io::{BufRead, Read};

/// No line is longer, in bytes.
const MAX_LINE: u64 = 64 * 1024 * 1024;

/// Why a file cannot be loaded.
#[derive(Debug)]
#[non_exhaustive]
pub struct LoadError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl std::error::Error for LoadError {}

/// Reads NDJSON, one message per line. A message needs a `dlqId`; other fields may be missing, unknown, or of another type,
/// which then do not match any filter. Each run is served as its line stands.
///
/// # Errors
/// Returns a [`LoadError`] for the first line that is not a JSON object with a `dlqId`, is longer than 64 MiB, or cannot be
/// read.
pub fn load(mut reader: impl BufRead) -> Result<Vec<Run>, LoadError> {
    let mut runs = Vec::new();
    for line in 1.. {
        let error = |problem: String| LoadError { line, problem };
        let mut text = String::new();
        let read =
            Read::by_ref(&mut reader).take(MAX_LINE + 1).read_line(&mut text).map_err(|e| error(e.to_string()))?;
        if read == 0 {
            break;
        }
        if read as u64 > MAX_LINE {
            return Err(error("is longer than 64 MiB".into()));
        }
        let text = text.trim();
        if !text.is_empty() {
            runs.push(parse(text).map_err(error)?);
        }
    }
    Ok(runs)
}

fn parse(text: &str) -> Result<Run, String> {
    let fields: std::collections::BTreeMap<String, &RawValue> =
        serde_json::from_str(text).map_err(|error| format!("is not a JSON object: {error}"))?;
    // A field of another type than promised counts as missing, and takes no other with it.
    let fits = |name: &String, value: &Value| {
        let alone = Value::Object(Map::from_iter([(name.clone(), value.clone())]));
        serde_json::from_value::<Run>(alone).is_ok()
    };
    let known: Map<String, Value> = fields
        .into_iter()
        .filter_map(|(name, raw)| Some((name, serde_json::from_str(raw.get()).ok()?)))
        .filter(|(name, value)| fits(name, value))
        .collect();
    let mut run: Run = serde_json::from_value(Value::Object(known)).map_err(|error| error.to_string())?;
    if run.dlq_id.is_empty() {
        return Err("has no dlqId".into());
    }
    if run.labels.is_empty() {
        run.labels.extend(run.label.clone());
    }
    run.sent = Some(text.to_owned());
    Ok(run)
}
