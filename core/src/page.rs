use crate::{Cursor, ResponseError};
use alloc::borrow::Cow;
use http::Response;
use serde::Deserialize;

/// The answer to one bulk delete request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletePage {
    /// How many runs this request deleted.
    pub deleted: u64,
    /// Where the next page begins; `None` at the end.
    pub cursor: Option<Cursor>,
}

#[derive(Deserialize)]
struct Wire<'a> {
    deleted: i64,
    #[serde(default, borrow)]
    cursor: Option<Cow<'a, str>>,
}

impl DeletePage {
    /// # Errors
    /// Any status but 2xx; a body that is not `{"deleted": int64 ≥ 0, "cursor"?: string}`. Fields that are not known are
    /// passed over, and an empty cursor is the end.
    pub fn parse<B: AsRef<[u8]>>(response: &Response<B>) -> Result<Self, ResponseError> {
        if let Some(error) = ResponseError::of_status(response) {
            return Err(error);
        }
        let wire: Wire<'_> = serde_json::from_slice(response.body().as_ref())
            .map_err(|error| ResponseError::unreadable(response, &error))?;
        let deleted =
            u64::try_from(wire.deleted).map_err(|_| ResponseError::unreadable(response, &"`deleted` is negative"))?;
        Ok(Self { deleted, cursor: parse_cursor(response, wire.cursor)? })
    }
}

pub(crate) fn parse_cursor<B>(
    response: &Response<B>,
    cursor: Option<Cow<'_, str>>,
) -> Result<Option<Cursor>, ResponseError> {
    cursor
        .filter(|cursor| !cursor.is_empty())
        .map(|cursor| Cursor::try_from(cursor.into_owned()))
        .transpose()
        .map_err(|error| ResponseError::unreadable(response, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<DeletePage, ResponseError> {
        DeletePage::parse(&Response::new(body))
    }

    #[test]
    fn what_the_contract_says() {
        let page = parse(r#"{"deleted":3,"cursor":"a\u0041\"","new":[1]}"#).unwrap();
        assert_eq!((page.deleted, page.cursor.unwrap().as_str()), (3, "aA\""));
        for end in [r#"{"deleted":0}"#, r#"{"deleted":0,"cursor":""}"#, r#"{"deleted":0,"cursor":null}"#] {
            assert_eq!(parse(end), Ok(DeletePage { deleted: 0, cursor: None }));
        }
        assert_eq!(parse(r#"{"deleted":9223372036854775807}"#).unwrap().deleted, i64::MAX as u64);
    }

    #[test]
    fn what_proxies_say() {
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
        let long = alloc::format!("{{\"deleted\":1,\"cursor\":\"{}\"}}", "x".repeat(4_097));
        assert!(parse(&long).is_err());
    }
}
