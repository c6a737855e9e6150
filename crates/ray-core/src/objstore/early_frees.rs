//! Objects freed before they were announced.
//!
//! The owner of a task's result may drop it as soon as the worker's answer arrives, while the worker's announcement to the store is
//! still in its socket. Forgetting such a free would leak the object.

use crate::Time;
use core::time::Duration;
use hashbrown::HashMap;
use ray_protocol::ObjectId;
use std::collections::VecDeque;

/// A bounded memory of such frees, the oldest going first.
#[derive(Debug, Default)]
pub(super) struct EarlyFrees {
    /// The number under which each was remembered last.
    numbers: HashMap<ObjectId, u64>,
    /// In order of arrival. An entry whose number is not the object's in `numbers` has been taken, or was remembered again later.
    order: VecDeque<(Time, u64, ObjectId)>,
    next: u64,
}

impl EarlyFrees {
    pub(super) fn remember(&mut self, now: Time, object: ObjectId) {
        self.numbers.insert(object, self.next);
        self.order.push_back((now, self.next, object));
        self.next += 1;
        while let Some(&(at, number, object)) = self.order.front()
            && (self.order.len() > MOST_KEPT || now.since(at) > LONGEST_KEPT)
        {
            self.order.pop_front();
            if self.numbers.get(&object) == Some(&number) {
                self.numbers.remove(&object);
            }
        }
    }

    /// Whether the object was freed; asked once, when it is announced.
    pub(super) fn take(&mut self, object: ObjectId) -> bool {
        self.numbers.remove(&object).is_some()
    }

    pub(super) fn validate(&self) {
        assert!(self.numbers.len() <= self.order.len() && self.order.len() <= MOST_KEPT);
    }
}

/// Some 60 MiB of bookkeeping at worst.
const MOST_KEPT: usize = 1_000_000;

/// The scheduler frees shared objects at every store, so most of what is remembered never comes. What does come waited in a socket
/// for milliseconds; a minute forgives a process that was stopped and went on.
const LONGEST_KEPT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use ray_protocol::{ClientId, TaskId};

    fn object(seq: u64) -> ObjectId {
        TaskId { client: ClientId(1), seq }.result(0)
    }

    #[test]
    fn each_is_taken_once_and_the_oldest_go_first() {
        let mut frees = EarlyFrees::default();
        for seq in 0..=MOST_KEPT as u64 {
            frees.remember(Time::default(), object(seq));
        }
        frees.validate();
        assert!(!frees.take(object(0)));
        assert!(frees.take(object(1)));
        assert!(!frees.take(object(1)));
        frees.remember(Time::after(LONGEST_KEPT * 2), object(7));
        assert!(!frees.take(object(2)));
        assert!(frees.take(object(7)));
        assert_eq!(frees.numbers.len(), 0);
    }

    #[test]
    fn remembering_again_starts_the_time_anew() {
        let mut frees = EarlyFrees::default();
        frees.remember(Time::default(), object(1));
        frees.remember(Time::after(LONGEST_KEPT), object(1));
        frees.remember(Time::after(LONGEST_KEPT + Duration::from_secs(1)), object(2));
        assert!(frees.take(object(1)));
        frees.validate();
    }
}
