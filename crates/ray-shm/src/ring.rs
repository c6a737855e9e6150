//! A pair of single-producer, single-consumer rings of byte records between two processes, one in each one's own segment.
//!
//! The layout, and what pairs with what, is in the crate's documentation. There is no waking here: see [`crate::bell`].

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::{OwnedSegment, ReadSegment, ShmError};

/// One process's end of a channel: it pushes into its own ring and pops from the peer's.
///
/// `create` on both sides, exchange the descriptors, `attach`. Pushing may begin before that. When the peer has died, what it
/// had pushed can still be popped.
#[derive(Debug)]
pub struct ChannelEnd {
    own: OwnedSegment,
    /// Bytes of data in the own ring; a power of two.
    capacity: u64,
    /// Bytes ever pushed: the truth of which the shared write index is a copy for the peer.
    pushed: u64,
    /// The peer's read index when last looked at; never more than `pushed`, nor less than `pushed - capacity`.
    pushed_seen_read: u64,
    /// Bytes ever popped: the truth of which the shared read index is a copy for the peer.
    popped: u64,
    incoming: Option<Incoming>,
    /// The first impossible thing the peer was seen to do; from then on every `pop` reports it.
    fault: Option<Fault>,
}

/// The peer's ring.
#[derive(Debug)]
struct Incoming {
    segment: Arc<ReadSegment>,
    /// Checked when attaching: a power of two, and all of it inside the segment.
    capacity: u64,
    /// The peer's write index when last looked at; at least `popped`, at most `popped + capacity`.
    seen_write: u64,
}

impl ChannelEnd {
    /// A new end whose ring holds `capacity` bytes: a power of two from [`MIN_CAPACITY`] to [`MAX_CAPACITY`].
    pub fn create(capacity: usize) -> io::Result<Self> {
        let capacity = capacity as u64;
        if !is_valid_capacity(capacity) {
            let why = format!("ring capacity {capacity} is not a power of two from {MIN_CAPACITY} to {MAX_CAPACITY}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let own = OwnedSegment::create("ray-channel", DATA + capacity as usize)?;
        own.atomic_u64(MAGIC_AT).store(MAGIC, Relaxed);
        own.atomic_u32(VERSION_AT).store(VERSION, Relaxed);
        own.atomic_u64(CAPACITY_AT).store(capacity, Relaxed);
        Ok(Self { own, capacity, pushed: 0, pushed_seen_read: 0, popped: 0, incoming: None, fault: None })
    }

    /// The descriptor to give to the peer.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.own.fd()
    }

    /// Length of the segment behind [`ChannelEnd::fd`].
    pub fn segment_len(&self) -> usize {
        self.own.len()
    }

    /// Maps the peer's segment. An error leaves the end as it was.
    pub fn attach(&mut self, fd: OwnedFd) -> Result<(), ShmError> {
        if self.incoming.is_some() {
            return Err(ShmError::AlreadyAttached);
        }
        let segment = ReadSegment::map_up_to(fd, DATA + MAX_CAPACITY as usize)?;
        if segment.len() < DATA {
            return Err(ShmError::WrongSize { expected: DATA as u64, found: segment.len() as u64 });
        }
        let magic = read_u64(&segment, MAGIC_AT);
        let version = read_u32(&segment, VERSION_AT);
        let capacity = read_u64(&segment, CAPACITY_AT);
        if magic != MAGIC {
            return Err(ShmError::BadHeader { field: "channel magic", found: magic, expected: MAGIC });
        }
        if version != VERSION {
            return Err(ShmError::BadHeader { field: "channel version", found: version.into(), expected: VERSION.into() });
        }
        if !is_valid_capacity(capacity) {
            return Err(ShmError::BadHeader { field: "channel capacity", found: capacity, expected: MAX_CAPACITY });
        }
        if segment.len() as u64 != DATA as u64 + capacity {
            return Err(ShmError::WrongSize { expected: DATA as u64 + capacity, found: segment.len() as u64 });
        }
        self.incoming = Some(Incoming { segment, capacity, seen_write: 0 });
        Ok(())
    }

    /// Whether the peer's segment is mapped.
    pub fn is_attached(&self) -> bool {
        self.incoming.is_some()
    }

    /// The longest record that may be pushed.
    #[inline]
    pub fn max_record(&self) -> usize {
        max_record(self.capacity) as usize
    }

    /// Writes one record, the parts one after the other, and publishes it; `false`, with nothing written, if there is no room now.
    /// Panics for a record longer than [`ChannelEnd::max_record`]. Waking the peer is the caller's next step.
    #[inline]
    pub fn try_push(&mut self, parts: &[&[u8]]) -> bool {
        let len = parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.len()));
        assert!(len <= self.max_record(), "a record of {len} bytes in a ring of {}", self.capacity);
        let size = record_size(len as u64);
        if size > self.capacity - (self.pushed - self.pushed_seen_read) {
            self.look_at_read_index();
            if size > self.capacity - (self.pushed - self.pushed_seen_read) {
                return false;
            }
        }
        let mut position = self.pushed;
        self.own.atomic_u32(data_at(position, self.capacity)).store((len as u32).to_le(), Relaxed);
        position += LENGTH_SIZE;
        for part in parts {
            self.copy_in(position, part);
            position += part.len() as u64;
        }
        self.pushed += size;
        // Pairs with the Acquire load in `pop`: who sees the index sees the bytes.
        self.own.atomic_u64(WRITE_INDEX_AT).store(self.pushed, Release);
        true
    }

    /// Bytes free in the own ring, of which a record takes its length and up to 11 more.
    pub fn free_space(&self) -> usize {
        let read = self.fresh_read_index().unwrap_or(self.pushed_seen_read);
        (self.capacity - (self.pushed - read)) as usize
    }

    /// Replaces the contents of `into` by the next record, or says `Ok(false)`, with `into` empty, if there is none (yet, or ever, when
    /// no peer is attached). After an error every later call fails too, and the peer should be dropped.
    #[inline]
    pub fn pop(&mut self, into: &mut Vec<u8>) -> Result<bool, ShmError> {
        into.clear();
        if let Some(fault) = self.fault {
            return Err(fault.into());
        }
        let Some(incoming) = &mut self.incoming else {
            return Ok(false);
        };
        if incoming.seen_write == self.popped {
            // Pairs with the Release store in `try_push`.
            let write = incoming.segment.atomic_u64(WRITE_INDEX_AT).expect(HEADER_CHECKED).load(Acquire);
            if write == self.popped {
                return Ok(false);
            }
            match check_write_index(write, self.popped, incoming.capacity) {
                Ok(()) => incoming.seen_write = write,
                Err(fault) => return Err(self.fail(fault)),
            }
        }
        let capacity = incoming.capacity;
        let length_at = data_at(self.popped, capacity);
        let len = u32::from_le(incoming.segment.atomic_u32(length_at).expect(HEADER_CHECKED).load(Relaxed));
        let size = match check_record(len.into(), incoming.seen_write - self.popped, capacity) {
            Ok(size) => size,
            Err(fault) => return Err(self.fail(fault)),
        };
        let start = data_at(self.popped + LENGTH_SIZE, capacity);
        let first = (len as usize).min(DATA + capacity as usize - start);
        let mut copied = incoming.segment.append_to(start, first, into);
        if first < len as usize {
            copied &= incoming.segment.append_to(DATA, len as usize - first, into);
        }
        debug_assert!(copied, "{HEADER_CHECKED}");
        self.popped += size;
        // Pairs with the Acquire load in `fresh_read_index`: the peer overwrites these bytes only after our copy of them.
        self.own.atomic_u64(READ_INDEX_AT).store(self.popped, Release);
        Ok(true)
    }

    /// Whether `pop` has something to do: a record, or a fault to report. One load.
    #[inline]
    pub fn has_input(&self) -> bool {
        let Some(incoming) = &self.incoming else {
            return false;
        };
        self.fault.is_some()
            || incoming.seen_write != self.popped
            || incoming.segment.atomic_u64(WRITE_INDEX_AT).expect(HEADER_CHECKED).load(Acquire) != self.popped
    }

    /// Copies one part of a record into the ring, in two pieces where it wraps. `try_push` has made sure that there is room.
    #[inline]
    fn copy_in(&self, position: u64, part: &[u8]) {
        let start = data_at(position, self.capacity);
        let first = part.len().min(self.own.len() - start);
        self.own.write(start, &part[..first]);
        if first < part.len() {
            self.own.write(DATA, &part[first..]);
        }
    }

    /// Looks how far the peer has read. A lie gains it nothing: it is taken for "no further than before", and `pop` reports it.
    #[cold]
    fn look_at_read_index(&mut self) {
        match self.fresh_read_index() {
            Ok(read) => self.pushed_seen_read = read,
            Err(fault) => self.fault = self.fault.or(Some(fault)),
        }
    }

    fn fresh_read_index(&self) -> Result<u64, Fault> {
        let Some(incoming) = &self.incoming else {
            return Ok(0);
        };
        // Pairs with the Release store in `pop`.
        let read = incoming.segment.atomic_u64(READ_INDEX_AT).expect(HEADER_CHECKED).load(Acquire);
        check_read_index(read, self.pushed_seen_read, self.pushed)?;
        Ok(read)
    }

    #[cold]
    fn fail(&mut self, fault: Fault) -> ShmError {
        self.fault = Some(fault);
        fault.into()
    }
}

/// Something a peer wrote that cannot be true.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Fault {
    field: &'static str,
    found: u64,
    bound: u64,
}

impl From<Fault> for ShmError {
    fn from(Fault { field, found, bound }: Fault) -> Self {
        Self::CorruptRing { field, found, bound }
    }
}

/// The peer's write index: whole records ahead of what was popped, by no more than its ring holds. An index that went backwards is,
/// modulo 2^64, far ahead.
#[inline]
fn check_write_index(write: u64, popped: u64, capacity: u64) -> Result<(), Fault> {
    let ahead = write.wrapping_sub(popped);
    if ahead > capacity || !write.is_multiple_of(RECORD_ALIGNMENT) {
        return Err(Fault { field: "write index", found: write, bound: popped.wrapping_add(capacity) });
    }
    Ok(())
}

/// The peer's read index: no less than it was, no more than was pushed.
#[inline]
fn check_read_index(read: u64, seen: u64, pushed: u64) -> Result<(), Fault> {
    if read < seen || read > pushed || !read.is_multiple_of(RECORD_ALIGNMENT) {
        return Err(Fault { field: "read index", found: read, bound: pushed });
    }
    Ok(())
}

/// A record's length, and from it the bytes it takes: no longer than allowed, and complete.
#[inline]
fn check_record(len: u64, available: u64, capacity: u64) -> Result<u64, Fault> {
    let bound = max_record(capacity).min(available.saturating_sub(LENGTH_SIZE));
    let size = record_size(len);
    if len > bound || size > available {
        return Err(Fault { field: "record length", found: len, bound });
    }
    Ok(size)
}

#[inline]
fn record_size(len: u64) -> u64 {
    (LENGTH_SIZE + len).next_multiple_of(RECORD_ALIGNMENT)
}

/// A quarter of the ring: large records then still overlap, one being written while another is read.
#[inline]
fn max_record(capacity: u64) -> u64 {
    capacity / 4
}

/// Where in the segment the byte of this index lies.
#[inline]
fn data_at(position: u64, capacity: u64) -> usize {
    DATA + (position & (capacity - 1)) as usize
}

fn is_valid_capacity(capacity: u64) -> bool {
    capacity.is_power_of_two() && (MIN_CAPACITY..=MAX_CAPACITY).contains(&capacity)
}

fn read_u64(segment: &ReadSegment, offset: usize) -> u64 {
    segment.atomic_u64(offset).expect(HEADER_CHECKED).load(Relaxed)
}

fn read_u32(segment: &ReadSegment, offset: usize) -> u32 {
    segment.atomic_u32(offset).expect(HEADER_CHECKED).load(Relaxed)
}

/// The smallest ring: anything smaller wastes most of its first page.
pub const MIN_CAPACITY: u64 = 1 << 10;
/// The largest ring: what is longer belongs into an object.
pub const MAX_CAPACITY: u64 = 64 << 20;

const MAGIC: u64 = u64::from_le_bytes(*b"raychan\0");
const VERSION: u32 = 1;
const MAGIC_AT: usize = 0;
const VERSION_AT: usize = 8;
const CAPACITY_AT: usize = 16;
const WRITE_INDEX_AT: usize = 128;
const READ_INDEX_AT: usize = 256;
const DATA: usize = 384;
const LENGTH_SIZE: u64 = size_of::<u32>() as u64;
const RECORD_ALIGNMENT: u64 = 8;
const HEADER_CHECKED: &str = "`attach` checked that header and data lie in the segment";

// What is written by different sides, or at different rates, is two cache lines apart (processors fetch them in pairs).
const _: () = assert!(CAPACITY_AT + 8 <= 128 && WRITE_INDEX_AT >= 128);
const _: () = assert!(READ_INDEX_AT - WRITE_INDEX_AT >= 128 && DATA - READ_INDEX_AT >= 128);
// A length word starts aligned and never wraps; a record of the greatest length fits into an empty ring.
const _: () = assert!((DATA as u64).is_multiple_of(RECORD_ALIGNMENT) && MIN_CAPACITY.is_multiple_of(RECORD_ALIGNMENT));
const _: () = assert!(MIN_CAPACITY / 4 + LENGTH_SIZE + RECORD_ALIGNMENT <= MIN_CAPACITY && MAX_CAPACITY / 4 <= u32::MAX as u64);

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Instant;

    use super::*;
    use crate::testing::Random;

    fn pair(left: usize, right: usize) -> (ChannelEnd, ChannelEnd) {
        let (mut left, mut right) = (ChannelEnd::create(left).unwrap(), ChannelEnd::create(right).unwrap());
        left.attach(right.fd().try_clone_to_owned().unwrap()).unwrap();
        right.attach(left.fd().try_clone_to_owned().unwrap()).unwrap();
        (left, right)
    }

    /// A segment that looks like a channel end, for playing the mad peer.
    fn impostor(capacity: u64, segment_len: usize) -> OwnedSegment {
        let segment = OwnedSegment::create("impostor", segment_len).unwrap();
        segment.atomic_u64(MAGIC_AT).store(MAGIC, Relaxed);
        segment.atomic_u32(VERSION_AT).store(VERSION, Relaxed);
        segment.atomic_u64(CAPACITY_AT).store(capacity, Relaxed);
        segment
    }

    fn attached_to(impostor: &OwnedSegment) -> Result<ChannelEnd, ShmError> {
        let mut end = ChannelEnd::create(1024).unwrap();
        end.attach(impostor.fd().try_clone_to_owned().unwrap())?;
        Ok(end)
    }

    #[test]
    fn records_arrive_whole_and_in_order() {
        let (mut left, mut right) = pair(1024, 4096);
        assert!(left.is_attached());
        let mut record = vec![9; 9];
        assert!(!right.has_input());
        assert!(!right.pop(&mut record).unwrap());
        assert!(record.is_empty());
        assert!(left.try_push(&[b"one", b"", b" record"]));
        assert!(left.try_push(&[]));
        assert!(right.has_input());
        assert!(right.pop(&mut record).unwrap());
        assert_eq!(record, b"one record");
        assert!(right.pop(&mut record).unwrap());
        assert_eq!(record, b"");
        assert!(!right.pop(&mut record).unwrap());
        assert_eq!(left.free_space(), 1024);
    }

    #[test]
    fn a_ring_fills_before_the_peer_attaches_and_empties_after_it_is_gone() {
        let mut left = ChannelEnd::create(1024).unwrap();
        let mut pushed = 0;
        while left.try_push(&[&[pushed; 60]]) {
            pushed += 1;
        }
        assert_eq!((pushed, left.free_space()), (16, 0));
        assert!(!left.pop(&mut Vec::new()).unwrap());

        let mut right = ChannelEnd::create(1024).unwrap();
        right.attach(left.fd().try_clone_to_owned().unwrap()).unwrap();
        left.attach(right.fd().try_clone_to_owned().unwrap()).unwrap();
        let mut record = Vec::new();
        assert!(right.pop(&mut record).unwrap());
        assert_eq!(left.free_space(), 64);
        assert!(left.try_push(&[&[16; 60]]));
        drop(left);
        for expected in 1..=16 {
            assert!(right.pop(&mut record).unwrap());
            assert_eq!(record, [expected; 60]);
        }
        assert!(!right.pop(&mut record).unwrap());
    }

    /// Random pushes (split into parts at random) and pops against a plain queue, through many turns of the ring.
    #[test]
    fn agrees_with_a_queue_across_wrap_around() {
        for seed in 0..20 {
            let mut random = Random(seed);
            let capacity = 1024 << random.below(3);
            let (mut left, mut right) = pair(capacity, 1024);
            let (mut model, mut in_ring) = (VecDeque::new(), 0);
            let mut record = Vec::new();
            for _ in 0..5_000 {
                if random.below(2) == 0 {
                    let max = if random.below(4) == 0 { left.max_record() as u64 } else { 40 };
                    let bytes: Vec<u8> = (0..random.below(max + 1)).map(|_| random.next() as u8).collect();
                    let (cut, size) = (random.below(bytes.len() as u64 + 1) as usize, record_size(bytes.len() as u64) as usize);
                    assert_eq!(left.free_space(), capacity - in_ring);
                    let fits = left.try_push(&[&bytes[..cut], &bytes[cut..]]);
                    assert_eq!(fits, size <= capacity - in_ring, "seed {seed}");
                    if fits {
                        in_ring += size;
                        model.push_back(bytes);
                    }
                } else {
                    assert_eq!(right.has_input(), !model.is_empty());
                    assert_eq!(right.pop(&mut record).unwrap(), !model.is_empty());
                    assert_eq!(record, model.front().map_or(&[][..], |bytes| bytes), "seed {seed}");
                    in_ring -= model.pop_front().map_or(0, |bytes| record_size(bytes.len() as u64) as usize);
                }
            }
            assert!(left.pushed > 10 * capacity as u64);
        }
    }

    /// Both directions at once from two threads, every byte checked. The threads share nothing but the two segments.
    #[test]
    fn two_threads_exchange_records() {
        const RECORDS: u64 = 50_000;
        fn run(mut end: ChannelEnd, outgoing_seed: u64, incoming_seed: u64) {
            let (mut outgoing, mut incoming) = (Random(outgoing_seed), Random(incoming_seed));
            let make = |random: &mut Random| {
                let len = random.below(200);
                (random.next().to_le_bytes(), vec![random.next() as u8; len as usize])
            };
            let (mut sent, mut received) = (0, 0);
            let mut waiting = None;
            let mut record = Vec::new();
            while sent < RECORDS || received < RECORDS {
                let mut idle = true;
                if sent < RECORDS {
                    let (head, body) = waiting.take().unwrap_or_else(|| make(&mut outgoing));
                    if end.try_push(&[&head, &body]) {
                        sent += 1;
                        idle = false;
                    } else {
                        waiting = Some((head, body));
                    }
                }
                if end.pop(&mut record).unwrap() {
                    let (head, body) = make(&mut incoming);
                    assert_eq!(record[..8], head);
                    assert_eq!(record[8..], body);
                    received += 1;
                    idle = false;
                }
                if idle {
                    std::thread::yield_now();
                }
            }
        }
        let (left, right) = pair(1024, 2048);
        let other = std::thread::spawn(move || run(right, 2, 1));
        run(left, 1, 2);
        other.join().unwrap();
    }

    #[test]
    fn attach_refuses_what_is_not_a_channel() {
        let good = impostor(4096, DATA + 4096);
        attached_to(&good).unwrap();
        let mut end = attached_to(&good).unwrap();
        assert!(matches!(end.attach(good.fd().try_clone_to_owned().unwrap()), Err(ShmError::AlreadyAttached)));

        let bad_magic = impostor(4096, DATA + 4096);
        bad_magic.atomic_u64(MAGIC_AT).store(1, Relaxed);
        let bad_version = impostor(4096, DATA + 4096);
        bad_version.atomic_u32(VERSION_AT).store(2, Relaxed);
        for bad in [bad_magic, bad_version] {
            assert!(matches!(attached_to(&bad), Err(ShmError::BadHeader { .. })));
        }
        for capacity in [0, 1, 512, 1000, 4095, 128 << 20, 1 << 63, u64::MAX] {
            assert!(matches!(attached_to(&impostor(capacity, DATA + 4096)), Err(ShmError::BadHeader { .. })), "{capacity}");
        }
        for (capacity, segment_len) in
            [(2048, DATA + 4096), (8192, DATA + 4096), (1024, 4096), (1024, 8), (1024, DATA - 1), (1024, 128 << 20)]
        {
            let segment = OwnedSegment::create("impostor", segment_len).unwrap();
            if segment_len > 24 {
                segment.write(0, &[&MAGIC.to_le_bytes()[..], &[1, 0, 0, 0, 0, 0, 0, 0], &u64::to_le_bytes(capacity)].concat());
            }
            assert!(matches!(attached_to(&segment), Err(ShmError::WrongSize { .. })), "{capacity} {segment_len}");
        }
        for capacity in [0, 512, 1025, 128 << 20, usize::MAX] {
            assert!(ChannelEnd::create(capacity).is_err());
        }
    }

    #[test]
    fn each_impossible_value_is_an_error_for_good() {
        // (write index, length of the record at 0) in a ring of 4096 bytes.
        for (write, len) in [
            (8 + 4096, 0),
            (u64::MAX - 7, 0),
            (4, 0),
            (8, 5),
            (8, u32::MAX),
            (4096, 1025),
            (1 << 40, 1),
            (0x8000_0000_0000_0000, 0),
        ] {
            let mad = impostor(4096, DATA + 4096);
            let mut end = attached_to(&mad).unwrap();
            mad.atomic_u32(DATA).store(len, Relaxed);
            mad.atomic_u64(WRITE_INDEX_AT).store(write, Relaxed);
            assert!(end.has_input());
            assert!(matches!(end.pop(&mut Vec::new()), Err(ShmError::CorruptRing { .. })), "{write} {len}");
            mad.atomic_u64(WRITE_INDEX_AT).store(0, Relaxed);
            assert!(end.pop(&mut Vec::new()).is_err());
        }
        for read in [4, 8 + 1000, u64::MAX, u64::MAX - 7] {
            let mad = impostor(4096, DATA + 4096);
            let mut end = attached_to(&mad).unwrap();
            while end.try_push(&[&[7; 96]]) {}
            let free = end.free_space();
            end.fault = None;
            mad.atomic_u64(READ_INDEX_AT).store(read, Relaxed);
            assert_eq!(end.free_space(), free);
            assert!(!end.try_push(&[&[7; 96]]), "{read}");
            assert!(end.has_input());
            assert!(matches!(end.pop(&mut Vec::new()), Err(ShmError::CorruptRing { field: "read index", .. })));
        }
    }

    /// A mad peer scribbles over indexes and lengths, half of the time almost plausibly. Nothing here may panic, and what is popped must
    /// be no longer than a record can be.
    #[test]
    fn a_mad_peer_never_causes_a_panic() {
        let mut random = Random(42);
        let (mut records, mut faults) = (0, 0);
        let mut record = Vec::new();
        let mad = impostor(1024, DATA + 1024);
        let mut end = attached_to(&mad).unwrap();
        for _ in 0..100_000 {
            let near = |value: u64, random: &mut Random| value.wrapping_add(random.below(64) * 8).wrapping_sub(64);
            match random.below(12) {
                0..=3 => mad.atomic_u64(WRITE_INDEX_AT).store(near(end.popped, &mut random), Relaxed),
                4..=5 => mad.atomic_u64(READ_INDEX_AT).store(near(end.pushed.saturating_sub(400), &mut random), Relaxed),
                6 => {
                    mad.atomic_u64(if random.below(2) == 0 { WRITE_INDEX_AT } else { READ_INDEX_AT }).store(random.next(), Relaxed)
                }
                7..=9 => mad.atomic_u32(data_at(end.popped, 1024)).store(random.below(300) as u32, Relaxed),
                10 => mad.atomic_u32(DATA + 4 * random.below(256) as usize).store(random.next() as u32, Relaxed),
                _ => mad.atomic_u64(8 * random.below(DATA as u64 / 8) as usize).store(random.next(), Relaxed),
            }
            end.has_input();
            assert!(end.free_space() <= 1024);
            let bytes = vec![1; random.below(end.max_record() as u64 + 1) as usize];
            end.try_push(&[&bytes]);
            match end.pop(&mut record) {
                Ok(popped) => {
                    assert!(record.len() <= 256 && (popped || record.is_empty()));
                    records += u32::from(popped);
                }
                Err(error) => {
                    assert!(matches!(error, ShmError::CorruptRing { .. }));
                    faults += 1;
                    // Start over as if nothing had been seen, keeping the positions.
                    end.fault = None;
                    if random.below(4) == 0 {
                        end.popped = end.incoming.as_ref().unwrap().seen_write;
                    }
                    if random.below(16) == 0 {
                        mad.zero(WRITE_INDEX_AT..DATA);
                        (end.pushed, end.pushed_seen_read, end.popped) = (0, 0, 0);
                        end.incoming.as_mut().unwrap().seen_write = 0;
                    }
                }
            }
        }
        assert!(records > 1_000 && faults > 1_000, "{records} records, {faults} faults: the mutations miss one side");
    }

    #[test]
    fn index_checks_at_their_edges() {
        assert!(check_write_index(1024, 0, 1024).is_ok());
        assert!(check_write_index(1032, 0, 1024).is_err());
        assert!(check_write_index(0, 8, 1024).is_err());
        assert!(check_write_index(12, 8, 1024).is_err());
        assert!(check_write_index(8, u64::MAX - 7, 1024).is_ok());
        assert!(check_read_index(8, 8, 8).is_ok());
        assert!(check_read_index(0, 8, 8).is_err());
        assert!(check_read_index(16, 8, 8).is_err());
        assert!(check_read_index(12, 8, 16).is_err());
        assert_eq!(check_record(0, 8, 1024), Ok(8));
        assert_eq!(check_record(4, 8, 1024), Ok(8));
        assert!(check_record(5, 8, 1024).is_err());
        assert_eq!(check_record(256, 1024, 1024), Ok(264));
        assert!(check_record(257, 1024, 1024).is_err());
        assert!(check_record(0, 0, 1024).is_err());
        assert!(check_record(u32::MAX.into(), u64::MAX, 1024).is_err());
    }

    /// `cargo test --release -p ray-shm measure_ring -- --ignored --nocapture`
    #[test]
    #[ignore = "prints figures"]
    fn measure_ring() {
        const ROUNDS: u32 = 2_000_000;
        let (mut left, mut right) = pair(1 << 16, 1 << 16);
        let (head, body) = ([1; 20], [2; 80]);
        let mut record = Vec::new();
        let start = Instant::now();
        for _ in 0..ROUNDS {
            assert!(left.try_push(&[&head, &body]));
            assert!(right.pop(&mut record).unwrap());
        }
        println!(
            "one thread, 100 bytes in 2 parts: {:.1} ns per push + pop",
            start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS)
        );

        let (mut pushing, mut popping) = (0.0, 0.0);
        for _ in 0..ROUNDS / 500 {
            let start = Instant::now();
            for _ in 0..500 {
                assert!(left.try_push(&[&head, &body]));
            }
            let middle = Instant::now();
            for _ in 0..500 {
                assert!(right.pop(&mut record).unwrap());
            }
            pushing += (middle - start).as_secs_f64();
            popping += middle.elapsed().as_secs_f64();
        }
        let per = 1e9 / f64::from(ROUNDS);
        println!("one thread, batches of 500: push {:.1} ns, pop {:.1} ns", pushing * per, popping * per);

        let start = Instant::now();
        let reader = std::thread::spawn(move || {
            for _ in 0..ROUNDS {
                while !right.pop(&mut record).unwrap() {
                    std::hint::spin_loop();
                }
            }
        });
        for _ in 0..ROUNDS {
            while !left.try_push(&[&head, &body]) {
                std::hint::spin_loop();
            }
        }
        reader.join().unwrap();
        println!("two threads, pipelined: {:.1} ns per record", start.elapsed().as_secs_f64() * per);
    }
}
