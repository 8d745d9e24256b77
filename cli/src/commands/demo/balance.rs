//! Whether what the client counted and what the emulator counted agree. Knows neither of them: numbers come in, a sentence
//! comes out.

use crate::output::text::thousands;

/// A delete as the client and the emulator counted it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deleted {
    /// What the client counted.
    pub(crate) told: u64,
    /// How many more there may be: as many as the requests asked for that nobody knows the fate of.
    pub(crate) or_more: u64,
    /// What the emulator deleted.
    pub(crate) truly: u64,
    /// How many runs matched before.
    pub(crate) expected: u64,
    /// How many messages are in the archive, if there is one.
    pub(crate) archived: Option<u64>,
    /// How many of the runs that matched are still there.
    pub(crate) left: u64,
}

/// Everything that the demo did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Balance {
    /// How many runs there were.
    pub(crate) total: u64,
    pub(crate) kept: Deleted,
    pub(crate) labelled: Deleted,
    /// How many runs the client counted as resumed.
    pub(crate) resumed: u64,
    /// How many runs the emulator started.
    pub(crate) started: u64,
    /// How many of these it started before.
    pub(crate) twice: u64,
    /// How many runs the client lists at the end.
    pub(crate) listed: u64,
    /// How many runs the emulator holds at the end.
    pub(crate) left: u64,
}

impl Balance {
    /// How many runs the emulator deleted or started.
    pub(crate) fn handled(&self) -> u64 {
        self.kept.truly + self.labelled.truly + self.started
    }

    /// Says what does not agree.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.kept.check()?;
        self.labelled.check()?;
        equal("the client counted as resumed", self.resumed, "the emulator started", self.started)?;
        equal("were started twice", self.twice, "may be", 0)?;
        equal("the client lists at the end", self.listed, "the emulator holds", self.left)?;
        equal("are left", self.left, "should be", 0)?;
        equal("were deleted or started", self.handled(), "there were", self.total)
    }
}

impl Deleted {
    fn check(&self) -> Result<(), String> {
        equal("the emulator deleted", self.truly, "matched", self.expected)?;
        equal("that match are left", self.left, "should be", 0)?;
        if let Some(archived) = self.archived {
            equal("are in the archive", archived, "were deleted", self.truly)?;
        }
        if (self.told..=self.told + self.or_more).contains(&self.truly) {
            return Ok(());
        }
        let or_more = if self.or_more == 0 { "" } else { "at least " };
        Err(format!(
            "the counts differ: {or_more}{} runs the client counted as deleted, {} the emulator deleted",
            thousands(self.told),
            thousands(self.truly)
        ))
    }
}

fn equal(one: &str, n: u64, other: &str, m: u64) -> Result<(), String> {
    if n == m {
        return Ok(());
    }
    Err(format!("the counts differ: {} runs {one}, {} {other}", thousands(n), thousands(m)))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Spoil = fn(&mut Balance);

    fn even() -> Balance {
        let kept = Deleted { told: 3, truly: 3, expected: 3, archived: Some(3), ..Deleted::default() };
        let labelled = Deleted { told: 2, or_more: 10, truly: 5, expected: 5, ..Deleted::default() };
        Balance { total: 12, kept, labelled, resumed: 4, started: 4, ..Balance::default() }
    }

    #[test]
    fn counts_that_agree_are_no_error() {
        even().check().unwrap();
        Balance::default().check().unwrap();
    }

    #[test]
    fn each_count_that_differs_is_told() {
        let wrong: [(&str, Spoil); 12] = [
            ("12 runs were deleted or started, 11", |all| all.total = 11),
            ("2 runs the client counted as deleted, 3 the", |all| all.kept.told = 2),
            ("2 runs are in the archive, 3 were deleted", |all| all.kept.archived = Some(2)),
            ("3 runs the emulator deleted, 4 matched", |all| all.kept.expected = 4),
            ("1 runs that match are left", |all| all.labelled.left = 1),
            ("at least 2 runs the client counted as deleted, 5", |all| all.labelled.or_more = 2),
            ("6 runs the client counted as deleted, 5", |all| (all.labelled.told, all.labelled.or_more) = (6, 0)),
            ("5 runs the client counted as resumed, 4", |all| all.resumed = 5),
            ("1 runs were started twice", |all| all.twice = 1),
            ("1 runs the client lists at the end, 0", |all| all.listed = 1),
            ("1 runs are left", |all| (all.listed, all.left) = (1, 1)),
            ("11 runs were deleted or started, 12", |all| (all.resumed, all.started) = (3, 3)),
        ];
        for (expected, spoil) in wrong {
            let mut balance = even();
            spoil(&mut balance);
            let sentence = balance.check().unwrap_err();
            assert!(sentence.contains(expected), "{expected}: {sentence}");
        }
    }
}
