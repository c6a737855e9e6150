//! What the processes of a cluster say to each other: ids, control messages, ring records. Bytes ⇄ values, no I/O.
//!
//! # Glossary
//!
//! | word | meaning |
//! |---|---|
//! | task · attempt | one call of a remote function · one execution of it |
//! | object · object reference | an immutable result or `put` value · a handle to it, made of an [`ObjectId`] |
//! | client | a process that submits tasks and holds references: a driver or a worker |
//! | driver · worker | the user's program · a process that runs tasks |
//! | owner | the client that submitted the task (or called `put`) an object comes from; its id is inside the object's id |
//! | node | a machine, with one object store; two stores on one machine count as two nodes |
//! | lease | the right, given by the scheduler, to push tasks straight to one worker |
//! | channel | a pair of shared-memory rings between two clients: tasks one way, results the other |
//! | inline · stored | a value that travels inside messages · a value in a store's shared memory, of which only the location travels |
//! | shared | an object the scheduler knows of, because a reference to it left its owner |
//! | hold | one client's claim on a shared object; the object is freed when no hold is left |
//!
//! Two encodings, for two needs. Control messages ([`control`]) go over Unix sockets, are counted in thousands per second and are
//! written by postcard. Ring records ([`record`]) carry each task and each result, are counted in hundreds of thousands per second
//! and are laid out by hand. Both come from processes that may be broken: every decoder checks lengths before it believes them.

extern crate alloc;

mod as_bytes;
pub mod call_options;
pub mod control;
pub mod groups;
pub mod ids;
pub mod record;
pub mod value;

pub use call_options::{CallOptions, Retry};
pub use ids::{ClientId, FunctionId, NodeId, ObjectId, SegmentId, TaskId};
pub use value::{Bytes, Failure, Location, Resources, Value};

/// Version of everything in this crate; two processes that disagree refuse each other, naming both versions.
pub const PROTOCOL_VERSION: u32 = 1;

/// Largest control frame a daemon accepts from a client that said hello. One message names at most a task's inputs or an object's inner
/// references, about ten bytes each: this is room for half a million. Memory is taken as bytes arrive, not as they are announced.
pub const MAX_FRAME_BYTES: usize = 8 << 20;

/// Values up to this many bytes travel inline: inside messages, and in the memory of each process that has them. Larger ones go to the
/// store, where they lie once and can be counted, shared and freed. DESIGN.md says what was measured on both sides.
pub const INLINE_LIMIT_BYTES: usize = 8 << 10;
