//! How ureq takes our settings.

use std::time::Duration;

/// The settings that no other configuration may change. Our own agent gets them once; the user's agent gets them with each
/// request. This is a macro because the two builders have no nameable trait in common.
macro_rules! settled {
    ($config:expr, $settings:expr) => {{
        use crate::settings::finite;
        use upstash_dlq_core::client::http_settings::IDLE_TIMEOUT;
        let config = $config
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .save_redirect_history(false)
            .accept_encoding("")
            .max_idle_age(IDLE_TIMEOUT)
            .timeout_global(finite($settings.timeout))
            .timeout_connect(finite($settings.connect_timeout.min($settings.timeout)))
            .timeout_per_call(None)
            .timeout_per_read(None)
            .timeout_per_write(None)
            .timeout_resolve(None)
            .timeout_send_request(None)
            .timeout_send_body(None)
            .timeout_recv_response(None)
            .timeout_recv_body(None);
        // A proxy would see the token in the clear, and could not reach this machine anyway.
        if $settings.endpoint.is_loopback() { config.proxy(None) } else { config }
    }};
}
pub(crate) use settled;

/// ureq adds a timeout to the present moment, and panics where that does not fit. Nobody waits for a hundred years.
pub(crate) fn finite(timeout: Duration) -> Option<Duration> {
    (timeout < Duration::from_secs(100 * 365 * 86_400)).then_some(timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_of_years_is_one() {
        let year = Duration::from_secs(365 * 86_400);
        assert_eq!([Some(year), Some(99 * year), None], [year, 99 * year, 101 * year].map(finite));
        assert_eq!(finite(Duration::MAX), None);
    }
}
