//! What an object is to the engine: bytes inside a message, a place in a store, or a failure. The engine never looks into values.

use crate::ids::{ClientId, NodeId, ObjectId, SegmentId, TaskId};
use alloc::{boxed::Box, string::String, vec::Vec};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// Serialised bytes of a value or of arguments. Up to 24 of them lie in place: enough for None, numbers, short text.
pub type Bytes = SmallVec<[u8; 24]>;

/// Where a stored object's bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Location {
    /// The node whose store holds it.
    pub node: NodeId,
    /// The segment it lies in.
    pub segment: SegmentId,
    /// Offset of its first byte in the segment.
    pub offset: u64,
    /// Length in bytes.
    pub size_bytes: u64,
}

/// The outcome of a task, or what was `put`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Value {
    /// The serialised value itself.
    Inline(#[serde(with = "crate::as_bytes")] Bytes),
    /// The serialised value lies in a store.
    Stored(Location),
    /// There will be no value; the bytes are an encoded [`Failure`].
    Failed(#[serde(with = "crate::as_bytes")] Box<[u8]>),
}

/// Why an object has no value. Only workers and drivers can open what Python raised; the daemons pass it on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Failure {
    /// User code raised; the bytes are the pickled `RayTaskError`.
    Raised(#[serde(with = "crate::as_bytes")] Vec<u8>),
    /// The worker process died while it ran the task, and no retry was left.
    WorkerCrashed {
        /// Name of the function it was running.
        function: String,
        /// How the last worker ended.
        exit: Exit,
        /// Executions of the task that ended this way.
        attempts: u32,
    },
    /// The process that owned the object ended before the object existed.
    OwnerDied {
        /// Which object.
        object: ObjectId,
        /// How the owner ended.
        exit: Exit,
    },
    /// The task was cancelled.
    Cancelled {
        /// The cancelled task's function.
        function: String,
    },
    /// The object's bytes are gone.
    Lost {
        /// Which object.
        object: ObjectId,
        /// What happened to its bytes.
        reason: String,
    },
    /// The store had no room.
    StoreFull {
        /// What was asked for, what there is, and what fills it.
        report: String,
    },
    /// A cycle of waits; the text shows it.
    Deadlock {
        /// One line per member of the cycle.
        cycle: String,
    },
    /// The task asks for what the cluster can never give.
    Unschedulable {
        /// What is missing.
        reason: String,
    },
    /// An actor is dead for good.
    ActorDied {
        /// Which actor.
        actor: TaskId,
        /// The actor's class.
        class: String,
        /// Why it is dead.
        reason: String,
        /// The pickled exception its constructor raised, or empty.
        raised: Vec<u8>,
    },
    /// An actor's process ended while it ran the call; the actor itself is to come back.
    ActorUnavailable {
        /// Which actor.
        actor: TaskId,
        /// How its process ended.
        reason: String,
    },
    /// The actor asks for what the cluster can never give.
    ActorUnschedulable {
        /// What is missing.
        reason: String,
    },
    /// The placement group the task was to run in is no more.
    TaskGroupRemoved,
    /// The placement group the actor was to live in is no more.
    ActorGroupRemoved,
    /// The task ran longer than it was allowed to, and was ended.
    TimedOut {
        /// The task's name.
        function: String,
        /// How long it was allowed to run, in microseconds.
        limit_us: u64,
    },
}

impl Failure {
    /// Encodes the failure as a [`Value`].
    pub fn into_value(&self) -> Value {
        Value::Failed(postcard::to_allocvec(self).expect("a failure always encodes").into_boxed_slice())
    }

    /// Decodes the bytes of a [`Value::Failed`]; what cannot be decoded is itself a failure worth telling.
    pub fn from_bytes(bytes: &[u8]) -> Failure {
        postcard::from_bytes(bytes).unwrap_or_else(|error| Failure::Lost {
            object: ObjectId::default(),
            reason: alloc::format!("the failure of this object could not be decoded: {error}"),
        })
    }
}

/// How a process ended, as far as the engine could learn.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Exit {
    /// Its pid.
    pub pid: i32,
    /// Its exit code, when it exited by itself.
    pub code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// The last lines it wrote to standard error.
    pub stderr_tail: String,
    /// What the engine knows beyond that: who killed it and why.
    pub note: String,
}

/// Amounts of resources by name, in ten-thousandths (Ray's granularity), sorted by name, no zero amounts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Resources(Vec<(String, u64)>);

/// One whole unit of a resource.
pub const RESOURCE_UNIT: u64 = 10_000;

impl Resources {
    /// From name and amount pairs; equal names add up, zeros vanish.
    pub fn new(pairs: impl IntoIterator<Item = (String, u64)>) -> Self {
        let mut all: Vec<(String, u64)> = pairs.into_iter().collect();
        all.sort();
        all.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1 = earlier.1.saturating_add(later.1);
            }
            same
        });
        all.retain(|(_, amount)| *amount > 0);
        Resources(all)
    }

    /// `count` whole CPUs.
    pub fn cpus(count: u64) -> Self {
        Resources::new([(String::from("CPU"), count * RESOURCE_UNIT)])
    }

    /// The pairs, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, amount)| (name.as_str(), *amount))
    }

    /// The amount of one resource.
    pub fn amount(&self, name: &str) -> u64 {
        self.0.binary_search_by(|(have, _)| have.as_str().cmp(name)).map_or(0, |at| self.0[at].1)
    }

    /// Whether every amount here is at least what `wanted` asks for.
    pub fn covers(&self, wanted: &Resources) -> bool {
        wanted.iter().all(|(name, amount)| self.amount(name) >= amount)
    }

    /// Takes `other` away. The caller has checked [`covers`](Self::covers), or accepts that amounts stop at zero.
    pub fn subtract(&mut self, other: &Resources) {
        for (name, amount) in &other.0 {
            if let Some(mine) = self.0.iter_mut().find(|(have, _)| have == name) {
                mine.1 = mine.1.saturating_sub(*amount);
            }
        }
        self.0.retain(|(_, amount)| *amount > 0);
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Resources) {
        for (name, amount) in &other.0 {
            match self.0.iter_mut().find(|(have, _)| have == name) {
                Some(mine) => mine.1 = mine.1.saturating_add(*amount),
                None => {
                    self.0.push((name.clone(), *amount));
                    self.0.sort();
                }
            }
        }
    }
}

impl core::fmt::Display for Resources {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no resources");
        }
        for (at, (name, amount)) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            write!(f, "{separator}{name}: {}", *amount as f64 / RESOURCE_UNIT as f64)?;
        }
        Ok(())
    }
}

/// Who a message is about, for texts that users read.
pub fn describe_exit(client: ClientId, exit: &Exit) -> String {
    let how = match (exit.signal, exit.code) {
        (Some(signal), _) => alloc::format!("was killed by signal {signal}"),
        (None, Some(code)) => alloc::format!("exited with code {code}"),
        (None, None) => String::from("closed its connection"),
    };
    alloc::format!("process {} (client {client}) {how}", exit.pid)
}
