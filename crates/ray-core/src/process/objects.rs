//! The objects a process has references to: who claims them here, what the scheduler has booked, what is known of their value.

use super::{Action, Process};
use ray_protocol::control::ToScheduler;
use ray_protocol::{Location, ObjectId, TaskId, Value};

/// One object this process has claims on.
#[derive(Debug, Default)]
pub(super) struct Object {
    /// Claims inside this process. The entry goes when this reaches zero.
    local: u32,
    /// Holds the scheduler has booked in this process's name; positive once the object is shared.
    holds: u32,
    /// Own objects: whether the scheduler was told, because a reference has left this process.
    announced: bool,
    /// Whether the scheduler was asked for the value.
    asked: bool,
    /// Whether it is known that there are no references inside the value.
    plain: bool,
    /// Whether the event loop wants an [`Action::Ready`].
    watched: bool,
    /// None until the object exists.
    value: Option<Value>,
    /// Own tasks that wait for it. Boxed: most objects never have one.
    #[allow(clippy::box_collection)]
    dependents: Option<Box<Vec<u64>>>,
}

impl Object {
    /// Whether anything in this process still needs it (P-1).
    pub(super) fn is_claimed(&self) -> bool {
        self.local > 0
    }

    pub(super) fn has_value(&self) -> bool {
        self.value.is_some()
    }

    /// Whether news of its value is waited for.
    pub(super) fn is_awaited(&self) -> bool {
        self.watched || self.dependents.is_some()
    }

    /// Whether the scheduler was asked for its value.
    pub(super) fn is_asked_for(&self) -> bool {
        self.asked
    }

    /// Own tasks that wait for it.
    pub(super) fn dependents(&self) -> &[u64] {
        self.dependents.as_deref().map_or(&[], Vec::as_slice)
    }
}

/// What is known of an object.
#[derive(Debug, PartialEq, Clone, Copy)]
pub enum ObjectView<'a> {
    /// No reference to it is alive in this process.
    Unknown,
    /// Not there yet.
    Pending,
    /// There.
    Ready(&'a Value),
}

impl Process {
    /// A new object made by this process; the caller gets one claim on it. `inner` are the references inside the value.
    pub fn put(&mut self, value: Value, inner: &[ObjectId]) -> ObjectId {
        let object = TaskId { client: self.me, seq: self.take_seq() }.result(0);
        self.put_as(object, value, inner);
        object
    }

    /// As [`put`](Self::put), under an id taken before with [`take_seq`](Self::take_seq).
    pub fn put_as(&mut self, object: ObjectId, value: Value, inner: &[ObjectId]) {
        self.objects.insert(object, Object { local: 1, value: Some(value), plain: inner.is_empty(), ..Object::default() });
        if !inner.is_empty() {
            for &object in inner {
                self.share(object);
            }
            self.tell_scheduler(ToScheduler::Contains { object, inner: inner.to_vec() });
            let outer = self.objects.get_mut(&object).expect("just inserted");
            outer.holds += 1;
        }
    }

    /// A result this worker is about to send has references inside: they live as long as it does. Its owner gets one hold on it.
    pub fn result_contains(&mut self, result: ObjectId, inner: &[ObjectId]) {
        for &object in inner {
            self.share(object);
        }
        self.tell_scheduler(ToScheduler::Contains { object: result, inner: inner.to_vec() });
    }

    /// The next running number of this process.
    #[inline]
    pub fn take_seq(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }

    /// One more claim on an object. A reference this process did not know yet was read from a message or an object that keeps it alive
    /// until the scheduler hears of our hold (it reads our messages in order, and ours to drop the other comes later).
    pub fn retain(&mut self, object: ObjectId) {
        let entry = self.entry(object);
        entry.local += 1;
        if entry.local == 1 && entry.holds == 0 {
            entry.holds = 1;
            let client = self.me;
            self.tell_scheduler(ToScheduler::Hold { client, object, count: 1 });
        }
    }

    /// One more claim on an object for which the sender of a message has already booked a hold in our name. A worker takes what was booked
    /// with a task when it begins the task or answers it unstarted; with a task given back ([`record::returned`](ray_protocol::record::returned))
    /// it takes nothing, for then the submitter takes the holds back.
    pub fn retain_booked(&mut self, object: ObjectId) {
        let entry = self.entry(object);
        entry.local += 1;
        entry.holds += 1;
    }

    /// The entry of an object, made if need be: then a reference has come from outside, so the scheduler knows the object.
    fn entry(&mut self, object: ObjectId) -> &mut Object {
        if !self.objects.contains_key(&object) {
            let mine = object.owner() == self.me;
            self.awaited_elsewhere.remove(&object);
            self.own_came_back |= mine;
            self.objects.insert(object, Object { announced: mine, ..Object::default() });
        }
        self.objects.get_mut(&object).expect("made just now if it was not there")
    }

    /// One more claim on an object this process certainly has an entry for.
    #[inline]
    pub fn retain_known(&mut self, object: ObjectId) {
        match self.objects.get_mut(&object) {
            Some(entry) => entry.local += 1,
            None => self.retain(object),
        }
    }

    /// One claim less. The last one gives the object up (P-2).
    #[inline]
    pub fn release(&mut self, object: ObjectId) {
        let Some(entry) = self.objects.get_mut(&object) else { return };
        entry.local -= 1;
        if entry.local == 0 {
            let entry = self.objects.remove(&object).expect("just seen");
            self.give_up(object, entry);
        }
    }

    fn give_up(&mut self, object: ObjectId, entry: Object) {
        if entry.holds > 0 {
            let client = self.me;
            self.tell_scheduler(ToScheduler::Hold { client, object, count: -(entry.holds as i32) });
        }
        if object.owner() != self.me {
            return;
        }
        match (entry.announced, entry.value.as_ref()) {
            // Others may wait for what its task will give.
            (true, None) if self.is_under_way(object) => {
                self.awaited_elsewhere.insert(object);
            }
            // Only this process ever knew where it lies.
            (false, Some(Value::Stored(_))) => self.actions.push_back(Action::Free(object)),
            _ => {}
        }
    }

    /// Whether a task of this process will give the object its value.
    fn is_under_way(&self, object: ObjectId) -> bool {
        object.owner() == self.me && self.tasks.contains_key(&object.task.seq)
    }

    /// What is known of an object's value.
    #[inline]
    pub fn value(&self, object: ObjectId) -> ObjectView<'_> {
        match self.objects.get(&object) {
            None => ObjectView::Unknown,
            Some(Object { value: None, .. }) => ObjectView::Pending,
            Some(Object { value: Some(value), .. }) => ObjectView::Ready(value),
        }
    }

    /// Asks for an [`Action::Ready`] when the object gets its value. Returns whether it has one already.
    pub fn watch(&mut self, object: ObjectId) -> bool {
        let Some(entry) = self.objects.get_mut(&object) else { return false };
        if entry.value.is_some() {
            return true;
        }
        entry.watched = true;
        self.ask_for(object);
        false
    }

    /// Makes sure that news of the object's value will come, if it is somebody else's; or our own that came back after we had given it up.
    pub fn ask_for(&mut self, object: ObjectId) {
        if self.is_under_way(object) {
            return;
        }
        let Some(entry) = self.objects.get_mut(&object) else { return };
        if entry.value.is_none() && !entry.asked {
            entry.asked = true;
            self.tell_scheduler(ToScheduler::Subscribe { object });
        }
    }

    /// Whether [`ask_for`](Self::ask_for) has nothing to do for these: all are this process's own and have never left it for good.
    pub fn are_all_at_home(&self, objects: &[ObjectId]) -> bool {
        !self.own_came_back && objects.iter().all(|object| object.owner() == self.me)
    }

    /// A copy of the object was brought to this node.
    pub fn localised(&mut self, object: ObjectId, location: Location) {
        if let Some(entry) = self.objects.get_mut(&object) {
            entry.value = Some(Value::Stored(location));
        }
    }

    /// How many objects this process has claims on.
    pub fn object_count(&self) -> usize {
        self.objects.len()
    }

    /// The objects this process has claims on: how many claims, and the value if there is one yet. In no particular order.
    pub fn objects(&self) -> impl Iterator<Item = (ObjectId, u32, Option<&Value>)> {
        self.objects.iter().map(|(object, entry)| (object, entry.local, entry.value.as_ref()))
    }

    /// Tells the scheduler of an object before a reference to it leaves this process. Foreign objects are known to it already.
    pub fn share(&mut self, object: ObjectId) {
        let me = self.me;
        let Some(entry) = self.objects.get_mut(&object) else { return };
        if object.owner() != me || entry.announced {
            return;
        }
        entry.announced = true;
        entry.holds += 1;
        let value = entry.value.as_ref().cloned();
        self.tell_scheduler(ToScheduler::Share { object, value });
    }

    /// Books a hold for the client a reference travels to.
    pub(super) fn book_hold(&mut self, client: ray_protocol::ClientId, object: ObjectId) {
        self.share(object);
        self.tell_scheduler(ToScheduler::Hold { client, object, count: 1 });
    }

    /// Makes the entry of a result that does not exist yet, with the caller's claim on it.
    #[inline]
    pub(super) fn expect_object(&mut self, object: ObjectId) {
        self.objects.insert(object, Object { local: 1, ..Object::default() });
    }

    /// A task of this process gave an object its value.
    pub(super) fn own_value(&mut self, object: ObjectId, value: Value, has_refs: bool) {
        let me = self.me;
        let elsewhere = matches!(&value, Value::Stored(location) if location.node != self.node);
        let Some(entry) = self.objects.get_mut(&object) else {
            // Nobody here wants it any more. If there are references inside, one hold of ours was booked with them.
            let mut holds = i32::from(has_refs);
            if self.awaited_elsewhere.remove(&object) {
                self.tell_scheduler(ToScheduler::Ready { object, value });
            } else if elsewhere {
                self.tell_scheduler(ToScheduler::Share { object, value: Some(value) });
                holds += 1;
            } else if let Value::Stored(_) = value {
                self.actions.push_back(Action::Free(object));
            }
            if holds > 0 {
                self.tell_scheduler(ToScheduler::Hold { client: me, object, count: -holds });
            }
            return;
        };
        if entry.value.is_some() {
            // An earlier attempt already gave it one; what this one booked goes back.
            if has_refs {
                self.tell_scheduler(ToScheduler::Hold { client: me, object, count: -1 });
            }
            return;
        }
        entry.holds += u32::from(has_refs);
        entry.plain = !has_refs;
        let tell = entry.announced.then(|| value.clone());
        entry.value = Some(value);
        if let Some(value) = tell {
            self.tell_scheduler(ToScheduler::Ready { object, value });
        } else if elsewhere {
            // Its bytes are in another node's store, which only the scheduler can tell to free them.
            self.share(object);
        }
        self.now_ready(object);
    }

    /// Whether a worker that gets this value could find references in it.
    pub(super) fn may_contain(&self, object: ObjectId) -> bool {
        self.objects.get(&object).is_some_and(|entry| !entry.plain)
    }

    /// The scheduler told us the value of an object we asked for.
    pub(super) fn foreign_value(&mut self, object: ObjectId, value: Value) {
        let Some(entry) = self.objects.get_mut(&object) else { return };
        if entry.value.is_none() {
            entry.value = Some(value);
            self.now_ready(object);
        }
    }

    /// How many objects have got their values so far: while this stands still, nobody needs to look again.
    #[inline]
    pub fn arrivals(&self) -> u64 {
        self.arrivals
    }

    /// How many of them are failures.
    #[inline]
    pub fn failures(&self) -> u64 {
        self.failures
    }

    fn now_ready(&mut self, object: ObjectId) {
        self.arrivals += 1;
        let entry = self.objects.get_mut(&object).expect("its value was just set");
        self.failures += u64::from(matches!(entry.value.as_ref(), Some(Value::Failed(_))));
        if core::mem::take(&mut entry.watched) {
            self.actions.push_back(Action::Ready(object));
        }
        if let Some(dependents) = entry.dependents.take() {
            for seq in *dependents {
                self.input_ready(seq);
            }
        }
    }

    /// Registers a task that waits for an object; false when there is nothing to wait for.
    pub(super) fn depend(&mut self, object: ObjectId, seq: u64) -> bool {
        let Some(entry) = self.objects.get_mut(&object) else { return false };
        if entry.value.is_some() {
            return false;
        }
        entry.dependents.get_or_insert_default().push(seq);
        self.ask_for(object);
        true
    }
}
