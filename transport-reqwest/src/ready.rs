//! A ready `reqwest::Client`: what can be learned of it from outside, and how it is kept from sending a request twice.

use crate::failure::Conduct;
use crate::tls;
use http_body::{Body, Frame};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use upstash_dlq_core::client::BuildError;

/// How reqwest's `Debug` prints the redirect policy that follows none. In a header's value or a URL, the quotation marks would
/// be escaped.
const NO_REDIRECTS: &str = r#"redirect_policy: "Policy(None)""#;

/// How the version that is known here begins. It prints every redirect policy but the default one, which follows.
const FAMILIAR: &str = "Client { accepts: ";

/// Whether the client is known to follow no redirect. What it prints may hold secrets, and goes nowhere.
///
/// # Errors
/// Returns a [`BuildError`] if it follows redirects.
pub(crate) fn conduct(client: &reqwest::Client) -> Result<Conduct, BuildError> {
    let printed = format!("{client:?}");
    if printed.contains(NO_REDIRECTS) {
        return Ok(Conduct::Known);
    }
    if printed.starts_with(FAMILIAR) || none_is_printed_so() {
        return Err(BuildError::new(
            "the HTTP client follows redirects, and a request with its token must not: build it with \
             redirect(reqwest::redirect::Policy::none())",
        ));
    }
    // The library prints it in another way. A redirect that was followed is noticed afterwards.
    Ok(Conduct::Unknown)
}

/// Whether a client that follows no redirect prints what is looked for here.
fn none_is_printed_so() -> bool {
    // With TLS that somebody else enabled, reqwest may have no default provider, and would panic.
    if tls::is_enabled_elsewhere() {
        return false;
    }
    let none = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build();
    none.is_ok_and(|none| format!("{none:?}").contains(NO_REDIRECTS))
}

/// A body without a byte that reqwest cannot clone: neither a retry policy of the client nor a 307 or 308 sends the request
/// again. On the wire it is no body at all, because it is at its end from the beginning.
///
/// It does not state its size: of a body whose size is exactly 0, what follows redirects would make a new one.
pub(crate) fn body_sent_once() -> reqwest::Body {
    reqwest::Body::wrap(Once)
}

struct Once;

impl Body for Once {
    type Data = &'static [u8];
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};
    use reqwest::redirect::Policy;

    #[test]
    fn a_client_that_follows_redirects_is_told_from_one_that_does_not() {
        let builder = || reqwest::Client::builder().no_proxy();
        assert_eq!(conduct(&builder().redirect(Policy::none()).build().unwrap()), Ok(Conduct::Known));
        // A header that says so proves nothing.
        let says = [(http::header::USER_AGENT, HeaderValue::from_static(NO_REDIRECTS))];
        let following = [
            builder(),
            builder().redirect(Policy::limited(1)),
            builder().redirect(Policy::custom(|attempt| attempt.stop())),
            builder().default_headers(HeaderMap::from_iter(says)),
            builder().user_agent(NO_REDIRECTS),
        ];
        for builder in following {
            let error = conduct(&builder.build().unwrap()).unwrap_err();
            assert!(error.to_string().contains("Policy::none()"), "{error}");
        }
    }

    #[test]
    fn a_body_that_is_sent_once_cannot_be_cloned() {
        let mut request = reqwest::Request::new(http::Method::POST, "http://h.invalid".parse().unwrap());
        assert!(request.try_clone().is_some());
        *request.body_mut() = Some(body_sent_once());
        assert!(request.try_clone().is_none());
        let body = body_sent_once();
        assert!(body.is_end_stream() && body.size_hint().exact().is_none());
    }
}
