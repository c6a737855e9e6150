//! Objects as they come to exist. Each is asked about once and told once, so that to wait for many, one after the other, costs each of
//! them the same however many there are.

use crate::wait::{Interrupt, WaitEnd};
use crate::{Client, state::State};
use hashbrown::{HashMap, HashSet};
use ray_protocol::ObjectId;
use std::time::Instant;

/// Who wants to hear of which objects. Behind the lock.
#[derive(Default)]
pub(crate) struct Interests {
    /// Objects a thread that may call into Python wants a notice of.
    noticed: HashSet<ObjectId>,
    /// Collectors by object.
    wanted: HashMap<ObjectId, Vec<u64>>,
    /// What has come for each collector and was not taken yet.
    collected: HashMap<u64, Vec<ObjectId>>,
}

impl Interests {
    /// An object that is not there yet shall give a notice.
    pub(crate) fn notice(&mut self, object: ObjectId) {
        self.noticed.insert(object);
    }

    /// A watched object has come: whether it shall give a notice.
    pub(crate) fn came(&mut self, object: ObjectId) -> bool {
        for collector in self.wanted.remove(&object).into_iter().flatten() {
            if let Some(collected) = self.collected.get_mut(&collector) {
                collected.push(object);
            }
        }
        self.noticed.remove(&object)
    }
}

/// Hands out the objects of a set as they come to exist. The caller holds references to them as long.
pub struct Collector {
    client: Client,
    id: u64,
    objects: Vec<ObjectId>,
}

impl Client {
    /// Waits for distinct objects, to be taken with [`Collector::take`].
    pub fn collect(&self, objects: Vec<ObjectId>) -> Collector {
        let mut state = self.shared.lock();
        self.shared.pump(&mut state);
        let id = state.new_request();
        let mut there = Vec::new();
        for &object in &objects {
            if state.process.watch(object) {
                there.push(object);
            } else {
                state.interests.wanted.entry(object).or_default().push(id);
            }
        }
        state.interests.collected.insert(id, there);
        self.shared.act(&mut state);
        drop(state);
        Collector { client: self.clone(), id, objects }
    }
}

impl Collector {
    /// Those that came since the last call, at least one, in order; none when the wait ended otherwise.
    pub fn take(&self, deadline: Option<Instant>, interrupt: Interrupt<'_>) -> Result<Vec<ObjectId>, WaitEnd> {
        let mut found = Vec::new();
        let mut take = |state: &mut State| {
            if let Some(collected) = state.interests.collected.get_mut(&self.id) {
                found.append(collected);
            }
            !found.is_empty()
        };
        match self.client.shared.wait(deadline, true, Some((&self.objects, 1)), interrupt, &mut take) {
            WaitEnd::Ready => Ok(found),
            other if found.is_empty() => Err(other),
            _ => Ok(found),
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let mut state = self.client.shared.lock();
        state.interests.collected.remove(&self.id);
        for object in &self.objects {
            if let Some(collectors) = state.interests.wanted.get_mut(object) {
                collectors.retain(|collector| *collector != self.id);
                if collectors.is_empty() {
                    state.interests.wanted.remove(object);
                }
            }
        }
    }
}
