//! What a refinement matches, and what cannot be one.

use upstash_dlq_core::DlqMessage;
use upstash_dlq_core::model::{FieldError, Signature};
use upstash_dlq_core::selection::{Refinement, RefinementBuilder};

fn message(status: u16, body: &str) -> DlqMessage {
    DlqMessage::parse(&serde_json::json!({ "responseStatus": status, "responseBody": body }).to_string()).unwrap()
}

#[test]
fn fields_are_anded_and_their_values_ored() {
    let type_error = r#"{"error":"TypeError","message":"no 'price' of ÄPFEL","stack":"at deep"}"#;
    let messages = [message(500, type_error), message(502, type_error), message(500, "gone"), message(429, "")];
    let [first, _, third, _] = messages.each_ref().map(DlqMessage::signature);
    let nobody: Signature = "e1-00000000".parse().unwrap();
    let by = Refinement::builder;
    for (refinement, matching) in [
        (by().status(500), [true, false, true, false]),
        (by().status(500).status(429), [true, false, true, true]),
        (by().status(504), [false; 4]),
        (by().signature(first), [true, false, false, false]),
        (by().signature(third).signature(first), [true, false, true, false]),
        (by().signature(nobody), [false; 4]),
        (by().signature(first).status(502), [false; 4]),
        (by().error_text("typeerror: NO 'Price' of äpfel"), [true, true, false, false]),
        (by().error_text("GONE"), [false, false, true, false]),
        (by().error_text("deep"), [false; 4]),
        (by().error_text("error").status(502), [false, true, false, false]),
    ] {
        let refinement = refinement.build().unwrap();
        assert_eq!(messages.each_ref().map(|message| refinement.matches(message)), matching, "{refinement:?}");
    }
    let without = DlqMessage::parse("{}").unwrap();
    assert!(!by().status(500).build().unwrap().matches(&without));
    assert!(!by().error_text("x").build().unwrap().matches(&without));
    assert!(by().signature(without.signature()).build().unwrap().matches(&without));
}

#[test]
fn what_says_nothing_cannot_be_built() {
    let error = |builder: RefinementBuilder| builder.build().unwrap_err();
    let told = |error: FieldError| (error.field(), error.value().map(str::to_owned));
    let by = Refinement::builder;
    assert_eq!(told(error(by())), ("refinement", None));
    for text in ["", " ", "\t\n\u{3000}"] {
        assert_eq!(told(error(by().status(500).error_text(text))), ("errorText", Some(text.into())));
    }
    for status in [0, 99, 600, u16::MAX] {
        assert_eq!(told(error(by().status(200).status(status))), ("responseStatus", Some(status.to_string())));
    }
    assert!(by().status(100).status(599).build().is_ok());
}

#[test]
fn it_is_stored_and_read_again_and_checked_then() {
    let signature: Signature = "e1-0a9z0000".parse().unwrap();
    let refinement = Refinement::builder().status(500).signature(signature).error_text("Ä").build().unwrap();
    let json = serde_json::to_string(&refinement).unwrap();
    assert_eq!(json, r#"{"responseStatus":[500],"error":["e1-0a9z0000"],"errorText":"Ä"}"#);
    assert_eq!(serde_json::from_str::<Refinement>(&json).unwrap(), refinement);
    assert_eq!(
        (refinement.statuses(), refinement.signatures(), refinement.error_text()),
        (&[500][..], &[signature][..], Some("Ä"))
    );
    for json in
        ["{}", r#"{"responseStatus":[99]}"#, r#"{"errorText":""}"#, r#"{"error":["e2-00000000"]}"#, r#"{"x":1}"#]
    {
        assert!(serde_json::from_str::<Refinement>(json).is_err(), "{json}");
    }
}
