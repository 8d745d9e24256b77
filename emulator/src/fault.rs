//! How the service misbehaves, and when: by a script, or at random from a seed.

use crate::random::SplitMix64;
use http::Method;

/// One way to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The connection closes. The request was not carried out.
    LostRequest,
    /// The request is carried out, and the connection closes without a response.
    LostResponse,
    /// A 429, with `Retry-After` if one is given. The request is not carried out.
    TooManyRequests {
        /// Seconds.
        retry_after_s: Option<u32>,
    },
    /// A response with this HTTP status. The request is not carried out.
    ServerError(u16),
    /// The request is carried out, and the response is a 502.
    AppliedServerError,
    /// The request is carried out, and half of the JSON comes back.
    CutBody,
    /// The request is carried out, and a proxy's HTML comes back with a 200.
    Html,
    /// A 502 with HTML. The request is not carried out.
    HtmlGateway,
    /// The request is carried out, and `{}` comes back.
    NoDeleted,
    /// The request is carried out, and a negative count comes back.
    NegativeDeleted,
    /// The same cursor comes back. The request is not carried out.
    RepeatCursor,
    /// A cursor never seen before comes back. The request is not carried out.
    FreshCursor,
    /// A 410 for a request with a cursor. A request without one is served.
    RefuseCursor,
    /// A body without an end. The request is not carried out.
    EndlessBody,
    /// The request is served, late.
    Slow {
        /// Milliseconds.
        ms: u64,
    },
    /// A redirect (307) to another place. The request is not carried out.
    Redirect,
    /// Nothing comes back until the client gives up. The request is not carried out.
    Silent,
}

/// What the server does to the connection besides sending the response. Stands in the response's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Closes it without sending a byte.
    CloseBeforeResponse {
        /// Whether the request was carried out.
        applied: bool,
    },
    /// Announces the whole body, sends half of it, and closes.
    CutBody,
    /// Never stops sending.
    Endless,
    /// Waits for this many milliseconds first.
    Delay(u64),
    /// Never responds.
    Silent,
}

/// When the service misbehaves. The same plan gives the same faults in the same order.
///
/// ```
/// use upstash_dlq_emulator::{Config, Fault, FaultPlan, LOCAL_TOKEN, Service};
/// // Every second request meets an overloaded server, each time the same ones.
/// let faults = FaultPlan::random(7, vec![(500, Fault::ServerError(503))]);
/// let statuses = |faults: &FaultPlan| {
///     let mut service = Service::new(Config::default().faults(faults.clone()));
///     let get = || http::Request::get("/v2/workflows/dlq").header("authorization", format!("Bearer {LOCAL_TOKEN}"));
///     (0..20).map(|_| Ok(service.handle(0, get().body(Vec::new())?).status())).collect::<Result<Vec<_>, http::Error>>()
/// };
/// assert_eq!(statuses(&faults)?, statuses(&faults)?);
/// assert!(statuses(&faults)?.iter().any(|status| status.is_success()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    script: std::collections::VecDeque<Option<Fault>>,
    random: Option<(SplitMix64, Vec<(u16, Fault)>)>,
    only: Option<Method>,
}

/// The names that [`FaultPlan::profile`] knows.
pub const PROFILES: [&str; 5] = ["none", "flaky", "rate-limited", "lost-responses", "garbage"];

impl FaultPlan {
    /// No faults.
    pub fn none() -> Self {
        Self::default()
    }

    /// One entry a request, and no faults after the last.
    pub fn script(script: Vec<Option<Fault>>) -> Self {
        Self { script: script.into(), ..Self::default() }
    }

    /// Each fault with its own chance, in thousandths of the requests, which may add up to at most 1,000.
    pub fn random(seed: u64, rates: Vec<(u16, Fault)>) -> Self {
        Self { random: Some((SplitMix64::new(seed), rates)), ..Self::default() }
    }

    /// Restricts the plan to requests with this method. The others are served, and use up no entry.
    #[must_use]
    pub fn only(self, method: Method) -> Self {
        Self { only: Some(method), ..self }
    }

    /// Returns the plan of this name, which is one of [`PROFILES`].
    pub fn profile(name: &str, seed: u64) -> Option<Self> {
        let busy = Fault::TooManyRequests { retry_after_s: Some(1) };
        let rates = match name {
            "none" => return Some(Self::none()),
            "flaky" => vec![
                (20, Fault::LostRequest),
                (20, Fault::LostResponse),
                (20, Fault::TooManyRequests { retry_after_s: None }),
                (20, Fault::ServerError(503)),
                (10, Fault::AppliedServerError),
                (10, Fault::CutBody),
            ],
            "rate-limited" => vec![(300, busy)],
            "lost-responses" => vec![(300, Fault::LostResponse)],
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
