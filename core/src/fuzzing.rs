//! The bodies of the fuzz targets, here so that `cargo test` replays their corpus on a stable compiler. Not an interface:
//! it may change with any version. Each takes any bytes and panics only where a promise is broken.
#![doc(hidden)]

use crate::engine::retry::{Delivery, Step};
use crate::model::callback_state::FailureFunctionState;
use crate::model::dlq_id::DlqId;
use crate::model::endpoint::{Endpoint, Token};
use crate::model::last_line::LastLine;
use crate::model::message::DlqMessage;
use crate::model::time::UnixMillis;
use crate::selection::filter::Filter;
use crate::selection::ids::Ids;
use crate::selection::selected::Selection;
use crate::wire::call::Call;
use crate::wire::error::{ErrorBody, ResponseError};
use crate::wire::list::List;
use crate::wire::page::DeletePage;
use crate::{BulkDelete, Checkpoint, FleetCheckpoint, FleetStep};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::num::{NonZeroU64, NonZeroUsize};
use core::time::Duration;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};

mod lanes;
mod machines;

pub use lanes::lanes;
pub use machines::{archive, one_pass, operations};

type Pairs = Vec<(String, String)>;

/// A fuzz target's body.
pub type Target = fn(&[u8]);

/// Every target by the name of its corpus.
pub const TARGETS: [(&str, Target); 12] = [
    ("query_encoding", query_encoding),
    ("page", page),
    ("error_body", error_body),
    ("retry_after", retry_after),
    ("checkpoint", checkpoint),
    ("operations", operations),
    ("list_page", list_page),
    ("message", message),
    ("archive_file", archive_file),
    ("archive", archive),
    ("one_pass", one_pass),
    ("lanes", lanes),
];

fn endpoint() -> Option<Endpoint> {
    Endpoint::new("https://h", Token::new("t").ok()?).ok()
}

fn pairs_of(request: &Request<()>) -> Pairs {
    form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect()
}

fn shows_nothing_unsafe(text: &str) {
    assert!(!text.chars().any(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c)), "{text:?}");
}

/// Lines of a field's number and a value make a filter, and a list of ids: what is built is sent as it was given.
pub fn query_encoding(data: &[u8]) {
    let Some(endpoint) = endpoint() else { return };
    let mut builder = Filter::builder();
    let mut given: [Pairs; 9] = Default::default();
    let mut values = Vec::new();
    for line in data.split(|b| *b == b'\n') {
        let Some((field, value)) = line.split_first() else { continue };
        let value = String::from_utf8_lossy(value).into_owned();
        values.push(value.clone());
        let time = UnixMillis::new(value.parse().unwrap_or_default());
        let (at, name, text) = match field % 9 {
            0 => (0, "fromDate", time.to_string()),
            1 => (1, "toDate", time.to_string()),
            2 => (2, "workflowUrl", value.clone()),
            3 => (3, "workflowRunId", value.clone()),
            4 => (4, "workflowCreatedAt", time.to_string()),
            5 => (5, "label", value.clone()),
            6 => (6, "failureFunctionState", value.clone()),
            7 => (7, "callerIp", value.clone()),
            _ => (8, "flowControlKey", value.clone()),
        };
        builder = match at {
            0 => builder.from(time),
            1 => builder.to(time),
            2 => builder.workflow_url(value),
            3 => builder.workflow_run_id(value),
            4 => builder.workflow_created_at(time),
            5 => builder.label(value),
            6 => builder.failure_function_state(&FailureFunctionState::from(value.as_str())),
            7 => builder.caller_ip(value),
            _ => builder.flow_control_key(value),
        };
        if matches!(at, 0 | 1 | 3 | 4) {
            given[at].clear();
        }
        given[at].push((name.to_string(), text));
    }
    let given = given.concat();
    match builder.build() {
        Ok(filter) => {
            assert!(!given.is_empty() && given.iter().all(|(_, v)| !v.trim().is_empty() && !v.contains(',')));
            let json = serde_json::to_string(&filter).unwrap_or_default();
            assert!(serde_json::from_str(&json).is_ok_and(|again: Filter| again == filter), "{json}");
            let Step::Send(request) = BulkDelete::new(endpoint.clone(), Selection::Filter(filter)).build().poll()
            else {
                unreachable!("a filter's first step is a request")
            };
            let mut sent = pairs_of(&request);
            assert_eq!(sent.pop(), Some(("count".into(), "100".into())));
            assert_eq!(sent, given);
        }
        Err(error) => shows_nothing_unsafe(&error.to_string()),
    }
    match Ids::parse(values.clone()) {
        Ok(ids) => {
            let mut bulk = BulkDelete::new(endpoint, Selection::Ids(ids.clone())).build();
            let mut sent = Vec::new();
            while let Step::Send(request) = bulk.poll() {
                assert!(request.uri().to_string().len() <= 8_000);
                let before = sent.len();
                sent.extend(pairs_of(&request).into_iter().map(|(name, id)| {
                    assert_eq!(name, "dlqIds");
                    id
                }));
                assert!(sent.len() > before, "a request without an id");
                assert!(bulk.on_response(&Response::new("{\"deleted\":0}")).is_ok());
            }
            assert!(sent.iter().map(String::as_str).eq(ids.as_slice().iter().map(DlqId::as_str)));
        }
        Err(error) => shows_nothing_unsafe(&error.to_string()),
    }
}

/// An answer to a delete: what was read says the same when written again.
pub fn page(data: &[u8]) {
    match DeletePage::parse(&Response::new(data)) {
        Ok(page) => {
            assert!(i64::try_from(page.deleted).is_ok());
            let cursor = page.cursor.as_ref().map(|cursor| cursor.as_str());
            assert!(cursor.is_none_or(|c| !c.is_empty() && c.len() <= crate::model::cursor::Cursor::MAX_LEN));
            let again = serde_json::json!({ "deleted": page.deleted, "cursor": cursor }).to_string();
            assert_eq!(DeletePage::parse(&Response::new(again)).as_ref(), Ok(&page));
        }
        Err(error) => {
            assert!(matches!(error, ResponseError::Unreadable { .. }), "{error:?}");
            shows_nothing_unsafe(&error.to_string());
        }
    }
}

/// A status and an error's body: kept in bounds, shown without control characters.
pub fn error_body(data: &[u8]) {
    let (status, body) = data.split_at(data.len().min(2));
    let status = status.iter().fold(0_u16, |n, b| n.wrapping_mul(256).wrapping_add(u16::from(*b)));
    assert!(ErrorBody::parse(body).as_str().len() <= 1_024);
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(100 + status % 900).unwrap_or_default();
    match ResponseError::of_status(&response) {
        Some(error) => {
            assert!(!response.status().is_success() && error.status() == response.status());
            let shown = error.to_string();
            shows_nothing_unsafe(&shown);
            assert!(shown.len() < 8_000);
        }
        None => assert!(response.status().is_success()),
    }
}

/// Header lines: a wait is never zero and never endless.
pub fn retry_after(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|b| *b == b'\n') {
        if let Ok(text) = core::str::from_utf8(line) {
            if let Some(at) = crate::engine::retry_after::parse_http_date(text) {
                assert!((-62_200_000_000..253_500_000_000).contains(&at), "{at}");
            }
        }
        let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.insert(name, value);
        }
    }
    for rate_limited in [false, true] {
        if let Some(wait) = crate::engine::retry_after::requested_wait(&headers, rate_limited) {
            assert!((1..=366 * 86_400).contains(&wait.as_secs()), "{wait:?}");
        }
    }
}

/// What a request may ask for: nothing but the given selection, with times only where times were given.
fn assert_within(request: &Request<()>, given: &Selection, max: Option<u64>) {
    let sent = pairs_of(request);
    let named = |wanted: &str| sent.iter().filter(|(name, _)| name == wanted).count();
    match given {
        Selection::Ids(ids) => {
            let all_given = sent.iter().all(|(n, v)| n == "dlqIds" && ids.as_slice().iter().any(|id| id.as_str() == v));
            assert!(all_given && !sent.is_empty(), "{sent:?}");
            assert!(max.is_none_or(|max| sent.len() as u64 <= max), "{sent:?}");
        }
        Selection::Filter(_) | Selection::Everything => {
            let mut wanted = Pairs::new();
            if let Selection::Filter(filter) = given {
                filter.for_each_pair(|name, value| wanted.push((name.into(), value.into())));
            }
            let time = |name: &str| matches!(name, "fromDate" | "toDate" | "workflowCreatedAt");
            let paging = |name: &str| matches!(name, "count" | "cursor");
            for name in ["fromDate", "toDate", "workflowCreatedAt"] {
                let time = |pairs: &Pairs| {
                    pairs.iter().find(|(n, _)| n == name).and_then(|(_, value)| value.parse::<i64>().ok())
                };
                let fits = match (name, time(&wanted), time(&sent)) {
                    ("fromDate", Some(given), Some(sent)) => sent >= given,
                    ("toDate", Some(given), Some(sent)) => sent <= given,
                    ("workflowCreatedAt", given, sent) => given == sent,
                    (_, Some(_), _) => false,
                    (_, None, _) => true,
                };
                assert!(fits && named(name) <= 1, "{name} reaches beyond what was given: {sent:?}");
            }
            wanted.retain(|(name, _)| !time(name));
            let plain: Pairs = sent.iter().filter(|(n, _)| !time(n) && !paging(n)).cloned().collect();
            assert_eq!(plain, wanted);
            let count = sent.iter().find(|(n, _)| n == "count").and_then(|(_, v)| v.parse::<u64>().ok());
            assert!(count.is_some_and(|count| count > 0 && max.is_none_or(|max| count <= max)), "{sent:?}");
            assert!(named("count") == 1 && named("cursor") <= 1);
        }
    }
}

fn selections() -> Vec<Selection> {
    let at = UnixMillis::new(1_752_829_295_505);
    [
        Ids::parse(["a", "b", "c"]).map(Selection::Ids),
        Filter::builder().label("nightly").label("red & white").build().map(Selection::Filter),
        Filter::builder().from(at).workflow_url("https://x/?a=1").build().map(Selection::Filter),
        Filter::builder().from(at).to(at).workflow_created_at(at).build().map(Selection::Filter),
        Ok(Selection::Everything),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A checkpoint file: read, written and read again it is the same; going on from it asks for nothing that was not given,
/// even if somebody has changed the file.
pub fn checkpoint(data: &[u8]) {
    one_checkpoint(data);
    fleet_checkpoint(data);
    // Whoever changes a file can seal it again.
    let Ok(text) = core::str::from_utf8(data) else { return };
    let Ok(text) = serde_json::from_str::<&serde_json::value::RawValue>(text) else { return };
    one_checkpoint(crate::checkpoint::seal::seal(crate::checkpoint::VERSION, &text).as_bytes());
    fleet_checkpoint(crate::checkpoint::seal::seal(crate::fleet_checkpoint::VERSION, &text).as_bytes());
}

fn one_checkpoint(data: &[u8]) {
    let checkpoint = match Checkpoint::from_json(data) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return shows_nothing_unsafe(&error.to_string()),
    };
    let json = checkpoint.to_json();
    assert_eq!(Checkpoint::from_json(json.as_bytes()).as_ref(), Ok(&checkpoint), "{json}");
    for given in selections() {
        let Some(endpoint) = endpoint() else { return };
        let delete = BulkDelete::new(endpoint, given.clone())
            .fingerprint(checkpoint.fingerprint.clone())
            .page_size(checkpoint.page_size)
            .max(checkpoint.max)
            .verify(checkpoint.verify);
        let Ok(mut bulk) = delete.restore(checkpoint.clone()) else { continue };
        for turn in 0..12 {
            match bulk.poll() {
                Step::Send(request) => assert_within(&request, &given, checkpoint.max.map(NonZeroU64::get)),
                Step::Wait(_) => continue,
                Step::Done(_) => break,
            }
            let told = match turn % 3 {
                0 => bulk.on_response(&Response::new("{\"deleted\":1,\"cursor\":\"x\"}")),
                1 => bulk.on_response(&Response::new("{\"deleted\":0}")),
                _ => bulk.on_failure(Delivery::Unknown),
            };
            assert!(told.is_ok());
        }
    }
}

/// The same for the file of many lanes.
fn fleet_checkpoint(data: &[u8]) {
    let saved = match FleetCheckpoint::from_json(data) {
        Ok(saved) => saved,
        Err(error) => return shows_nothing_unsafe(&error.to_string()),
    };
    let json = saved.to_json();
    assert_eq!(FleetCheckpoint::from_json(json.as_bytes()).as_ref(), Ok(&saved), "{json}");
    let (fingerprint, page_size, max, verify) = saved.options();
    for given in selections() {
        let Some(endpoint) = endpoint() else { return };
        let delete = BulkDelete::new(endpoint, given.clone())
            .fingerprint(fingerprint.clone())
            .page_size(page_size)
            .max(max)
            .verify(verify);
        let (lanes, now) = (NonZeroUsize::MIN.saturating_add(3), UnixMillis::new(1_764_000_000_000));
        let Ok(mut fleet) = delete.restore_fleet(saved.clone(), lanes, now) else { continue };
        for turn in 0..24_u64 {
            match fleet.poll(Duration::from_secs(60 * turn)) {
                FleetStep::Send(lane, request) => {
                    assert_within(&request, &given, max.map(NonZeroU64::get));
                    let told = match turn % 3 {
                        0 => fleet.on_response(lane, &Response::new("{\"deleted\":1,\"cursor\":\"x\"}")),
                        1 => fleet.on_response(lane, &Response::new("{\"deleted\":0}")),
                        _ => fleet.on_failure(lane, Delivery::Unknown),
                    };
                    assert!(told.is_ok());
                }
                FleetStep::WaitUntil(_) => {}
                FleetStep::Idle => unreachable!("nothing is out"),
                FleetStep::Done(_) => break,
            }
        }
    }
}

/// An answer to a listing: every message is kept, on one line.
pub fn list_page(data: &[u8]) {
    match List::everything().parse(&Response::new(data)) {
        Ok(page) => page.messages.iter().for_each(keeps_its_text),
        Err(error) => {
            assert!(matches!(error, ResponseError::Unreadable { .. }), "{error:?}");
            shows_nothing_unsafe(&error.to_string());
        }
    }
}

fn keeps_its_text(message: &DlqMessage) {
    let line = message.as_json();
    assert!(!line.contains(['\n', '\r']), "{line:?}");
    assert_eq!(DlqMessage::parse(line).is_ok_and(|again| again == *message), line.starts_with('{'));
}

/// A message: nothing in it makes an accessor panic, and its text stays as it was, but for white space between tokens.
pub fn message(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let message = match DlqMessage::parse(&text) {
        Ok(message) => message,
        Err(error) => return shows_nothing_unsafe(&error.to_string()),
    };
    keeps_its_text(&message);
    let letters = |text: &str| text.chars().filter(|c| !c.is_ascii_whitespace()).collect::<String>();
    assert_eq!(letters(message.as_json()), letters(&text));
    let _ = (message.dlq_id(), message.labels(), message.header(), message.body(), message.response_body());
    let _ = (message.created_at(), message.failure_function_state(), message.response_header(), message.url());
    if let Some(info) = message.failure_callback_info() {
        let _ = (info.state(), info.response_status(), info.response_body(), info.response_headers());
    }
    shows_nothing_unsafe(&format!("{message:?}"));
}

/// An archive cut off anywhere: what was whole stays whole after the repair, and only what is torn goes.
pub fn archive_file(data: &[u8]) {
    let (cut, data) = data.split_at(data.len().min(2));
    let lines: Vec<String> = String::from_utf8_lossy(data)
        .split('\u{fffd}')
        .filter_map(|part| DlqMessage::parse(part).ok())
        .map(|message| message.as_json().to_string() + "\n")
        .collect();
    let file = lines.concat();
    let cut = cut.iter().fold(0, |cut, byte| cut << 8 | usize::from(*byte)).min(file.len());
    let Some(left) = file.as_bytes().get(..cut) else { return };
    let start = left.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let Some((whole, tail)) = left.split_at_checked(start) else { return };
    let repaired = match LastLine::of(tail) {
        LastLine::Whole => left.to_vec(),
        LastLine::Unterminated => [left, b"\n"].concat(),
        LastLine::Torn => whole.to_vec(),
    };
    assert!(file.as_bytes().starts_with(&repaired), "{repaired:?}");
    assert!(repaired.is_empty() || repaired.ends_with(b"\n"));
    assert!(left.len() < repaired.len() + lines.iter().map(String::len).max().unwrap_or(1));
}
