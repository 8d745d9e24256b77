//! What varies between failures of one cause, and what tells causes apart.

use super::{failed, failed_in_base64, sdk_error};
use proptest::prelude::*;
use upstash_dlq_core::model::Signature;

/// A piece of a message: a word of it, or two values of something that varies.
#[derive(Clone, Debug)]
enum Piece {
    Word(String),
    Varies([String; 2]),
}

fn two(values: impl Strategy<Value = String> + 'static) -> BoxedStrategy<[String; 2]> {
    prop::array::uniform2(values.boxed()).boxed()
}

/// Not only hexadecimal digits, and no half of a day.
const WORD: &str = "[g-z][a-z]{2,9}";

fn varies() -> impl Strategy<Value = [String; 2]> {
    let number = "-?(0|[1-9][0-9]{0,11})(\\.[0-9]{1,6})?";
    let uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[1-7][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";
    let time =
        "20[0-9]{2}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})";
    let date = "(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-3][0-9] (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) 20[0-9]{2}";
    let within = |before: &'static str, text: &'static str, after: &'static str| {
        two(text.prop_map(move |text| format!("{before}{text}{after}")))
    };
    prop_oneof![
        two(number.boxed()),
        two("[0-9]{1,3}ms|[0-9]{1,2}\\.[0-9]MB".boxed()),
        two(uuid.boxed()),
        two(time.boxed()),
        two(date.boxed()),
        two("[0-2]?[0-9]:[0-5][0-9] (AM|PM)".boxed()),
        two("0x[0-9a-f]{1,16}".boxed()),
        two("[0-9a-f]{6,20}[0-9][0-9a-f]{6,20}".boxed()),
        within("wfr_", "[0-9a-z]{7}[0-9][0-9A-Za-z]{8}", ""),
        within("order-", "[0-9]{3,9}", ""),
        two("([a-z][A-Z]){3}[0-9]([+/][A-Z][0-9][a-z]){5}={0,2}".boxed()),
        two("[A-Za-z0-9]{5}[a-z][A-Z][0-9][A-Za-z0-9]{5}[_-]{0,1}[A-Za-z0-9]{7}".boxed()),
        two("eyJ[A-Za-z0-9_-]{20}\\.[A-Za-z0-9_-]{30}\\.[A-Za-z0-9_-]{20}".boxed()),
        two("[a-z]{1,8}([._+-][a-z0-9]{1,5}){0,2}@[a-z]{2,8}(\\.[a-z]{2,5}){1,2}".boxed()),
        two("([0-9]{1,3}\\.){3}[0-9]{1,3}(:[0-9]{2,5})?".boxed()),
        two("2001:db8:([0-9a-f]{1,4}:){1,4}[0-9a-f]{1,4}".boxed()),
        within("https://api2.example.com/v1/users/", "[0-9]{1,9}(\\?[a-z]{1,5}=[A-Za-z0-9%.&]{1,20}[a-z0-9])?", ""),
        within("https://h.example", ":[0-9]{2,5}", "/queues/main"),
        within("/srv/app/dist/handler.js:", "[0-9]{1,4}(:[0-9]{1,3})?", ""),
        within("'", "[a-z]{1,8}[0-9]{1,8}", "'"),
        within("\"", "[A-Z][a-z]{1,8} [A-Z][a-z]{1,8} [0-9]{1,4}", "\""),
        within("`", "[a-z]{1,5}@[a-z]{1,5}\\.com", "`"),
    ]
}

fn message() -> impl Strategy<Value = Vec<Piece>> {
    let word = prop_oneof![
        6 => WORD.prop_map(Piece::Word),
        1 => WORD.prop_map(|word| Piece::Word(format!("'{word}'"))),
        1 => WORD.prop_map(|word| Piece::Word(format!("{word}()."))),
        1 => (WORD, WORD).prop_map(|(one, two)| Piece::Word(format!("/{one}/{two}.js"))),
        1 => (WORD, WORD).prop_map(|(one, two)| Piece::Word(format!("https://{one}.example/{two}"))),
    ];
    let piece = prop_oneof![2 => word.clone(), 1 => varies().prop_map(Piece::Varies)];
    (word, prop::collection::vec(piece, 1..12)).prop_map(|(first, rest)| [vec![first], rest].concat())
}

fn text(message: &[Piece], which: usize) -> String {
    let pieces: Vec<&str> = message
        .iter()
        .map(|piece| match piece {
            Piece::Word(word) => word.as_str(),
            Piece::Varies(values) => values[which].as_str(),
        })
        .collect();
    pieces.join(" ")
}

fn signature(form: u8, text: &str) -> Signature {
    match form {
        0 => failed(500, &sdk_error("Error", text, &format!("Error: {text}\n    at f (a.js:1:2)"))).signature(),
        1 => failed(500, &sdk_error(text, "failed", "")).signature(),
        2 => failed(500, text).signature(),
        3 => failed(500, &format!("<html><title>{text}</title></html>")).signature(),
        4 => failed(500, &serde_json::json!({ "error": { "message": text } }).to_string()).signature(),
        _ => failed_in_base64(500, text.as_bytes()).signature(),
    }
}

proptest! {
    #![proptest_config(crate::cases::cases(400, 300_000))]

    #[test]
    fn what_varies_changes_nothing(message in message(), form in 0..6_u8) {
        let (one, other) = (text(&message, 0), text(&message, 1));
        prop_assert_eq!(signature(form, &one), signature(form, &other), "{}\n{}", one, other);
    }

    #[test]
    fn another_word_is_another_cause(message in message(), at in any::<prop::sample::Index>(), form in 0..6_u8, word in WORD) {
        let words: Vec<usize> = (0..message.len()).filter(|at| matches!(message[*at], Piece::Word(_))).collect();
        let at = words[at.index(words.len())];
        let mut other = message.clone();
        other[at] = Piece::Word(word);
        let (one, other) = (text(&message, 0), text(&other, 0));
        prop_assert_eq!(signature(form, &one) == signature(form, &other), one == other, "{}\n{}", one, other);
    }
}
