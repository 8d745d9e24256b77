//! A delete in WebAssembly. JavaScript sends the requests and keeps the time: see `run.mjs`. Both sides write JSON into one
//! buffer. Each function but the first returns the length of the JSON that it has left there.

use serde_json::{Value, from_slice, json};
use std::{cell::RefCell, error::Error, time::Duration};
use upstash_dlq_core::{BulkDelete, Endpoint, Operation, Selection, Step, Token, TransportFailure};
use upstash_dlq_core::{drive::report, engine::RequestId, http};

type State = (Vec<u8>, Option<BulkDelete>, Option<RequestId>);
thread_local!(static STATE: RefCell<State> = RefCell::default());

#[unsafe(no_mangle)]
extern "C" fn dlq_buffer(length: usize) -> *mut u8 {
    STATE.with_borrow_mut(|(buffer, ..)| {
        buffer.resize(length, 0);
        buffer.as_mut_ptr()
    })
}

#[unsafe(no_mangle)]
extern "C" fn dlq_start() -> usize {
    reply(|(buffer, delete, _)| {
        let (url, token): (String, String) = from_slice(buffer)?;
        *delete = Some(BulkDelete::builder(Endpoint::new(&url, Token::new(token)?)?, Selection::Everything).build());
        Ok(Value::Null)
    })
}

#[unsafe(no_mangle)]
extern "C" fn dlq_poll(now: f64) -> usize {
    reply(|(_, delete, sent)| match delete.as_mut().ok_or("not started")?.poll(Duration::try_from_secs_f64(now)?) {
        Step::Send(id, request) => {
            *sent = Some(id);
            let headers: Vec<_> = request.headers().iter().map(|(k, v)| (k.as_str(), v.to_str().ok())).collect();
            Ok(json!({ "send": (request.uri().to_string(), request.method().as_str(), headers) }))
        }
        Step::WaitUntil(time) => Ok(json!({ "wait_until": time.as_secs_f64() })),
        Step::AwaitResponse => Err("a response is awaited".into()),
        Step::Done(outcome) => Ok(json!({ "outcome": outcome })),
    })
}

#[unsafe(no_mangle)]
extern "C" fn dlq_on_response() -> usize {
    reply(|(buffer, delete, sent)| {
        let (delete, id) = delete.as_mut().zip(sent.take()).ok_or("no request is in flight")?;
        let (status, headers, body): (u16, Vec<(String, String)>, String) = from_slice(buffer)?;
        let response = headers.iter().fold(http::Response::builder().status(status), |r, (k, v)| r.header(k, v));
        let result = response.body(body.as_bytes()).map_err(|_| TransportFailure::unknown(body.as_str())); // status 0
        Ok(json!(report(delete, id, result, &mut ()).is_continue()))
    })
}

fn reply(act: impl FnOnce(&mut State) -> Result<Value, Box<dyn Error>>) -> usize {
    STATE.with_borrow_mut(|state| {
        state.0 = act(state).unwrap_or_else(|error| json!({ "error": error.to_string() })).to_string().into_bytes();
        state.0.len()
    })
}
