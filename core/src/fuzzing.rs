//! The bodies of the fuzz targets, here so that `cargo test` replays their corpus on a stable compiler. Not an interface:
//! it may change with any version.
#![doc(hidden)]
