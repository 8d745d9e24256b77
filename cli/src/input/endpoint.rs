//! Finds the endpoint and the token in the options, the environment and the token file.

use crate::cli::Global;
use crate::output::text::shown;
use std::io::Read;
use upstash_dlq_core::model::Escaped;
use upstash_dlq_core::{Endpoint, Token};

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Options win over the environment.
pub(crate) fn endpoint(global: &Global) -> Result<Endpoint, String> {
    let region = match (&global.region, &global.url) {
        (Some(region), _) => Some(parse_region(region).map_err(|e| format!("--region: {e}"))?),
        (None, Some(_)) => None,
        (None, None) => {
            env("QSTASH_REGION").map(|r| parse_region(&r).map_err(|e| format!("QSTASH_REGION: {e}"))).transpose()?
        }
    };
    let (url_from, url) = match (&global.url, region) {
        (Some(url), _) => ("--url", url.clone()),
        (None, Some((name, url))) => match env(&format!("{name}_QSTASH_URL")) {
            Some(url) => ("the region's QSTASH_URL", url),
            None => ("--region", url.to_owned()),
        },
        (None, None) => ("QSTASH_URL", env("QSTASH_URL").unwrap_or_else(|| Endpoint::DEFAULT_URL.to_owned())),
    };
    let (token_from, token) = match &global.token_file {
        Some(path) => {
            let mut text = String::new();
            std::fs::File::open(path)
                .and_then(|file| file.take(65_536).read_to_string(&mut text))
                .map_err(|error| format!("--token-file: {} cannot be read: {error}", shown(path)))?;
            ("--token-file", text.trim().to_owned())
        }
        None => {
            let regional = region.and_then(|(name, _)| env(&format!("{name}_QSTASH_TOKEN")));
            let token = regional
                .or_else(|| env("QSTASH_TOKEN"))
                .ok_or("no token: set QSTASH_TOKEN or pass --token-file FILE")?;
            ("QSTASH_TOKEN", token)
        }
    };
    let token = Token::new(token).map_err(|error| format!("{token_from} {}", error.problem()))?;
    if !url.contains("://") && url.contains(['.', ':']) {
        return Err(format!("{url_from} has to begin with https://, or with http:// if it is this machine"));
    }
    Endpoint::new(&url, token).map_err(|error| format!("{url_from} {}", error.problem()))
}

fn parse_region(text: &str) -> Result<(&'static str, &'static str), String> {
    match text.to_ascii_uppercase().replace('-', "_").as_str() {
        "US_EAST_1" => Ok(("US_EAST_1", "https://qstash-us-east-1.upstash.io")),
        "EU_CENTRAL_1" => Ok(("EU_CENTRAL_1", "https://qstash-eu-central-1.upstash.io")),
        _ => Err(format!("\"{}\" is not a region: give us-east-1 or eu-central-1", Escaped(text))),
    }
}
