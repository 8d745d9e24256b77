//! How the service of a history is: what the contract leaves open, and in what it is broken.

use crate::schedule::{Asks, Property, Schedule};
use http::Method;
use upstash_dlq_emulator::{Config, CursorKind, Ignored, RateLimit};

pub(crate) fn config_of(schedule: &Schedule) -> Config {
    let mut config = Config::default();
    let ignore = |config: &mut Config, method: Method, names: &[&'static str]| {
        config.ignored.extend(names.iter().map(|name| Ignored::new(Some(method.clone()), name)));
    };
    for property in schedule.properties() {
        match property {
            Property::OffsetCursors => config.cursors = CursorKind::Offset,
            Property::NewestFirst => config.newest_first = true,
            Property::BoundCursors => config.bound_cursors = true,
            Property::ListingLag(listings) => config.listing_lag = listings,
            Property::StartedRunsStay => config.started_runs_stay = true,
            Property::DeleteMaxCount(count) => config.delete_max_count = Some(count),
            Property::Ignores(asks, name) => {
                let method = match asks {
                    Asks::Listing => Method::GET,
                    Asks::Delete => Method::DELETE,
                    Asks::Start => Method::POST,
                };
                ignore(&mut config, method, &[name]);
            }
            Property::ListingIgnoresDates => ignore(&mut config, Method::GET, &["fromDate", "toDate"]),
            Property::ListingIgnoresTo => ignore(&mut config, Method::GET, &["toDate"]),
            Property::DeleteIgnoresDates => ignore(&mut config, Method::DELETE, &["fromDate", "toDate"]),
            Property::ListingIgnoresLabels => ignore(&mut config, Method::GET, &["label"]),
            Property::ListingIgnoresCount => ignore(&mut config, Method::GET, &["count"]),
            Property::RateLimit(per_second) => config.rate_limit = Some(RateLimit::per_second(per_second)),
            // What becomes of them, the network says.
            Property::ListingLosesDates(_)
            | Property::LoopingCursors
            | Property::EndlessCursors
            | Property::ExpiredCursors => {}
            Property::LargestBody(_) | Property::CountBoundCursors => {}
        }
    }
    config
}
