//! Counts failed runs by why they failed, in bounded memory.

use serde::Serialize;
use std::collections::HashMap;
use upstash_dlq_core::DlqMessage;
use upstash_dlq_core::model::Signature;

/// How many causes are counted separately. The runs of further ones are counted together.
const CAUSES: usize = 4_096;
/// How many workflows are counted in each cause.
const WORKFLOWS: usize = 32;
/// How many workflows are known by name.
const NAMES: usize = 1_000;
/// The longest name of a workflow that is kept whole, in characters.
const NAME: usize = 500;

/// How many runs failed for which reason.
#[derive(Debug, Default)]
pub(crate) struct Causes {
    counts: HashMap<Signature, Counts>,
    others: u64,
    /// The number of each workflow, by which the causes know it.
    names: HashMap<String, usize>,
}

#[derive(Debug)]
struct Counts {
    runs: u64,
    first: Option<i64>,
    last: Option<i64>,
    example: String,
    workflows: Vec<(usize, u64)>,
    /// Whether it hit more workflows than are counted.
    more: bool,
}

/// Runs that failed for the same reason.
#[derive(Debug, Serialize)]
pub(crate) struct Cause {
    #[serde(rename = "value")]
    pub(crate) signature: Signature,
    #[serde(rename = "count")]
    pub(crate) runs: u64,
    /// When the first of them failed, in milliseconds since 1970.
    pub(crate) first: Option<i64>,
    /// When the last of them failed, in milliseconds since 1970.
    pub(crate) last: Option<i64>,
    /// The error of one of them. It comes from outside.
    pub(crate) example: String,
    #[serde(skip)]
    pub(crate) workflows: Workflows,
}

/// The workflows that a cause hit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Workflows {
    pub(crate) count: usize,
    /// Whether there are more of them.
    pub(crate) more: bool,
    /// The one with most runs, as far as they were counted. It comes from outside.
    pub(crate) most: Option<String>,
}

impl Causes {
    /// Counts a run of this workflow.
    pub(crate) fn add(&mut self, message: &DlqMessage, workflow: Option<&str>) {
        let signature = message.signature();
        let has_room = self.counts.len() < CAUSES;
        let counts = match self.counts.get_mut(&signature) {
            Some(counts) => counts,
            None if has_room => {
                let example = message.failure_text().unwrap_or_default();
                self.counts.entry(signature).or_insert(Counts::new(example))
            }
            None => {
                self.others += 1;
                return;
            }
        };
        counts.runs += 1;
        if let Some(at) = message.created_at() {
            let at = at.get();
            counts.first = Some(counts.first.map_or(at, |first| first.min(at)));
            counts.last = Some(counts.last.map_or(at, |last| last.max(at)));
        }
        if let Some(workflow) = workflow {
            counts.add_workflow(number(&mut self.names, workflow));
        }
    }

    /// The most frequent first, and how many runs have causes beyond the bound.
    pub(crate) fn sorted(self) -> (Vec<Cause>, u64) {
        let mut names: Vec<(usize, String)> = self.names.into_iter().map(|(name, number)| (number, name)).collect();
        names.sort();
        let mut causes: Vec<Cause> =
            self.counts.into_iter().map(|(signature, counts)| counts.into_cause(signature, &names)).collect();
        causes.sort_by(|a, b| b.runs.cmp(&a.runs).then_with(|| a.signature.cmp(&b.signature)));
        (causes, self.others)
    }
}

/// The number of a workflow. `None` if there are too many to know this one.
fn number(names: &mut HashMap<String, usize>, workflow: &str) -> Option<usize> {
    let name = match workflow.char_indices().nth(NAME) {
        Some((end, _)) => workflow.get(..end).unwrap_or(workflow),
        None => workflow,
    };
    if let Some(number) = names.get(name) {
        return Some(*number);
    }
    let number = names.len();
    if number >= NAMES {
        return None;
    }
    names.insert(name.to_owned(), number);
    Some(number)
}

impl Counts {
    fn new(example: String) -> Self {
        Self { runs: 0, first: None, last: None, example, workflows: Vec::new(), more: false }
    }

    fn add_workflow(&mut self, number: Option<usize>) {
        let Some(number) = number else {
            self.more = true;
            return;
        };
        let has_room = self.workflows.len() < WORKFLOWS;
        match self.workflows.iter_mut().find(|(known, _)| *known == number) {
            Some((_, runs)) => *runs += 1,
            None if has_room => self.workflows.push((number, 1)),
            None => self.more = true,
        }
    }

    fn into_cause(self, signature: Signature, names: &[(usize, String)]) -> Cause {
        let name = |number: usize| names.get(number).map(|(_, name)| name.as_str());
        // Of several with as many runs always the same one.
        let most = self
            .workflows
            .iter()
            .max_by(|(a, runs_a), (b, runs_b)| runs_a.cmp(runs_b).then_with(|| name(*b).cmp(&name(*a))));
        let most = most.and_then(|(number, _)| name(*number)).map(str::to_owned);
        let workflows = Workflows { count: self.workflows.len(), more: self.more, most };
        let Self { runs, first, last, example, .. } = self;
        Cause { signature, runs, first, last, example, workflows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(body: &str, workflow: usize, at: Option<i64>) -> DlqMessage {
        let url = format!("https://h.example/{workflow}");
        let json = serde_json::json!({ "responseBody": body, "workflowUrl": url, "createdAt": at });
        DlqMessage::parse(&json.to_string()).unwrap()
    }

    fn counted(messages: impl IntoIterator<Item = DlqMessage>) -> (Vec<Cause>, u64) {
        let mut causes = Causes::default();
        messages.into_iter().for_each(|message| causes.add(&message, message.workflow_url().as_deref()));
        causes.sorted()
    }

    #[test]
    fn the_runs_of_a_cause_are_counted_together() {
        let (causes, others) = counted([
            failed("order 1 is gone", 2, Some(30)),
            failed("no money", 1, None),
            failed("order 22 is gone", 1, Some(10)),
            failed("order 3 is gone", 1, Some(20)),
            failed("order 4 is gone", 2, None),
        ]);
        let [gone, money] = &causes[..] else { panic!("{causes:?}") };
        assert_eq!(
            (gone.runs, gone.first, gone.last, gone.example.as_str()),
            (4, Some(10), Some(30), "order 1 is gone")
        );
        let most = Some("https://h.example/1".to_owned());
        assert_eq!(gone.workflows, Workflows { count: 2, more: false, most: most.clone() });
        assert_eq!((money.runs, money.first, money.last), (1, None, None));
        assert_eq!((&money.workflows, others), (&Workflows { count: 1, more: false, most }, 0));
    }

    #[test]
    fn what_is_beyond_a_bound_is_counted_together() {
        let word = |n: usize| format!("{n:b}").replace('0', "no").replace('1', "yes");
        let (causes, others) =
            counted((0..CAUSES + 5).map(|n| failed(&word(n), 0, None)).chain([failed("no", 0, None)]));
        assert_eq!((causes.len(), others, causes[0].runs), (CAUSES, 5, 2));
        let (causes, _) = counted((0..WORKFLOWS + 1).map(|n| failed("x", n, None)));
        assert!(causes[0].workflows.count == WORKFLOWS && causes[0].workflows.more, "{causes:?}");
        let (causes, _) = counted((0..NAMES + 1).map(|n| failed(&word(n), n, None)));
        assert_eq!(causes.iter().filter(|cause| cause.workflows.more).count(), 1);
        let long = DlqMessage::parse(&format!(r#"{{"workflowUrl":"{}"}}"#, "ä".repeat(NAME + 1))).unwrap();
        let (causes, _) = counted([long]);
        assert_eq!(causes[0].workflows.most.as_deref(), Some("ä".repeat(NAME).as_str()));
    }
}
