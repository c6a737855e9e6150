//! The oracle: what a program may see, given what was done to the cluster.

use crate::program::{Content, Expect};
use ray_protocol::{Failure, ObjectId};

/// A broken promise, in words.
pub type Check = Result<(), String>;

/// What went wrong on purpose, and therefore what failures are honest.
#[derive(Debug, Default, Clone, Copy)]
pub struct Faults {
    /// Processes killed.
    pub kills: u64,
    /// Whether some task may be tried only so often.
    pub finite_retries: bool,
    /// Tasks cancelled.
    pub cancels: u64,
    /// How many in a thousand attempts raise something after which the task is to be tried again.
    pub flaky: u64,
    /// After how many in a thousand tasks a worker ends by itself.
    pub retires: u64,
    /// Whether actors are killed, dropped or fail to start.
    pub actors_end: bool,
}

/// What a wait ended with.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A value.
    Value(Content),
    /// A failure, by its first cause.
    Failed(Cause),
}

/// The first cause of a failure; a task that gets a failure fails of the same cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The program says so.
    Planned,
    /// Its worker died too often.
    Crashed,
    /// The owner of an object died.
    OwnerDied,
    /// It was cancelled.
    Cancelled,
    /// Its actor died.
    ActorDied,
    /// Anything else: never honest here.
    Unexpected,
}

impl Cause {
    const ALL: [Cause; 6] =
        [Cause::Planned, Cause::Crashed, Cause::OwnerDied, Cause::Cancelled, Cause::ActorDied, Cause::Unexpected];

    /// The failure a simulated task raises.
    pub fn raised(self) -> Failure {
        Failure::Raised(vec![self as u8])
    }

    /// The first cause of a failure.
    pub fn of(failure: &Failure) -> Cause {
        match failure {
            Failure::Raised(bytes) => {
                bytes.first().and_then(|&code| Cause::ALL.get(code as usize)).copied().unwrap_or(Cause::Unexpected)
            }
            Failure::WorkerCrashed { .. } => Cause::Crashed,
            Failure::OwnerDied { .. } => Cause::OwnerDied,
            Failure::Cancelled { .. } => Cause::Cancelled,
            Failure::ActorDied { .. } | Failure::ActorUnavailable { .. } => Cause::ActorDied,
            Failure::Lost { .. }
            | Failure::StoreFull { .. }
            | Failure::Deadlock { .. }
            | Failure::Unschedulable { .. }
            | Failure::TimedOut { .. }
            | Failure::ActorUnschedulable { .. }
            | Failure::TaskGroupRemoved
            | Failure::ActorGroupRemoved => Cause::Unexpected,
        }
    }
}

/// I2: a value is the true one, a failure an honest one.
pub fn judge(object: ObjectId, expect: &Expect, outcome: &Outcome, faults: &Faults) -> Check {
    let honest = match outcome {
        Outcome::Value(content) => expect.value == Some(content.value) && expect.inner.len() == content.inner.len(),
        Outcome::Failed(Cause::Planned) => expect.value.is_none() || (faults.flaky > 0 && faults.finite_retries),
        // A task cancelled by force is one whose worker was killed, and is not tried again.
        Outcome::Failed(Cause::Crashed) => faults.kills > 0 && (faults.finite_retries || faults.cancels > 0),
        Outcome::Failed(Cause::OwnerDied) => faults.kills > 0,
        Outcome::Failed(Cause::Cancelled) => faults.cancels > 0,
        Outcome::Failed(Cause::ActorDied) => faults.kills > 0 || faults.actors_end,
        Outcome::Failed(Cause::Unexpected) => false,
    };
    if honest {
        Ok(())
    } else {
        Err(format!("I2: {object} turned out {outcome:?}, expected {:?}; faults: {faults:?}", expect.value))
    }
}
