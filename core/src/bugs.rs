//! Deliberate bugs, which exist only in builds with `--cfg upstash_dlq_bugs`: what the simulation and the search must be able to
//! find. One is chosen at run time. In every other build, `bug!` is the constant `false`, and this module holds nothing else.

/// True if the bug of this name is switched on.
macro_rules! bug {
    ($bug:ident) => {{
        #[cfg(upstash_dlq_bugs)]
        {
            $crate::bugs::Bug::$bug.is_on()
        }
        #[cfg(not(upstash_dlq_bugs))]
        {
            false
        }
    }};
}

pub(crate) use bug;

#[cfg(upstash_dlq_bugs)]
pub use list::Bug;

#[cfg(upstash_dlq_bugs)]
mod list {
    use core::sync::atomic::{AtomicUsize, Ordering};

    /// 0 is none; otherwise the place in [`Bug::ALL`], plus 1.
    static ON: AtomicUsize = AtomicUsize::new(0);

    macro_rules! bugs {
        ($($(#[doc = $what:literal])+ $name:ident,)+) => {
            /// A deliberate bug.
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum Bug {
                $($(#[doc = $what])+ $name,)+
            }

            impl Bug {
                /// All of them.
                pub const ALL: &'static [Self] = &[$(Self::$name,)+];

                /// What is wrong, in one sentence.
                pub fn what(self) -> &'static str {
                    match self {
                        $(Self::$name => concat!($($what),+).trim_ascii(),)+
                    }
                }
            }
        };
    }

    impl Bug {
        /// Switches this bug on for the whole process, or all off.
        pub fn choose(bug: Option<Self>) {
            let place = bug.and_then(|bug| Self::ALL.iter().position(|other| *other == bug));
            ON.store(place.map_or(0, |place| place + 1), Ordering::Relaxed);
        }

        /// Whether this bug is switched on.
        pub fn is_on(self) -> bool {
            ON.load(Ordering::Relaxed).checked_sub(1).and_then(|place| Self::ALL.get(place)) == Some(&self)
        }
    }

    bugs! {
        /// A delete ends without a confirming pass.
        NoConfirmingPass,
        /// A resume is repeated after its response was lost.
        StartRepeated,
        /// A lost connection counts as a request that was not sent.
        UnknownTakenAsNotSent,
        /// A request that was not sent counts as one that may have been carried out.
        NotSentTakenAsUnknown,
        /// An unconfirmed request is not counted.
        UnconfirmedNotCounted,
        /// A retried page is counted twice.
        TotalsAddedTwice,
        /// Requests in flight do not count against the maximum.
        BudgetNotReserved,
        /// An unconfirmed request does not count against the maximum.
        BudgetNotCharged,
        /// A delete that has used up its maximum claims to be verified.
        VerifiedAtMaximum,
        /// A delete takes a maximum that was spent by lost requests for one that was reached.
        UnconfirmedTakenAsReached,
        /// More lanes are opened than are allowed.
        TooManyLanes,
        /// A refused cursor starts the window over as often as it likes.
        CursorRefusedForEver,
        /// A cursor that comes round again is followed.
        CyclesFollowed,
        /// A checkpoint does not hold the cursors that a resume has sent.
        CursorsNotSaved,
        /// A checkpoint does not hold that a resume has met a cursor twice.
        NoProgressForgotten,
        /// Empty pages are followed for ever.
        EmptyPagesFollowed,
        /// An empty page with a cursor counts as the last.
        EmptyPageTakenAsLast,
        /// The cursor of a window is kept when the window is cut.
        CursorKeptAcrossCut,
        /// The parts of a window overlap by a millisecond.
        WindowsOverlap,
        /// The parts of a window leave out a millisecond.
        WindowsLeaveGaps,
        /// A delete by ids also asks for dates.
        IdsNarrowed,
        /// The first id of every batch but the first is left out.
        IdLeftOut,
        /// Listed runs are not checked against the filter, neither for an archive nor to start them.
        MatchNotChecked,
        /// Listed runs are not held against the refinement.
        RefinementNotChecked,
        /// An archived delete deletes a page before it is stored.
        DeletedBeforeStored,
        /// An archived delete takes a listing that shows deleted runs for the end.
        StaleListingTrusted,
        /// A checkpoint does not hold the requests in flight.
        InFlightNotSaved,
        /// A checkpoint does not hold the requests in doubt.
        DoubtNotSaved,
        /// A finished pass is begun again from its checkpoint.
        FinishedBegunAgain,
        /// A checkpoint brings back the whole maximum.
        BudgetRefilled,
        /// A checkpoint brings back no counts.
        TotalsNotCarried,
        /// A checkpoint does not hold how far the list of ids has come.
        IdsBegunAgain,
        /// A checkpoint does not hold a lane that waits.
        WaitingLaneNotSaved,
        /// Whoever continues from a checkpoint counts the times of the selection from now.
        TimesResolvedAnew,
        /// A request that was settled as carried out is sent again.
        AppliedSentAgain,
        /// Whoever drives on forgets what was in flight.
        LostConnectionForgotten,
        /// A body that cannot be read counts as an empty last page.
        UnreadableTakenAsEnd,
        /// The checkpoint is not saved before a request.
        CheckpointNotSaved,
        /// The checkpoint is removed when an operation halts.
        CheckpointRemovedEarly,
        /// A batch that could not be stored counts as stored.
        StoreFailureIgnored,
        /// The checkpoint's file is not locked.
        CheckpointNotLocked,
        /// The archive's file is not locked.
        ArchiveNotLocked,
        /// A new checkpoint is put in place before it is synced.
        CheckpointNotSynced,
        /// The folder is not synced after a checkpoint was put in place.
        FolderNotSynced,
        /// The folder is not synced after an archive was created.
        ArchiveFolderNotSynced,
        /// Where a folder cannot be synced, the name of a file is not brought to the disk.
        NameNotBroughtAlong,
        /// An archive counts as stored before it is synced.
        ArchiveNotSynced,
        /// A line that a crash has torn is kept when an archive is continued.
        TornLineKept,
        /// An archive is continued although its last newline may not be on the disk.
        NewlineNotSecured,
        /// The removal of an archive is not noticed.
        RemovedArchiveUnnoticed,
        /// A filter is not percent-encoded.
        FilterNotEncoded,
        /// A cursor is not percent-encoded.
        CursorNotEncoded,
        /// An id in a query is not percent-encoded.
        IdNotEncoded,
        /// An id in a path is not percent-encoded.
        SegmentNotEncoded,
        /// A filter's address is not sent if there is another condition.
        FieldNotSent,
        /// An archived delete does not check the workflow of a listed run.
        FieldNotChecked,
        /// An archived delete does not check whether a listed run is too old.
        LowerEndNotChecked,
        /// More runs are started by one request than the service takes.
        BatchTooLarge,
        /// All ids are sent in one request, however long it is.
        UrlTooLong,
        /// A listing does not see that the service ignores its dates.
        DatesTrusted,
        /// An open upper end is cut off at the client's present.
        UpperEndClosed,
        /// A checkpoint is continued with another selection.
        OtherSelectionContinued,
        /// A checkpoint is continued with other options.
        OtherOptionsContinued,
        /// A checkpoint that was changed is continued.
        SealNotChecked,
        /// An operation goes on when one of several requests in doubt is settled.
        OneSettledGoesOn,
        /// The rate that the caller sets is not kept.
        RateNotKept,
        /// The wait that the server asks for is not kept.
        RetryAfterIgnored,
        /// Whoever drives on forgets the wait that the server asked for.
        WaitForgottenByNextDriver,
        /// A wait between attempts is far too long.
        BackoffTooLong,
        /// The rate limiter keeps the times of a clock that is gone.
        ClockChangeForgotten,
        /// Only the first page or batch is sent with the settings of started runs.
        SettingsLost,
        /// Every 404 says that a run is not there.
        NotFoundTakenAsAbsent,
        /// The loss of a lock is not noticed.
        LockLossUnnoticed,
        /// A change of the archive is not noticed.
        ChangedArchiveUnnoticed,
        /// What was written before the last write does not count as written.
        EarlierWriteForgotten,
        /// An observer is not asked before an operation waits.
        BeforeWaitSkipped,
        /// A run that is listed again is chosen again.
        AskedNotRemembered,
        /// A batch that was given up is acted on.
        GivenUpActedOn,
        /// Runs that are chosen do not count against the maximum.
        MaximumNotReserved,
        /// A resume by a refinement starts although its listing was cut short.
        CutShortStarted,
        /// A resume by a refinement starts while it still lists.
        StartedWhileListing,
        /// A checkpoint of a delete by a refinement brings back the whole maximum.
        RefinedBudgetRefilled,
        /// A checkpoint counts runs against the maximum that were chosen and are in no request yet.
        UnsentCountedAsSpent,
        /// A delete by a refinement takes a maximum that was spent by lost requests for one that was reached.
        LostTakenAsReached,
        /// A page that is too large is left out.
        TooLargeSkipped,
        /// A smaller page begins at the start of the listing.
        SmallerPageWithoutCursor,
        /// A listing that starts again hands over its runs again.
        RestartedHandedOverAgain,
        /// A request whose response is too large counts as not sent.
        TooLargeTakenAsNotSent,
    }
}
