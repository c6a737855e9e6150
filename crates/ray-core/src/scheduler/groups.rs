//! Placement groups: bundles of resources set aside together, or not at all.
//!
//! ```text
//!   Create ──▶ Pending ── every bundle has found a node ──▶ Created ── a node is lost ──▶ Rescheduling ── found another ──▶ Created
//!                 └──────────────── Remove, or its creator ends, from each of them ──▶ Removed
//! ```
//!
//! A placed bundle is a user of its node's plain resources, and the node has as much more under the group's names
//! ([`groups::bundle_names`]); see there. So leases, actors and explanations need not know of groups: they ask for names.

use super::workers::{Node, Work};
use super::{Scheduler, actors};
use crate::Time;
use ray_protocol::control::{AnswerPart, FromScheduler};
use ray_protocol::groups::{self, GroupRequest, GroupRow, GroupSpec, GroupState, Strategy};
use ray_protocol::value::RESOURCE_UNIT;
use ray_protocol::{ClientId, Failure, NodeId, Resources, TaskId};
use std::collections::BTreeMap;

/// One group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) spec: GroupSpec,
    pub(super) state: GroupState,
    /// Where each bundle lies.
    pub(super) places: Vec<Option<NodeId>>,
    /// The driver with which it ends, unless it is detached.
    creator: ClientId,
    /// The detached actor that made it, with which it ends.
    creator_actor: Option<TaskId>,
    /// In order of creation: who asked first is placed first.
    number: u64,
    created: Time,
    placed: Option<Time>,
    attempts: u64,
    /// Who wants to hear when it is placed or removed.
    awaiting: Vec<(ClientId, u64)>,
}

/// Removed groups remembered for lists; beyond that the oldest are forgotten.
const REMOVED_KEPT: usize = 1000;

impl Scheduler {
    pub(super) fn group_asked(&mut self, client: ClientId, request: u64, what: GroupRequest) {
        match what {
            GroupRequest::Create { group, spec } => self.create_group(client, request, group, spec),
            GroupRequest::Remove { group } => {
                self.remove_group(&group);
                self.answer_with_group(client, request, &group);
            }
            GroupRequest::Await { group } => match self.groups.get_mut(&group) {
                Some(entry) if matches!(entry.state, GroupState::Pending | GroupState::Rescheduling) => {
                    entry.awaiting.push((client, request));
                }
                _ => self.answer_with_group(client, request, &group),
            },
            GroupRequest::List => {
                let rows = self.groups.iter().map(|(id, group)| group.row(id)).collect();
                self.answer(client, request, AnswerPart::Groups(rows));
            }
        }
    }

    fn answer_with_group(&mut self, client: ClientId, request: u64, group: &str) {
        let rows = self.groups.get(group).map(|entry| entry.row(group)).into_iter().collect();
        self.answer(client, request, AnswerPart::Groups(rows));
    }

    fn create_group(&mut self, client: ClientId, request: u64, group: String, spec: GroupSpec) {
        let same_name = |other: &Group| {
            other.state != GroupState::Removed && other.spec.name == spec.name && other.spec.namespace == spec.namespace
        };
        let taken = !spec.name.is_empty() && self.groups.values().any(same_name);
        if taken || self.groups.contains_key(&group) {
            let text = format!(
                "Failed to create placement group '{group}' because name '{}' already exists. Use another name, or \
                 ray.util.get_placement_group for the group there is.",
                spec.name
            );
            self.answer(client, request, AnswerPart::Text(text));
            return;
        }
        let creator_actor = self.workers.get(&client).and_then(|worker| match worker.work {
            Work::Actor { actor, .. } => self.actors.get(&actor).filter(|entry| entry.is_detached()).map(|_| actor),
            Work::Idle(_) | Work::Leased { .. } | Work::Retiring => None,
        });
        let entry = Group {
            state: GroupState::Pending,
            places: vec![None; spec.bundles.len()],
            spec,
            creator: client,
            creator_actor,
            number: self.next_group,
            created: self.now,
            placed: None,
            attempts: 0,
            awaiting: Vec::new(),
        };
        self.next_group += 1;
        self.groups.insert(group.clone(), entry);
        self.place_pending_groups();
        self.answer_with_group(client, request, &group);
    }

    /// Tries to place the bundles of every group that waits.
    pub(super) fn place_pending_groups(&mut self) {
        let mut waiting: Vec<(u64, String)> =
            self.groups.iter().filter(|(_, group)| group.waits()).map(|(id, group)| (group.number, id.clone())).collect();
        waiting.sort();
        for (_, id) in waiting {
            let free: BTreeMap<NodeId, Resources> = self.ready_nodes().map(|node| (node.id, node.available())).collect();
            let group = self.groups.get_mut(&id).expect("just listed");
            group.attempts += 1;
            match group.find_places(free) {
                Some(places) => self.place_group(&id, places),
                None => self.make_room_for_group(&id),
            }
        }
    }

    fn ready_nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values().filter(|node| node.alive)
    }

    fn place_group(&mut self, id: &str, places: Vec<NodeId>) {
        let now = self.now;
        let group = self.groups.get_mut(id).expect("its caller has it");
        for (index, (place, node)) in group.places.iter_mut().zip(places).enumerate() {
            if place.is_none() {
                *place = Some(node);
                let entry = self.nodes.get_mut(&node).expect("nodes are never removed");
                entry.in_use.add(&group.spec.bundles[index]);
                entry.total.add(&groups::bundle_names(&group.spec.bundles[index], id, index));
            }
        }
        group.state = GroupState::Created;
        group.placed.get_or_insert(now);
        self.tell_awaiting(id);
    }

    fn tell_awaiting(&mut self, id: &str) {
        let awaiting = self.groups.get_mut(id).map(|group| core::mem::take(&mut group.awaiting)).unwrap_or_default();
        for (client, request) in awaiting {
            if self.clients.contains_key(&client) {
                self.answer_with_group(client, request, id);
            }
        }
    }

    /// Asks leases back, if the group would find places then: whoever keeps a worker to itself may do nothing with it.
    fn make_room_for_group(&mut self, id: &str) {
        let mut coming: BTreeMap<NodeId, Resources> = self.ready_nodes().map(|node| (node.id, node.available())).collect();
        for worker in self.workers.values() {
            if let (Work::Leased { shape, .. }, Some(free)) = (&worker.work, coming.get_mut(&worker.node))
                && !worker.is_blocked
            {
                free.add(shape);
            }
        }
        let group = &self.groups[id];
        if group.find_places(coming).is_none() {
            return;
        }
        let wanted = group.unplaced().fold(Resources::default(), |mut sum, bundle| {
            sum.add(bundle);
            sum
        });
        let leases = wanted.amount("CPU").div_ceil(RESOURCE_UNIT).max(1);
        self.revoke_for(ClientId(0), &wanted, u32::try_from(leases).unwrap_or(u32::MAX));
    }

    /// Whether some group waits for room.
    pub(super) fn has_pending_groups(&self) -> bool {
        self.groups.values().any(Group::waits)
    }

    /// Whether a shape asks for resources of a group that is no more, or never was.
    pub(super) fn group_is_gone(&self, shape: &Resources) -> bool {
        groups::group_of(shape).is_some_and(|group| self.groups.get(group).is_none_or(|entry| entry.state == GroupState::Removed))
    }

    /// Whether a shape asks for resources of a group that is still to be placed.
    pub(super) fn group_is_coming(&self, shape: &Resources) -> bool {
        groups::group_of(shape).is_some_and(|group| self.groups.get(group).is_some_and(Group::waits))
    }

    fn remove_group(&mut self, id: &str) {
        let Some(group) = self.groups.get_mut(id).filter(|group| group.state != GroupState::Removed) else { return };
        group.state = GroupState::Removed;
        let placed: Vec<(usize, NodeId)> =
            group.places.iter_mut().enumerate().filter_map(|(index, place)| place.take().map(|node| (index, node))).collect();
        for (index, node) in placed {
            self.take_bundle_back(id, index, node);
        }
        self.fail_wishes_for(id);
        self.end_leases_of(id);
        self.end_actors_of(id);
        self.tell_awaiting(id);
        self.forget_old_groups();
    }

    fn take_bundle_back(&mut self, id: &str, index: usize, node: NodeId) {
        let bundle = &self.groups[id].spec.bundles[index];
        let entry = self.nodes.get_mut(&node).expect("nodes are never removed");
        entry.in_use.subtract(bundle);
        entry.total.subtract(&groups::bundle_names(bundle, id, index));
    }

    fn fail_wishes_for(&mut self, id: &str) {
        let (gone, left) =
            core::mem::take(&mut self.wishes).into_iter().partition(|wish| groups::group_of(&wish.shape) == Some(id));
        self.wishes = left;
        for wish in Vec::from(gone) {
            let failure = Failure::TaskGroupRemoved;
            self.send(wish.client, FromScheduler::Unschedulable { shape: wish.shape, failure });
        }
    }

    /// Workers that may be running tasks of the group end, and the tasks with them.
    fn end_leases_of(&mut self, id: &str) {
        let of_group = |work: &Work| matches!(work, Work::Leased { shape, .. } if groups::group_of(shape) == Some(id));
        let leased: Vec<ClientId> =
            self.workers.iter().filter(|(_, worker)| of_group(&worker.work)).map(|(client, _)| *client).collect();
        for worker in leased {
            self.kill_worker(worker, String::from("the placement group its task ran in was removed"));
        }
    }

    fn forget_old_groups(&mut self) {
        let mut removed: Vec<(u64, String)> = self
            .groups
            .iter()
            .filter(|(_, group)| group.state == GroupState::Removed)
            .map(|(id, group)| (group.number, id.clone()))
            .collect();
        if removed.len() > REMOVED_KEPT {
            removed.sort();
            self.groups.remove(&removed[0].1);
        }
    }

    /// A client is gone: what it waited for, and the groups that were to end with it.
    pub(super) fn drop_groups_of(&mut self, client: ClientId, is_driver: bool) {
        for group in self.groups.values_mut() {
            group.awaiting.retain(|(waiting, _)| *waiting != client);
        }
        if is_driver {
            self.remove_groups(|group| group.creator == client && !group.spec.detached);
        }
    }

    /// A detached actor is dead: the groups it made go with it.
    pub(super) fn drop_groups_of_actor(&mut self, actor: TaskId) {
        self.remove_groups(|group| group.creator_actor == Some(actor) && !group.spec.detached);
    }

    fn remove_groups(&mut self, which: impl Fn(&Group) -> bool) {
        for id in self.groups.iter().filter(|(_, group)| which(group)).map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.remove_group(&id);
        }
    }

    /// A node is lost: bundles that lay there need another.
    pub(super) fn groups_lost_with(&mut self, node: NodeId) {
        let mut lost = Vec::new();
        for (id, group) in &mut self.groups {
            for (index, place) in group.places.iter_mut().enumerate() {
                if *place == Some(node) {
                    *place = None;
                    group.state = GroupState::Rescheduling;
                    lost.push((id.clone(), index));
                }
            }
        }
        for (id, index) in lost {
            self.take_bundle_back(&id, index, node);
        }
    }

    /// What bundles hold of a node's plain resources.
    pub(super) fn bundles_on(&self, node: NodeId) -> Resources {
        let mut held = Resources::default();
        for group in self.groups.values() {
            for (bundle, _) in group.spec.bundles.iter().zip(&group.places).filter(|(_, place)| **place == Some(node)) {
                held.add(bundle);
            }
        }
        held
    }

    /// Groups that wait, for people.
    pub(super) fn groups_in_words(&self) -> Vec<String> {
        let waiting = self.groups.iter().filter(|(_, group)| group.waits());
        waiting
            .map(|(id, group)| {
                let bundles: Vec<String> = group.unplaced().map(|bundle| format!("{{{bundle}}}")).collect();
                format!("placement group {id} waits for room for {} ({:?})", bundles.join(", "), group.spec.strategy)
            })
            .collect()
    }

    fn end_actors_of(&mut self, id: &str) {
        let of_group = |entry: &actors::Actor| groups::group_of(entry.placement()) == Some(id);
        let actors: Vec<TaskId> = self.actors.iter().filter(|(_, entry)| of_group(entry)).map(|(actor, _)| *actor).collect();
        for actor in actors {
            self.actor_loses_group(actor);
        }
    }
}

impl Group {
    fn waits(&self) -> bool {
        matches!(self.state, GroupState::Pending | GroupState::Rescheduling)
    }

    fn unplaced(&self) -> impl Iterator<Item = &Resources> {
        self.spec.bundles.iter().zip(&self.places).filter(|(_, place)| place.is_none()).map(|(bundle, _)| bundle)
    }

    /// A node for every bundle, given what is free on each; those placed already stay. None when there is none for some bundle.
    fn find_places(&self, mut free: BTreeMap<NodeId, Resources>) -> Option<Vec<NodeId>> {
        let nodes: Vec<NodeId> = free.keys().copied().collect();
        if matches!(self.spec.strategy, Strategy::Pack | Strategy::StrictPack) {
            let settled = self.places.iter().flatten().next();
            let candidates: Vec<NodeId> = settled.map_or(nodes.clone(), |node| vec![*node]);
            let all_there = |node: &NodeId| {
                let mut rest = free[node].clone();
                self.unplaced().all(|bundle| {
                    rest.covers(bundle) && {
                        rest.subtract(bundle);
                        true
                    }
                })
            };
            if let Some(node) = candidates.iter().filter(|node| free.contains_key(node)).find(|node| all_there(node)) {
                return Some(self.places.iter().map(|place| place.unwrap_or(*node)).collect());
            }
            if self.spec.strategy == Strategy::StrictPack {
                return None;
            }
        }
        let mut used: BTreeMap<NodeId, usize> = BTreeMap::new();
        for node in self.places.iter().flatten() {
            *used.entry(*node).or_default() += 1;
        }
        let mut places = Vec::with_capacity(self.places.len());
        for (bundle, place) in self.spec.bundles.iter().zip(&self.places) {
            if let Some(node) = place {
                places.push(*node);
                continue;
            }
            let fits = nodes.iter().filter(|node| free[node].covers(bundle));
            let count = |node: &NodeId| used.get(node).copied().unwrap_or(0);
            let chosen = match self.spec.strategy {
                Strategy::Pack | Strategy::StrictPack => fits.max_by_key(|node| (count(node), core::cmp::Reverse(**node))),
                Strategy::Spread => fits.min_by_key(|node| (count(node), **node)),
                Strategy::StrictSpread => fits.filter(|node| count(node) == 0).min(),
            };
            let chosen = *chosen?;
            free.get_mut(&chosen).expect("one of them").subtract(bundle);
            *used.entry(chosen).or_default() += 1;
            places.push(chosen);
        }
        Some(places)
    }

    fn row(&self, id: &str) -> GroupRow {
        GroupRow {
            group: id.to_owned(),
            spec: self.spec.clone(),
            state: self.state,
            nodes: self.places.clone(),
            placed_after_us: self.placed.map_or(0, |placed| placed.since(self.created).as_micros() as u64),
            attempts: self.attempts,
        }
    }
}
