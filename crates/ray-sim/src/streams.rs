//! Streams: a program takes items of a task that yields them, and a worker yields them.

use crate::check::{Check, Outcome, judge};
use crate::cluster::Cluster;
use crate::executor::count_outcome;
use crate::link::MICRO;
use crate::process::{Execution, ProcId, Wait};
use crate::program::{Content, ProgramId, Slot, mix};
use crate::ring::Lane;
use ray_core::process::NextItem;
use ray_protocol::record::{self, NOBODY_WANTS_MORE};
use ray_protocol::{ClientId, ObjectId, TaskId, Value};

/// A stream in a program's hands.
#[derive(Debug, Clone, Copy)]
pub struct Intake {
    /// The task that yields.
    pub task: TaskId,
    /// What it runs.
    pub program: ProgramId,
    /// Items taken.
    pub taken: usize,
    /// Its failure was taken.
    pub failed: bool,
}

/// What a task that yields knows of its stream.
#[derive(Debug, Clone)]
pub struct Yielding {
    /// Items that an earlier attempt sent.
    sent_before: u32,
    /// Items yielded.
    yielded: u32,
    /// Items its consumer took.
    consumed: u64,
    /// How many may be under way; 0 for any number.
    most_untaken: u32,
    /// Written and not sent: a worker may die in between.
    unsent: Option<(Value, bool)>,
}

impl Yielding {
    pub(crate) fn new(sent_before: u32, consumed: u64, most_untaken: u32) -> Self {
        Yielding { sent_before, yielded: 0, consumed, most_untaken, unsent: None }
    }

    fn nobody_wants_more(&self) -> bool {
        self.most_untaken > 0 && self.consumed == NOBODY_WANTS_MORE
    }

    fn waits(&self) -> bool {
        self.most_untaken > 0
            && !self.nobody_wants_more()
            && self.yielded >= self.sent_before
            && u64::from(self.yielded) >= self.consumed + u64::from(self.most_untaken)
    }
}

impl Cluster {
    /// Takes what follows in a stream: one more slot, empty when nothing follows.
    pub(crate) fn take_next(&mut self, proc: ProcId, stream: usize) -> Check {
        let Some(taking) = self.frame(proc).streams[stream] else {
            self.frame(proc).slots.push(None);
            self.run_soon(proc, MICRO);
            return Ok(());
        };
        let (items, raises) = {
            let plan = &self.plan.programs[taking.program as usize];
            (plan.items.len(), plan.expect.value.is_none())
        };
        let found = match self.core(proc).next_item(taking.task) {
            NextItem::NotYet => {
                let awaited = self.core(proc).awaited_item(taking.task).ok_or("I7: an open stream awaits nothing")?;
                self.frame(proc).at -= 1;
                self.core(proc).watch(awaited);
                self.wait_for(proc, Wait::Object(awaited));
                return Ok(());
            }
            NextItem::Item(object) if object != taking.task.result(taking.taken as u32 + 1) => {
                return Err(format!("I7: {object} is item {} of stream {}", taking.taken, taking.task));
            }
            NextItem::Item(object) => Some(object),
            NextItem::Failure(object) if taking.failed => return Err(format!("I7: {object} fails twice")),
            NextItem::Failure(object) => {
                self.frame(proc).streams[stream].as_mut().expect("just seen").failed = true;
                Some(object)
            }
            NextItem::End if !taking.failed && (taking.taken < items || raises) => {
                return Err(format!("I7: stream {} ends after {} of {items} items", taking.task, taking.taken));
            }
            NextItem::End => None,
        };
        self.frame(proc).slots.push(found);
        if let Some(object) = found {
            self.frame(proc).streams[stream].as_mut().expect("just seen").taken += 1;
            self.taken(proc, object)?;
        }
        if self.procs[proc].alive && self.procs[proc].frame.as_ref().is_some_and(|frame| frame.result.is_none()) {
            self.run_soon(proc, MICRO);
        }
        Ok(())
    }

    /// An item is what it must be; one that is a failure ends the task that took it.
    fn taken(&mut self, proc: ProcId, object: ObjectId) -> Check {
        let outcome = self.outcome(proc, object)?.ok_or_else(|| format!("I7: {object} was handed out and has no value"))?;
        let (program, slot): (ProgramId, Slot) = (self.frame(proc).program, self.frame(proc).slots.len() - 1);
        judge(object, &self.expected(program, slot), &outcome, &self.plan.faults)?;
        self.tally.count("items taken");
        count_outcome(&mut self.tally, &outcome);
        match outcome {
            Outcome::Value(content) => {
                let frame = self.frame(proc);
                frame.so_far = mix(frame.so_far, content.value);
            }
            Outcome::Failed(cause) if !self.procs[proc].is_driver() => return self.end(proc, Err(cause)),
            Outcome::Failed(_) => {}
        }
        Ok(())
    }

    /// Drops a stream, whatever it still has.
    pub(crate) fn drop_stream(&mut self, proc: ProcId, stream: usize) {
        if let Some(taking) = self.frame(proc).streams[stream].take() {
            self.core(proc).drop_stream(taking.task);
            self.tally.count("streams dropped");
        }
    }

    /// Yields: the item is written now and sent a moment later.
    pub(crate) fn yield_item(&mut self, proc: ProcId, value: u64, inner: &[Slot], stored: bool) -> Check {
        let inner = self.objects(proc, inner).unwrap_or_default();
        let frame = self.frame(proc);
        let Some(Execution::Task { from, seq }) = frame.task else { return Ok(()) };
        let yielding = frame.yielding.as_mut().ok_or("a task that is no stream yields")?;
        yielding.yielded += 1;
        if yielding.yielded > yielding.sent_before {
            let object = TaskId { client: from, seq }.result(yielding.yielded);
            if !inner.is_empty() {
                self.core(proc).result_contains(object, &inner);
                self.carry_out(proc)?;
            }
            let has_refs = !inner.is_empty();
            let value = self.value(proc, object, Content { value, inner }.encode(), stored);
            self.frame(proc).yielding.as_mut().expect("just seen").unsent = Some((value, has_refs));
        } else {
            self.tally.count("items not sent again");
        }
        self.run_soon(proc, MICRO);
        Ok(())
    }

    /// Sends what was yielded; true when there was something.
    pub(crate) fn send_item(&mut self, proc: ProcId) -> bool {
        let frame = self.frame(proc);
        let (Some(Execution::Task { from, seq }), Some(yielding)) = (frame.task, frame.yielding.as_mut()) else { return false };
        let Some((value, has_refs)) = yielding.unsent.take() else { return false };
        let mut bytes = Vec::new();
        record::write_result_header(&mut bytes, seq, yielding.yielded, 1, true, 0);
        record::write_result_value(&mut bytes, &value, has_refs);
        self.push(proc, from, Lane::Results, bytes);
        self.run_soon(proc, MICRO);
        true
    }

    /// Whether the program of a stream goes on with its next step: it waits for its consumer, and ends when that is gone.
    pub(crate) fn may_go_on(&mut self, proc: ProcId) -> Result<bool, String> {
        let Some(yielding) = &self.frame(proc).yielding else { return Ok(true) };
        if yielding.waits() {
            self.tally.count("producers that waited");
            self.wait_for(proc, Wait::Demand);
            return Ok(false);
        }
        if yielding.nobody_wants_more() && yielding.yielded > 0 {
            self.tally.count("producers that stopped");
            self.end(proc, Ok(()))?;
            return Ok(false);
        }
        Ok(true)
    }

    /// Word of a consumer reaches a worker.
    pub(crate) fn consumed(&mut self, proc: ProcId, from: ClientId, seq: u64, items: u64) {
        let process = &mut self.procs[proc];
        if let Some(task) = process.unstarted.iter_mut().find(|task| task.from == from && task.header.seq == seq) {
            task.consumed = task.consumed.max(items);
        }
        let running = process.frame.as_mut().filter(
            |frame| matches!(frame.task, Some(Execution::Task { from: whose, seq: which }) if whose == from && which == seq),
        );
        let Some(yielding) = running.and_then(|frame| frame.yielding.as_mut()) else { return };
        yielding.consumed = yielding.consumed.max(items);
        if !yielding.waits() {
            self.wait_over(proc, Wait::Demand);
        }
    }

    /// The consumer of what an actor yields is gone.
    pub(crate) fn consumer_gone(&mut self, proc: ProcId, client: ClientId) {
        if let Some(Execution::Task { from, seq }) = self.procs[proc].frame.as_ref().and_then(|frame| frame.task)
            && from == client
        {
            self.consumed(proc, from, seq, NOBODY_WANTS_MORE);
        }
    }
}
