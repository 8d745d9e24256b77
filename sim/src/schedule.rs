//! What happens in one history, as plain data: a list of items that can be left out one by one.

use crate::disk::Trouble;
use crate::population::{Names, Population, RunIndex, Times};
use std::fmt;

/// The most by which a client's clock is stepped forward, in milliseconds.
pub(crate) const LONGEST_CLOCK_STEP: i64 = 30 * 60_000;

/// What happens in one history: everything that was drawn from the seed.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub(crate) seed: u64,
    /// What is drawn from the seed, in the order of drawing. What is not named has its default.
    pub(crate) items: Vec<Item>,
    /// The number of each item in the whole schedule of the seed.
    pub(crate) numbers: Vec<usize>,
}

/// One thing that differs from the plainest history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// What the client does. Always the first item.
    Work(Work),
    /// What it acts on.
    Target(Target),
    /// How many runs are in the DLQ.
    Runs(u32),
    /// How the runs are named.
    Names(Names),
    /// When the runs failed.
    Times(Times),
    /// The bodies of the runs have fewer bytes than this.
    Bodies(u16),
    /// A run whose body has so many bytes.
    Huge(RunIndex, u16),
    /// Each message fills whole sectors of the disk, with its newline.
    FillsSectors,
    /// How many runs one request asks for.
    PageSize(u32),
    /// How many requests may be in flight at once.
    Lanes(usize),
    /// The most runs that may be acted on.
    Max(u64),
    /// No verification pass.
    NoVerify,
    /// The most times that a request is sent.
    Attempts(u32),
    /// The most requests in a second.
    Rate(u32),
    /// The settings that started runs get.
    Overrides(Settings),
    /// The number of a process that continues a checkpoint in other words.
    OtherWords { process: u32, words: Words },
    /// A person settles one request in doubt at a time.
    SettlesOne,
    /// How the client drives its operation.
    Driving(Driving),
    /// Batches of an archive that arrive together share one sync.
    SharesSyncs,
    /// A property of the service that the contract leaves open, or in which it is broken.
    Service(Property),
    /// What becomes of a request, by its number in the history.
    Fate(u32, Fate),
    /// What goes wrong at a step of the disk, by its number in the history.
    Disk(u64, Trouble),
    /// A look at the disk fails, by its number in the history: a file cannot be opened, read or locked.
    LookFails(u64),
    /// The client's process is killed.
    Kill { at_ms: u64 },
    /// The client's machine loses its power.
    PowerLoss { at_ms: u64 },
    /// The client is asked to stop, as by Ctrl-C.
    Stop { at_ms: u64 },
    /// The client's wall clock is behind.
    ClockBehind { by_ms: i64 },
    /// Somebody meddles with a file before a step of the disk, by its number in the history.
    Meddles(u64, Touched),
    /// The client's wall clock is stepped, from the second process on.
    ClockStep { by_ms: i64 },
    /// Somebody else deletes a run.
    OtherDeletes { at_ms: u64, run: RunIndex },
    /// A run fails and arrives in the DLQ.
    Arrival { at_ms: u64, run: RunIndex },
    /// Somebody removes the archive.
    ArchiveRemoved { at_ms: u64 },
    /// A second process is started with the same file.
    SecondProcess { at_ms: u64 },
}

/// What the client does. To add an operation, add it here, in `draw`, and in `client`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Work {
    /// Deletes, with a checkpoint.
    Delete,
    /// Lists, archives, and then deletes.
    Archive,
    /// Resumes, with a checkpoint.
    Resume,
    /// Restarts, with a checkpoint.
    Restart,
    /// Lists the ids into a file beside the checkpoint, and then resumes those.
    ResumeListed,
    /// Lists.
    List,
    /// Fetches runs one by one.
    Get,
}

impl Work {
    pub(crate) const ALL: [Self; 7] =
        [Self::Delete, Self::Archive, Self::Resume, Self::Restart, Self::ResumeListed, Self::List, Self::Get];

    /// Whether a second request could start the same runs again.
    pub(crate) fn starts(self) -> bool {
        matches!(self, Self::Resume | Self::Restart | Self::ResumeListed)
    }

    pub(crate) fn has_checkpoint(self) -> bool {
        matches!(self, Self::Delete) || self.starts()
    }
}

/// Which runs the client acts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Everything,
    Red,
    /// Those that are red, up to the present. Each process resolves the present anew.
    RedUntilNow,
    Between {
        oldest: RunIndex,
        newest: RunIndex,
    },
    /// Those that failed when this run did, or later.
    Since(RunIndex),
    /// Those that failed when this run did, or earlier.
    Until(RunIndex),
    Having(Field),
    Ids(Vec<RunIndex>),
    /// Those of the target that failed in a way that the service has no filter for. It is no list of ids.
    Refined(Box<Target>, Refine),
}

/// What listed runs are held against, because the service has no filter for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refine {
    Status,
    TwoStatuses,
    /// The signature of the first run's failure.
    Signature,
    /// Signatures of two failures.
    TwoSignatures,
    /// A text that stands in the errors of one kind.
    Text,
    StatusAndText,
    /// A text that stands in the error of the newest run alone.
    One,
    /// What no run has.
    Nothing,
}

/// The fields of a filter, besides the dates and the one label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    WorkflowUrl,
    TwoUrls,
    WorkflowRunId,
    WorkflowCreatedAt,
    TwoLabels,
    State,
    CallerIp,
    FlowControlKey,
    /// A label, an address and a key.
    Several,
}

/// The settings that started runs get instead of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settings {
    Retries,
    LabelsAndDelay,
    FlowControl,
}

/// In which words a checkpoint is continued that was begun in others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    Target,
    Max,
    PageSize,
    Verification,
    Settings,
    Address,
    Lanes,
    Token,
}

impl Words {
    /// Whether a checkpoint may be continued so.
    pub(crate) fn are_harmless(self) -> bool {
        matches!(self, Self::Lanes | Self::Token)
    }
}

/// The file that somebody meddles with, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touched {
    LockRemoved,
    LockReplaced,
    ArchiveReplaced,
    ArchiveAppended,
    CheckpointEdited,
    CheckpointRemoved,
}

/// A method whose requests are special in some way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    Listing,
    Delete,
    Start,
}

/// How an operation is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driving {
    /// In one go.
    Run,
    /// So many pages are taken from a stream, which is then dropped.
    Pages(u32),
    /// So many pages of a listing are taken from a stream. Its operation is then driven on. For any other work as `Pages`.
    TakenBack(u32),
    /// The operation is a value that is driven by futures, which are dropped after so many milliseconds.
    Slices { ms: u64 },
}

/// A property of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Property {
    OffsetCursors,
    NewestFirst,
    BoundCursors,
    /// Deleted runs are still listed for so many listings.
    ListingLag(u32),
    StartedRunsStay,
    /// `DELETE` never deletes more than this with one request, and refuses a larger `count`.
    DeleteMaxCount(u32),
    /// This part of the query is ignored by requests of this kind.
    Ignores(Asks, &'static str),
    /// Both dates are ignored by listings.
    ListingIgnoresDates,
    /// Both dates are ignored by listings from this request on.
    ListingLosesDates(u32),
    /// `toDate` is ignored by listings.
    ListingIgnoresTo,
    /// Both dates are ignored by deletions.
    DeleteIgnoresDates,
    /// Labels are ignored by listings.
    ListingIgnoresLabels,
    /// The size of a page is ignored by listings: it has as many runs as there are.
    ListingIgnoresCount,
    /// The client reads at most so many bytes of a listing or a message.
    LargestBody(u32),
    /// A cursor of a listing is valid only with the count that it was given out for.
    CountBoundCursors,
    /// So many requests are served in a second.
    RateLimit(u32),
    /// A page after the first one comes with the cursor that it was asked for with.
    LoopingCursors,
    /// There is no last page: empty ones follow, each with a cursor never seen before.
    EndlessCursors,
    /// Every cursor has expired when it is used.
    ExpiredCursors,
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// No connection.
    NotSent,
    /// It never arrives, and the client learns only that the connection was lost.
    RequestLost,
    /// It is carried out, and the connection is lost.
    ResponseLost,
    /// It is carried out, and the response is cut after this share of its bytes, in percent. The client sees a short body.
    CutShort(u8),
    /// It is carried out, and the response is cut in a way that looks whole.
    CutUnseen(u8),
    /// The client gives up waiting, and it arrives this many milliseconds after it was sent.
    Late(u64),
    /// It is carried out after so many milliseconds.
    Slow(u64),
    /// It arrives a second time, this many milliseconds later.
    Doubled(u64),
    /// 429, with `Retry-After` in seconds if it is not 0.
    Busy(u32),
    /// This status, and it was not carried out.
    Status(u16),
    /// It is carried out, and the response has this status.
    AppliedError(u16),
    /// It is refused with this status, and the error repeats the token.
    Echo(u16),
    /// It is carried out, and a proxy's page comes back with a 200.
    Html,
    /// It is carried out, and the response is larger than the client reads.
    TooLarge,
    /// It is carried out, and the response has no count.
    NoCount,
    /// It is not carried out, and its own cursor comes back.
    RepeatCursor,
    /// It is not carried out, and a cursor never seen before comes back.
    FreshCursor,
    /// A 404 that does not say that the run is not there: of another region, or of a proxy.
    NotFound { is_region: bool },
    /// Its cursor has expired.
    CursorExpired,
    /// The client's process is killed before it is sent.
    KillBefore,
    /// The client's process is killed when it was carried out.
    KillAfter,
    /// The client's machine loses its power when it was carried out.
    PowerLossAfter,
}

impl Schedule {
    /// How many items there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is nothing at all. That is never so for a schedule of a seed.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The same without all items but these. The first one always stays.
    #[must_use]
    pub fn only(&self, kept: &[usize]) -> Self {
        let is_kept = |number: usize| number == 0 || kept.contains(&number);
        let all = self.numbers.iter().copied().zip(self.items.iter().cloned());
        let (numbers, items) = all.filter(|(number, _)| is_kept(*number)).unzip();
        Self { seed: self.seed, items, numbers }
    }

    /// The last value that an item gives, or the default.
    pub(crate) fn get<T>(&self, default: T, of: impl Fn(&Item) -> Option<T>) -> T {
        self.items.iter().rev().find_map(of).unwrap_or(default)
    }

    pub(crate) fn work(&self) -> Work {
        self.get(Work::Delete, |item| if let Item::Work(work) = item { Some(*work) } else { None })
    }

    pub(crate) fn target(&self) -> Target {
        let default = if self.work() == Work::Get { Target::Ids(vec![0, 1, 2]) } else { Target::Everything };
        self.get(default, |item| if let Item::Target(target) = item { Some(target.clone()) } else { None })
    }

    /// How the runs are.
    pub(crate) fn population(&self) -> Population {
        let names = self.get(Names::Plain, |item| if let Item::Names(names) = item { Some(*names) } else { None });
        let times = self.get(Times::Even, |item| if let Item::Times(times) = item { Some(*times) } else { None });
        let bodies = self.get(1, |item| if let Item::Bodies(bodies) = item { Some(*bodies) } else { None });
        let huge = self.get(None, |item| if let Item::Huge(run, len) = item { Some(Some((*run, *len))) } else { None });
        let fills_sectors = self.items.contains(&Item::FillsSectors);
        Population { names, times, bodies, huge, fills_sectors }
    }

    pub(crate) fn runs(&self) -> u32 {
        self.get(3, |item| if let Item::Runs(runs) = item { Some(*runs) } else { None })
    }

    pub(crate) fn page_size(&self) -> u32 {
        self.get(2, |item| if let Item::PageSize(size) = item { Some(*size) } else { None })
    }

    pub(crate) fn lanes(&self) -> usize {
        self.get(1, |item| if let Item::Lanes(lanes) = item { Some(*lanes) } else { None })
    }

    pub(crate) fn max(&self) -> Option<u64> {
        self.get(None, |item| if let Item::Max(max) = item { Some(Some(*max)) } else { None })
    }

    pub(crate) fn verifies(&self) -> bool {
        !self.items.contains(&Item::NoVerify)
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.get(3, |item| if let Item::Attempts(attempts) = item { Some(*attempts) } else { None })
    }

    pub(crate) fn driving(&self) -> Driving {
        self.get(Driving::Run, |item| if let Item::Driving(driving) = item { Some(*driving) } else { None })
    }

    /// By how much the client's clock is behind, in milliseconds.
    pub(crate) fn clock_behind(&self) -> i64 {
        self.get(0, |item| if let Item::ClockBehind { by_ms } = item { Some(*by_ms) } else { None })
    }

    pub(crate) fn settings(&self) -> Option<Settings> {
        self.get(None, |item| if let Item::Overrides(settings) = item { Some(Some(*settings)) } else { None })
    }

    /// The words in which a process continues a checkpoint, if they are others.
    pub(crate) fn other_words(&self, number: u32) -> Option<Words> {
        let of = |item: &Item| match item {
            Item::OtherWords { process, words } if *process == number => Some(Some(*words)),
            _ => None,
        };
        // Where the checkpoint was removed, other words begin something new.
        let is_removed = |item: &Item| matches!(item, Item::Meddles(_, Touched::CheckpointRemoved)).then_some(true);
        if self.get(false, is_removed) {
            return None;
        }
        let (work, words) = (self.work(), self.get(None, of)?);
        let differs = match words {
            Words::PageSize => work != Work::ResumeListed,
            Words::Verification => work == Work::Delete,
            Words::Settings => work.starts(),
            _ => true,
        };
        (differs && self.has_checkpoint()).then_some(words)
    }

    /// Whether the runs are found by a listing, and acted on by their ids.
    pub(crate) fn is_refined(&self) -> bool {
        matches!(self.target(), Target::Refined(..))
    }

    /// Whether a later process can continue what an earlier one has begun. What starts runs by a refinement cannot be continued.
    pub(crate) fn has_checkpoint(&self) -> bool {
        let work = self.work();
        let is_forgotten = matches!(work, Work::Resume | Work::Restart) && self.is_refined();
        work.has_checkpoint() && !is_forgotten
    }

    pub(crate) fn shares_syncs(&self) -> bool {
        self.items.contains(&Item::SharesSyncs)
    }

    pub(crate) fn settles_one(&self) -> bool {
        self.items.contains(&Item::SettlesOne)
    }

    pub(crate) fn clock_step(&self) -> i64 {
        self.get(0, |item| if let Item::ClockStep { by_ms } = item { Some(*by_ms) } else { None })
    }

    pub(crate) fn has(&self, is: impl Fn(Property) -> bool) -> bool {
        self.properties().any(is)
    }

    pub(crate) fn properties(&self) -> impl Iterator<Item = Property> {
        self.items.iter().filter_map(|item| if let Item::Service(property) = item { Some(*property) } else { None })
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, item) in self.numbers.iter().zip(&self.items) {
            writeln!(f, "{number:4}  {item:?}")?;
        }
        Ok(())
    }
}
