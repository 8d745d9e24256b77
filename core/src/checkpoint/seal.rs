//! Seals a checkpoint's text with a digest, so that a change of the file is noticed. The digest is no protection against
//! forgery. A forged checkpoint cannot reach beyond the selection that is given with it.

use crate::bugs::bug;
use crate::checkpoint::error::CheckpointError;
use crate::model::hash::digest_of;
use alloc::string::{String, ToString};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed<'a> {
    version: u32,
    digest: String,
    #[serde(borrow)]
    checkpoint: &'a RawValue,
}

fn damaged(error: &serde_json::Error) -> CheckpointError {
    CheckpointError::Damaged(error.to_string())
}

fn digest(version: u32, checkpoint: &str) -> String {
    digest_of(&alloc::format!("{version} {checkpoint}"))
}

/// Writes one line of JSON. Plain structs with string keys cannot fail to serialise.
pub(crate) fn seal(version: u32, checkpoint: &impl Serialize) -> String {
    let text = serde_json::to_string(checkpoint).unwrap_or_default();
    let sealed = serde_json::from_str::<&RawValue>(&text).map(|checkpoint| Sealed {
        version,
        digest: digest(version, checkpoint.get()),
        checkpoint,
    });
    sealed.and_then(|sealed| serde_json::to_string(&sealed)).unwrap_or_default()
}

/// Reads the version of the file.
pub(crate) fn version(json: &[u8]) -> Result<u32, CheckpointError> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    serde_json::from_slice(json).map(|Version { version }| version).map_err(|error| damaged(&error))
}

/// Reads what was sealed as this version.
pub(crate) fn open<'a, T: Deserialize<'a>>(expected: u32, json: &'a [u8]) -> Result<T, CheckpointError> {
    let found = version(json)?;
    if found != expected {
        return Err(CheckpointError::Version(found));
    }
    let sealed: Sealed<'a> = serde_json::from_slice(json).map_err(|error| damaged(&error))?;
    if sealed.digest != digest(expected, sealed.checkpoint.get()) && !bug!(SealNotChecked) {
        return Err(CheckpointError::Damaged("it was changed since it was written".into()));
    }
    serde_json::from_str(sealed.checkpoint.get()).map_err(|error| damaged(&error))
}
