//! A path as messages show it.

use std::path::Path;
use upstash_dlq_core::Escaped;

/// A path as messages show it.
pub(crate) fn shown(path: &Path) -> String {
    Escaped(&path.to_string_lossy()).to_string()
}
