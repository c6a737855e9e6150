//! A driver's or worker's side of the cluster: the event loop around [`ray_core::process::Process`], without Python.
//!
//! Two kinds of threads drive it. Threads of the user (the main thread above all) submit, put, get and wait; while one waits it looks at
//! the rings itself, first spinning, then asleep on the process's main bell, so that a result wakes exactly the thread that wants it.
//! One I/O thread sleeps on everything else (the scheduler's and the store's sockets, the I/O bell) and keeps tasks moving while no
//! user thread waits. Both take the same lock for as long as it takes to move messages, never while user code runs, and nobody holds it
//! while calling into Python.
//!
//! Read [`state`] first (what is behind the lock), then [`wait`] (how a thread waits), [`io`] (the I/O thread), [`store`] (objects in shared
//! memory), [`serve`] (what a worker does in addition), [`limits`] (how it ends what takes too long) and [`actors`] (what both do about actors).

mod actors;
mod channel;
mod collect;
mod io;
mod limits;
mod serve;
mod state;
mod store;
mod wait;

use ray_core::Time;
use ray_core::process::{ActorCall, Process, ShapeId, TaskSpec};
use ray_io::{Connection, FrameError};
use ray_protocol::control::{self, AnswerPart, FromScheduler, Hello, KeyValueOperation, Question, Role, ToScheduler};
use ray_protocol::{Bytes, ClientId, FunctionId, NodeId, ObjectId, PROTOCOL_VERSION, Resources, TaskId, Value};
use ray_shm::{Bell, ProcessPage};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

pub use actors::MaySleep;
pub use collect::Collector;
pub use serve::{Incoming, Manner, Work, write_failure};
pub use state::{LogLines, Notice};
pub use store::{Placed, StoreError};
pub use wait::{Interrupt, WaitEnd};

use state::State;

/// Why a process could not join a cluster, or cannot go on in it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket or the shared memory failed.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The scheduler's connection broke.
    #[error("the connection to the scheduler failed: {0}")]
    Connection(#[from] FrameError),
    /// The scheduler does not want this process.
    #[error("{0}")]
    Refused(String),
    /// The scheduler said something unexpected.
    #[error("the scheduler does not speak this protocol: {0}")]
    Protocol(String),
    /// The cluster is over.
    #[error("{0}")]
    Ended(String),
}

/// A process's membership in a cluster. Cheap to clone; the last clone that goes closes the connections.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

/// What all threads of the process share.
struct Shared {
    state: Mutex<State>,
    /// Told whenever something arrived, for threads that wait and are not the one that looks.
    news: Condvar,
    /// How many of them there are.
    onlookers: AtomicU32,
    /// Whether some thread looks at the rings and sleeps on the main bell.
    watched: AtomicBool,
    page: ProcessPage,
    bell: Bell,
    /// How long a waiting thread spins before it sleeps.
    spin: Duration,
    identity: Identity,
    /// [`FORKS`] when it was made.
    forks: u32,
}

/// How often this process has come out of a fork. What was made before the last one belongs to the parent.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// To be called in the child of a fork: from now on its references and views of the parent's objects say nothing to anybody when they go.
pub fn note_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// Who this process is in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub client: ClientId,
    /// Its node.
    pub node: NodeId,
    /// The cluster's random number.
    pub cluster: u64,
    /// A driver's number; 0 for workers.
    pub job: u32,
}

/// Spinning costs a core; it is worth one wake-up (about 24 µs, and as much again for the answer).
const SPIN: Duration = Duration::from_micros(60);

impl Client {
    /// Joins the cluster whose session directory this is.
    pub fn connect(session: &Path, role: Role, on_interrupt: &mut dyn FnMut() -> bool) -> Result<Client, ClientError> {
        let system = |what: &'static str| move |source| ClientError::System { what, source };
        let mut scheduler = Connection::connect(&session.join("scheduler.sock")).map_err(system("cannot reach the scheduler"))?;
        scheduler.set_limit(ray_protocol::MAX_FRAME_BYTES);
        let hello = Hello { version: PROTOCOL_VERSION, pid: std::process::id() as i32, role: role.clone() };
        scheduler.send_blocking(&control::encode(&hello), Vec::new())?;
        let frame = scheduler.receive_blocking_with(Some(Duration::from_secs(30)), &mut || !on_interrupt())?;
        let welcome = control::decode(&frame.payload).map_err(|error| ClientError::Protocol(error.to_string()))?;
        let (identity, store_socket) = match welcome {
            FromScheduler::Welcome { client, node, cluster, job, store_socket } => {
                (Identity { client, node, cluster, job }, store_socket)
            }
            FromScheduler::Refused { reason } => return Err(ClientError::Refused(reason)),
            other => return Err(ClientError::Protocol(format!("{other:?}"))),
        };
        let spin = if std::thread::available_parallelism().map_or(1, usize::from) > 1 { SPIN } else { Duration::ZERO };
        let process = Process::new(identity.client, identity.node);
        let state = State::new(process, scheduler, store_socket, matches!(role, Role::Worker { .. }));
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            news: Condvar::new(),
            onlookers: AtomicU32::new(0),
            watched: AtomicBool::new(false),
            page: ProcessPage::create().map_err(system("cannot make shared memory"))?,
            bell: Bell::create().map_err(system("cannot make an eventfd"))?,
            spin,
            identity,
            forks: FORKS.load(Ordering::Relaxed),
        });
        io::start(&shared).map_err(system("cannot start the I/O thread"))?;
        Ok(Client { shared })
    }

    /// Who this process is.
    pub fn identity(&self) -> Identity {
        self.shared.identity
    }

    /// Why the cluster is over, if it is.
    pub fn ended(&self) -> Option<String> {
        self.shared.lock().ended.clone()
    }

    /// Whether both are memberships of the same process in the same cluster.
    pub fn is_same(&self, other: &Client) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Interns what a task holds.
    pub fn shape(&self, resources: &Resources) -> ShapeId {
        self.shared.lock().process.shape(resources)
    }

    /// Makes a function known here, so that tasks can name it.
    pub fn define_function(&self, function: FunctionId, name: &str, blob: Arc<[u8]>) {
        let mut state = self.shared.lock();
        state.functions.insert(function, blob);
        state.process.name_function(function, name);
    }

    /// Submits a task and pushes it if a worker is at hand.
    #[inline]
    pub fn submit(&self, mut spec: TaskSpec) -> TaskId {
        let mut state = self.shared.lock();
        spec.parent = spec.parent.or_else(|| state.running_task());
        state.process.set_time(self.shared.now());
        let task = state.process.submit(spec);
        self.shared.act(&mut state);
        task
    }

    /// Submits a method call.
    pub fn call(&self, mut call: ActorCall) -> TaskId {
        let mut state = self.shared.lock();
        call.task.parent = call.task.parent.or_else(|| state.running_task());
        state.process.set_time(self.shared.now());
        let task = state.process.call(call);
        self.shared.act(&mut state);
        task
    }

    /// One more claim on an object this process has a claim on already.
    #[inline]
    pub fn retain(&self, object: ObjectId) {
        let mut state = self.shared.lock();
        state.process.retain(object);
        self.shared.act(&mut state);
    }

    /// Whether this is a copy that a fork made of the parent's membership. What it stands for is the parent's to give up, and its lock may
    /// have been held by a thread that the fork did not copy.
    #[inline]
    fn is_of_parent(&self) -> bool {
        self.shared.forks != FORKS.load(Ordering::Relaxed)
    }

    /// One claim less.
    #[inline]
    pub fn release(&self, object: ObjectId) {
        if self.is_of_parent() {
            return;
        }
        let mut state = self.shared.lock();
        state.process.release(object);
        self.shared.act(&mut state);
    }

    /// Stores a small value.
    #[inline]
    pub fn put_inline(&self, bytes: Bytes, inner: &[ObjectId]) -> ObjectId {
        let mut state = self.shared.lock();
        let object = state.process.put(Value::Inline(bytes), inner);
        if !inner.is_empty() {
            self.shared.act(&mut state);
        }
        object
    }

    /// The value of an object, if it has one by now. None: not yet. Looks at the rings once.
    #[inline]
    pub fn try_value(&self, object: ObjectId) -> Option<Value> {
        let mut state = self.shared.lock();
        if let Some(value) = state.value(object) {
            return Some(value);
        }
        self.shared.pump(&mut state);
        state.value(object)
    }

    /// Whether an object has its value by now, without looking at the rings.
    pub fn is_ready(&self, object: ObjectId) -> bool {
        self.shared.lock().is_ready(object)
    }

    /// Asks for a [`Notice::Ready`] when the object gets its value; false when it has one already and no notice will come.
    pub fn watch(&self, object: ObjectId) -> bool {
        let mut state = self.shared.lock();
        self.shared.pump(&mut state);
        let ready = state.process.watch(object);
        if !ready {
            state.interests.notice(object);
        }
        self.shared.act(&mut state);
        !ready
    }

    /// A reference is about to leave this process in bytes that nobody counts: whoever reads them will ask the scheduler for the object.
    pub fn share(&self, object: ObjectId) {
        let mut state = self.shared.lock();
        state.process.share(object);
        self.shared.act(&mut state);
    }

    /// Stops a task of this process, or asks its owner to.
    pub fn cancel(&self, task: TaskId, force: bool, recursive: bool) {
        let mut state = self.shared.lock();
        if task.client == self.shared.identity.client {
            state.process.cancel(task, force, recursive);
        } else {
            state.tell_scheduler(&ToScheduler::CancelOwned { task, force, recursive });
        }
        self.shared.act(&mut state);
    }

    /// Asks the scheduler; waits for the whole answer.
    pub fn ask(&self, question: Question, interrupt: Interrupt<'_>) -> Result<Vec<AnswerPart>, WaitEnd> {
        self.ask_until(question, Some(Instant::now() + Duration::from_secs(60)), interrupt)
    }

    /// Asks what the scheduler may answer only when something has happened; waits until then, or until `deadline`.
    pub fn ask_until(
        &self,
        question: Question,
        deadline: Option<Instant>,
        interrupt: Interrupt<'_>,
    ) -> Result<Vec<AnswerPart>, WaitEnd> {
        let request = {
            let mut state = self.shared.lock();
            let request = state.new_request();
            state.process.flush_reports();
            self.shared.act(&mut state); // the news before the question
            state.answers.insert(request, state::Answer::default());
            state.tell_scheduler(&ToScheduler::Ask { request, question });
            self.shared.act(&mut state);
            request
        };
        let end = self
            .shared
            .wait_for_reply(deadline, interrupt, &mut |state| state.answers.get(&request).is_some_and(|answer| answer.complete));
        let answer = self.shared.lock().answers.remove(&request);
        match end {
            WaitEnd::Ready => Ok(answer.map(|answer| answer.parts).unwrap_or_default()),
            other => Err(other),
        }
    }

    /// Uses the cluster's key-value store.
    pub fn key_value(&self, operation: KeyValueOperation, interrupt: Interrupt<'_>) -> Result<Vec<Vec<u8>>, WaitEnd> {
        let request = {
            let mut state = self.shared.lock();
            let request = state.new_request();
            state.tell_scheduler(&ToScheduler::KeyValue { request, operation });
            self.shared.act(&mut state);
            request
        };
        let mut found = None;
        let end = self.shared.wait_for_reply(None, interrupt, &mut |state| {
            found = found.take().or_else(|| state.key_values.remove(&request));
            found.is_some()
        });
        match end {
            WaitEnd::Ready => Ok(found.expect("the wait ended with it")),
            other => Err(other),
        }
    }

    /// Sends the scheduler a message of the caller's making.
    pub fn tell_scheduler(&self, message: &ToScheduler) {
        let mut state = self.shared.lock();
        state.tell_scheduler(message);
        self.shared.act(&mut state);
    }

    /// Looks at, or changes, the state machine itself; for what is rare.
    pub fn with_process<R>(&self, look: impl FnOnce(&mut Process) -> R) -> R {
        let mut state = self.shared.lock();
        let result = look(&mut state.process);
        self.shared.act(&mut state);
        result
    }

    /// Waits for something another thread should handle: a watched object that is ready, output of workers, a warning. None when the
    /// cluster is over.
    pub fn next_notice(&self, patience: Duration) -> Option<Vec<Notice>> {
        let deadline = Instant::now() + patience;
        let mut state = self.shared.lock();
        loop {
            if !state.notices.is_empty() {
                return Some(core::mem::take(&mut state.notices));
            }
            if state.ended.is_some() {
                return None;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some(Vec::new());
            }
            state = self.shared.notice_bell(state, left);
        }
    }

    /// Leaves the cluster; an owner ends it. Waits, up to the patience given, for the scheduler to have taken everything down.
    pub fn leave(&self, end_cluster: bool, patience: Duration) {
        let mut state = self.shared.lock();
        if state.ended.is_none() && end_cluster {
            state.process.flush_reports();
            self.shared.act(&mut state);
            state.tell_scheduler(&ToScheduler::Shutdown);
            state.flush_scheduler();
            drop(state);
            let deadline = Instant::now() + patience;
            let mut never = || false;
            self.shared.wait_for_reply(Some(deadline), &mut never, &mut |state| state.connection_closed);
            state = self.shared.lock();
        }
        state.ended.get_or_insert_with(|| String::from("ray.shutdown() was called"));
        state.stop = true;
        // References and views may live on and keep this; what can serve nobody any more goes now.
        state.submit.clear();
        state.segments.close();
        drop(state);
        self.shared.bell.ring_io();
        self.shared.news.notify_all();
    }
}

impl Shared {
    #[inline]
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while it was held left the state half-changed; going on could lie to the user.
        self.state.lock().expect("a thread of this process panicked inside raio")
    }

    /// The machine's monotonic clock, so that what several processes report can be put in order.
    #[inline]
    fn now(&self) -> Time {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Time::after(Duration::new(now.tv_sec as u64, now.tv_nsec as u32))
    }
}
