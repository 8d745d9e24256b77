//! The promises, each held against what really happened. Where a promise does not hold under a fault, the reason stands beside
//! the exception.

mod harm;
mod reasons;

use crate::client::{Claim, End};
use crate::disk::Trouble;
use crate::network::TIMEOUT_MS;
use crate::population::{BASE, FIRST_ARRIVAL, RunIndex};
use crate::promises::harm::{is_forced, is_left_open};
use crate::schedule::{Driving, Fate, Item, Property, Schedule, Target, Work};
use crate::world::{Facts, OTHER_TOKEN, World, archive_path, checkpoint_path, messages_in};
use std::collections::BTreeMap;
use upstash_dlq_core::{Halt, Totals};
use upstash_dlq_emulator::LOCAL_TOKEN;

/// Holds everything that happened against the promises, and tells the world of each that was broken.
pub(crate) fn check(world: &World, end: Option<End>, halts: &[End]) {
    let history = History { schedule: &world.schedule, facts: world.facts() };
    let mut broken = Vec::new();
    let mut promise = |name: &str, found: Option<String>| broken.extend(found.map(|found| format!("{name}: {found}")));
    promise("no run is started twice", history.started_twice(world));
    promise("what is deleted is in the archive", history.lost_from_the_archive(world));
    promise("no token is in a file", secret_in_a_file(world));
    for end in halts.iter().chain(&end) {
        let (End::Complete(claim) | End::Halted(_, claim)) = end else { continue };
        if let End::Halted(halt, _) = end {
            promise("a halt has a reason", history.groundless(halt));
            if has_not_begun(halt, claim) {
                continue;
            }
        }
        promise("a maximum holds", history.beyond_the_maximum(claim));
        promise("counts are exact, or a lower bound", history.wrong_count(claim));
        promise("requests are counted", history.wrong_requests(claim));
        promise("what counts as archived is on the disk", history.wrong_archived(claim, world));
        promise("nothing is called unknown that is known", history.needless_doubt(claim));
    }
    if let Some(End::Complete(claim)) = &end {
        promise("complete is true", history.incomplete(claim));
        promise("a maximum is reached", history.short_of_the_maximum(claim));
        promise("verified is true", history.wrongly_verified(claim));
        promise("nothing is left behind", history.left_behind(world));
    }
    if !matches!(end, Some(End::Complete(_))) && history.is_harmless() {
        promise("without faults, the work is completed", Some(format!("it ended so: {end:?}")));
    }
    broken.into_iter().for_each(|broken| world.violated(broken));
}

/// Whether a person who tries again, when nothing goes wrong any more, must come to the end.
pub(crate) fn must_end_well(world: &World, end: Option<End>) -> bool {
    let history = History { schedule: &world.schedule, facts: world.facts() };
    let schedule = history.schedule;
    let is_open = match end {
        Some(End::Halted(halt, _)) => !matches!(*halt, Halt::MaximumUnconfirmed),
        Some(End::Unusable(_)) => true,
        _ => false,
    };
    let is_moved =
        |item: &Item| matches!(item, Item::ClockStep { .. } | Item::ArchiveRemoved { .. } | Item::Meddles(..));
    // A service refuses to start runs of which one is not there.
    let starts_absent = schedule.work().starts() && (history.is_disturbed() || history.names_absent());
    // A cursor that came again stays a halt for what must not be repeated.
    let in_circles = schedule.work().starts() && history.server_lies();
    let is_forgotten = schedule.work().starts() && !schedule.has_checkpoint() && world.has_sent_changes();
    is_open
        && history.facts.violations.is_empty()
        && !schedule.has(|property| !is_left_open(property))
        && !schedule.items.iter().any(is_moved)
        && !starts_absent
        && !in_circles
        && !is_forgotten
}

/// Whether the operation has no counts: its settings are wrong, or it ended before its store was read.
fn has_not_begun(halt: &Halt, claim: &Claim) -> bool {
    let is_unread = claim.totals == Totals::default() && matches!(halt, Halt::StoreFailed(_));
    is_unread || matches!(halt, Halt::InvalidSetting { .. })
}

struct History<'a> {
    schedule: &'a Schedule,
    facts: Facts,
}

impl History<'_> {
    fn fates(&self) -> impl Iterator<Item = Fate> {
        self.schedule.items.iter().filter_map(|item| if let Item::Fate(_, fate) = item { Some(*fate) } else { None })
    }

    /// The server says that it did nothing and has nothing, which is not true.
    fn server_lies(&self) -> bool {
        self.fates().any(|fate| matches!(fate, Fate::RepeatCursor | Fate::FreshCursor))
    }

    /// The server says that a run is not there, which is not true.
    fn server_denies(&self) -> bool {
        self.fates().any(|fate| fate == Fate::Status(404))
    }

    fn is_disturbed(&self) -> bool {
        self.schedule.items.iter().any(|item| matches!(item, Item::OtherDeletes { .. } | Item::Arrival { .. }))
    }

    fn has(&self, property: Property) -> bool {
        self.schedule.has(|has| has == property)
    }

    /// What all requests did, each request counted once.
    fn effects(&self) -> impl Iterator<Item = RunIndex> {
        self.facts.asked.iter().flat_map(|asked| asked.effects.iter().copied())
    }

    /// What the requests that a claim speaks of did, each request counted once.
    fn effects_of(&self, claim: &Claim) -> u64 {
        let asked = self.facts.asked.iter().filter(|asked| (claim.since..=claim.until).contains(&asked.process));
        asked.map(|asked| asked.effects.len() as u64).sum()
    }

    fn started_twice(&self, world: &World) -> Option<String> {
        let is_listed = self.schedule.is_refined() || self.schedule.work() == Work::ResumeListed;
        if self.has(Property::OffsetCursors) && self.has(Property::StartedRunsStay) && self.is_disturbed() && !is_listed
        {
            // The pages of such a service overlap when runs come or go, and nobody can see it. Who lists first knows each run.
            return None;
        }
        let mut times: BTreeMap<RunIndex, u32> = BTreeMap::new();
        if self.schedule.work().starts() {
            self.effects().for_each(|index| *times.entry(index).or_default() += 1);
        }
        // Without the checkpoint that somebody has removed, the next process knows nothing of a request in doubt: it begins anew,
        // once.
        let begun = 1 + u32::from(world.machine.was_taken(&checkpoint_path()));
        let (index, times) = times.into_iter().find(|(_, times)| *times > begun)?;
        Some(format!("run {index} was started {times} times"))
    }

    fn lost_from_the_archive(&self, world: &World) -> Option<String> {
        if self.schedule.work() != Work::Archive {
            return None;
        }
        let files = world.machine.files();
        let archive = files.iter().find(|(path, _)| *path == archive_path()).map(|(_, bytes)| bytes.as_slice());
        let lines = messages_in(archive.unwrap_or_default());
        if world.must_have_foreign_line() && !lines.iter().any(|line| world.is_foreign(line)) {
            return Some("the line that somebody else has appended is not there".into());
        }
        let all: Vec<String> = self.facts.came.iter().map(|index| world.population.run(*index).to_json()).collect();
        // A sync that fails and a loss of power leave zeros in lines that nobody has acknowledged.
        let leaves_zeros = |item: &Item| match item {
            Item::Disk(_, trouble) => !matches!(trouble, Trouble::KillBefore | Trouble::KillAfter),
            Item::Fate(_, fate) => *fate == Fate::PowerLossAfter,
            item => matches!(item, Item::PowerLoss { .. }),
        };
        let may_have_zeros = self.schedule.items.iter().any(leaves_zeros);
        if let Some(line) = lines
            .iter()
            .filter(|line| !world.is_foreign(line))
            .filter(|line| !may_have_zeros || !line.contains('\0'))
            .find(|line| !all.iter().any(|json| json == *line))
        {
            return Some(format!("a line is not what the server sent: {line:?}"));
        }
        // What somebody else has taken away was there when its runs were deleted.
        let taken = world.taken_lines();
        let lasting = world.lasting_lines();
        let is_kept = |json: &str| (lines.contains(json) && lasting.contains(json)) || taken.contains(json);
        let is_lost = |json: &str| !is_kept(json);
        let lost = self.effects().find(|index| is_lost(&world.population.run(*index).to_json()))?;
        Some(format!("run {lost} was deleted, and is not there"))
    }

    fn beyond_the_maximum(&self, claim: &Claim) -> Option<String> {
        let max = self.schedule.max()?;
        if matches!(self.schedule.work(), Work::List | Work::Get) {
            return None;
        }
        let acted = self.effects_of(claim);
        (acted > max).then(|| format!("{acted} runs were acted on, and at most {max} were allowed"))
    }

    fn wrong_count(&self, claim: &Claim) -> Option<String> {
        let really = self.effects_of(claim);
        let (said, unconfirmed) = (claim.totals.affected, claim.totals.unconfirmed);
        let is_right = if unconfirmed == 0 { said == really } else { said <= really };
        if is_right && (claim.archived >= said || self.schedule.work() != Work::Archive) {
            return None;
        }
        Some(format!("{:?} and {} archived, and really {really}", claim.totals, claim.archived))
    }

    fn needless_doubt(&self, claim: &Claim) -> Option<String> {
        let is_unknown = |fate: Fate| match fate {
            Fate::RequestLost | Fate::ResponseLost | Fate::CutShort(_) | Fate::CutUnseen(_) | Fate::Late(_) => true,
            Fate::AppliedError(_) | Fate::Html | Fate::NoCount | Fate::TooLarge => true,
            Fate::Slow(ms) => ms > TIMEOUT_MS,
            Fate::Status(status) | Fate::Echo(status) => status >= 500,
            // These are forced, which is looked at below.
            Fate::KillBefore | Fate::KillAfter | Fate::PowerLossAfter => false,
            Fate::NotFound { .. } | Fate::NotSent | Fate::Doubled(_) | Fate::Busy(_) => false,
            Fate::RepeatCursor | Fate::FreshCursor | Fate::CursorExpired => false,
        };
        // A checkpoint whose last step failed may be in its place, and tells of a request that was not sent.
        let is_interrupted =
            |item: &Item| is_forced(item) || matches!(item, Item::Driving(driving) if *driving != Driving::Run);
        if claim.totals.unconfirmed == 0
            || self.fates().any(is_unknown)
            || self.schedule.items.iter().any(is_interrupted)
        {
            return None;
        }
        Some(format!("{:?}, and every response arrived", claim.totals))
    }

    /// Whether an id was given that is not in the DLQ.
    fn names_absent(&self) -> bool {
        matches!(self.schedule.target(), Target::Ids(ids) if ids.iter().any(|id| *id >= self.schedule.runs()))
    }

    /// Whether a listing may skip runs because others leave meanwhile.
    fn skips_runs(&self) -> bool {
        // Who lists everything before the first run is started sees none leave but by others.
        let is_listed = self.schedule.is_refined() || self.schedule.work() == Work::ResumeListed;
        self.has(Property::OffsetCursors) && !self.is_by_ids() && (!is_listed || self.is_disturbed())
    }

    fn is_by_ids(&self) -> bool {
        matches!(self.schedule.target(), Target::Ids(_))
    }

    /// Complete below the maximum, although runs are left.
    fn short_of_the_maximum(&self, claim: &Claim) -> Option<String> {
        let (max, work) = (self.schedule.max()?, self.schedule.work());
        let is_trusted = self.is_by_ids() || self.schedule.is_refined() || work != Work::Delete;
        let skips = self.skips_runs();
        if matches!(work, Work::List | Work::Get)
            || self.names_absent()
            || (self.is_by_ids() && work == Work::Archive)
            || self.is_disturbed()
            || !self.schedule.verifies()
            || (is_trusted && (self.server_lies() || self.server_denies()))
            || (work.starts() && (claim.totals.unconfirmed > 0 || skips))
        {
            return None;
        }
        let acted = self.effects_of(claim);
        if self.effects().count() as u64 > acted {
            // An earlier operation has acted on some of them.
            return None;
        }
        let is_left = |index: &RunIndex| !self.facts.went.contains(index) && !self.facts.started.contains(index);
        let left = self.all_along().find(is_left)?;
        (acted < max).then(|| format!("{acted} of at most {max}, and run {left} is left"))
    }

    fn wrongly_verified(&self, claim: &Claim) -> Option<String> {
        let selects = self.schedule.target().selection(self.schedule.population(), 0).is_some();
        let is_asked_for = selects && self.schedule.max().is_none() && self.schedule.verifies();
        match self.schedule.work() {
            Work::Resume | Work::Restart if !self.is_by_ids() && claim.is_verified => {
                Some("a resume by filter claims that nothing is left".into())
            }
            Work::Delete | Work::Archive if is_asked_for && !claim.is_verified => {
                Some("complete without the verification that was asked for".into())
            }
            _ => None,
        }
    }

    /// A file besides the archive that is there after a complete operation.
    fn left_behind(&self, world: &World) -> Option<String> {
        let is_hurt = |item: &Item| is_forced(item) || matches!(item, Item::SecondProcess { .. });
        if self.schedule.items.iter().any(is_hurt) {
            return None;
        }
        let left = world.machine.files().into_iter().find(|(path, _)| *path != archive_path());
        left.map(|(path, _)| format!("{} is still there", path.display()))
    }

    fn wrong_requests(&self, claim: &Claim) -> Option<String> {
        let is_interrupted = |item: &Item| {
            is_forced(item)
                || matches!(item, Item::SecondProcess { .. } | Item::Driving(_) | Item::Fate(_, Fate::NotSent))
        };
        if self.schedule.work() == Work::ResumeListed || self.schedule.items.iter().any(is_interrupted) {
            return None;
        }
        let asked = self.facts.asked.iter().filter(|asked| (claim.since..=claim.until).contains(&asked.process));
        let asked = asked.count() as u64;
        (claim.totals.requests != asked).then(|| format!("{:?}, and really {asked}", claim.totals))
    }

    fn wrong_archived(&self, claim: &Claim, world: &World) -> Option<String> {
        if self.schedule.work() != Work::Archive {
            return None;
        }
        let mut lines = world.lasting_lines();
        lines.extend(world.taken_lines());
        let lines = lines.iter().filter(|line| !world.is_foreign(line)).count() as u64;
        (claim.archived > lines).then(|| format!("{} are said to be archived, and {lines} are", claim.archived))
    }

    /// The runs that were there all the time, and that the client was to act on.
    fn all_along(&self) -> impl Iterator<Item = RunIndex> {
        let (target, population) = (self.schedule.target(), self.schedule.population());
        // A clock that is behind resolves "until now" to an earlier time.
        let behind = self.schedule.clock_behind() - self.schedule.clock_step().min(0);
        let until = if target.is_until_now() { BASE - behind } else { i64::MAX };
        let is_wanted = move |index: &RunIndex| {
            *index < FIRST_ARRIVAL && target.wants(population, *index) && population.created_at(*index) <= until
        };
        self.facts.came.iter().copied().filter(is_wanted)
    }

    fn gone_by_others(&self, index: RunIndex) -> bool {
        self.schedule.items.iter().any(|item| matches!(item, Item::OtherDeletes { run, .. } if *run == index))
    }

    fn incomplete(&self, claim: &Claim) -> Option<String> {
        let is_by_ids = self.is_by_ids();
        match self.schedule.work() {
            Work::Delete | Work::Archive => {
                // Without a verification nothing is claimed. About ids, the server is trusted.
                if !claim.is_verified || (is_by_ids && (self.server_lies() || self.server_denies())) {
                    return None;
                }
                let mut left = self.all_along().filter(|index| !self.facts.went.contains(index));
                // A pass over runs that stay has many pages. Such cursors skip a run for each that others delete, unseen.
                let others =
                    self.schedule.items.iter().filter(|item| matches!(item, Item::OtherDeletes { .. })).count();
                let skipped = if self.has(Property::OffsetCursors) && self.schedule.is_refined() { others } else { 0 };
                let left = left.nth(skipped);
                left.map(|left| format!("run {left} is still there"))
            }
            Work::Resume | Work::Restart | Work::ResumeListed => {
                // Such cursors skip runs while runs leave. It is why resume and restart claim nothing.
                if self.skips_runs() || self.server_lies() || self.schedule.max().is_some() {
                    return None;
                }
                let mut missing = self.all_along().filter(|index| !self.gone_by_others(*index));
                let missing = missing.find(|index| !self.facts.started.contains(index));
                missing.map(|missing| format!("run {missing} was not started"))
            }
            Work::List | Work::Get => {
                // Where dates are lost, such a cursor means another place of a longer listing.
                let loses_dates = self.schedule.has(|property| matches!(property, Property::ListingLosesDates(_)));
                let overlaps = self.has(Property::OffsetCursors) && (self.is_disturbed() || loses_dates);
                if overlaps || (self.schedule.work() == Work::Get && self.server_denies()) {
                    return None;
                }
                let mut times: BTreeMap<RunIndex, u32> = BTreeMap::new();
                claim.seen.iter().for_each(|index| *times.entry(*index).or_default() += 1);
                if let Some((twice, _)) = times.iter().find(|(_, times)| **times > 1) {
                    return Some(format!("run {twice} was handed over twice"));
                }
                let mut missing = self.all_along().filter(|index| !self.gone_by_others(*index));
                missing.find(|index| !times.contains_key(index)).map(|missing| format!("run {missing} was not listed"))
            }
        }
    }
}

fn secret_in_a_file(world: &World) -> Option<String> {
    let has = |bytes: &[u8], token: &str| bytes.windows(token.len()).any(|window| window == token.as_bytes());
    let holds = |bytes: &[u8]| has(bytes, LOCAL_TOKEN) || has(bytes, OTHER_TOKEN);
    let (path, _) = world.machine.files().into_iter().find(|(_, bytes)| holds(bytes))?;
    Some(format!("{} holds it", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test reports by panicking")]
mod tests {
    use super::*;
    use crate::disk::Life;
    use crate::trace::Trace;
    use upstash_dlq_store::Disk;

    /// No deliberate bug writes one.
    #[test]
    fn a_token_in_a_file_is_seen() {
        for (text, is_secret) in [(LOCAL_TOKEN, true), (OTHER_TOKEN, true), ("a token", false)] {
            let world = World::new(Schedule::from_seed(0), Trace::new(false));
            let disk = world.machine.begin(0, &Life::new(), &Trace::new(false));
            let file = disk.create_new(&checkpoint_path()).unwrap();
            disk.append(&file, format!("{{\"endpoint\":\"{text}\"}}").as_bytes()).unwrap();
            assert_eq!(secret_in_a_file(&world).is_some(), is_secret, "{text}");
        }
    }
}
