//! A file changed by somebody who knows how its digest is made.

/// The file with one text in it replaced by another, and the digest that belongs to that.
pub(crate) fn forged(file: &str, from: &str, to: &str) -> String {
    assert!(file.contains(from), "{from} in {file}");
    sealed_again(&file.replacen(from, to, 1))
}

/// The same text under the digest that belongs to it: FNV-1a over the version, a space and the checkpoint.
pub(crate) fn sealed_again(file: &str) -> String {
    let (head, rest) = file.split_once("\"digest\":\"").unwrap();
    let (_, rest) = rest.split_once("\",\"checkpoint\":").unwrap();
    let checkpoint = rest.strip_suffix('}').unwrap();
    let version = head.trim_start_matches("{\"version\":").trim_end_matches(',');
    let digest =
        format!("{version} {checkpoint}").bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
            (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
        });
    format!("{{\"version\":{version},\"digest\":\"{digest:032x}\",\"checkpoint\":{checkpoint}}}")
}
