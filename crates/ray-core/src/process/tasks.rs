//! The tasks a process has submitted and not seen the end of.

use super::{Action, LONG_TASK, ObjectView, Process, ShapeId, TaskSpec};
use ray_protocol::control::{GraphEvent, ToScheduler};
use ray_protocol::record::{self, RecordError, ResultValues, TaskHeader, flag};
use ray_protocol::value::Exit;
use ray_protocol::{Bytes, ClientId, Failure, FunctionId, NodeId, ObjectId, TaskId, Value};
use std::borrow::Cow;

/// One task between submission and its last result.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) header: TaskHeader,
    pub(super) body: Bytes,
    /// What it is connected with. Boxed: a million queued tasks of a driver, by value, have none and pay eight bytes each.
    links: Option<Box<Links>>,
    pub(super) shape: ShapeId,
    pub(super) state: TaskState,
    pub(super) retries_left: i32,
    /// Results (of a stream: items) that arrived, of whichever attempt: these are final.
    pub(super) arrived: u32,
    /// Set by cancel: whatever happens to it now, it is not tried again.
    pub(super) cancelled: bool,
}

/// What a task is connected with.
#[derive(Debug)]
struct Links {
    inputs: Box<[ObjectId]>,
    nested: Box<[ObjectId]>,
    actor: Option<TaskId>,
    parent: Option<TaskId>,
    /// What it is called, when that is not its function's name.
    shown_as: Option<FunctionId>,
}

impl Task {
    /// Arguments given by reference.
    pub(super) fn inputs(&self) -> &[ObjectId] {
        self.links.as_ref().map_or(&[], |links| &links.inputs)
    }

    /// References nested in arguments.
    pub(super) fn nested(&self) -> &[ObjectId] {
        self.links.as_ref().map_or(&[], |links| &links.nested)
    }

    /// The actor it is a call of.
    pub(super) fn actor(&self) -> Option<TaskId> {
        self.links.as_ref().and_then(|links| links.actor)
    }

    /// Where it was pushed.
    pub(super) fn worker(&self) -> Option<ClientId> {
        match self.state {
            TaskState::Pushed(worker) => Some(worker),
            TaskState::Waiting(_) | TaskState::Queued => None,
        }
    }

    /// What to push for it: an attempt at a stream is told what has arrived.
    fn header(&self) -> TaskHeader {
        TaskHeader { returns: if self.header.is_stream() { self.arrived } else { self.header.returns }, ..self.header }
    }

    /// What users know it as.
    pub(super) fn shown_as(&self) -> FunctionId {
        self.links.as_ref().and_then(|links| links.shown_as).unwrap_or(self.header.function)
    }

    /// The task that submitted it.
    fn parent(&self) -> Option<TaskId> {
        self.links.as_ref().and_then(|links| links.parent)
    }
}

/// Where a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TaskState {
    /// This many inputs do not exist yet.
    Waiting(u32),
    /// In its shape's queue (or its actor's).
    Queued,
    /// In this worker's ring, or running there.
    Pushed(ClientId),
}

impl Process {
    /// Submits a task. Returns its id; its `returns` results each have one claim, the caller's. A stream is the caller's to
    /// [drop](Self::drop_stream).
    pub fn submit(&mut self, spec: TaskSpec) -> TaskId {
        self.submit_for(spec, None)
    }

    pub(super) fn submit_for(&mut self, spec: TaskSpec, actor: Option<TaskId>) -> TaskId {
        let id = TaskId { client: self.me, seq: self.take_seq() };
        let is_stream = spec.flags & flag::STREAM != 0;
        let returns = if is_stream { 1 } else { spec.returns };
        if is_stream {
            self.open_stream(id, spec.limited);
        } else {
            for index in 0..returns {
                self.expect_object(id.result(index));
            }
        }
        self.report(GraphEvent::Submitted {
            seq: id.seq,
            function: spec.shown_as.unwrap_or(spec.function),
            returns,
            parent: spec.parent,
            actor,
            inputs: spec.inputs.clone(),
            at_us: self.now.as_micros(),
        });
        let mut missing = 0;
        for &input in &spec.inputs {
            self.retain_known(input);
            missing += u32::from(self.depend(input, id.seq));
        }
        for &object in &spec.nested {
            self.retain_known(object);
        }
        let flags = spec.flags | if spec.nested.is_empty() { 0 } else { flag::HAS_REFS };
        let alone = spec.inputs.is_empty() && spec.nested.is_empty();
        let links = if alone && actor.is_none() && spec.parent.is_none() && spec.shown_as.is_none() {
            None
        } else {
            let (inputs, nested) = (spec.inputs.into(), spec.nested.into());
            Some(Box::new(Links { inputs, nested, actor, parent: spec.parent, shown_as: spec.shown_as }))
        };
        let task = Task {
            header: TaskHeader { flags, attempt: 0, seq: id.seq, function: spec.function, returns, arguments: spec.arguments },
            body: spec.body,
            links,
            shape: spec.shape,
            state: TaskState::Waiting(missing),
            retries_left: spec.max_retries,
            arrived: 0,
            cancelled: false,
        };
        self.tasks.insert(id.seq, task);
        if actor.is_none() && missing == 0 {
            self.enqueue(id.seq);
        }
        id
    }

    /// What to push for an [`Action::Push`]: the header, and the body with every input's value in place. None when the task is gone.
    pub fn pushable(&self, seq: u64) -> Option<(TaskHeader, Cow<'_, [u8]>)> {
        let task = self.tasks.get(&seq)?;
        if task.inputs().is_empty() {
            return Some((task.header(), Cow::Borrowed(&task.body)));
        }
        let body = record::resolve_body(&task.body, task.header.arguments, |object| match self.value(object) {
            ObjectView::Ready(value) => value,
            _ => unreachable!("P-4: a task is pushed only when its inputs have values"),
        });
        let (mut header, mut body) = (task.header(), body.expect("this process wrote the body itself"));
        let boxes: Vec<ObjectId> = task.inputs().iter().copied().filter(|&input| self.travels_as_box(input)).collect();
        if !boxes.is_empty() {
            let nested = task.nested().len();
            if nested > 0 {
                let count_at = body.len() - 4 - nested * record::OBJECT_BYTES;
                body[count_at..count_at + 4].copy_from_slice(&((nested + boxes.len()) as u32).to_le_bytes());
            } else {
                header.flags |= flag::HAS_REFS;
                body.extend_from_slice(&(boxes.len() as u32).to_le_bytes());
            }
            for object in boxes {
                record::write_object(&mut body, object);
            }
        }
        Some((header, Cow::Owned(body)))
    }

    /// Whether a task of this process that has not ended is a call of an actor.
    pub fn is_actor_call(&self, id: TaskId) -> bool {
        id.client == self.me && self.tasks.get(&id.seq).is_some_and(|task| task.actor().is_some())
    }

    /// Stops a task of this process. Returns whether it was still there to be stopped.
    pub fn cancel(&mut self, id: TaskId, force: bool, recursive: bool) -> bool {
        let Some(task) = self.tasks.get_mut(&id.seq).filter(|_| id.client == self.me) else { return false };
        if task.cancelled && !force {
            return true;
        }
        task.cancelled = true;
        match task.state {
            TaskState::Waiting(_) | TaskState::Queued => {
                let actor = task.actor();
                self.fail_cancelled(id.seq);
                if let Some(actor) = actor {
                    if let Some(entry) = self.actors.get_mut(&actor) {
                        entry.aside.remove(&id.seq);
                        entry.lost.retain(|&seq| seq != id.seq);
                    }
                    self.push_actor_calls(actor); // it may have been in the way of others
                }
            }
            TaskState::Pushed(worker) => {
                let force = force && task.actor().is_none(); // an actor has more to lose than this call
                self.actions.push_back(Action::Cancel { worker, seq: id.seq, force, recursive });
            }
        }
        true
    }

    /// Stops the tasks that a task of this process has submitted.
    pub fn cancel_children(&mut self, parent: TaskId, force: bool) {
        let mut children: Vec<u64> =
            self.tasks.iter().filter(|(_, task)| task.parent() == Some(parent)).map(|(seq, _)| seq).collect();
        children.sort_unstable();
        for seq in children {
            self.cancel(TaskId { client: self.me, seq }, force, true);
        }
    }

    pub(super) fn fail_cancelled(&mut self, seq: u64) {
        let function = self.tasks.get(&seq).map_or_else(String::new, |task| self.function_name(task.shown_as()));
        self.fail_task(seq, &Failure::Cancelled { function }.into_value());
    }

    /// An input of a waiting task got its value.
    pub(super) fn input_ready(&mut self, seq: u64) {
        let Some(task) = self.tasks.get_mut(&seq) else { return };
        if let TaskState::Waiting(missing) = &mut task.state {
            *missing -= 1;
            if *missing == 0 {
                match task.actor() {
                    Some(actor) => self.actor_call_ready(actor, seq),
                    None => self.enqueue(seq),
                }
            }
        }
    }

    /// Queues a task whose inputs all exist, unless one of them failed.
    pub(super) fn enqueue(&mut self, seq: u64) {
        if let Some(failure) = self.failed_input(seq) {
            self.fail_task(seq, &failure);
            return;
        }
        let task = self.tasks.get_mut(&seq).expect("the caller has just seen it");
        task.state = TaskState::Queued;
        let shape = task.shape;
        self.shapes[shape.0 as usize].queue.push_back(seq);
        self.dispatch(shape);
    }

    /// The failure a task inherits from its inputs, if any.
    pub(super) fn failed_input(&self, seq: u64) -> Option<Value> {
        let task = self.tasks.get(&seq)?;
        task.links.as_ref()?;
        task.inputs().iter().find_map(|&input| match self.value(input) {
            ObjectView::Ready(value @ Value::Failed(_)) => Some(value.clone()),
            _ => None,
        })
    }

    /// The node that holds most of a task's stored inputs, if any.
    pub(super) fn nearest(&self, seq: u64) -> Option<NodeId> {
        let task = self.tasks.get(&seq)?;
        let mut best: Option<(u64, NodeId)> = None;
        for &input in task.inputs() {
            if let ObjectView::Ready(Value::Stored(location)) = self.value(input)
                && best.is_none_or(|(size, _)| location.size_bytes > size)
            {
                best = Some((location.size_bytes, location.node));
            }
        }
        best.map(|(_, node)| node)
    }

    /// Marks a task pushed and books what travels with it.
    pub(super) fn push(&mut self, worker: ClientId, seq: u64) {
        let task = self.tasks.get_mut(&seq).expect("queued tasks exist");
        task.state = TaskState::Pushed(worker);
        let is_stream = task.header.is_stream();
        if !task.inputs().is_empty() || !task.nested().is_empty() {
            for object in self.travelling(seq) {
                self.book_hold(worker, object);
            }
        }
        self.actions.push_back(Action::Push { worker, seq });
        if is_stream {
            self.tell_consumed(seq); // by those who saw what an earlier attempt sent
        }
    }

    /// The objects a pushed task's worker gets a hold on: references nested in arguments, inputs whose memory it may keep views of, and
    /// inputs with references inside, which only live as long as what contains them until the worker's own hold is known.
    fn travelling(&self, seq: u64) -> Vec<ObjectId> {
        let task = &self.tasks[&seq];
        let travels =
            |&object: &ObjectId| matches!(self.value(object), ObjectView::Ready(Value::Stored(_))) || self.travels_as_box(object);
        task.inputs().iter().copied().filter(travels).chain(task.nested().iter().copied()).collect()
    }

    /// Whether an input's value is copied into the task and may have references inside.
    fn travels_as_box(&self, input: ObjectId) -> bool {
        matches!(self.value(input), ObjectView::Ready(Value::Inline(_))) && self.may_contain(input)
    }

    /// Holds booked for a worker that did not take the task after all.
    fn unbook(&mut self, worker: ClientId, seq: u64) {
        for object in self.travelling(seq) {
            self.tell_scheduler(ToScheduler::Hold { client: worker, object, count: -1 });
        }
    }

    pub(super) fn result_arrived(
        &mut self,
        worker: ClientId,
        seq: u64,
        first: u32,
        more: bool,
        run_time_us: u32,
        mut values: ResultValues<'_>,
    ) -> Result<(), RecordError> {
        let id = TaskId { client: self.me, seq };
        let Some(task) = self.tasks.get(&seq) else { return Ok(()) };
        if task.state != TaskState::Pushed(worker) {
            return Err(RecordError("a result of a task that is not there"));
        }
        let (function, returns, actor, is_stream) =
            (task.header.function, task.header.returns, task.actor(), task.header.is_stream());
        // All of it is read before any of it counts: a worker that breaks the layout is dropped, and its task begins anew.
        let value = values.next_value().transpose()?;
        let rest: Vec<(Value, bool)> = std::iter::from_fn(|| values.next_value()).collect::<Result<_, _>>()?;
        let end = first as usize + usize::from(value.is_some()) + rest.len();
        if is_stream {
            self.check_stream_record(seq, first as usize..end, more)?;
            if more {
                self.expect_items(id, end as u32);
            }
        } else if end > returns as usize {
            return Err(RecordError("more results than the task has"));
        } else if !more && end < returns as usize {
            return Err(RecordError("fewer results than the task has"));
        }
        if !more {
            // Before the values count: what they set free may go where this task was.
            match actor {
                Some(actor) => self.actor_progressed(actor, seq),
                None => {
                    self.learn_run_time(function, run_time_us);
                    self.task_left(worker, seq);
                }
            }
        }
        let mut ok = true;
        for (index, (value, has_refs)) in (first..).zip(value.into_iter().chain(rest)) {
            ok &= !matches!(value, Value::Failed(_));
            self.own_value(id.result(index), value, has_refs);
        }
        if more {
            let task = self.tasks.get_mut(&seq).expect("results do not end a task before the last one");
            task.arrived = task.arrived.max(end as u32 - u32::from(is_stream)); // items are numbered from 1
            return Ok(());
        }
        if is_stream {
            self.stream_ended(id, !ok);
        }
        self.report(GraphEvent::Finished { seq, ok, run_time_us, worker, at_us: self.now.as_micros() });
        self.finish(seq);
        if actor.is_none() {
            self.worker_progressed(worker);
        }
        Ok(())
    }

    /// Gives all results of a task one failure and forgets the task; those that depend on it fail with it.
    pub(super) fn fail_task(&mut self, seq: u64, failure: &Value) {
        // A failure may run down a chain of any length: one task after the other, not one inside the other.
        self.failing.push_back((seq, failure.clone()));
        if self.failing.len() > 1 {
            return; // whoever fails the first comes to it
        }
        while let Some((seq, failure)) = self.failing.front().cloned() {
            self.fail_one(seq, &failure);
            self.failing.pop_front();
        }
    }

    fn fail_one(&mut self, seq: u64, failure: &Value) {
        let id = TaskId { client: self.me, seq };
        let Some(task) = self.tasks.get(&seq) else { return };
        let (returns, arrived, attempt, is_stream) =
            (task.header.returns, task.arrived, task.header.attempt, task.header.is_stream());
        for index in 0..returns {
            if attempt > 0 && index >= arrived && !is_stream {
                self.actions.push_back(Action::Free(id.result(index))); // what a lost attempt may have written
            }
            self.own_value(id.result(index), failure.clone(), false);
        }
        if is_stream {
            self.stream_ended(id, true);
        }
        let (worker, at_us) = (ClientId::default(), self.now.as_micros());
        self.report(GraphEvent::Finished { seq, ok: false, run_time_us: 0, worker, at_us });
        self.finish(seq);
    }

    /// The end of a task: its claims on its arguments go.
    fn finish(&mut self, seq: u64) {
        let Some(task) = self.tasks.remove(&seq) else { return };
        for &object in task.inputs().iter().chain(task.nested().iter()) {
            self.release(object);
        }
    }

    /// A worker gave a task back without starting it.
    pub(super) fn task_returned(&mut self, worker: ClientId, seq: u64) {
        let Some(task) = self.tasks.get(&seq).filter(|task| task.state == TaskState::Pushed(worker)) else { return };
        let (shape, actor) = (task.shape, task.actor());
        if actor.is_some() {
            return; // an actor runs what it is sent
        }
        self.unbook(worker, seq);
        self.requeue(shape, [seq]);
        self.worker_is_busy(worker, seq);
        self.dispatch(shape);
    }

    /// Puts tasks back at the front of their queue, in the order given.
    pub(super) fn requeue(&mut self, shape: ShapeId, tasks: impl IntoIterator<Item = u64, IntoIter: DoubleEndedIterator>) {
        for seq in tasks.into_iter().rev() {
            let Some(task) = self.tasks.get_mut(&seq) else { continue };
            if task.cancelled {
                self.fail_cancelled(seq);
                continue;
            }
            task.state = TaskState::Queued;
            // Tasks come back one by one, the first submitted first: keep the queue sorted among those that came back.
            let queue = &mut self.shapes[shape.0 as usize].queue;
            let at = queue.iter().take_while(|&&other| other < seq).count();
            queue.insert(at, seq);
        }
    }

    /// A worker is gone. `started` is the last task it had begun, read from memory it left behind.
    pub fn worker_lost(&mut self, now: crate::Time, worker: ClientId, exit: &Exit, started: Option<u64>) {
        self.now = now;
        self.actor_worker_lost(worker, exit);
        let Some(at) = self.leases.iter().position(|lease| lease.worker == worker) else { return };
        let lease = self.leases.remove(at);
        let begun = started.and_then(|last| lease.in_flight.iter().position(|&seq| seq == last)).map_or(0, |at| at + 1);
        let mut again = Vec::new();
        for (position, &seq) in lease.in_flight.iter().enumerate() {
            let Some(task) = self.tasks.get_mut(&seq) else { continue };
            if position < begun {
                task.header.attempt += 1;
                self.void_lost_results(worker, seq);
                let task = self.tasks.get_mut(&seq).expect("just seen");
                if task.retries_left == 0 || task.cancelled {
                    let (function, attempts, cancelled) = (task.shown_as(), task.header.attempt, task.cancelled);
                    let function = self.function_name(function);
                    let failure = if cancelled && exit.signal.is_some() {
                        Failure::Cancelled { function }
                    } else {
                        Failure::WorkerCrashed { function, exit: exit.clone(), attempts }
                    };
                    self.fail_task(seq, &failure.into_value());
                    continue;
                }
                task.retries_left -= i32::from(task.retries_left > 0);
            }
            again.push(seq);
        }
        self.requeue(lease.shape, again);
        self.dispatch(lease.shape);
    }

    /// An attempt died with its worker: what that worker may have said of results that never arrived does not count.
    pub(super) fn void_lost_results(&mut self, worker: ClientId, seq: u64) {
        let Some(task) = self.tasks.get(&seq) else { return };
        let id = TaskId { client: self.me, seq };
        // Of a stream it is at most one: an item is sent before the next is written.
        let silent = if task.header.is_stream() { task.arrived + 1..task.arrived + 2 } else { task.arrived..task.header.returns };
        for index in silent {
            self.tell_scheduler(ToScheduler::ContainsNothing { object: id.result(index), worker });
        }
    }

    fn learn_run_time(&mut self, function: FunctionId, run_time_us: u32) {
        let sample = run_time_us as f32;
        let mean = self.run_times.entry(function).or_insert(sample);
        // A rise is believed at once, a fall slowly: pushing behind a long task costs more than not pushing behind a short one.
        *mean = if sample > *mean { sample } else { *mean * 0.9 + sample * 0.1 };
    }

    /// Asks workers for what they have not started behind a task that turned out long.
    pub(super) fn recall_behind_long_tasks(&mut self) {
        for lease in &mut self.leases {
            if lease.in_flight.len() > 1 && !lease.recalled && self.now.since(lease.last_progress) >= LONG_TASK {
                lease.recalled = true;
                self.actions.push_back(Action::Recall(lease.worker));
            }
        }
    }
}
