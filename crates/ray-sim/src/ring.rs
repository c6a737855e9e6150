//! Rings: memory two processes share. What is written is there at once, for whoever looks, even after the writer's death.

use crate::process::ProcId;
use std::collections::{BTreeMap, VecDeque};

/// What a ring carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// From a submitter to a worker.
    Tasks,
    /// From a worker to a submitter.
    Results,
}

/// All rings.
#[derive(Debug, Default)]
pub struct Rings {
    records: BTreeMap<(ProcId, ProcId, Lane), VecDeque<Vec<u8>>>,
    /// By submitter and worker: the last task the worker began, which is read from the memory it leaves behind.
    started: BTreeMap<(ProcId, ProcId), u64>,
}

impl Rings {
    /// Writes a record.
    pub fn push(&mut self, from: ProcId, to: ProcId, lane: Lane, record: Vec<u8>) {
        self.records.entry((from, to, lane)).or_default().push_back(record);
    }

    /// Reads a record.
    pub fn pop(&mut self, from: ProcId, to: ProcId, lane: Lane) -> Option<Vec<u8>> {
        self.records.get_mut(&(from, to, lane))?.pop_front()
    }

    /// Whether there is a record to read.
    pub fn has(&self, from: ProcId, to: ProcId, lane: Lane) -> bool {
        self.records.get(&(from, to, lane)).is_some_and(|records| !records.is_empty())
    }

    /// A worker begins a task.
    pub fn start(&mut self, submitter: ProcId, worker: ProcId, seq: u64) {
        self.started.insert((submitter, worker), seq);
    }

    /// The last task a worker began.
    pub fn started(&self, submitter: ProcId, worker: ProcId) -> Option<u64> {
        self.started.get(&(submitter, worker)).copied()
    }
}
