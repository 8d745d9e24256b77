//! Which TLS library is used, and which roots are trusted. ureq follows its configuration, not its features.

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
