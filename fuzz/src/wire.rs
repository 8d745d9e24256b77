//! Requests taken apart and responses put together, without any of core's own encoding.

use http::{Request, Response, StatusCode};

/// Names and values in the order in which they were sent.
pub type Pairs = Vec<(String, String)>;

/// The pairs of a request's query.
pub fn pairs(request: &Request<()>) -> Pairs {
    let query = request.uri().query().unwrap_or_default();
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or_else(|| panic!("{pair:?} is no pair, in {query:?}"));
        (decode(name), decode(value))
    };
    query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

/// How many runs a request asks for with `count`.
pub fn count(request: &Request<()>) -> Option<u64> {
    pairs(request).iter().find(|(name, _)| name == "count").and_then(|(_, value)| value.parse().ok())
}

/// `application/x-www-form-urlencoded`, read strictly.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else { panic!("a broken escape in {text:?}") };
                u8::try_from(high * 16 + low).unwrap_or_default()
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap_or_else(|_| panic!("{text:?} is not UTF-8"))
}

/// A response; an impossible status is 200.
pub fn response<B>(status: u16, body: B) -> Response<B> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    response
}
