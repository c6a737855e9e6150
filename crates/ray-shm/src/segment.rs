//! Segments with a single writer, and read-only slices of them.
//!
//! [`OwnedSegment`] is the writer's side, [`ReadSegment`] everyone else's, [`SharedSlice`] a sealed object inside one. The crate's
//! documentation says who may write what when; here is how the kernel is made to enforce it.

use std::any::Any;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{Advice, MapFlags, ProtFlags};

use crate::ShmError;

/// A segment this process created, and alone may write.
///
/// The methods take `&self` so that threads can fill different allocations at once. That two threads never write the same bytes at
/// once, and that nobody writes bytes of which a [`SharedSlice`] was handed out, is for the owner of the allocator to see to; bounds
/// are checked here, and breaking them is a panic, since only our own mistake can.
#[derive(Debug)]
pub struct OwnedSegment {
    /// Readable and writable. No `&` or `&mut` into it is ever made, other than to atomics.
    map: Mapping,
    /// The same memory, mapped once more for reading: a view given to Python must fault, not write, when C code ignores "read-only".
    reader: Arc<ReadSegment>,
    fd: OwnedFd,
    /// Not closed yet: the descriptor can still be written through.
    open: AtomicBool,
    /// Pages were filled through the descriptor, so that the mapping has not got them yet.
    unmapped: AtomicBool,
}

impl OwnedSegment {
    /// A new segment of `len` zero bytes, [closed](Self::close). The name shows in `/proc/PID/maps` and need not be unique.
    ///
    /// Pages are taken when first written. A segment beyond what the machine has is answered by the OOM killer, not by an error, so
    /// the budget is counted before this call.
    pub fn create(name: &str, len: usize) -> io::Result<Self> {
        let segment = Self::create_open(name, len)?;
        segment.close()?;
        Ok(segment)
    }

    /// As [`create`](Self::create), but open: until it is [closed](Self::close) nobody else may get its descriptor, and large writes go
    /// through the descriptor. The kernel then takes each page as it copies into it, where a write through the mapping costs a fault and
    /// zeroes the page first: 1.6 against 0.85 GB/s into fresh pages, on a 2-core Zen 4 virtual machine.
    pub fn create_open(name: &str, len: usize) -> io::Result<Self> {
        if len == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a segment cannot be empty"));
        }
        let fd = create_memfd(name)?;
        rustix::fs::ftruncate(&fd, len as u64)?;
        // Before the seals: F_SEAL_FUTURE_WRITE spares the mappings that exist, and only those.
        let map = Mapping::new(fd.as_fd(), len, ProtFlags::READ | ProtFlags::WRITE)?;
        rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW)?;
        let reader = Arc::new(ReadSegment { map: Mapping::new(fd.as_fd(), len, ProtFlags::READ)? });
        Ok(Self { map, reader, fd, open: AtomicBool::new(true), unmapped: AtomicBool::new(false) })
    }

    /// From now on the memory can be written through this segment's own mapping and in no other way, whoever gets the descriptor.
    pub fn close(&self) -> io::Result<()> {
        if self.open.swap(false, Ordering::AcqRel) {
            rustix::fs::fcntl_add_seals(&self.fd, SealFlags::FUTURE_WRITE | SealFlags::SEAL)?;
        }
        Ok(())
    }

    /// Whether it is not closed yet.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Length in bytes; never changes.
    #[inline]
    #[allow(clippy::len_without_is_empty)] // a segment is never empty
    pub fn len(&self) -> usize {
        self.map.len
    }

    /// The descriptor to hand to readers.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Copies `bytes` to `offset`. Panics if they do not fit.
    #[inline]
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        let to = self.map.at_or_panic(offset, bytes.len());
        if bytes.len() >= FRESH_MIN {
            if self.is_open() && self.write_fresh(offset, bytes) {
                return;
            }
            if self.unmapped.swap(false, Ordering::AcqRel) {
                self.populate(offset..offset + bytes.len());
            }
        }
        #[cfg(target_arch = "x86_64")]
        if bytes.len() >= STREAMING_MIN {
            // SAFETY: the conditions of the plain copy below.
            return unsafe { copy_streaming(bytes.as_ptr(), to, bytes.len()) };
        }
        // SAFETY: the source is a slice; the destination was bounds-checked, is mapped writable as long as `self` lives, and cannot overlap
        // the source, because no reference to bytes of the writable mapping is ever made.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }

    /// Writes through the descriptor, on several threads where that pays. False when that is not possible (any more).
    fn write_fresh(&self, offset: usize, bytes: &[u8]) -> bool {
        self.unmapped.store(true, Ordering::Release);
        let threads =
            if bytes.len() < PARALLEL_MIN { 1 } else { std::thread::available_parallelism().map_or(1, usize::from).min(4) };
        let part = bytes.len().div_ceil(threads).next_multiple_of(rustix::param::page_size());
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads)
                .map(|number| {
                    let (from, to) = (bytes.len().min(number * part), bytes.len().min((number + 1) * part));
                    scope.spawn(move || pwrite_all(&self.fd, offset + from, &bytes[from..to]))
                })
                .collect();
            let first = pwrite_all(&self.fd, offset, &bytes[..bytes.len().min(part)]);
            others.into_iter().all(|other| other.join().unwrap_or(false)) && first
        })
    }

    /// Writes zeros over a range. Panics if it does not lie inside.
    pub fn zero(&self, range: Range<usize>) {
        let to = self.map.at_or_panic(range.start, range.len());
        // SAFETY: bounds-checked, and mapped writable as long as `self` lives.
        unsafe { ptr::write_bytes(to, 0, range.len()) };
    }

    /// Asks the kernel for the pages of a range now, in one call, instead of by a fault each. Contents stay. A kernel that cannot
    /// (before 5.14, or out of memory) leaves it to the faults. Panics if the range does not lie inside.
    pub fn populate(&self, range: Range<usize>) {
        self.map.at_or_panic(range.start, range.len());
        let start = range.start - range.start % rustix::param::page_size();
        // SAFETY: the range lies in the mapping (its last page is mapped whole), and this advice changes no contents.
        let _ = unsafe {
            rustix::mm::madvise(self.map.base.as_ptr().add(start).cast(), range.end.max(start) - start, Advice::LinuxPopulateWrite)
        };
    }

    /// The same memory as readers see it; lives on after the `OwnedSegment` is dropped.
    pub fn read_handle(&self) -> Arc<ReadSegment> {
        self.reader.clone()
    }

    /// The four bytes at `offset` as an atomic. Panics if outside or misaligned. What is used as an atomic should never be given to
    /// [`OwnedSegment::write`].
    #[inline]
    pub fn atomic_u32(&self, offset: usize) -> &AtomicU32 {
        self.map.atomic_u32(offset).expect("an aligned offset inside the segment")
    }

    /// The eight bytes at `offset` as an atomic; see [`OwnedSegment::atomic_u32`].
    #[inline]
    pub fn atomic_u64(&self, offset: usize) -> &AtomicU64 {
        self.map.atomic_u64(offset).expect("an aligned offset inside the segment")
    }
}

/// A segment mapped for reading: another process's, or this one's own.
#[derive(Debug)]
pub struct ReadSegment {
    map: Mapping,
}

impl ReadSegment {
    /// Maps a segment received from another process, after making sure that its size is the announced one and can never change,
    /// and that no third process can be given the right to write it. The descriptor is closed: the mapping does not need it.
    pub fn map(fd: OwnedFd, expected_len: usize) -> Result<Arc<Self>, ShmError> {
        let len = sealed_len(&fd)?;
        if len != expected_len as u64 {
            return Err(ShmError::WrongSize { expected: expected_len as u64, found: len });
        }
        let map = Mapping::new(fd.as_fd(), expected_len, ProtFlags::READ).map_err(ShmError::system("mmap"))?;
        Ok(Arc::new(Self { map }))
    }

    /// The same for a segment whose length its header tells, of at most `max_len` bytes; the caller compares the two.
    pub(crate) fn map_up_to(fd: OwnedFd, max_len: usize) -> Result<Arc<Self>, ShmError> {
        let len = sealed_len(&fd)?;
        match usize::try_from(len) {
            Ok(expected) if expected <= max_len => Self::map(fd, expected),
            _ => Err(ShmError::WrongSize { expected: max_len as u64, found: len }),
        }
    }

    /// Length in bytes; never changes.
    #[inline]
    #[allow(clippy::len_without_is_empty)] // a segment is never empty
    pub fn len(&self) -> usize {
        self.map.len
    }

    /// A sealed object's bytes. Offset and length may come straight from a message.
    pub fn slice(self: &Arc<Self>, offset: u64, len: u64) -> Result<SharedSlice, ShmError> {
        let fits = offset.checked_add(len).is_some_and(|end| end <= self.map.len as u64);
        if !fits {
            return Err(ShmError::OutOfBounds { offset, len, segment_len: self.map.len as u64 });
        }
        // No truncation: both are at most the length of the mapping.
        Ok(SharedSlice { pin: None, segment: self.clone(), offset: offset as usize, len: len as usize })
    }

    /// The four bytes at `offset` as an atomic; `None` if outside or misaligned. For loads only, Relaxed or Acquire: the memory is mapped
    /// read-only, and a store or read-modify-write would kill this process with SIGSEGV. The value is the writer's to choose at any time:
    /// load once, check, use.
    #[inline]
    pub fn atomic_u32(&self, offset: usize) -> Option<&AtomicU32> {
        self.map.atomic_u32(offset)
    }

    /// The eight bytes at `offset` as an atomic; see [`ReadSegment::atomic_u32`].
    #[inline]
    pub fn atomic_u64(&self, offset: usize) -> Option<&AtomicU64> {
        self.map.atomic_u64(offset)
    }

    /// Appends a copy of `len` bytes at `offset` to `into`, without ever making a reference to memory that may still change; `false`, with
    /// nothing appended, if they do not lie inside.
    #[inline]
    pub fn append_to(&self, offset: usize, len: usize, into: &mut Vec<u8>) -> bool {
        let Some(from) = self.map.at(offset, len) else {
            return false;
        };
        into.reserve(len);
        let old_len = into.len();
        // SAFETY: the source was bounds-checked and is mapped as long as `self` lives; `reserve` made room for `len` bytes behind
        // `old_len`, all of them initialised by the copy before `set_len` counts them; a fresh vector and the mapping cannot overlap.
        // The writer may change the source meanwhile: what arrives is then some bytes, which the caller checks.
        unsafe {
            ptr::copy_nonoverlapping(from, into.as_mut_ptr().add(old_len), len);
            into.set_len(old_len + len);
        }
        true
    }
}

/// Bytes of a sealed object. Clones share the pin, and keep the segment mapped.
#[derive(Debug, Clone)]
pub struct SharedSlice {
    /// Before `segment`, so that the object is let go of before its memory is.
    #[expect(dead_code, reason = "only its drop matters")]
    pin: Option<Arc<dyn Any + Send + Sync>>,
    segment: Arc<ReadSegment>,
    offset: usize,
    len: usize,
}

impl SharedSlice {
    /// Attaches what keeps the object from being evicted; it is dropped with the last clone or subslice of this slice. Replaces an earlier pin.
    pub fn with_pin(self, pin: Arc<dyn Any + Send + Sync>) -> Self {
        Self { pin: Some(pin), ..self }
    }

    /// The bytes, in place.
    ///
    /// The contract that makes this a plain `&[u8]`: the store hands out slices of *sealed* objects only, pinned until the last of them
    /// goes, and a sealed object is not written again by a process in its right mind. A mad writer can still scribble over its own sealed
    /// bytes; so whoever parses them in Rust must not read a value twice and expect the same, but copy it, check it, and use the copy.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        let base = self.segment.map.base.as_ptr();
        // SAFETY: `offset` and `len` lie inside the mapping (checked by `ReadSegment::slice` and `subslice`), which `segment` keeps alive
        // as long as the returned borrow of `self`; initialised, as all of a memfd is; not written, by the contract above.
        unsafe { std::slice::from_raw_parts(base.add(self.offset), self.len) }
    }

    /// Length in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A part of it, with the same pin; `None` if it does not lie inside.
    pub fn subslice(&self, offset: usize, len: usize) -> Option<SharedSlice> {
        let inside = offset.checked_add(len)? <= self.len;
        inside.then(|| Self { offset: self.offset + offset, len, ..self.clone() })
    }
}

/// One mapping of a whole segment, from its first byte. The base is page-aligned.
#[derive(Debug)]
struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process, not to a thread; it is unmapped once, when its only owner drops it.
unsafe impl Send for Mapping {}
// SAFETY: shared access goes through atomics, and through copies whose conditions are stated where they are made.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(fd: BorrowedFd<'_>, len: usize, protection: ProtFlags) -> rustix::io::Result<Self> {
        // SAFETY: without MAP_FIXED the kernel chooses a range nobody uses.
        let base = unsafe { rustix::mm::mmap(ptr::null_mut(), len, protection, MapFlags::SHARED, fd, 0)? };
        // User data, and much of it, has no place in a core dump. Best effort.
        // SAFETY: exactly the range just mapped; this advice changes no contents.
        let _ = unsafe { rustix::mm::madvise(base, len, Advice::LinuxDontDump) };
        let base = NonNull::new(base.cast()).expect("mmap without MAP_FIXED never returns address zero");
        Ok(Self { base, len })
    }

    /// The address of `len` bytes at `offset`, if they lie inside.
    #[inline]
    fn at(&self, offset: usize, len: usize) -> Option<*mut u8> {
        if offset.checked_add(len)? > self.len {
            return None;
        }
        // SAFETY: at most one past the end of this mapping.
        Some(unsafe { self.base.as_ptr().add(offset) })
    }

    #[inline]
    fn at_or_panic(&self, offset: usize, len: usize) -> *mut u8 {
        match self.at(offset, len) {
            Some(address) => address,
            None => panic!("{len} bytes at {offset} do not lie in a segment of {} bytes", self.len),
        }
    }

    #[inline]
    fn atomic_u32(&self, offset: usize) -> Option<&AtomicU32> {
        let address = self.at(offset, size_of::<AtomicU32>())?;
        // SAFETY: inside the mapping, which outlives the borrow; aligned, because the base is page-aligned and the offset is checked; any
        // bits are a valid integer; other processes' accesses are atomic or fall under "any value, at any time".
        offset.is_multiple_of(4).then(|| unsafe { &*address.cast::<AtomicU32>() })
    }

    #[inline]
    fn atomic_u64(&self, offset: usize) -> Option<&AtomicU64> {
        let address = self.at(offset, size_of::<AtomicU64>())?;
        // SAFETY: as in `atomic_u32`.
        offset.is_multiple_of(8).then(|| unsafe { &*address.cast::<AtomicU64>() })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range `new` mapped, which nobody else unmaps; whoever could still point into it holds this value alive.
        let unmapped = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.len) };
        debug_assert!(unmapped.is_ok());
    }
}

/// `MFD_NOEXEC_SEAL` (6.3 and later) implies sealing and spares a warning in the kernel's log; an older kernel says EINVAL to it.
fn create_memfd(name: &str) -> rustix::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(rustix::io::Errno::INVAL) => rustix::fs::memfd_create(name, flags),
        result => result,
    }
}

/// The size, which these seals make final: so they are looked at first.
fn sealed_len(fd: &OwnedFd) -> Result<u64, ShmError> {
    // EINVAL: not a memfd, so nothing that could be sealed.
    let seals = rustix::fs::fcntl_get_seals(fd).unwrap_or(SealFlags::empty());
    let resizable = !seals.contains(SealFlags::SHRINK | SealFlags::GROW);
    if resizable || !seals.intersects(SealFlags::FUTURE_WRITE | SealFlags::WRITE) {
        return Err(ShmError::NotSealed { seals: seals.bits() });
    }
    let stat = rustix::fs::fstat(fd).map_err(ShmError::system("fstat"))?;
    Ok(u64::try_from(stat.st_size).unwrap_or(0))
}

/// Copies around the cache: large objects would only push out what is in use.
///
/// On a 2-core Zen 4 virtual machine (`measure_copies`): 20-25 GB/s from 1 to 8 MiB, where memcpy makes 10-21, and
/// 16-20 above, where memcpy makes 8-12 with busy neighbours and 21-24 without. A reader that comes at once is as fast
/// after either.
///
/// # Safety
/// `len` readable bytes at `from`, `len` writable bytes at `to`, not overlapping.
#[cfg(target_arch = "x86_64")]
unsafe fn copy_streaming(from: *const u8, to: *mut u8, len: usize) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_sfence, _mm_stream_si128};
    const LINE: usize = 64;
    let head = to.align_offset(LINE).min(len);
    let lines = (len - head) / LINE;
    // SAFETY: head, lines and tail together are exactly the `len` bytes the caller vouches for. The stores of `_mm_stream_si128` are
    // 16-byte aligned since `to + head` is 64-byte aligned. The sfence makes them ordinary stores again for whatever release follows.
    unsafe {
        ptr::copy_nonoverlapping(from, to, head);
        let (mut source, mut target) = (from.add(head).cast::<__m128i>(), to.add(head).cast::<__m128i>());
        for _ in 0..lines {
            let (a, b) = (_mm_loadu_si128(source), _mm_loadu_si128(source.add(1)));
            let (c, d) = (_mm_loadu_si128(source.add(2)), _mm_loadu_si128(source.add(3)));
            _mm_stream_si128(target, a);
            _mm_stream_si128(target.add(1), b);
            _mm_stream_si128(target.add(2), c);
            _mm_stream_si128(target.add(3), d);
            (source, target) = (source.add(4), target.add(4));
        }
        _mm_sfence();
        let done = head + lines * LINE;
        ptr::copy_nonoverlapping(from.add(done), to.add(done), len - done);
    }
}

fn pwrite_all(fd: &OwnedFd, mut offset: usize, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match rustix::io::pwrite(fd, bytes, offset as u64) {
            Ok(0) => return false,
            Ok(count) => {
                offset += count;
                bytes = &bytes[count..];
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    true
}

/// From this length on, fresh pages are written through the descriptor.
const FRESH_MIN: usize = 1 << 20;
/// And from this length on by several threads: what they wait for is the kernel, page by page.
const PARALLEL_MIN: usize = 16 << 20;

/// From this length on, [`OwnedSegment::write`] copies around the cache.
#[cfg(target_arch = "x86_64")]
const STREAMING_MIN: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::io::Errno;

    use super::*;
    use crate::testing::Random;

    fn dup(segment: &OwnedSegment) -> OwnedFd {
        segment.fd().try_clone_to_owned().unwrap()
    }

    #[test]
    fn what_is_written_is_read_through_every_mapping() {
        let segment = OwnedSegment::create("test", 10_000).unwrap();
        segment.populate(5_000..6_000);
        segment.populate(10_000..10_000);
        segment.write(5_000, b"hello");
        segment.write(10_000, b"");
        let other = ReadSegment::map(dup(&segment), 10_000).unwrap();
        let own = segment.read_handle();
        drop(segment);
        for reader in [other, own] {
            assert_eq!(reader.slice(5_000, 5).unwrap().as_bytes(), b"hello");
            let mut copy = b"> ".to_vec();
            assert!(reader.append_to(5_000, 4, &mut copy));
            assert!(!reader.append_to(9_999, 2, &mut copy));
            assert!(!reader.append_to(usize::MAX, 2, &mut copy));
            assert_eq!(copy, b"> hell");
        }
    }

    #[test]
    fn streamed_copies_are_exact_at_every_alignment() {
        let len = (1 << 20) + 300;
        let segment = OwnedSegment::create("test", len + 200).unwrap();
        let mut random = Random(1);
        let source: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
        for (offset, skip) in [(0, 0), (1, 0), (63, 1), (64, 7), (100, 255), (16, 16)] {
            segment.zero(0..segment.len());
            segment.write(offset, &source[skip..]);
            let whole = segment.read_handle().slice(0, segment.len() as u64).unwrap();
            let end = offset + len - skip;
            assert!(whole.as_bytes()[..offset].iter().all(|&byte| byte == 0));
            assert!(whole.as_bytes()[offset..end] == source[skip..]);
            assert!(whole.as_bytes()[end..].iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn the_kernel_refuses_a_reader_every_way_to_write() {
        let segment = OwnedSegment::create("test", 8192).unwrap();
        let fd = dup(&segment);
        assert_eq!(Mapping::new(fd.as_fd(), 8192, ProtFlags::READ | ProtFlags::WRITE).unwrap_err(), Errno::PERM);
        assert_eq!(rustix::io::write(&fd, b"x").unwrap_err(), Errno::PERM);
        assert_eq!(rustix::fs::ftruncate(&fd, 100).unwrap_err(), Errno::PERM);
        assert_eq!(rustix::fs::ftruncate(&fd, 10_000).unwrap_err(), Errno::PERM);
        let punch = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        assert_eq!(rustix::fs::fallocate(&fd, punch, 0, 4096).unwrap_err(), Errno::PERM);
        assert_eq!(rustix::fs::fcntl_add_seals(&fd, SealFlags::WRITE).unwrap_err(), Errno::PERM);

        let reader = ReadSegment::map(dup(&segment), 8192).unwrap();
        let base = reader.map.base.as_ptr().cast();
        // SAFETY: the range is this test's own mapping; the call is expected to fail, and would only widen what is allowed.
        let widened = unsafe { rustix::mm::mprotect(base, 8192, rustix::mm::MprotectFlags::WRITE) };
        assert_eq!(widened.unwrap_err(), Errno::ACCESS);

        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd));
        if let Ok(reopened) = std::fs::OpenOptions::new().read(true).write(true).open(path) {
            assert_eq!(rustix::io::write(&reopened, b"x").unwrap_err(), Errno::PERM);
            assert!(Mapping::new(reopened.as_fd(), 8192, ProtFlags::WRITE).is_err());
        }
        segment.write(0, b"the owner still writes");
    }

    #[test]
    fn a_reader_refuses_what_is_not_sealed_or_has_another_size() {
        let segment = OwnedSegment::create("test", 4096).unwrap();
        let wrong = ReadSegment::map(dup(&segment), 4097).unwrap_err();
        assert!(matches!(wrong, ShmError::WrongSize { expected: 4097, found: 4096 }), "{wrong}");

        for seals in [SealFlags::empty(), SealFlags::GROW | SealFlags::FUTURE_WRITE, SealFlags::SHRINK | SealFlags::GROW] {
            let fd = create_memfd("unsealed").unwrap();
            rustix::fs::ftruncate(&fd, 4096).unwrap();
            rustix::fs::fcntl_add_seals(&fd, seals).unwrap();
            assert!(matches!(ReadSegment::map(fd, 4096), Err(ShmError::NotSealed { .. })), "{seals:?}");
        }
        let finished = create_memfd("finished").unwrap();
        rustix::fs::ftruncate(&finished, 4096).unwrap();
        rustix::fs::fcntl_add_seals(&finished, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE).unwrap();
        ReadSegment::map(finished, 4096).unwrap();

        let (pipe, _) = rustix::pipe::pipe().unwrap();
        assert!(matches!(ReadSegment::map(pipe, 4096), Err(ShmError::NotSealed { seals: 0 })));
        let null = std::fs::File::open("/dev/null").unwrap();
        assert!(matches!(ReadSegment::map(null.into(), 4096), Err(ShmError::NotSealed { seals: 0 })));
        assert!(OwnedSegment::create("empty", 0).is_err());
    }

    #[test]
    fn slices_and_atomics_stay_inside() {
        let segment = OwnedSegment::create("test", 4096).unwrap();
        let reader = segment.read_handle();
        for (offset, len) in [(0, 4097), (4096, 1), (4097, 0), (u64::MAX, 1), (1, u64::MAX), (u64::MAX, u64::MAX)] {
            assert!(matches!(reader.slice(offset, len), Err(ShmError::OutOfBounds { .. })), "{offset} {len}");
        }
        assert!(reader.slice(4096, 0).unwrap().is_empty());

        let slice = reader.slice(100, 50).unwrap();
        assert_eq!(slice.subslice(10, 40).unwrap().len(), 40);
        assert!(slice.subslice(10, 41).is_none());
        assert!(slice.subslice(usize::MAX, 2).is_none());

        segment.atomic_u64(4088).store(7, Ordering::Relaxed);
        assert_eq!(reader.atomic_u64(4088).unwrap().load(Ordering::Acquire), 7);
        for offset in [4089, 4092, 4096, usize::MAX, 4] {
            assert!(reader.atomic_u64(offset).is_none(), "{offset}");
        }
        assert!(reader.atomic_u32(4092).is_some() && reader.atomic_u32(4093).is_none() && reader.atomic_u32(2).is_none());
        assert!(std::panic::catch_unwind(|| segment.write(4090, b"too long")).is_err());
        assert!(std::panic::catch_unwind(|| segment.zero(4090..4097)).is_err());
    }

    #[test]
    fn the_pin_goes_with_the_last_clone() {
        struct Pin(Arc<AtomicBool>);
        impl Drop for Pin {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let dropped = Arc::new(AtomicBool::new(false));
        let segment = OwnedSegment::create("test", 4096).unwrap();
        let slice = segment.read_handle().slice(0, 100).unwrap().with_pin(Arc::new(Pin(dropped.clone())));
        let part = slice.clone().subslice(50, 10).unwrap();
        drop(segment);
        drop(slice);
        assert!(!dropped.load(Ordering::Relaxed));
        assert_eq!(part.as_bytes(), [0; 10]);
        drop(part);
        assert!(dropped.load(Ordering::Relaxed));
    }

    /// `cargo test --release -p ray-shm measure_copies -- --ignored --nocapture`
    ///
    /// The second column reads each copy at once, as a task waiting for the object would: what streaming saves in the
    /// copy, the reader pays in cache misses.
    #[test]
    #[ignore = "prints figures"]
    #[cfg(target_arch = "x86_64")]
    fn measure_copies() {
        type Copy = unsafe fn(*const u8, *mut u8, usize);
        for len in [256 << 10, 1 << 20, 2 << 20, 4 << 20, 8 << 20, 16 << 20, 64 << 20] {
            // Several targets in turn, as a store has them, so that a target is not simply the cached last one.
            let places = (256 << 20) / len;
            let segment = OwnedSegment::create("measure", places * len).unwrap();
            segment.populate(0..segment.len());
            let reader = segment.read_handle();
            let source = vec![1u8; len];
            for (name, copy) in [("memcpy", ptr::copy_nonoverlapping::<u8> as Copy), ("streaming", copy_streaming as Copy)] {
                let mut best = [f64::MAX; 2];
                for (read_too, best) in best.iter_mut().enumerate() {
                    for _ in 0..7 {
                        let start = std::time::Instant::now();
                        for place in 0..places {
                            // SAFETY: each place lies in the segment, and the source is a vector.
                            unsafe { copy(source.as_ptr(), segment.map.base.as_ptr().add(place * len), len) };
                            if read_too == 1 {
                                let copied = reader.slice((place * len) as u64, len as u64).unwrap();
                                let ones = copied.as_bytes().iter().map(|&byte| u64::from(byte)).sum::<u64>();
                                assert_eq!(ones, len as u64);
                            }
                        }
                        *best = best.min(start.elapsed().as_secs_f64());
                    }
                }
                let [copied, copied_and_read] = best.map(|seconds| segment.len() as f64 / seconds / 1e9);
                println!("{:>6} KiB {name:>9}: {copied:.1} GB/s, with reading {copied_and_read:.1} GB/s", len >> 10);
            }
        }
    }
}
