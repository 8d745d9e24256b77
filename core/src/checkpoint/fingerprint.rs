//! The fingerprint: tells whether a checkpoint belongs to an operation.

use crate::model::endpoint::Endpoint;
use crate::model::hash::Fnv;
use crate::selection::selected::Selection;
use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Tells whether a checkpoint belongs to an operation: a hash (FNV-1a, 128 bits) of the endpoint's base URL and the selection
/// *as it was given*, before relative times became absolute. It contains no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of a selection as it is.
    pub fn from_selection(endpoint: &Endpoint, selection: &Selection) -> Self {
        let mut hash = Fnv::new();
        hash.text(endpoint.base_url());
        match selection {
            Selection::Ids(ids) => ids.as_slice().iter().for_each(|id| hash.pair("dlqIds", id.as_str())),
            Selection::Filter(filter) => filter.for_each_pair(|name, value| hash.pair(name, value)),
            Selection::Refined(refined) => {
                refined
                    .filter()
                    .into_iter()
                    .for_each(|filter| filter.for_each_pair(|name, value| hash.pair(name, value)));
                refined.refinement().for_each_pair(|name, value| hash.pair(name, value));
            }
            Selection::Everything => hash.text("everything"),
        }
        Self(hash.finish())
    }

    /// The fingerprint of the caller's own words, such as `("from", "7d")`. Their order matters.
    ///
    /// ```
    /// # use upstash_dlq_core::{Endpoint, Token};
    /// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
    /// use upstash_dlq_core::checkpoint::Fingerprint;
    /// let week = Fingerprint::from_pairs(&endpoint, [("label", "nightly"), ("from", "7d")]);
    /// assert_eq!(week, Fingerprint::from_pairs(&endpoint, [("label", "nightly"), ("from", "7d")]));
    /// assert_ne!(week, Fingerprint::from_pairs(&endpoint, [("label", "nightly"), ("from", "8d")]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_pairs<'a>(endpoint: &Endpoint, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut hash = Fnv::new();
        hash.text(endpoint.base_url());
        pairs.into_iter().for_each(|(name, value)| hash.pair(name, value));
        Self(hash.finish())
    }

    /// The fingerprint of this one and further pairs.
    pub(crate) fn and<'a>(&self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut hash = Fnv::new();
        hash.text(&self.0);
        pairs.into_iter().for_each(|(name, value)| hash.pair(name, value));
        Self(hash.finish())
    }
}

/// Makes a [`Fingerprint`] of a long list, one value at a time.
///
/// ```
/// # use upstash_dlq_core::{Endpoint, Token};
/// # let endpoint = Endpoint::new("https://qstash.upstash.io", Token::new("my-token")?)?;
/// use upstash_dlq_core::checkpoint::FingerprintBuilder;
/// let of = |ids: &[&str]| {
///     let mut builder = FingerprintBuilder::default();
///     ids.iter().for_each(|id| builder.add(id));
///     builder.at(&endpoint)
/// };
/// assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
/// assert_ne!(of(&["a", "b"]), of(&["ab"]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FingerprintBuilder(Fnv);

impl Default for FingerprintBuilder {
    fn default() -> Self {
        Self(Fnv::new())
    }
}

impl FingerprintBuilder {
    /// Adds the next value. The order of values matters.
    pub fn add(&mut self, value: &str) {
        self.0.text(value);
    }

    /// The fingerprint of all values, at an endpoint.
    pub fn at(&self, endpoint: &Endpoint) -> Fingerprint {
        Fingerprint::from_pairs(endpoint, [("many", self.0.finish().as_str())])
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
