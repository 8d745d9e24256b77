//! What the suite found, for a test and for the person who reads its output. Knows nothing of requests.

use std::fmt;

/// One thing that the transport did wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The name of the check, one of [`CHECKS`](crate::conformance::CHECKS).
    pub check: &'static str,
    /// What was done, what was expected, and what happened.
    pub problem: String,
    /// How to mend it.
    pub help: &'static str,
}

/// What a run of the suite found.
///
/// `Display` lists every failed check with its problems, and says how to mend them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a report says whether the transport passed"]
pub struct Report {
    checks: usize,
    findings: Vec<Finding>,
}

impl Report {
    /// Adds the problems of one more check.
    pub(super) fn add(&mut self, check: &'static str, help: &'static str, problems: Vec<String>) {
        self.checks += 1;
        self.findings.extend(problems.into_iter().map(|problem| Finding { check, problem, help }));
    }

    /// Says whether the transport passed every check that ran.
    pub fn is_ok(&self) -> bool {
        self.findings.is_empty()
    }

    /// Returns everything that the transport did wrong, in the order of the checks.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Returns the names of the failed checks, each once, in the order of the checks.
    pub fn failed(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.findings.iter().map(|finding| finding.check).collect();
        names.dedup();
        names
    }

    /// Ends a test.
    ///
    /// # Panics
    /// If the transport failed a check. The message is the whole report.
    #[track_caller]
    pub fn assert_ok(&self) {
        assert!(self.is_ok(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.failed();
        if failed.is_empty() {
            return write!(f, "the transport passes all {} checks", self.checks);
        }
        write!(f, "the transport fails {} of {} checks", failed.len(), self.checks)?;
        for check in failed {
            let findings = || self.findings.iter().filter(|finding| finding.check == check);
            write!(f, "\n\n{check}")?;
            for finding in findings() {
                write!(f, "\n  - {}", finding.problem)?;
            }
            if let Some(finding) = findings().next() {
                write!(f, "\n  help: {}", finding.help)?;
            }
        }
        Ok(())
    }
}
