//! Frames to bytes and back, without a socket.
//!
//! ```text
//! | payload length: u32, little endian | descriptors: u8, at most 8 | payload |
//! ```
//!
//! Descriptors do not travel in the bytes. The sender attaches those of a frame, in one set, to the
//! frame's first byte, and never lets one write run past the next frame that has some. The kernel
//! ends a read after the piece that carried a set, so a read brings at most one; we note which bytes
//! of the stream came in that read, and the set belongs to the frame that *starts among them* and
//! says it has descriptors. A set that no frame claims is closed.
//!
//! [`Incoming`] believes nothing: a length is compared with the limit before memory is found for
//! it, and memory grows only behind bytes that have arrived. It must not know sockets, so that tests
//! can feed it any stream.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;

/// The most descriptors one frame may carry.
pub const MAX_FDS: usize = 8;

/// The longest payload taken from a peer until [`set_limit`](crate::Connection::set_limit) says
/// otherwise: enough for a greeting, too little to hurt if ten thousand strangers send it.
pub const DEFAULT_LIMIT: usize = 16 << 10;

/// One message: bytes, and descriptors that arrived with them.
#[derive(Debug)]
pub struct Frame {
    /// The bytes, as sent.
    pub payload: Vec<u8>,
    /// The descriptors, in the order they were sent.
    pub fds: Vec<OwnedFd>,
}

/// A [`Frame`] whose bytes still lie in the connection's buffer.
#[derive(Debug)]
pub struct FrameRef<'a> {
    /// The bytes, as sent.
    pub payload: &'a [u8],
    /// The descriptors, in the order they were sent.
    pub fds: Vec<OwnedFd>,
}

/// Why a frame did not come or go. After any of these but `TimedOut` the connection is of no use.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The payload is longer than the receiver allows, or than a u32 can say.
    #[error("frame of {length} bytes is above the limit of {limit}")]
    TooLong {
        /// What the header says, or what was to be sent.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// More than [`MAX_FDS`] descriptors, in a header or attached to one write.
    #[error("{count} descriptors with one frame; at most {MAX_FDS} are allowed")]
    TooManyFds {
        /// How many.
        count: usize,
    },
    /// The header claims descriptors that did not arrive with the frame's first byte.
    #[error("frame claims {claimed} descriptors and {arrived} arrived")]
    MissingFds {
        /// What the header says.
        claimed: usize,
        /// How many the kernel delivered.
        arrived: usize,
    },
    /// The kernel cut a set of descriptors short: too many were sent, or this process has no room
    /// for more (`ulimit -n`).
    #[error("descriptors were lost: the peer sent too many, or this process has too many files open")]
    LostFds,
    /// The peer is gone and has sent nothing more.
    #[error("the peer closed the connection")]
    Closed,
    /// No frame came in the time given.
    #[error("no frame arrived in time")]
    TimedOut,
    /// The system refused; [`io::ErrorKind::Interrupted`] when the caller asked to stop waiting.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Bytes that arrived and are not yet taken, and the descriptors that came with them.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// Arrived bytes are `start..end`; those beyond are zeroed memory to read into.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Position in the stream of `buffer[start]`, counted from the connection's first byte.
    position: u64,
    /// Sets of descriptors that no frame has claimed yet, in order of arrival.
    sets: VecDeque<FdSet>,
    /// The frame at `start`, once its header has been read and accepted.
    head: Option<Head>,
    /// The longest payload accepted.
    limit: usize,
    /// Descriptors of frames complete or not, and of `sets`.
    held_fds: usize,
}

/// Descriptors that came in one read, with the stream positions of the bytes of that read.
#[derive(Debug)]
struct FdSet {
    start: u64,
    end: u64,
    fds: Vec<OwnedFd>,
}

/// An accepted header.
#[derive(Debug)]
struct Head {
    length: usize,
    fds: Vec<OwnedFd>,
}

impl Incoming {
    pub(crate) fn new() -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            end: 0,
            position: 0,
            sets: VecDeque::new(),
            head: None,
            limit: DEFAULT_LIMIT,
            held_fds: 0,
        }
    }

    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Where the next bytes go. Empty when as much is buffered as one frame of the limit needs: then
    /// a whole frame is here and must be taken first.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        let buffered = self.end - self.start;
        if buffered == 0 {
            self.start = 0;
            self.end = 0;
            if self.buffer.len() > KEEP {
                self.buffer = Vec::new(); // one huge frame must not be paid for ever after
            }
        }
        let room = self.limit.saturating_add(HEADER).saturating_sub(buffered);
        if self.buffer.len() - self.end < room.min(SMALL_READ) {
            self.buffer.copy_within(self.start..self.end, 0);
            self.start = 0;
            self.end = buffered;
        }
        if self.buffer.len() - self.end < room.min(SMALL_READ) {
            // As much again as has really arrived: growth costs the peer what it costs us.
            let step = buffered.clamp(FIRST_STEP, LAST_STEP).min(room);
            self.buffer.reserve_exact(self.end + step - self.buffer.len());
            self.buffer.resize(self.end + step, 0);
        }
        let to = self.buffer.len().min(self.end.saturating_add(room));
        &mut self.buffer[self.end..to]
    }

    /// Says that the first `count` bytes of [`space`](Self::space) have been filled by one read,
    /// which also brought `fds`.
    pub(crate) fn arrived(&mut self, count: usize, fds: Vec<OwnedFd>) -> Result<(), FrameError> {
        let start = self.position + (self.end - self.start) as u64;
        self.end += count;
        debug_assert!(self.end <= self.buffer.len());
        if fds.len() > MAX_FDS {
            return Err(FrameError::TooManyFds { count: fds.len() });
        }
        if !fds.is_empty() {
            self.held_fds += fds.len();
            self.sets.push_back(FdSet { start, end: start + count as u64, fds });
        }
        self.open_head()
    }

    /// Whether so many descriptors wait here that frames must be taken before more are read.
    pub(crate) fn is_full_of_fds(&self) -> bool {
        self.held_fds >= MAX_HELD_FDS
    }

    /// Takes the next whole frame, if it is here.
    pub(crate) fn next(&mut self) -> Result<Option<FrameRef<'_>>, FrameError> {
        self.open_head()?;
        let buffered = self.end - self.start;
        let Some(head) = self.head.take_if(|head| HEADER + head.length <= buffered) else {
            return Ok(None);
        };
        let payload = self.start + HEADER..self.start + HEADER + head.length;
        self.start = payload.end;
        self.position += (HEADER + head.length) as u64;
        self.held_fds -= head.fds.len();
        Ok(Some(FrameRef { payload: &self.buffer[payload], fds: head.fds }))
    }

    /// Reads the header at `start` if it is whole, checks it, and claims its descriptors.
    fn open_head(&mut self) -> Result<(), FrameError> {
        if self.head.is_none() && self.end - self.start >= HEADER {
            let header = &self.buffer[self.start..self.start + HEADER];
            let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
            let claimed = usize::from(header[4]);
            if claimed > MAX_FDS {
                return Err(FrameError::TooManyFds { count: claimed });
            }
            if length > self.limit {
                let limit = self.limit;
                return Err(FrameError::TooLong { length, limit });
            }
            self.close_sets_up_to(self.position);
            let fds = self.claim(claimed)?;
            self.head = Some(Head { length, fds });
        }
        if let Some(head) = &self.head {
            // Frames beyond this one start at its end or later, so what came wholly before it
            // belongs to nobody. Closed now, lest a peer pile up descriptors behind a slow payload.
            let end = self.position + (HEADER + head.length) as u64;
            self.close_sets_up_to(end);
        }
        Ok(())
    }

    /// Takes the descriptors that came with the byte at `position`.
    fn claim(&mut self, claimed: usize) -> Result<Vec<OwnedFd>, FrameError> {
        if claimed == 0 {
            return Ok(Vec::new()); // a set here may be for a later frame of the same read
        }
        let position = self.position;
        let here = |set: &FdSet| set.start <= position && position < set.end;
        let mut fds = match self.sets.front() {
            Some(set) if here(set) => self.sets.pop_front().map(|set| set.fds).unwrap_or_default(),
            _ => Vec::new(),
        };
        self.held_fds -= fds.len();
        if fds.len() < claimed {
            let arrived = fds.len();
            return Err(FrameError::MissingFds { claimed, arrived });
        }
        fds.truncate(claimed);
        self.held_fds += claimed;
        Ok(fds)
    }

    /// Closes the sets that came with bytes before stream position `end` only.
    fn close_sets_up_to(&mut self, end: u64) {
        while let Some(set) = self.sets.pop_front_if(|set| set.end <= end) {
            self.held_fds -= set.fds.len();
        }
    }

    #[cfg(test)]
    fn allocated(&self) -> usize {
        self.buffer.capacity()
    }
}

/// Frames on their way out, as one run of bytes so that many small ones leave in one write.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// Unsent bytes are `start..`.
    buffer: Vec<u8>,
    start: usize,
    /// Position in the stream of `buffer[start]`.
    position: u64,
    /// Descriptors to send, each set with the position of the first byte of its frame.
    sets: VecDeque<(u64, Vec<OwnedFd>)>,
}

impl Outgoing {
    pub(crate) fn new() -> Self {
        Self { buffer: Vec::new(), start: 0, position: 0, sets: VecDeque::new() }
    }

    /// Unsent bytes, headers included.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len() - self.start
    }

    pub(crate) fn push(&mut self, payload: &[u8], fds: Vec<OwnedFd>) -> Result<(), FrameError> {
        if fds.len() > MAX_FDS {
            return Err(FrameError::TooManyFds { count: fds.len() });
        }
        let Ok(length) = u32::try_from(payload.len()) else {
            return Err(FrameError::TooLong { length: payload.len(), limit: u32::MAX as usize });
        };
        // Half the buffer at least has been sent, so each byte is moved at most once on average.
        if self.start >= FIRST_STEP && self.start * 2 >= self.buffer.len() {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let count = fds.len() as u8; // at most MAX_FDS
        if count > 0 {
            let position = self.position + self.len() as u64;
            self.sets.push_back((position, fds));
        }
        self.buffer.reserve(HEADER + payload.len());
        self.buffer.extend_from_slice(&length.to_le_bytes());
        self.buffer.push(count);
        self.buffer.extend_from_slice(payload);
        Ok(())
    }

    /// What one write may send: bytes, and the descriptors that go with the first of them.
    pub(crate) fn chunk(&self) -> (&[u8], &[OwnedFd]) {
        let unsent = &self.buffer[self.start..];
        let (fds, next) = match self.sets.front() {
            Some((at, fds)) if *at == self.position => (&fds[..], self.sets.get(1)),
            next => (&[][..], next),
        };
        match next {
            Some((at, _)) => (&unsent[..(at - self.position) as usize], fds),
            None => (unsent, fds),
        }
    }

    /// Says that `count` bytes of [`chunk`](Self::chunk) have gone, and with them its descriptors.
    pub(crate) fn sent(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        let position = self.position;
        // Dropped here, that is closed: the peer has its own by now.
        self.sets.pop_front_if(|(at, _)| *at == position);
        self.start += count;
        self.position += count as u64;
        if self.start == self.buffer.len() {
            self.start = 0;
            self.buffer.clear();
            if self.buffer.capacity() > KEEP {
                self.buffer = Vec::new();
            }
        }
    }
}

/// Bytes before each payload.
const HEADER: usize = 5;
/// The first piece of memory a connection reads into; ten thousand idle ones cost 160 MB at most.
const FIRST_STEP: usize = 16 << 10;
/// The most memory found at once, whatever has arrived.
const LAST_STEP: usize = 1 << 20;
/// Less room than this is not worth a system call, so the buffer is tidied or grown.
const SMALL_READ: usize = 4 << 10;
/// Empty buffers above this are given back.
const KEEP: usize = 1 << 20;
/// Frames can be five bytes long with eight descriptors each: bytes alone would allow thousands.
const MAX_HELD_FDS: usize = 64;

#[cfg(test)]
mod tests;
