//! A file of runs that the emulator loads.

use http::{Request, StatusCode};
use std::io::BufReader;
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Run, Service, load};

/// Any file: each line is served as it stands, or the file is refused with the number of the line. A changed callback changes
/// nothing else.
pub fn load_file(data: &[u8]) {
    // A small buffer: lines come in pieces.
    let runs = match load(BufReader::with_capacity(7, data)) {
        Ok(runs) => runs,
        Err(error) => {
            assert!((1..=data.split(|byte| *byte == b'\n').count()).contains(&error.line), "{error}");
            return;
        }
    };
    let lines = std::str::from_utf8(data).expect("what was loaded is text").lines();
    let lines: Vec<&str> = lines.map(str::trim).filter(|line| !line.is_empty()).collect();
    assert!(runs.iter().map(Run::to_json).eq(lines.iter().map(|line| (*line).to_owned())));
    assert!(runs.iter().all(|run| !run.dlq_id.is_empty()));
    let mut service = Service::new(Config::default());
    service.extend(runs);
    let before: Vec<Run> = service.runs().cloned().collect();
    for run in before {
        let segment: String = run.dlq_id.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let mut call = |method: &str, under: &str| {
            let request = Request::builder().method(method).uri(format!("/v2/workflows/dlq{under}/{segment}"));
            let request = request.header("authorization", format!("Bearer {LOCAL_TOKEN}"));
            service.handle(0, request.body(Vec::new()).expect("a request"))
        };
        if matches!(run.dlq_id.as_str(), "." | ".." | "resume" | "restart") {
            continue;
        }
        let served = call("GET", "");
        assert_eq!(served.status(), StatusCode::OK, "{:?}", run.dlq_id);
        assert_eq!(served.body(), run.to_json().as_bytes());
        let cancelled = call("DELETE", "/callback").status() == StatusCode::FOUND;
        assert_eq!(cancelled, run.failure_function_state.as_deref() == Some("CALLBACK_INPROGRESS"));
        let mut expected = run.clone();
        if cancelled {
            let again = load(call("GET", "").body().as_slice()).expect("what is served can be loaded").swap_remove(0);
            expected.failure_function_state = Some("CALLBACK_CANCELED".into());
            match &mut expected.failure_callback_info {
                Some(info) => info.state = "CALLBACK_CANCELED".into(),
                // A state of another type made all of it unreadable.
                None => expected.failure_callback_info.clone_from(&again.failure_callback_info),
            }
            expected.sent.clone_from(&again.sent);
            assert_eq!(again, expected);
        }
    }
}
