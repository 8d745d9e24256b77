//! Visits the states that can be reached, each once.

use crate::random::Random;
use crate::search::node::{CRASH, Node};
use crate::search::subject::Subject;
use std::collections::{BTreeSet, HashSet};
use std::fmt::{self, Write};
use twox_hash::XxHash3_128;

/// The longest history. A longer one counts as endless.
const DEEPEST: usize = 2_000;

/// How often a case that is too large to be searched whole is begun again at most, each time in another order.
const DIVES: u64 = 100;
/// How many states each of these visits that none has visited before. With fewer, most of the time would go into the way there.
const FRESH: u64 = 1_000;

/// What a search has found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// How many distinct states were visited.
    pub states: u64,
    /// How many steps led from one state to another.
    pub steps: u64,
    /// How many histories came to their end.
    pub ends: u64,
    /// After how many steps the process was killed: how many different numbers there were.
    pub kills: usize,
    /// Whether all states were visited. Otherwise the search has reached its bound.
    pub is_whole: bool,
    /// The first promise that was broken, with the steps that led there.
    pub violation: Option<String>,
}

/// Visits every state that can be reached, depth first, or as many as half of `most`. If there are more, the other half is visited from
/// the beginning in other orders, so that faults and the crash come early, in the middle and late.
pub(super) fn explore<S: Subject>(root: Node<S>, most: u64) -> Found {
    let mut search = Search::default();
    let first = most / 2;
    search.found.is_whole = search.dive(root.clone(), first, None);
    let dives = ((most - first) / FRESH).clamp(1, DIVES);
    for dive in 1..=dives {
        if search.found.is_whole || search.found.violation.is_some() {
            break;
        }
        let order = Order { random: Random::new(dive), spacing: search.longest / usize::from(root.troubles() + 1) };
        let bound = first + (most - first) * dive / dives;
        search.found.is_whole = search.dive(root.clone(), bound, Some(order));
    }
    search.found.kills = search.killed_after.len();
    search.found
}

/// A state that is left to visit, and the step that leads to it.
struct Next<S: Subject> {
    step: String,
    node: Node<S>,
    hash: u128,
}

/// The order in which a dive takes the steps that can be next.
struct Order {
    random: Random,
    /// One in so many steps is a fault or a crash, if one can be next.
    spacing: usize,
}

impl Order {
    /// The last is taken first. Faults and crashes come after all else, but for one now and then.
    fn arrange<S: Subject>(&mut self, node: &Node<S>, next: &mut [Next<S>]) {
        let random = &mut self.random;
        for at in (1..next.len()).rev() {
            next.swap(at, place(random, at + 1));
        }
        next.sort_by_key(|next| next.node.troubles() == node.troubles());
        let troubles = next.iter().filter(|next| next.node.troubles() < node.troubles()).count();
        if troubles > 0 && place(random, self.spacing.max(1)) == 0 {
            let crash = next
                .iter()
                .position(|next| next.step == CRASH)
                .filter(|_| place(random, usize::from(node.troubles())) == 0);
            if let Some(last) = next.len().checked_sub(1) {
                next.swap(crash.unwrap_or(0), last);
            }
        }
    }
}

/// A number below `bound`.
fn place(random: &mut Random, bound: usize) -> usize {
    usize::try_from(random.below(bound as u64)).unwrap_or(0)
}

#[derive(Default)]
struct Search {
    found: Found,
    /// What has been visited, as hashes: there are millions of states, and each is some kilobytes.
    visited: HashSet<u128>,
    /// Those whose next states are counted.
    expanded: HashSet<u128>,
    /// The longest history so far, in steps.
    longest: usize,
    killed_after: BTreeSet<usize>,
    /// The state that is hashed, as a text. It is kept for its memory.
    text: String,
}

impl Search {
    fn hash(&mut self, state: &impl fmt::Debug) -> u128 {
        self.text.clear();
        // It writes into a text, which cannot fail.
        let _ = write!(self.text, "{state:?}");
        XxHash3_128::oneshot(self.text.as_bytes())
    }

    /// Goes depth first from the beginning, until so many states were visited in the whole search. Returns whether nothing is left.
    fn dive<S: Subject>(&mut self, root: Node<S>, bound: u64, mut order: Option<Order>) -> bool {
        let root_hash = self.hash(&root);
        self.found.states += u64::from(self.visited.insert(root_hash));
        let mut here = HashSet::from([root_hash]);
        // A dive passes again through what was visited before, to what was not. That must not take for ever.
        let most_here = 4 * bound.saturating_sub(self.found.states) + DEEPEST as u64;
        // Each level of the stack: the states that are left to visit there.
        let mut path: Vec<String> = Vec::new();
        let mut stack: Vec<Vec<Next<S>>> = vec![vec![Next { step: "begin".into(), node: root, hash: root_hash }]];
        let mut is_whole = true;
        while let Some(level) = stack.last_mut() {
            let Some(Next { step, node, hash }) = level.pop() else {
                stack.pop();
                path.pop();
                continue;
            };
            path.truncate(stack.len() - 1);
            if step == CRASH {
                self.killed_after.insert(path.len());
            }
            path.push(step);
            self.longest = self.longest.max(path.len());
            if let Some(promise) = node.broken() {
                let steps: Vec<String> = path.iter().enumerate().map(|(n, step)| format!("{n:4}  {step}")).collect();
                self.found.violation = Some(format!("{promise}\n{}", steps.join("\n")));
                return false;
            }
            if path.len() > DEEPEST {
                let steps: Vec<&str> = path.iter().rev().take(40).rev().map(String::as_str).collect();
                self.found.violation = Some(format!("it ends: not after {DEEPEST} steps\n{}", steps.join("\n")));
                return false;
            }
            let mut fresh = Vec::new();
            // What is left on the stack is looked at all the same: a promise may be broken there.
            if self.found.states >= bound || here.len() as u64 >= most_here {
                is_whole = false;
            } else {
                let next = node.next();
                if self.expanded.insert(hash) {
                    self.found.ends += u64::from(next.is_empty());
                    self.found.steps += next.len() as u64;
                }
                for (step, node) in next {
                    let hash = self.hash(&node);
                    self.found.states += u64::from(self.visited.insert(hash));
                    // A broken promise is told, even if the state was seen.
                    if here.insert(hash) || node.broken().is_some() {
                        fresh.push(Next { step, node, hash });
                    }
                }
                if let Some(order) = &mut order {
                    order.arrange(&node, &mut fresh);
                }
            }
            stack.push(fresh);
        }
        is_whole
    }
}
