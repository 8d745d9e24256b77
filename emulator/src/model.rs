//! The service as a pure model: what goes in decides what comes out.

use crate::date::http_date;
use crate::overrides::overrides;
use crate::query::{Query, Rules};
use crate::route::Route;
use crate::{Fault, FaultPlan, Run, Started, Wire};
use http::header::{AUTHORIZATION, CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;

/// The public token of the official local server.
pub const LOCAL_TOKEN: &str = "eyJVc2VySUQiOiJkZWZhdWx0VXNlciIsIlBhc3N3b3JkIjoiZGVmYXVsdFBhc3N3b3JkIn0=";

/// What a cursor stands for. The contract leaves it open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CursorKind {
    /// The last run of the page.
    #[default]
    Key,
    /// How many matching runs came before; deleting while paging skips runs.
    Offset,
}

/// How many requests a second are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// At most so many.
    pub per_second: u32,
}

/// How the service behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who may ask.
    pub token: String,
    /// What cursors stand for.
    pub cursors: CursorKind,
    /// Whether values are split at commas, as the newer service does.
    pub split_commas: bool,
    /// The largest `count` of a listing.
    pub max_count: u32,
    /// The largest `count` of a bulk delete; the contract names none.
    pub delete_max_count: Option<u32>,
    /// Whether and how requests are limited.
    pub rate_limit: Option<RateLimit>,
    /// When to misbehave.
    pub faults: FaultPlan,
    /// Whether unknown query names are refused.
    pub strict_query: bool,
    /// Whether `fromDate` and `toDate` are passed over, as a broken server might.
    pub ignore_dates: bool,
    /// Parts of the query that are passed over, as a broken server might: see [`Ignored`].
    pub ignored: Vec<Ignored>,
    /// Whether a cursor is only good for the filters and the method that it was given out for; others answer it with 400.
    pub bound_cursors: bool,
    /// Whether pages begin with the newest run; the contract promises no order.
    pub newest_first: bool,
    /// For how many more listings a run is still listed after it was deleted.
    pub listing_lag: u32,
    /// Whether runs that were resumed or restarted stay in the DLQ; the contract leaves it open.
    pub started_runs_stay: bool,
}

/// A part of the query that the service passes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// For requests with this method; `None` for every method.
    pub method: Option<Method>,
    /// The name in the query, such as `fromDate` or `label`.
    pub name: &'static str,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            token: LOCAL_TOKEN.into(),
            cursors: CursorKind::default(),
            split_commas: true,
            max_count: 100,
            delete_max_count: None,
            rate_limit: None,
            faults: FaultPlan::none(),
            strict_query: true,
            ignore_dates: false,
            ignored: Vec::new(),
            bound_cursors: false,
            newest_first: false,
            listing_lag: 0,
            started_runs_stay: false,
        }
    }
}

/// One request as the service saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedRequest {
    /// The method.
    pub method: Method,
    /// Path and query; a token in it is blotted out.
    pub target: String,
    /// The answer's status.
    pub status: StatusCode,
}

const LOG: usize = 10_000;

/// In the DLQ's order.
pub(crate) type Key = (i64, String);

/// The dead-letter queue and its rules. No clock and no I/O: the time comes in, the answer goes out.
#[derive(Clone, Debug)]
pub struct Service {
    pub(crate) config: Config,
    pub(crate) runs: BTreeMap<Key, Run>,
    by_id: HashMap<String, i64>,
    deleted: u64,
    pub(crate) started: Vec<Started>,
    requests: u64,
    log: VecDeque<LoggedRequest>,
    window: (i64, u32),
    /// Runs that are deleted and still listed, and for how many more listings.
    pub(crate) ghosts: Vec<(u32, Run)>,
}

pub(crate) struct Refusal(pub(crate) StatusCode, pub(crate) String);

impl Service {
    /// An empty queue.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            runs: BTreeMap::new(),
            by_id: HashMap::new(),
            deleted: 0,
            started: Vec::new(),
            requests: 0,
            log: VecDeque::new(),
            window: (0, 0),
            ghosts: Vec::new(),
        }
    }

    /// A run fails for good. One with the same id is replaced.
    pub fn insert(&mut self, run: Run) {
        if let Some(at) = self.by_id.insert(run.dlq_id.clone(), run.created_at) {
            self.runs.remove(&(at, run.dlq_id.clone()));
        }
        self.runs.insert((run.created_at, run.dlq_id.clone()), run);
    }

    /// From now on it misbehaves by this plan.
    pub fn set_faults(&mut self, faults: FaultPlan) {
        self.config.faults = faults;
    }

    /// How many runs there are.
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The runs, oldest first.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.values()
    }

    /// Whether a run is there.
    pub fn contains(&self, dlq_id: &str) -> bool {
        self.by_id.contains_key(dlq_id)
    }

    /// How many runs were really deleted, whatever was answered.
    pub fn deleted_total(&self) -> u64 {
        self.deleted
    }

    /// Every run that was started and every failure callback that was sent again, in order, whatever was answered.
    pub fn started(&self) -> impl Iterator<Item = &Started> {
        self.started.iter()
    }

    /// How many requests came, answered or not.
    pub fn requests_total(&self) -> u64 {
        self.requests
    }

    /// The last ten thousand requests, oldest first.
    pub fn log(&self) -> impl Iterator<Item = &LoggedRequest> {
        self.log.iter()
    }

    /// Serves one request at `now_ms`, milliseconds since the epoch. A [`Wire`] in the answer's extensions says what the
    /// connection has to do besides.
    pub fn handle(&mut self, now_ms: i64, request: Request<Vec<u8>>) -> Response<Vec<u8>> {
        self.requests += 1;
        let fault = self.config.faults.next(request.method());
        let mut response = match fault {
            Some(fault) => self.misbehave(fault, now_ms, &request),
            None => self.serve(now_ms, &request),
        };
        if let Ok(date) = HeaderValue::try_from(http_date(now_ms)) {
            response.headers_mut().insert(DATE, date);
        }
        if self.log.len() == LOG {
            self.log.pop_front();
        }
        let target = request.uri().path_and_query().map_or("", |target| target.as_str());
        let target = match target.split_once("qstash_token=") {
            Some((before, token)) => {
                let after = token.find('&').and_then(|at| token.get(at..)).unwrap_or_default();
                format!("{before}qstash_token=…{after}")
            }
            None => target.to_owned(),
        };
        self.log.push_back(LoggedRequest { method: request.method().clone(), target, status: response.status() });
        response
    }

    fn misbehave(&mut self, fault: Fault, now_ms: i64, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        const HTML: &str = "<html><body><h1>Bad gateway</h1></body></html>";
        let wired = |mut response: Response<Vec<u8>>, wire| {
            response.extensions_mut().insert(wire);
            response
        };
        let cursor = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
            .find_map(|(name, value)| (name == "cursor").then(|| value.into_owned()));
        match fault {
            Fault::LostRequest => wired(plain(StatusCode::OK, ""), Wire::CloseBeforeAnswer { applied: false }),
            Fault::LostAnswer => wired(self.serve(now_ms, request), Wire::CloseBeforeAnswer { applied: true }),
            Fault::TooManyRequests { retry_after_s } => {
                let mut response = error(StatusCode::TOO_MANY_REQUESTS, "rate limit exceeded");
                if let Some(seconds) = retry_after_s {
                    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
                }
                response
            }
            Fault::ServerError(status) => {
                error(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), "internal error")
            }
            Fault::AppliedServerError => {
                self.serve(now_ms, request);
                error(StatusCode::BAD_GATEWAY, "upstream went away")
            }
            Fault::CutBody => wired(self.serve(now_ms, request), Wire::CutBody),
            Fault::Html => {
                self.serve(now_ms, request);
                html(StatusCode::OK, HTML)
            }
            Fault::HtmlGateway => html(StatusCode::BAD_GATEWAY, HTML),
            Fault::NoDeleted => {
                self.serve(now_ms, request);
                plain(StatusCode::OK, "{}")
            }
            Fault::NegativeDeleted => {
                self.serve(now_ms, request);
                plain(StatusCode::OK, "{\"deleted\":-1}")
            }
            Fault::RepeatCursor => nothing(request, &cursor.unwrap_or_else(|| "again".into())),
            Fault::FreshCursor => nothing(request, &format!("fresh-{}", self.requests)),
            Fault::RefuseCursor if cursor.is_some() => error(StatusCode::GONE, "cursor expired"),
            Fault::RefuseCursor => self.serve(now_ms, request),
            Fault::EndlessBody => wired(plain(StatusCode::OK, "{\"deleted\":"), Wire::Endless),
            Fault::Slow { ms } => wired(self.serve(now_ms, request), Wire::Delay(ms)),
            Fault::Redirect => {
                let mut response = plain(StatusCode::TEMPORARY_REDIRECT, "");
                response.headers_mut().insert(LOCATION, HeaderValue::from_static("http://127.0.0.1:1/elsewhere"));
                response
            }
            Fault::Silent => wired(plain(StatusCode::OK, ""), Wire::Silent),
        }
    }

    fn serve(&mut self, now_ms: i64, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        self.route(now_ms, request).unwrap_or_else(|Refusal(status, words)| {
            let mut response = error(status, &words);
            if status == StatusCode::TOO_MANY_REQUESTS {
                self.limit_headers(now_ms, response.headers_mut());
            }
            response
        })
    }

    fn route(&mut self, now_ms: i64, request: &Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Refusal> {
        let bad = |words: String| Refusal(StatusCode::BAD_REQUEST, words);
        let method = request.method();
        let route = Route::of(request.uri().path());
        let rules = Rules {
            split_commas: self.config.split_commas,
            strict: self.config.strict_query,
            ids_allowed: method != Method::GET,
            messages: matches!(route, Some(Route::Messages)),
        };
        let passed_over = |name: &str| {
            let dates = self.config.ignore_dates && matches!(name, "fromDate" | "toDate");
            let concerns =
                |ignored: &Ignored| ignored.name == name && ignored.method.as_ref().is_none_or(|m| m == method);
            dates || self.config.ignored.iter().any(concerns)
        };
        let query = Query::parse(request.uri().query().unwrap_or_default(), &rules, passed_over);
        let query = query.and_then(|query| self.unbound(method, query));
        self.authenticate(request.headers(), query.as_ref().ok())?;
        self.limit(now_ms)?;
        let Some(route) = route else { return Err(Refusal(StatusCode::NOT_FOUND, "not found".into())) };
        match (method, route) {
            (&Method::DELETE, Route::Dlq) => self.bulk_delete(&query.map_err(bad)?),
            (&Method::GET, Route::Dlq | Route::Messages) => self.list(&query.map_err(bad)?),
            (&Method::GET, Route::One(id)) => self.get(&id),
            (&Method::DELETE, Route::One(id)) => self.delete_one(&id),
            (&Method::POST, Route::Start(verb)) => {
                let overrides = overrides(request.headers()).map_err(bad)?;
                self.start_many(now_ms, verb, &query.map_err(bad)?, &overrides)
            }
            (&Method::POST, Route::StartOne(verb, id)) => {
                let overrides = overrides(request.headers()).map_err(bad)?;
                self.start_one(now_ms, verb, &id, &overrides)
            }
            (&Method::POST, Route::Callback(id)) => self.retry_callback(&id),
            (&Method::DELETE, Route::Callback(id)) => self.cancel_callback(&id),
            _ => Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "method not allowed".into())),
        }
    }

    fn authenticate(&self, headers: &HeaderMap, query: Option<&Query>) -> Result<(), Refusal> {
        let bearer = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        let token = bearer.or_else(|| query.and_then(|query| query.token.as_deref()));
        if token == Some(self.config.token.as_str()) {
            Ok(())
        } else {
            Err(Refusal(StatusCode::UNAUTHORIZED, "invalid token".into()))
        }
    }

    fn limit(&mut self, now_ms: i64) -> Result<(), Refusal> {
        let Some(RateLimit { per_second }) = self.config.rate_limit else { return Ok(()) };
        let second = now_ms.div_euclid(1_000);
        if self.window.0 != second {
            self.window = (second, 0);
        }
        if self.window.1 >= per_second {
            return Err(Refusal(StatusCode::TOO_MANY_REQUESTS, "burst rate limit exceeded".into()));
        }
        self.window.1 += 1;
        Ok(())
    }

    fn limit_headers(&self, now_ms: i64, headers: &mut HeaderMap) {
        let limit = self.config.rate_limit.map_or(0, |limit| limit.per_second);
        headers.insert(HeaderName::from_static("burst-ratelimit-limit"), HeaderValue::from(limit));
        headers.insert(HeaderName::from_static("burst-ratelimit-remaining"), HeaderValue::from(0));
        headers
            .insert(HeaderName::from_static("burst-ratelimit-reset"), HeaderValue::from(now_ms.div_euclid(1_000) + 1));
        headers.insert(RETRY_AFTER, HeaderValue::from(1));
    }

    /// The cursor as it was before it was bound to its query.
    fn unbound(&self, method: &Method, mut query: Query) -> Result<Query, String> {
        query.binding = self.config.bound_cursors.then(|| query.binding_to(method));
        if let (Some(binding), Some(cursor)) = (&query.binding, &query.cursor) {
            let bare = cursor.strip_prefix(binding.as_str()).and_then(|rest| rest.strip_prefix('!'));
            query.cursor = Some(bare.ok_or("the cursor belongs to another query")?.to_owned());
        }
        Ok(query)
    }

    pub(crate) fn remove(&mut self, id: &str) -> Option<Run> {
        let at = self.by_id.remove(id)?;
        self.runs.remove(&(at, id.to_owned()))
    }

    pub(crate) fn delete(&mut self, id: &str) -> bool {
        let removed = self.remove(id);
        let there = removed.is_some();
        self.deleted += u64::from(there);
        if self.config.listing_lag > 0 {
            self.ghosts.extend(removed.map(|run| (self.config.listing_lag, run)));
        }
        there
    }

    pub(crate) fn run(&self, id: &str) -> Option<&Run> {
        self.runs.get(&(*self.by_id.get(id)?, id.to_owned()))
    }

    pub(crate) fn run_mut(&mut self, id: &str) -> Option<&mut Run> {
        self.runs.get_mut(&(*self.by_id.get(id)?, id.to_owned()))
    }

    /// One page of matching keys, and where the next begins. A full page always has a next one, which may be empty.
    pub(crate) fn page(
        &self,
        query: &Query,
        max: Option<u32>,
        default: u64,
    ) -> Result<(Vec<Key>, Option<String>), Refusal> {
        let bad = |words: &str| Refusal(StatusCode::BAD_REQUEST, words.into());
        let count = query.count.unwrap_or(default);
        if max.is_some_and(|max| count > u64::from(max)) {
            return Err(bad("count is too large"));
        }
        let count = usize::try_from(count).map_err(|_| bad("count is too large"))?;
        let matches = |(_, run): &(&Key, &Run)| query.matches(run);
        let keys: Vec<Key>;
        let next;
        match self.config.cursors {
            CursorKind::Key => {
                let after = match &query.cursor {
                    None => Bound::Unbounded,
                    Some(cursor) => Bound::Excluded(parse_key(cursor).ok_or_else(|| bad("invalid cursor"))?),
                };
                keys = if self.config.newest_first {
                    let range = self.runs.range((Bound::Unbounded, after)).rev();
                    range.filter(matches).take(count).map(|(key, _)| key.clone()).collect()
                } else {
                    let range = self.runs.range((after, Bound::Unbounded));
                    range.filter(matches).take(count).map(|(key, _)| key.clone()).collect()
                };
                next = keys.last().map(|(at, id)| format!("k{at}~{id}"));
            }
            CursorKind::Offset => {
                let offset: usize = match &query.cursor {
                    None => 0,
                    Some(cursor) => cursor.parse().map_err(|_| bad("invalid cursor"))?,
                };
                let page = |runs: &mut dyn Iterator<Item = (&Key, &Run)>| {
                    runs.skip(offset).take(count).map(|(key, _)| key.clone()).collect()
                };
                let mut matching = self.runs.iter().filter(matches);
                keys = if self.config.newest_first { page(&mut matching.rev()) } else { page(&mut matching) };
                next = Some((offset.saturating_add(keys.len())).to_string());
            }
        }
        let full = keys.len() == count;
        let next = next.filter(|_| full).map(|next| match &query.binding {
            Some(binding) => format!("{binding}!{next}"),
            None => next,
        });
        Ok((keys, next))
    }
}

fn parse_key(cursor: &str) -> Option<Key> {
    let (at, id) = cursor.strip_prefix('k')?.split_once('~')?;
    Some((at.parse().ok()?, id.to_owned()))
}

pub(crate) fn plain(status: StatusCode, body: &str) -> Response<Vec<u8>> {
    let mut response = Response::new(body.as_bytes().to_vec());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn html(status: StatusCode, body: &str) -> Response<Vec<u8>> {
    let mut response = plain(status, body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}

pub(crate) fn json(value: &serde_json::Value) -> Response<Vec<u8>> {
    plain(StatusCode::OK, &value.to_string())
}

fn error(status: StatusCode, words: &str) -> Response<Vec<u8>> {
    plain(status, &serde_json::json!({ "error": words }).to_string())
}

/// An empty page of what was asked for.
fn nothing(request: &Request<Vec<u8>>, cursor: &str) -> Response<Vec<u8>> {
    json(&match *request.method() {
        Method::GET => serde_json::json!({ "messages": [], "cursor": cursor }),
        Method::POST => serde_json::json!({ "workflowRuns": [], "cursor": cursor }),
        _ => serde_json::json!({ "deleted": 0, "cursor": cursor }),
    })
}
