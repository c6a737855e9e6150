//! Ids as Python sees them: 28 bytes for an object, of which the cluster's random number is a part, so that a reference of another
//! cluster is recognised.
//!
//! ```text
//! task's number u64 · client u32 · cluster u64 · job u32 | index + 1 u32        (little-endian; a task's id is the first 24 bytes)
//! ```

use ray_protocol::{ClientId, ObjectId, TaskId};

/// Bytes of an object's id in Python.
pub(crate) const OBJECT_BYTES: usize = 28;

/// Bytes of a task's id in Python.
pub(crate) const TASK_BYTES: usize = 24;

/// A cluster runs one job so far: its driver's. Workers, whose own number is 0, run its tasks.
pub(crate) const JOB: u32 = 1;

/// The id of an object of cluster `cluster`.
pub(crate) fn object_bytes(object: ObjectId, cluster: u64, job: u32) -> [u8; OBJECT_BYTES] {
    let mut out = [0; OBJECT_BYTES];
    out[..24].copy_from_slice(&task_bytes(object.task, cluster, job));
    out[24..].copy_from_slice(&(object.index + 1).to_le_bytes());
    out
}

/// The id of a task.
pub(crate) fn task_bytes(task: TaskId, cluster: u64, job: u32) -> [u8; TASK_BYTES] {
    let mut out = [0; TASK_BYTES];
    out[..8].copy_from_slice(&task.seq.to_le_bytes());
    out[8..12].copy_from_slice(&task.client.0.to_le_bytes());
    out[12..20].copy_from_slice(&cluster.to_le_bytes());
    out[20..].copy_from_slice(&job.to_le_bytes());
    out
}

/// Bytes of an actor's id in Python.
pub(crate) const ACTOR_BYTES: usize = 16;

/// The id of an actor: its creation task's number mixed with the cluster's · client u32 · job u32.
pub(crate) fn actor_bytes(actor: TaskId, cluster: u64) -> [u8; ACTOR_BYTES] {
    let mut out = [0; ACTOR_BYTES];
    out[..8].copy_from_slice(&(actor.seq ^ cluster).to_le_bytes());
    out[8..12].copy_from_slice(&actor.client.0.to_le_bytes());
    out[12..].copy_from_slice(&JOB.to_le_bytes());
    out
}

/// Reads an object's id: the object and the cluster it is of. None for what no cluster makes (nil, or index 0).
pub(crate) fn parse_object(bytes: &[u8; OBJECT_BYTES]) -> Option<(ObjectId, u64)> {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
    let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    let index = word(24).checked_sub(1)?;
    if bytes.iter().all(|byte| *byte == 0xff) {
        return None;
    }
    Some((TaskId { client: ClientId(word(8)), seq: long(0) }.result(index), long(12)))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The nil id.
pub(crate) const NIL: [u8; OBJECT_BYTES] = [0xff; OBJECT_BYTES];
