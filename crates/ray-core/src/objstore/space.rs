//! The free space of a segment the store writes itself, as offsets.
//!
//! First fit over a sorted list: a store has few such segments, and what costs in a transfer is the bytes. (Clients, who allocate far more
//! often, have `ray_shm::SegmentAllocator`; this crate must not depend on one that maps memory.)

use std::collections::BTreeMap;

/// Which parts of a segment are free.
#[derive(Debug)]
pub(super) struct Space {
    size_bytes: u64,
    free_bytes: u64,
    /// Length of each free range by its offset; no two touch.
    free: BTreeMap<u64, u64>,
}

impl Space {
    pub(super) fn new(size_bytes: u64) -> Self {
        Space { size_bytes, free_bytes: size_bytes, free: BTreeMap::from([(0, size_bytes)]) }
    }

    /// The offset of `size_bytes` free bytes, rounded up to [`block_bytes`].
    pub(super) fn allocate(&mut self, size_bytes: u64) -> Option<u64> {
        let wanted = block_bytes(size_bytes)?;
        let (&offset, &length) = self.free.iter().find(|(_, length)| **length >= wanted)?;
        self.free.remove(&offset);
        if length > wanted {
            self.free.insert(offset + wanted, length - wanted);
        }
        self.free_bytes -= wanted;
        Some(offset)
    }

    /// Gives back what [`allocate`](Self::allocate) gave for the same size.
    pub(super) fn free(&mut self, offset: u64, size_bytes: u64) {
        let (mut start, mut length) = (offset, block_bytes(size_bytes).expect("a size that was allocated"));
        self.free_bytes += length;
        if let Some(after) = self.free.remove(&(start + length)) {
            length += after;
        }
        if let Some((&before, &before_length)) = self.free.range(..start).next_back()
            && before + before_length == start
        {
            start = before;
            length += before_length;
        }
        self.free.insert(start, length);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.free_bytes == self.size_bytes
    }

    /// Panics unless the free ranges and these blocks, given as offset and size, fill the segment exactly.
    pub(super) fn validate(&self, blocks: &[(u64, u64)]) {
        let taken = blocks.iter().map(|(offset, size)| (*offset, block_bytes(*size).expect("a size that was allocated"), false));
        let mut ranges: Vec<(u64, u64, bool)> =
            self.free.iter().map(|(offset, length)| (*offset, *length, true)).chain(taken).collect();
        ranges.sort_unstable();
        let (mut end, mut after_free) = (0, false);
        for (offset, length, free) in ranges {
            assert_eq!(offset, end, "blocks and free ranges lie end to end");
            assert!(!(free && after_free), "neighbouring free ranges are merged");
            (end, after_free) = (offset + length, free);
        }
        assert_eq!(end, self.size_bytes);
        assert_eq!(self.free_bytes, self.free.values().sum::<u64>());
    }
}

/// What an object of this size takes: whole cache lines, so that each begins at one. None if that is no number.
pub(super) fn block_bytes(size_bytes: u64) -> Option<u64> {
    size_bytes.max(1).checked_next_multiple_of(super::SMALLEST_BLOCK_BYTES)
}
