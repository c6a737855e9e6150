//! Ids are newtypes of small integers, made by whoever creates the thing, so that nobody waits for an id.
//!
//! An object's id contains its task's, and a task's id contains its submitter's: from a bare reference one can tell who owns the
//! object without asking. Python sees longer ids (28 bytes for an object) that also carry the cluster's random nonce and the job, so
//! that a reference of another cluster is recognised; that rendering lives in the binding.

use core::fmt;
use serde::{Deserialize, Serialize};

macro_rules! small_id {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

small_id!(
    /// A driver or worker process, numbered by the scheduler in order of arrival, never reused. 0 is the scheduler itself.
    ClientId, u32
);
small_id!(
    /// A node: one object store and the workers beside it. 0 is the node of the driver that started the cluster.
    NodeId, u32
);
small_id!(
    /// A remote function: a digest of its pickled bytes, so that the same function submitted by many processes is loaded once.
    FunctionId, u64
);

/// One call of a remote function, or one `put`: the submitter and its running number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct TaskId {
    /// The client that submitted it.
    pub client: ClientId,
    /// The client's running number, from 1; tasks and puts share it.
    pub seq: u64,
}

/// One object: a task's `index`-th result, or (index 0 of a task id that no task has) a `put` value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct ObjectId {
    /// The task, or the `put`, the object comes from.
    pub task: TaskId,
    /// Which of the task's results.
    pub index: u32,
}

impl ObjectId {
    /// The client that owns the object.
    pub fn owner(self) -> ClientId {
        self.task.client
    }

    /// Whether it stands for a handle of the actor whose creation is its task; see [`TaskId::handle`].
    pub fn is_handle(self) -> bool {
        self.index == HANDLE_INDEX
    }
}

/// No task has that many results.
const HANDLE_INDEX: u32 = u32::MAX - 1;

impl TaskId {
    /// The task's `index`-th result.
    pub fn result(self, index: u32) -> ObjectId {
        ObjectId { task: self, index }
    }

    /// Of an actor's creation task: what stands for a handle wherever references are counted, inside arguments and inside values. It never
    /// has a value; while the scheduler knows of it, the actor is needed.
    pub fn handle(self) -> ObjectId {
        self.result(HANDLE_INDEX)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.client, self.seq)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.task, self.index)
    }
}

/// One shared-memory segment: its only writer and that writer's running number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct SegmentId {
    /// The process that writes it. Stores number themselves from the top: see [`SegmentId::of_store`].
    pub writer: ClientId,
    /// The writer's running number.
    pub number: u32,
}

impl SegmentId {
    /// The id of the `number`-th segment a store writes itself (copies of objects from other nodes).
    pub fn of_store(node: NodeId, number: u32) -> Self {
        SegmentId { writer: ClientId(u32::MAX - node.0), number }
    }
}
