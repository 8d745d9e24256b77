//! Each link of the repository's pages leads somewhere.

use crate::pages;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// All pages of the repository, by their paths from its root. What is built or fetched is left out.
fn all_pages(root: &Path) -> BTreeMap<PathBuf, String> {
    let (mut pages, mut folders) = (BTreeMap::new(), vec![PathBuf::new()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder)).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            let path = folder.join(&name);
            let hidden = name.starts_with('.') && name != ".github";
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && !hidden && !["target", "node_modules", "found", "artifacts", "corpus"].contains(&&*name)
            {
                folders.push(path);
            } else if kind.is_file() && name.ends_with(".md") {
                pages.insert(path.clone(), pages::read(root, path.to_str().unwrap()));
            }
        }
    }
    pages
}

/// The text without blocks and spans of code. A span ends at the latest with its paragraph.
fn without_code(page: &str) -> String {
    let mut in_block = false;
    let lines = page.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        in_block ^= fence;
        !fence && !in_block
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    text.split("\n\n").flat_map(|paragraph| paragraph.split('`').step_by(2)).collect::<Vec<_>>().join("\n")
}

/// The targets of `[words](target)` and `![words](target)`.
fn targets(page: &str) -> Vec<String> {
    let text = without_code(page);
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).map(str::to_owned).collect()
}

/// The anchors of the headings, as GitHub makes them.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut in_block = false;
    let headings = page.lines().filter(|line| {
        in_block ^= line.starts_with("```");
        !in_block && line.starts_with('#')
    });
    let anchor = |heading: &str| {
        let words = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        words.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
    };
    headings.map(anchor).collect()
}

/// The path without `.` and `..`; `None` if it leaves the repository.
fn resolve(from: &Path, link: &str) -> Option<PathBuf> {
    let mut path = from.parent()?.to_owned();
    for part in Path::new(link).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir if path.pop() => {}
            _ => return None,
        }
    }
    Some(path)
}

/// What is wrong with a link of this page.
fn problem(root: &Path, pages: &BTreeMap<PathBuf, String>, page: &Path, target: &str) -> Option<String> {
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let Some(path) = (if file.is_empty() { Some(page.to_owned()) } else { resolve(page, file) }) else {
        return Some(format!("{}: {target} leaves the repository", page.display()));
    };
    if !root.join(&path).exists() {
        return Some(format!("{}: {target} is not there", page.display()));
    }
    let there = pages.get(&path).map(|text| anchors(text)).unwrap_or_default();
    let missing = anchor.filter(|anchor| !there.contains(*anchor));
    missing.map(|anchor| format!("{}: {} has no heading #{anchor}", page.display(), path.display()))
}

#[test]
fn every_link_of_every_page_leads_somewhere() {
    let Some(root) = pages::root("every_link_of_every_page_leads_somewhere") else { return };
    let pages = all_pages(&root);
    let mut followed = 0;
    let mut problems = Vec::new();
    for (page, text) in &pages {
        for target in targets(text) {
            // Addresses are not asked, and items of Rust are rustdoc's to check.
            if target.contains("://") || target.contains("::") || target.starts_with("mailto:") {
                continue;
            }
            followed += 1;
            problems.extend(problem(&root, &pages, page, &target));
        }
    }
    assert!(
        pages.len() > 15 && followed > 40,
        "{} pages with {followed} links: is this test still right?",
        pages.len()
    );
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let Some(root) = pages::root("a_link_that_leads_nowhere_is_found") else { return };
    let text = "# One (two) `three`\n```sh\n[no](a)\n```\n`[no](b)\n` [c](c.md) ![d](docs/d.svg#x)";
    assert_eq!(targets(text), ["c.md", "docs/d.svg#x"]);
    assert_eq!(anchors(text).into_iter().collect::<Vec<_>>(), ["one-two-three"]);
    let pages = BTreeMap::from([(PathBuf::from("README.md"), text.to_owned())]);
    let is_wrong = |page: &str, target: &str| problem(&root, &pages, Path::new(page), target).is_some();
    for right in ["README.md", "cli/src", "README.md#one-two-three", "#one-two-three"] {
        assert!(!is_wrong("README.md", right), "{right}");
    }
    for wrong in ["c.md", "../README.md", "README.md#three", "#two", "/etc"] {
        assert!(is_wrong("README.md", wrong), "{wrong}");
    }
}

#[test]
fn the_readme_stays_short() {
    let Some(root) = pages::root("the_readme_stays_short") else { return };
    let lines = pages::read(&root, "README.md").lines().count();
    assert!(lines <= 150, "README.md has {lines} lines: what a stranger does not need at once goes to docs/");
}
