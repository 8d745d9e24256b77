//! The report of a bulk command: how it ended, for people, for programs and for the shell.

use crate::exit::{CommandError, Exit, ExitStatus, Failure};
use crate::input::selection::Window;
use crate::output::speed::{per_second, shown_rate};
use crate::output::terminal::{Lost, Terminal, print_line};
use crate::output::text::{absent, requests, runs, thousands, unchecked};
use crate::output::wording::{DELETE, VerbText};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::time::{Duration, Instant};
use upstash_dlq_core::engine::Cause;
use upstash_dlq_core::model::Escaped;
use upstash_dlq_core::{Delivery, Halt, Totals, UnixMillis};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ending {
    Complete,
    Halted,
    Cancelled,
    DryRun,
}

/// The object of `--json`; the fields in the order they are printed.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) outcome: Ending,
    #[serde(flatten)]
    runs: Runs,
    unconfirmed: u64,
    pub(crate) verified: bool,
    pages: u64,
    requests: u64,
    retries: u64,
    elapsed_ms: u64,
    from: Option<UnixMillis>,
    to: Option<UnixMillis>,
    pub(crate) reason: Option<String>,
    pub(crate) checkpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) matching: Option<u64>,
    /// How many of the given ids are known not to be in the DLQ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) missing: Option<u64>,
    /// How many of the runs lack a field that the filter names.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) unchecked: u64,
    /// How many messages went into the archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) archived: Option<u64>,
    /// Whether an earlier process came to this end, and this one has sent nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) already_complete: bool,
    /// How to continue after an interrupt without a checkpoint.
    #[serde(skip)]
    pub(crate) how_on: Option<String>,
    /// The checkpoint of a complete command, which goes once the result is printed.
    #[serde(skip)]
    pub(crate) kept_end: Option<String>,
    /// Whether the checkpoint only leads to the same end again.
    #[serde(skip)]
    pub(crate) is_dead_end: bool,
    /// After a dry run, the maximum.
    #[serde(skip)]
    pub(crate) at_most: Option<u64>,
    /// Whether a request has to be settled before anything further is sent.
    #[serde(skip)]
    pub(crate) unsettled: bool,
    /// Whether the command line settles one.
    #[serde(skip)]
    pub(crate) settles: bool,
    /// Whether the checkpoint holds an earlier position, because the last one could not be written.
    #[serde(skip)]
    pub(crate) is_earlier: bool,
    /// Why the last position could not be written, unless that is the reason of the end.
    #[serde(skip)]
    pub(crate) unsaved: Option<String>,
    /// What there is to say to people besides the counts.
    #[serde(skip)]
    pub(crate) note: Option<String>,
    #[serde(skip)]
    pub(crate) exit: Exit,
    /// Whether the response to the question was no.
    #[serde(skip)]
    pub(crate) declined: bool,
    /// Whether the reason is that standard output could not be written.
    #[serde(skip)]
    pub(crate) output_lost: bool,
    #[serde(skip)]
    before: u64,
    /// How many of the runs an earlier process did.
    #[serde(skip)]
    earlier: u64,
    /// How often the last request was tried, if it could not be sent.
    #[serde(skip)]
    attempts_to_connect: Option<u32>,
    /// How long the question waited for its response.
    #[serde(skip)]
    thought: Duration,
    #[serde(skip)]
    started: Instant,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// How many runs, under the name of what was done with them.
#[derive(Clone, Copy, Debug)]
struct Runs {
    verb: VerbText,
    count: u64,
}

impl Serialize for Runs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.verb.done, &self.count)?;
        map.end()
    }
}

impl Report {
    pub(crate) fn new(verb: VerbText, (from, to): Window) -> Self {
        Self {
            outcome: Ending::Halted,
            runs: Runs { verb, count: 0 },
            unconfirmed: 0,
            verified: false,
            pages: 0,
            requests: 0,
            retries: 0,
            elapsed_ms: 0,
            from,
            to,
            reason: None,
            checkpoint: None,
            matching: None,
            missing: None,
            unchecked: 0,
            archived: None,
            already_complete: false,
            how_on: None,
            kept_end: None,
            is_dead_end: false,
            at_most: None,
            unsettled: false,
            settles: false,
            is_earlier: false,
            unsaved: None,
            note: None,
            exit: Exit::Failure,
            declined: false,
            output_lost: false,
            before: 0,
            earlier: 0,
            attempts_to_connect: None,
            thought: Duration::ZERO,
            started: Instant::now(),
        }
    }

    /// How many of the ids that were given are known to be missing.
    pub(crate) fn with_missing(self, missing: Option<u64>) -> Self {
        Self { missing, ..self }
    }

    pub(crate) fn set_window(&mut self, (from, to): Window) {
        (self.from, self.to) = (from, to);
    }

    pub(crate) fn set_totals(&mut self, totals: Totals) {
        self.runs.count = totals.affected;
        self.unconfirmed = totals.unconfirmed;
        self.pages = totals.pages;
        self.requests = totals.requests + self.before;
        self.retries = totals.retries;
    }

    /// How many runs an earlier process did: they say nothing about the speed of this one.
    pub(crate) fn begin_at(&mut self, runs: u64) {
        self.earlier = runs;
    }

    /// Whether there was nothing left to do at the beginning. A command that settles a request completes what an earlier one could not.
    pub(crate) fn begin_complete(&mut self, is_complete: bool) {
        self.already_complete = is_complete && !self.settles;
    }

    /// Requests before the operation began.
    pub(crate) fn set_requests_before(&mut self, before: u64) {
        self.requests = self.requests - self.before + before;
        self.before = before;
    }

    pub(crate) fn leave_out(&mut self, thought: Duration) {
        self.thought += thought;
    }

    pub(crate) fn end(mut self, outcome: Ending, exit: Exit, reason: Option<String>) -> Self {
        self.outcome = outcome;
        // Whoever reads nothing else has to learn that the position is lost.
        self.exit = if exit == Exit::Success && self.unsaved.is_some() { Exit::Failure } else { exit };
        self.reason = match (reason, self.unsaved.take()) {
            (Some(reason), Some(unsaved)) => Some(format!("{reason}; {unsaved}")),
            (reason, unsaved) => reason.or(unsaved),
        };
        self
    }

    /// Ends before anything was sent.
    pub(crate) fn wrong_usage(self, sentence: String) -> Self {
        self.end(Ending::Halted, Exit::Usage, Some(sentence))
    }

    /// The ends of the window of time, if it has any.
    pub(crate) fn window(&self) -> Window {
        (self.from, self.to)
    }

    /// Why the command stopped: it may be that no connection could be made.
    pub(crate) fn note_halt(&mut self, halt: &Halt) {
        if let Halt::GaveUp { attempts, last: Cause::Transport(failure), .. } = halt {
            self.attempts_to_connect = (failure.delivery == Delivery::NotSent).then_some(*attempts);
        }
    }

    /// How many requests nobody knows the fate of.
    pub(crate) fn unconfirmed(&self) -> u64 {
        self.unconfirmed
    }

    /// The result in a sentence for people, as it is at this moment.
    pub(crate) fn sentence(&self) -> String {
        self.summary(self.elapsed())
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed().saturating_sub(self.thought)
    }

    fn status(&self) -> ExitStatus {
        self.exit.status(self.runs.count > 0 || self.unconfirmed > 0)
    }

    /// How much a command has done that ends before its first request. An earlier process may have done something.
    pub(crate) fn nothing(&self) -> &'static str {
        if self.runs.count == 0 && self.unconfirmed == 0 { "nothing" } else { "nothing further" }
    }

    pub(crate) fn runs(&self) -> u64 {
        self.runs.count
    }

    /// Whether every request was confirmed.
    pub(crate) fn is_exact(&self) -> bool {
        self.unconfirmed == 0
    }

    /// Prints the result to standard output, as one object with `--json`. Every bulk command ends here, whatever happened. Returns
    /// the reason of a failure, for `main` to print, and whether the result is told.
    pub(crate) fn finish(mut self, terminal: Terminal) -> (Result<ExitStatus, CommandError>, bool) {
        let elapsed = self.elapsed();
        self.elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let printed = if terminal.json() {
            print_line(&serde_json::to_string(&self).unwrap_or_else(|_| "{}".into()))
        } else if self.exit != Exit::Usage {
            print_line(&self.summary(elapsed))
        } else {
            Ok(())
        };
        // A reader that has gone wanted no more, and to delete again does no harm. To start again does.
        let is_told = match &printed {
            Ok(()) => true,
            Err(Lost::NoReader) => self.runs.verb == DELETE,
            Err(Lost::Unwritable(_)) => false,
        };
        let mut reason = self.reason.clone().filter(|_| !self.declined);
        if let Err(Lost::Unwritable(sentence)) = printed {
            reason = Some(match reason {
                // Said once.
                Some(reason) if self.output_lost => reason,
                Some(reason) => format!("{reason}; {sentence}"),
                None => sentence,
            });
            if self.exit == Exit::Success {
                self.exit = Exit::Failure;
            }
        }
        let (status, advice) = (self.status(), self.advice());
        let result = match reason {
            Some(message) => {
                let advice = advice.or_else(|| self.how_to_see());
                let failure = Failure::new("failed", message);
                Err(CommandError::Failed(Failure { status, advice, in_result: true, ..failure }))
            }
            None => {
                advice.iter().for_each(|advice| terminal.note(advice));
                Ok(status)
            }
        };
        (result, is_told)
    }

    /// How to see the result of a complete command that could not be printed.
    fn how_to_see(&self) -> Option<String> {
        let path = self.kept_end.as_ref()?;
        if self.is_earlier {
            return Some(self.how_to_continue(path));
        }
        let how = if self.settles { " without --settle" } else { "" };
        Some(format!("the result is kept in {}: run the same command again{how} to see it", Escaped(path)))
    }

    /// How to continue.
    fn advice(&self) -> Option<String> {
        match &self.checkpoint {
            _ if self.outcome == Ending::DryRun => None,
            // Nothing else records what was started.
            Some(path)
                if self.is_dead_end
                    && self.outcome == Ending::Halted
                    && self.runs.verb != DELETE
                    && self.nothing() != "nothing" =>
            {
                Some(format!("{} is kept, and leads nowhere: give another file", Escaped(path)))
            }
            Some(path) if self.is_dead_end => {
                Some(format!("{} is kept, and leads nowhere: remove it, or give another file", Escaped(path)))
            }
            Some(path) => Some(self.how_to_continue(path)),
            None => self.how_on.clone(),
        }
    }

    fn how_to_continue(&self, path: &str) -> String {
        // An earlier position does not know the request as one that is in doubt, and shows it again.
        let how = match (self.unsettled && !self.is_earlier, self.settles) {
            (true, _) => " with --settle",
            (false, true) => " without --settle",
            (false, false) => "",
        };
        let held = if self.is_earlier { "an earlier position is in" } else { "position saved in" };
        let asks = if self.is_earlier && self.runs.verb != DELETE {
            "; it may first ask about requests that were answered since"
        } else {
            ""
        };
        let path = Escaped(path);
        format!("{held} {path}: run the same command again{how} to continue{asks}")
    }

    fn or_more(&self) -> String {
        if self.unconfirmed == 0 {
            return String::new();
        }
        format!(" or more ({} unconfirmed)", requests(self.unconfirmed))
    }

    fn summary(&self, elapsed: Duration) -> String {
        let Runs { verb, count } = self.runs;
        if self.declined {
            let mut line = format!("Cancelled; {} was {}.", self.nothing(), verb.done);
            if self.nothing() != "nothing" {
                line +=
                    &format!(" Before that, {} {} {}", runs(count), if count == 1 { "was" } else { "were" }, verb.done);
                line += &self.or_more();
                line.push('.');
            }
            return line;
        }
        if let (Some(attempts), 0, 0) = (self.attempts_to_connect, self.requests, count) {
            let attempts = thousands(attempts.into());
            let s = if attempts == "1" { "" } else { "s" };
            return format!("Nothing was sent: {attempts} attempt{s} to connect failed.");
        }
        let mut line = match (self.outcome, self.matching) {
            (Ending::DryRun, matching) => {
                let matching = matching.unwrap_or(0);
                let matches = if matching == 1 { "matches" } else { "match" };
                let missing = self.missing.filter(|missing| *missing > 0);
                let missing = missing.map_or(String::new(), |missing| format!(", {}", absent(missing)));
                let bound = match self.at_most.filter(|at_most| *at_most < matching) {
                    Some(at_most) => format!("; at most {} of them would be {};", thousands(at_most), verb.done),
                    None => ",".into(),
                };
                return format!("Dry run: {} {matches}{missing}{bound} nothing was {}.", runs(matching), verb.done);
            }
            (Ending::Halted | Ending::Cancelled, _) if self.unconfirmed > 0 => format!(
                "{}: at least {} {} {}; {} {} unconfirmed",
                if self.outcome == Ending::Halted { "Stopped" } else { "Cancelled" },
                runs(count),
                if count == 1 { "was" } else { "were" },
                verb.done,
                requests(self.unconfirmed),
                if self.unconfirmed == 1 { "is" } else { "are" }
            ),
            (Ending::Complete, _) => format!("{} {}{}", verb.done_at_start, runs(count), self.or_more()),
            (Ending::Halted, _) => format!("Stopped after {} {}", runs(count), verb.done),
            (Ending::Cancelled, _) => format!("Cancelled after {} {}", runs(count), verb.done),
        };
        if let Some(note) = &self.note {
            line += &format!("; {note}");
        }
        line += &unchecked(self.unchecked);
        let done_now = count.saturating_sub(self.earlier);
        let speed = if elapsed > Duration::from_secs(1) { per_second(done_now, elapsed) } else { None };
        line + &format!(
            ". {}, {} {}, {:.1} s{}.",
            requests(self.requests),
            thousands(self.retries),
            if self.retries == 1 { "retry" } else { "retries" },
            elapsed.as_secs_f64(),
            speed.map_or(String::new(), |speed| format!(" ({})", shown_rate(speed)))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(deleted: u64, earlier: u64, millis: u64) -> String {
        let mut report = Report::new(DELETE, (None, None)).end(Ending::Complete, Exit::Success, None);
        let mut totals = Totals::default();
        totals.affected = deleted;
        report.set_totals(totals);
        report.begin_at(earlier);
        report.summary(Duration::from_millis(millis))
    }

    #[test]
    fn a_summary_tells_the_speed_of_what_took_longer_than_a_second() {
        assert_eq!(summary(9_000, 0, 2_000), "Deleted 9,000 runs. 0 requests, 0 retries, 2.0 s (4,500/s).");
        // What an earlier process did took none of this time.
        assert_eq!(summary(9_000, 8_995, 2_000), "Deleted 9,000 runs. 0 requests, 0 retries, 2.0 s (2.5/s).");
        for (deleted, earlier, millis) in [(9_000, 0, 1_000), (0, 0, 5_000), (9_000, 9_000, 5_000)] {
            assert!(summary(deleted, earlier, millis).ends_with(" s."), "{deleted} {earlier} {millis}");
        }
    }
}
