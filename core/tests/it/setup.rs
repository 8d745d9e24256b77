//! What an application has set, before anything is sent.

use std::num::NonZeroU64;
use upstash_dlq_core::client::BuildError;
use upstash_dlq_core::client::setup::Setup;
use upstash_dlq_core::wire::Delete;
use upstash_dlq_core::{BulkDelete, Endpoint, Halt, Operation, Selection, Token, UnixMillis};

fn setup<'a>() -> Setup<'a, upstash_dlq_core::operation::BulkBuilder<Delete>> {
    let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("secret-token").unwrap()).unwrap();
    Setup::new(BulkDelete::builder(endpoint, Selection::Everything))
}

#[test]
fn a_setting_changes_the_builder_and_nothing_else() {
    let setup = setup().max(7).page_size(3).with(|builder| builder.verify(false));
    assert!(!setup.is_invalid());
    let saved = setup.begin(Ok(None)).unwrap().checkpoint().to_json();
    assert!(saved.contains(r#""page_size":3,"max":7,"verify":false"#), "{saved}");
}

#[test]
fn the_first_setting_that_cannot_be_used_is_told() {
    let now = UnixMillis::new(0);
    for (name, invalid) in [
        ("lanes", setup().lanes(0, now).max(0)),
        ("max", setup().max(0).page_size(0)),
        ("page_size", setup().page_size(0)),
        ("max_requests_per_second", setup().max_requests_per_second(0)),
    ] {
        assert!(invalid.is_invalid());
        let operation = invalid.begin(Ok(None)).expect_err(name);
        assert!(matches!(operation.halt(), Some(Halt::InvalidSetting { setting, .. }) if setting == name), "{name}");
    }
}

#[test]
fn an_archived_delete_is_refused_what_it_does_not_have() {
    assert!(!setup().archived(false, false).is_invalid());
    let checkpoint = setup().max(NonZeroU64::MIN.get()).begin(Ok(None)).unwrap().checkpoint();
    for (setting, archived) in [
        ("observe", setup().archived(true, false)),
        ("archive", setup().archived(false, true)),
        ("archive", setup().resume_from(checkpoint).archived(false, false)),
    ] {
        let operation = archived.begin(Ok(None)).expect_err(setting);
        assert!(matches!(operation.halt(), Some(Halt::InvalidSetting { setting: told, .. }) if told == setting));
    }
}

#[test]
fn it_is_printed_without_the_token() {
    let printed = format!("{:?}", setup());
    assert!(printed.starts_with("Setup") && printed.contains("Everything"), "{printed}");
    assert!(!printed.contains("secret-token"), "{printed}");
    assert_eq!(BuildError::new("name a TLS feature").to_string(), "name a TLS feature");
}
