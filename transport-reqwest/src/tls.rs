//! Whether this build of reqwest has TLS. Without it, reqwest sends a request to an https URL in the clear to a proxy, if there
//! is one.

use upstash_dlq_core::client::BuildError;
use upstash_dlq_core::client::http_settings::HttpSettings;

/// Whether a feature of ours enables it.
const IS_OURS: bool = cfg!(any(feature = "rustls", feature = "native-tls"));

/// # Errors
/// Returns a [`BuildError`] if our own client is to do without TLS what takes it.
pub(crate) fn check_ours(settings: &HttpSettings) -> Result<(), BuildError> {
    if settings.is_https() && !IS_OURS { Err(missing()) } else { Ok(()) }
}

/// # Errors
/// Returns a [`BuildError`] if a client of the user's cannot have TLS either: no crate of the build enables it.
pub(crate) fn check_theirs(settings: &HttpSettings) -> Result<(), BuildError> {
    if settings.is_https() && !IS_OURS && !is_enabled() { Err(missing()) } else { Ok(()) }
}

/// Whether only another crate of the build enables it.
pub(crate) fn is_enabled_elsewhere() -> bool {
    !IS_OURS && is_enabled()
}

fn missing() -> BuildError {
    BuildError::new("https needs TLS: enable the feature rustls or native-tls of upstash-dlq-reqwest")
}

/// Whether any crate of the build enables it. With TLS, reqwest's builder has a method `tls_info` of its own, which goes before
/// that of the trait below. Nothing is called.
fn is_enabled() -> bool {
    fn has_tls<B: Builder>(_: impl FnOnce(reqwest::ClientBuilder) -> B) -> bool {
        B::HAS_TLS
    }
    has_tls(|builder| builder.tls_info(false))
}

trait Builder {
    const HAS_TLS: bool;
}

impl Builder for reqwest::ClientBuilder {
    const HAS_TLS: bool = true;
}

struct WithoutTls;

impl Builder for WithoutTls {
    const HAS_TLS: bool = false;
}

#[allow(dead_code, reason = "where reqwest has TLS, its own method is meant")]
trait InPlaceOfTls: Sized {
    fn tls_info(self, _: bool) -> WithoutTls {
        WithoutTls
    }
}

impl InPlaceOfTls for reqwest::ClientBuilder {}

#[cfg(test)]
mod tests {
    #[test]
    fn tls_is_found_where_it_is_enabled() {
        // Nothing else in this build enables it.
        assert_eq!(super::is_enabled(), super::IS_OURS);
        assert!(!super::is_enabled_elsewhere());
    }
}
