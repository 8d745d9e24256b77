//! Whether a request belongs to the work that was asked for: its address, its method and its path.

use crate::schedule::{Target, Work};
use crate::world::{Asked, World};
use http::{Method, Request};

/// The path of the DLQ.
const DLQ: &str = "/v2/workflows/dlq";

/// What a request asks the service for, as its method and its path say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    List,
    Get,
    Delete,
    Resume,
    Restart,
}

impl Operation {
    fn of(method: &Method, path: &str) -> Option<Self> {
        let below = path.strip_prefix(DLQ)?;
        if *method == Method::GET {
            return if below.is_empty() { Some(Self::List) } else { id_in_the_path(path).map(|_| Self::Get) };
        }
        match (method.as_str(), below) {
            ("DELETE", "") => Some(Self::Delete),
            ("POST", "/resume") => Some(Self::Resume),
            ("POST", "/restart") => Some(Self::Restart),
            _ => None,
        }
    }
}

/// The id of the one run that a request asks for by its path.
pub(super) fn id_in_the_path(path: &str) -> Option<String> {
    let segment = path.strip_prefix(DLQ)?.strip_prefix('/')?;
    if segment.is_empty() || matches!(segment, "resume" | "restart") || segment.contains('/') {
        return None;
    }
    // In a path, these three stand for themselves.
    let query = format!("id={}", segment.replace('+', "%2B").replace('&', "%26").replace(';', "%3B"));
    form_urlencoded::parse(query.as_bytes()).next().map(|(_, id)| id.into_owned())
}

impl World {
    /// What is wrong with the operation that a request asks for.
    pub(super) fn objection_to_operation(&self, request: &Request<()>, asked: &Asked) -> Option<String> {
        let uri = request.uri();
        let is_by_ids = !asked.ids.is_empty();
        let takes_ids = matches!(self.schedule.target(), Target::Ids(_));
        // What matches a refinement is listed, and acted on by its ids.
        let looks = self.schedule.is_refined();
        let is_right = match (self.schedule.work(), Operation::of(request.method(), uri.path())) {
            (Work::Delete | Work::Resume | Work::Restart, Some(Operation::List)) => looks && !is_by_ids,
            (Work::Delete, Some(Operation::Delete)) => is_by_ids || !looks,
            (Work::Archive, Some(Operation::List)) => !is_by_ids && !takes_ids,
            (Work::Archive, Some(Operation::Get)) => !is_by_ids && takes_ids,
            (Work::Archive, Some(Operation::Delete)) => is_by_ids,
            (Work::Resume, Some(Operation::Resume)) | (Work::Restart, Some(Operation::Restart)) => is_by_ids || !looks,
            (Work::ResumeListed | Work::List, Some(Operation::List)) => !is_by_ids,
            (Work::ResumeListed, Some(Operation::Resume)) => is_by_ids,
            (Work::Get, Some(Operation::Get)) => !is_by_ids,
            _ => false,
        };
        let is_first = |method: &Method| *method == Method::GET && self.schedule.work().starts();
        if is_first(request.method()) && self.has_started(asked.process) {
            return Some(format!("everything is listed before the first run is started: then {uri} is sent"));
        }
        let is_there = uri.scheme_str() == Some("https") && uri.host() == Some("service.invalid");
        (!is_right || !is_there)
            .then(|| format!("what is asked for is done: {:?} sends {} {uri}", self.schedule.work(), request.method()))
    }

    /// Whether this process has asked for runs to be started.
    fn has_started(&self, process: u32) -> bool {
        self.lock().asked.iter().any(|asked| asked.process == process && asked.method == Method::POST)
    }

    /// What is wrong with a request for one run by its path.
    pub(super) fn objection_to_one(&self, target: &Target, id: &str, query: &[(String, String)]) -> Option<String> {
        let is_wanted = matches!(target, Target::Ids(runs) if runs.iter().any(|run| self.population.id_of(*run) == id));
        if !is_wanted {
            return Some(format!("nothing outside: a request asks for {id}, which is not in {target:?}"));
        }
        (!query.is_empty()).then(|| format!("nothing outside: a request for one run has a query, too: {query:?}"))
    }
}
