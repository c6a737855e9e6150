//! Workloads: programs whose outcome anyone can state, and what is done to the cluster while they run.

mod actors;
mod streams;
mod tree;

use crate::check::Faults;
use crate::cluster::Plan;
use crate::link::MILLI;
use crate::program::{Expect, Program, ProgramId, Scope, Slot, Spawn};
use crate::rng::Rng;
use std::rc::Rc;

/// How a workload's tasks are.
#[derive(Debug, Clone)]
pub(crate) struct Style {
    /// What `max_retries` may be.
    pub(crate) retries: Vec<i32>,
    /// How many tasks in a thousand raise.
    pub(crate) raises: u64,
    /// How many values in a thousand lie in the store.
    pub(crate) stored: u64,
    /// How many tasks in a thousand are cancelled by whoever submitted them.
    pub(crate) cancels: u64,
    /// How long a step of work takes at most, in microseconds.
    pub(crate) work_us: Vec<u64>,
    /// CPUs a task may hold, in halves.
    pub(crate) half_cpus: Vec<u64>,
}

/// Writes programs.
#[derive(Debug)]
pub(crate) struct Author<'a> {
    pub(crate) rng: &'a mut Rng,
    pub(crate) programs: Vec<Program>,
    pub(crate) style: Style,
}

impl Author<'_> {
    /// Adds a finished program.
    pub(crate) fn add(&mut self, program: Program) -> ProgramId {
        self.programs.push(program);
        (self.programs.len() - 1) as ProgramId
    }

    fn some_work(&mut self, scope: &mut Scope) {
        let most = self.rng.pick(&self.style.work_us);
        scope.work(self.rng.within(1, most));
    }

    pub(crate) fn is_stored(&mut self) -> bool {
        self.rng.per_mille(self.style.stored)
    }

    /// Submits a program as a task.
    pub(crate) fn submit(&mut self, scope: &mut Scope, program: ProgramId, by_ref: Vec<Slot>, nested: Vec<Slot>) -> Slot {
        let expect: Rc<Expect> = self.programs[program as usize].expect.clone();
        let retries = self.rng.pick(&self.style.retries);
        let half_cpus = self.rng.pick(&self.style.half_cpus);
        let slot = scope.spawn(Spawn { program, by_ref, nested, retries, half_cpus, expect });
        if self.rng.per_mille(self.style.cancels) {
            let pause = self.rng.pick(&[1, 500, 5_000]);
            scope.work(self.rng.within(1, pause));
            scope.cancel(slot, self.rng.per_mille(300), self.rng.per_mille(500));
        }
        slot
    }
}

/// The plan of a seed.
pub fn plan(seed: u64) -> Plan {
    let mut rng = Rng::new(seed);
    let workers = rng.within(1, 5) as u32;
    let mut plan = Plan::new(&mut rng, workers);
    let work_us = if rng.per_mille(300) { vec![20, 50] } else { vec![20, 300, 4_000, 30_000] };
    let retries = match rng.index(3) {
        0 => vec![0, 3, -1],
        1 => vec![3],
        _ => vec![-1],
    };
    let style = Style {
        raises: rng.pick(&[0, 0, 50]),
        stored: rng.pick(&[0, 300, 800]),
        cancels: rng.pick(&[0, 0, 60]),
        half_cpus: rng.pick(&[vec![2], vec![2], vec![1, 2], vec![0, 1, 2]]),
        retries: retries.clone(),
        work_us,
    };
    let may_cancel = style.cancels > 0;
    if rng.per_mille(600) {
        plan.kills = rng.within(1, 12);
        plan.kills_per_million = rng.pick(&[2_000, 10_000, 50_000]);
        plan.drivers_die = rng.per_mille(400);
    }
    let flaky = rng.pick(&[0, 0, 50, 300]);
    let retires = rng.pick(&[0, 0, 50, 500]);
    let mut author = Author { rng: &mut rng, programs: Vec::new(), style };
    let mut actors_end = false;
    let drivers = author.rng.within(1, 4);
    for _ in 0..drivers {
        let program = match author.rng.index(8) {
            0 => tree::independent(&mut author),
            1 => tree::chain(&mut author),
            2 => tree::nested(&mut author),
            3 => {
                actors_end = true;
                actors::calls(&mut author)
            }
            4 => streams::streams(&mut author),
            5 => {
                actors_end = true;
                streams::of_actors(&mut author)
            }
            _ => tree::anything(&mut author),
        };
        let id = author.add(program);
        plan.drivers.push((author.rng.within(0, 50) * MILLI, id));
    }
    plan.programs = author.programs;
    plan.faults = Faults {
        finite_retries: retries.iter().any(|&count| count >= 0),
        cancels: u64::from(may_cancel),
        flaky,
        retires,
        actors_end,
        ..Faults::default()
    };
    plan
}
