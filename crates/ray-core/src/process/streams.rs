//! Streams: tasks whose results come one by one, for as long as their function yields.
//!
//! Result 0 of such a task is how it ends: it gets a value when the function has returned, or the failure. The items are results 1, 2, … in
//! the order in which they were yielded; an item is an object like any other from the moment it arrives.
//!
//! ```text
//!   1 … consumed       consumed + 1 … arrived       arrived + 1
//!   handed out         claimed by the stream        claimed, without a value: who waits for the next item waits for this object,
//!                                                   which gets a value too when the stream ends (there is no such item)
//! ```
//!
//! A later attempt at the task yields the same items again; it is told how many have arrived, and does not send them a second time. So an
//! item never changes once it has arrived, and what failed comes after it.

use super::objects::Object;
use super::{Action, Process};
use ray_protocol::record::{NOBODY_WANTS_MORE, RecordError};
use ray_protocol::{Failure, ObjectId, TaskId};
use std::ops::Range;

/// A stream somebody still takes items from. It may outlive its task.
#[derive(Debug)]
pub(super) struct Stream {
    /// Items handed out.
    consumed: u32,
    /// Items that have arrived.
    pub(super) arrived: u32,
    /// Whether the task waits when too many items are under way, and must hear of those that were taken.
    limited: bool,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// More may come.
    Open,
    /// Nothing more will come.
    Completed,
    /// What comes after the last item is the failure.
    Failed,
    /// Which has been handed out.
    FailureTold,
}

/// What follows in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextItem {
    /// An item; the caller has a claim on it from now on.
    Item(ObjectId),
    /// The failure the stream ends with, once; the caller has a claim on it from now on.
    Failure(ObjectId),
    /// It has not arrived yet.
    NotYet,
    /// Nothing.
    End,
}

/// No task yields that many: the ids above stand for other things.
const MOST_ITEMS: u32 = u32::MAX - 4;

impl Process {
    /// Makes the stream of a task that was just submitted, and claims on what it promises.
    pub(super) fn open_stream(&mut self, task: TaskId, limited: bool) {
        self.streams.insert(task.seq, Stream { consumed: 0, arrived: 0, limited, end: End::Open });
        self.claim_promised(task.result(0));
        self.claim_promised(task.result(1));
    }

    /// Takes what follows in a stream of this process.
    pub fn next_item(&mut self, stream: TaskId) -> NextItem {
        let Some(entry) = self.streams.get_mut(&stream.seq) else { return NextItem::End };
        if entry.consumed < entry.arrived {
            entry.consumed += 1;
            let item = stream.result(entry.consumed);
            if entry.limited {
                self.tell_consumed(stream.seq);
            }
            return NextItem::Item(item);
        }
        match entry.end {
            End::Open => NextItem::NotYet,
            End::Completed | End::FailureTold => NextItem::End,
            End::Failed => {
                entry.end = End::FailureTold;
                let failure = stream.result(0);
                self.retain_known(failure);
                NextItem::Failure(failure)
            }
        }
    }

    /// The object that has a value as soon as [`next_item`](Self::next_item) says something other than that it has not arrived.
    pub fn awaited_item(&self, stream: TaskId) -> Option<ObjectId> {
        self.streams.get(&stream.seq).map(|entry| stream.result(entry.consumed + 1))
    }

    /// Whether everything was handed out that a stream will ever have.
    pub fn is_exhausted(&self, stream: TaskId) -> bool {
        self.streams
            .get(&stream.seq)
            .is_none_or(|entry| entry.consumed == entry.arrived && matches!(entry.end, End::Completed | End::FailureTold))
    }

    /// Nobody will take more items of a stream: those that were not handed out go. A task that waits for its consumer hears of it.
    pub fn drop_stream(&mut self, stream: TaskId) {
        let Some(entry) = self.streams.remove(&stream.seq) else { return };
        self.release(stream.result(0));
        for index in entry.consumed + 1..=entry.arrived + 1 {
            self.release(stream.result(index));
        }
        if entry.limited {
            self.tell_consumed(stream.seq);
        }
    }

    /// Tells the worker of a stream how much of it was taken, as soon as it has one.
    pub(super) fn tell_consumed(&mut self, seq: u64) {
        let Some(worker) = self.tasks.get(&seq).and_then(|task| task.worker()) else { return };
        let items = match self.streams.get(&seq) {
            None => NOBODY_WANTS_MORE,
            Some(Stream { limited: true, consumed: 1.., .. }) => u64::from(self.streams[&seq].consumed),
            Some(_) => return, // it is what a worker assumes
        };
        self.actions.push_back(Action::Consumed { worker, seq, items });
    }

    /// What a record of a stream may carry: the next items, or the end.
    pub(super) fn check_stream_record(&self, seq: u64, indices: Range<usize>, more: bool) -> Result<(), RecordError> {
        let arrived = self.tasks[&seq].arrived as usize;
        match more {
            false if indices != (0..1) => Err(RecordError("a stream ends with one value")),
            true if indices.start != arrived + 1 => Err(RecordError("items of a stream out of order")),
            true if indices.end > MOST_ITEMS as usize => Err(RecordError("more items than a stream may have")),
            _ => Ok(()),
        }
    }

    /// The items below `end` get their values next.
    pub(super) fn expect_items(&mut self, id: TaskId, end: u32) {
        if let Some(stream) = self.streams.get_mut(&id.seq) {
            let promised = stream.arrived + 2..=end;
            stream.arrived = end - 1;
            for index in promised {
                self.claim_promised(id.result(index));
            }
        }
    }

    /// The task of a stream is about to be forgotten: its result 0 has a value.
    pub(super) fn stream_ended(&mut self, id: TaskId, failed: bool) {
        let task = &self.tasks[&id.seq];
        let beyond = id.result(task.arrived + 1);
        if task.header.attempt > 0 {
            self.actions.push_back(Action::Free(beyond)); // what a lost attempt may have written
        }
        if let Some(stream) = self.streams.get_mut(&id.seq) {
            stream.end = if failed { End::Failed } else { End::Completed };
        }
        // Whoever waits for it learns that it will not come; also when the stream was dropped meanwhile.
        if self.objects.contains_key(&beyond) {
            self.own_value(beyond, Failure::StreamEnded.into_value(), false);
        }
    }

    /// One more claim on a result that does not exist yet.
    fn claim_promised(&mut self, object: ObjectId) {
        if self.objects.contains_key(&object) {
            self.retain_known(object); // a guessed id
        } else {
            self.expect_object(object);
        }
    }

    pub(super) fn validate_streams(&self) {
        for (&seq, stream) in &self.streams {
            let id = TaskId { client: self.me, seq };
            let has_value = |index| self.objects.get(&id.result(index)).map(Object::has_value);
            for index in stream.consumed + 1..=stream.arrived {
                assert_eq!(has_value(index), Some(true), "item {index} of stream {seq} has arrived and is not there");
            }
            let is_over = stream.end != End::Open;
            assert_eq!(has_value(stream.arrived + 1), Some(is_over), "what follows the last item of stream {seq}");
            assert_eq!(has_value(0), Some(is_over), "the end of stream {seq}");
            match self.tasks.get(&seq) {
                Some(task) => assert_eq!(task.arrived, stream.arrived, "stream {seq} and its task disagree"),
                None => assert!(is_over, "nothing will end stream {seq}"),
            }
        }
    }
}
