//! Checks the proxy of the environment. reqwest ignores a proxy that it cannot read, and connects directly. One that it can
//! read but not use fails each request. Here both are errors before anything is sent.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use upstash_dlq_core::client::BuildError;

/// # Errors
/// Returns a [`BuildError`] if the proxy that the environment names for this URL cannot be used.
pub(crate) fn check_environment(base_url: &str) -> Result<(), BuildError> {
    // A server's child process: reqwest takes no proxy from a request's header then.
    if std::env::var_os("REQUEST_METHOD").is_some() {
        return Ok(());
    }
    let of_scheme =
        if base_url.starts_with("https:") { ["HTTPS_PROXY", "https_proxy"] } else { ["HTTP_PROXY", "http_proxy"] };
    let set = [of_scheme, ["ALL_PROXY", "all_proxy"]].into_iter().find_map(|names| {
        // The first that is set counts, even to nothing; the next pair counts where there is nothing.
        let (name, value) = names.into_iter().find_map(|name| Some((name, std::env::var_os(name)?)))?;
        (!value.is_empty()).then_some((name, value))
    });
    let Some((name, value)) = set else { return Ok(()) };
    let Ok(uri) = base_url.parse::<Uri>() else { return Ok(()) };
    let no_proxy = ["NO_PROXY", "no_proxy"].into_iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default();
    // The same code reads it that reqwest uses.
    let exempt = Matcher::builder().all("http://proxy.invalid").no(no_proxy).build().intercept(&uri).is_none();
    // reqwest passes over one that is no text.
    let read = value.into_string().ok().and_then(|value| Matcher::builder().all(value).build().intercept(&uri));
    let usable = read.is_some_and(|proxy| {
        cfg!(feature = "socks-proxy") || matches!(proxy.uri().scheme_str(), Some("http" | "https"))
    });
    if usable || exempt { Ok(()) } else { Err(unusable(name)) }
}

/// The value may hold a password, so the message gives only the name.
pub(crate) fn unusable(name: &str) -> BuildError {
    let socks = if cfg!(feature = "socks-proxy") { "" } else { "; SOCKS proxies need the feature socks-proxy" };
    BuildError::new(format!(
        "{name} holds a proxy that cannot be used here{socks}: set one with http://, or exempt the host with NO_PROXY"
    ))
}
