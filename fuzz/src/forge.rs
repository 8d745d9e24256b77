//! A checkpoint file changed by somebody who knows how its digest is made.

/// The file with one text in it replaced by another, and the digest that belongs to that.
pub fn forged(file: &str, from: &str, to: &str) -> String {
    assert!(file.contains(from), "{from} in {file}");
    sealed_again(&file.replacen(from, to, 1))
}

/// The same text under the digest that belongs to it.
pub fn sealed_again(file: &str) -> String {
    let (_, rest) = file.split_once("\"digest\":\"").expect("a digest");
    let (_, rest) = rest.split_once("\",\"checkpoint\":").expect("a checkpoint");
    sealed(version(file), rest.strip_suffix('}').expect("the end"))
}

/// The version that a file says it has.
pub fn version(file: &str) -> u32 {
    let rest = file.strip_prefix("{\"version\":").expect("a version");
    rest.split_once(',').and_then(|(version, _)| version.parse().ok()).expect("a number")
}

/// A checkpoint under its digest: FNV-1a over the version, a space and the checkpoint.
pub fn sealed(version: u32, checkpoint: &str) -> String {
    let digest =
        format!("{version} {checkpoint}").bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
            (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
        });
    format!("{{\"version\":{version},\"digest\":\"{digest:032x}\",\"checkpoint\":{checkpoint}}}")
}
