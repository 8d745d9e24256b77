//! The selection: what an operation acts on.

use crate::bugs::bug;
use crate::model::field_error::FieldError;
use crate::model::message::DlqMessage;
use crate::model::time::UnixMillis;
use crate::selection::filter::Filter;
use crate::selection::ids::Ids;
use crate::selection::matches::{Listed, Match};
use crate::selection::refinement::Refinement;

/// Which runs an operation acts on: ids, or a filter, or a refinement, or everything. There is no way to select everything by
/// accident: an empty list of ids, an empty filter and an empty refinement cannot be built.
///
/// ```
/// use upstash_dlq_core::selection::{Match, Refined, Refinement};
/// use upstash_dlq_core::{DlqMessage, Filter, Selection};
/// let nightly = Filter::builder().label("nightly").build()?;
/// let gateway = Refinement::builder().status(502).build()?;
/// let selection = Selection::Refined(Refined::new(Some(nightly), gateway));
/// let run = |text| DlqMessage::parse(text);
/// assert_eq!(selection.matches(&run(r#"{"labels":["nightly"],"responseStatus":502}"#)?), Match::Yes);
/// assert_eq!(selection.matches(&run(r#"{"labels":["nightly"],"responseStatus":500}"#)?), Match::No("refinement"));
/// assert_eq!(selection.matches(&run(r#"{"labels":["weekly"],"responseStatus":502}"#)?), Match::No("label"));
/// assert_eq!(Selection::Everything.matches(&run("{}")?), Match::Yes);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The runs with these ids.
    Ids(Ids),
    /// The runs that match this filter.
    Filter(Filter),
    /// The runs that match a refinement. They are found by a listing, and acted on by their ids.
    Refined(Refined),
    /// Every run in the DLQ.
    Everything,
}

/// The runs that match a [`Refinement`], and a filter, too, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refined {
    filter: Option<Filter>,
    refinement: Refinement,
}

impl Refined {
    /// The runs that match this refinement among those that match the filter, or among all.
    pub fn new(filter: Option<Filter>, refinement: Refinement) -> Self {
        Self { filter, refinement }
    }

    /// What the service is asked for. `None` if everything is listed.
    pub fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    /// What each listed run is held against.
    pub fn refinement(&self) -> &Refinement {
        &self.refinement
    }
}

impl Selection {
    /// Whether the run of this message is selected. [`Match::No`] of a refinement names no field of the API: it says
    /// `refinement`.
    pub fn matches(&self, message: &DlqMessage) -> Match {
        let listed = self.matches_as_listed(message);
        match self.refinement() {
            Some(refinement) if !matches!(listed, Match::No(_)) && !refinement.matches(message) => {
                Match::No("refinement")
            }
            _ => listed,
        }
    }

    /// Whether a listing of [`Self::filter`] may show this message. A refinement is not looked at: the service does not know it.
    pub fn matches_as_listed(&self, message: &DlqMessage) -> Match {
        match self {
            Self::Ids(ids) => match message.dlq_id() {
                Some(id) if ids.as_slice().contains(&id) => Match::Yes,
                _ => Match::No("dlqIds"),
            },
            Self::Filter(_) | Self::Refined(_) | Self::Everything => {
                self.filter().map_or(Match::Yes, |filter| filter.matches(message))
            }
        }
    }

    /// What may be done with a run that a listing of [`Self::filter`] shows. With `trust_server`, no run is a mismatch, unless ids
    /// were given. [`Self::matches`] answers the simpler question whether a run is selected.
    ///
    /// ```
    /// use upstash_dlq_core::selection::{Listed, Refined, Refinement};
    /// use upstash_dlq_core::{DlqMessage, Filter, Ids, Selection};
    /// let nightly = Filter::builder().label("nightly").build()?;
    /// let gateway = Refinement::builder().status(502).build()?;
    /// let selection = Selection::Refined(Refined::new(Some(nightly), gateway));
    /// let check = |text| DlqMessage::parse(text).map(|run| selection.check_listed(&run, false));
    /// assert_eq!(check(r#"{"labels":["nightly"],"responseStatus":502}"#)?, Listed::Selected { is_unchecked: false });
    /// assert_eq!(check(r#"{"labels":["nightly"],"responseStatus":500}"#)?, Listed::LeftOut);
    /// assert_eq!(check(r#"{"labels":["weekly"],"responseStatus":502}"#)?, Listed::Mismatch("label"));
    /// let ids = Selection::Ids(Ids::parse(["a"])?);
    /// assert_eq!(ids.check_listed(&DlqMessage::parse(r#"{"dlqId":"b"}"#)?, true), Listed::Mismatch("dlqIds"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check_listed(&self, message: &DlqMessage, trust_server: bool) -> Listed {
        let met = self.matches_as_listed(message);
        let refinement = self.refinement().filter(|_| !bug!(RefinementNotChecked));
        match met {
            Match::No(field) if matches!(self, Self::Ids(_)) => Listed::Mismatch(field),
            Match::No(field) if !trust_server && !bug!(MatchNotChecked) => Listed::Mismatch(field),
            _ if refinement.is_some_and(|refinement| !refinement.matches(message)) => Listed::LeftOut,
            _ => Listed::Selected { is_unchecked: matches!(met, Match::Unknown(_)) },
        }
    }

    /// What the service is asked for to list the runs. `None` if everything is listed, and for ids.
    pub fn filter(&self) -> Option<&Filter> {
        match self {
            Self::Filter(filter) => Some(filter),
            Self::Refined(refined) => refined.filter(),
            Self::Ids(_) | Self::Everything => None,
        }
    }

    /// What listed runs are held against, besides the filter.
    pub fn refinement(&self) -> Option<&Refinement> {
        match self {
            Self::Refined(refined) => Some(refined.refinement()),
            Self::Ids(_) | Self::Filter(_) | Self::Everything => None,
        }
    }

    /// Limits the selection to runs that failed at or before `to`. A list of ids stays as it is, and so does a filter that has
    /// an upper end already.
    ///
    /// ```
    /// use upstash_dlq_core::{Filter, Selection, UnixMillis};
    /// let present = UnixMillis::new(1_764_000_000_000); // in milliseconds
    /// let up_to_now = Filter::builder().to(present).build()?;
    /// assert_eq!(Selection::Everything.until(present)?, Selection::Filter(up_to_now.clone()));
    /// let later = UnixMillis::new(1_764_000_060_000);
    /// assert_eq!(Selection::Filter(up_to_now.clone()).until(later)?, Selection::Filter(up_to_now), "it has an end already");
    /// # Ok::<(), upstash_dlq_core::model::FieldError>(())
    /// ```
    ///
    /// # Errors
    /// Returns a [`FieldError`] if the filter begins after `to`.
    pub fn until(self, to: UnixMillis) -> Result<Self, FieldError> {
        if matches!(self, Self::Ids(_)) || self.filter().is_some_and(|filter| filter.to().is_some()) {
            return Ok(self);
        }
        let builder = self.filter().cloned().map_or_else(Filter::builder, Filter::into_builder);
        self.with_filter(builder.to(to).build()?)
    }

    /// The same selection with another filter.
    ///
    /// # Errors
    /// Returns a [`FieldError`] for ids, which have none.
    pub(crate) fn with_filter(self, filter: Filter) -> Result<Self, FieldError> {
        match self {
            Self::Ids(_) => Err(FieldError::empty("dlqIds", "ids have no filter")),
            Self::Filter(_) | Self::Everything => Ok(Self::Filter(filter)),
            Self::Refined(refined) => Ok(Self::Refined(Refined { filter: Some(filter), ..refined })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Narrowed to a filter, ids would select what nobody has named.
    #[test]
    fn ids_take_no_filter() {
        let filter = || Filter::builder().label("nightly").build().unwrap();
        let error = Selection::Ids(Ids::parse(["a"]).unwrap()).with_filter(filter()).unwrap_err();
        assert_eq!((error.field(), error.problem()), ("dlqIds", "ids have no filter"));
        assert_eq!(Selection::Everything.with_filter(filter()), Ok(Selection::Filter(filter())));
    }

    /// To trust the server is meant for filters that it understands in its own way. Ids are the caller's word.
    #[test]
    fn trust_excuses_a_filter_and_no_ids() {
        let run = DlqMessage::parse(r#"{"dlqId":"b","labels":["weekly"]}"#).unwrap();
        let nightly = Selection::Filter(Filter::builder().label("nightly").build().unwrap());
        let ids = |id| Selection::Ids(Ids::parse([id]).unwrap());
        let selected = Listed::Selected { is_unchecked: false };
        for (selection, trusts, expected) in [
            (&nightly, false, Listed::Mismatch("label")),
            (&nightly, true, selected),
            (&ids("a"), false, Listed::Mismatch("dlqIds")),
            (&ids("a"), true, Listed::Mismatch("dlqIds")),
            (&ids("b"), true, selected),
        ] {
            assert_eq!(selection.check_listed(&run, trusts), expected, "{selection:?}, {trusts}");
        }
    }
}
