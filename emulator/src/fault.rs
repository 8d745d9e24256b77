//! The ways to misbehave, and when: a plan that a seed or a script decides.

use crate::random::SplitMix64;
use http::Method;

/// One way to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection closes; nothing was done.
    LostRequest,
    /// It was done, and the connection closes without a response.
    LostAnswer,
    /// 429, with `Retry-After` in seconds where given.
    TooManyRequests {
        /// Seconds.
        retry_after_s: Option<u32>,
    },
    /// This status, and nothing was done.
    ServerError(u16),
    /// It was done, and 502 comes back.
    AppliedServerError,
    /// It was done, and half of the JSON comes back.
    CutBody,
    /// It was done, and a proxy's HTML comes back with 200.
    Html,
    /// 502 with HTML, and nothing was done.
    HtmlGateway,
    /// It was done, and `{}` comes back.
    NoDeleted,
    /// It was done, and a negative count comes back.
    NegativeDeleted,
    /// Nothing was done, and the same cursor comes back.
    RepeatCursor,
    /// Nothing was done, and a cursor never seen before comes back.
    FreshCursor,
    /// 410 for a request with a cursor; without one the request is served.
    RefuseCursor,
    /// Nothing was done, and the body does not end.
    EndlessBody,
    /// Served late.
    Slow {
        /// Milliseconds.
        ms: u64,
    },
    /// 307 to another place, and nothing was done.
    Redirect,
    /// Nothing was done, and nothing comes back until the client gives up.
    Silent,
}

/// What the wire has to do to a response beyond sending it; in the response's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Close without a byte.
    CloseBeforeAnswer {
        /// Whether the request was carried out.
        applied: bool,
    },
    /// Announce the whole body, send half, close.
    CutBody,
    /// Never stop sending.
    Endless,
    /// Wait so many milliseconds first.
    Delay(u64),
    /// Never respond.
    Silent,
}

/// When to misbehave: the same plan gives the same faults in the same order.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    script: std::collections::VecDeque<Option<Fault>>,
    random: Option<(SplitMix64, Vec<(u16, Fault)>)>,
    only: Option<Method>,
}

/// The names that [`FaultPlan::profile`] knows.
pub const PROFILES: [&str; 5] = ["none", "flaky", "rate-limited", "lost-answers", "garbage"];

impl FaultPlan {
    /// Always well behaved.
    pub fn none() -> Self {
        Self::default()
    }

    /// One entry a request; well behaved after the last.
    pub fn script(script: Vec<Option<Fault>>) -> Self {
        Self { script: script.into(), ..Self::default() }
    }

    /// Each fault with its own chance, in thousandths, which may add up to at most 1,000.
    pub fn random(seed: u64, rates: Vec<(u16, Fault)>) -> Self {
        Self { random: Some((SplitMix64::new(seed), rates)), ..Self::default() }
    }

    /// The same for requests with this method alone; the others are served well and use up no entry.
    #[must_use]
    pub fn only(self, method: Method) -> Self {
        Self { only: Some(method), ..self }
    }

    /// A plan by its name in [`PROFILES`].
    pub fn profile(name: &str, seed: u64) -> Option<Self> {
        let busy = Fault::TooManyRequests { retry_after_s: Some(1) };
        let rates = match name {
            "none" => return Some(Self::none()),
            "flaky" => vec![
                (20, Fault::LostRequest),
                (20, Fault::LostAnswer),
                (20, Fault::TooManyRequests { retry_after_s: None }),
                (20, Fault::ServerError(503)),
                (10, Fault::AppliedServerError),
                (10, Fault::CutBody),
            ],
            "rate-limited" => vec![(300, busy)],
            "lost-answers" => vec![(300, Fault::LostAnswer)],
            "garbage" => {
                vec![(80, Fault::Html), (80, Fault::CutBody), (80, Fault::NoDeleted), (60, Fault::NegativeDeleted)]
            }
            _ => return None,
        };
        Some(Self::random(seed, rates))
    }

    pub(crate) fn next(&mut self, method: &Method) -> Option<Fault> {
        if self.only.as_ref().is_some_and(|only| only != method) {
            return None;
        }
        if let Some(scripted) = self.script.pop_front() {
            return scripted;
        }
        let (random, rates) = self.random.as_mut()?;
        let mut dice = random.below(1_000);
        for (rate, fault) in rates.iter() {
            match dice.checked_sub(u64::from(*rate)) {
                None => return Some(*fault),
                Some(rest) => dice = rest,
            }
        }
        None
    }
}
