//! `upstash-dlq delete --archive`: nothing goes that is not on disk.

use crate::archive_file::ArchiveFile;
use crate::bulk::Job;
use crate::progress::Progress;
use crate::report::{Ending, Exit, Report, thousands};
use crate::{interrupt, wording};
use std::num::NonZeroU32;
use std::path::Path;
use std::time::{Duration, Instant};
use upstash_dlq_core::{ArchiveDelete, ArchiveOutcome, ArchiveStep, Event, OutOfTurn};

enum Stop {
    Interrupted,
    /// The archive cannot be written.
    Broken(String),
    Done(ArchiveOutcome),
}

pub(crate) fn run(
    job: &Job<'_>,
    mut machine: ArchiveDelete,
    path: &Path,
    rate: Option<NonZeroU32>,
    report: Report,
) -> Report {
    job.show_window(machine.selection());
    let (mut report, expected, _) = match job.look_and_ask(machine.selection(), report) {
        Ok(asked) => asked,
        Err(report) => return *report,
    };
    report.archived = Some(0);
    // After the question: whoever says no gets no file.
    let mut file = match ArchiveFile::open(path) {
        Ok(file) => file,
        Err(sentence) => {
            return report.end(Ending::Halted, Exit::Failure, Some(format!("{sentence}; nothing was deleted")));
        }
    };
    if file.repaired() {
        job.terminal.note(&format!("the last line of {} was not whole and was taken off", path.display()));
    }
    let mut progress = Progress::new(job.terminal, expected, "archived and deleted");
    let stop = drive(job, &mut machine, &mut file, rate, &mut progress);
    progress.finish();
    let so_far = machine.outcome_so_far();
    report.set_totals(so_far.totals);
    report.archived = Some(so_far.archived);
    match stop {
        Stop::Interrupted => report.end(Ending::Cancelled, Exit::Interrupted, Some("interrupted".into())),
        Stop::Broken(sentence) => report.end(
            Ending::Halted,
            Exit::Failure,
            Some(format!("{sentence}; nothing that is not in it was deleted")),
        ),
        Stop::Done(ArchiveOutcome { halted: Some(halt), .. }) => {
            report.end(Ending::Halted, Exit::Failure, Some(wording::halt(&halt)))
        }
        Stop::Done(outcome) => {
            report.verified = outcome.verified;
            let absent = match outcome.absent {
                0 => String::new(),
                absent => format!(", {} of the ids were not there", thousands(absent)),
            };
            report.note = Some(format!("{} archived in {}{absent}", thousands(outcome.archived), path.display()));
            report.end(Ending::Complete, Exit::Success, None)
        }
    }
}

fn drive(
    job: &Job<'_>,
    machine: &mut ArchiveDelete,
    file: &mut ArchiveFile,
    rate: Option<NonZeroU32>,
    progress: &mut Progress,
) -> Stop {
    let interval = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.get());
    let mut next = Instant::now();
    loop {
        if interrupt::requested() {
            return Stop::Interrupted;
        }
        let told: Result<Event<()>, OutOfTurn> = match machine.poll() {
            ArchiveStep::Done(outcome) => return Stop::Done(outcome),
            ArchiveStep::Wait(wait) => {
                interrupt::sleep(wait);
                continue;
            }
            ArchiveStep::Store(messages) => {
                if let Err(sentence) = file.append(messages) {
                    return Stop::Broken(sentence);
                }
                machine.stored().map(|()| Event::Ended)
            }
            ArchiveStep::Send(request) => {
                interrupt::sleep(next.saturating_duration_since(Instant::now()));
                next = Instant::now() + interval;
                match job.client.send(request) {
                    Ok(response) => machine.on_response(&response),
                    Err(failure) => machine.on_failure(failure),
                }
            }
        };
        match told {
            Ok(Event::Retry(retried)) => progress.on_retry(&retried),
            Ok(_) => progress.on_page(machine.totals().runs),
            // Cannot happen, as each step is answered in its turn; going on could only make it worse.
            Err(error) => return Stop::Broken(error.to_string()),
        }
    }
}
