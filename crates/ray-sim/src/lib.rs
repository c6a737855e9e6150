//! A whole cluster in one thread, from one seed: the real scheduler and the real process cores, with simulated time, links, executors,
//! deaths and pauses between them, and programs whose outcome is known before they run.
//!
//! ```text
//!   seed ─▶ workload::plan ─▶ programs, drivers, faults
//!                                   │
//!                                   ▼
//!   cluster ── one event at a time: pick the next of the agenda, hand it to the scheduler or a process,
//!      │       put what these want said on links, rings and timers, validate everything
//!      ▼
//!   check: every value is the true one, every failure honest ─▶ finale: nothing hangs, nothing is left
//! ```
//!
//! What is real: [`ray_core::scheduler`], [`ray_core::process`], every control message and every ring record, byte by byte. What is not:
//! sockets, shared memory, Python, the object store (a map that knows what was freed). Nothing here may read a clock or draw a random
//! number but from [`rng`]: a seed must replay bit by bit, which [`Outcome::hash`] is there to prove.
//!
//! Read [`program`] for what tasks do, [`cluster`] for what happens, [`shell`] and [`executor`] for what a process does around its core.

#![forbid(unsafe_code)]

pub mod check;
pub mod cluster;
mod executor;
mod finale;
pub mod link;
pub mod process;
pub mod program;
pub mod ring;
pub mod rng;
mod shell;
pub mod store;
pub mod streams;
pub mod tally;
pub mod trace;
pub mod workload;

use cluster::Cluster;
use std::panic::{AssertUnwindSafe, catch_unwind};
use trace::Trace;

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// The same for every run of a seed.
    pub hash: u64,
    /// The promise that was broken, if one was.
    pub broken: Option<String>,
    /// What it came across.
    pub tally: tally::Tally,
    /// The last events, if they were asked for.
    pub lines: Vec<String>,
}

/// Runs one seed.
pub fn run(seed: u64, with_lines: bool) -> Outcome {
    run_mutated(seed, with_lines, None)
}

/// Runs one seed on a cluster that loses messages to the scheduler: those the mutation says so of, given how many came before.
pub fn run_mutated(seed: u64, with_lines: bool, mutation: Option<fn(&ray_protocol::control::ToScheduler, u64) -> bool>) -> Outcome {
    let trace = if with_lines { Trace::with_lines() } else { Trace::default() };
    let mut cluster = Cluster::new(seed, workload::plan(seed), trace.clone());
    cluster.mutation = mutation;
    let broken = match catch_unwind(AssertUnwindSafe(|| cluster.run())) {
        Ok(Ok(())) => None,
        Ok(Err(promise)) => Some(promise),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            Some(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
        }
    };
    Outcome { hash: trace.hash(), broken, tally: core::mem::take(&mut cluster.tally), lines: trace.lines() }
}
