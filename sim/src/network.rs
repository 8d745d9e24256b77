//! The way between a client and the service: what becomes of each request.

mod sizes;

use crate::disk::Life;
use crate::random::Random;
use crate::schedule::{Fate, Property};
use crate::world::{Process, World};
use http::{Method, Request, Response, StatusCode};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use upstash_dlq_core::client::AsyncTransport;
use upstash_dlq_core::{Delivery, TransportFailure};
use upstash_dlq_emulator::Fault;

/// How long a client waits for a response, in milliseconds.
pub(crate) const TIMEOUT_MS: u64 = 20_000;

/// The latest that a request arrives after it was sent, in milliseconds.
pub(crate) const LATEST_MS: u64 = 60_000;

/// The connections of one process.
pub(crate) struct Network {
    pub(crate) world: Arc<World>,
    pub(crate) process: Process,
}

impl AsyncTransport for Network {
    async fn send(&self, request: Request<()>) -> Result<Response<Vec<u8>>, TransportFailure> {
        if !self.process.life.is_alive() {
            pending::<()>().await;
        }
        let (number, fate) = self.world.on_sent(&self.process, &request);
        let mut flight = Flight { network: self, request: &request, came_back: None };
        let result = self.deliver(number, fate, &request).await;
        flight.came_back = Some(CameBack {
            result: result.as_ref().map(quick).map_err(|failure| failure.delivery),
            is_odd: fate.is_some(),
        });
        if !self.process.life.is_alive() {
            pending::<()>().await;
        }
        self.world.say(|| match &result {
            Ok(response) => {
                let body = String::from_utf8_lossy(response.body());
                format!("       #{number} -> {} {}", response.status(), body.chars().take(110).collect::<String>())
            }
            Err(failure) => format!("       #{number} -> {:?}", failure.delivery),
        });
        result
    }
}

/// A request counts as in flight until this is dropped.
struct Flight<'a> {
    network: &'a Network,
    request: &'a Request<()>,
    /// `None` if the client has given it up.
    came_back: Option<CameBack>,
}

struct CameBack {
    /// The response, without its body.
    result: Result<Response<Vec<u8>>, Delivery>,
    /// Whether something became of the request.
    is_odd: bool,
}

/// A response without its body.
fn quick(response: &Response<Vec<u8>>) -> Response<Vec<u8>> {
    let mut quick = Response::new(Vec::new());
    *quick.status_mut() = response.status();
    *quick.headers_mut() = response.headers().clone();
    quick
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let given_up = CameBack { result: Err(Delivery::Unknown), is_odd: true };
        let CameBack { result, is_odd } = self.came_back.take().unwrap_or(given_up);
        self.network.world.on_landed(
            &self.network.process,
            self.request,
            result.as_ref().map_err(|lost| *lost),
            is_odd,
        );
    }
}

impl Network {
    async fn deliver(
        &self,
        number: usize,
        fate: Option<Fate>,
        request: &Request<()>,
    ) -> Result<Response<Vec<u8>>, TransportFailure> {
        let mut random = Random::new(self.world.schedule.seed.wrapping_mul(31).wrapping_add(number as u64));
        let (there, back) = (random.within(1, 40), random.within(1, 40));
        let serve = |fault: Option<Fault>| match self.as_understood(number, request) {
            Ok(bare) => self.with_cursor(request, self.world.serve(number, &bare, fault, false)),
            Err(refusal) => refusal,
        };
        let lost = || Err(TransportFailure::from(Delivery::Unknown));
        match fate {
            Some(Fate::NotSent) => {
                wait(there).await;
                return Err(Delivery::NotSent.into());
            }
            Some(Fate::KillBefore) => {
                self.kill();
                return lost();
            }
            Some(Fate::RequestLost) => {
                wait(there).await;
                return lost();
            }
            Some(Fate::Late(ms)) => {
                self.arrive_later(number, request, ms, false);
                wait(back).await;
                return lost();
            }
            Some(Fate::Slow(ms)) if ms > TIMEOUT_MS => {
                self.arrive_later(number, request, ms, false);
                wait(TIMEOUT_MS).await;
                return lost();
            }
            Some(Fate::Slow(ms)) => wait(ms).await,
            Some(Fate::Doubled(ms)) => {
                wait(there).await;
                self.arrive_later(number, request, ms, true);
            }
            _ => wait(there).await,
        }
        let response = match fate {
            Some(Fate::Busy(seconds)) => {
                serve(Some(Fault::TooManyRequests { retry_after_s: (seconds > 0).then_some(seconds) }))
            }
            Some(Fate::Status(307)) => serve(Some(Fault::Redirect)),
            Some(Fate::Status(status)) => serve(Some(Fault::ServerError(status))),
            Some(Fate::AppliedError(status)) => with_status(serve(Some(Fault::AppliedServerError)), status),
            Some(Fate::Echo(status)) => {
                let token = request.headers().get("authorization").and_then(|value| value.to_str().ok());
                let body = format!(r#"{{"error":"{} is refused"}}"#, token.unwrap_or_default());
                with_status(serve(Some(Fault::ServerError(status))).map(|_| body.into_bytes()), status)
            }
            Some(Fate::NotFound { is_region: true }) => {
                let words = r#"{"error":"user not found in this region"}"#;
                serve(Some(Fault::ServerError(404))).map(|_| words.into())
            }
            Some(Fate::NotFound { is_region: false }) => with_status(serve(Some(Fault::HtmlGateway)), 404),
            Some(Fate::Html) => serve(Some(Fault::Html)),
            Some(Fate::NoCount) => serve(Some(Fault::NoDeleted)),
            Some(Fate::RepeatCursor) => serve(Some(Fault::RepeatCursor)),
            Some(Fate::FreshCursor) => serve(Some(Fault::FreshCursor)),
            Some(Fate::CursorExpired) => serve(Some(Fault::RefuseCursor)),
            _ => serve(self.fault_of_cursors(request)),
        };
        match fate {
            Some(Fate::KillAfter) => self.kill(),
            Some(Fate::PowerLossAfter) => self.lose_power(number),
            _ => {}
        }
        wait(back).await;
        match fate {
            Some(Fate::ResponseLost | Fate::CutShort(_)) => lost(),
            Some(Fate::CutUnseen(percent)) => Ok(response.map(|body| {
                let kept = body.len() * usize::from(percent) / 100;
                body.into_iter().take(kept).collect()
            })),
            _ => self.read(request, fate, response),
        }
    }

    /// What a service with broken cursors does with this request.
    fn fault_of_cursors(&self, request: &Request<()>) -> Option<Fault> {
        let has = |property| self.world.schedule.has(|has| has == property);
        let query = request.uri().query().unwrap_or_default();
        if has(Property::ExpiredCursors) && query.contains("cursor=") {
            Some(Fault::RefuseCursor)
        } else if has(Property::EndlessCursors) && query.contains("cursor=fresh-") {
            Some(Fault::FreshCursor)
        } else {
            None
        }
    }

    /// The response as a service with broken cursors gives it. Notes what its cursor was given out for.
    fn with_cursor(&self, request: &Request<()>, response: Response<Vec<u8>>) -> Response<Vec<u8>> {
        let is_page = response.status().is_success()
            && (request.method() != Method::GET || request.uri().path() == "/v2/workflows/dlq");
        if !is_page {
            return response;
        }
        let has = |property| self.world.schedule.has(|has| has == property);
        let query = request.uri().query().unwrap_or_default();
        let asked = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "cursor");
        let response = response.map(|body| {
            let text = String::from_utf8_lossy(&body).into_owned();
            let cursor = cursor_in(&text);
            let other = match (&cursor, &asked) {
                (Some(_), Some((_, asked))) if has(Property::LoopingCursors) && loops(asked) => {
                    Some(asked.clone().into_owned())
                }
                (None, _) if has(Property::EndlessCursors) && !query.contains("dlqIds=") => {
                    Some(format!("fresh-{}", self.world.elapsed_ms()))
                }
                _ => None,
            };
            let other = match self.bond(request) {
                Some(bond) => other.or(cursor.clone()).map(|other| match other.strip_prefix(&bond) {
                    Some(_) => other,
                    None => format!("{bond}{other}"),
                }),
                None => other,
            };
            let Some(other) = other else { return body };
            match cursor {
                Some(cursor) => text.replace(&field(&cursor), &field(&other)),
                None if text.contains(&field("")) => text.replace(&field(""), &field(&other)),
                None => text.replacen('{', &format!("{{{},", field(&other)), 1),
            }
            .into_bytes()
        });
        if let Some(cursor) = cursor_in(&String::from_utf8_lossy(response.body())) {
            self.world.on_cursor(request, &cursor);
        }
        response
    }

    fn arrive_later(&self, number: usize, request: &Request<()>, ms: u64, is_second: bool) {
        let Ok(request) = self.as_understood(number, request) else { return };
        let world = Arc::clone(&self.world);
        tokio::spawn(async move {
            wait(ms).await;
            let _ = world.serve(number, &request, None, is_second);
        });
    }

    fn kill(&self) {
        self.world.say(|| format!("p{} is killed", self.process.number));
        self.process.life.end();
    }

    fn lose_power(&self, number: usize) {
        self.world.say(|| "the machine loses its power".into());
        self.world.machine.lose_power(&mut Random::new(self.world.schedule.seed ^ number as u64));
    }
}

fn with_status(mut response: Response<Vec<u8>>, status: u16) -> Response<Vec<u8>> {
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    response
}

/// The field of a page that holds this cursor.
fn field(cursor: &str) -> String {
    format!("\"cursor\":{}", serde_json::Value::from(cursor))
}

/// Whether a service with looping cursors returns this one again. Others lead on, so that a loop may begin at any page.
fn loops(cursor: &str) -> bool {
    cursor.bytes().last().is_some_and(|last| last % 2 == 1)
}

/// The cursor of a page that the emulator has written.
fn cursor_in(body: &str) -> Option<String> {
    let (_, after) = body.rsplit_once("\"cursor\":").or_else(|| body.split_once("\"cursor\":"))?;
    let mut values = serde_json::Deserializer::from_str(after).into_iter::<String>();
    values.next()?.ok().filter(|cursor| !cursor.is_empty())
}

async fn wait(ms: u64) {
    sleep(Duration::from_millis(ms)).await;
}

/// A future that ends when its process does.
pub(crate) async fn while_alive<F: Future>(life: &Life, future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    std::future::poll_fn(|cx| {
        if !life.is_alive() {
            return std::task::Poll::Ready(None);
        }
        let polled = future.as_mut().poll(cx);
        // What a dead process has come to does not count.
        if life.is_alive() { polled.map(Some) } else { std::task::Poll::Ready(None) }
    })
    .await
}
