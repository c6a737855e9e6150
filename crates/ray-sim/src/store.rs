//! A node's object store, reduced to what clients may rely on: bytes that were written are there until the object is freed.

use ray_protocol::{ClientId, Location, NodeId, ObjectId, SegmentId};
use std::collections::{BTreeMap, BTreeSet};

/// What lies in one node's store.
#[derive(Debug)]
pub struct Store {
    node: NodeId,
    next_offset: u64,
    objects: BTreeMap<ObjectId, BTreeMap<u64, Vec<u8>>>,
    freed: BTreeSet<ObjectId>,
}

impl Store {
    /// An empty store.
    pub fn new(node: NodeId) -> Self {
        Store { node, next_offset: 0, objects: BTreeMap::new(), freed: BTreeSet::new() }
    }

    /// Writes an object. A second attempt at its task may write it a second time, elsewhere.
    pub fn write(&mut self, writer: ClientId, object: ObjectId, bytes: Vec<u8>) -> Location {
        let (offset, size_bytes) = (self.next_offset, bytes.len() as u64);
        self.next_offset += size_bytes.max(1);
        self.objects.entry(object).or_default().insert(offset, bytes);
        Location { node: self.node, segment: SegmentId { writer, number: 0 }, offset, size_bytes }
    }

    /// The bytes at a location, if they are still there.
    pub fn read(&self, object: ObjectId, location: &Location) -> Option<&[u8]> {
        self.objects.get(&object)?.get(&location.offset).map(Vec::as_slice)
    }

    /// Whether an object is there.
    pub fn has(&self, object: ObjectId) -> bool {
        self.objects.contains_key(&object)
    }

    /// Frees an object; false when it had been freed before. One that never came to be may be freed: a lost attempt may have written it.
    pub fn free(&mut self, object: ObjectId) -> bool {
        self.objects.remove(&object);
        self.freed.insert(object)
    }

    /// What has not been freed.
    pub fn left(&self) -> impl Iterator<Item = ObjectId> {
        self.objects.keys().copied()
    }
}
