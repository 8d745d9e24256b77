//! The pages that bulk requests return: of deleted or started runs.

use crate::bugs::bug;
use crate::model::cursor::{Cursor, CursorError};
use crate::model::time::UnixMillis;
use crate::wire::error::ResponseError;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use http::Response;
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize};

/// What the response to one bulk delete request says.
///
/// ```
/// use upstash_dlq_core::wire::DeletePage;
/// let page = DeletePage::parse(&http::Response::new(r#"{"deleted":100,"cursor":"c"}"#))?;
/// assert_eq!((page.deleted, page.cursor.as_ref().map(|cursor| cursor.as_str())), (100, Some("c")));
/// assert_eq!(DeletePage::parse(&http::Response::new(r#"{"deleted":0,"cursor":""}"#))?.cursor, None);
/// assert!(DeletePage::parse(&http::Response::new("<html>")).is_err(), "a proxy's page");
/// # Ok::<(), upstash_dlq_core::wire::ResponseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeletePage {
    /// How many runs this request deleted.
    pub deleted: u64,
    /// Where the next page begins. `None` at the end.
    pub cursor: Option<Cursor>,
}

impl DeletePage {
    /// A page, as a response says it. For tests of code that gets pages.
    pub fn new(deleted: u64, cursor: Option<Cursor>) -> Self {
        Self { deleted, cursor }
    }
}

/// A run that a resume or a restart has started, or whose failure callback is retried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StartedRun {
    /// The id of the run. A resumed or restarted run has a new one.
    pub workflow_run_id: String,
    /// When the run was created.
    #[serde(default)]
    pub workflow_created_at: Option<UnixMillis>,
}

impl StartedRun {
    /// A started run, as a response names it. For tests of code that gets pages.
    pub fn new(workflow_run_id: impl Into<String>, workflow_created_at: Option<UnixMillis>) -> Self {
        Self { workflow_run_id: workflow_run_id.into(), workflow_created_at }
    }
}

/// What the response to one bulk resume or restart request says.
///
/// ```
/// use upstash_dlq_core::wire::StartedPage;
/// let response = http::Response::new(r#"{"workflowRuns":[{"workflowRunId":"wfr_1","workflowCreatedAt":1752829295505}]}"#);
/// assert_eq!(StartedPage::parse(&response)?.started[0].workflow_run_id, "wfr_1");
/// # Ok::<(), upstash_dlq_core::wire::ResponseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StartedPage {
    /// The runs that this request started.
    pub started: Vec<StartedRun>,
    /// Where the next page begins. `None` at the end.
    pub cursor: Option<Cursor>,
}

impl StartedPage {
    /// A page, as a response says it. For tests of code that gets pages.
    pub fn new(started: Vec<StartedRun>, cursor: Option<Cursor>) -> Self {
        Self { started, cursor }
    }
}

/// A cursor in a response. Null and the empty text mean that there is none.
#[derive(Default)]
pub(crate) struct WireCursor(pub(crate) Option<Cursor>);

impl<'de> Deserialize<'de> for WireCursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = WireCursor;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a cursor, a string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<WireCursor, E> {
                match Cursor::parse(text) {
                    Ok(cursor) => Ok(WireCursor(Some(cursor))),
                    Err(CursorError::Empty) => Ok(WireCursor(None)),
                    Err(error) => Err(E::custom(error)),
                }
            }

            fn visit_unit<E: Error>(self) -> Result<WireCursor, E> {
                Ok(WireCursor(None))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

pub(crate) fn parse_json<'a, T: Deserialize<'a>, B: AsRef<[u8]>>(
    response: &'a Response<B>,
) -> Result<T, ResponseError> {
    if let Some(error) = ResponseError::from_response(response) {
        return Err(error);
    }
    serde_json::from_slice(response.body().as_ref()).map_err(|error| ResponseError::unreadable(response, &error))
}

impl DeletePage {
    /// Reads a response. Unknown fields are ignored, and an empty cursor is the end.
    ///
    /// # Errors
    /// Returns a [`ResponseError`] if the status is not 2xx, or if the body is not
    /// `{"deleted": int64 ≥ 0, "cursor"?: string}`. After a 2xx that cannot be read or a 5xx the runs may be deleted all the same.
    pub fn parse<B: AsRef<[u8]>>(response: &Response<B>) -> Result<Self, ResponseError> {
        #[derive(Deserialize)]
        struct Wire {
            deleted: i64,
            #[serde(default)]
            cursor: WireCursor,
        }
        let Wire { deleted, cursor } = match parse_json(response) {
            Err(ResponseError::Unreadable { .. }) if bug!(UnreadableTakenAsEnd) => {
                return Ok(Self { deleted: 0, cursor: None });
            }
            read => read?,
        };
        let deleted =
            u64::try_from(deleted).map_err(|_| ResponseError::unreadable(response, &"`deleted` is negative"))?;
        Ok(Self { deleted, cursor: cursor.0 })
    }
}

impl StartedPage {
    /// Reads a response. Unknown fields are ignored, and an empty cursor is the end.
    ///
    /// # Errors
    /// Returns a [`ResponseError`] if the status is not 2xx, or if the body is not
    /// `{"workflowRuns": [{"workflowRunId": string, …}, …], "cursor"?: string}`. After a 2xx that cannot be read or a 5xx the runs may have been
    /// started all the same.
    pub fn parse<B: AsRef<[u8]>>(response: &Response<B>) -> Result<Self, ResponseError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire {
            workflow_runs: Option<Vec<StartedRun>>,
            cursor: Option<WireCursor>,
        }
        let Wire { workflow_runs, cursor } = parse_json(response)?;
        if workflow_runs.is_none() && cursor.is_none() {
            return Err(ResponseError::unreadable(response, &"neither `workflowRuns` nor `cursor`"));
        }
        Ok(Self { started: workflow_runs.unwrap_or_default(), cursor: cursor.and_then(|cursor| cursor.0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<DeletePage, ResponseError> {
        DeletePage::parse(&Response::new(body))
    }

    #[test]
    fn documented_bodies_are_read() {
        let page = parse(r#"{"deleted":3,"cursor":"a\u0041\"","new":[1]}"#).unwrap();
        assert_eq!((page.deleted, page.cursor.unwrap().as_str()), (3, "aA\""));
        for end in [r#"{"deleted":0}"#, r#"{"deleted":0,"cursor":""}"#, r#"{"deleted":0,"cursor":null}"#] {
            assert_eq!(parse(end), Ok(DeletePage { deleted: 0, cursor: None }));
        }
        assert_eq!(parse(r#"{"deleted":9223372036854775807}"#).unwrap().deleted, i64::MAX as u64);
    }

    #[test]
    fn bodies_of_proxies_are_refused() {
        for body in [
            "",
            "{}",
            "[]",
            "null",
            "<html>",
            r#"{"deleted":-1}"#,
            r#"{"deleted":1.5}"#,
            r#"{"deleted":"1"}"#,
            r#"{"deleted":1"#,
            r#"{"deleted":9223372036854775808}"#,
            r#"{"deleted":1,"cursor":7}"#,
            r#"{"deleted":1,"deleted":2}"#,
            "{\"deleted\":1}x",
        ] {
            assert!(matches!(parse(body), Err(ResponseError::Unreadable { .. })), "{body}");
        }
        assert_eq!(
            StartedPage::parse(&Response::new(r#"{"workflowRuns":[{"workflowRunId":"wfr_1","workflowCreatedAt":5},{"workflowRunId":"b"}],"cursor":""}"#)).map(|p| p.started.len()),
            Ok(2)
        );
        assert_eq!(
            StartedPage::parse(&Response::new(r#"{"workflowRuns":null,"cursor":""}"#)).map(|p| p.started.len()),
            Ok(0)
        );
        for body in [
            "{}",
            "[]",
            r#"{"workflowRuns":[{}]}"#,
            r#"{"workflowRuns":{}}"#,
            r#"{"deleted":1}"#,
            r#"{"workflowRuns":[]"#,
        ] {
            assert!(StartedPage::parse(&Response::new(body)).is_err(), "{body}");
        }
        let long = alloc::format!("{{\"deleted\":1,\"cursor\":\"{}\"}}", "x".repeat(4_097));
        assert!(parse(&long).is_err());
        // The error repeats the value, but not all of it.
        let long = alloc::format!("{{\"deleted\":\"{}\"}}", "ä".repeat(4_097));
        let Err(ResponseError::Unreadable { problem, .. }) = parse(&long) else { panic!("a text is no number") };
        assert!(problem.starts_with("invalid type: string \"ää") && (1_020..=1_024).contains(&problem.len()));
    }
}
