//! The runs of a history: their ids, labels and times. It knows nothing of what a client selects.

use crate::disk::SECTOR;
use upstash_dlq_emulator::Run;

/// The number of a run in the history.
pub(crate) type RunIndex = u32;

/// The present at which every history begins, in milliseconds since the epoch.
pub(crate) const BASE: i64 = 1_764_000_000_000;

/// How far apart in time two groups of runs are, in milliseconds.
const SPACING: i64 = 60_000;

/// From this number on, runs arrive while the history goes on.
pub(crate) const FIRST_ARRIVAL: RunIndex = 1_000;

/// How runs are named and labelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    Plain,
    /// Every character that means something in a query, in a path or in JSON.
    Odd,
    /// The ids are so many bytes long, and three times as long in a request. So a few of them fill one.
    Long(u16),
}

/// When runs failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    /// A minute apart, three in neighbouring milliseconds.
    Even,
    /// Never equally far apart, and each run was created some time before it failed.
    Uneven,
    /// Three in each millisecond.
    Crowded,
}

/// Why a run failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    TypeError,
    Timeout,
    /// A proxy's page.
    Page,
    /// The response has no body.
    Silent,
}

/// How the runs of one history are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Population {
    pub(crate) names: Names,
    pub(crate) times: Times,
    /// The bodies that were sent to the steps have fewer bytes than this.
    pub(crate) bodies: u16,
    /// A run whose body has so many bytes.
    pub(crate) huge: Option<(RunIndex, u16)>,
    /// Each message fills whole sectors of the disk, with its newline.
    pub(crate) fills_sectors: bool,
}

impl Population {
    pub(crate) fn id_of(self, run: RunIndex) -> String {
        match self.names {
            Names::Plain => format!("dlq-{run}"),
            Names::Odd => match run % 8 {
                0 => format!("a{run}&dlqIds=b"),
                1 => format!("{run}%2C%26"),
                2 => format!("{run}+1+"),
                3 => format!("é{run}/漢字🦀"),
                4 => format!("x{run}#y?z=1;"),
                5 => format!("..{run}/../resume"),
                6 => format!("q{run}\"\\'<>"),
                _ => format!("k{run}~!@:{{}}|^`"),
            },
            Names::Long(len) => format!("{:é<width$}", format!("dlq-{run}-"), width = usize::from(len) / 2),
        }
    }

    /// When a run failed. The first is the newest. Those that arrive later lie after the present at which the history begins.
    pub(crate) fn created_at(self, run: RunIndex) -> i64 {
        if let Some(arrival) = run.checked_sub(FIRST_ARRIVAL) {
            return BASE + 100 * i64::from(arrival);
        }
        let (group, place) = (i64::from(run / 3), i64::from(run % 3));
        match self.times {
            Times::Even => BASE - SPACING * (group + 1) - place,
            Times::Uneven => BASE - SPACING * (group + 1) - group * group * 7_919 % 50_000 - place * 1_500,
            Times::Crowded => BASE - SPACING - group,
        }
    }

    /// When the workflow of a run was created.
    pub(crate) fn workflow_created_at(self, run: RunIndex) -> i64 {
        self.created_at(run) - if self.times == Times::Uneven { 400 } else { 0 }
    }

    pub(crate) fn red(self) -> &'static str {
        if self.names == Names::Odd { "red & wh+te=%2C;é#\"" } else { "red" }
    }

    /// With odd names, it is what remains of the other label if nothing is encoded.
    fn blue(self) -> &'static str {
        if self.names == Names::Odd { "red " } else { "blue" }
    }

    pub(crate) fn is_red(run: RunIndex) -> bool {
        run % 4 != 2
    }

    pub(crate) fn url(self, run: RunIndex) -> String {
        match self.names {
            Names::Odd => format!("https://a.example/é?x=1&label={}#y z+", run % 3),
            Names::Plain | Names::Long(_) => format!("https://a.example/{}", run % 3),
        }
    }

    pub(crate) fn workflow_run_id(self, run: RunIndex) -> String {
        if self.names == Names::Odd { format!("wfr & + %20é{run}") } else { format!("wfr-{run}") }
    }

    pub(crate) fn state(run: RunIndex) -> &'static str {
        if run % 3 == 1 { "CALLBACK_FAIL" } else { "CALLBACK_SUCCESS" }
    }

    pub(crate) fn caller_ip(self, run: RunIndex) -> String {
        if self.names == Names::Odd { format!("fe80::{}%eth0", run % 2) } else { format!("10.0.0.{}", run % 2) }
    }

    pub(crate) fn flow_control_key(self, run: RunIndex) -> String {
        if self.names == Names::Odd { format!("key=a+{}&b", run % 2) } else { format!("key-{}", run % 2) }
    }

    /// The status that the step responded with. 0 if it never did.
    pub(crate) fn status(run: RunIndex) -> u16 {
        [500, 500, 502, 504, 0].get(run as usize % 5).copied().unwrap_or_default()
    }

    pub(crate) fn reason(run: RunIndex) -> Reason {
        match run / 2 % 4 {
            0 => Reason::TypeError,
            1 => Reason::Timeout,
            2 => Reason::Page,
            _ => Reason::Silent,
        }
    }

    /// What the step responded. Numbers in it differ from run to run.
    fn response_body(run: RunIndex) -> String {
        match Self::reason(run) {
            Reason::TypeError => {
                format!(r#"{{"error":"TypeError","message":"order {run} is not iterable","stack":"at f"}}"#)
            }
            Reason::Timeout => format!(r#"{{"error":"Error","message":"no answer after {run} ms"}}"#),
            Reason::Page => "<html><body><h1>Bad Gateway</h1></body></html>".to_owned(),
            Reason::Silent => String::new(),
        }
    }

    /// How long the body is that was sent to the step, in bytes.
    fn body_len(self, run: RunIndex) -> usize {
        let usual = (run * 7_919).checked_rem(self.bodies.into()).unwrap_or(0);
        let huge = self.huge.filter(|(index, _)| *index == run).map(|(_, len)| u32::from(len));
        huge.unwrap_or(usual) as usize
    }

    /// Every seventh run has a second label.
    pub(crate) fn labels(self, run: RunIndex) -> Vec<String> {
        let color = if Self::is_red(run) { self.red() } else { self.blue() };
        let second = (run % 7 == 3).then_some("night");
        [color].into_iter().chain(second).map(str::to_owned).collect()
    }

    /// The run as the service has it. Every fourth is blue, the others are red.
    pub(crate) fn run(self, index: RunIndex) -> Run {
        let run = Run::default()
            .dlq_id(self.id_of(index))
            .workflow_run_id(self.workflow_run_id(index))
            .workflow_url(self.url(index))
            .workflow_created_at(self.workflow_created_at(index))
            .created_at(self.created_at(index))
            .labels(self.labels(index))
            .failure_function_state(Some(Self::state(index).to_owned()))
            .caller_ip(self.caller_ip(index))
            .flow_control_key(Some(self.flow_control_key(index)))
            .response_status(Self::status(index))
            .response_body(Self::response_body(index))
            .with_body_len(self.body_len(index));
        if !self.fills_sectors {
            return run;
        }
        // A message without a body lacks the name of the field, too.
        let run = run.with_body_len(self.body_len(index).max(1));
        let line = run.to_json().len() + 1;
        run.with_body_len(self.body_len(index).max(1) + line.next_multiple_of(SECTOR) - line)
    }
}
