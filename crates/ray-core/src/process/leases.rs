//! Which workers this process may push tasks to, and how many it pushes to each.
//!
//! A lease is the right to use one worker for tasks of one shape (the resources a task holds). It is asked for when the queue is longer
//! than what the leases at hand can take, kept while nobody else wants the worker, and given back when the scheduler asks.
//!
//! One task at a time goes to a worker, unless the function is known to be quick: then as many as fill [`WINDOW_US`], so that the worker
//! never waits for us and still no task waits long behind another while a worker elsewhere is free.

use super::{Action, LONG_TASK, Process, ShapeId};
use crate::Time;
use ray_protocol::control::ToScheduler;
use ray_protocol::{ClientId, Failure, FunctionId, NodeId, Resources};
use std::collections::VecDeque;
use std::time::Duration;

/// Work pushed ahead to one worker. Long enough to hide a wake-up (about 30 µs each way), short enough that nobody notices.
const WINDOW_US: f32 = 300.0;

/// What a task costs a worker beside the function itself.
const OVERHEAD_US: f32 = 1.0;

/// Bound on tasks in one worker's ring, whatever their run time.
const MAX_IN_FLIGHT: usize = 256;

/// A worker others wait for is kept this long if there is work queued for it; handing it over costs about 0.1 ms.
const TENURE: Duration = Duration::from_millis(5);

/// A worker this process may push to.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) worker: ClientId,
    node: NodeId,
    pub(super) shape: ShapeId,
    /// Tasks pushed and not ended, in order.
    pub(super) in_flight: VecDeque<u64>,
    /// Estimated run time of what is in flight.
    load_us: f32,
    /// The worker gave tasks back: it is blocked or long at work; nothing more goes there until it ends a task.
    busy: bool,
    /// It was asked to give back what it has not started.
    pub(super) recalled: bool,
    /// When the scheduler asked for it back.
    revoked: Option<Time>,
    /// When it last ended a task, or was first given one.
    pub(super) last_progress: Time,
}

/// Tasks that need the same resources share a queue.
#[derive(Debug)]
pub(super) struct Shape {
    resources: Resources,
    pub(super) queue: VecDeque<u64>,
    /// The number of leases last asked for, less those granted since. Grants that were on their way while it was asked for count too, so
    /// the scheduler may think of more.
    pub(super) wanted: u32,
    /// Whether the scheduler may still have a wish of ours.
    wishes: bool,
}

impl Lease {
    /// When somebody should look at it again.
    pub(super) fn timeout(&self) -> Option<Time> {
        (self.in_flight.len() > 1 && !self.recalled).then(|| self.last_progress.plus(LONG_TASK))
    }

    fn overdue(&self, now: Time) -> bool {
        self.revoked.is_some_and(|since| now.since(since) >= TENURE)
    }
}

impl Process {
    /// The id of a shape; the same resources give the same id.
    pub fn shape(&mut self, resources: &Resources) -> ShapeId {
        let at = self.shapes.iter().position(|shape| shape.resources == *resources).unwrap_or_else(|| {
            self.shapes.push(Shape { resources: resources.clone(), queue: VecDeque::new(), wanted: 0, wishes: false });
            self.shapes.len() - 1
        });
        ShapeId(at as u32)
    }

    /// Tasks queued here, waiting for a worker.
    pub fn queued(&self) -> usize {
        self.shapes.iter().map(|shape| shape.queue.len()).sum()
    }

    /// Workers leased to this process that have nothing to do: kept for the next task, given to others who ask.
    pub fn idle_leases(&self) -> Vec<ClientId> {
        self.leases.iter().filter(|lease| lease.in_flight.is_empty()).map(|lease| lease.worker).collect()
    }

    /// Workers leased to this process, with the number of tasks in flight on each.
    pub fn leases(&self) -> impl Iterator<Item = (ClientId, usize)> {
        self.leases.iter().map(|lease| (lease.worker, lease.in_flight.len()))
    }

    /// Pushes what can be pushed, then asks for as many more workers as there is work for.
    pub(super) fn dispatch(&mut self, shape: ShapeId) {
        while let Some(&seq) = self.shapes[shape.0 as usize].queue.front() {
            let Some(task) = self.tasks.get(&seq) else {
                self.shapes[shape.0 as usize].queue.pop_front(); // cancelled while queued
                continue;
            };
            let function = task.header.function;
            let near = if task.inputs().is_empty() { None } else { self.nearest(seq) };
            let Some((at, cost)) = self.choose_lease(shape, function, near) else { break };
            self.shapes[shape.0 as usize].queue.pop_front();
            let now = self.now;
            let lease = &mut self.leases[at];
            if lease.in_flight.is_empty() {
                lease.last_progress = now;
            }
            lease.in_flight.push_back(seq);
            lease.load_us += cost;
            let worker = lease.worker;
            self.push(worker, seq);
        }
        self.want_leases(shape);
    }

    /// The lease the next task should go to, and what it is expected to cost there.
    fn choose_lease(&self, shape: ShapeId, function: FunctionId, near: Option<NodeId>) -> Option<(usize, f32)> {
        let expected = self.run_times.get(&function).map(|mean| mean + OVERHEAD_US);
        let mut best: Option<(usize, f32)> = None;
        for (at, lease) in self.leases.iter().enumerate() {
            if lease.shape != shape || lease.busy || lease.overdue(self.now) {
                continue;
            }
            let idle = lease.in_flight.is_empty();
            let fits = expected.is_some_and(|cost| lease.load_us + cost <= WINDOW_US) && lease.in_flight.len() < MAX_IN_FLIGHT;
            if !idle && !fits {
                continue;
            }
            // Idle workers first, those near the arguments before others, then the least loaded.
            let far = near.is_some_and(|node| node != lease.node);
            let rank = if idle { 0.0 } else { 1.0 + lease.load_us } + if far { 0.5 } else { 0.0 };
            if best.is_none_or(|(_, least)| rank < least) {
                best = Some((at, rank));
            }
        }
        best.map(|(at, _)| (at, expected.unwrap_or(WINDOW_US)))
    }

    fn want_leases(&mut self, shape: ShapeId) {
        let state = &self.shapes[shape.0 as usize];
        let count = state.queue.len().min(u32::MAX as usize) as u32;
        // A message per submitted task would be one too many: the wish is repeated when it doubled, and taken back when it vanished.
        let worth_saying = if count == 0 { state.wishes } else { state.wanted == 0 || count >= state.wanted.saturating_mul(2) };
        if worth_saying {
            let near = state.queue.front().and_then(|&seq| self.nearest(seq));
            let state = &mut self.shapes[shape.0 as usize];
            state.wanted = count;
            state.wishes = count > 0;
            let shape = state.resources.clone();
            self.tell_scheduler(ToScheduler::WantLeases { shape, count, near });
        }
    }

    pub(super) fn lease_granted(&mut self, worker: ClientId, node: NodeId, resources: &Resources, devices: &[u32]) {
        let shape = self.shape(resources);
        let state = &mut self.shapes[shape.0 as usize];
        state.wanted = state.wanted.saturating_sub(1);
        if state.queue.is_empty() {
            self.tell_scheduler(ToScheduler::ReturnLease { worker });
            return;
        }
        self.leases.push(Lease {
            worker,
            node,
            shape,
            in_flight: VecDeque::new(),
            load_us: 0.0,
            busy: false,
            recalled: false,
            revoked: None,
            last_progress: self.now,
        });
        self.actions.push_back(Action::OpenChannel(worker));
        if !devices.is_empty() {
            self.actions.push_back(Action::Devices { worker, devices: devices.into() });
        }
        self.dispatch(shape);
    }

    /// Others wait for a worker. Which one does not matter: if the one asked for is at work and another is not, that one goes.
    pub(super) fn lease_revoked(&mut self, worker: ClientId) {
        let now = self.now;
        let is_free = |lease: &Lease| lease.in_flight.is_empty() && self.shapes[lease.shape.0 as usize].queue.is_empty();
        let asked = self.leases.iter().position(|lease| lease.worker == worker);
        let instead = asked.filter(|&at| !is_free(&self.leases[at])).and_then(|_| self.leases.iter().position(is_free));
        if let Some(at) = instead.or(asked) {
            let lease = &mut self.leases[at];
            lease.revoked.get_or_insert(now);
            let given = lease.worker;
            self.return_if_done(given);
        }
    }

    /// No worker of this shape will ever come: its tasks fail, saying so.
    pub(super) fn shape_unschedulable(&mut self, resources: &Resources, failure: &Failure) {
        let shape = self.shape(resources);
        let state = &mut self.shapes[shape.0 as usize];
        state.wanted = 0;
        state.wishes = false;
        let failure = failure.into_value();
        for seq in core::mem::take(&mut state.queue) {
            self.fail_task(seq, &failure);
        }
    }

    /// A task has ended where it was pushed.
    pub(super) fn task_left(&mut self, worker: ClientId, seq: u64) {
        let now = self.now;
        let Some(lease) = self.leases.iter_mut().find(|lease| lease.worker == worker) else { return };
        // Workers end tasks in order, so this is the front; after a recall it may not be.
        if lease.in_flight.front() == Some(&seq) {
            lease.in_flight.pop_front();
        } else {
            lease.in_flight.retain(|&other| other != seq);
        }
        let load = lease.load_us;
        lease.load_us = if lease.in_flight.is_empty() { 0.0 } else { load - load / (lease.in_flight.len() + 1) as f32 };
        lease.busy = false;
        lease.recalled = false;
        lease.last_progress = now;
    }

    /// A worker has ended a task: it goes back if it is wanted back, or gets more to do.
    pub(super) fn worker_progressed(&mut self, worker: ClientId) {
        let Some(lease) = self.leases.iter().find(|lease| lease.worker == worker) else { return };
        let shape = lease.shape;
        if !self.return_if_done(worker) && !self.shapes[shape.0 as usize].queue.is_empty() {
            self.dispatch(shape);
        }
    }

    /// A worker gave a task back: it cannot run it soon.
    pub(super) fn worker_is_busy(&mut self, worker: ClientId, seq: u64) {
        if let Some(lease) = self.leases.iter_mut().find(|lease| lease.worker == worker) {
            lease.in_flight.retain(|&other| other != seq);
            // With nothing left there it would stay marked for ever: nothing of ours ends there any more.
            lease.busy = !lease.in_flight.is_empty();
            lease.load_us = WINDOW_US;
        }
        self.return_if_done(worker);
    }

    /// Gives a revoked lease back once nothing of ours is there and nothing is queued for it (or its tenure is over).
    fn return_if_done(&mut self, worker: ClientId) -> bool {
        let now = self.now;
        let Some(at) = self.leases.iter().position(|lease| lease.worker == worker) else { return false };
        let lease = &self.leases[at];
        let no_work = self.shapes[lease.shape.0 as usize].queue.is_empty();
        let done = lease.in_flight.is_empty() && lease.revoked.is_some() && (no_work || lease.overdue(now));
        if done {
            let lease = self.leases.remove(at);
            self.tell_scheduler(ToScheduler::ReturnLease { worker });
            // The worker we lost may be wanted again at once: say so, or nobody will grant it.
            self.shapes[lease.shape.0 as usize].wanted = 0;
            self.want_leases(lease.shape);
        }
        done
    }
}
