//! Placement: which client gets the next free worker.
//!
//! Clients say how many workers they could use ([`Wish`]). A pass after each event ([`Scheduler::place`]) grants what can be granted, one
//! lease per wish and round, so that nobody starves; clients whose task is blocked come first, because a slot is free only thanks to
//! them and their children end the wait. When nothing is free, leases of others are asked back.

use super::workers::{Spawning, Work};
use super::{Action, Scheduler};
use crate::Time;
use ray_protocol::control::FromScheduler;
use ray_protocol::{ClientId, NodeId, Resources};

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
                if let Some(reason) = self.never(&shape) {
                    if self.config.fail_unschedulable {
                        self.send(client, FromScheduler::Unschedulable { shape, reason });
                        return;
                    }
                    self.send(client, FromScheduler::Warning { text: reason });
                }
                self.wishes.push_back(Wish { client, shape, count, near, since: self.now });
            }
        }
    }

    /// Why no node could ever grant this, or None.
    pub(super) fn never(&self, shape: &Resources) -> Option<String> {
        if self.nodes.values().any(|node| node.alive && node.total.covers(shape)) {
            return None;
        }
        let nodes: Vec<String> =
            self.nodes.values().filter(|node| node.alive).map(|node| format!("node {} has {}", node.id, node.total)).collect();
        Some(format!(
            "A task asks for {shape}, which no node of this cluster has ({}). Ask for less, or start the cluster with more.",
            nodes.join("; ")
        ))
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
            self.wishes.drain(..).partition(|wish| self.clients[&wish.client].blocked.is_some());
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
        let fits = |node: NodeId| self.nodes[&node].alive && self.nodes[&node].available().covers(&wish.shape);
        let idle = self.workers.iter().filter(|(_, worker)| matches!(worker.work, Work::Idle(_)) && !self.dying.contains_key(&worker.spawn));
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
        self.change_worker(worker, |state| state.work = Work::Leased { to, shape, revoking: false });
        self.send(to, FromScheduler::Grant { worker, node, shape: wish.shape.clone() });
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
                while missing > 0 && free.covers(&shape) {
                    free.subtract(&shape);
                    missing -= 1;
                    if *coming > 0 {
                        *coming -= 1; // a worker on its way will serve this one
                    } else {
                        self.spawn(*node, Spawning::default());
                    }
                    if shape == Resources::default() {
                        break; // a task that holds nothing: one worker at a time is enough
                    }
                }
            }
            if missing > 0 {
                self.revoke_for(client, missing);
            }
        }
    }

    /// Asks `count` leases back from clients that have more than their share.
    fn revoke_for(&mut self, client: ClientId, count: u32) {
        let revoking = self
            .workers
            .values()
            .filter(|worker| matches!(&worker.work, Work::Leased { to, revoking: true, .. } if *to != client))
            .count() as u32;
        let mut missing = count.saturating_sub(revoking);
        let mine = self.leases_of(client);
        let leased: Vec<(ClientId, ClientId)> = self
            .workers
            .iter()
            .filter_map(|(&worker, state)| match &state.work {
                Work::Leased { to, revoking: false, .. } if *to != client && !state.is_blocked => Some((worker, *to)),
                _ => None,
            })
            .collect();
        for (worker, to) in leased {
            if missing == 0 {
                break;
            }
            // An idle lease comes back at once; a busy one only when its holder had its turn. Either way the holder decides, so that it
            // is enough here to ask those who have at least as many.
            if self.leases_of(to) > mine || mine == 0 {
                missing -= 1;
                self.change_worker(worker, |state| {
                    if let Work::Leased { revoking, .. } = &mut state.work {
                        *revoking = true;
                    }
                });
                self.actions.push_back(Action::Client(to, FromScheduler::Revoke { worker }));
            }
        }
    }

    fn leases_of(&self, client: ClientId) -> usize {
        self.workers.values().filter(|worker| matches!(&worker.work, Work::Leased { to, .. } if *to == client)).count()
    }

    pub(super) fn lease_returned(&mut self, client: ClientId, worker: ClientId) {
        let now = self.now;
        let is_theirs = |work: &Work| matches!(work, Work::Leased { to, .. } if *to == client);
        if self.workers.get(&worker).is_some_and(|state| is_theirs(&state.work)) {
            self.change_worker(worker, |state| {
                state.work = Work::Idle(now);
                state.is_blocked = false;
            });
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
