//! One channel: a ring out and a ring in, what waits for room, and the bell of the one at the other end.

use ray_protocol::FunctionId;
use ray_protocol::record::{self, Record, RecordError};
use ray_shm::{ChannelEnd, PeerBell, ShmError};
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;

/// Bytes of a ring. 256 tasks of about a hundred bytes fit ten times over; pages not used are never touched.
const RING_BYTES: usize = 256 << 10;
/// A record put together from pieces may be this long: a pickled function with its closure is the largest thing that comes this way.
const MAX_ASSEMBLED_BYTES: usize = 128 << 20;

/// See the module.
pub(crate) struct Channel {
    end: ChannelEnd,
    bell: Option<PeerBell>,
    /// Records that found no room, oldest first.
    backlog: VecDeque<Vec<u8>>,
    /// Something was pushed since the bell was last rung.
    unrung: bool,
    /// A long record that comes in pieces.
    assembly: Vec<u8>,
    /// Functions the worker has been sent.
    functions: Vec<FunctionId>,
}

/// The peer at the other end broke the rules.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChannelError {
    #[error(transparent)]
    Ring(#[from] ShmError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Channel {
    pub(crate) fn create() -> io::Result<Self> {
        Ok(Channel {
            end: ChannelEnd::create(RING_BYTES)?,
            bell: None,
            backlog: VecDeque::new(),
            unrung: false,
            assembly: Vec::new(),
            functions: Vec::new(),
        })
    }

    /// The descriptor of this end's ring, to send to the peer.
    pub(crate) fn fd(&self) -> io::Result<OwnedFd> {
        self.end.fd().try_clone_to_owned()
    }

    /// Joins the two ends: ring segment, process page, main bell, I/O bell of the peer.
    pub(crate) fn attach(&mut self, fds: Vec<OwnedFd>) -> Result<(), ShmError> {
        let malformed = |_| ShmError::BadHeader { field: "descriptors of a channel", found: 0, expected: 4 };
        let [ring, page, main, io]: [OwnedFd; 4] = fds.try_into().map_err(malformed)?;
        self.end.attach(ring)?;
        self.bell = Some(PeerBell::new(page, main, io)?);
        self.unrung = true;
        Ok(())
    }

    /// Whether a function must be sent before a task that runs it; remembers that it is being sent.
    #[inline]
    pub(crate) fn is_new_function(&mut self, function: FunctionId) -> bool {
        // Newest last: a loop over one function finds it at once.
        if self.functions.iter().rev().any(|known| *known == function) {
            return false;
        }
        self.functions.push(function);
        true
    }

    /// Sends one record, now or as soon as there is room.
    #[inline]
    pub(crate) fn push(&mut self, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length > self.end.max_record() {
            self.push_in_pieces(&parts.concat());
        } else if self.drain_backlog() || !self.end.try_push(parts) {
            self.backlog.push_back(parts.concat());
        }
        self.unrung = true;
    }

    fn push_in_pieces(&mut self, whole: &[u8]) {
        let piece = self.end.max_record() - record::part_header(true).len();
        let mut pieces = whole.chunks(piece).peekable();
        while let Some(bytes) = pieces.next() {
            let header = record::part_header(pieces.peek().is_some());
            if !self.backlog.is_empty() || !self.end.try_push(&[&header, bytes]) {
                self.backlog.push_back([&header, bytes].concat());
            }
        }
    }

    /// Moves waiting records into the ring; true while some still wait.
    pub(crate) fn drain_backlog(&mut self) -> bool {
        while let Some(record) = self.backlog.front() {
            if !self.end.try_push(&[record]) {
                return true;
            }
            self.backlog.pop_front();
            self.unrung = true;
        }
        false
    }

    pub(crate) fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Wakes whoever sleeps at the other end, if something was pushed. Tasks wake only a main thread: a busy worker finds them itself.
    #[inline]
    pub(crate) fn ring(&mut self, main_only: bool) {
        if core::mem::take(&mut self.unrung)
            && let Some(bell) = &self.bell
        {
            if main_only {
                bell.ring_main();
            } else {
                bell.ring();
            }
        }
    }

    #[inline]
    pub(crate) fn has_input(&self) -> bool {
        self.end.has_input()
    }

    /// Takes one record out of the ring; false when there is none. Long records arrive whole.
    #[inline]
    pub(crate) fn pop(&mut self, into: &mut Vec<u8>) -> Result<bool, ChannelError> {
        loop {
            if !self.end.pop(into)? {
                return Ok(false);
            }
            if into.first() != Some(&record::kind::PART) {
                return Ok(true);
            }
            let Record::Part(bytes, more) = record::read(into)? else { unreachable!("its kind says so") };
            if self.assembly.len() + bytes.len() > MAX_ASSEMBLED_BYTES {
                return Err(RecordError("a record longer than any may be").into());
            }
            self.assembly.extend_from_slice(bytes);
            if !more {
                core::mem::swap(into, &mut self.assembly);
                self.assembly = Vec::new();
                return Ok(true);
            }
        }
    }

    /// What the peer executes, or executed when it died: the task's number and its submitter.
    pub(crate) fn running(&self) -> Option<(u64, u64)> {
        self.bell.as_ref().map(PeerBell::running)
    }
}
