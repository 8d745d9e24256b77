//! One state of a history: the operation, the service, and what is between them.

use crate::search::case::Case;
use crate::search::service::{Asked, MOST, Runs, Service};
use crate::search::subject::{Claim, Doubt, Subject};
use http::{Method, Response};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use upstash_dlq_core::engine::RequestId;
use upstash_dlq_core::{Delivery, Event, Halt, Settlement, Step};

/// The step at which the process is killed.
pub(crate) const CRASH: &str = "the process is killed";

/// A request that was handed out.
#[derive(Clone, Debug)]
struct InFlight {
    /// `None` if whoever waited for it is gone.
    id: Option<RequestId>,
    asked: Rc<Asked>,
    /// Whether the operation has it in its counts.
    is_counted: bool,
    /// The response, once it was carried out.
    response: Option<Rc<(u16, String)>>,
}

#[derive(Clone)]
pub(crate) struct Node<S: Subject> {
    case: Rc<Case>,
    subject: S,
    service: Service,
    in_flight: Vec<InFlight>,
    faults: u8,
    crashes: u8,
    /// The checkpoint in the file.
    saved: Option<Rc<str>>,
    /// What is in the archive, on the disk.
    archived: Runs,
    /// The batches that wait to be stored.
    batches: Vec<(u64, Runs)>,
    /// How often the listing has handed over each run.
    shown: [u8; MOST],
    /// How many runs the requests have deleted or started whose counts the operation has.
    effects: u64,
    /// The last request of each kind, and whether it did anything: for a person who looks.
    sent: Vec<(Doubt, bool)>,
    claim: Option<Claim>,
    violation: Option<String>,
}

/// The state as the hash sees it: everything but what is the same in the whole search.
impl<S: Subject> fmt::Debug for Node<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, service, in_flight, faults, crashes, saved, archived, .. } = self;
        let Self { batches, shown, effects, sent, claim, .. } = self;
        write!(f, "{subject:?}{service:?}{in_flight:?}{faults} {crashes}{archived:?}")?;
        // Written as it is, between empty lines, which no checkpoint has: so two states never read alike.
        write!(f, "\n\n{}\n\n", saved.as_deref().unwrap_or("none"))?;
        write!(f, "{batches:?}{shown:?}{effects}{sent:?}{claim:?}")
    }
}

impl<S: Subject> Node<S> {
    pub(crate) fn new(case: Case) -> Self {
        Self {
            subject: S::build(&case),
            service: Service::new(case.kind, case.runs),
            in_flight: Vec::new(),
            faults: case.faults,
            crashes: case.crashes,
            saved: None,
            archived: Runs::default(),
            batches: Vec::new(),
            shown: [0; MOST],
            effects: 0,
            sent: Vec::new(),
            claim: None,
            violation: None,
            case: Rc::new(case),
        }
    }

    /// The promise that is broken here.
    pub(crate) fn broken(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    /// How many faults and crashes may come yet.
    pub(crate) fn troubles(&self) -> u8 {
        self.faults + self.crashes
    }

    fn break_promise(&mut self, promise: impl Into<String>) {
        self.violation.get_or_insert(promise.into());
    }

    /// Everything that can happen next, and where it leads.
    pub(crate) fn next(&self) -> Vec<(String, Self)> {
        let mut next = Vec::new();
        let mut add = |step: String, change: &dyn Fn(&mut Self)| {
            let mut node = self.clone();
            change(&mut node);
            next.push((step, node));
        };
        match &self.claim {
            // A person looks when everything sent has arrived or is lost.
            Some(claim) => {
                if claim.halt.is_some() && self.subject.doubt().is_some() && self.in_flight.is_empty() {
                    add("a person settles".into(), &Self::settle);
                }
            }
            None => {
                add("poll".into(), &Self::poll);
                for (at, (number, _)) in self.batches.iter().enumerate() {
                    add(format!("batch {number} is stored"), &|node| node.store(at));
                    if self.faults > 0 {
                        add(format!("batch {number} is given up"), &|node| node.give_up(at));
                    }
                }
            }
        }
        if self.crashes > 0 {
            add(CRASH.into(), &Self::crash);
        }
        for (at, flight) in self.in_flight.iter().enumerate() {
            let what = format!("{} {:?} {:?}", flight.asked.method, flight.asked.ids, flight.asked.cursor);
            match (flight.id, &flight.response) {
                (Some(_), None) => {
                    add(format!("{what} arrives"), &|node| node.arrive(at));
                    if self.faults > 0 {
                        add(format!("{what} is not sent"), &|node| node.fail(at, Delivery::NotSent, false));
                        add(format!("{what} is lost, or late"), &|node| node.fail(at, Delivery::Unknown, true));
                        add(format!("{what} is answered with 429"), &|node| node.refuse(at, 429));
                        add(format!("{what} is answered with 503"), &|node| node.refuse(at, 503));
                    }
                }
                (Some(_), Some(response)) => {
                    let (status, body) = (response.0, response.1.clone());
                    add(format!("{what} <- {status} {body}"), &|node| node.land(at, status, &body));
                    if self.faults > 0 {
                        add(format!("the response to {what} is lost"), &|node| node.fail(at, Delivery::Unknown, false));
                        add(format!("the response to {what} is cut"), &|node| node.cut(at));
                    }
                }
                (None, _) => {
                    add(format!("{what} arrives late"), &|node| node.arrive_late(at));
                    add(format!("{what} never arrives"), &|node| drop(node.in_flight.remove(at)));
                }
            }
        }
        next
    }

    fn poll(&mut self) {
        match self.subject.poll(Duration::ZERO) {
            Step::Send(id, request) => {
                if let Some(checkpoint) = self.subject.checkpoint() {
                    if S::STARTS && self.case.refined && S::resume(&self.case, &checkpoint).is_some() {
                        self.break_promise("no run is started twice: what starts by a refinement is continued");
                    }
                    self.saved = Some(checkpoint.into());
                }
                let asked = Asked::read(&request);
                self.check_request(&asked);
                self.in_flight.push(InFlight { id: Some(id), asked: Rc::new(asked), is_counted: true, response: None });
                let open = self.in_flight.iter().filter(|flight| flight.id.is_some()).count();
                if open > self.case.lanes {
                    self.break_promise(format!("lanes hold: {open} requests on {} lanes", self.case.lanes));
                }
            }
            Step::WaitUntil(at) => self.break_promise(format!("no wait is needless: until {at:?}")),
            Step::AwaitResponse => {
                if self.batches.is_empty() && self.in_flight.iter().all(|flight| flight.id.is_none()) {
                    self.break_promise("it ends: it awaits a response, and nothing is in flight");
                }
            }
            Step::Done(outcome) => {
                let claim = S::claim(&outcome);
                self.check_claim(&claim);
                self.claim = Some(claim);
            }
        }
    }

    fn check_request(&mut self, asked: &Asked) {
        if asked.method == Method::GET {
            if S::STARTS && !self.sent.is_empty() {
                self.break_promise("everything is listed before the first run is started");
            }
            return;
        }
        if asked.ids.is_empty() && (self.case.by_ids || self.case.refined || S::IS_ARCHIVED) {
            self.break_promise("nothing outside: a request by filter, for ids");
        }
        if asked.ids.is_empty() && self.case.by_filter && asked.label.as_deref() != Some("red") {
            self.break_promise("nothing outside: a request without the label");
        }
        if let Some(outside) = asked.ids.iter().find(|run| !self.case.wants(**run)) {
            self.break_promise(format!("nothing outside: a request for run {outside}"));
        }
        if S::IS_ARCHIVED && asked.ids.iter().any(|run| !self.archived.has(*run)) {
            self.break_promise(format!("archived first: {:?} of {:?}", asked.ids, self.archived));
        }
    }

    fn arrive(&mut self, at: usize) {
        let Some(asked) = self.in_flight.get(at).map(|flight| Rc::clone(&flight.asked)) else { return };
        let (status, body) = self.serve(&asked, true);
        if let Some(flight) = self.in_flight.get_mut(at) {
            flight.response = Some(Rc::new((status, body)));
        }
    }

    fn arrive_late(&mut self, at: usize) {
        let flight = self.in_flight.remove(at);
        let _ = self.serve(&flight.asked, flight.is_counted);
    }

    fn serve(&mut self, asked: &Asked, is_counted: bool) -> (u16, String) {
        let (status, body, effects) = self.service.serve(asked, self.case.runs);
        self.effects += if is_counted { effects.len() as u64 } else { 0 };
        if asked.method == Method::POST {
            let by_filter = asked.ids.is_empty();
            let doubt = if by_filter { Doubt::Cursor(asked.cursor.clone()) } else { Doubt::Ids(asked.ids.clone()) };
            self.sent.retain(|(other, _)| *other != doubt);
            self.sent.push((doubt, effects.len() > 0));
        }
        if let Some(run) = self.service.started.iter().position(|times| *times > 1) {
            self.break_promise(format!("no run is started twice: run {run}"));
        }
        if self.case.max.is_some_and(|max| self.effects > max) {
            self.break_promise(format!("a maximum holds: {} runs of {:?}", self.effects, self.case.max));
        }
        (status, body)
    }

    fn land(&mut self, at: usize, status: u16, body: &str) {
        let flight = self.in_flight.remove(at);
        let Some(id) = flight.id else { return };
        let mut response = Response::new(body.as_bytes());
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
        match self.subject.on_response(id, response) {
            Ok(Event::Page(page)) => {
                for run in S::shown(&page) {
                    if let Some(times) = self.shown.get_mut(run) {
                        *times += 1;
                    }
                }
                self.batches.extend(S::batch(&page));
            }
            Ok(_) => {}
            Err(_) => self.break_promise("a response is taken: it was not"),
        }
    }

    fn cut(&mut self, at: usize) {
        self.faults -= 1;
        self.land(at, 200, "{\"del");
    }

    /// It is not carried out, and the server says this status.
    fn refuse(&mut self, at: usize, status: u16) {
        self.faults -= 1;
        if let Some(flight) = self.in_flight.get_mut(at) {
            flight.response = Some(Rc::new((status, r#"{"error":"no"}"#.into())));
        }
    }

    /// The client learns that no response will come. A late request is still on its way.
    fn fail(&mut self, at: usize, delivery: Delivery, is_late: bool) {
        self.faults -= 1;
        let Some(id) = self.in_flight.get_mut(at).and_then(|flight| flight.id.take()) else { return };
        if !is_late {
            self.in_flight.remove(at);
        }
        if self.subject.on_failure(id, delivery.into()).is_err() {
            self.break_promise("a failure is taken: it was not");
        }
    }

    /// The caller cannot store a batch, and goes on all the same.
    fn give_up(&mut self, at: usize) {
        self.faults -= 1;
        let (number, _) = self.batches.remove(at);
        if self.subject.not_stored(number).is_err() {
            self.break_promise("a batch is given up: it was not");
        }
    }

    fn store(&mut self, at: usize) {
        let (number, runs) = self.batches.remove(at);
        self.archived = self.archived.with(runs);
        if self.subject.stored(number).is_err() {
            self.break_promise("a batch is taken as stored: it was not");
        }
    }

    fn crash(&mut self) {
        self.crashes -= 1;
        self.in_flight.iter_mut().for_each(|flight| flight.id = None);
        self.in_flight.retain(|flight| flight.response.is_none());
        self.batches.clear();
        self.claim = None;
        self.shown = [0; MOST];
        let resumed = self.saved.as_ref().map(|saved| S::resume(&self.case, saved));
        match resumed {
            Some(Some(subject)) => self.subject = subject,
            Some(None) => self.break_promise("a checkpoint survives: it was refused"),
            // Nothing was sent, or this operation keeps no checkpoint.
            None => {
                self.subject = S::build(&self.case);
                self.effects = 0;
                self.in_flight.iter_mut().for_each(|flight| flight.is_counted = false);
            }
        }
    }

    fn settle(&mut self) {
        let Some(doubt) = self.subject.doubt() else { return };
        let is_applied = self.sent.iter().any(|(sent, is_applied)| *sent == doubt && *is_applied);
        if is_applied && self.case.kind.started_runs_stay && matches!(doubt, Doubt::Cursor(_)) {
            // Its runs are still listed, so nobody can go on: this is the end.
            (self.faults, self.crashes) = (0, 0);
            self.subject = S::build(&self.case);
            self.claim = Some(Claim { halt: Some(Halt::Stopped), is_verified: false });
            return;
        }
        self.subject.settle(if is_applied { Settlement::Applied } else { Settlement::NotApplied });
        self.saved = self.subject.checkpoint().map(Into::into);
        self.claim = None;
    }

    fn check_claim(&mut self, claim: &Claim) {
        let totals = self.subject.totals();
        let really = self.effects;
        // What a request does that is still on its way comes on top, and such a request is unconfirmed.
        let is_right = if totals.unconfirmed == 0 { totals.affected == really } else { totals.affected <= really };
        if !is_right {
            self.break_promise(format!("counts are exact, or a lower bound: {totals:?}, really {really}"));
        }
        if let Some(halt) = &claim.halt {
            let is_harmless = self.case.faults == self.faults && self.case.crashes == self.crashes;
            // A listing that lags can outlast the attempts.
            let may_halt = self.case.kind.listing_lags && *halt == Halt::StillListed;
            if is_harmless && !may_halt {
                self.break_promise(format!("without faults, the work is completed: {halt:?}"));
            }
            return;
        }
        if let Some(run) = (0..self.case.runs).find(|run| self.case.wants(*run) && self.is_missing(*run, claim)) {
            let (shown, service) = (self.shown, self.service.clone());
            self.break_promise(format!("complete is true: run {run} is missing ({shown:?}, {service:?})"));
        }
    }

    /// Whether a complete operation should have acted on this run, and did not.
    fn is_missing(&self, run: usize, claim: &Claim) -> bool {
        if S::LISTS {
            return self.shown.get(run) != Some(&1);
        }
        if !S::STARTS {
            return claim.is_verified && self.service.present.has(run);
        }
        // Such cursors skip runs while runs leave. It is why a resume claims nothing.
        let skips = self.case.kind.offset_cursors && !self.case.kind.started_runs_stay && !self.case.refined;
        self.case.max.is_none() && !skips && self.service.started.get(run) != Some(&1)
    }
}
