//! What is behind the lock, and how messages move in and out of it.

use crate::channel::Channel;
use crate::collect::Interests;
use crate::serve::Serving;
use crate::store::Segments;
use crate::{Identity, Shared};
use hashbrown::HashMap;
use ray_core::process::{Action, ObjectView, Process};
use ray_io::{Connection, FrameError, ReadStatus};
use ray_protocol::control::{self, ActorNotice, AnswerPart, FromScheduler, ToScheduler};
use ray_protocol::record::{self, RecordError};
use ray_protocol::{ClientId, FunctionId, ObjectId, TaskId, Value};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Something for a thread that may call into Python.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// A watched object has its value.
    Ready(ObjectId),
    /// Output of a worker.
    Log(LogLines),
    /// Something only the user can act on.
    Warning(String),
}

/// Output of one worker.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLines {
    /// Its pid.
    pub pid: i32,
    /// Standard error rather than output.
    pub stderr: bool,
    /// Whole lines, with the worker's marks of function names.
    pub text: String,
    /// Bytes that were dropped before.
    pub dropped_bytes: u64,
}

/// An answer of the scheduler, as its pieces arrive.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) parts: Vec<AnswerPart>,
    pub(crate) complete: bool,
}

/// See the module.
pub(crate) struct State {
    pub(crate) process: Process,
    pub(crate) scheduler: Connection,
    /// Something is queued for the scheduler that cannot wait.
    urgent: bool,
    /// Objects are queued for the scheduler of which it must hear before others can: before the next task or result leaves.
    unannounced: bool,
    /// Since when something is queued that can wait a little ([`LAZY`]).
    pub(crate) lazy_since: Option<Instant>,
    pub(crate) connection_closed: bool,
    /// Channels to workers this process pushes tasks to.
    pub(crate) submit: HashMap<ClientId, Channel>,
    pub(crate) functions: HashMap<FunctionId, Arc<[u8]>>,
    pub(crate) segments: Segments,
    pub(crate) serving: Serving,
    pub(crate) is_worker: bool,
    pub(crate) answers: HashMap<u64, Answer>,
    pub(crate) key_values: HashMap<u64, Vec<Vec<u8>>>,
    /// Whether actors with a name were accepted, or why not: one entry per creation that somebody waits for.
    pub(crate) actor_replies: HashMap<TaskId, Option<Result<(), String>>>,
    #[allow(clippy::type_complexity)]
    pub(crate) found_actors: HashMap<u64, Option<(TaskId, Vec<u8>)>>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) interests: Interests,
    next_request: u64,
    /// Why the cluster is over.
    pub(crate) ended: Option<String>,
    /// The I/O thread is to end.
    pub(crate) stop: bool,
    /// The I/O thread sleeps no longer than the state machine wants.
    pub(crate) io_has_timer: bool,
    /// The I/O thread tries again soon to send what found no room in a ring.
    pub(crate) io_retries: bool,
    /// A wait of this process is part of a cycle.
    pub(crate) deadlock: Option<(TaskId, String)>,
    record: Vec<u8>,
}

/// What can wait waits this long, so that many small things leave together.
pub(crate) const LAZY: Duration = Duration::from_millis(5);
/// Or until this much has gathered.
const LAZY_BYTES: usize = 64 << 10;
/// Records taken from one channel before the others have their turn.
const RECORDS_PER_TURN: usize = 512;

impl State {
    pub(crate) fn new(process: Process, scheduler: Connection, store_socket: String, is_worker: bool) -> Self {
        State {
            process,
            scheduler,
            urgent: false,
            unannounced: false,
            lazy_since: None,
            connection_closed: false,
            submit: HashMap::new(),
            functions: HashMap::new(),
            segments: Segments::new(store_socket),
            serving: Serving::default(),
            is_worker,
            answers: HashMap::new(),
            key_values: HashMap::new(),
            actor_replies: HashMap::new(),
            found_actors: HashMap::new(),
            notices: Vec::new(),
            interests: Interests::default(),
            next_request: 1,
            ended: None,
            stop: false,
            io_has_timer: false,
            io_retries: false,
            deadlock: None,
            record: Vec::new(),
        }
    }

    pub(crate) fn new_request(&mut self) -> u64 {
        self.next_request += 1;
        self.next_request
    }

    /// The task this process runs, whose children the tasks it submits are.
    #[inline]
    pub(crate) fn running_task(&self) -> Option<TaskId> {
        self.serving.running
    }

    #[inline]
    pub(crate) fn value(&self, object: ObjectId) -> Option<Value> {
        match self.process.value(object) {
            ObjectView::Ready(value) => Some(value.clone()),
            ObjectView::Pending | ObjectView::Unknown => None,
        }
    }

    #[inline]
    pub(crate) fn is_ready(&self, object: ObjectId) -> bool {
        matches!(self.process.value(object), ObjectView::Ready(_))
    }

    pub(crate) fn has_failed(&self, object: ObjectId) -> bool {
        matches!(self.process.value(object), ObjectView::Ready(Value::Failed(_)))
    }

    /// Queues a message; [`Shared::act`] sends it.
    pub(crate) fn tell_scheduler(&mut self, message: &ToScheduler) {
        if self.connection_closed {
            return;
        }
        // What only frees memory or draws the graph may wait; whoever needs it at once asks.
        match message {
            ToScheduler::Hold { .. } | ToScheduler::Report(_) => {
                self.lazy_since.get_or_insert_with(Instant::now);
            }
            // One by one while a value is pickled that may hold thousands of references; they go together.
            ToScheduler::Share { .. } => {
                self.unannounced = true;
                self.lazy_since.get_or_insert_with(Instant::now);
            }
            _ => self.urgent = true,
        }
        self.send(message, Vec::new());
    }

    fn send(&mut self, message: &ToScheduler, fds: Vec<OwnedFd>) {
        if let Err(error) = self.scheduler.send(&control::encode(message), fds) {
            self.scheduler_lost(&format!("a message could not be sent: {error}"));
        }
    }

    /// Answers a channel that was opened to us.
    pub(crate) fn send_accept(&mut self, to: ClientId, fds: Vec<OwnedFd>) {
        self.send(&ToScheduler::AcceptChannel { to }, fds);
        self.urgent = true;
    }

    /// Before anything leaves through a ring: whoever gets it may ask the scheduler for what is inside.
    #[inline]
    pub(crate) fn announce_shared(&mut self) {
        if self.unannounced {
            self.flush_scheduler();
        }
    }

    /// Writes what is queued for the scheduler; false when the socket is full and the I/O thread must go on.
    pub(crate) fn flush_scheduler(&mut self) -> bool {
        self.urgent = false;
        self.unannounced = false;
        self.lazy_since = None;
        if self.is_worker {
            self.segments.announce_sealed();
        }
        // An error shows when the connection is read, after what the scheduler still has to say.
        self.scheduler.flush().unwrap_or(true)
    }

    /// The scheduler is gone: nothing of this cluster will ever happen again.
    pub(crate) fn scheduler_lost(&mut self, how: &str) {
        self.connection_closed = true;
        let why = format!("The scheduler ended or the connection to it broke ({how}).");
        self.ended.get_or_insert(why);
    }
}

impl Shared {
    /// Performs what the state machine wants done, then rings and flushes. Everyone who changed the state calls it before unlocking.
    #[inline]
    pub(crate) fn act(&self, state: &mut State) {
        let mut pushed = false;
        while let Some(action) = state.process.poll_action() {
            match action {
                Action::Push { worker, seq } => {
                    state.announce_shared();
                    push_task(state, worker, seq);
                    pushed = true;
                }
                Action::Scheduler(message) => state.tell_scheduler(&message),
                Action::OpenChannel(worker) => self.open_channel(state, worker),
                Action::Devices { worker, devices } => send_signal(state, worker, &record::devices(&devices)),
                Action::Recall(worker) => send_signal(state, worker, &record::recall()),
                Action::Cancel { worker, seq, force, recursive } => {
                    send_signal(state, worker, &record::cancel(seq, force, recursive));
                    if force {
                        let reason = String::from("its task was cancelled with force=True");
                        state.tell_scheduler(&ToScheduler::KillWorker { worker, reason });
                    }
                }
                Action::Consumed { worker, seq, items } => send_signal(state, worker, &record::consumed(seq, items)),
                Action::Free(object) => state.segments.free(object),
                Action::Ready(object) => {
                    if state.interests.came(object) {
                        state.notices.push(Notice::Ready(object));
                        self.news.notify_all();
                    }
                }
            }
        }
        if pushed {
            let mut waits = false;
            for channel in state.submit.values_mut() {
                channel.ring(true);
                waits |= channel.has_backlog();
            }
            if waits {
                self.retry_soon(state);
            }
            // Tasks pushed behind others may have to be recalled: the I/O thread must look at the clock from now on.
            if !state.io_has_timer && state.process.next_timeout().is_some() {
                state.io_has_timer = true;
                self.bell.ring_io();
            }
        }
        self.flush(state);
    }

    /// A record found no room in a ring: the I/O thread tries again, and must be told that it has to.
    #[inline]
    pub(crate) fn retry_soon(&self, state: &mut State) {
        if !core::mem::replace(&mut state.io_retries, true) {
            self.bell.ring_io();
        }
    }

    /// Sends what must go now, and sees to it that the rest goes soon.
    #[inline]
    fn flush(&self, state: &mut State) {
        if state.urgent || state.scheduler.queued_bytes() > LAZY_BYTES {
            if !state.flush_scheduler() {
                self.bell.ring_io();
            }
        } else if state.lazy_since.is_some() || state.segments.has_lazy() {
            self.wake_lazily(state);
        }
    }

    /// The I/O thread sends lazy things; it must know that there are some, but only once.
    fn wake_lazily(&self, state: &mut State) {
        if !state.segments.io_knows {
            state.segments.io_knows = true;
            self.bell.ring_io();
        }
    }

    fn open_channel(&self, state: &mut State, worker: ClientId) {
        if state.submit.contains_key(&worker) {
            return;
        }
        match Channel::create().and_then(|channel| Ok((self.channel_fds(&channel)?, channel))) {
            Ok((fds, channel)) => {
                state.submit.insert(worker, channel);
                state.send(&ToScheduler::OpenChannel { to: worker }, fds);
                state.urgent = true;
            }
            Err(error) => {
                // Out of descriptors or memory: the lease is of no use. The tasks go back to the queue as if the worker had died.
                let exit = ray_protocol::value::Exit { note: format!("no channel could be made: {error}"), ..Default::default() };
                state.process.worker_lost(self.now(), worker, &exit, None);
                state.tell_scheduler(&ToScheduler::ReturnLease { worker });
            }
        }
    }

    /// What the other end of a channel needs of this process.
    pub(crate) fn channel_fds(&self, channel: &Channel) -> std::io::Result<Vec<OwnedFd>> {
        Ok(vec![
            channel.fd()?,
            self.page.fd().try_clone_to_owned()?,
            self.bell.main_fd().try_clone_to_owned()?,
            self.bell.io_fd().try_clone_to_owned()?,
        ])
    }

    /// Takes what workers sent out of the rings. True when there was something.
    #[inline]
    pub(crate) fn pump(&self, state: &mut State) -> bool {
        let mut any = false;
        let mut broken = Vec::new();
        let mut bytes = core::mem::take(&mut state.record);
        for (&worker, channel) in &mut state.submit {
            if channel.has_backlog() {
                any |= !channel.drain_backlog();
                // The worker may have emptied the ring and gone to sleep.
                channel.ring(true);
            }
            if !channel.has_input() {
                continue;
            }
            any = true;
            let now = self.now();
            for _ in 0..RECORDS_PER_TURN {
                let outcome = channel.pop(&mut bytes).map_err(|error| error.to_string()).and_then(|popped| {
                    if popped {
                        state.process.record_arrived(now, worker, &bytes).map_err(|error: RecordError| error.to_string())?;
                    }
                    Ok(popped)
                });
                match outcome {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(reason) => {
                        broken.push((worker, reason));
                        break;
                    }
                }
            }
        }
        state.record = bytes;
        for (worker, reason) in broken {
            self.drop_broken(state, worker, &reason);
        }
        if state.serving.blocked {
            any |= self.give_back_unstarted(state);
        }
        if any {
            self.act(state);
            if self.onlookers.load(std::sync::atomic::Ordering::Relaxed) > 0 {
                self.news.notify_all();
            }
        }
        any
    }

    /// A worker sent what no worker sends: it cannot be trusted with anything any more.
    fn drop_broken(&self, state: &mut State, worker: ClientId, reason: &str) {
        state.submit.remove(&worker);
        let exit = ray_protocol::value::Exit { note: format!("its channel is damaged: {reason}"), ..Default::default() };
        state.process.worker_lost(self.now(), worker, &exit, None);
        state.tell_scheduler(&ToScheduler::KillWorker { worker, reason: format!("its channel is damaged: {reason}") });
    }

    /// Reads what the scheduler sent. Called by the I/O thread.
    pub(crate) fn read_scheduler(&self, state: &mut State) {
        let status = state.scheduler.receive();
        loop {
            match state.scheduler.next_frame() {
                Ok(Some(frame)) => match control::decode::<FromScheduler>(&frame.payload) {
                    Ok(message) => self.scheduler_said(state, message, frame.fds),
                    Err(error) => state.scheduler_lost(&error.to_string()),
                },
                Ok(None) => break,
                Err(error) => {
                    state.scheduler_lost(&error.to_string());
                    break;
                }
            }
        }
        match status {
            Ok(ReadStatus::Open) => {}
            Ok(ReadStatus::Closed) | Err(FrameError::Closed) => state.scheduler_lost("it closed the connection"),
            Err(error) => state.scheduler_lost(&error.to_string()),
        }
    }

    fn scheduler_said(&self, state: &mut State, message: FromScheduler, fds: Vec<OwnedFd>) {
        match message {
            FromScheduler::ChannelOpened { from } => self.accept_channel(state, from, fds),
            FromScheduler::ChannelAccepted { from } => {
                if let Some(channel) = state.submit.get_mut(&from) {
                    match channel.attach(fds) {
                        Ok(()) => channel.ring(true),
                        Err(error) => self.drop_broken(state, from, &error.to_string()),
                    }
                }
            }
            FromScheduler::PeerLost { client, exit } => {
                while self.pump(state) {} // results it still wrote count
                self.submitter_lost(state, client);
                if let Some(channel) = state.submit.remove(&client) {
                    let Identity { client: me, .. } = self.identity;
                    let started = channel.running().filter(|(_, submitter)| *submitter == u64::from(me.0)).map(|(seq, _)| seq);
                    state.process.worker_lost(self.now(), client, &exit, started);
                }
            }
            FromScheduler::Refused { reason } => {
                state.ended.get_or_insert(reason);
            }
            FromScheduler::Deadlock { task, cycle } => state.deadlock = Some((task, cycle)),
            FromScheduler::FlushReports { request } => {
                state.process.flush_reports();
                self.act(state);
                let (running, idle) = (state.serving.running_tasks(), state.process.idle_leases());
                state.tell_scheduler(&ToScheduler::Flushed { request, running, idle });
            }
            FromScheduler::Answer { request, part, more } => {
                if let Some(answer) = state.answers.get_mut(&request) {
                    answer.parts.push(part);
                    answer.complete = !more;
                }
            }
            FromScheduler::KeyValue { request, found } => {
                state.key_values.insert(request, found);
            }
            FromScheduler::Log { pid, stderr, text, dropped_bytes } => {
                state.notices.push(Notice::Log(LogLines { pid, stderr, text, dropped_bytes }));
            }
            FromScheduler::Warning { text } => state.notices.push(Notice::Warning(text)),
            FromScheduler::Actor(notice) => self.actor_notice(state, notice),
            FromScheduler::Grant { .. }
            | FromScheduler::Revoke { .. }
            | FromScheduler::Unschedulable { .. }
            | FromScheduler::Ready { .. }
            | FromScheduler::Cancel { .. }
            | FromScheduler::Welcome { .. } => state.process.scheduler_said(self.now(), message),
        }
    }

    fn actor_notice(&self, state: &mut State, notice: ActorNotice) {
        match notice {
            ActorNotice::Registered { actor, ref refused } => {
                if let Some(reply) = state.actor_replies.get_mut(&actor) {
                    *reply = Some(refused.clone().map_or(Ok(()), Err));
                }
                state.process.scheduler_said(self.now(), FromScheduler::Actor(notice));
            }
            ActorNotice::Found { request, actor } => {
                state.found_actors.insert(request, actor);
            }
            ActorNotice::Become { .. } | ActorNotice::Finish => state.serving.actor_notices.push_back(notice),
            ActorNotice::Alive { .. } | ActorNotice::Restarting { .. } | ActorNotice::Dead { .. } => {
                state.process.scheduler_said(self.now(), FromScheduler::Actor(notice));
            }
        }
    }
}

/// Puts one task into its worker's ring, with its function before it if the worker does not have that yet.
fn push_task(state: &mut State, worker: ClientId, seq: u64) {
    let Some(channel) = state.submit.get_mut(&worker) else { return };
    let Some((header, body)) = state.process.pushable(seq) else { return };
    if channel.is_new_function(header.function)
        && let Some(blob) = state.functions.get(&header.function)
    {
        channel.push(&[&record::function_header(header.function), blob]);
    }
    channel.push(&[&header.encode(), &body]);
}

/// Sends a record a busy worker must see at once.
fn send_signal(state: &mut State, worker: ClientId, bytes: &[u8]) {
    if let Some(channel) = state.submit.get_mut(&worker) {
        channel.push(&[bytes]);
        channel.ring(false);
    }
}
