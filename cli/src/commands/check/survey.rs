//! Asks a service the questions of `check`, one request after another, and collects the answers. Prints nothing.

use crate::commands::check::answer::{
    self, Answer, Asked, FIELDS, Probe, STATE, TOO_FEW, Verdict, is_same_page, no, probes, shows, unknown, yes,
};
use crate::commands::check::dates::{self, Bound, End, Time};
use crate::commands::check::meter::{MOST_REQUESTS, Meter};
use crate::context::Context;
use crate::drive::{self, Stopped};
use crate::exit::CommandError;
use crate::output::progress::Progress;
use http::{Request, Response};
use std::num::NonZeroU32;
use upstash_dlq_core::model::Cursor;
use upstash_dlq_core::selection::FilterBuilder;
use upstash_dlq_core::wire::{Call, List, ListPage, ResponseError};
use upstash_dlq_core::{DlqId, DlqMessage, Endpoint, Filter, Halt, UnixMillis};
use upstash_dlq_ureq::Client;

/// A question by its name in the JSON and in words, and its answer.
pub(crate) struct Question {
    pub(crate) name: &'static str,
    pub(crate) words: String,
    pub(crate) answer: Answer,
}

pub(crate) struct Survey<'a> {
    context: &'a Context<'a>,
    client: Client,
    meter: Meter,
    pub(crate) questions: Vec<Question>,
    /// The first page of all runs, as it was listed first.
    pub(crate) listed: Vec<DlqMessage>,
    /// The questions whose answers hold only if the runs they were drawn from are still there.
    unconfirmed: Vec<&'static str>,
    /// The page size that is asked for.
    size: u32,
}

/// Sizes of a page, of which the first that is served is used.
const SIZES: [u32; 5] = [100, 50, 20, 10, 1];

const CHANGED: &str = "the runs that would tell changed while it was asked";

const UNCONFIRMED: &str = "the check ended before this was confirmed";

const DATES: [&str; 3] = ["from_date", "to_date", "dates_look_at_created_at"];

const PAGING: [&str; 4] = ["pages_are_disjoint", "order_by_time", "cursor_is_key", "count_may_change"];

/// Each request is sent no more often than this: a check has few to spend.
const MAX_ATTEMPTS: NonZeroU32 = NonZeroU32::MIN.saturating_add(2);

/// A page with another count than the core would ask for.
#[derive(Clone, Debug)]
struct WithCount {
    list: List,
    count: u32,
}

impl Call for WithCount {
    type Output = ListPage;
    const READ_ONLY: bool = true;
    const RETRY_SAFE: bool = true;

    fn to_request(&self, endpoint: &Endpoint) -> Result<Request<()>, http::Error> {
        let largest = self.list.clone().page_size(List::MAX_PAGE_SIZE);
        let mut request = largest.to_request(endpoint)?;
        // A value that reads like this is percent-encoded.
        let asked = format!("count={}", List::MAX_PAGE_SIZE);
        *request.uri_mut() = request.uri().to_string().replacen(&asked, &format!("count={}", self.count), 1).parse()?;
        Ok(request)
    }

    fn parse<B: AsRef<[u8]>>(&self, response: &Response<B>) -> Result<ListPage, ResponseError> {
        self.list.parse(response)
    }
}

impl<'a> Survey<'a> {
    pub(crate) fn new(context: &'a Context<'a>, client: Client, meter: Meter) -> Self {
        let (questions, listed, unconfirmed) = (Vec::new(), Vec::new(), Vec::new());
        Self { context, client, meter, questions, listed, unconfirmed, size: List::MAX_PAGE_SIZE }
    }

    /// Asks everything. After an error, the answers so far are there.
    pub(crate) fn run(&mut self) -> Result<(), CommandError> {
        let result = self.ask();
        for name in std::mem::take(&mut self.unconfirmed) {
            self.withdraw(name, UNCONFIRMED);
        }
        result
    }

    /// Others delete and change runs meanwhile, and runs arrive. So the first page is listed again after the questions that compare
    /// runs with it, and an answer counts only if what it was drawn from is the same.
    fn ask(&mut self) -> Result<(), CommandError> {
        self.listed = self.first_page()?.messages;
        let host = self.client.endpoint().base_url().to_owned();
        self.add("token", "token accepted", yes(format!("by {host}")));
        self.add("region", "token belongs to this region", yes("the service knows its user here"));
        self.add("read_only", "token can only read", unknown("only a change would tell"));
        let filters = self.filters()?;
        let dated = self.dates()?;
        let again = self.everything()?;
        let kept = self.confirm_filters(filters, &again);
        let is_still_there = dated.is_some_and(|run| shows(&again, &run));
        self.settle(&DATES, is_still_there);
        self.paging(&again, &kept)?;
        let is_same = !self.is_open() || is_same_page(&self.everything()?, &again);
        self.settle(&PAGING, is_same);
        self.over_100()
    }

    fn add(&mut self, name: &'static str, words: impl Into<String>, answer: Answer) {
        self.questions.push(Question { name, words: words.into(), answer });
    }

    /// An answer that has to be confirmed.
    fn add_unconfirmed(&mut self, name: &'static str, words: impl Into<String>, answer: Answer) {
        self.unconfirmed.push(name);
        self.add(name, words, answer);
    }

    /// Whether an answer of yes or no waits to be confirmed.
    fn is_open(&self) -> bool {
        let mut open = self.questions.iter().filter(|question| self.unconfirmed.contains(&question.name));
        open.any(|question| question.answer.answer != Verdict::Unknown)
    }

    /// These questions are no longer open: their answers count, or they are withdrawn.
    fn settle(&mut self, names: &[&str], is_confirmed: bool) {
        if !is_confirmed {
            names.iter().for_each(|name| self.withdraw(name, CHANGED));
        }
        self.unconfirmed.retain(|name| !names.contains(name));
    }

    /// The answer to this question is not known after all.
    fn withdraw(&mut self, name: &str, why: &str) {
        let is_answered =
            |question: &&mut Question| question.name == name && question.answer.answer != Verdict::Unknown;
        if let Some(question) = self.questions.iter_mut().find(is_answered) {
            question.answer = unknown(why);
        }
    }

    /// Makes a call. `Err` within the result is the status of a request that the service refused for what it asks.
    fn call<C: Call>(&self, call: C) -> Result<Result<C::Output, u16>, CommandError> {
        let spent = || {
            let sentence =
                format!("{MOST_REQUESTS} requests were sent, the most that a check sends: not all was asked");
            CommandError::new("failed", sentence)
        };
        if self.meter.is_spent() {
            return Err(spent());
        }
        let policy = self.context.policy();
        let policy = policy.max_attempts(policy.max_attempts.min(MAX_ATTEMPTS));
        let mut progress = Progress::in_lines(self.context.terminal, "");
        match drive::call(&self.client, policy, &mut progress, call).1 {
            Ok(output) => Ok(Ok(output)),
            Err(Stopped::Halted(Halt::Refused { error, .. })) if is_about_the_request(&error) => {
                Ok(Err(error.status().as_u16()))
            }
            Err(Stopped::Halted(Halt::GaveUp { .. })) if self.meter.is_spent() => Err(spent()),
            Err(stopped) => Err(stopped.into_error(self.client.endpoint())),
        }
    }

    fn page(&self, list: List) -> Result<Asked, CommandError> {
        Ok(self.call(list)?.map_or_else(Asked::Refused, Asked::Page))
    }

    fn matching(&self, filter: Filter) -> Result<Asked, CommandError> {
        self.page(List::matching(filter).page_size(self.size))
    }

    /// The first page, in the largest size that is served.
    fn first_page(&mut self) -> Result<ListPage, CommandError> {
        let mut last = 0;
        for size in SIZES {
            match self.page(List::everything().page_size(size))? {
                Asked::Page(page) => {
                    self.size = size;
                    return Ok(page);
                }
                Asked::Refused(status) => last = status,
            }
        }
        Err(CommandError::new("refused", format!("the service refuses to list its runs, with status {last}")))
    }

    /// The first page again. It is empty if it is refused now.
    fn everything(&self) -> Result<ListPage, CommandError> {
        Ok(match self.page(List::everything().page_size(self.size))? {
            Asked::Page(page) => page,
            Asked::Refused(_) => ListPage::new(Vec::new(), None),
        })
    }

    /// Asks for each filter that tells some of the listed runs from others.
    fn filters(&mut self) -> Result<Vec<(Probe, Asked)>, CommandError> {
        let mut all = Vec::new();
        for field in FIELDS {
            let answer = match probes(field, &self.listed).into_iter().next() {
                None if self.listed.len() < 2 => unknown(TOO_FEW),
                None => unknown("no value tells some of the listed runs from others"),
                Some(probe) => {
                    let asked = self.matching(probe.filter.clone())?;
                    let answer = answer::keeps_to(&probe, &asked);
                    all.push((probe, asked));
                    answer
                }
            };
            self.add_unconfirmed(field, format!("keeps to {field}"), answer);
        }
        Ok(all)
    }

    fn is_kept(&self, field: &str) -> bool {
        self.questions.iter().any(|question| question.name == field && question.answer.answer == Verdict::Yes)
    }

    /// Withdraws the answers about filters that the first page, listed again, does not confirm. Returns the fields that are kept to.
    fn confirm_filters(&mut self, filters: Vec<(Probe, Asked)>, again: &ListPage) -> Vec<&'static str> {
        let mut kept = Vec::new();
        for (probe, asked) in filters {
            self.settle(&[probe.field], answer::is_confirmed(&probe, &asked, &self.listed, again));
            kept.extend(self.is_kept(probe.field).then_some(probe.field));
        }
        kept
    }

    /// Asks for windows of time around the times of one run. Returns that run.
    fn dates(&mut self) -> Result<Option<DlqId>, CommandError> {
        let run = self
            .listed
            .iter()
            .filter_map(|run| Some((run.dlq_id()?, times(run), run)))
            .max_by_key(|run| spread(&run.1));
        let run = run.filter(|(_, times, _)| !times.is_empty());
        let run = run.map(|(id, times, run)| (id, times, run.workflow_run_id().map(String::from)));
        let (answers, run) = match run {
            None => ([TOO_FEW; 3].map(unknown), None),
            Some((id, times, run_id)) => {
                // With its run id the listing is short, and shows the run or does not.
                let run_id = run_id.filter(|_| self.is_kept("workflowRunId"));
                let bounds = self.bounds(&id, &times, run_id.as_deref())?;
                let keeps_to = |end| dates::keeps_to(&times, &bounds, end);
                let answers = [keeps_to(End::From), keeps_to(End::To), dates::look_at_created_at(&times, &bounds)];
                (answers, Some(id))
            }
        };
        let words = ["keeps to fromDate, inclusive", "keeps to toDate, inclusive", "dates look at createdAt"];
        for ((name, words), answer) in DATES.into_iter().zip(words).zip(answers) {
            self.add_unconfirmed(name, words, answer);
        }
        Ok(run)
    }

    fn bounds(&self, id: &DlqId, times: &[Time], run_id: Option<&str>) -> Result<Vec<Bound>, CommandError> {
        let mut bounds = Vec::new();
        for (end, at) in dates::bounds(times, self.context.now.millis().get()) {
            let time = UnixMillis::new(at);
            let filter = Filter::builder();
            let filter = if end == End::From { filter.from(time) } else { filter.to(time) };
            let filter = run_id.into_iter().fold(filter, FilterBuilder::workflow_run_id).build();
            let Ok(filter) = filter else { continue };
            let shown = match self.matching(filter)? {
                Asked::Page(page) if shows(&page, id) => Some(true),
                Asked::Page(page) if page.cursor.is_none() => Some(false),
                Asked::Page(_) | Asked::Refused(_) => None,
            };
            bounds.push(Bound { end, at, shown });
        }
        Ok(bounds)
    }

    fn paging(&mut self, first: &ListPage, kept: &[&'static str]) -> Result<(), CommandError> {
        let second = match first.cursor.clone() {
            Some(cursor) => self.page_after(cursor, self.size)?,
            None => None,
        };
        // Small pages: they follow one another within what was listed.
        let listed = &first.messages;
        let small = listed.len() / 4;
        let size = u32::try_from(small.min(10)).unwrap_or(10);
        let small = size as usize;
        let start = if size > 0 { self.page(List::everything().page_size(size))? } else { Asked::Refused(0) };
        let (next, behind) = match &start {
            Asked::Page(page) if page.messages.len() == small => {
                let next = page.cursor.clone().map(|cursor| self.page_after(cursor, size)).transpose()?.flatten();
                (next, page.cursor.clone())
            }
            _ => (None, None),
        };
        let mut pairs = Vec::new();
        pairs.extend(second.as_ref().map(|second| (first, second)));
        if let (Asked::Page(start), Some(next)) = (&start, &next) {
            pairs.push((start, next));
        }
        let disjoint = answer::disjoint(&pairs);
        let messages: Vec<DlqMessage> =
            listed.iter().chain(second.iter().flat_map(|page| &page.messages)).cloned().collect();
        // A page that is in no order is proof, whatever became of its runs.
        let of_first = answer::in_order(&self.listed);
        let in_order = if of_first.answer == Verdict::No { of_first } else { answer::in_order(&messages) };
        let key = self.cursor_is_key(listed, kept, behind.as_ref(), small)?;
        let expected = listed.get(small..small * 3).unwrap_or_default();
        let changes = match behind {
            Some(cursor) if !expected.is_empty() => {
                let list = List::everything().page_size(size * 2).after(cursor);
                answer::size_may_change(expected, &self.page(list)?)
            }
            _ => unknown(TOO_FEW),
        };
        let words = [
            "pages do not overlap",
            "lists in order of time",
            "cursors are places, not numbers of runs",
            "count may change under a cursor",
        ];
        for ((name, words), answer) in PAGING.into_iter().zip(words).zip([disjoint, in_order, key, changes]) {
            self.add_unconfirmed(name, words, answer);
        }
        Ok(())
    }

    fn page_after(&self, cursor: Cursor, size: u32) -> Result<Option<ListPage>, CommandError> {
        Ok(match self.page(List::everything().page_size(size).after(cursor))? {
            Asked::Page(page) => Some(page),
            Asked::Refused(_) => None,
        })
    }

    fn cursor_is_key(
        &self,
        listed: &[DlqMessage],
        kept: &[&'static str],
        cursor: Option<&Cursor>,
        size: usize,
    ) -> Result<Answer, CommandError> {
        let Some(cursor) = cursor else { return Ok(unknown(TOO_FEW)) };
        // The state of a callback changes while it is looked at.
        let fields = kept.iter().filter(|field| **field != STATE);
        let all = fields.flat_map(|field| probes(field, listed)).collect();
        let Some(probe) = answer::cursor_probe(all, listed.len(), size) else {
            return Ok(unknown("no filter that is kept to tells the listed runs apart"));
        };
        let list = List::matching(probe.filter.clone()).page_size(self.size).after(cursor.clone());
        Ok(answer::cursor_is_key(listed, size, &probe, &self.page(list)?))
    }

    fn over_100(&mut self) -> Result<(), CommandError> {
        let call = WithCount { list: List::everything(), count: List::MAX_PAGE_SIZE + 1 };
        let asked = if self.size < List::MAX_PAGE_SIZE {
            None
        } else {
            Some(self.call(call)?.map_or_else(Asked::Refused, Asked::Page))
        };
        self.add("refuses_over_100", "refuses pages over 100", answer::refuses_over_100(self.size, asked.as_ref()));
        let limits = self.meter.seen().rate_limits;
        let told: Vec<String> = limits.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let answer = if told.is_empty() { no("no response had any") } else { yes(told.join(", ")) };
        self.add("rate_limit_headers", "headers tell rate limits", answer);
        Ok(())
    }
}

/// Whether the service refused a request for what it asks, as opposed to who asks or how often.
fn is_about_the_request(error: &ResponseError) -> bool {
    let status = error.status().as_u16();
    matches!(error, ResponseError::Status { .. })
        && matches!(status, 400 | 404 | 405 | 410 | 412..=422)
        && !error.is_wrong_region()
}

/// The times of a run that differ in their name.
fn times(run: &DlqMessage) -> Vec<Time> {
    let times = [
        ("createdAt", run.created_at()),
        ("workflowCreatedAt", run.workflow_created_at()),
        ("notBefore", run.not_before().filter(|at| at.get() > 0)),
    ];
    times.into_iter().filter_map(|(name, at)| Some((name, at?.get()))).collect()
}

/// How far apart its two nearest times are: the farther, the better they are told apart.
fn spread(times: &[Time]) -> i64 {
    let mut sorted: Vec<i64> = times.iter().map(|(_, at)| *at).collect();
    sorted.sort_unstable();
    let gaps = sorted.iter().zip(sorted.iter().skip(1)).map(|(first, second)| second.saturating_sub(*first));
    gaps.min().unwrap_or(0)
}
