//! Encodes queries (`application/x-www-form-urlencoded`) and path segments.

use crate::bugs::bug;
use crate::model::cursor::Cursor;
use crate::model::dlq_id::DlqId;
use crate::selection::filter::Filter;
use alloc::string::String;
use core::fmt::Write;
use form_urlencoded::Serializer;

/// The longest URL of a request with ids, in bytes.
pub(crate) const MAX_ID_URL_LEN: usize = 8_000;

/// Encodes a filter: `label=a&label=b…`
pub(crate) fn filter_query(filter: &Filter) -> String {
    if bug!(FilterNotEncoded) {
        let mut query = String::new();
        filter.for_each_pair(|name, value| query.push_str(&alloc::format!("{name}={value}&")));
        return query;
    }
    let mut query = Serializer::new(String::new());
    filter.for_each_pair(|name, value| {
        query.append_pair(name, value);
    });
    query.finish()
}

/// The part of a request's path and query that does not change from page to page. It is encoded once.
#[derive(Clone, Debug)]
pub(crate) struct Prefix {
    /// The path and query, up to the page's own part.
    start: String,
    /// The same with the count of a full page, which most requests ask for.
    full: String,
    full_count: u64,
}

impl Prefix {
    pub(crate) fn new(path: String, filter: Option<&Filter>, full_count: u64) -> Self {
        let mut start = path;
        start.push('?');
        if let Some(filter) = filter {
            start.push_str(&filter_query(filter));
            start.push('&');
        }
        Self { full: alloc::format!("{start}count={full_count}"), start, full_count }
    }

    /// Writes one page's path and query in one allocation, with room for exactly `more` bytes. `http` takes a text that fills
    /// its buffer as it is, and allocates again for any other.
    pub(crate) fn page(&self, count: u64, cursor: Option<&Cursor>, more: usize) -> String {
        let cursor = cursor.map(|cursor| cursor.as_str().as_bytes());
        let encode = form_urlencoded::byte_serialize;
        let cursor_len = cursor.map_or(0, |cursor| "&cursor=".len() + encode(cursor).map(str::len).sum::<usize>());
        let mut target = String::with_capacity(self.full.len() + cursor_len + more);
        if count == self.full_count {
            target.push_str(&self.full);
        } else {
            target.push_str(&self.start);
            // Writing to a string cannot fail.
            let _ = write!(target, "count={count}");
        }
        if let Some(cursor) = cursor {
            target.push_str("&cursor=");
            let encoded = |cursor| if bug!(CursorNotEncoded) { core::str::from_utf8(cursor).ok() } else { None };
            if let Some(text) = encoded(cursor) {
                target.push_str(text);
                return target;
            }
            for part in encode(cursor) {
                target.push_str(part);
            }
        }
        target
    }
}

/// Appends a path segment. It is encoded, so no parser can read it as anything else.
pub(crate) fn push_segment(path: &mut String, segment: &str) {
    path.push('/');
    if bug!(SegmentNotEncoded) {
        path.push_str(segment);
        return;
    }
    // A path is encoded like a query, except for the space.
    path.extend(form_urlencoded::byte_serialize(segment.as_bytes()).map(|part| if part == "+" { "%20" } else { part }));
}

/// Appends `name=value`, with `?` or `&` before it as needed.
pub(crate) fn push_pair(url: &mut String, name: &str, value: &str) {
    url.push(if url.contains('?') { '&' } else { '?' });
    url.push_str(name);
    url.push('=');
    if bug!(IdNotEncoded) {
        url.push_str(value);
        return;
    }
    url.extend(form_urlencoded::byte_serialize(value.as_bytes()));
}

/// How many of `ids` fit into one URL that already has `used` bytes. At least one fits: an id is far shorter than the limit
/// without the longest base URL and token.
pub(crate) fn ids_that_fit(used: usize, ids: &[DlqId]) -> usize {
    let mut len = used;
    let mut fit = 0;
    for id in ids {
        len += "&dlqIds=".len() + form_urlencoded::byte_serialize(id.as_str().as_bytes()).map(str::len).sum::<usize>();
        if len > MAX_ID_URL_LEN && fit > 0 && !bug!(UrlTooLong) {
            break;
        }
        fit += 1;
    }
    fit
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// In a path, `+` is a plus and no space.
    #[test]
    fn a_segment_is_one_segment_for_every_parser() {
        for (segment, encoded) in
            [("a b", "/a%20b"), ("a+b", "/a%2Bb"), ("a/b?c#d", "/a%2Fb%3Fc%23d"), ("ä%2f", "/%C3%A4%252f")]
        {
            let mut path = String::new();
            push_segment(&mut path, segment);
            assert_eq!(path, encoded);
        }
    }

    /// The buffer of a page is filled exactly, by what the caller adds.
    #[test]
    fn a_page_is_written_in_one_allocation() {
        let prefix = Prefix::new(String::from("/p"), None, 50);
        for (cursor, target) in [(None, "/p?count=50"), (Some("a b/"), "/p?count=50&cursor=a+b%2F")] {
            let page = prefix.page(50, cursor.map(|cursor| Cursor::parse(cursor).unwrap()).as_ref(), 7);
            assert_eq!((page.as_str(), page.capacity()), (target, target.len() + 7));
        }
    }

    /// A URL is as long as it may be, and no longer.
    #[test]
    fn ids_fill_a_url_to_its_limit() {
        let ids: Vec<DlqId> = ["12345", "12345678"].into_iter().map(|id| DlqId::new(id).unwrap()).collect();
        let both = "&dlqIds=12345&dlqIds=12345678".len();
        assert_eq!(ids_that_fit(MAX_ID_URL_LEN - both, &ids), 2);
        assert_eq!(ids_that_fit(MAX_ID_URL_LEN - both + 1, &ids), 1);
        assert_eq!(ids_that_fit(MAX_ID_URL_LEN, &ids), 1, "one fits always");
    }

    #[test]
    fn a_pair_follows_what_is_there() {
        let mut url = String::from("/p");
        push_pair(&mut url, "a", "1 2");
        push_pair(&mut url, "b", "&=");
        assert_eq!(url, "/p?a=1+2&b=%26%3D");
    }
}
