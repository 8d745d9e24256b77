//! How often a property is tried.

use proptest::prelude::ProptestConfig;

/// So many cases; with `DLQ_DEEP=1` as many as `deep`.
pub(crate) fn cases(normal: u32, deep: u32) -> ProptestConfig {
    let is_deep = std::env::var_os("DLQ_DEEP").is_some_and(|value| value == "1");
    ProptestConfig {
        cases: if is_deep { deep } else { normal },
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
