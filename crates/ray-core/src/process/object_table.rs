//! The objects a process has claims on, by id. Nearly all are first results and `put` values of its own: these are found by their number.

use super::objects::Object;
use super::seq_map::SeqMap;
use hashbrown::HashMap;
use ray_protocol::{ClientId, ObjectId, TaskId};

#[derive(Debug)]
pub(super) struct ObjectTable {
    me: ClientId,
    mine: SeqMap<Object>,
    /// Other processes' objects, and second and further results.
    others: HashMap<ObjectId, Object>,
}

impl ObjectTable {
    pub(super) fn new(me: ClientId) -> Self {
        ObjectTable { me, mine: SeqMap::default(), others: HashMap::new() }
    }

    #[inline]
    fn is_mine(&self, object: &ObjectId) -> bool {
        object.task.client == self.me && object.index == 0
    }

    #[inline]
    pub(super) fn get(&self, object: &ObjectId) -> Option<&Object> {
        if self.is_mine(object) { self.mine.get(&object.task.seq) } else { self.others.get(object) }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, object: &ObjectId) -> Option<&mut Object> {
        if self.is_mine(object) { self.mine.get_mut(&object.task.seq) } else { self.others.get_mut(object) }
    }

    pub(super) fn contains_key(&self, object: &ObjectId) -> bool {
        self.get(object).is_some()
    }

    #[inline]
    pub(super) fn insert(&mut self, object: ObjectId, entry: Object) {
        if self.is_mine(&object) {
            self.mine.insert(object.task.seq, entry);
        } else {
            self.others.insert(object, entry);
        }
    }

    #[inline]
    pub(super) fn remove(&mut self, object: &ObjectId) -> Option<Object> {
        if self.is_mine(object) { self.mine.remove(&object.task.seq) } else { self.others.remove(object) }
    }

    pub(super) fn len(&self) -> usize {
        self.mine.len() + self.others.len()
    }

    /// In no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ObjectId, &Object)> {
        let mine = self.mine.iter().map(|(seq, entry)| (TaskId { client: self.me, seq }.result(0), entry));
        mine.chain(self.others.iter().map(|(&object, entry)| (object, entry)))
    }
}
