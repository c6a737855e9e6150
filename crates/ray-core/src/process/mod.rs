//! What a driver or worker process tracks: the objects it has references to, the tasks it submitted, and the workers it may use.
//!
//! A [`Process`] is driven from three sides. User code calls [`submit`](Process::submit), [`put`](Process::put),
//! [`retain`](Process::retain), [`release`](Process::release) and asks for [`value`](Process::value)s. The event loop feeds what arrives:
//! [`scheduler_said`](Process::scheduler_said), [`record_arrived`](Process::record_arrived), [`worker_lost`](Process::worker_lost),
//! [`tick`](Process::tick). And whoever drives it drains [`poll_action`](Process::poll_action) afterwards, in order, until it is empty.
//!
//! # Life of a task here
//!
//! ```text
//!             all inputs exist         a lease has room            the result arrives
//!   waiting ───────────────────▶ queued ───────────────▶ pushed ───────────────────────▶ (gone; its objects have values)
//!      │                           ▲                        │
//!      │ an input failed           └────────────────────────┤ given back unstarted, or its worker died and a retry is left
//!      ▼                                                    ▼
//!   (gone; its objects carry the failure)            worker died, no retry left
//! ```
//!
//! # Invariants
//!
//! - P-1 An object entry exists as long as `local > 0`: Python references, arguments of unfinished tasks, views of its memory.
//! - P-2 When the last local claim goes, the holds the scheduler booked for this process are given back; with none booked, nobody else
//!   can know the object and this process frees it alone.
//! - P-3 Tasks of one shape are pushed in submission order; a task given back goes to the front again.
//! - P-4 A task is pushed only when every input has a value; an input that failed fails the task without running it.
//!
//! It must not know: sockets, rings, pickles, Python.

mod actors;
mod attempts;
mod leases;
mod object_table;
mod objects;
mod seq_map;
mod tasks;
mod validate;

#[cfg(test)]
mod tests;

use crate::Time;
use hashbrown::{HashMap, HashSet};
use ray_protocol::control::{FromScheduler, GraphEvent, ToScheduler};
use ray_protocol::record::{self, RecordError};
use ray_protocol::{Bytes, ClientId, FunctionId, NodeId, ObjectId, TaskId, Value};
use std::collections::VecDeque;
use std::time::Duration;

pub use actors::{ActorCall, ActorView};
use leases::{Lease, Shape};
use object_table::ObjectTable;
pub use objects::ObjectView;
use seq_map::SeqMap;
use tasks::Task;

/// What a process wants done. Small, because one is made per task; the rare large ones are boxed.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Tell the scheduler.
    Scheduler(Box<ToScheduler>),
    /// Make a channel to this worker; tasks may be pushed into it at once.
    OpenChannel(ClientId),
    /// Push a task: its header and body are [`Process::pushable`].
    Push {
        /// To whom.
        worker: ClientId,
        /// Which task.
        seq: u64,
    },
    /// Tell a worker which GPUs the tasks pushed from now on may use.
    Devices {
        /// Which worker.
        worker: ClientId,
        /// Their numbers.
        devices: Box<[u32]>,
    },
    /// Ask a worker to give back what it has not started.
    Recall(ClientId),
    /// Ask a worker to stop a task.
    Cancel {
        /// Where it was pushed.
        worker: ClientId,
        /// Which task.
        seq: u64,
        /// Kill it.
        force: bool,
        /// Its children too.
        recursive: bool,
    },
    /// Nobody can refer to this object of our own any more: its bytes in our node's store can go.
    Free(ObjectId),
    /// An object somebody asked to be told of ([`Process::watch`]) has a value now.
    Ready(ObjectId),
}

/// A task to submit.
#[derive(Debug, Default, Clone)]
pub struct TaskSpec {
    /// What to run.
    pub function: FunctionId,
    /// See [`record::flag`].
    pub flags: u8,
    /// How many results.
    pub returns: u32,
    /// How many arguments `body` has.
    pub arguments: u32,
    /// The arguments, as [`record`] lays them out.
    pub body: Bytes,
    /// Arguments given by reference, as often as `body` has them; the caller still holds them.
    pub inputs: Vec<ObjectId>,
    /// References nested in arguments.
    pub nested: Vec<ObjectId>,
    /// What it holds while it runs.
    pub shape: ShapeId,
    /// Executions after the first that may be tried when a worker dies; negative: without end.
    pub max_retries: i32,
    /// The task that submits it.
    pub parent: Option<TaskId>,
    /// The function it is shown as, when it has a name of its own; see [`Process::name_function`].
    pub shown_as: Option<FunctionId>,
}

/// An interned [`Resources`]: most programs have one or two.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShapeId(pub u32);

/// The state machine of one process. See the module's documentation for its contract.
#[derive(Debug)]
pub struct Process {
    me: ClientId,
    node: NodeId,
    next_seq: u64,
    objects: ObjectTable,
    /// Objects that have got their values so far.
    arrivals: u64,
    /// Those among them that are failures.
    failures: u64,
    /// Whether a reference to an own object ever came back after the last one here had gone: its value is with the scheduler then.
    own_came_back: bool,
    /// Shared results of unfinished tasks that have no claim here any more: others wait to hear of them.
    awaited_elsewhere: HashSet<ObjectId>,
    tasks: SeqMap<Task>,
    /// Tasks that are failing just now, the first one being dealt with; empty between events.
    failing: VecDeque<(u64, Value)>,
    shapes: Vec<Shape>,
    leases: Vec<Lease>,
    /// Mean execution time by function, for how deep to push.
    run_times: HashMap<FunctionId, f32>,
    actors: HashMap<TaskId, actors::Actor>,
    actions: VecDeque<Action>,
    /// Graph news not yet sent. Late on purpose: a message per task would cost a wake-up of the scheduler per task.
    reports: Vec<GraphEvent>,
    names: HashMap<FunctionId, String>,
    now: Time,
}

/// Reports are sent when this many are buffered, or when the event loop's timer asks ([`Process::flush_reports`]).
const REPORT_BATCH: usize = 2048;
/// A message of reports names at most about this many inputs.
const INPUTS_PER_REPORT: usize = 50_000;

impl Process {
    /// A process that the scheduler has just welcomed.
    pub fn new(me: ClientId, node: NodeId) -> Self {
        Process {
            me,
            node,
            next_seq: 1,
            objects: ObjectTable::new(me),
            arrivals: 0,
            failures: 0,
            own_came_back: false,
            awaited_elsewhere: HashSet::new(),
            tasks: SeqMap::default(),
            failing: VecDeque::new(),
            shapes: Vec::new(),
            leases: Vec::new(),
            run_times: HashMap::new(),
            actors: HashMap::new(),
            actions: VecDeque::new(),
            reports: Vec::new(),
            names: HashMap::new(),
            now: Time::default(),
        }
    }

    /// This process's id.
    pub fn id(&self) -> ClientId {
        self.me
    }

    /// This process's node.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// What to do next, in order; None when nothing is left.
    #[inline]
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Tells the time, before calls that take none.
    #[inline]
    pub fn set_time(&mut self, now: Time) {
        self.now = now;
    }

    /// When [`tick`](Self::tick) should be called at the latest.
    pub fn next_timeout(&self) -> Option<Time> {
        self.leases.iter().filter_map(Lease::timeout).min()
    }

    /// Whether tasks of ours are under way, so that news may come at any time.
    pub fn expects_news(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// Takes a message from the scheduler. Messages that are the event loop's own business (channels, logs, answers) change nothing.
    pub fn scheduler_said(&mut self, now: Time, message: FromScheduler) {
        self.now = now;
        match message {
            FromScheduler::Grant { worker, node, shape, devices } => self.lease_granted(worker, node, &shape, &devices),
            FromScheduler::Revoke { worker } => self.lease_revoked(worker),
            FromScheduler::Unschedulable { shape, failure } => self.shape_unschedulable(&shape, &failure),
            FromScheduler::Ready { object, value } => self.foreign_value(object, value),
            FromScheduler::Cancel { task, force, recursive } => {
                self.cancel(task, force, recursive);
            }
            FromScheduler::Actor(notice) => self.actor_notice(notice),
            FromScheduler::Welcome { .. }
            | FromScheduler::Refused { .. }
            | FromScheduler::ChannelOpened { .. }
            | FromScheduler::ChannelAccepted { .. }
            | FromScheduler::PeerLost { .. }
            | FromScheduler::Deadlock { .. }
            | FromScheduler::FlushReports { .. }
            | FromScheduler::Answer { .. }
            | FromScheduler::Log { .. }
            | FromScheduler::KeyValue { .. }
            | FromScheduler::Warning { .. } => {}
        }
    }

    /// Takes a record a worker sent back. An error means the worker is broken; the caller drops its channel.
    pub fn record_arrived(&mut self, now: Time, worker: ClientId, bytes: &[u8]) -> Result<(), RecordError> {
        self.now = now;
        match record::read(bytes)? {
            record::Record::Result { seq, first, more, retry, last, run_time_us, values } => {
                if last {
                    self.worker_ends(worker, seq);
                }
                if retry && self.retry_raised(worker, seq) {
                    return Ok(());
                }
                self.result_arrived(worker, seq, first, more, run_time_us, values)
            }
            record::Record::Returned { seq } => {
                self.task_returned(worker, seq);
                Ok(())
            }
            _ => Err(RecordError("a worker may only send results")),
        }
    }

    /// Time has come to look after what takes long.
    pub fn tick(&mut self, now: Time) {
        self.now = now;
        self.recall_behind_long_tasks();
    }

    /// Names a function for the computation graph.
    pub fn name_function(&mut self, function: FunctionId, name: &str) {
        if self.names.get(&function).is_none_or(|known| known != name) {
            self.names.insert(function, name.to_owned());
            self.report(GraphEvent::Function { function, name: name.to_owned() });
        }
    }

    /// Sends buffered graph news to the scheduler, in as many messages as the largest frame asks for.
    pub fn flush_reports(&mut self) {
        let mut batch = Vec::new();
        let mut inputs = 0;
        for event in core::mem::take(&mut self.reports) {
            if let GraphEvent::Submitted { inputs: more, .. } = &event {
                inputs += more.len();
            }
            batch.push(event);
            if batch.len() >= REPORT_BATCH || inputs >= INPUTS_PER_REPORT {
                inputs = 0;
                self.tell_scheduler(ToScheduler::Report(core::mem::take(&mut batch)));
            }
        }
        if !batch.is_empty() {
            self.tell_scheduler(ToScheduler::Report(batch));
        }
    }

    /// Whether graph news wait to be sent.
    pub fn has_reports(&self) -> bool {
        !self.reports.is_empty()
    }

    fn report(&mut self, event: GraphEvent) {
        self.reports.push(event);
        if self.reports.len() >= REPORT_BATCH {
            self.flush_reports();
        }
    }

    fn tell_scheduler(&mut self, message: ToScheduler) {
        self.actions.push_back(Action::Scheduler(Box::new(message)));
    }

    fn function_name(&self, function: FunctionId) -> String {
        self.names.get(&function).cloned().unwrap_or_else(|| String::from("unknown function"))
    }
}

/// A lease is asked to give back unstarted tasks when the one in front of them has run this long: they were pushed there because the
/// function used to be quick.
const LONG_TASK: Duration = Duration::from_millis(5);
