//! Placement: which client gets the next free worker.
//!
//! Clients say how many workers they could use ([`Wish`]). A pass after each event ([`Scheduler::place`]) grants what can be granted, one
//! lease per wish and round, so that nobody starves; clients whose task is blocked come first, because a slot is free only thanks to
//! them and their children end the wait. When nothing is free, leases of others are asked back.

use super::workers::{Spawning, Work, for_users};
use super::{Action, Scheduler};
use crate::Time;
use ray_protocol::control::FromScheduler;
use ray_protocol::{ClientId, Failure, NodeId, Resources};
use std::time::Duration;

/// How long a lease that was asked back counts as coming. Longer than a holder's tenure (5 ms) and a round trip.
const ANSWER_WAIT: Duration = Duration::from_millis(20);

/// A client could use more workers.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) client: ClientId,
    pub(super) shape: Resources,
    pub(super) count: u32,
    pub(super) near: Option<NodeId>,
    /// Since when, for explanations.
    pub(super) since: Time,
}

impl Scheduler {
    pub(super) fn wish(&mut self, client: ClientId, shape: Resources, count: u32, near: Option<NodeId>) {
        let known = self.wishes.iter().position(|wish| wish.client == client && wish.shape == shape);
        match (known, count) {
            (Some(at), 0) => {
                self.wishes.remove(at);
            }
            (Some(at), _) => {
                let wish = &mut self.wishes[at];
                wish.count = count;
                wish.near = near;
            }
            (None, 0) => {}
            (None, _) => {
                if self.group_is_gone(&shape) {
                    self.send(client, FromScheduler::Unschedulable { shape, failure: Failure::TaskGroupRemoved });
                    return;
                }
                if let Some(reason) = self.never(&shape) {
                    if self.config.fail_unschedulable {
                        let failure = Failure::Unschedulable { reason };
                        self.send(client, FromScheduler::Unschedulable { shape, failure });
                        return;
                    }
                    let text = format!("A task waits for ever: {reason}. Ask for less, or start the cluster with more.");
                    self.send(client, FromScheduler::Warning { text });
                }
                self.wishes.push_back(Wish { client, shape, count, near, since: self.now });
                self.fail_barren_wishes();
            }
        }
    }

    /// Wishes that only workers could meet that will never be started fail.
    pub(super) fn fail_barren_wishes(&mut self) {
        if self.nodes.values().all(|node| node.gave_up().is_none()) {
            return;
        }
        let served =
            |node: NodeId| self.workers.values().any(|worker| worker.node == node && !matches!(worker.work, Work::Actor { .. }));
        if self.nodes.values().any(|node| node.alive && served(node.id)) {
            return; // slower than it should be, but it goes on
        }
        for wish in core::mem::take(&mut self.wishes) {
            match self.barren(&wish.shape) {
                Some(reason) => {
                    let failure = Failure::Unschedulable { reason };
                    self.send(wish.client, FromScheduler::Unschedulable { shape: wish.shape, failure });
                }
                None => self.wishes.push_back(wish),
            }
        }
    }

    /// Why no node could ever grant this, or None.
    pub(super) fn never(&self, shape: &Resources) -> Option<String> {
        if self.group_is_coming(shape) || self.nodes.values().any(|node| node.alive && node.total.covers(shape)) {
            return None;
        }
        let nodes: Vec<String> = self
            .nodes
            .values()
            .filter(|node| node.alive)
            .map(|node| format!("node {} has {}", node.id, for_users(&node.total)))
            .collect();
        Some(format!("it asks for {shape}, which no node of this cluster has ({})", nodes.join("; ")))
    }

    /// Grants what can be granted, asks for what cannot.
    pub(super) fn place(&mut self) {
        if self.wishes.is_empty() {
            return;
        }
        let mut rounds_left = self.wishes.len();
        let mut unmet = Vec::new();
        // Blocked clients first, then whoever waits longest; the order among them is kept.
        let (mut blocked, mut others): (Vec<Wish>, Vec<Wish>) =
            self.wishes.drain(..).partition(|wish| !self.clients[&wish.client].waits.is_empty());
        blocked.append(&mut others);
        self.wishes.extend(blocked);
        while rounds_left > 0 {
            rounds_left -= 1;
            let Some(mut wish) = self.wishes.pop_front() else { break };
            match self.find_worker(&wish) {
                Some(worker) => {
                    self.grant(worker, &wish);
                    wish.count -= 1;
                    if wish.count > 0 {
                        self.wishes.push_back(wish);
                        rounds_left = self.wishes.len();
                    }
                }
                None => unmet.push(wish),
            }
        }
        for wish in unmet.into_iter().rev() {
            self.wishes.push_front(wish);
        }
        self.make_room();
    }

    /// An idle worker on a node with room for the wish, preferably near its data.
    fn find_worker(&self, wish: &Wish) -> Option<ClientId> {
        let fits = |node: NodeId| self.nodes[&node].alive && self.nodes[&node].has_room(&wish.shape);
        // A worker whose threads still submit is no worker for itself: its main thread may have to wait for what it would have to run.
        let idle = self.workers.iter().filter(|(client, worker)| {
            matches!(worker.work, Work::Idle(_)) && !self.dying.contains_key(&worker.spawn) && **client != wish.client
        });
        let mut best: Option<(bool, ClientId)> = None;
        for (&client, worker) in idle {
            if !fits(worker.node) {
                continue;
            }
            let near = wish.near.is_none_or(|node| node == worker.node);
            if near {
                return Some(client);
            }
            best.get_or_insert((near, client));
        }
        best.map(|(_, client)| client)
    }

    fn grant(&mut self, worker: ClientId, wish: &Wish) {
        let (to, shape) = (wish.client, wish.shape.clone());
        let node = self.workers[&worker].node;
        let devices = self.nodes.get_mut(&node).expect("nodes are never removed").devices.assign(&shape);
        let ids = devices.ids.clone();
        self.change_worker(worker, |state| {
            state.work = Work::Leased { to, shape, asked_back: None };
            state.devices = devices;
        });
        self.send(to, FromScheduler::Grant { worker, node, shape: wish.shape.clone(), devices: ids });
    }

    /// For wishes that were not met: more workers where resources are free, else leases of others asked back.
    fn make_room(&mut self) {
        let mut wanted: Vec<(ClientId, Resources, u32)> = Vec::new();
        for wish in &self.wishes {
            wanted.push((wish.client, wish.shape.clone(), wish.count));
        }
        let mut room: Vec<(NodeId, Resources, usize)> = self
            .nodes
            .values()
            .filter(|node| node.alive)
            .map(|node| (node.id, node.available(), node.spawning.values().filter(|what| what.actor.is_none()).count()))
            .collect();
        for (client, shape, count) in wanted {
            let mut missing = count;
            for (node, free, coming) in &mut room {
                if !self.nodes[node].devices.fit(&shape) {
                    continue;
                }
                while missing > 0 && free.covers(&shape) {
                    free.subtract(&shape);
                    missing -= 1;
                    if *coming > 0 {
                        *coming -= 1; // a worker on its way will serve this one
                    } else {
                        self.spawn(*node, Spawning::default(), Vec::new());
                    }
                    if shape == Resources::default() {
                        break; // a task that holds nothing: one worker at a time is enough
                    }
                }
            }
            if missing > 0 {
                self.revoke_for(client, &shape, missing);
            }
        }
    }

    /// Asks `count` leases back: from clients that have more than their share, from those with nothing queued, who may only be keeping
    /// theirs, and from the wisher itself those it has for other tasks.
    ///
    /// Which leases are idle only their holders know: a holder may give back another one than it is asked for, or take its time. So a lease
    /// that was asked for counts as coming for a while only, then others are asked for.
    pub(super) fn revoke_for(&mut self, client: ClientId, shape: &Resources, count: u32) {
        let now = self.now;
        let mine = self.leases_of(client);
        let mut candidates: Vec<(Option<Time>, ClientId, ClientId)> = Vec::new();
        let mut missing = count as usize;
        for (&worker, state) in &self.workers {
            let Work::Leased { to, shape: held, asked_back } = &state.work else { continue };
            if state.is_blocked || (*to == client && held == shape) {
                continue; // it gives no room, or serves the wish itself
            }
            if asked_back.is_some_and(|since| now.since(since) < ANSWER_WAIT) {
                missing = missing.saturating_sub(1);
            } else if *to == client || mine == 0 || self.leases_of(*to) > mine || !self.has_wish(*to) {
                candidates.push((*asked_back, worker, *to));
            }
        }
        // Those never asked for first, then those asked for longest ago.
        candidates.sort();
        for (_, worker, to) in candidates.into_iter().take(missing) {
            self.change_worker(worker, |state| {
                if let Work::Leased { asked_back, .. } = &mut state.work {
                    *asked_back = Some(now);
                }
            });
            self.actions.push_back(Action::Client(to, FromScheduler::Revoke { worker }));
        }
    }

    /// When leases other than those asked for are to be asked for.
    pub(super) fn revoke_deadline(&self) -> Option<Time> {
        if self.wishes.is_empty() && !self.has_pending_actors() && !self.has_pending_groups() {
            return None;
        }
        let asked = self.workers.values().filter(|worker| !worker.is_blocked).filter_map(|worker| match &worker.work {
            Work::Leased { asked_back, .. } => *asked_back,
            Work::Idle(_) | Work::Actor { .. } | Work::Retiring => None,
        });
        asked.map(|since| since.plus(ANSWER_WAIT)).filter(|due| *due > self.now).min()
    }

    /// Asks all leases of a client back; true when it has any.
    pub(super) fn ask_leases_back(&mut self, client: ClientId) -> bool {
        let is_theirs = |work: &Work| matches!(work, Work::Leased { to, .. } if *to == client);
        let leased: Vec<ClientId> =
            self.workers.iter().filter(|(_, state)| is_theirs(&state.work)).map(|(worker, _)| *worker).collect();
        for &worker in &leased {
            self.send(client, FromScheduler::Revoke { worker });
        }
        !leased.is_empty()
    }

    /// A client that has ended by itself used its leases for nothing any more; one may have come just before.
    pub(super) fn take_leases_back(&mut self, client: ClientId) {
        let leased: Vec<ClientId> = self.leases().filter(|(_, to)| *to == client).map(|(worker, _)| worker).collect();
        for worker in leased {
            self.lease_returned(client, worker);
        }
    }

    pub(super) fn has_wish(&self, client: ClientId) -> bool {
        self.wishes.iter().any(|wish| wish.client == client)
    }

    /// Leases whose workers are at a client's disposal; one whose task is blocked does nothing for it.
    fn leases_of(&self, client: ClientId) -> usize {
        self.workers
            .values()
            .filter(|worker| matches!(&worker.work, Work::Leased { to, .. } if *to == client) && !worker.is_blocked)
            .count()
    }

    pub(super) fn lease_returned(&mut self, client: ClientId, worker: ClientId) {
        let now = self.now;
        let is_theirs = |work: &Work| matches!(work, Work::Leased { to, .. } if *to == client);
        if self.workers.get(&worker).is_some_and(|state| is_theirs(&state.work)) {
            self.change_worker(worker, |state| {
                state.work = Work::Idle(now);
                state.is_blocked = false;
            });
            self.take_devices_back(worker);
        }
    }

    /// A client is gone: what it wished for and what it had leased is free. Workers may still run its tasks; they are replaced.
    pub(super) fn drop_wishes_and_leases(&mut self, client: ClientId) {
        self.wishes.retain(|wish| wish.client != client);
        let leased: Vec<ClientId> = self
            .workers
            .iter()
            .filter(|(_, worker)| matches!(&worker.work, Work::Leased { to, .. } if *to == client))
            .map(|(worker, _)| *worker)
            .collect();
        for worker in leased {
            self.change_worker(worker, |state| state.work = Work::Retiring);
            self.kill_worker(worker, String::from("the process whose task it ran ended"));
        }
    }
}
