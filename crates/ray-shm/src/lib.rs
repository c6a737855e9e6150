//! Memory shared between the processes of a node: segments, the arena inside them, rings, and the bells that wake a sleeper.
//!
//! All unsafe code of the workspace is in this crate, in [`segment`], [`sys`] and `pybuffer`; the other modules are built on
//! them in safe code. It knows nothing of tasks, objects or sockets: file descriptors come in and go out, someone else carries them.
//!
//! # The rule: one writer per segment
//!
//! A segment is a memfd. Its creator maps it writable once and seals it at once against a change of size and against every
//! later writable mapping (`F_SEAL_FUTURE_WRITE`), so that whoever receives the descriptor can only read: a second writable
//! map, `write`, `ftruncate`, hole punching and a re-open through `/proc` all fail in the kernel. From that follows:
//!
//! * A process that is killed or goes mad spoils only what it was writing itself. There is no lock another process must release
//!   and nothing with a name that must be unlinked; the kernel frees a segment with its last mapping and descriptor.
//! * A reader never meets SIGBUS: the size is sealed, and [`ReadSegment::map`] refuses a segment where it is not.
//! * The pages of a segment come back to the machine only with the whole segment (punching holes is sealed off too), so space
//!   is reused through a [`SegmentAllocator`], whose records are private to the writer.
//!
//! Readers do not trust writers: what is read from another process's memory is copied to a local, then checked, then used. No
//! reference into such memory is made except to atomics and, once an object is sealed, as [`SharedSlice::as_bytes`].
//!
//! Mappings survive `fork`: a child of a writer inherits the right to spoil its parent's segments. Whoever forks must not use
//! them in the child (the Python layer checks the process id); what the child does wrong is still confined to these segments.
//!
//! # Object segments ([`OwnedSegment`] + [`SegmentAllocator`])
//!
//! Plain bytes at 64-byte aligned offsets; all records of what lies where are outside the shared memory.
//!
//! | bytes | written by | read by |
//! |---|---|---|
//! | of an allocation not yet sealed | owner, one thread per allocation | nobody |
//! | of a sealed object | nobody | anyone who holds a [`SharedSlice`] |
//! | of free space | nobody | nobody |
//!
//! *Sealed* is told by message, and the message is what orders the owner's stores before a reader's loads (a socket, or a ring's
//! release/acquire). Owner killed while writing: the message is never sent, nobody reads the half-written bytes. Owner killed
//! later: its sealed objects stay as they are, for as long as someone maps the segment. Reader killed: the object store drops its pins.
//!
//! # Channel segments ([`ChannelEnd`]): two rings over two segments
//!
//! Each of two processes has one; it holds the records that process sends, and how far it has read the other's.
//!
//! | offset | field | written by the owner | read by the peer |
//! |---|---|---|---|
//! | 0 | magic `u64`, version `u32`, zero `u32`, capacity `u64` | at creation, before the descriptor leaves | once, when attaching |
//! | 128 | write index `u64`: bytes ever pushed | Release, after the record's bytes | Acquire, before the record's bytes |
//! | 256 | read index `u64`: bytes of the peer's ring ever popped | Release, after the copy out | Acquire, before those bytes are overwritten |
//! | 384 | data, `capacity` bytes | only between the peer's read index + capacity and the own write index | only between the indexes |
//!
//! A record is a little-endian `u32` length and that many bytes, which may wrap; it takes a multiple of 8 bytes, so the length
//! word never wraps. The owner works from private copies of its own indexes and never reads them back.
//! Killed before the store of the write index: the record does not exist. After: it is complete, and can be read when the
//! writer is gone. Killed before the store of the read index: the peer sees the ring fuller than it is; nobody reads it any more.
//! Nothing needs cleaning up: the end that is left drops its mappings. An index or length that cannot be true is [`ShmError::CorruptRing`],
//! from then on for every `pop` of that channel; the answer is to close the connection.
//!
//! # Process page ([`ProcessPage`])
//!
//! | offset | field | written by the owner | read by peers |
//! |---|---|---|---|
//! | 0 | magic `u64`, version `u32`, zero `u32` | at creation | once, when attaching |
//! | 128 | sleep state `u32`, see [`bell`] | each thread its own bits, then a SeqCst fence | after a SeqCst fence |
//! | 256 | running sequence `u64`, 0 = nothing | 0, then the slot, then the new number (Release) | before and after the slot |
//! | 264 | running slot `u64` | between those two | between those two |
//!
//! Killed while asleep: peers go on ringing an eventfd nobody reads, which never blocks. Killed inside the change of
//! the running pair: the sequence is 0, "nothing runs", which is true, since the change is made before user code starts.
//!
//! # Tests under Miri
//!
//! `cargo +nightly miri test -p ray-shm arena` runs the allocator, and `... index` the ring's index checks; both are pure. Miri has no
//! memfd, so the rest is tested natively.

pub mod segment;

pub mod arena;

pub mod ring;

pub mod bell;

pub mod sys;

#[cfg(feature = "python")]
pub mod pybuffer;
#[cfg(feature = "python")]
pub mod pygc;

mod error;
#[cfg(test)]
mod testing;

pub use arena::SegmentAllocator;
pub use bell::{Bell, IO_SLEEPING, MAIN_SLEEPING, POLLING, PeerBell, ProcessPage, Rang};
pub use error::ShmError;
#[cfg(feature = "python")]
pub use pybuffer::{SharedBuffer, copy_buffer};
#[cfg(feature = "python")]
pub use pygc::untrack;
pub use ring::ChannelEnd;
pub use segment::{OwnedSegment, ReadSegment, SharedSlice};
