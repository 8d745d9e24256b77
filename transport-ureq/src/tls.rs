//! Which TLS library is used, and which roots are trusted. ureq follows its configuration, not its features.

use upstash_dlq_core::client::BuildError;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

pub(crate) fn config() -> TlsConfig {
    let (provider, roots) = if cfg!(feature = "platform-verifier") {
        (TlsProvider::Rustls, RootCerts::PlatformVerifier)
    } else if cfg!(feature = "rustls") {
        (TlsProvider::Rustls, RootCerts::WebPki)
    } else {
        (TlsProvider::NativeTls, RootCerts::PlatformVerifier)
    };
    TlsConfig::builder().provider(provider).root_certs(roots).build()
}

/// # Errors
/// Returns a [`BuildError`] if the configuration needs a feature that is not enabled. ureq would panic.
pub(crate) fn check(config: &TlsConfig) -> Result<(), BuildError> {
    let (enabled, feature, provider) = match config.provider() {
        TlsProvider::Rustls => (cfg!(feature = "rustls"), "rustls", "TlsProvider::Rustls"),
        TlsProvider::NativeTls => (cfg!(feature = "native-tls"), "native-tls", "TlsProvider::NativeTls"),
        _ => return Ok(()),
    };
    if !enabled {
        return Err(BuildError::new(format!(
            "the TLS configuration names {provider}: enable the feature {feature} of upstash-dlq-ureq, or name another provider"
        )));
    }
    let verifies_like_the_platform = matches!(config.root_certs(), RootCerts::PlatformVerifier);
    if verifies_like_the_platform && feature == "rustls" && cfg!(not(feature = "platform-verifier")) {
        return Err(BuildError::new(
            "the TLS configuration names RootCerts::PlatformVerifier: enable the feature platform-verifier of \
             upstash-dlq-ureq, or name other roots",
        ));
    }
    Ok(())
}
