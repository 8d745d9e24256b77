//! reqwest passes over what it cannot read of the proxies in the environment, and connects directly; what it can read and
//! not use fails at each request. Here both are an error before anything is sent.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use upstash_dlq_core::client::BuildError;

/// # Errors
/// When the proxy of the environment for this URL cannot be used.
pub(crate) fn check_environment(base_url: &str) -> Result<(), BuildError> {
    // A server's child process: reqwest takes no proxy from a request's header then.
    if std::env::var_os("REQUEST_METHOD").is_some() {
        return Ok(());
    }
    let of_scheme =
        if base_url.starts_with("https:") { ["HTTPS_PROXY", "https_proxy"] } else { ["HTTP_PROXY", "http_proxy"] };
    let set = [of_scheme, ["ALL_PROXY", "all_proxy"]].into_iter().find_map(|names| {
        // The first that is set counts, even to nothing; the next pair counts where there is nothing.
        let (name, value) = names.into_iter().find_map(|name| Some((name, std::env::var(name).ok()?)))?;
        (!value.is_empty()).then_some((name, value))
    });
    let Some((name, value)) = set else { return Ok(()) };
    let Ok(uri) = base_url.parse::<Uri>() else { return Ok(()) };
    let no_proxy = ["NO_PROXY", "no_proxy"].into_iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default();
    // Read by what reqwest reads with.
    let exempt = Matcher::builder().all("http://proxy.invalid").no(no_proxy).build().intercept(&uri).is_none();
    let read = Matcher::builder().all(value).build().intercept(&uri);
    let usable = read.is_some_and(|proxy| {
        cfg!(feature = "socks-proxy") || matches!(proxy.uri().scheme_str(), Some("http" | "https"))
    });
    if usable || exempt { Ok(()) } else { Err(unusable(name)) }
}

/// Its value may hold a password, so only where it stands is told.
pub(crate) fn unusable(name: &str) -> BuildError {
    let socks = if cfg!(feature = "socks-proxy") { "" } else { "; SOCKS proxies need the feature socks-proxy" };
    BuildError::new(format!(
        "{name} holds a proxy that cannot be used here{socks}: set one with http://, or exempt the host with NO_PROXY"
    ))
}
