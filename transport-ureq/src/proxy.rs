//! Checks proxies. ureq ignores a proxy of the environment that it cannot use, and connects directly; for any other it panics.
//! Here both are errors.

use http::Uri;
use upstash_dlq_core::client::BuildError;
use ureq::{Proxy, ProxyProtocol};

/// In the order in which ureq looks.
const VARIABLES: [&str; 6] = ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];

/// # Errors
/// Returns a [`BuildError`] if the proxy that the environment names for this URL cannot be used.
pub(crate) fn check_environment(base_url: &str) -> Result<(), BuildError> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(|value| (name, value));
    let Some((name, value)) = VARIABLES.into_iter().find_map(set) else { return Ok(()) };
    // ureq passes over one that is no text.
    let usable = value.to_str().is_some_and(|value| Proxy::new(value).is_ok_and(|proxy| is_usable(&proxy)));
    if usable || is_exempt(base_url) { Ok(()) } else { Err(unusable(name, true)) }
}

/// Whether the enabled features support it.
pub(crate) fn is_usable(proxy: &Proxy) -> bool {
    cfg!(feature = "socks-proxy") || matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https)
}

/// Whether `NO_PROXY` names the host, as ureq reads it.
fn is_exempt(base_url: &str) -> bool {
    let Some(list) = ["NO_PROXY", "no_proxy"].iter().find_map(|name| std::env::var(name).ok()) else { return false };
    let stand_in = Proxy::builder(ProxyProtocol::Http).host("proxy.invalid");
    let stand_in = list.split(',').fold(stand_in, |proxy, entry| proxy.no_proxy(entry)).build();
    stand_in.is_ok_and(|proxy| is_exempt_from(&proxy, base_url))
}

/// Whether this proxy is not used for the URL.
pub(crate) fn is_exempt_from(proxy: &Proxy, base_url: &str) -> bool {
    base_url.parse::<Uri>().is_ok_and(|uri| proxy.is_no_proxy(&uri))
}

/// The value may hold a password, so the message gives only the name. `NO_PROXY` counts for a proxy of the environment alone.
pub(crate) fn unusable(name: &str, is_from_env: bool) -> BuildError {
    let socks = if cfg!(feature = "socks-proxy") { "" } else { "; SOCKS proxies need the feature socks-proxy" };
    let or_exempt = if is_from_env { ", or exempt the host with NO_PROXY" } else { "" };
    BuildError::new(format!("{name} holds a proxy that cannot be used here{socks}: set one with http://{or_exempt}"))
}
