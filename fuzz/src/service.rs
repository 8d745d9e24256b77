//! Requests to the emulator's model, whoever sends them.

use http::{HeaderName, HeaderValue, Method, Request, Uri};
use std::collections::BTreeSet;
use upstash_dlq_emulator::{Config, CursorKind, LOCAL_TOKEN, RateLimit, Service, sample};

const NEWEST: i64 = 1_764_000_000_000;

/// A byte of options, then requests, one a line: a byte for the method and the token, then the target, with headers after
/// tabs. What is not asked for stays as it is, and what goes is counted.
pub fn service(data: &[u8]) {
    let Some((options, lines)) = data.split_first() else { return };
    let flag = |bit: u8| options >> bit & 1 == 1;
    let mut service = Service::new(
        Config::default()
            .split_commas(!flag(0))
            .cursors(if flag(1) { CursorKind::Offset } else { CursorKind::Key })
            .newest_first(flag(2))
            .bound_cursors(flag(3))
            .strict_query(!flag(4))
            .started_runs_stay(flag(5))
            .listing_lag(u32::from(flag(6)))
            .rate_limit(flag(7).then_some(RateLimit::per_second(3))),
    );
    service.extend(sample::runs(24, 1, NEWEST));
    for (at, line) in lines.split(|byte| *byte == b'\n').take(16).enumerate() {
        let Some(request) = request(line) else { continue };
        let now = NEWEST + i64::try_from(at).unwrap_or_default() * 250;
        one(&mut service, now, request, !flag(0));
    }
}

fn request(line: &[u8]) -> Option<Request<Vec<u8>>> {
    let (kind, rest) = line.split_first()?;
    let mut parts = rest.split(|byte| *byte == b'\t');
    let mut request = Request::new(Vec::new());
    *request.uri_mut() = Uri::try_from(parts.next()?).ok()?;
    *request.method_mut() = match kind % 5 {
        0 => Method::GET,
        1 => Method::DELETE,
        2 => Method::POST,
        3 => Method::PUT,
        _ => Method::HEAD,
    };
    if kind / 5 % 2 == 0 {
        let token = HeaderValue::try_from(format!("Bearer {LOCAL_TOKEN}")).ok()?;
        request.headers_mut().insert("authorization", token);
    }
    for header in parts {
        let colon = header.iter().position(|byte| *byte == b':')?;
        let (name, value) = header.split_at(colon);
        request.headers_mut().append(HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(&value[1..]).ok()?);
    }
    Some(request)
}

fn one(service: &mut Service, now: i64, request: Request<Vec<u8>>, split_commas: bool) {
    let before = service.clone();
    let method = request.method().clone();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let is_bulk =
        matches!(request.uri().path(), "/v2/workflows/dlq" | "/v2/workflows/dlq/resume" | "/v2/workflows/dlq/restart");
    let has_header = request.headers().contains_key("authorization");
    let response = service.handle(now, request);
    let ids = |service: &Service| service.runs().map(|run| run.dlq_id.clone()).collect::<BTreeSet<String>>();
    let (old, new) = (ids(&before), ids(service));
    assert!(new.is_subset(&old), "a run out of nowhere");
    let gone: Vec<_> = before.runs().filter(|run| !new.contains(&run.dlq_id)).collect();
    let deleted = service.deleted_total() - before.deleted_total();
    let started = service.started().count() - before.started().count();
    let status = response.status();
    if !(status.is_success() || status.as_u16() == 302) || method == Method::GET {
        assert!(gone.is_empty() && deleted == 0 && started == 0, "{status} and yet {gone:?}");
        assert!(service.runs().eq(before.runs()), "{status} and yet a run has changed");
    }
    if method == Method::DELETE {
        assert!(gone.len() as u64 == deleted && started == 0);
    } else if method == Method::POST {
        assert!(gone.len() <= started && deleted == 0);
    }
    if !has_header && !query.contains("token") {
        assert_eq!(status.as_u16(), if query.contains('%') { status.as_u16() } else { 401 });
    }
    // A filter is never passed over. An empty value is none.
    let pairs: Vec<_> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let plain = !query.contains(['%', '+']) && split_commas;
    if is_bulk && plain && !pairs.iter().any(|(name, value)| *name == "dlqIds" && !value.is_empty()) {
        let values = |wanted: &str| -> Vec<&str> {
            let values = pairs.iter().filter(|(name, _)| *name == wanted).flat_map(|(_, value)| value.split(','));
            values.filter(|value| !value.is_empty()).collect()
        };
        let (labels, from) = (values("label"), values("fromDate"));
        for run in &gone {
            assert!(labels.is_empty() || run.labels.iter().any(|label| labels.contains(&label.as_str())), "{run:?}");
            assert!(from.last().is_none_or(|from| from.parse::<i64>().is_ok_and(|from| run.created_at >= from)));
        }
        let count = values("count").last().and_then(|count| count.parse().ok()).unwrap_or(100);
        assert!(gone.len() <= count);
    }
    let is_json = response.headers().get("content-type").is_some_and(|kind| kind == "application/json");
    let body = response.body();
    assert!(!is_json || body.is_empty() || serde_json::from_slice::<serde_json::Value>(body).is_ok());
    let logged = service.log().last().expect("it was logged");
    assert_eq!(logged.status, status);
    let shown = logged.target.split_once('?').map_or("", |(_, query)| query);
    for (name, value) in form_urlencoded::parse(shown.as_bytes()) {
        assert!(name != "qstash_token" || value == "…", "{logged:?}");
    }
}
