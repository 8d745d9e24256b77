use proptest::prelude::ProptestConfig;

/// How often a property is tried; fifty times as often with `DLQ_DEEP=1`.
pub(crate) fn cases(normal: u32) -> ProptestConfig {
    let deep = std::env::var_os("DLQ_DEEP").is_some_and(|deep| deep == "1");
    let cases = if deep { normal.saturating_mul(50) } else { normal };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}
