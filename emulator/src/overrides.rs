//! The headers that give a started run other settings, read as strictly as the service might.

use http::HeaderMap;
use std::collections::BTreeMap;

/// Names in lower case and their values; the first problem otherwise.
pub(crate) fn overrides(headers: &HeaderMap) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    for name in [
        "upstash-retries",
        "upstash-delay",
        "upstash-retry-delay",
        "upstash-flow-control-key",
        "upstash-flow-control-value",
        "upstash-label",
        "upstash-failure-callback",
    ] {
        let Some(value) = headers.get(name) else { continue };
        let value = value.to_str().map_err(|_| format!("invalid {name}"))?;
        let valid = match name {
            "upstash-retries" => value.parse::<u32>().is_ok(),
            "upstash-delay" => is_period(value),
            "upstash-flow-control-value" => is_flow_control(value),
            "upstash-label" => value.split(',').all(|label| !label.trim().is_empty()),
            "upstash-failure-callback" => value.starts_with("http://") || value.starts_with("https://"),
            _ => !value.trim().is_empty(),
        };
        if !valid {
            return Err(format!("invalid {name}"));
        }
        found.insert(name.to_owned(), value.to_owned());
    }
    if found.contains_key("upstash-flow-control-key") != found.contains_key("upstash-flow-control-value") {
        return Err("flow control needs a key and a value".into());
    }
    Ok(found)
}

fn is_period(text: &str) -> bool {
    let number = text.strip_suffix(['s', 'm', 'h', 'd']).unwrap_or_default();
    !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
}

/// `parallelism=3, rate=10, period=1m`, in that order, with a parallelism or a rate.
fn is_flow_control(text: &str) -> bool {
    const ORDER: [&str; 3] = ["parallelism", "rate", "period"];
    let mut next = 0;
    for part in text.split(',') {
        let Some((name, value)) = part.trim().split_once('=') else { return false };
        let Some(at) = ORDER.iter().position(|known| *known == name) else { return false };
        let valid = if name == "period" { is_period(value) } else { value.parse::<u32>().is_ok_and(|n| n > 0) };
        if at < next || !valid {
            return false;
        }
        next = at + 1;
    }
    text.contains("parallelism=") || text.contains("rate=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        overrides(&headers).is_ok_and(|found| found.len() == pairs.len())
    }

    #[test]
    fn every_header() {
        let key = ("upstash-flow-control-key", "k");
        for value in ["parallelism=3, rate=10, period=1m", "rate=1", "parallelism=1", "rate=2,period=5s"] {
            assert!(check(&[key, ("upstash-flow-control-value", value)]), "{value}");
        }
        for value in ["", "period=1m", "rate=10, parallelism=3", "rate=0", "rate=1, rate=2", "burst=3", "rate"] {
            assert!(!check(&[key, ("upstash-flow-control-value", value)]), "{value}");
        }
        assert!(!check(&[key]) && !check(&[("upstash-flow-control-value", "rate=1")]));
        for (name, good, bad) in [
            ("upstash-retries", "0", "-1"),
            ("upstash-delay", "10s", "10"),
            ("upstash-retry-delay", "1000 * retried", " "),
            ("upstash-label", "a,b c", "a,,b"),
            ("upstash-failure-callback", "https://x", "x"),
        ] {
            assert!(check(&[(name, good)]) && !check(&[(name, bad)]), "{name}");
        }
    }
}
