//! A part of a window, as `--shard` names it.

use super::shown::assert_safe_to_show;
use upstash_dlq_core::selection::Shard;
use upstash_dlq_core::{Filter, UnixMillis};

/// Eight bytes of a beginning, five of a width, then the text: the part lies within the window, and meets its neighbours
/// without a gap.
pub fn shard(data: &[u8]) {
    let Some((from, rest)) = data.split_first_chunk::<8>() else { return };
    let Some((width, text)) = rest.split_first_chunk::<5>() else { return };
    let text = String::from_utf8_lossy(text);
    let shard = match text.parse::<Shard>() {
        Ok(shard) => shard,
        Err(error) => return assert_safe_to_show(&error.to_string()),
    };
    assert_eq!(shard.to_string().parse(), Ok(shard));
    let shown = shard.to_string();
    let (number, of) = shown.split_once('/').expect("two numbers");
    let (number, of): (u64, u64) = (number.parse().expect("a number"), of.parse().expect("a number"));
    assert!(1 <= number && number <= of);
    let from = i64::from_be_bytes(*from);
    let width = width.iter().fold(0, |width, byte| width << 8 | i64::from(*byte));
    let to = from.saturating_add(width);
    let window = || {
        let times = Filter::builder().from(UnixMillis::new(from)).to(UnixMillis::new(to));
        times.label("nightly").build().expect("a filter")
    };
    let part = |number: u64| {
        let part = format!("{number}/{of}").parse::<Shard>().expect("a shard").of(window());
        part.map(|part| {
            assert!(
                part.clone().into_builder().from(UnixMillis::new(from)).to(UnixMillis::new(to)).build() == Ok(window())
            );
            (part.from().expect("a time").get(), part.to().expect("a time").get())
        })
    };
    let (low, high) = match part(number) {
        Ok(part) => part,
        Err(error) => {
            assert!(to.abs_diff(from).saturating_add(1) < of, "{error}");
            return assert_safe_to_show(&error.to_string());
        }
    };
    assert!(from <= low && low <= high && high <= to);
    match number {
        1 => assert_eq!(low, from),
        _ => assert_eq!(part(number - 1).map(|(_, high)| high + 1), Ok(low)),
    }
    if number == of {
        assert_eq!(high, to);
    } else {
        assert_eq!(part(number + 1).map(|(low, _)| low - 1), Ok(high));
    }
}
