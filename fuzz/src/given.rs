//! Selections that somebody gave, and what a request may ask for on their behalf.

use super::wire::{Pairs, pairs};
use http::Request;
use upstash_dlq_core::selection::{FilterBuilder, Ids};
use upstash_dlq_core::{Endpoint, Filter, Selection, Token, UnixMillis};

/// Where every request of a fuzz target goes.
pub fn endpoint() -> Endpoint {
    Token::new("t").map(|token| Endpoint::new("https://h", token)).expect("a token").expect("an endpoint")
}

/// A selection, and the pairs that stand for it in a query.
pub struct Given {
    /// As core takes it.
    pub selection: Selection,
    pairs: Pairs,
}

impl Given {
    /// One of a few, chosen by a byte.
    pub fn choose(byte: u8) -> Self {
        let mut all = Self::all();
        let at = usize::from(byte) % all.len();
        all.swap_remove(at)
    }

    /// By ids, by filters with and without times, and everything.
    pub fn all() -> Vec<Self> {
        const TIME: &str = "1752829295505";
        let at = UnixMillis::new(1_752_829_295_505);
        let ids = Ids::parse(["a", "b", "c"]).expect("ids");
        let filter = |builder: FilterBuilder, pairs: &[(&str, &str)]| {
            Self::new(Selection::Filter(builder.build().expect("a filter")), pairs)
        };
        vec![
            Self::new(Selection::Ids(ids), &[("dlqIds", "a"), ("dlqIds", "b"), ("dlqIds", "c")]),
            filter(
                Filter::builder().label("nightly").label("red & white"),
                &[("label", "nightly"), ("label", "red & white")],
            ),
            filter(
                Filter::builder().from(at).workflow_url("https://x/?a=1"),
                &[("fromDate", TIME), ("workflowUrl", "https://x/?a=1")],
            ),
            filter(
                Filter::builder().from(at).to(at).workflow_created_at(at),
                &[("fromDate", TIME), ("toDate", TIME), ("workflowCreatedAt", TIME)],
            ),
            Self::new(Selection::Everything, &[]),
        ]
    }

    fn new(selection: Selection, pairs: &[(&str, &str)]) -> Self {
        Self { selection, pairs: pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect() }
    }

    /// A request asks for nothing but this selection, with times only where times were given, and not for more than `max`.
    pub fn assert_within(&self, request: &Request<()>, max: Option<u64>) {
        let sent = pairs(request);
        if matches!(self.selection, Selection::Ids(_)) {
            assert!(!sent.is_empty() && sent.iter().all(|pair| self.pairs.contains(pair)), "{sent:?}");
            assert!(max.is_none_or(|max| sent.len() as u64 <= max), "{sent:?}");
            return;
        }
        let is_time = |name: &str| matches!(name, "fromDate" | "toDate" | "workflowCreatedAt");
        let is_paging = |name: &str| matches!(name, "count" | "cursor");
        let number = |pairs: &Pairs, name: &str| {
            pairs.iter().find(|(n, _)| n == name).and_then(|(_, value)| value.parse::<i64>().ok())
        };
        let times = |name: &str| sent.iter().filter(|(n, _)| n == name).count();
        for name in ["fromDate", "toDate", "workflowCreatedAt"] {
            let fits = match (name, number(&self.pairs, name), number(&sent, name)) {
                ("fromDate", Some(given), Some(sent)) => sent >= given,
                ("toDate", Some(given), Some(sent)) => sent <= given,
                ("workflowCreatedAt", given, sent) => given == sent,
                (_, Some(_), _) => false,
                (_, None, _) => true,
            };
            assert!(fits && times(name) <= 1, "{name} reaches beyond what was given: {sent:?}");
        }
        let mut wanted = self.pairs.clone();
        wanted.retain(|(name, _)| !is_time(name));
        let plain: Pairs = sent.iter().filter(|(n, _)| !is_time(n) && !is_paging(n)).cloned().collect();
        assert_eq!(plain, wanted);
        let count = sent.iter().find(|(n, _)| n == "count").and_then(|(_, v)| v.parse::<u64>().ok());
        assert!(count.is_some_and(|count| count > 0 && max.is_none_or(|max| count <= max)), "{sent:?}");
        assert!(times("count") == 1 && times("cursor") <= 1);
    }
}
