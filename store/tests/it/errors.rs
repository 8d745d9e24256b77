//! Errors are sentences that any program can show.

use std::error::Error;
use std::fs;
use upstash_dlq_store::{CheckpointFile, FoundArchive};

#[test]
fn a_sentence_names_the_file_and_no_option() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a\u{202e}b");
    let shown = format!("{}/a\\u{{202e}}b", folder.path().display());
    fs::write(&path, "notes").unwrap();
    let error = FoundArchive::find(&path).unwrap_err();
    assert_eq!(error.to_string(), format!("{shown} is not an archive: its first line is not a DLQ message"));
    assert!(error.source().is_none());
    let _first = CheckpointFile::open(&path).unwrap();
    let error = CheckpointFile::open(&path).unwrap_err();
    assert_eq!(error.to_string(), format!("{shown} is in use by another process"));
    let error = FoundArchive::find(path.join("below")).unwrap_err();
    assert!(error.to_string().starts_with(&format!("{shown}/below cannot be written: ")), "{error}");
    assert!(error.source().is_some());
}
