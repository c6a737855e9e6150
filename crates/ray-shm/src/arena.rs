//! Which parts of a segment are taken: a best-fit allocator over offsets.
//!
//! It touches no memory. Its records are private to the segment's owner, so nothing another process writes can damage them, and
//! Miri can run its tests.

use std::collections::{BTreeMap, BTreeSet};

/// Offsets and sizes are multiples of this: a cache line, and more than any array element wants.
pub const ALIGNMENT: u64 = 64;

/// Hands out ranges of a segment.
///
/// Best fit with the lowest offset among equals keeps large ranges whole and low pages warm; neighbours merge when freed. Each operation
/// takes O(log n) in the number of ranges. [`SegmentAllocator::validate`] states the invariants.
///
/// ```
/// let mut space = ray_shm::SegmentAllocator::new(4096);
/// let offset = space.allocate(100).unwrap();
/// assert_eq!(offset % 64, 0);
/// assert_eq!(space.free(offset), Some(128)); // rounded up to whole cache lines
/// assert_eq!(space.free(offset), None); // no longer a live allocation
/// ```
#[derive(Debug)]
pub struct SegmentAllocator {
    capacity: u64,
    /// Bytes in live allocations.
    used: u64,
    /// Every range, taken or free, by offset.
    ranges: BTreeMap<u64, Range>,
    /// The free ones again, as (length, offset), to find the smallest that fits.
    free_by_length: BTreeSet<(u64, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Range {
    len: u64,
    taken: bool,
}

impl SegmentAllocator {
    /// All of a segment of `capacity` bytes, free. A last partial cache line is never used.
    pub fn new(capacity: u64) -> Self {
        let mut space =
            Self { capacity: capacity - capacity % ALIGNMENT, used: 0, ranges: BTreeMap::new(), free_by_length: BTreeSet::new() };
        if space.capacity > 0 {
            space.insert_free(0, space.capacity);
        }
        space
    }

    /// The offset of `len` bytes, rounded up to whole cache lines; `None` if no free range is that long. Zero bytes take one line, so
    /// that every live allocation has an offset of its own.
    pub fn allocate(&mut self, len: u64) -> Option<u64> {
        let len = len.max(1).checked_next_multiple_of(ALIGNMENT)?;
        let &(found_len, offset) = self.free_by_length.range((len, 0)..).next()?;
        self.free_by_length.remove(&(found_len, offset));
        self.ranges.insert(offset, Range { len, taken: true });
        if found_len > len {
            self.insert_free(offset + len, found_len - len);
        }
        self.used += len;
        Some(offset)
    }

    /// Gives an allocation back and says how many bytes it took; `None` for an offset at which no live allocation begins.
    pub fn free(&mut self, offset: u64) -> Option<u64> {
        let freed = self.ranges.get(&offset).filter(|range| range.taken)?.len;
        self.used -= freed;
        let (mut start, mut len) = (offset, freed);
        if let Some((&before, range)) = self.ranges.range(..offset).next_back()
            && !range.taken
        {
            len += range.len;
            start = before;
            self.free_by_length.remove(&(range.len, before));
            self.ranges.remove(&offset);
        }
        let after = offset + freed;
        if let Some(range) = self.ranges.get(&after).filter(|range| !range.taken) {
            len += range.len;
            self.free_by_length.remove(&(range.len, after));
            self.ranges.remove(&after);
        }
        self.insert_free(start, len);
        Some(freed)
    }

    /// Bytes in live allocations, each rounded up to whole cache lines.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Bytes that can be allocated in all.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The longest allocation that would succeed now.
    pub fn largest_free(&self) -> u64 {
        self.free_by_length.last().map_or(0, |&(len, _)| len)
    }

    /// Whether nothing is allocated.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Panics unless the ranges lie end to end over the whole capacity, no two free ones touch, and the index and the count agree
    /// with them. For tests and simulation, after each step.
    pub fn validate(&self) {
        let (mut end, mut used, mut free_count, mut after_free) = (0, 0, 0, false);
        for (&offset, range) in &self.ranges {
            assert_eq!(offset, end, "ranges lie end to end");
            assert!(range.len > 0 && range.len.is_multiple_of(ALIGNMENT));
            if range.taken {
                used += range.len;
            } else {
                assert!(!after_free, "free ranges at {offset} were not merged");
                assert!(self.free_by_length.contains(&(range.len, offset)));
                free_count += 1;
            }
            after_free = !range.taken;
            end += range.len;
        }
        assert_eq!(end, self.capacity);
        assert_eq!(used, self.used);
        assert_eq!(free_count, self.free_by_length.len());
    }

    fn insert_free(&mut self, offset: u64, len: u64) {
        self.ranges.insert(offset, Range { len, taken: false });
        self.free_by_length.insert((len, offset));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    /// One flag per cache line, and the live allocations: obviously right, and slow.
    struct Model {
        lines: Vec<bool>,
        live: Vec<(u64, u64)>,
    }

    impl Model {
        fn largest_free(&self) -> u64 {
            self.lines.split(|&taken| taken).map(|run| run.len() as u64 * ALIGNMENT).max().unwrap_or(0)
        }

        /// The shortest run of free lines that fits, the first of equals.
        fn best_fit(&self, len: u64) -> Option<u64> {
            let mut best: Option<(u64, u64)> = None;
            let mut start = 0;
            for run in self.lines.split(|&taken| taken) {
                let run_len = run.len() as u64 * ALIGNMENT;
                if run_len >= len && best.is_none_or(|(best_len, _)| run_len < best_len) {
                    best = Some((run_len, start));
                }
                start += run_len + ALIGNMENT;
            }
            best.map(|(_, offset)| offset)
        }

        fn mark(&mut self, offset: u64, len: u64, taken: bool) {
            for line in &mut self.lines[(offset / ALIGNMENT) as usize..((offset + len) / ALIGNMENT) as usize] {
                assert_ne!(*line, taken, "ranges overlap");
                *line = taken;
            }
        }
    }

    #[test]
    fn agrees_with_a_naive_model() {
        let (seeds, steps) = if cfg!(miri) { (2, 100) } else { (40, 2_000) };
        for seed in 0..seeds {
            let mut random = Random(seed);
            let lines = 1 + random.below(200);
            let mut space = SegmentAllocator::new(lines * ALIGNMENT + random.below(ALIGNMENT));
            let mut model = Model { lines: vec![false; lines as usize], live: Vec::new() };
            for _ in 0..steps {
                match random.below(8) {
                    0..=3 => {
                        let len = random.below(lines * ALIGNMENT / 4 + 2);
                        let rounded = len.max(1).next_multiple_of(ALIGNMENT);
                        let offset = space.allocate(len);
                        assert_eq!(offset, model.best_fit(rounded), "seed {seed}");
                        if let Some(offset) = offset {
                            model.mark(offset, rounded, true);
                            model.live.push((offset, rounded));
                        }
                    }
                    4..=6 if !model.live.is_empty() => {
                        let victim = random.below(model.live.len() as u64) as usize;
                        let (offset, len) = model.live.swap_remove(victim);
                        assert_eq!(space.free(offset), Some(len), "seed {seed}");
                        model.mark(offset, len, false);
                    }
                    _ => {
                        let offset = random.below(lines * ALIGNMENT + 10);
                        if !model.live.iter().any(|&(live, _)| live == offset) {
                            assert_eq!(space.free(offset), None, "seed {seed}");
                        }
                    }
                }
                space.validate();
                assert_eq!(space.used(), model.live.iter().map(|&(_, len)| len).sum::<u64>());
                assert_eq!(space.largest_free(), model.largest_free());
                assert_eq!(space.is_empty(), model.live.is_empty());
            }
        }
    }

    #[test]
    fn extreme_lengths_do_not_fit() {
        let mut space = SegmentAllocator::new(1 << 20);
        assert_eq!(space.allocate(u64::MAX), None);
        assert_eq!(space.allocate((1 << 20) + 1), None);
        assert_eq!(space.allocate(1 << 20), Some(0));
        assert_eq!(space.allocate(0), None);
        assert_eq!(space.free(0), Some(1 << 20));
        space.validate();

        let mut nothing = SegmentAllocator::new(63);
        assert_eq!((nothing.capacity(), nothing.allocate(0), nothing.free(0)), (0, None, None));
        nothing.validate();

        assert_eq!(SegmentAllocator::new(u64::MAX).allocate(u64::MAX), None);
    }
}
