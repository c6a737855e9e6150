//! Objects that more than one process knows: who holds them, what they contain, where they are.
//!
//! Every message that carries a reference to another process is preceded by its sender's word to the scheduler: one more hold in the
//! receiver's name. A receiver gives all its holds back at once when its last claim goes. Words of different processes may overtake each
//! other, so a count may be negative for a while; an object is forgotten when every count is zero, not when their sum is.

use super::{Action, Scheduler};
use crate::Time;
use ray_protocol::control::{FromScheduler, SchedulerToStore};
use ray_protocol::value::Exit;
use ray_protocol::{ClientId, Failure, Location, NodeId, ObjectId, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One shared object.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Its owner told of it. An entry may come before that, made by a hold or a question that overtook.
    announced: bool,
    value: Option<Value>,
    /// Holds by client; entries of zero are removed, negative ones wait for their counterpart.
    holds: Vec<(ClientId, i32)>,
    /// Live objects whose values contain it.
    containers: u32,
    /// What its own value contains. More than one word only if more than one attempt at its task spoke.
    contents: Vec<Contents>,
    subscribers: BTreeSet<ClientId>,
    /// Copies in stores of other nodes.
    copies: Vec<Location>,
}

/// Counts that were negative when they were last looked at.
#[derive(Debug)]
pub(super) struct Debts {
    due: Time,
    seen: BTreeMap<(ObjectId, ClientId), i32>,
}

/// Far longer than a word takes to arrive (5 ms at its sender, and what the sockets hold), also from a process that is stopped for a while.
const DEBT_WAIT: Duration = Duration::from_secs(10);

/// One process's word on what a value contains.
#[derive(Debug)]
struct Contents {
    said_by: ClientId,
    /// Once per occurrence.
    inner: Vec<ObjectId>,
    /// Whether a hold of the object's owner came with it.
    books_hold: bool,
}

impl Shared {
    pub(super) fn hold_count(&self) -> u64 {
        self.holds.iter().map(|(_, count)| (*count).max(0) as u64).sum()
    }

    fn is_unreferenced(&self) -> bool {
        self.holds.is_empty() && self.containers == 0
    }
}

impl Scheduler {
    pub(super) fn object_shared(&mut self, client: ClientId, object: ObjectId, value: Option<Value>) {
        if object.owner() != client {
            let reason = format!("it announced {object}, which belongs to client {}", object.owner());
            self.actions.push_back(Action::Close { client, reason });
            return;
        }
        let entry = self.objects.entry(object).or_default();
        entry.announced = true;
        self.hold(client, object, 1);
        if let Some(value) = value {
            self.object_ready(client, object, value);
        }
    }

    pub(super) fn object_ready(&mut self, client: ClientId, object: ObjectId, value: Value) {
        if object.owner() != client {
            let reason = format!("it gave a value to {object}, which belongs to client {}", object.owner());
            self.actions.push_back(Action::Close { client, reason });
            return;
        }
        self.set_value(object, value);
    }

    /// Whether a client has told others of objects that have no value yet.
    pub(super) fn owns_unfinished(&self, client: ClientId) -> bool {
        self.objects_of(client).any(|(_, entry)| entry.announced && entry.value.is_none())
    }

    /// The shared objects a client owns, in order.
    pub(super) fn objects_of(&self, client: ClientId) -> impl Iterator<Item = (ObjectId, &Shared)> {
        let first = ray_protocol::TaskId { client, seq: 0 }.result(0);
        self.objects.range(first..).take_while(move |(object, _)| object.owner() == client).map(|(object, entry)| (*object, entry))
    }

    /// Whether a shared object has its value already.
    pub(super) fn has_value(&self, object: ObjectId) -> bool {
        self.objects.get(&object).is_some_and(|entry| entry.value.is_some())
    }

    fn set_value(&mut self, object: ObjectId, value: Value) {
        // An entry that is gone was freed: nobody wants the value. What is in a store goes.
        let Some(entry) = self.objects.get_mut(&object) else {
            if let Value::Stored(location) = value {
                self.free_copies(object, &[location]);
            }
            return;
        };
        if entry.value.is_some() {
            return;
        }
        entry.value = Some(value.clone());
        for subscriber in core::mem::take(&mut entry.subscribers) {
            self.send(subscriber, FromScheduler::Ready { object, value: value.clone() });
        }
        self.free_if_unreferenced(object); // a subscriber may have given its holds back since it asked
    }

    pub(super) fn hold(&mut self, client: ClientId, object: ObjectId, count: i32) {
        if client.0 >= self.next_client {
            return; // nobody has that id
        }
        if !self.clients.contains_key(&client) && count > 0 {
            return; // the receiver is gone; its holds were dropped with it
        }
        let entry = self.objects.entry(object).or_default();
        match entry.holds.iter().position(|(holder, _)| *holder == client) {
            Some(at) => {
                let sum = entry.holds[at].1.saturating_add(count);
                if sum == 0 {
                    entry.holds.swap_remove(at);
                } else {
                    entry.holds[at].1 = sum;
                }
            }
            None if count != 0 && self.clients.contains_key(&client) => entry.holds.push((client, count)),
            None => {}
        }
        self.free_if_unreferenced(object);
    }

    pub(super) fn object_contains(&mut self, client: ClientId, object: ObjectId, inner: Vec<ObjectId>) {
        for &inside in &inner {
            self.objects.entry(inside).or_default().containers += 1;
        }
        let owner = object.owner();
        // One hold of the owner comes with it, unless the owner is gone: then nobody will ever ask for it.
        let books_hold = self.clients.contains_key(&owner);
        self.objects.entry(object).or_default().contents.push(Contents { said_by: client, inner, books_hold });
        if books_hold {
            self.hold(owner, object, 1);
        } else {
            self.free_if_unreferenced(object);
        }
    }

    /// A worker's word on the contents of a result that never arrived.
    pub(super) fn contents_void(&mut self, client: ClientId, object: ObjectId, worker: ClientId) {
        let Some(entry) = self.objects.get_mut(&object).filter(|_| client == object.owner()) else { return };
        let (void, valid) = core::mem::take(&mut entry.contents).into_iter().partition(|word| word.said_by == worker);
        entry.contents = valid;
        let void: Vec<Contents> = void;
        let booked = void.iter().filter(|word| word.books_hold).count() as i32;
        for word in void {
            self.no_longer_contained(word.inner);
        }
        if booked > 0 {
            self.hold(client, object, -booked);
        }
    }

    fn no_longer_contained(&mut self, inner: Vec<ObjectId>) {
        for inside in inner {
            if let Some(entry) = self.objects.get_mut(&inside) {
                entry.containers -= 1;
                self.free_if_unreferenced(inside);
            }
        }
    }

    pub(super) fn subscribe(&mut self, client: ClientId, object: ObjectId) {
        let owner_is_gone = object.owner().0 < self.next_client && !self.clients.contains_key(&object.owner());
        let entry = self.objects.entry(object).or_default();
        if let Some(value) = &entry.value {
            let value = value.clone();
            self.send(client, FromScheduler::Ready { object, value });
        } else if owner_is_gone || object.owner().0 >= self.next_client {
            let exit = self.epitaph(object.owner());
            let value = Failure::OwnerDied { object, exit }.into_value();
            self.send(client, FromScheduler::Ready { object, value });
            self.free_if_unreferenced(object);
        } else {
            entry.subscribers.insert(client);
        }
    }

    pub(super) fn object_copied(&mut self, object: ObjectId, at: Location) {
        match self.objects.get_mut(&object) {
            Some(entry) => entry.copies.push(at),
            None => self.free_copies(object, &[at]),
        }
    }

    fn free_if_unreferenced(&mut self, object: ObjectId) {
        let mut doomed = vec![object];
        while let Some(object) = doomed.pop() {
            let Some(entry) = self.objects.get(&object) else { continue };
            if !entry.is_unreferenced() || !entry.subscribers.is_empty() {
                continue;
            }
            let entry = self.objects.remove(&object).expect("just seen");
            if object.is_handle() {
                self.end_if_unreferenced(object.task);
            }
            let mut places = entry.copies;
            if let Some(Value::Stored(location)) = entry.value {
                places.push(location);
            }
            self.free_copies(object, &places);
            for inside in entry.contents.into_iter().flat_map(|word| word.inner) {
                if let Some(inner) = self.objects.get_mut(&inside) {
                    inner.containers -= 1;
                    doomed.push(inside);
                }
            }
        }
    }

    fn free_copies(&mut self, object: ObjectId, places: &[Location]) {
        let nodes: BTreeSet<NodeId> = places.iter().map(|place| place.node).collect();
        for node in nodes {
            // One message frees many: objects that die together are told together.
            if let Some(Action::Store(last, SchedulerToStore::Free(objects))) = self.actions.back_mut()
                && *last == node
            {
                objects.push(object);
            } else {
                self.actions.push_back(Action::Store(node, SchedulerToStore::Free(vec![object])));
            }
        }
    }

    /// A client is gone: its holds go, and what it owned and never finished fails.
    pub(super) fn drop_claims(&mut self, client: ClientId, exit: &Exit) {
        let concerned: Vec<ObjectId> = self
            .objects
            .iter()
            .filter(|(id, entry)| {
                id.owner() == client
                    || entry.subscribers.contains(&client)
                    || entry.holds.iter().any(|(holder, _)| *holder == client)
            })
            .map(|(id, _)| *id)
            .collect();
        for object in concerned {
            let Some(entry) = self.objects.get_mut(&object) else { continue }; // freed with what contained it
            entry.subscribers.remove(&client);
            entry.holds.retain(|(holder, _)| *holder != client);
            if object.owner() == client && entry.value.is_none() {
                let failure = Failure::OwnerDied { object, exit: exit.clone() };
                self.set_value(object, failure.into_value());
            }
            self.free_if_unreferenced(object);
        }
    }

    /// A client is gone that may have died between a message with a reference and its word about it. Its receiver's count would stay
    /// negative for ever. It is looked at twice: a count that is negative both times, a long while after everything on its way must have
    /// arrived, is put right. Were the word to come after all, the object would only live longer.
    pub(super) fn expect_debts(&mut self) {
        let due = self.now.plus(DEBT_WAIT);
        self.debts.get_or_insert_with(|| Debts { due, seen: BTreeMap::new() });
    }

    pub(super) fn debts_due(&self) -> Option<Time> {
        self.debts.as_ref().map(|debts| debts.due)
    }

    pub(super) fn settle_debts(&mut self) {
        let Some(debts) = self.debts.take_if(|debts| debts.due <= self.now) else { return };
        let mut seen = BTreeMap::new();
        let mut settled = Vec::new();
        for (&object, entry) in &self.objects {
            for &(holder, count) in entry.holds.iter().filter(|(_, count)| *count < 0) {
                if debts.seen.get(&(object, holder)) == Some(&count) {
                    settled.push((holder, object, -count));
                } else {
                    seen.insert((object, holder), count);
                }
            }
        }
        for (holder, object, count) in settled {
            self.hold(holder, object, count);
        }
        if !seen.is_empty() {
            self.debts = Some(Debts { due: self.now.plus(DEBT_WAIT), seen });
        }
    }

    /// A node's store is gone: values that lay only there are lost.
    pub(super) fn objects_lost_with(&mut self, node: NodeId, reason: &str) {
        for (&object, entry) in &mut self.objects {
            entry.copies.retain(|copy| copy.node != node);
            if let Some(Value::Stored(location)) = &entry.value
                && location.node == node
            {
                entry.value = Some(match entry.copies.pop() {
                    Some(copy) => Value::Stored(copy),
                    None => Failure::Lost { object, reason: format!("node {node}, where it lay, was lost: {reason}") }.into_value(),
                });
            }
        }
    }

    /// What is known of an object, for [`explain`](Self::explain).
    pub(super) fn object_in_words(&self, object: ObjectId) -> Option<String> {
        let entry = self.objects.get(&object)?;
        let state = match &entry.value {
            Some(Value::Inline(bytes)) => format!("has a value of {} bytes", bytes.len()),
            Some(Value::Stored(location)) => format!("lies in the store of node {} ({} bytes)", location.node, location.size_bytes),
            Some(Value::Failed(bytes)) => format!("failed: {:?}", Failure::from_bytes(bytes)),
            None if entry.announced => String::from("does not exist yet"),
            None => String::from("was never announced by its owner"),
        };
        let holders: Vec<String> = entry.holds.iter().map(|(client, count)| format!("client {client} ({count})")).collect();
        Some(format!(
            "object {object} {state}; held by {}",
            if holders.is_empty() { String::from("nobody") } else { holders.join(", ") }
        ))
    }

    pub(super) fn validate_objects(&self) {
        let mut contained: BTreeMap<ObjectId, u32> = BTreeMap::new();
        for (id, entry) in &self.objects {
            assert!(
                !entry.is_unreferenced() || !entry.subscribers.is_empty(),
                "S-3: object {id} is held by nobody and still there"
            );
            for (holder, count) in &entry.holds {
                assert!(*count != 0, "an empty hold of {holder} on {id}");
                assert!(self.clients.contains_key(holder), "S-4: {id} is held by {holder}, which is gone");
            }
            for inside in entry.contents.iter().flat_map(|word| &word.inner) {
                *contained.entry(*inside).or_default() += 1;
            }
        }
        for (id, entry) in &self.objects {
            assert_eq!(entry.containers, contained.get(id).copied().unwrap_or(0), "S-3: containers of {id}");
        }
    }
}
