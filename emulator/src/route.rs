//! Which operation a path means.

use crate::started::StartedBy;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Dlq,
    /// The list as the official JavaScript client asks for it.
    Messages,
    One(String),
    Start(StartedBy),
    StartOne(StartedBy, String),
    Callback(String),
}

impl Route {
    /// `None` where nothing is. Segments are decoded one by one, so that an encoded slash stays inside its id.
    pub(crate) fn of(path: &str) -> Option<Self> {
        if path == "/v2/dlq" {
            return Some(Self::Messages);
        }
        let Some(rest) = path.strip_prefix("/v2/workflows/dlq/") else {
            return (path == "/v2/workflows/dlq").then_some(Self::Dlq);
        };
        let segments: Option<Vec<String>> = rest
            .split('/')
            .map(|segment| {
                let decoded = percent_encoding::percent_decode_str(segment).decode_utf8().ok()?;
                (!matches!(&*decoded, "" | "." | "..")).then(|| decoded.into_owned())
            })
            .collect();
        let segments = segments?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match *segments.as_slice() {
            ["resume"] => Some(Self::Start(StartedBy::Resume)),
            ["restart"] => Some(Self::Start(StartedBy::Restart)),
            ["resume", id] => Some(Self::StartOne(StartedBy::Resume, id.to_owned())),
            ["restart", id] => Some(Self::StartOne(StartedBy::Restart, id.to_owned())),
            ["callback", id] => Some(Self::Callback(id.to_owned())),
            [id] => Some(Self::One(id.to_owned())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (path, route) in [
            ("/v2/workflows/dlq", Some(Route::Dlq)),
            ("/v2/dlq", Some(Route::Messages)),
            ("/v2/workflows/dlq/a%2Fb%20c", Some(Route::One("a/b c".into()))),
            ("/v2/workflows/dlq/resume", Some(Route::Start(StartedBy::Resume))),
            ("/v2/workflows/dlq/restart/x", Some(Route::StartOne(StartedBy::Restart, "x".into()))),
            ("/v2/workflows/dlq/callback/x", Some(Route::Callback("x".into()))),
            ("/v2/workflows/dlq/", None),
            ("/v2/workflows/dlq/..", None),
            ("/v2/workflows/dlq/%2e%2E", None),
            ("/v2/workflows/dlq/resume/", None),
            ("/v2/workflows/dlq/resume/x/y", None),
            ("/v2/workflows/dlq/%ff", None),
            ("/v2/workflows/dlqx", None),
            ("/", None),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }
}
