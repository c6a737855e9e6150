//! What a worker does in addition: takes tasks out of its submitters' rings, one at a time, and sends the results back.
//!
//! Tasks stay in the ring until the main thread is ready for them. Only when something else must be seen behind them (a recall, a
//! cancel) does the I/O thread move them to the inbox; and only when the worker cannot run them soon are they given back.

use crate::channel::Channel;
use crate::limits::Limits;
use crate::state::State;
use crate::wait::{Interrupt, WaitEnd};
use crate::{Client, Shared};
use hashbrown::HashMap;
use ray_protocol::control::{ActorNotice, RunningTask};
use ray_protocol::record::{self, Argument, BodyReader, NOBODY_WANTS_MORE, Record, TaskHeader, flag};
use ray_protocol::{CallOptions, ClientId, FunctionId, ObjectId, TaskId, Value};
use std::cell::Cell;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::time::Instant;

/// A task to run.
#[derive(Debug)]
pub struct Incoming {
    /// Who submitted it.
    pub from: ClientId,
    /// What it is.
    pub header: TaskHeader,
    /// Its arguments.
    pub body: Vec<u8>,
    /// Objects that travelled with it: claimed until it ends.
    pub claims: Vec<ObjectId>,
    /// When it was taken.
    pub began: Instant,
}

impl Incoming {
    /// Its id.
    pub fn task(&self) -> TaskId {
        TaskId { client: self.from, seq: self.header.seq }
    }

    /// What the call asks of its worker, if it asks for anything.
    #[inline]
    pub fn options(&self) -> Option<CallOptions> {
        if self.header.flags & flag::OPTIONS == 0 {
            return None;
        }
        match BodyReader::new(&self.body, self.header.arguments).next_argument() {
            Some(Ok(Argument::Inline(bytes))) => Some(CallOptions::decode(bytes)),
            _ => None,
        }
    }
}

/// A worker's part of the state.
#[derive(Default)]
pub(crate) struct Serving {
    channels: HashMap<ClientId, Channel>,
    /// Whose ring is looked at first next time, so that no submitter starves.
    order: Vec<ClientId>,
    inbox: VecDeque<(ClientId, Vec<u8>)>,
    /// Functions that arrived and were not loaded yet.
    functions: HashMap<FunctionId, Vec<u8>>,
    pub(crate) running: Option<TaskId>,
    running_since: Option<Instant>,
    /// The running task waits: whatever arrives goes back.
    pub(crate) blocked: bool,
    cancelled: Option<TaskId>,
    pub(crate) actor_notices: VecDeque<ActorNotice>,
    pub(crate) manner: Manner,
    /// Where many run at once: those that were taken.
    under_way: HashMap<TaskId, UnderWay>,
    /// Results that were written and not sent, with the references inside them.
    contained: Vec<(ObjectId, Box<[ObjectId]>)>,
    /// Time limits of what runs.
    pub(crate) limits: Limits,
    /// Of many calls under way, those whose time is over and that were not told yet.
    pub(crate) overdue: VecDeque<TaskId>,
    /// The task that was answered in its place because it would not end; its own answer counts for nothing.
    answered: Option<TaskId>,
    /// The GPUs each submitter's tasks may use, of those that hold some.
    devices: HashMap<ClientId, Vec<u32>>,
    /// Streams that run here: how many of their items were taken.
    consumed: HashMap<TaskId, u64>,
    /// The main thread is to leave its loop.
    exit_asked: bool,
    record: Vec<u8>,
}

/// A call taken by an actor that runs many.
#[derive(Debug, Default)]
struct UnderWay {
    /// Its caller does not want it any more.
    cancelled: bool,
    /// None while it waits for a thread, or for its turn on the event loop.
    since: Option<Instant>,
}

thread_local! {
    /// The call that runs on this thread, in an actor that runs calls on threads.
    static CALL: Cell<Option<TaskId>> = const { Cell::new(None) };
}

/// The call that runs on this thread, in an actor that runs calls on threads.
pub(crate) fn call_of_this_thread() -> Option<TaskId> {
    CALL.get()
}

/// How a worker runs what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Manner {
    /// Tasks: one at a time, and what waits goes back to its submitter when this takes long.
    #[default]
    Tasks,
    /// Calls of an actor: one at a time, in order, never given back, never interrupted.
    Calls,
    /// Calls of an actor: the main thread takes them as they come and sees to it that they run.
    CallsAtOnce,
}

impl Serving {
    pub(crate) fn has_backlog(&self) -> bool {
        self.channels.values().any(Channel::has_backlog)
    }

    /// What is executed here just now.
    pub(crate) fn running_tasks(&self) -> Vec<RunningTask> {
        let row = |task, since: Instant| RunningTask { task, for_us: since.elapsed().as_micros() as u64 };
        let one = self.running.zip(self.running_since).map(|(task, since)| row(task, since));
        let many = self.under_way.iter().filter_map(|(task, call)| Some(row(*task, call.since?)));
        one.into_iter().chain(many).collect()
    }

    /// The next record of any submitter, in turn.
    fn next_record(&mut self) -> Option<(ClientId, Vec<u8>)> {
        if let Some(next) = self.inbox.pop_front() {
            return Some(next);
        }
        for turn in 0..self.order.len() {
            let from = self.order[turn];
            let Some(channel) = self.channels.get_mut(&from) else { continue };
            match channel.pop(&mut self.record) {
                Ok(true) => {
                    self.order.remove(turn);
                    self.order.push(from);
                    return Some((from, core::mem::take(&mut self.record)));
                }
                Ok(false) => {}
                Err(_) => {
                    // A submitter that spoils its ring is not served any more; its own death or shutdown will clear the rest.
                    self.channels.remove(&from);
                }
            }
        }
        None
    }

    pub(crate) fn has_input(&self) -> bool {
        self.exit_asked
            || !self.overdue.is_empty()
            || !self.inbox.is_empty()
            || self.channels.values().any(Channel::has_input)
            || !self.actor_notices.is_empty()
    }

    /// How many items of a stream were taken, as far as is known here.
    pub(crate) fn consumed(&self, stream: TaskId) -> u64 {
        self.consumed.get(&stream).copied().unwrap_or(NOBODY_WANTS_MORE)
    }

    /// Word of a consumer; false when no such stream runs here now.
    fn consumed_arrived(&mut self, stream: TaskId, items: u64) -> bool {
        self.consumed.get_mut(&stream).map(|known| *known = items.max(*known)).is_some()
    }

    /// Whether records to a submitter wait for room in its ring; None when it has ended.
    pub(crate) fn is_congested(&mut self, submitter: ClientId) -> Option<bool> {
        let channel = self.channels.get_mut(&submitter)?;
        let waits = channel.has_backlog() && channel.drain_backlog();
        channel.ring(false);
        Some(waits)
    }

    /// Takes what the results of a task contain.
    fn contents_of(&mut self, task: TaskId) -> Vec<(ObjectId, Box<[ObjectId]>)> {
        self.contained.extract_if(.., |(result, _)| result.task == task).collect()
    }

    /// Tries to write what found no room before.
    pub(crate) fn drain_backlog(&mut self) {
        for channel in self.channels.values_mut() {
            if channel.has_backlog() {
                channel.drain_backlog();
                channel.ring(false);
            }
        }
    }

    /// Answers in place of a task that does not end. Nothing more is begun here.
    pub(crate) fn answer_once(&mut self, task: TaskId, record: &[u8]) {
        self.answered = Some(task);
        self.exit_asked = true;
        self.reply(task.client, &[record]);
    }

    /// Sends a record back. True when it waits for room in the ring.
    pub(crate) fn reply(&mut self, to: ClientId, parts: &[&[u8]]) -> bool {
        let Some(channel) = self.channels.get_mut(&to) else { return false };
        channel.push(parts);
        channel.ring(false);
        channel.has_backlog()
    }
}

impl Client {
    /// The next task, or actor notice, for this worker. Waits for it.
    pub fn next_task(&self, interrupt: Interrupt<'_>) -> Result<Work, WaitEnd> {
        let mut found = None;
        let end = self.shared.wait(None, true, None, interrupt, &mut |state| {
            // Asked more than once: what was taken must not be taken over.
            found = found.take().or_else(|| self.shared.take_work(state));
            found.is_some()
        });
        // A task that was taken is run, however the wait ended.
        found.ok_or(end)
    }

    /// As [`next_task`](Self::next_task) without waiting.
    #[inline]
    pub fn try_next_task(&self) -> Option<Work> {
        let mut state = self.shared.lock();
        self.shared.take_work(&mut state)
    }

    /// The definition of a function a task names; given out once.
    pub fn take_function(&self, function: FunctionId) -> Option<Vec<u8>> {
        self.shared.lock().serving.functions.remove(&function)
    }

    /// The running task has ended, its last results are `record`.
    #[inline]
    pub fn finish(&self, task: Incoming, record: &[u8]) {
        let mut state = self.shared.lock();
        if state.serving.manner == Manner::CallsAtOnce {
            state.serving.under_way.remove(&task.task());
        } else {
            state.serving.running = None;
            state.serving.cancelled = None;
        }
        for &object in &task.claims {
            state.process.release(object);
        }
        state.serving.limits.end(task.task());
        self.shared.announce_results(&mut state, task.task());
        if task.header.is_stream() {
            state.serving.consumed.remove(&task.task());
        }
        if state.serving.answered == Some(task.task()) {
            self.shared.act(&mut state);
            return;
        }
        if state.serving.reply(task.from, &[record]) {
            self.shared.retry_soon(&mut state);
        }
        self.shared.act(&mut state);
        if state.serving.record.capacity() == 0 {
            state.serving.record = task.body;
        }
    }

    /// A result has references inside: they live as long as it does. The scheduler is told when the result is sent, for until then the
    /// attempt may fail, and another one say it again.
    pub fn result_contains(&self, result: ObjectId, inner: &[ObjectId]) {
        let mut state = self.shared.lock();
        for &object in inner {
            state.process.retain(object);
        }
        state.serving.contained.push((result, inner.into()));
    }

    /// A task failed after all: what its results were to contain counts for nothing.
    pub fn forget_contents(&self, task: TaskId) {
        let mut state = self.shared.lock();
        for (_, inner) in state.serving.contents_of(task) {
            for &object in &inner {
                state.process.release(object);
            }
        }
        self.shared.act(&mut state);
    }

    /// Whether the running task is to be interrupted; asked by the signal handler that the I/O thread's interruption runs.
    pub fn is_interrupted(&self) -> bool {
        let state = self.shared.lock();
        let serving = &state.serving;
        let cancelled = serving.manner == Manner::Tasks && serving.cancelled == serving.running;
        serving.running.is_some_and(|running| cancelled || serving.limits.has_interrupted(running))
    }

    /// The GPUs that tasks of a submitter may use, of those that hold some.
    pub fn devices(&self, submitter: ClientId) -> Vec<u32> {
        self.shared.lock().serving.devices.get(&submitter).cloned().unwrap_or_default()
    }

    /// Whether the running task was cancelled.
    pub fn is_cancelled(&self) -> bool {
        let state = self.shared.lock();
        state.serving.running.is_some() && state.serving.cancelled == state.serving.running
    }

    /// Whether one of many calls under way was cancelled.
    pub fn is_call_cancelled(&self, task: TaskId) -> bool {
        self.shared.lock().serving.under_way.get(&task).is_some_and(|call| call.cancelled)
    }

    /// One of many calls begins to run; on a thread of its own if `on_thread`, until [`call_left_thread`](Self::call_left_thread).
    pub fn call_begins(&self, task: TaskId, on_thread: bool) {
        if let Some(call) = self.shared.lock().serving.under_way.get_mut(&task) {
            call.since = Some(Instant::now());
        }
        if on_thread {
            CALL.set(Some(task));
        }
    }

    /// This thread runs no call any more.
    pub fn call_left_thread(&self) {
        CALL.set(None);
    }

    /// Whether nothing runs here.
    pub fn is_idle(&self) -> bool {
        let state = self.shared.lock();
        state.serving.running.is_none() && state.serving.under_way.is_empty()
    }

    /// The task that runs here now.
    pub fn running_task(&self) -> Option<TaskId> {
        self.shared.lock().serving.running
    }

    /// How this worker runs what arrives from now on.
    pub fn set_manner(&self, manner: Manner) {
        self.shared.lock().serving.manner = manner;
    }

    /// This worker becomes an actor; what its constructor submits and waits for is the creation's.
    pub fn begin_construction(&self, actor: TaskId) {
        let mut state = self.shared.lock();
        state.serving.manner = Manner::Calls;
        state.serving.running = Some(actor);
        state.serving.running_since = Some(Instant::now());
    }

    /// The constructor has ended.
    pub fn end_construction(&self) {
        self.shared.lock().serving.running = None;
    }

    /// From any thread: the main thread's next piece of work is [`Work::Exit`].
    pub fn ask_exit(&self) {
        self.shared.lock().serving.exit_asked = true;
        self.shared.bell.ring_main();
        self.shared.news.notify_all();
    }
}

/// What a worker is to do next.
#[derive(Debug)]
pub enum Work {
    /// Run a task.
    Task(Incoming),
    /// News of its own life as an actor.
    Actor(ActorNotice),
    /// One of many calls under way was cancelled.
    Cancel(TaskId),
    /// Items were taken of a stream that is one of many calls under way.
    Consumed(TaskId),
    /// End: a call on another thread wants it.
    Exit,
}

impl Shared {
    /// The results of a task are about to be sent. Before anybody can read them, the scheduler hears what is inside them and the store
    /// what was sealed for them.
    #[inline]
    pub(crate) fn announce_results(&self, state: &mut State, task: TaskId) {
        if !state.serving.contained.is_empty() {
            self.say_contents(state, task);
        }
        state.announce_shared();
        state.segments.announce_sealed();
    }

    fn say_contents(&self, state: &mut State, task: TaskId) {
        for (result, inner) in state.serving.contents_of(task) {
            state.process.result_contains(result, &inner);
            for &object in &inner {
                state.process.release(object);
            }
        }
        self.act(state);
    }

    /// Takes the next piece of work, handling what comes before it.
    fn take_work(&self, state: &mut State) -> Option<Work> {
        if state.serving.exit_asked {
            return Some(Work::Exit);
        }
        if let Some(task) = state.serving.overdue.pop_front() {
            return Some(Work::Cancel(task));
        }
        if let Some(notice) = state.serving.actor_notices.pop_front() {
            return Some(Work::Actor(notice));
        }
        while let Some((from, mut bytes)) = state.serving.next_record() {
            match record::read(&bytes) {
                Ok(Record::Task(header, _)) => {
                    bytes.drain(..record::TASK_HEADER_BYTES);
                    let claims = claims_of(&header, &bytes);
                    for &object in &claims {
                        state.process.retain_booked(object);
                    }
                    let task = Incoming { from, header, body: bytes, claims, began: Instant::now() };
                    if header.is_stream() {
                        state.serving.consumed.insert(task.task(), 0);
                    }
                    if state.serving.manner == Manner::CallsAtOnce {
                        state.serving.under_way.insert(task.task(), UnderWay::default());
                    } else {
                        state.serving.running = Some(task.task());
                        state.serving.running_since = Some(task.began);
                        self.page.set_running(header.seq, u64::from(from.0));
                    }
                    return Some(Work::Task(task));
                }
                Ok(Record::Function(function, blob)) => {
                    let blob = blob.to_vec();
                    state.serving.functions.insert(function, blob);
                }
                Ok(Record::Devices(devices)) => {
                    state.serving.devices.insert(from, devices);
                }
                Ok(Record::Cancel { seq, recursive, .. }) => {
                    let task = TaskId { client: from, seq };
                    if let Some(call) = state.serving.under_way.get_mut(&task) {
                        call.cancelled = true;
                        if recursive {
                            state.process.cancel_children(task, false);
                            self.act(state);
                        }
                        return Some(Work::Cancel(task));
                    }
                }
                Ok(Record::Consumed { seq, items }) => {
                    let stream = TaskId { client: from, seq };
                    if state.serving.consumed_arrived(stream, items) {
                        self.news.notify_all(); // a thread that runs it may wait for this
                        return Some(Work::Consumed(stream));
                    }
                }
                // Nothing of this submitter is waiting: a recall that comes here has nothing to give back, a cancel is too late.
                Ok(_) | Err(_) => {}
            }
        }
        None
    }

    /// What the I/O thread must see while the main thread is busy: recalls and cancels behind tasks. True when it found one.
    pub(crate) fn serve_signals(&self, state: &mut State) -> bool {
        if !state.is_worker {
            return false;
        }
        state.serving.drain_backlog();
        if state.serving.running.is_none() {
            return state.serving.has_input(); // the main thread is at the rings itself
        }
        let mut found = false;
        let mut kept = VecDeque::new();
        while let Some((from, bytes)) = state.serving.next_record() {
            match record::read(&bytes) {
                Ok(Record::Recall) if state.serving.manner == Manner::Tasks => {
                    give_back(state, from, &mut kept);
                    found = true;
                }
                Ok(Record::Cancel { seq, recursive, .. }) => {
                    self.cancel_arrived(state, TaskId { client: from, seq }, recursive, &mut kept);
                    found = true;
                }
                Ok(Record::Consumed { seq, items }) if state.serving.consumed_arrived(TaskId { client: from, seq }, items) => {
                    found = true;
                }
                _ => kept.push_back((from, bytes)),
            }
        }
        state.serving.inbox = kept;
        found
    }

    fn cancel_arrived(&self, state: &mut State, task: TaskId, recursive: bool, waiting: &mut VecDeque<(ClientId, Vec<u8>)>) {
        if state.serving.running == Some(task) {
            state.serving.cancelled = Some(task);
            if recursive {
                state.process.cancel_children(task, false);
            }
            if state.serving.manner != Manner::Tasks {
                return; // it asks by itself; to interrupt it could leave the actor's state half-changed
            }
            // The signal handler asks whether the task that runs is still the cancelled one, and raises in it. Every other thread has
            // signals blocked, so the main thread gets it, asleep in a system call or not.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::INT);
            return;
        }
        let found = waiting.iter().position(|(from, bytes)| {
            *from == task.client && matches!(record::read(bytes), Ok(Record::Task(header, _)) if header.seq == task.seq)
        });
        if let Some((from, bytes)) = found.and_then(|at| waiting.remove(at))
            && let Ok(Record::Task(header, body)) = record::read(&bytes)
        {
            drop_claims(state, &header, body);
            let failure = ray_protocol::Failure::Cancelled { function: String::new() }.into_value();
            let mut reply = Vec::new();
            write_failure(&mut reply, &header, &failure, 0);
            let _ = state.serving.reply(from, &[&reply]);
        }
    }

    /// The running task is blocked: every task waiting here goes back to its submitter. True when there was one.
    pub(crate) fn give_back_unstarted(&self, state: &mut State) -> bool {
        if state.serving.manner != Manner::Tasks || !state.serving.has_input() {
            return false;
        }
        let mut any = false;
        let mut rest = VecDeque::new();
        while let Some((from, bytes)) = state.serving.next_record() {
            match record::read(&bytes) {
                Ok(Record::Task(header, _)) => {
                    let _ = state.serving.reply(from, &[&record::returned(header.seq)]);
                    any = true;
                }
                Ok(Record::Cancel { seq, recursive, .. }) => {
                    self.cancel_arrived(state, TaskId { client: from, seq }, recursive, &mut rest);
                }
                Ok(Record::Consumed { seq, items }) => {
                    state.serving.consumed_arrived(TaskId { client: from, seq }, items);
                }
                Ok(Record::Recall) | Err(_) => {}
                Ok(_) => rest.push_back((from, bytes)),
            }
        }
        state.serving.inbox = rest;
        any
    }

    pub(crate) fn accept_channel(&self, state: &mut State, from: ClientId, fds: Vec<OwnedFd>) {
        let accepted = Channel::create().map_err(|error| error.to_string()).and_then(|mut channel| {
            channel.attach(fds).map_err(|error| error.to_string())?;
            let fds = self.channel_fds(&channel).map_err(|error| error.to_string())?;
            Ok((channel, fds))
        });
        match accepted {
            Ok((channel, fds)) => {
                state.serving.channels.insert(from, channel);
                state.serving.order.retain(|known| *known != from);
                state.serving.order.push(from);
                state.send_accept(from, fds);
            }
            Err(reason) => state.notices.push(crate::Notice::Warning(format!("a channel could not be opened: {reason}"))),
        }
    }

    /// A client is gone: nobody wants the results of what it submitted.
    pub(crate) fn submitter_lost(&self, state: &mut State, client: ClientId) {
        state.serving.devices.remove(&client);
        let Some(mut channel) = state.serving.channels.remove(&client) else { return };
        for (stream, items) in &mut state.serving.consumed {
            if stream.client == client {
                *items = NOBODY_WANTS_MORE;
            }
        }
        state.serving.order.retain(|known| *known != client);
        let (theirs, others): (VecDeque<_>, VecDeque<_>) = state.serving.inbox.drain(..).partition(|(from, _)| *from == client);
        state.serving.inbox = others;
        let mut unstarted: Vec<Vec<u8>> = theirs.into_iter().map(|(_, bytes)| bytes).collect();
        let mut bytes = Vec::new();
        while let Ok(true) = channel.pop(&mut bytes) {
            unstarted.push(core::mem::take(&mut bytes));
        }
        // What travelled with its tasks was booked in our name.
        for bytes in unstarted {
            if let Ok(Record::Task(header, body)) = record::read(&bytes) {
                drop_claims(state, &header, body);
            }
        }
    }
}

/// Gives back the tasks of one submitter.
fn give_back(state: &mut State, to: ClientId, waiting: &mut VecDeque<(ClientId, Vec<u8>)>) {
    let mut kept = VecDeque::new();
    for (from, bytes) in waiting.drain(..) {
        match record::read(&bytes) {
            Ok(Record::Task(header, _)) if from == to => {
                let _ = state.serving.reply(to, &[&record::returned(header.seq)]);
            }
            _ => kept.push_back((from, bytes)),
        }
    }
    *waiting = kept;
}

/// The objects whose sender booked a hold in our name: stored arguments and nested references.
fn claims_of(header: &TaskHeader, body: &[u8]) -> Vec<ObjectId> {
    let mut claims = Vec::new();
    let mut reader = BodyReader::new(body, header.arguments);
    while let Some(Ok(argument)) = reader.next_argument() {
        if let record::Argument::Stored(object, _) = argument {
            claims.push(object);
        }
    }
    if header.flags & flag::HAS_REFS != 0 {
        claims.extend(BodyReader::new(body, header.arguments).nested().unwrap_or_default());
    }
    claims
}

/// Takes and gives back the claims of a task that will not run here.
fn drop_claims(state: &mut State, header: &TaskHeader, body: &[u8]) {
    for object in claims_of(header, body) {
        state.process.retain_booked(object);
        state.process.release(object);
    }
}

/// Appends a failure for every result of a task; of a stream, as its end.
pub fn write_failure(out: &mut Vec<u8>, header: &TaskHeader, failure: &Value, run_time_us: u32) {
    record::write_result_header(out, header.seq, 0, header.failures(), false, run_time_us);
    for _ in 0..header.failures() {
        record::write_result_value(out, failure, false);
    }
}
