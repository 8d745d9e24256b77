//! How many messages a page is asked for: fewer after one that was too large, and more again after small ones. It knows neither
//! cursors nor windows.

/// How many messages a listing asks for at once. Messages may have 50 MB, so a page of 100 can be larger than a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageSize {
    /// What the caller has set. No request asks for more.
    most: u32,
    now: u32,
    /// The bound of a page in bytes, if a response was larger.
    bound: Option<u64>,
}

impl PageSize {
    pub(crate) fn new(most: u32) -> Self {
        let most = most.max(1);
        Self { most, now: most, bound: None }
    }

    /// The same with another most.
    pub(crate) fn at_most(self, most: u32) -> Self {
        let most = most.max(1);
        Self { most, now: self.now.min(most), ..self }
    }

    pub(crate) fn get(self) -> u32 {
        self.now
    }

    /// Asks for so many from now on.
    pub(crate) fn set(&mut self, size: u32) {
        self.now = size.clamp(1, self.most);
    }

    /// A page was longer than `bound` bytes. Halves the size. Returns false if it is 1 already.
    pub(crate) fn shrink(&mut self, bound: u64) -> bool {
        if self.now == 1 {
            return false;
        }
        self.bound = Some(bound);
        self.now /= 2;
        true
    }

    /// A page of so many bytes arrived. Doubles the size if it was at most a quarter of the bound: twice as much then fits as
    /// well, unless the messages grow.
    pub(crate) fn grow_after(&mut self, bytes: u64) {
        if self.bound.is_some_and(|bound| bytes <= bound / 4) {
            self.now = self.now.saturating_mul(2).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_size_grows_to_its_most_and_no_further() {
        let mut size = PageSize::new(20);
        assert!(size.shrink(1_000));
        assert_eq!((size.get(), size.at_most(4).get(), size.at_most(0).get()), (10, 4, 1));
        let mut less = size.at_most(15);
        less.grow_after(251);
        assert_eq!(less.get(), 10, "a page was more than a quarter of the bound");
        less.grow_after(250);
        assert_eq!(less.get(), 15);
        less.set(99);
        assert_eq!(less.get(), 15);
    }
}
