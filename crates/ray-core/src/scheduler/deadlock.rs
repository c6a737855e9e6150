//! Waits: what blocks which task, and whether a set of waits can never end.
//!
//! The wait-for graph has an edge from a blocked task to each task whose result it waits for, and from a task that has not started to the
//! tasks its inputs come from. A cycle can never resolve by itself. It is looked for only when a wait has lasted a while, after asking
//! every client for its buffered graph news, so that a cycle is reported only if it is really there.

use super::Scheduler;
use crate::Time;
use ray_protocol::control::{FromScheduler, TaskState};
use ray_protocol::{ClientId, ObjectId, TaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A client's wait.
#[derive(Debug)]
pub(super) struct Blocked {
    /// The waiting task; None for a driver.
    pub(super) task: Option<TaskId>,
    /// What it waits for.
    pub(super) objects: Vec<ObjectId>,
    pub(super) since: Time,
}

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
    pub(super) fn blocked(&mut self, client: ClientId, task: Option<TaskId>, objects: Vec<ObjectId>) {
        let since = self.now;
        self.clients.get_mut(&client).expect("the caller checked").blocked = Some(Blocked { task, objects, since });
        self.change_worker(client, |worker| worker.is_blocked = true);
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

    pub(super) fn unblocked(&mut self, client: ClientId) {
        self.clients.get_mut(&client).expect("the caller checked").blocked = None;
        self.change_worker(client, |worker| worker.is_blocked = false);
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
        if !self.clients.values().any(|client| client.blocked.as_ref().is_some_and(|blocked| blocked.task.is_some())) {
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
        let waits: BTreeMap<TaskId, (ClientId, Vec<TaskId>)> = self
            .clients
            .iter()
            .filter_map(|(client, state)| {
                let blocked = state.blocked.as_ref()?;
                let on = blocked.objects.iter().filter(|object| !self.has_value(**object)).map(|object| object.task).collect();
                Some((blocked.task?, (*client, on)))
            })
            .collect();
        if let Some(cycle) = waits.keys().find_map(|&task| self.cycle_from(task, &waits)) {
            let text = self.cycle_in_words(&cycle, &waits);
            // One wait has to end. The youngest: the others are what it was started for.
            let victim = cycle.iter().filter(|task| waits.contains_key(task)).max_by_key(|task| {
                let (client, _) = waits[task];
                self.clients[&client].blocked.as_ref().map(|blocked| blocked.since)
            });
            if let Some(&task) = victim {
                let (client, _) = waits[&task];
                self.send(client, FromScheduler::Deadlock { task, cycle: text });
            }
        }
        let check = self.deadlock_check.as_mut().expect("a search is going on");
        check.request = None;
        check.awaited.clear();
        check.pause = (check.pause * 2).min(LONGEST_PAUSE);
        check.due = self.now.plus(check.pause);
    }

    /// A path of waits from `start` back to itself.
    fn cycle_from(&self, start: TaskId, waits: &BTreeMap<TaskId, (ClientId, Vec<TaskId>)>) -> Option<Vec<TaskId>> {
        let mut visited = BTreeSet::new();
        let mut path: Vec<(TaskId, Vec<TaskId>)> = vec![(start, self.waits_on(start, waits))];
        while let Some((_, next)) = path.last_mut() {
            let Some(task) = next.pop() else {
                path.pop();
                continue;
            };
            if task == start {
                return Some(path.iter().map(|(task, _)| *task).collect());
            }
            if visited.insert(task) {
                let onward = self.waits_on(task, waits);
                path.push((task, onward));
            }
        }
        None
    }

    /// The tasks a task cannot go on without.
    fn waits_on(&self, task: TaskId, waits: &BTreeMap<TaskId, (ClientId, Vec<TaskId>)>) -> Vec<TaskId> {
        if let Some((_, on)) = waits.get(&task) {
            return on.clone();
        }
        match self.graph.task(task) {
            Some(row) if row.state == TaskState::Pending => {
                row.inputs.iter().filter(|input| !self.has_value(**input)).map(|input| input.task).collect()
            }
            _ => Vec::new(),
        }
    }

    fn cycle_in_words(&self, cycle: &[TaskId], waits: &BTreeMap<TaskId, (ClientId, Vec<TaskId>)>) -> String {
        let mut lines = Vec::new();
        for (at, task) in cycle.iter().enumerate() {
            let next = cycle[(at + 1) % cycle.len()];
            let how = match waits.get(task) {
                Some((client, _)) => format!("is blocked in get (pid {})", self.clients[client].pid),
                None => String::from("has not started"),
            };
            lines.push(format!("{} {how}, waiting for {}", self.graph.name_of(*task), self.graph.name_of(next)));
        }
        lines.join("\n")
    }
}
