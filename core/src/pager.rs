use crate::bulk::MAX_EMPTY_PAGES;
use crate::engine::cycle::CycleDetector;
use crate::engine::outcome::{Halt, OutOfTurn};
use crate::engine::retry::{Attempts, Cause, GiveUp, Verdict, judge};
use crate::engine::retry::{Event, Retried, RetryPolicy, Step, TransportFailure};
use crate::model::endpoint::Endpoint;
use crate::wire::call::Call;
use crate::wire::list::{List, ListPage};
use crate::wire::query::Prefix;
use alloc::string::ToString;
use core::time::Duration;
use http::Response;

/// Lists page after page, with the same verbs as [`Bulk`](crate::Bulk). Every page comes out of `on_response` as
/// [`Event::Page`].
#[derive(Clone, Debug)]
pub struct Pager {
    endpoint: Endpoint,
    list: List,
    prefix: Prefix,
    attempts: Attempts,
    cycle: CycleDetector,
    empty_pages: u32,
    state: State,
}

/// `None` when everything was listed.
pub type PagerEnd = Option<Halt>;

#[derive(Clone, Debug)]
enum State {
    Ready,
    InFlight,
    Backoff(Duration),
    Done(PagerEnd),
}

impl Pager {
    /// The seed decides the random part of the waits between attempts.
    pub fn new(endpoint: Endpoint, list: List, policy: RetryPolicy, seed: u64) -> Self {
        Self {
            prefix: list.prefix(&endpoint),
            endpoint,
            list,
            attempts: Attempts::new(policy, seed),
            cycle: CycleDetector::new(),
            empty_pages: 0,
            state: State::Ready,
        }
    }

    /// What to do now. While a request is in flight this means that its answer will never come.
    pub fn poll(&mut self) -> Step<PagerEnd> {
        if let State::InFlight = self.state {
            // Cannot be out of turn: a request is in flight.
            let _ = self.on_failure(crate::engine::retry::Delivery::Unknown);
        }
        match &self.state {
            State::Backoff(wait) => {
                let wait = *wait;
                self.state = State::Ready;
                Step::Wait(wait)
            }
            State::Done(end) => Step::Done(end.clone()),
            State::Ready | State::InFlight => match self.list.page(&self.endpoint, &self.prefix) {
                Ok(request) => {
                    self.state = State::InFlight;
                    Step::Send(request)
                }
                Err(error) => {
                    let end = Some(Halt::Unbuildable(error.to_string()));
                    self.state = State::Done(end.clone());
                    Step::Done(end)
                }
            },
        }
    }

    /// Takes the answer to the request in flight.
    ///
    /// # Errors
    /// When none is.
    pub fn on_response<B: AsRef<[u8]>>(&mut self, response: &Response<B>) -> Result<Event<ListPage>, OutOfTurn> {
        self.land()?;
        match self.list.parse(response).map_err(|error| error.redacted(&self.endpoint)) {
            Ok(page) => {
                self.attempts.answered();
                self.on_page(&page);
                Ok(Event::Page(page))
            }
            Err(error) => Ok(match judge(response, &error) {
                Verdict::NotDone { wait } | Verdict::Unknown { wait } => self.back_off(wait, Cause::Response(error)),
                Verdict::Final => {
                    self.state = State::Done(Some(Halt::Refused(error)));
                    Event::Ended
                }
            }),
        }
    }

    /// Takes the news that no answer will come. Listing changes nothing, so that it is simply asked again.
    ///
    /// # Errors
    /// When no request is in flight.
    pub fn on_failure(&mut self, failure: impl Into<TransportFailure>) -> Result<Event<ListPage>, OutOfTurn> {
        self.land()?;
        Ok(self.back_off(None, Cause::Transport(failure.into())))
    }

    /// Takes back the request that `poll` has just handed out.
    ///
    /// # Errors
    /// When no request is in flight.
    pub fn withdraw(&mut self) -> Result<(), OutOfTurn> {
        self.land()
    }

    /// The wait that the next `poll` would ask for is somebody else's business.
    pub(crate) fn waited(&mut self) {
        if let State::Backoff(_) = self.state {
            self.state = State::Ready;
        }
    }

    /// Why it cannot go on.
    pub(crate) fn halted(&self) -> Option<&Halt> {
        match &self.state {
            State::Done(halt) => halt.as_ref(),
            State::Ready | State::InFlight | State::Backoff(_) => None,
        }
    }

    /// The attempts so far do not count.
    pub(crate) fn forgive(&mut self) {
        self.attempts.answered();
    }

    fn land(&mut self) -> Result<(), OutOfTurn> {
        let State::InFlight = self.state else { return Err(OutOfTurn) };
        self.state = State::Ready;
        Ok(())
    }

    fn on_page(&mut self, page: &ListPage) {
        if page.messages.is_empty() {
            self.empty_pages += 1;
        } else {
            self.empty_pages = 0;
        }
        self.list.cursor.clone_from(&page.cursor);
        match &page.cursor {
            None => self.state = State::Done(None),
            // A listing removes nothing: a cursor that comes round again leads round for ever, full pages or not.
            Some(cursor) if self.cycle.sees_again(cursor) || self.empty_pages >= MAX_EMPTY_PAGES => {
                self.state = State::Done(Some(Halt::NoProgress));
            }
            Some(_) => {}
        }
    }

    fn back_off(&mut self, wait: Option<Duration>, cause: Cause) -> Event<ListPage> {
        let halt = match self.attempts.failed(wait) {
            Ok(after) => {
                self.state = State::Backoff(after);
                return Event::Retry(Retried { cause, after });
            }
            Err(GiveUp::Exhausted { attempts }) => Halt::GaveUp { attempts, last: cause },
            Err(GiveUp::TooLong { wait }) => Halt::WaitTooLong { wait, cause },
        };
        self.state = State::Done(Some(halt));
        Event::Ended
    }
}
