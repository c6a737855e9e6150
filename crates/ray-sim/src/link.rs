//! Time, and what is on its way: every message arrives after a random delay, and never overtakes an earlier one on the same link.
//!
//! That is what a Unix socket promises, and all it promises: messages of different links overtake each other freely, which is where most
//! bugs of a distributed program live.

use crate::rng::Rng;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Virtual nanoseconds since the run began.
pub type Nanos = u64;

/// One microsecond.
pub const MICRO: Nanos = 1_000;
/// One millisecond.
pub const MILLI: Nanos = 1_000_000;
/// One second.
pub const SECOND: Nanos = 1_000_000_000;

/// Everything that will happen, in order of time; ties in the order they were made.
#[derive(Debug)]
pub struct Agenda<E> {
    now: Nanos,
    next: u64,
    heap: BinaryHeap<Reverse<(Nanos, u64)>>,
    events: BTreeMap<u64, E>,
}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        Agenda { now: 0, next: 0, heap: BinaryHeap::new(), events: BTreeMap::new() }
    }
}

impl<E> Agenda<E> {
    /// The time of the event that happens just now.
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// Lets something happen at that time. The number is for [`withdraw`](Self::withdraw).
    pub fn at(&mut self, when: Nanos, event: E) -> u64 {
        let number = self.next;
        self.heap.push(Reverse((when.max(self.now), number)));
        self.events.insert(number, event);
        self.next += 1;
        number
    }

    /// Something will not happen after all, if it has not happened yet.
    pub fn withdraw(&mut self, number: u64) {
        self.events.remove(&number);
    }

    /// Lets something happen that much later.
    pub fn after(&mut self, delay: Nanos, event: E) {
        let _ = self.at(self.now + delay, event);
    }

    /// The next event.
    pub fn pop(&mut self) -> Option<E> {
        loop {
            let Reverse((when, number)) = self.heap.pop()?;
            if let Some(event) = self.events.remove(&number) {
                self.now = when;
                return Some(event);
            }
        }
    }
}

/// How late messages are in this run.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// Usual delay, up to.
    pub usual: Nanos,
    /// Delay of a message that is held up, up to.
    pub worst: Nanos,
    /// How many messages in a thousand are held up.
    pub held_up: u64,
}

impl Weather {
    /// From calm to wild.
    pub fn draw(rng: &mut Rng) -> Self {
        match rng.index(4) {
            0 => Weather { usual: 20 * MICRO, worst: 100 * MICRO, held_up: 10 },
            1 => Weather { usual: 100 * MICRO, worst: 5 * MILLI, held_up: 30 },
            2 => Weather { usual: MILLI, worst: 20 * MILLI, held_up: 100 },
            _ => Weather { usual: 50 * MICRO, worst: 100 * MILLI, held_up: 200 },
        }
    }

    /// The delay of one message.
    pub fn delay(&self, rng: &mut Rng) -> Nanos {
        if rng.per_mille(self.held_up) { rng.within(self.usual, self.worst) } else { rng.within(MICRO, self.usual) }
    }
}

/// When the last message of each link arrives: the next one does so later.
#[derive(Debug)]
pub struct Links<L> {
    last: BTreeMap<L, Nanos>,
}

impl<L> Default for Links<L> {
    fn default() -> Self {
        Links { last: BTreeMap::new() }
    }
}

impl<L: Ord> Links<L> {
    /// When a message that would arrive at `when` arrives on this link.
    pub fn arrival(&mut self, link: L, when: Nanos) -> Nanos {
        let last = self.last.entry(link).or_default();
        *last = when.max(*last + 1);
        *last
    }
}
