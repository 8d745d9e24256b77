//! A listed run against the filter that was sent: two readings of one contract.

use upstash_dlq_core::model::FailureFunctionState;
use upstash_dlq_core::selection::Match;
use upstash_dlq_core::wire::{Call, List};
use upstash_dlq_core::{DlqMessage, Endpoint, Filter, Token, UnixMillis};
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Service, load};

/// Lines of a field's number and a value, an empty line, then a message. What the emulator lists for a filter is never taken
/// for a stranger, and what it does not list is never taken for certain.
pub fn matches(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Some((lines, message)) = text.split_once("\n\n") else { return };
    let mut builder = Filter::builder();
    let mut by_time = false;
    for line in lines.split('\n') {
        let Some(field) = line.chars().next() else { continue };
        let value = &line[field.len_utf8()..];
        let time = UnixMillis::new(value.parse().unwrap_or_default());
        by_time |= matches!(field, '0' | '1');
        builder = match field {
            '0' => builder.from(time),
            '1' => builder.to(time),
            '2' => builder.workflow_url(value),
            '3' => builder.workflow_run_id(value),
            '4' => builder.workflow_created_at(time),
            '5' => builder.label(value),
            '6' => builder.failure_function_state(&FailureFunctionState::from(value)),
            '7' => builder.caller_ip(value),
            _ => builder.flow_control_key(value),
        };
    }
    let line = message.replace('\n', " ");
    let (Ok(filter), Ok(message), Ok(runs)) = (builder.build(), DlqMessage::parse(&line), load(line.as_bytes())) else {
        return;
    };
    // Without them the emulator takes the year 1970.
    if message.created_at().is_none() || message.workflow_created_at().is_none() || message.dlq_id().is_none() {
        return;
    }
    let mut service = Service::new(Config::default());
    service.extend(runs);
    let endpoint = Endpoint::new("https://h", Token::new(LOCAL_TOKEN).expect("a token")).expect("an endpoint");
    let list = List::matching(filter.clone());
    let request = list.to_request(&endpoint).expect("every part was checked");
    let page = list.parse(&service.handle(0, request.map(|()| Vec::new()))).expect("the emulator's page");
    let found = filter.matches(&message);
    match page.messages.as_slice() {
        [] => assert!(found != Match::Yes || by_time, "the service does not list {line}"),
        [listed] => {
            assert_eq!(filter.matches(listed), found);
            assert!(!matches!(found, Match::No(_)), "the service lists {line}, but {found:?}");
        }
        more => panic!("{} messages of one", more.len()),
    }
}
