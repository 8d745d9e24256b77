//! How densely runs lie in time, and whether a window is worth a cut. It knows neither jobs nor requests.

use crate::selection::window::Window;

/// How many lanes each page allows after which its window goes on. So a short operation needs no further requests.
const OPENED_BY_A_PAGE: u64 = 6;

/// How many lanes may be open after so many pages after which their windows went on.
pub(super) fn lanes_after(pages: u64, limit: usize) -> usize {
    limit.min(usize::try_from(pages.saturating_mul(OPENED_BY_A_PAGE)).unwrap_or(usize::MAX))
}

/// The densest window that is done. It tells how many runs others probably have left.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Densest(Option<Density>);

#[derive(Clone, Copy, Debug)]
struct Density {
    runs: u64,
    width: i128,
}

impl Density {
    /// How many runs a window of this width has if it is as dense.
    fn expected(self, width: i128) -> i128 {
        i128::from(self.runs).saturating_mul(width) / self.width.max(1)
    }

    fn is_above(self, other: Self) -> bool {
        self.runs as f64 * other.width as f64 > other.runs as f64 * self.width as f64
    }
}

impl Densest {
    /// A window is done, and had so many runs. One that had a page of them at most tells nothing.
    pub(super) fn learn(&mut self, window: &Window, runs: u64, page: u32) {
        let density = Density { runs, width: window.width() };
        if runs > u64::from(page) && self.0.is_none_or(|densest| density.is_above(densest)) {
            self.0 = Some(density);
        }
    }

    /// How much a window probably has left, of which so many runs have come. One that is far denser than all that are done may be
    /// where most runs lie: it counts as worth a cut. Its width, while none is done.
    pub(super) fn left_in(&self, window: &Window, runs: u64, page: u32) -> i128 {
        let Some(densest) = self.0 else { return window.width() };
        let (expected, come) = (densest.expected(window.width()), i128::from(runs));
        if come > expected.saturating_mul(2) { come.max(3 * i128::from(page)) } else { expected.saturating_sub(come) }
    }

    /// Whether it pays to cut a window that has so much left, if the one with the most has `most`. A part that ends with its first
    /// page costs a request and saves nothing. The lanes share the `again` runs that come once more, so a cut pays if more is left.
    /// Of two windows, the one with more left is worth waiting for.
    pub(super) fn pays(&self, left: i128, most: i128, again: u64, page: u32) -> bool {
        let (again, page) = (i128::from(again), i128::from(page));
        if self.0.is_none() { again <= page } else { left > again.max(2 * page) && left.saturating_mul(2) >= most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::UnixMillis;
    use crate::selection::filter::Filter;
    use crate::selection::selected::Selection;

    const PAGE: u32 = 100;

    /// A hundred seconds.
    fn window() -> Window {
        let filter = Filter::builder().from(UnixMillis::new(0)).to(UnixMillis::new(99_999)).build().unwrap();
        Window::of(&Selection::Filter(filter), UnixMillis::new(0))
    }

    #[test]
    fn a_window_has_left_what_the_densest_one_had_in_its_time() {
        let (whole, second) = (window(), window().split(100)[0]);
        let mut densest = Densest::default();
        assert_eq!(densest.left_in(&whole, 700, PAGE), 100_000, "nothing is known but its width");
        densest.learn(&whole, 100, PAGE);
        assert_eq!(densest.left_in(&second, 1, PAGE), 1_000, "a page tells nothing");
        densest.learn(&whole, 10_000, PAGE);
        densest.learn(&whole, 9_000, PAGE);
        assert_eq!(densest.left_in(&whole, 4_000, PAGE), 6_000);
        // Up to twice as many as are expected may be chance.
        assert_eq!([100, 200].map(|come| densest.left_in(&second, come, PAGE)), [0, -100]);
        assert_eq!([201, 300, 700].map(|come| densest.left_in(&second, come, PAGE)), [300, 300, 700]);
    }

    /// A server may claim any number, and a window may be as wide as time.
    #[test]
    fn no_number_is_too_large() {
        let filter = Filter::builder().from(UnixMillis::new(0)).to(UnixMillis::new(i64::MAX)).build().unwrap();
        let widest = Window::of(&Selection::Filter(filter), UnixMillis::new(0));
        let mut densest = Densest::default();
        densest.learn(&window().split(100_000)[0], u64::MAX, PAGE);
        for runs in [0, u64::MAX] {
            let left = densest.left_in(&widest, runs, PAGE);
            densest.pays(left, i128::MAX, u64::MAX, u32::MAX);
        }
    }

    #[test]
    fn a_cut_pays_for_more_than_two_pages_and_more_than_comes_again() {
        let mut densest = Densest::default();
        let pays = |densest: &Densest, left, most, again| densest.pays(left, most, again, PAGE);
        assert_eq!([100, 101].map(|again| pays(&densest, 1, 9_000, again)), [true, false]);
        densest.learn(&window(), 10_000, PAGE);
        assert_eq!([200, 201].map(|left| pays(&densest, left, left, 0)), [false, true]);
        assert_eq!([500, 501].map(|left| pays(&densest, left, left, 500)), [false, true]);
        assert_eq!([499, 500].map(|left| pays(&densest, left, 1_000, 0)), [false, true]);
    }
}
