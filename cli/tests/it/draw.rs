//! What a seed decides, so that a failure can be seen again.

pub(crate) struct Draw(u32);

impl Draw {
    pub(crate) fn new(seed: u32) -> Self {
        Self(0x9e37_79b9 ^ seed)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as usize % end
    }

    pub(crate) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}
