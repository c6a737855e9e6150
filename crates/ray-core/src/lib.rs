//! The decisions of raio, as state machines without I/O: what the scheduler, an object store and a client process do next.
//!
//! Each machine follows one contract. `handle(now, event)` (and, for a client process, the calls user code makes) changes state;
//! `poll_action()` yields what to do until it says `None`. Nothing here opens a socket, reads a clock, draws a random number or starts a
//! thread: time is an argument, and whatever is iterated keeps its order, so that one seed replays a whole cluster exactly
//! (`ray-sim`). The event loops in `ray-daemon` and `ray-python` only carry.
//!
//! Read [`process`] first (what a driver or worker tracks: most of a task's life), then [`scheduler`], then [`objstore`].

#![forbid(unsafe_code)]

pub mod objstore;
pub mod process;
pub mod scheduler;

use core::time::Duration;

/// A point in time, counted from whatever moment the one who drives the machine likes; it never goes back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Time(Duration);

impl Time {
    /// That long after the beginning.
    pub const fn after(beginning: Duration) -> Self {
        Time(beginning)
    }

    /// This moment, `later` on.
    pub fn plus(self, later: Duration) -> Self {
        Time(self.0 + later)
    }

    /// Microseconds since the beginning.
    pub const fn as_micros(self) -> u64 {
        self.0.as_micros() as u64
    }

    /// How long ago `earlier` was; zero if it is yet to come.
    pub fn since(self, earlier: Time) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
