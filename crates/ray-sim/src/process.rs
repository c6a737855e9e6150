//! A simulated driver or worker: the real [`Process`] core, with a shell that does what the real shell does.

use crate::link::Nanos;
use crate::program::ProgramId;
use crate::streams::{Intake, Yielding};
use ray_core::process::Process;
use ray_protocol::record::TaskHeader;
use ray_protocol::{ClientId, NodeId, ObjectId, TaskId, Value};
use std::collections::{BTreeMap, VecDeque};

/// Which simulated process; also its pid.
pub type ProcId = usize;

/// A simulated process.
#[derive(Debug)]
pub struct Proc {
    /// Dead processes stay in the list, for their rings outlive them.
    pub alive: bool,
    /// It does nothing until then.
    pub paused_until: Nanos,
    /// What it is.
    pub role: Role,
    /// There once the scheduler has welcomed it.
    pub core: Option<Process>,
    /// Peers it has a channel with.
    pub channels: BTreeMap<ClientId, Channel>,
    /// Tasks taken out of rings and not begun, in order.
    pub unstarted: VecDeque<Unstarted>,
    /// What it runs.
    pub frame: Option<Frame>,
    /// Whether a [`Run`](crate::cluster::Event::Run) is on its way.
    pub runs: bool,
    /// Messages to the scheduler that may not have left yet, and since when.
    pub unsent: Vec<(Nanos, u64)>,
    /// When it will look after its timers.
    pub timer: Option<Nanos>,
    /// The actor it became, and whether it is to end after what is queued.
    pub actor: Option<ActorSelf>,
    /// It has run its share of tasks, and ends when nothing it submitted is under way.
    pub retires: bool,
}

/// What a process is.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // the fields are what their names say
pub enum Role {
    /// It runs this program, then stays until told to leave.
    Driver { program: ProgramId, done: bool },
    /// It runs tasks.
    Worker { node: NodeId, spawn: u64 },
}

/// One side of the channels with one peer: each may submit tasks to the other.
#[derive(Debug, Clone, Copy, Default)]
pub struct Channel {
    /// The peer.
    pub peer: ProcId,
    /// Whether this process opened one, to submit.
    pub opened: bool,
    /// Whether the peer accepted it: what it answers can be read.
    pub accepted: bool,
    /// Whether the peer opened one: what it submits can be read.
    pub serves: bool,
}

/// A worker that is an actor.
#[derive(Debug, Clone, Copy)]
pub struct ActorSelf {
    /// Which.
    pub actor: TaskId,
    /// Which life.
    pub restarts: u32,
    /// Its last handle is gone.
    pub finishing: bool,
    /// Its constructor has ended.
    pub constructed: bool,
}

/// A task read from a ring.
#[derive(Debug, Clone)]
pub struct Unstarted {
    /// Who submitted it.
    pub from: ClientId,
    /// Its header.
    pub header: TaskHeader,
    /// Its arguments.
    pub body: Vec<u8>,
    /// Of a stream: how many of its items were taken.
    pub consumed: u64,
}

/// A program being run.
#[derive(Debug)]
pub struct Frame {
    /// What it runs.
    pub program: ProgramId,
    /// The next step.
    pub at: usize,
    /// References in its hands: each is one claim.
    pub slots: Vec<Option<ObjectId>>,
    /// Claims that have no slot: views of stored arguments.
    pub claims: Vec<ObjectId>,
    /// Its value so far.
    pub so_far: u64,
    /// The task it is an execution of; None for a driver's program.
    pub task: Option<Execution>,
    /// What it waits for.
    pub waits: Option<Wait>,
    /// It has ended, and its result was written: what is left to do is to send it.
    pub result: Option<(Value, bool)>,
    /// It ended with something after which it is to be tried again.
    pub retry: bool,
    /// It was asked to stop.
    pub cancelled: bool,
    /// Tasks it submitted, for recursive cancels.
    pub children: Vec<TaskId>,
    /// Actors it knows, and whether its handle is a weak one.
    pub actors: Vec<Option<(TaskId, bool)>>,
    /// Streams it takes items from.
    pub streams: Vec<Option<Intake>>,
    /// The stream it is.
    pub yielding: Option<Yielding>,
}

/// What a program waits for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wait {
    /// An object's value.
    Object(ObjectId),
    /// The answer to a question about a name.
    Find(u64),
    /// That items it yielded are taken.
    Demand,
}

/// Which task a frame executes.
#[derive(Debug, Clone, Copy)]
pub enum Execution {
    /// A task or an actor's method.
    Task {
        /// Who submitted it.
        from: ClientId,
        /// Its number there.
        seq: u64,
    },
    /// An actor's constructor.
    Constructor {
        /// Whether it raises at the end.
        raises: bool,
    },
}

impl Proc {
    /// A process that has just been started.
    pub fn new(role: Role) -> Self {
        Proc {
            alive: true,
            paused_until: 0,
            role,
            core: None,
            channels: BTreeMap::new(),
            unstarted: VecDeque::new(),
            frame: None,
            runs: false,
            unsent: Vec::new(),
            timer: None,
            actor: None,
            retires: false,
        }
    }

    /// Whether it is a driver.
    pub fn is_driver(&self) -> bool {
        matches!(self.role, Role::Driver { .. })
    }

    /// Whether the task it runs waits for something.
    pub fn is_blocked(&self) -> bool {
        self.frame.as_ref().is_some_and(|frame| frame.waits.is_some())
    }
}

impl Frame {
    /// A program about to begin.
    pub fn new(program: ProgramId, salt: u64, task: Option<Execution>) -> Self {
        Frame {
            program,
            at: 0,
            slots: Vec::new(),
            claims: Vec::new(),
            so_far: salt,
            task,
            waits: None,
            result: None,
            retry: false,
            cancelled: false,
            children: Vec::new(),
            actors: Vec::new(),
            streams: Vec::new(),
            yielding: None,
        }
    }
}
