//! Visits every state that can be reached, each once.

use crate::search::node::Node;
use crate::search::subject::Subject;
use std::collections::HashSet;
use std::fmt::{self, Write};

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
    let mut visited = HashSet::new();
    visited.insert(hash_of(&root));
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
            if visited.insert(hash_of(&node)) || node.broken().is_some() {
                found.states += 1;
                fresh.push((step, node));
            }
        }
        stack.push(fresh);
    }
    found
}

/// Feeds a text into a hash, without making the text.
struct Hashing {
    low: u64,
    high: u64,
}

impl Hashing {
    fn feed(&mut self, word: u64) {
        self.low = (self.low.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.high = (self.high ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(31);
    }
}

impl Write for Hashing {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let words = text.as_bytes().chunks_exact(8);
        // Its length tells texts apart that end in zeros.
        let rest = words.remainder();
        words.for_each(|word| self.feed(word.try_into().map(u64::from_le_bytes).unwrap_or_default()));
        if !rest.is_empty() {
            let last = rest.iter().rev().fold(0, |last, byte| last << 8 | u64::from(*byte));
            self.feed(last | (rest.len() as u64) << 56);
        }
        Ok(())
    }
}

fn hash_of(value: &impl fmt::Debug) -> u128 {
    let mut hashing = Hashing { low: 0x243f_6a88_85a3_08d3, high: 0x1319_8a2e_0370_7344 };
    // It writes into a number, which cannot fail.
    let _ = write!(hashing, "{value:?}");
    u128::from(hashing.low) << 64 | u128::from(hashing.high)
}
