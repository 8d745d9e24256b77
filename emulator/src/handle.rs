//! The way of one request through the service: faults, the log, who may ask, how often, and which operation it means.

use crate::config::{Ignored, RateLimit};
use crate::date::http_date;
use crate::fault::{Fault, Wire};
use crate::model::{LoggedRequest, Service};
use crate::overrides::overrides;
use crate::query::{Query, Rules};
use crate::response::{Refusal, error, html, json, plain};
use crate::route::Route;
use http::header::{AUTHORIZATION, DATE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};

/// How many requests the log keeps.
const LOG: usize = 10_000;

impl Service {
    /// Serves one request at `now_ms`, in milliseconds since the epoch. A [`Wire`] in the response's extensions says what
    /// else the server does to the connection.
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
        let target = without_token(request.uri());
        self.log.push_back(LoggedRequest {
            method: request.method().clone(),
            target,
            status: response.status(),
            wire: response.extensions().get().copied(),
        });
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
            Fault::LostRequest => wired(plain(StatusCode::OK, ""), Wire::CloseBeforeResponse { applied: false }),
            Fault::LostResponse => wired(self.serve(now_ms, request), Wire::CloseBeforeResponse { applied: true }),
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
            let concerns =
                |ignored: &Ignored| ignored.name == name && ignored.method.as_ref().is_none_or(|m| m == method);
            self.config.ignored.iter().any(concerns)
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
            (&Method::POST, Route::Start(started_by)) => {
                let overrides = overrides(request.headers()).map_err(bad)?;
                self.start_many(now_ms, started_by, &query.map_err(bad)?, &overrides)
            }
            (&Method::POST, Route::StartOne(started_by, id)) => {
                let overrides = overrides(request.headers()).map_err(bad)?;
                self.start_one(now_ms, started_by, &id, &overrides)
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
}

/// Path and query, with no value under the name of the token, however often and in whatever spelling it stands there.
fn without_token(uri: &Uri) -> String {
    let Some(query) = uri.query() else { return uri.path().to_owned() };
    let is_token = |pair: &str| {
        let (name, _) = pair.split_once('=').unwrap_or((pair, ""));
        form_urlencoded::parse(name.as_bytes()).next().is_some_and(|(name, _)| name == "qstash_token")
    };
    let shown = |pair| if is_token(pair) { "qstash_token=…" } else { pair };
    format!("{}?{}", uri.path(), query.split('&').map(shown).collect::<Vec<_>>().join("&"))
}

/// An empty page of what was asked for.
fn nothing(request: &Request<Vec<u8>>, cursor: &str) -> Response<Vec<u8>> {
    json(&match *request.method() {
        Method::GET => serde_json::json!({ "messages": [], "cursor": cursor }),
        Method::POST => serde_json::json!({ "workflowRuns": [], "cursor": cursor }),
        _ => serde_json::json!({ "deleted": 0, "cursor": cursor }),
    })
}
