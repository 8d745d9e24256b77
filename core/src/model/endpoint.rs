//! Where the service is, and with which token it is called.

use alloc::string::{String, ToString};
use alloc::{borrow::ToOwned, format};
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, HeaderValue, USER_AGENT};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Uri};

/// A QStash token. `Debug` prints a placeholder, and there is no `Display`.
///
/// ```
/// use upstash_dlq_core::Token;
/// assert_eq!(format!("{:?}", Token::new("my-token")?), "Token(…)");
/// assert!(Token::new("my token").is_err() && Token::new("").is_err());
/// # Ok::<(), upstash_dlq_core::model::EndpointError>(())
/// ```
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Checks a token.
    ///
    /// # Errors
    /// Returns an [`EndpointError`] if the token is empty, is longer than 2,000 bytes, or contains anything but visible ASCII
    /// characters, which no HTTP header can carry. The error does not contain the token.
    pub fn new(token: impl Into<String>) -> Result<Self, EndpointError> {
        let token = token.into();
        if token.is_empty() {
            return Err(EndpointError::new("token", "is empty: give the token that the Upstash console shows"));
        }
        if !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(EndpointError::new(
                "token",
                "holds a space, a line break or another character no token has: copy it again, alone",
            ));
        }
        if token.len() > 2_000 {
            return Err(EndpointError::new("token", "is longer than 2,000 bytes: copy it again, alone"));
        }
        Ok(Self(token))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Authentication {
    Bearer,
    QueryParameter,
}

/// Where the service is, and with which token it is called.
///
/// ```
/// use upstash_dlq_core::{Endpoint, Token};
/// let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
/// assert!(!format!("{endpoint:?}").contains("my-token"));
/// assert!(Endpoint::new("http://example.com", Token::new("t")?).is_err(), "a token in the clear");
/// # Ok::<(), upstash_dlq_core::model::EndpointError>(())
/// ```
#[derive(Clone)]
pub struct Endpoint {
    base: String,
    loopback: bool,
    scheme: Scheme,
    authority: Authority,
    /// The part of `base` after the authority.
    base_path: String,
    credentials: Credentials,
}

/// The token in the form in which it is sent.
#[derive(Clone)]
enum Credentials {
    Bearer(HeaderValue),
    /// `qstash_token=…`, encoded.
    QueryParameter(String),
}

/// Collects the settings of an [`Endpoint`] that are not the default.
///
/// ```
/// use upstash_dlq_core::wire::{Call, List};
/// use upstash_dlq_core::{Endpoint, Token};
/// let builder = Endpoint::builder().token_in_query().allow_plain_http();
/// let endpoint = builder.build("http://proxy.example.com/upstash", Token::new("my-token")?)?;
/// let request = List::everything().to_request(&endpoint)?;
/// assert_eq!(request.uri(), "http://proxy.example.com/upstash/v2/workflows/dlq?count=100&qstash_token=my-token");
/// assert!(!request.headers().contains_key("authorization"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct EndpointBuilder {
    authentication: Authentication,
    plain_http: bool,
}

impl EndpointBuilder {
    /// Sends the token as the query parameter `qstash_token` (`bearerAuthQuery` in the service's OpenAPI description)
    /// instead of a header. Use it only with a proxy that strips the `Authorization` header. Proxies and servers write URLs to
    /// their logs, and `http::Request` prints its URI with `{:?}`, the token included.
    pub fn token_in_query(mut self) -> Self {
        self.authentication = Authentication::QueryParameter;
        self
    }

    /// Accepts `http` to a host that is not this machine. Token and data are then sent unencrypted.
    pub fn allow_plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    /// Checks the URL and builds the endpoint.
    ///
    /// # Errors
    /// As [`Endpoint::new`]. Also returns an [`EndpointError`] if the token is too long for a query parameter.
    pub fn build(self, base_url: &str, token: Token) -> Result<Endpoint, EndpointError> {
        let (base, loopback) = parse_base(base_url, self.plain_http)?;
        // `http` accepts what `parse_base` accepts. If it does not, that is an error like any other.
        let uri = Uri::try_from(base.as_str())
            .map_err(|_| EndpointError::new("url", "is not a URL: give one such as https://qstash.upstash.io"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme().cloned(), uri.authority().cloned()) else {
            return Err(EndpointError::new("url", "has no host: give one such as https://qstash.upstash.io"));
        };
        let base_path = base.splitn(4, '/').nth(3).map(|path| format!("/{path}")).unwrap_or_default();
        let credentials = match self.authentication {
            Authentication::Bearer => {
                let mut value = HeaderValue::try_from(format!("Bearer {}", token.0))
                    .map_err(|_| EndpointError::new("token", "cannot be sent in a header: copy it again, alone"))?;
                value.set_sensitive(true);
                Credentials::Bearer(value)
            }
            Authentication::QueryParameter => {
                let mut pair = String::from("qstash_token=");
                pair.extend(form_urlencoded::byte_serialize(token.0.as_bytes()));
                Credentials::QueryParameter(pair)
            }
        };
        if matches!(&credentials, Credentials::QueryParameter(pair) if pair.len() > 2_100) {
            return Err(EndpointError::new("token", "is too long for a query parameter: send it in the header"));
        }
        Ok(Endpoint { base, loopback, scheme, authority, base_path, credentials })
    }
}

impl Endpoint {
    /// The URL of the service in Europe, which is the default of its clients.
    pub const DEFAULT_URL: &'static str = "https://qstash.upstash.io";

    /// An endpoint with bearer authentication. The API's paths are appended to the path of `base_url`.
    ///
    /// # Errors
    /// Returns an [`EndpointError`] if `base_url` is neither `https` nor `http` to a loopback host, or if it has a user, a query,
    /// a fragment, dot segments, or characters that other URL parsers read differently.
    pub fn new(base_url: &str, token: Token) -> Result<Self, EndpointError> {
        Self::builder().build(base_url, token)
    }

    /// Starts with the default settings, to change them.
    pub fn builder() -> EndpointBuilder {
        EndpointBuilder { authentication: Authentication::Bearer, plain_http: false }
    }

    /// The base URL in its normal form, without a trailing slash.
    pub fn base_url(&self) -> &str {
        &self.base
    }

    /// Whether the host is a loopback address or `localhost`. A transport must not use a proxy then.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Puts the base path before an API path such as `/v2/workflows/dlq`.
    pub(crate) fn path(&self, path: &str) -> String {
        let mut full = self.base_path.clone();
        full.push_str(path);
        full
    }

    /// The token as it was given.
    pub(crate) fn token(&self) -> String {
        match &self.credentials {
            Credentials::Bearer(value) => value.to_str().unwrap_or_default().trim_start_matches("Bearer ").to_owned(),
            Credentials::QueryParameter(pair) => {
                form_urlencoded::parse(pair.as_bytes()).next().map(|(_, token)| token.into_owned()).unwrap_or_default()
            }
        }
    }

    /// How many bytes the credentials add to a query.
    pub(crate) fn query_overhead(&self) -> usize {
        match &self.credentials {
            Credentials::Bearer(_) => 0,
            Credentials::QueryParameter(pair) => 1 + pair.len(),
        }
    }

    /// How many bytes a URL has beside its path and query, credentials included.
    pub(crate) fn url_overhead(&self) -> usize {
        self.base.len() - self.base_path.len() + self.query_overhead()
    }

    /// Builds a request for a path and query, with room for `more_headers`.
    ///
    /// # Errors
    /// Only a defect of this library makes one: every part was encoded and bounded before.
    pub(crate) fn request(
        &self,
        method: Method,
        mut target: String,
        more_headers: usize,
    ) -> Result<Request<()>, http::Error> {
        let mut headers = HeaderMap::with_capacity(4 + more_headers);
        match &self.credentials {
            Credentials::Bearer(value) => {
                headers.insert(AUTHORIZATION, value.clone());
            }
            Credentials::QueryParameter(pair) => {
                target.push(if target.contains('?') { '&' } else { '?' });
                target.push_str(pair);
            }
        }
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("upstash-dlq/", env!("CARGO_PKG_VERSION"))));
        if method == Method::POST {
            // Libraries differ in what they send for an empty body, and servers may require a length.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::try_from(target)?);
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = Uri::from_parts(parts)?;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("base_url", &self.base).field("token", &"…").finish_non_exhaustive()
    }
}

/// Why an endpoint cannot be used. Nothing has been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointError {
    field: &'static str,
    problem: &'static str,
}

impl EndpointError {
    fn new(field: &'static str, problem: &'static str) -> Self {
        Self { field, problem }
    }

    /// `url` or `token`.
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// What is wrong and what to do. To be shown after the name of where the value came from.
    pub fn problem(&self) -> &'static str {
        self.problem
    }
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

impl core::error::Error for EndpointError {}

/// Returns the URL in the spelling that every URL parser leaves unchanged, and whether its host is a loopback host.
fn parse_base(text: &str, plain_http: bool) -> Result<(String, bool), EndpointError> {
    let bad = |problem| Err(EndpointError::new("url", problem));
    if text.len() > 2_000 {
        return bad("is longer than 2,000 bytes: give the service's base URL, such as https://qstash.upstash.io");
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return bad("is not a URL: give one such as https://qstash.upstash.io");
    };
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "https" && scheme != "http" {
        return bad("must begin with https://");
    }
    if rest.contains(['?', '#']) {
        return bad("has a query or a fragment: give the base URL alone");
    }
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    if authority.contains('@') {
        return bad("has a user name or password in it: give the token separately");
    }
    let (host, port) = split_port(authority)?;
    let (host, loopback) = parse_host(host)?;
    if scheme == "http" && !loopback && !plain_http {
        return bad("is http to another machine, which would send the token in the clear: use https");
    }
    let path = path.trim_end_matches('/');
    if !valid_path(path) {
        return bad(
            "has a path with characters or dot segments that do not survive as they are: percent-encode or remove them",
        );
    }
    let default_port = if scheme == "https" { 443 } else { 80 };
    let port = port.filter(|port| *port != default_port).map(|port| format!(":{port}")).unwrap_or_default();
    Ok((format!("{scheme}://{host}{port}{path}"), loopback))
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), EndpointError> {
    let after_host = authority.rfind(']').unwrap_or(0);
    let Some(colon) = authority.get(after_host..).and_then(|tail| tail.find(':')) else {
        return Ok((authority, None));
    };
    let (host, port) = authority.split_at(after_host + colon);
    let digits = port.trim_start_matches(':');
    let valid = port.len() == digits.len() + 1 && digits.bytes().all(|b| b.is_ascii_digit());
    match digits.parse() {
        Ok(port) if valid => Ok((host, Some(port))),
        _ => Err(EndpointError::new("url", "has a port that is not a number from 0 to 65535")),
    }
}

fn parse_host(host: &str) -> Result<(String, bool), EndpointError> {
    let bad = |problem| Err(EndpointError::new("url", problem));
    if let Some(v6) = host.strip_prefix('[') {
        let Some(ip) = v6.strip_suffix(']').and_then(|ip| ip.parse::<Ipv6Addr>().ok()) else {
            return bad("has an IPv6 address that cannot be read");
        };
        // The URL standard writes mapped addresses in hexadecimal, the standard library does not.
        let text = ip.to_ipv4_mapped().map_or_else(
            || ip.to_string(),
            |_| {
                let parts = ip.segments();
                format!("::ffff:{:x}:{:x}", parts[6], parts[7])
            },
        );
        return Ok((format!("[{text}]"), ip.is_loopback()));
    }
    let host = host.to_ascii_lowercase();
    if host.is_empty() || host.starts_with('.') || host.contains("..") {
        return bad("has no host: give one such as https://qstash.upstash.io");
    }
    if !host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')) {
        return bad(
            "has a host with characters that host names do not have: write international names in their xn-- form",
        );
    }
    if let Ok(ip) = host.parse::<Ipv4Addr>() {
        return Ok((host, ip.is_loopback()));
    }
    // Other parsers read "127.1" and "0x7f.1" as addresses; here that would be a way around the check above.
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x") {
        return bad("has a host that ends in a number: write an IPv4 address as its four decimal parts");
    }
    let loopback = host == "localhost";
    Ok((host.to_owned(), loopback))
}

fn valid_path(path: &str) -> bool {
    let bytes = path.as_bytes();
    let plain = bytes.iter().enumerate().all(|(at, b)| match b {
        b'%' => bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)),
        _ => b.is_ascii_alphanumeric() || b"-._~!$&()*+,;=:@/".contains(b),
    });
    let dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    plain && !path.split('/').any(dots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(url: &str) -> Result<String, EndpointError> {
        Endpoint::new(url, Token::new("secret").unwrap()).map(|e| e.base)
    }

    #[test]
    fn bases_are_normal() {
        for (given, normal) in [
            ("https://qstash.upstash.io", "https://qstash.upstash.io"),
            ("HTTPS://QStash.Upstash.IO:443/", "https://qstash.upstash.io"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://localhost:80/a/b/", "http://localhost/a/b"),
            ("http://[0:0::1]:9", "http://[::1]:9"),
            ("https://[::ffff:1.2.3.4]", "https://[::ffff:102:304]"),
            ("https://h.7up", "https://h.7up"),
            ("https://7h", "https://7h"),
            ("https://h/aaaa%20z", "https://h/aaaa%20z"),
        ] {
            assert_eq!(base(given).as_deref(), Ok(normal));
            assert!(url::Url::parse(&format!("{normal}/x")).is_ok_and(|u| u.as_str() == format!("{normal}/x")));
        }
    }

    #[test]
    fn traps_are_refused() {
        for url in [
            "",
            "qstash.upstash.io",
            "ftp://h",
            "http://example.com",
            "http://127.1",
            "https://127.1",
            "https://0x7f.1",
            "http://127.0.0.1.",
            "https://u:p@h",
            "https://h?x",
            "https://h/#x",
            "https://h/a/../b",
            "https://h/%2e",
            "https://h/a b",
            "https://h/%2",
            "https://h/%2g",
            "https://h/%",
            "https://",
            "https://h:99999",
            "https://h:",
            "https://h:+1",
            "https://ä.example",
            "https://a..b",
            "http://localhost.example.com",
            "http://[::2]",
            "https://[::1",
            "https://h%41",
        ] {
            assert!(base(url).is_err(), "{url}");
        }
        for token in ["", "a b", "a\n", "ä", "\u{7f}"] {
            assert!(Token::new(token).is_err(), "{token:?}");
        }
    }

    #[test]
    fn no_token_in_debug() {
        let endpoint = Endpoint::builder().token_in_query().build("https://h", Token::new("secret").unwrap()).unwrap();
        let request = Endpoint::new("https://h", Token::new("secret").unwrap()).unwrap();
        let request = request.request(Method::GET, request.path("/x"), 0).unwrap();
        assert!(!format!("{endpoint:?} {request:?}").contains("secret"));
    }
}
