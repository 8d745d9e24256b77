//! Visits every state that can be reached, each once.

use crate::search::node::Node;
use crate::search::subject::Subject;
use std::collections::HashSet;
use std::fmt::{self, Write};
use twox_hash::XxHash3_128;

/// The longest history. A longer one counts as endless.
const DEEPEST: usize = 2_000;

/// What a search has found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// How many distinct states were visited.
    pub states: u64,
    /// How many steps led from one state to another.
    pub steps: u64,
    /// How many histories came to their end.
    pub ends: u64,
    /// Whether all states were visited. Otherwise the search has reached its bound.
    pub is_whole: bool,
    /// The first promise that was broken, with the steps that led there.
    pub violation: Option<String>,
}

/// Visits every state that can be reached, depth first, or as many as `most`.
pub(super) fn explore<S: Subject>(root: Node<S>, most: u64) -> Found {
    let mut found = Found { is_whole: true, ..Found::default() };
    let mut visited = Visited::default();
    visited.insert(&root);
    found.states = 1;
    // Each level of the stack: the states that are left to visit there, and the step that led to each.
    let mut path: Vec<String> = Vec::new();
    let mut stack: Vec<Vec<(String, Node<S>)>> = vec![vec![("begin".into(), root)]];
    while let Some(level) = stack.last_mut() {
        let Some((step, node)) = level.pop() else {
            stack.pop();
            path.pop();
            continue;
        };
        path.truncate(stack.len() - 1);
        path.push(step);
        if let Some(promise) = node.broken() {
            let steps: Vec<String> = path.iter().enumerate().map(|(n, step)| format!("{n:4}  {step}")).collect();
            found.violation = Some(format!("{promise}\n{}", steps.join("\n")));
            return found;
        }
        if path.len() > DEEPEST {
            let steps: Vec<&str> = path.iter().rev().take(40).rev().map(String::as_str).collect();
            found.violation = Some(format!("it ends: not after {DEEPEST} steps\n{}", steps.join("\n")));
            return found;
        }
        let next = node.next();
        found.ends += u64::from(next.is_empty());
        let mut fresh = Vec::new();
        for (step, node) in next {
            found.steps += 1;
            if found.states >= most {
                found.is_whole = false;
                break;
            }
            // A broken promise is told, even if the state was seen.
            if visited.insert(&node) || node.broken().is_some() {
                found.states += 1;
                fresh.push((step, node));
            }
        }
        stack.push(fresh);
    }
    found
}

/// What has been visited, as hashes: there are millions of states, and each is some kilobytes.
#[derive(Default)]
struct Visited {
    hashes: HashSet<u128>,
    /// The state that is hashed, as a text. It is kept for its memory.
    text: String,
}

impl Visited {
    /// Says whether the state is new.
    fn insert(&mut self, state: &impl fmt::Debug) -> bool {
        self.text.clear();
        // It writes into a text, which cannot fail.
        let _ = write!(self.text, "{state:?}");
        self.hashes.insert(XxHash3_128::oneshot(self.text.as_bytes()))
    }
}
