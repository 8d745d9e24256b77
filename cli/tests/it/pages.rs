//! The repository's pages, which lie outside this package: where they are, and what is in them.

use std::io::Write;
use std::path::{Path, PathBuf};

/// The root of the repository, or `None` where this package is all there is. A test that needs a page then says that it did
/// not run. In the repository a missing page is an error.
pub(crate) fn root(test: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?.to_owned();
    if root.join("cli/tests/it/pages.rs").is_file() && root.join("core/Cargo.toml").is_file() {
        return Some(root);
    }
    say(&format!("{test} DID NOT RUN: its pages are in the repository, and this package lies outside of it"));
    None
}

pub(crate) fn read(root: &Path, page: &str) -> String {
    std::fs::read_to_string(root.join(page)).unwrap_or_else(|error| panic!("{page} cannot be read: {error}"))
}

/// Says it also where a test passes, whose other output is not shown.
pub(crate) fn say(sentence: &str) {
    let _ = writeln!(std::io::stderr(), "\n{sentence}\n");
}

/// A heading of the second level, and the shell scripts under it.
pub(crate) struct Section {
    pub(crate) title: String,
    pub(crate) scripts: Vec<Script>,
}

/// A block that is marked `sh`.
pub(crate) struct Script {
    pub(crate) text: String,
    /// Tools that it needs and a machine may lack: `<!-- needs: jq -->` before the block.
    pub(crate) needs: Vec<String>,
    /// Why no test runs it: `<!-- not run: … -->` before the block.
    pub(crate) not_run: Option<String>,
}

pub(crate) fn sections(page: &str) -> Vec<Section> {
    let mut sections = vec![Section { title: String::new(), scripts: Vec::new() }];
    let (mut needs, mut not_run, mut block) = (Vec::new(), None, None);
    for line in page.lines() {
        let mark = |name: &str| line.strip_prefix(name)?.strip_suffix(" -->");
        match &mut block {
            None if line.starts_with("```") => block = Some((line == "```sh", String::new())),
            None => {
                if let Some(title) = line.strip_prefix("## ") {
                    sections.push(Section { title: title.to_owned(), scripts: Vec::new() });
                } else if let Some(tools) = mark("<!-- needs: ") {
                    needs = tools.split(' ').map(str::to_owned).collect();
                } else if let Some(why) = mark("<!-- not run: ") {
                    not_run = Some(why.to_owned());
                }
            }
            Some((is_script, text)) if line == "```" => {
                let script =
                    Script { text: std::mem::take(text), needs: std::mem::take(&mut needs), not_run: not_run.take() };
                if *is_script {
                    sections.last_mut().unwrap().scripts.push(script);
                } else {
                    assert!(
                        script.needs.is_empty() && script.not_run.is_none(),
                        "a mark before what is no script: {page}"
                    );
                }
                block = None;
            }
            Some((_, text)) => *text += &format!("{line}\n"),
        }
    }
    assert!(block.is_none() && needs.is_empty() && not_run.is_none(), "a block or a mark without an end: {page}");
    sections
}
