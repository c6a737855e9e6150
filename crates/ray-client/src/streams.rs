//! Streams: taking items where a task was submitted, and on the worker's side sending them no faster than they are wanted.

use crate::serve::Manner;
use crate::state::State;
use crate::wait::{Interrupt, WaitEnd};
use crate::{Client, FORKS};
use ray_core::process::NextItem;
use ray_protocol::record::NOBODY_WANTS_MORE;
use ray_protocol::{ObjectId, TaskId};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Whether a task may yield its next item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// It may.
    Open,
    /// As many items are under way as may be: the consumer has to take some first.
    Sated,
    /// The ring is full: the consumer's process has to read it first.
    Congested,
    /// Nobody will take more.
    Gone,
}

/// Nobody tells a worker that a ring has room again: a full one empties within this time, or its reader is stopped.
const CONGESTION_PAUSE: Duration = Duration::from_micros(200);

impl Client {
    /// Takes what follows in a stream this process has opened; looks at the rings if nothing has arrived.
    pub fn next_item(&self, stream: TaskId) -> NextItem {
        let mut state = self.shared.lock();
        let mut next = state.process.next_item(stream);
        if next == NextItem::NotYet {
            self.shared.pump(&mut state);
            next = state.process.next_item(stream);
        }
        self.shared.act(&mut state);
        next
    }

    /// The object that has a value as soon as something follows in a stream, with a claim on it for the caller.
    pub fn awaited_item(&self, stream: TaskId) -> Option<ObjectId> {
        let mut state = self.shared.lock();
        let object = state.process.awaited_item(stream)?;
        state.process.retain(object);
        Some(object)
    }

    /// Whether everything in a stream was taken.
    pub fn is_exhausted(&self, stream: TaskId) -> bool {
        let mut state = self.shared.lock();
        self.shared.pump(&mut state);
        state.process.is_exhausted(stream)
    }

    /// Nobody takes more of a stream.
    pub fn drop_stream(&self, stream: TaskId) {
        if self.shared.forks != FORKS.load(Ordering::Relaxed) {
            return; // the parent's
        }
        let mut state = self.shared.lock();
        state.process.drop_stream(stream);
        self.shared.act(&mut state);
    }

    /// A worker's view of who takes the items of a task it runs, of which it has yielded so many. `most_untaken` may be under way; 0 means
    /// any number, and then that nobody takes them is no reason to stop.
    pub fn demand(&self, task: TaskId, yielded: u32, most_untaken: u32) -> Demand {
        let mut state = self.shared.lock();
        self.demand_in(&mut state, task, yielded, most_untaken)
    }

    fn demand_in(&self, state: &mut State, task: TaskId, yielded: u32, most_untaken: u32) -> Demand {
        match state.serving.is_congested(task.client) {
            None => return Demand::Gone, // the submitter has ended
            Some(true) => return Demand::Congested,
            Some(false) => {}
        }
        if most_untaken == 0 {
            return Demand::Open;
        }
        match state.serving.consumed(task) {
            NOBODY_WANTS_MORE => Demand::Gone,
            taken if u64::from(yielded) < taken + u64::from(most_untaken) => Demand::Open,
            _ => Demand::Sated,
        }
    }

    /// Waits until a task may yield its next item; false when nobody will take it. While it waits for its consumer, the task counts as
    /// blocked: what it holds is free for others, the consumer's own tasks among them.
    pub fn wait_for_demand(
        &self,
        task: TaskId,
        yielded: u32,
        most_untaken: u32,
        interrupt: Interrupt<'_>,
    ) -> Result<bool, WaitEnd> {
        loop {
            match self.demand(task, yielded, most_untaken) {
                Demand::Open => return Ok(true),
                Demand::Gone => return Ok(false),
                Demand::Congested => {
                    if interrupt() {
                        return Err(WaitEnd::Interrupted);
                    }
                    std::thread::sleep(CONGESTION_PAUSE);
                }
                Demand::Sated => {
                    let end = self.shared.wait(None, true, Some((&[], 0)), interrupt, &mut |state| {
                        if state.serving.manner != Manner::CallsAtOnce {
                            self.shared.serve_signals(state);
                        }
                        self.demand_in(state, task, yielded, most_untaken) != Demand::Sated
                    });
                    if end != WaitEnd::Ready {
                        return Err(end);
                    }
                }
            }
        }
    }

    /// Sends one item to a stream's submitter.
    pub fn send_item(&self, task: TaskId, record: &[u8]) {
        let mut state = self.shared.lock();
        self.shared.announce_results(&mut state, task);
        if state.serving.reply(task.client, &[record]) {
            self.shared.retry_soon(&mut state);
        }
    }
}
