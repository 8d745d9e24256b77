//! Settings of started runs, which come from the command line and become headers.

use super::shown::assert_safe_to_show;
use upstash_dlq_core::model::Period;
use upstash_dlq_core::wire::{Call, FlowControl, Overrides, ResumeOne};
use upstash_dlq_core::{DlqId, Endpoint, Token};
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Run, Service};

/// Lines of a setting's number and a value: what is accepted arrives at the service as it was given, and as nothing else.
pub fn overrides(data: &[u8]) {
    let mut builder = Overrides::builder();
    let mut given: Vec<(&str, String)> = Vec::new();
    let mut labels = Vec::new();
    let mut set = |name, value: String| {
        given.retain(|(other, _)| *other != name);
        given.push((name, value));
    };
    for line in data.split(|byte| *byte == b'\n') {
        let Some((setting, value)) = line.split_first() else { continue };
        let value = String::from_utf8_lossy(value).into_owned();
        let number: u32 = value.parse().unwrap_or_default();
        match setting % 6 {
            0 => {
                builder = builder.retries(number);
                set("upstash-retries", number.to_string());
            }
            1 => match value.parse::<Period>() {
                Ok(period) => {
                    assert_eq!((period.as_str(), period.to_string()), (value.as_str(), value.clone()));
                    builder = builder.delay(period);
                    set("upstash-delay", value);
                }
                Err(error) => assert_safe_to_show(&error.to_string()),
            },
            2 => {
                builder = builder.retry_delay(value.clone());
                set("upstash-retry-delay", value);
            }
            3 => {
                let (key, limit) = value.split_at(value.find('=').unwrap_or(value.len()));
                let limit: u32 = limit.trim_start_matches('=').parse().unwrap_or_default();
                let flow =
                    FlowControl::key(key).parallelism(limit).rate(limit, Period::from_secs(7).expect("a period"));
                builder = builder.flow_control(flow);
                set("upstash-flow-control-key", key.to_owned());
                set("upstash-flow-control-value", format!("parallelism={limit}, rate={limit}, period=7s"));
            }
            4 => {
                builder = builder.label(value.clone());
                labels.push(value);
            }
            _ => {
                builder = builder.failure_callback(value.clone());
                set("upstash-failure-callback", value);
            }
        }
    }
    if !labels.is_empty() {
        set("upstash-label", labels.join(","));
    }
    let overrides = match builder.build() {
        Ok(overrides) => overrides,
        Err(error) => return assert_safe_to_show(&error.to_string()),
    };
    assert_eq!(overrides.is_empty(), given.is_empty());
    let mut service = Service::new(Config::default());
    service.insert(Run::default().dlq_id("a"));
    let endpoint = Endpoint::new("https://h", Token::new(LOCAL_TOKEN).expect("a token")).expect("an endpoint");
    let call = ResumeOne::new(DlqId::new("a").expect("an id"), overrides);
    let request = call.to_request(&endpoint).expect("every part was checked");
    assert!(request.headers().values().all(|value| value.len() <= 4_096));
    let response = service.handle(0, request.map(|()| Vec::new()));
    assert!(response.status().is_success(), "{}", String::from_utf8_lossy(response.body()));
    let arrived = service.started().next().expect("one was started").overrides.clone();
    given.sort();
    assert!(arrived.iter().map(|(name, value)| (name.as_str(), value.clone())).eq(given), "{arrived:?}");
    // The service splits at commas: each part is a label that was given.
    let parts: Option<Vec<&str>> = arrived.get("upstash-label").map(|label| label.split(',').collect());
    assert_eq!(parts.unwrap_or_default(), labels);
}
