//! The query, as `application/x-www-form-urlencoded` has it.

use crate::{DlqId, Filter};
use alloc::string::String;
use form_urlencoded::Serializer;

/// No URL of an id request is longer, in bytes.
pub(crate) const MAX_ID_URL_LEN: usize = 8_000;

/// `label=a&label=b…`
pub(crate) fn filter_query(filter: &Filter) -> String {
    let mut query = Serializer::new(String::new());
    filter.for_each_pair(|name, value| {
        query.append_pair(name, value);
    });
    query.finish()
}

/// Appends `name=value`, with `?` or `&` before it as needed.
pub(crate) fn push_pair(url: &mut String, name: &str, value: &str) {
    url.push(if url.contains('?') { '&' } else { '?' });
    url.push_str(name);
    url.push('=');
    url.extend(form_urlencoded::byte_serialize(value.as_bytes()));
}

/// How many of `ids` fit into one URL that already has `used` bytes; at least one, because an id is far shorter than the
/// bound less the longest base URL and token.
pub(crate) fn ids_that_fit(used: usize, ids: &[DlqId]) -> usize {
    let mut len = used;
    let mut fit = 0;
    for id in ids {
        len += "&dlqIds=".len() + form_urlencoded::byte_serialize(id.as_str().as_bytes()).map(str::len).sum::<usize>();
        if len > MAX_ID_URL_LEN && fit > 0 {
            break;
        }
        fit += 1;
    }
    fit
}
