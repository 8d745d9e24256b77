//! What a selection would hit, by listing it.

use crate::report::thousands;
use crate::{interrupt, time};
use std::ops::ControlFlow;
use upstash_dlq_core::{
    DlqMessage, Driven, Escaped, Event, Halt, Ids, List, ListPage, Observer, Pager, RetryPolicy, Selection, drive,
};
use upstash_dlq_ureq::Client;

/// How many runs are shown.
const SAMPLES: usize = 5;
/// Where counting stops before a question.
pub(crate) const ENOUGH: u64 = 1_000;

pub(crate) struct Preview {
    pub(crate) matching: u64,
    /// Whether all were counted.
    pub(crate) whole: bool,
    pub(crate) samples: Vec<DlqMessage>,
    pub(crate) requests: u64,
}

pub(crate) enum Failed {
    Halted(Halt),
    Interrupted,
}

struct Counter {
    preview: Preview,
    limit: u64,
}

impl Observer<Pager> for Counter {
    fn before_send(&mut self, _: &Pager) -> ControlFlow<()> {
        if interrupt::requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn after(&mut self, _: &Pager, event: &Event<ListPage>) -> ControlFlow<()> {
        if let Event::Page(page) = event {
            self.preview.matching += page.messages.len() as u64;
            let room = SAMPLES.saturating_sub(self.preview.samples.len());
            self.preview.samples.extend(page.messages.iter().take(room).cloned());
            if self.preview.matching > self.limit && page.cursor.is_some() {
                self.preview.whole = false;
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }
}

/// Ids are counted as they were given, without asking the server.
pub(crate) fn of_ids(ids: &Ids) -> Preview {
    Preview { matching: ids.len() as u64, whole: true, samples: Vec::new(), requests: 0 }
}

/// Counts until more than `limit` are found. The number of requests comes back in any case.
pub(crate) fn count(
    client: &Client,
    selection: &Selection,
    limit: u64,
    policy: RetryPolicy,
) -> (u64, Result<Preview, Failed>) {
    let list = match selection {
        Selection::Filter(filter) => List::matching(filter.clone()),
        Selection::Everything => List::everything(),
        Selection::Ids(ids) => return (0, Ok(of_ids(ids))),
    };
    let mut counter =
        Counter { preview: Preview { matching: 0, whole: true, samples: Vec::new(), requests: 0 }, limit };
    let mut pager = Pager::new(client.endpoint().clone(), list, policy, client.seed());
    let mut requests = 0;
    let send = |request| {
        let answer = client.send(request);
        if !matches!(&answer, Err(failure) if failure.delivery == upstash_dlq_core::Delivery::NotSent) {
            requests += 1;
        }
        answer
    };
    let driven = drive(&mut pager, send, interrupt::sleep, &mut counter);
    counter.preview.requests = requests;
    let result = match driven {
        Driven::Done(Some(halt)) => Err(Failed::Halted(halt)),
        Driven::Stopped if interrupt::requested() => Err(Failed::Interrupted),
        Driven::Done(None) | Driven::Stopped => Ok(counter.preview),
    };
    (requests, result)
}

impl Preview {
    /// `more than 1,000 runs match`
    pub(crate) fn sentence(&self) -> String {
        let verb = if self.matching == 1 { "run matches" } else { "runs match" };
        if self.whole {
            format!("{} {verb}", thousands(self.matching))
        } else {
            format!("more than {} runs match", thousands(ENOUGH))
        }
    }

    /// A few of them, a line each, with nothing in it that steers a terminal.
    pub(crate) fn sample_lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.samples.iter().map(line).collect();
        if self.matching > self.samples.len() as u64 && !lines.is_empty() {
            lines.push("  …".into());
        }
        lines
    }
}

fn line(message: &DlqMessage) -> String {
    let id = message.dlq_id().map_or_else(|| "?".into(), |id| id.to_string());
    let labels = message.labels().join(", ");
    format!(
        "  {}  {}  {}  [{}]  {}",
        message.created_at().map_or_else(|| "?".into(), time::show),
        cell(&id, 24),
        cell(message.workflow_url().unwrap_or("-"), 44),
        cell(&labels, 24),
        cell(message.failure_function_state().as_ref().map_or("-", |state| state.as_str()), 20),
    )
}

/// Escaped first, then cut: an escape never gets through by being cut in half.
fn cell(text: &str, width: usize) -> String {
    let shown = Escaped(text).to_string();
    if shown.chars().count() <= width {
        return shown;
    }
    let mut cut: String = shown.chars().take(width - 1).collect();
    cut.push('…');
    cut
}
