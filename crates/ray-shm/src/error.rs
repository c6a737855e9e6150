//! What can be wrong with memory or a descriptor that came from another process.

use std::io;

/// A fault of a peer or of the system; our own mistakes are assertions. Whatever it is, the answer is to drop that peer.
#[derive(Debug, thiserror::Error)]
pub enum ShmError {
    /// The kernel refused a call that only fails when something is exhausted or the descriptor is not what was promised.
    #[error("{call} failed: {source}")]
    System {
        /// The system call.
        call: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The segment is not as long as its sender said.
    #[error("segment has {found} bytes, {expected} were announced")]
    WrongSize {
        /// Length announced with the descriptor, or the length its header implies.
        expected: u64,
        /// Length the kernel reports.
        found: u64,
    },
    /// The sender could still shrink the segment (SIGBUS for us) or let others write to it.
    #[error("descriptor is not a segment sealed against resizing and new writers (seals {seals:#x})")]
    NotSealed {
        /// The `F_SEAL_*` bits found; 0 for something that cannot have any.
        seals: u32,
    },
    /// A range that does not lie inside its segment.
    #[error("{len} bytes at {offset} do not lie in a segment of {segment_len} bytes")]
    OutOfBounds {
        /// Where the range begins.
        offset: u64,
        /// Its length.
        len: u64,
        /// Length of the segment.
        segment_len: u64,
    },
    /// The first fields of a segment are not those of the structure it should hold, or of another version.
    #[error("segment header: {field} is {found:#x}, expected {expected:#x}")]
    BadHeader {
        /// Which field.
        field: &'static str,
        /// What the segment says.
        found: u64,
        /// What it should say, or the limit it breaks.
        expected: u64,
    },
    /// A channel end has exactly one peer in its life: the indexes only have a meaning between the two.
    #[error("this channel end already has a peer")]
    AlreadyAttached,
    /// The peer's ring indexes or a record's length cannot be true.
    #[error("corrupt ring: {field} is {found}, which breaks the bound {bound}")]
    CorruptRing {
        /// Which value.
        field: &'static str,
        /// What was read.
        found: u64,
        /// The bound it breaks.
        bound: u64,
    },
    /// A bell that can block its ringer.
    #[error("the peer's eventfd is in blocking mode")]
    BlockingBell,
}

impl ShmError {
    /// For `map_err` after a system call.
    pub(crate) fn system(call: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |errno| Self::System { call, source: errno.into() }
    }
}
