//! Waits: what blocks which task, and whether a set of waits can never end.
//!
//! A blocked task needs the tasks whose results it waits for (all of them, or as many as its wait asks for); a task that has not started
//! needs those its inputs come from; a call whose actor is full of blocked calls needs one of these to end. Whatever cannot go on however
//! the others go on is stuck, for ever. It is looked for only when a wait has lasted a while, after asking every client for its buffered
//! graph news, so that a circle is reported only if it is really there.

use super::Scheduler;
use super::workers::Work;
use crate::Time;
use ray_protocol::control::{FromScheduler, TaskState};
use ray_protocol::{ClientId, ObjectId, TaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A wait.
#[derive(Debug)]
pub(super) struct Blocked {
    /// What it waits for.
    pub(super) objects: Vec<ObjectId>,
    /// How many of these it cannot do without; 0: it may go on without any.
    enough: usize,
    since: Time,
}

/// What a task that does not run cannot go on without: this many of these tasks have to end.
#[derive(Debug)]
struct Needs {
    tasks: Vec<TaskId>,
    enough: usize,
}

/// Everything that is blocked, by task.
type Waits<'a> = BTreeMap<TaskId, (ClientId, &'a Blocked)>;

/// A search in progress: who still has to send its graph news.
#[derive(Debug)]
pub(super) struct Check {
    due: Time,
    request: Option<u64>,
    awaited: BTreeSet<ClientId>,
    /// Doubles while nothing is found, so that a long honest wait costs next to nothing.
    pause: Duration,
}

/// A wait is looked at when it has lasted this long.
const FIRST_CHECK: Duration = Duration::from_millis(500);
/// Searches become rarer, but never rarer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A client that does not send its news within this time is not waited for.
const FLUSH_WAIT: Duration = Duration::from_secs(1);

impl Blocked {
    pub(super) fn first_in_words(&self) -> String {
        self.objects.first().map_or_else(|| String::from("nothing"), ObjectId::to_string)
    }
}

impl Check {
    pub(super) fn due(&self) -> Time {
        self.due
    }

    /// The request whose answers it waits for.
    pub(super) fn request(&self) -> Option<u64> {
        self.request
    }
}

impl Scheduler {
    pub(super) fn blocked(&mut self, client: ClientId, task: Option<TaskId>, objects: Vec<ObjectId>, enough: u32) {
        let blocked = Blocked { objects, enough: enough as usize, since: self.now };
        self.clients.get_mut(&client).expect("the caller checked").waits.insert(task, blocked);
        // An actor that runs many calls goes on with the others: it lends nothing.
        if !self.runs_many(client) {
            self.change_worker(client, |worker| worker.is_blocked = true);
        }
        if task.is_some() {
            let due = self.now.plus(FIRST_CHECK);
            // A new wait may close a cycle: the next search is soon, however rare searches have become.
            match &mut self.deadlock_check {
                Some(check) if check.request.is_none() => {
                    check.due = check.due.min(due);
                    check.pause = FIRST_CHECK;
                }
                Some(_) => {}
                None => {
                    self.deadlock_check = Some(Check { due, request: None, awaited: BTreeSet::new(), pause: FIRST_CHECK });
                }
            }
        }
    }

    pub(super) fn unblocked(&mut self, client: ClientId, task: Option<TaskId>) {
        self.clients.get_mut(&client).expect("the caller checked").waits.remove(&task);
        self.change_worker(client, |worker| worker.is_blocked = false);
    }

    fn runs_many(&self, client: ClientId) -> bool {
        matches!(self.workers.get(&client).map(|worker| &worker.work), Some(Work::Actor { actor, .. }) if self.calls_at_once(*actor) > 1)
    }

    /// The time of a search has come, or of the answers it waits for.
    pub(super) fn continue_deadlock_check(&mut self) {
        let Some(check) = &mut self.deadlock_check else { return };
        if check.due > self.now {
            return;
        }
        if check.request.is_some() {
            self.search_deadlock(); // somebody did not answer in time
            return;
        }
        if !self.clients.values().any(|client| client.waits.keys().any(Option::is_some)) {
            self.deadlock_check = None;
            return;
        }
        let request = self.next_request;
        self.next_request += 1;
        let everyone: BTreeSet<ClientId> = self.clients.keys().copied().collect();
        let check = self.deadlock_check.as_mut().expect("just seen");
        check.request = Some(request);
        check.awaited = everyone.clone();
        check.due = self.now.plus(FLUSH_WAIT);
        for client in everyone {
            self.send(client, FromScheduler::FlushReports { request });
        }
    }

    /// A client has sent its graph news; true when a deadlock search was waiting for it.
    pub(super) fn deadlock_flushed(&mut self, client: ClientId, request: u64) -> bool {
        let Some(check) = self.deadlock_check.as_mut().filter(|check| check.request == Some(request)) else { return false };
        check.awaited.remove(&client);
        if check.awaited.is_empty() {
            self.search_deadlock();
        }
        true
    }

    fn search_deadlock(&mut self) {
        if let Some((client, task, cycle)) = self.find_deadlock() {
            self.send(client, FromScheduler::Deadlock { task, cycle });
        }
        let check = self.deadlock_check.as_mut().expect("a search is going on");
        check.request = None;
        check.awaited.clear();
        check.pause = (check.pause * 2).min(LONGEST_PAUSE);
        check.due = self.now.plus(check.pause);
    }

    /// A circle of waits: whose wait is to end, and the circle in words.
    fn find_deadlock(&self) -> Option<(ClientId, TaskId, String)> {
        let mut waits = Waits::new();
        for (client, state) in &self.clients {
            waits.extend(state.waits.iter().filter_map(|(task, blocked)| Some(((*task)?, (*client, blocked)))));
        }
        let stuck = self.stuck(&waits);
        // From any stuck task on, what it needs and is stuck too leads round in a circle.
        let mut path: Vec<TaskId> = Vec::new();
        let mut next = *waits.keys().find(|task| stuck.contains_key(task))?;
        let begin = loop {
            if let Some(at) = path.iter().position(|task| *task == next) {
                break at;
            }
            path.push(next);
            next = *stuck[&next].tasks.iter().find(|task| stuck.contains_key(task)).expect("what is stuck needs what is stuck");
        };
        let cycle = &path[begin..];
        // One wait has to end. The youngest: the others are what it was started for.
        let victim = cycle.iter().filter(|task| waits.contains_key(task)).max_by_key(|task| waits[task].1.since)?;
        Some((waits[victim].0, *victim, self.cycle_in_words(cycle, &waits)))
    }

    /// The tasks that can never go on, and what each would need.
    fn stuck(&self, waits: &Waits<'_>) -> BTreeMap<TaskId, Needs> {
        let mut needs: BTreeMap<TaskId, Needs> = BTreeMap::new();
        let mut dependents: BTreeMap<TaskId, Vec<TaskId>> = BTreeMap::new();
        let mut free: Vec<TaskId> = Vec::new();
        let mut met: Vec<TaskId> = waits.keys().copied().collect();
        let mut seen: BTreeSet<TaskId> = met.iter().copied().collect();
        while let Some(task) = met.pop() {
            let its = self.needs(task, waits);
            if its.enough == 0 {
                free.push(task);
                continue;
            }
            for &other in &its.tasks {
                dependents.entry(other).or_default().push(task);
                if seen.insert(other) {
                    met.push(other);
                }
            }
            needs.insert(task, its);
        }
        // What is free frees what needs it.
        while let Some(ends) = free.pop() {
            for task in dependents.remove(&ends).unwrap_or_default() {
                let Some(its) = needs.get_mut(&task) else { continue };
                its.enough -= 1;
                if its.enough == 0 {
                    needs.remove(&task);
                    free.push(task);
                }
            }
        }
        needs
    }

    fn needs(&self, task: TaskId, waits: &Waits<'_>) -> Needs {
        if let Some((_, blocked)) = waits.get(&task) {
            let missing: Vec<TaskId> =
                blocked.objects.iter().filter(|object| !self.has_value(**object)).map(|object| object.task).collect();
            let there = blocked.objects.len() - missing.len();
            return Needs { tasks: missing, enough: blocked.enough.saturating_sub(there) };
        }
        let nothing = Needs { tasks: Vec::new(), enough: 0 };
        let Some(row) = self.graph.task(task).filter(|row| row.state == TaskState::Pending) else { return nothing };
        let inputs: Vec<TaskId> = row.inputs.iter().filter(|input| !self.has_value(**input)).map(|input| input.task).collect();
        if !inputs.is_empty() {
            return Needs { enough: inputs.len(), tasks: inputs };
        }
        let Some(actor) = self.graph.actor_of(task) else { return nothing };
        let Some(worker) = self.actor_worker(actor) else { return nothing };
        let inside: Vec<TaskId> = self.clients[&worker].waits.keys().copied().flatten().collect();
        if inside.len() < self.calls_at_once(actor) {
            return nothing;
        }
        Needs { tasks: inside, enough: 1 }
    }

    fn cycle_in_words(&self, cycle: &[TaskId], waits: &Waits<'_>) -> String {
        let mut lines = Vec::new();
        for (at, task) in cycle.iter().enumerate() {
            let next = cycle[(at + 1) % cycle.len()];
            let how = match (waits.get(task), self.graph.actor_of(*task)) {
                (Some((client, _)), _) => format!("is blocked in get (pid {})", self.clients[client].pid),
                (None, Some(actor)) => format!("waits for its turn in {}", self.actor_name(actor)),
                (None, None) => String::from("has not started"),
            };
            lines.push(format!("{} {how}, waiting for {}", self.name_in_words(*task), self.name_in_words(next)));
        }
        lines.join("\n")
    }

    /// What to call a task, which may be the making of an actor.
    fn name_in_words(&self, task: TaskId) -> String {
        if self.actors.contains_key(&task) {
            format!("the constructor of {}", self.actor_name(task))
        } else {
            self.graph.name_of(task)
        }
    }
}
