//! Draws a schedule from a seed.

use crate::disk::Trouble;
use crate::population::{FIRST_ARRIVAL, Names, Times};
use crate::random::Random;
use crate::schedule::{Asks, Driving, Fate, Field, Item, LONGEST_CLOCK_STEP, Property, Refine, Schedule, Settings};
use crate::schedule::{Target, Touched, Words, Work};

/// Which way of drawing this is, and of taking what was drawn. With another one, a seed is another history.
pub const DRAW: u32 = 9;

impl Schedule {
    /// Draws everything from the seed.
    pub fn from_seed(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let random = &mut random;
        let mut items = Vec::new();
        let work = random.pick(&Work::ALL).unwrap_or(Work::Delete);
        items.push(Item::Work(work));
        let is_refined =
            matches!(work, Work::Delete | Work::Archive) && random.chance(25) || work.starts() && random.chance(30);
        // A listing tries windows of time only after a few pages.
        let many = match work {
            Work::List => 60,
            Work::Archive | Work::ResumeListed => 25,
            _ if is_refined => 40,
            _ => 10,
        };
        let runs = match random.below(100) {
            // Several batches of ids, and pages of a hundred.
            0..=1 => random.within(60, 250),
            at if at < many => random.within(20, 60),
            _ => random.below(14),
        };
        let runs = u32::try_from(runs).unwrap_or(1);
        match random.below(20) {
            0..=2 => items.push(Item::Names(Names::Odd)),
            3 => items.push(Item::Names(Names::Long(u16::try_from(random.within(50, 1_024)).unwrap_or(50)))),
            _ => {}
        }
        match random.below(10) {
            0..=2 => items.push(Item::Times(Times::Uneven)),
            3 => items.push(Item::Times(Times::Crowded)),
            _ => {}
        }
        items.push(Item::Target(if is_refined { refined(random, work, runs) } else { target(random, work, runs) }));
        items.push(Item::Runs(runs));
        if random.chance(25) {
            items.push(Item::Bodies(u16::try_from(random.within(20, 3_000)).unwrap_or(20)));
        }
        if work == Work::Archive && random.chance(10) {
            items.push(Item::FillsSectors);
        }
        let largest = if runs >= 60 || random.chance(4) { 100 } else { 6 };
        items.push(Item::PageSize(u32::try_from(random.within(1, largest)).unwrap_or(1)));
        if random.chance(60) {
            items.push(Item::Lanes(usize::try_from(random.within(2, 4)).unwrap_or(2)));
        }
        if random.chance(25) {
            items.push(Item::Max(random.within(1, u64::from(runs) + 2)));
        }
        if random.chance(10) {
            items.push(Item::NoVerify);
        }
        items.push(Item::Attempts(u32::try_from(random.within(2, 5)).unwrap_or(2)));
        match random.below(10) {
            0..=1 => items.push(Item::Driving(Driving::Pages(u32::try_from(random.within(1, 4)).unwrap_or(1)))),
            9 if work == Work::List => {
                items.push(Item::Driving(Driving::TakenBack(u32::try_from(random.within(1, 9)).unwrap_or(1))));
            }
            2 => items.push(Item::Driving(Driving::Slices { ms: random.within(1, 900) })),
            _ => {}
        }
        if work == Work::Archive && random.chance(50) {
            items.push(Item::SharesSyncs);
        }
        if random.chance(10) {
            items.push(Item::Rate(u32::try_from(random.within(1, 20)).unwrap_or(1)));
        }
        if work.starts() && random.chance(20) {
            let settings = random.pick(&[Settings::Retries, Settings::LabelsAndDelay, Settings::FlowControl]);
            items.push(Item::Overrides(settings.unwrap_or(Settings::Retries)));
        }
        if work.starts() && random.chance(20) {
            items.push(Item::SettlesOne);
        }
        let wanted =
            items.iter().find_map(|item| if let Item::Target(target) = item { Some(target.clone()) } else { None });
        let mut properties = 0;
        while properties < 2 && random.chance(35) {
            let property = if work == Work::List && random.chance(50) || runs > 20 && random.chance(25) {
                of_listings(random)
            } else {
                property(random, wanted.as_ref())
            };
            items.push(Item::Service(property));
            if property == Property::LoopingCursors && work.starts() && random.chance(50) {
                // Whoever follows such cursors starts the same runs again.
                items.push(Item::Service(Property::StartedRunsStay));
            }
            if property == Property::ExpiredCursors && random.chance(50) {
                items.push(Item::Service(Property::EndlessCursors));
            }
            properties += 1;
        }
        let is_one = matches!(wanted, Some(Target::Refined(_, Refine::One)));
        if is_refined && runs > 20 && random.chance(if is_one { 60 } else { 20 }) {
            // Windows of time are listed to their ends only after many requests.
            let from = u32::try_from(random.within(15, 50)).unwrap_or(15);
            items.push(Item::Service(Property::ListingLosesDates(from)));
        }
        sizes(random, runs, &mut items);
        fates(random, &mut items);
        troubles(random, work, &mut items);
        meddlings(random, work, &mut items);
        other_words(random, work, &mut items);
        while random.chance(12) {
            items.push(match random.below(10) {
                9 => Item::ClockBehind { by_ms: i64::try_from(random.within(1, 600_000)).unwrap_or(1) },
                0..=2 => Item::Kill { at_ms: random.below(2_000) },
                3 => Item::PowerLoss { at_ms: random.below(2_000) },
                4..=5 => Item::Stop { at_ms: random.below(1_500) },
                6 => Item::ClockStep {
                    by_ms: i64::try_from(random.below(LONGEST_CLOCK_STEP.unsigned_abs())).unwrap_or(0) - 60_000,
                },
                7 => Item::ArchiveRemoved { at_ms: random.below(800) },
                _ => Item::SecondProcess { at_ms: random.below(1_000) },
            });
        }
        let mut arrivals = 0;
        while random.chance(15) {
            items.push(if random.chance(50) {
                Item::OtherDeletes { at_ms: random.below(1_000), run: u32::try_from(random.below(14)).unwrap_or(0) }
            } else {
                arrivals += 1;
                Item::Arrival { at_ms: random.below(1_000), run: FIRST_ARRIVAL + arrivals }
            });
        }
        let numbers = (0..items.len()).collect();
        Self { seed, items, numbers }
    }
}

fn target(random: &mut Random, work: Work, runs: u32) -> Target {
    if work == Work::Get {
        return ids(random, runs);
    }
    let some = |random: &mut Random| u32::try_from(random.below(u64::from(runs) + 1)).unwrap_or(0);
    match random.below(14) {
        10 => return Target::Since(some(random)),
        11 => return Target::Until(some(random)),
        12..=13 => return Target::Having(field(random)),
        _ => {}
    }
    match random.below(10) {
        0..=2 => Target::Everything,
        3..=4 => Target::Red,
        5 => Target::RedUntilNow,
        6 => {
            let (a, b) = (some(random), some(random));
            Target::Between { oldest: a.max(b), newest: a.min(b) }
        }
        _ if matches!(work, Work::List | Work::ResumeListed) => Target::Red,
        _ => ids(random, runs),
    }
}

/// What matches a refinement, among everything or among what a filter matches.
fn refined(random: &mut Random, work: Work, runs: u32) -> Target {
    let within = match target(random, work, runs) {
        Target::Ids(_) => Target::Everything,
        within => within,
    };
    let ways = [
        Refine::Status,
        Refine::TwoStatuses,
        Refine::TwoStatuses,
        Refine::Signature,
        Refine::TwoSignatures,
        Refine::Text,
        Refine::StatusAndText,
        Refine::One,
        Refine::One,
        Refine::Nothing,
    ];
    Target::Refined(Box::new(within), random.pick(&ways).unwrap_or(Refine::Status))
}

/// The client reads only so much of a response. A run that is larger alone cannot be read at all.
fn sizes(random: &mut Random, runs: u32, items: &mut Vec<Item>) {
    if !random.chance(18) {
        return;
    }
    let bound = u32::try_from(random.within(700, 6_000)).unwrap_or(700);
    items.push(Item::Service(Property::LargestBody(bound)));
    if random.chance(35) {
        items.push(Item::Service(Property::CountBoundCursors));
    }
    if random.chance(15) {
        let run = u32::try_from(random.below(u64::from(runs) + 1)).unwrap_or(0);
        items.push(Item::Huge(run, u16::try_from(bound).unwrap_or(u16::MAX)));
    }
}

fn field(random: &mut Random) -> Field {
    let fields = [
        Field::WorkflowUrl,
        Field::TwoUrls,
        Field::WorkflowRunId,
        Field::WorkflowCreatedAt,
        Field::TwoLabels,
        Field::State,
        Field::CallerIp,
        Field::FlowControlKey,
        Field::Several,
    ];
    random.pick(&fields).unwrap_or(Field::WorkflowUrl)
}

/// A service that ignores one part of the query, for one kind of request.
fn ignores(random: &mut Random, target: Option<&Target>) -> Property {
    let names = [
        "fromDate",
        "toDate",
        "label",
        "workflowUrl",
        "workflowRunId",
        "workflowCreatedAt",
        "failureFunctionState",
        "callerIp",
        "flowControlKey",
    ];
    let asks = random.pick(&[Asks::Listing, Asks::Listing, Asks::Delete, Asks::Start]).unwrap_or(Asks::Listing);
    let wanted = match target {
        Some(Target::Since(_)) => Some("fromDate"),
        Some(Target::Until(_)) => Some("toDate"),
        Some(Target::Having(field)) => Some(field.name()),
        _ => None,
    };
    let any = random.pick(&names).unwrap_or("label");
    // Only what is asked for can be ignored.
    Property::Ignores(asks, wanted.filter(|_| random.chance(75)).unwrap_or(any))
}

/// Some of the runs, and one that is not there.
fn ids(random: &mut Random, runs: u32) -> Target {
    let some = random.within(20, 100);
    let mut chosen: Vec<u32> = (0..runs).filter(|_| random.chance(some)).collect();
    if chosen.is_empty() || random.chance(15) {
        chosen.push(runs + 40);
    }
    Target::Ids(chosen)
}

fn property(random: &mut Random, target: Option<&Target>) -> Property {
    match random.below(80) {
        70.. => ignores(random, target),
        60..=63 => Property::LoopingCursors,
        64..=65 => Property::ExpiredCursors,
        66..=67 if random.chance(20) => Property::EndlessCursors,
        68..=69 => Property::ListingIgnoresCount,
        at => often(random, at % 14),
    }
}

fn of_listings(random: &mut Random) -> Property {
    match random.below(6) {
        5 => Property::ListingLosesDates(u32::try_from(random.within(8, 40)).unwrap_or(8)),
        4 => Property::Ignores(Asks::Listing, "fromDate"),
        0 => Property::ListingIgnoresDates,
        1 => Property::ListingIgnoresTo,
        2 => Property::NewestFirst,
        _ => Property::OffsetCursors,
    }
}

fn often(random: &mut Random, at: u64) -> Property {
    match at {
        0..=1 => Property::OffsetCursors,
        2 => Property::NewestFirst,
        3 => Property::BoundCursors,
        4..=5 => Property::ListingLag(u32::try_from(random.within(1, 3)).unwrap_or(1)),
        6..=7 => Property::StartedRunsStay,
        8 => Property::DeleteMaxCount(u32::try_from(random.within(4, 8)).unwrap_or(4)),
        9 => Property::ListingIgnoresDates,
        10 => Property::ListingIgnoresTo,
        11 => Property::DeleteIgnoresDates,
        12 => Property::ListingIgnoresLabels,
        _ => Property::RateLimit(u32::try_from(random.within(3, 20)).unwrap_or(3)),
    }
}

/// A third of the histories has no faults, not quite a half has a few, and a fifth has a storm as well.
fn fates(random: &mut Random, items: &mut Vec<Item>) {
    if random.chance(33) {
        return;
    }
    let count = random.within(1, 5);
    for _ in 0..count {
        items.push(Item::Fate(early(random, 16, 120), fate(random)));
    }
    if random.chance(30) {
        let begin = early(random, 10, 60);
        let length = u32::try_from(random.within(2, 9)).unwrap_or(2);
        let kind = fate(random);
        for at in begin..begin + length {
            items.push(Item::Fate(at, kind));
        }
    }
}

/// Most often below `soon`, where most histories still go on, and now and then below `late`.
fn early(random: &mut Random, soon: u64, late: u64) -> u32 {
    let bound = if random.chance(85) { soon } else { late };
    u32::try_from(random.below(bound)).unwrap_or(0)
}

fn fate(random: &mut Random) -> Fate {
    let percent = u8::try_from(random.below(100)).unwrap_or(50);
    match random.below(30) {
        0..=1 => Fate::NotSent,
        2..=3 => Fate::RequestLost,
        4..=7 => Fate::ResponseLost,
        8 => Fate::CutShort(percent),
        9 => Fate::CutUnseen(percent),
        10 => Fate::Late(random.within(1, 60_000)),
        11..=12 => Fate::Slow(random.within(1, 25_000)),
        13 => Fate::Doubled(random.within(0, 20_000)),
        14 => Fate::Busy(0),
        15 => Fate::Busy(u32::try_from(random.within(1, 5)).unwrap_or(1)),
        16 => Fate::Status(random.pick(&[500, 502, 503, 504]).unwrap_or(500)),
        17..=18 => Fate::AppliedError(random.pick(&[500, 502, 503, 504]).unwrap_or(502)),
        19 if random.chance(40) => Fate::TooLarge,
        19 => Fate::Html,
        20 => Fate::NoCount,
        21 => Fate::RepeatCursor,
        22 => Fate::FreshCursor,
        23 => Fate::CursorExpired,
        24 if random.chance(30) => Fate::NotFound { is_region: random.chance(50) },
        24 if random.chance(50) => Fate::Echo(random.pick(&[400, 401, 429, 500]).unwrap_or(401)),
        24 => Fate::Status(random.pick(&[307, 400, 401, 404]).unwrap_or(401)),
        25..=26 => Fate::KillBefore,
        27..=28 => Fate::KillAfter,
        _ => Fate::PowerLossAfter,
    }
}

/// Somebody meddles with the files of a process.
fn meddlings(random: &mut Random, work: Work, items: &mut Vec<Item>) {
    if !random.chance(6) {
        return;
    }
    let step = random.below(60);
    let touched = if work == Work::Archive {
        random.pick(&[Touched::ArchiveReplaced, Touched::ArchiveAppended])
    } else if work.has_checkpoint() {
        let files =
            [Touched::LockRemoved, Touched::LockReplaced, Touched::CheckpointEdited, Touched::CheckpointRemoved];
        random.pick(&files)
    } else {
        None
    };
    items.extend(touched.map(|touched| Item::Meddles(step, touched)));
    if touched == Some(Touched::CheckpointEdited) {
        // Otherwise the process replaces it.
        items.push(Item::Disk(step, Trouble::KillBefore));
    }
}

/// A later process continues in other words.
fn other_words(random: &mut Random, work: Work, items: &mut Vec<Item>) {
    if !work.has_checkpoint() || !random.chance(15) {
        return;
    }
    let words = [
        Words::Target,
        Words::Target,
        Words::Max,
        Words::PageSize,
        Words::Verification,
        Words::Settings,
        Words::Address,
        Words::Lanes,
        Words::Token,
    ];
    let process = u32::try_from(random.within(1, 3)).unwrap_or(1);
    items.push(Item::OtherWords { process, words: random.pick(&words).unwrap_or(Words::Max) });
}

fn troubles(random: &mut Random, work: Work, items: &mut Vec<Item>) {
    if matches!(work, Work::List | Work::Get) {
        return;
    }
    while random.chance(25) {
        let trouble = match random.below(10) {
            0..=2 => Trouble::Fails,
            3 => Trouble::Partial,
            4 => Trouble::KillBefore,
            5 => Trouble::KillAfter,
            6..=7 => Trouble::PowerBefore,
            _ => Trouble::PowerAfter,
        };
        items.push(Item::Disk(early(random, 90, 400).into(), trouble));
    }
    while random.chance(12) {
        items.push(Item::LookFails(random.below(60)));
    }
}
