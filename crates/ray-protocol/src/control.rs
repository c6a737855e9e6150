//! Control messages: client ⇄ scheduler, client ⇄ store, zygote ⇄ scheduler, store ⇄ scheduler, store ⇄ store.
//!
//! Every connection begins with [`Hello`]; anything else first, or another version, closes it. A message is one frame. Descriptors
//! travel beside a frame, in the order its comment names.

use crate::groups::{GroupRequest, GroupRow};
use crate::ids::{ClientId, FunctionId, NodeId, ObjectId, SegmentId, TaskId};
use crate::value::{Exit, Failure, Location, Resources, Value};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Why a frame could not be understood.
#[derive(Debug, thiserror::Error)]
#[error("malformed message: {0}")]
pub struct DecodeError(#[from] postcard::Error);

/// Encodes one message.
pub fn encode(message: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(message).expect("control messages always encode")
}

/// Decodes one message. Trailing bytes are an error too: two sides that disagree about a message must not go on.
pub fn decode<M: DeserializeOwned>(frame: &[u8]) -> Result<M, DecodeError> {
    match postcard::take_from_bytes(frame)? {
        (message, []) => Ok(message),
        _ => Err(DecodeError(postcard::Error::DeserializeBadEncoding)),
    }
}

/// First frame on every connection.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`](crate::PROTOCOL_VERSION) of the sender.
    pub version: u32,
    /// The sender's pid.
    pub pid: i32,
    /// What the sender is.
    pub role: Role,
}

/// What a process is to the one it connects to.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Role {
    /// A user's program.
    Driver {
        /// The cluster ends when its owner's connection ends; other drivers come and go.
        owner: bool,
    },
    /// A process forked to run tasks.
    Worker {
        /// The number the scheduler asked for it under.
        spawn: u64,
    },
    /// The process that forks workers.
    Zygote {
        /// Its node.
        node: NodeId,
    },
    /// An object store, to the scheduler.
    Store {
        /// Its node.
        node: NodeId,
        /// Its budget.
        capacity_bytes: u64,
    },
    /// A client, to its store.
    StoreClient {
        /// The id the scheduler gave it.
        client: ClientId,
    },
    /// Another node's store, to a store it pulls objects from.
    StorePeer {
        /// The other store's node.
        node: NodeId,
    },
    /// A tool that asks and leaves (`ray status`).
    Observer,
}

/// From a driver or worker to the scheduler.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum ToScheduler {
    /// How many workers more (than already granted) this client could use now for tasks of this shape. Replaces the last number said.
    WantLeases {
        /// What each task of this kind holds while it runs.
        shape: Resources,
        /// 0 takes the wish back.
        count: u32,
        /// Nodes that already hold most of the next tasks' arguments; a preference.
        near: Option<NodeId>,
    },
    /// From a worker: it ends, and is to be given no more work. Said again when it has nothing left to wait for.
    Retire {
        /// It still waits for tasks of its own, so what it holds is free from now on; else it is, when the process has ended.
        waits: bool,
    },
    /// The client is done with a worker.
    ReturnLease {
        /// Which worker.
        worker: ClientId,
    },
    /// First half of a channel. Descriptors: ring segment, process page, main bell, io bell.
    OpenChannel {
        /// The worker at the other end.
        to: ClientId,
    },
    /// Second half. Same descriptors.
    AcceptChannel {
        /// The client that opened it.
        to: ClientId,
    },
    /// A reference to the sender's own object is about to leave it; the sender keeps one hold.
    Share {
        /// The object.
        object: ObjectId,
        /// Its value, when it has one already.
        value: Option<Value>,
    },
    /// A shared object of the sender has its value now.
    Ready {
        /// The object.
        object: ObjectId,
        /// Its value.
        value: Value,
    },
    /// `count` more (or, negative, fewer) holds of `client`.
    Hold {
        /// Whose holds.
        client: ClientId,
        /// On which object.
        object: ObjectId,
        /// How many more.
        count: i32,
    },
    /// A value of `object` has references inside it; as long as `object` lives, they live. Makes `object` shared, with one hold of its owner.
    Contains {
        /// The outer object.
        object: ObjectId,
        /// The inner ones, once per occurrence.
        inner: Vec<ObjectId>,
    },
    /// From the owner of a result: its worker is gone and the result never arrived, so what that worker said it contains is void.
    ContainsNothing {
        /// The result.
        object: ObjectId,
        /// Who may have said that it contains something.
        worker: ClientId,
    },
    /// Tell me when this object has a value.
    Subscribe {
        /// The object.
        object: ObjectId,
    },
    /// A task of the sender waits; a worker that runs one at a time lends its slot until [`Unblocked`](Self::Unblocked).
    Blocked {
        /// The waiting task; None when a driver waits.
        task: Option<TaskId>,
        /// What it waits for.
        objects: Vec<ObjectId>,
        /// How many of them it cannot do without; 0: it may go on without any of those named here.
        enough: u32,
    },
    /// That task's wait is over.
    Unblocked {
        /// As in [`Blocked`](Self::Blocked).
        task: Option<TaskId>,
    },
    /// News for the computation graph, in order.
    Report(Vec<GraphEvent>),
    /// Answer to [`FromScheduler::FlushReports`].
    Flushed {
        /// The number of the request.
        request: u64,
        /// What the sender executes just now.
        running: Vec<RunningTask>,
        /// Workers leased to the client that have nothing to do.
        idle: Vec<ClientId>,
    },
    /// A question, answered by [`FromScheduler::Answer`].
    Ask {
        /// Number to answer under.
        request: u64,
        /// The question.
        question: Question,
    },
    /// From the owner: end the cluster.
    Shutdown,
    /// Kill a worker process at once.
    KillWorker {
        /// Which.
        worker: ClientId,
        /// Why, for those who wait for its results.
        reason: String,
    },
    /// Stop a task wherever it is; sent by its owner for a task that another process may be waiting on or running children of.
    CancelOwned {
        /// The task, owned by another client.
        task: TaskId,
        /// Kill its worker if it runs.
        force: bool,
        /// Its children too.
        recursive: bool,
    },
    /// Actor life; see [`ActorMessage`].
    Actor(ActorMessage),
    /// Key-value store of the cluster.
    KeyValue {
        /// Number to answer under.
        request: u64,
        /// What to do.
        operation: KeyValueOperation,
    },
}

/// A task that runs just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningTask {
    /// Which.
    pub task: TaskId,
    /// For how long.
    pub for_us: u64,
}

/// One fact for the computation graph.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum GraphEvent {
    /// A function got its id.
    Function {
        /// The id.
        function: FunctionId,
        /// The name users see.
        name: String,
    },
    /// A task was submitted.
    Submitted {
        /// Its running number at the reporting client.
        seq: u64,
        /// What it runs.
        function: FunctionId,
        /// The number of its results.
        returns: u32,
        /// The task that submitted it; None for a driver.
        parent: Option<TaskId>,
        /// The actor it is a call of.
        actor: Option<TaskId>,
        /// The objects it takes as arguments.
        inputs: Vec<ObjectId>,
        /// When, by the machine's monotonic clock: reports of different clients are put in order by it.
        at_us: u64,
    },
    /// A task ended.
    Finished {
        /// The task's number at the reporting client.
        seq: u64,
        /// Whether it gave values.
        ok: bool,
        /// Execution time.
        run_time_us: u32,
        /// Where it ran; none of the clients when it never did.
        worker: ClientId,
        /// When this was known, by the machine's monotonic clock.
        at_us: u64,
    },
}

/// What an observer or driver may ask the scheduler.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Question {
    /// The computation graph.
    Graph,
    /// Nodes, resources, workers.
    Cluster,
    /// Why is this object not there yet?
    Explain(ObjectId),
    /// What does this actor do, or what does it wait for?
    ExplainActor(TaskId),
    /// Counters of the scheduler (objects, holds, tasks), for tests and `ray status`.
    Counters,
    /// The list of actors.
    Actors,
    /// Placement groups: making and removing them, too, since whoever does waits for the answer.
    Groups(GroupRequest),
}

/// From the scheduler to a driver or worker.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum FromScheduler {
    /// You are in.
    Welcome {
        /// Your id.
        client: ClientId,
        /// Your node.
        node: NodeId,
        /// Random number of this cluster, part of every id Python sees.
        cluster: u64,
        /// The driver's number; workers work for any job.
        job: u32,
        /// Path of your node's store socket.
        store_socket: String,
    },
    /// The versions differ; the connection closes after this.
    Refused {
        /// What to tell the user.
        reason: String,
    },
    /// This worker runs your tasks of this shape until you return it.
    Grant {
        /// Which worker.
        worker: ClientId,
        /// Where it is.
        node: NodeId,
        /// For which wish.
        shape: Resources,
        /// The GPUs its tasks may use, when the shape has some.
        devices: Vec<u32>,
    },
    /// Others wait: give this worker back when what runs there has ended.
    Revoke {
        /// Which worker.
        worker: ClientId,
    },
    /// No worker of this shape can ever be granted.
    Unschedulable {
        /// The shape asked for.
        shape: Resources,
        /// What becomes of tasks that want it.
        failure: Failure,
    },
    /// A submitter opened a channel to you. Descriptors as in [`ToScheduler::OpenChannel`].
    ChannelOpened {
        /// Who.
        from: ClientId,
    },
    /// The worker answered. Same descriptors.
    ChannelAccepted {
        /// Who.
        from: ClientId,
    },
    /// A client you have a channel with is gone.
    PeerLost {
        /// Who.
        client: ClientId,
        /// How it ended.
        exit: Exit,
    },
    /// An object you subscribed to.
    Ready {
        /// The object.
        object: ObjectId,
        /// Its value.
        value: Value,
    },
    /// Your wait is part of a cycle.
    Deadlock {
        /// The task whose wait must end.
        task: TaskId,
        /// The cycle, one line each.
        cycle: String,
    },
    /// Send your buffered graph news now, then [`ToScheduler::Flushed`].
    FlushReports {
        /// The number to answer with.
        request: u64,
    },
    /// The answer to a question, in pieces; the last has `more == false`.
    Answer {
        /// Which question.
        request: u64,
        /// Encoded [`AnswerPart`].
        part: AnswerPart,
        /// Whether another piece follows.
        more: bool,
    },
    /// Output of a worker, whole lines.
    Log {
        /// The worker's pid.
        pid: i32,
        /// Standard error rather than output.
        stderr: bool,
        /// The lines; the worker's own marks of function names are still in them.
        text: String,
        /// Bytes dropped before this, because the driver did not keep up.
        dropped_bytes: u64,
    },
    /// Cancel a task of yours.
    Cancel {
        /// Your task.
        task: TaskId,
        /// Kill its worker if it runs.
        force: bool,
        /// Its children too.
        recursive: bool,
    },
    /// Actor life; see [`ActorNotice`].
    Actor(ActorNotice),
    /// Answer to a [`ToScheduler::KeyValue`].
    KeyValue {
        /// Which request.
        request: u64,
        /// The value or values found.
        found: Vec<Vec<u8>>,
    },
    /// Something only the user can act on.
    Warning {
        /// The text.
        text: String,
    },
}

/// Key-value operations.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum KeyValueOperation {
    /// Store; answers with one empty value when the key existed.
    Put {
        /// Key.
        key: Vec<u8>,
        /// Value.
        #[serde(with = "crate::as_bytes")]
        value: Vec<u8>,
        /// Replace an existing value.
        overwrite: bool,
    },
    /// Look up; answers with the value, if any.
    Get {
        /// Key.
        key: Vec<u8>,
    },
    /// Delete; answers with one empty value when there was one.
    Delete {
        /// Key.
        key: Vec<u8>,
    },
    /// Keys that begin so.
    List {
        /// Prefix.
        prefix: Vec<u8>,
    },
}

/// One piece of an answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum AnswerPart {
    /// Function names used by the tasks of the graph.
    Functions(Vec<(FunctionId, String)>),
    /// Tasks of the graph, in submission order.
    Tasks(Vec<TaskRow>),
    /// How many finished tasks were folded away, by function: nothing is cut silently.
    Folded(Vec<(String, u64)>),
    /// Nodes and workers.
    Cluster(ClusterView),
    /// Words.
    Text(String),
    /// Named numbers.
    Counters(Vec<(String, u64)>),
    /// Actors.
    Actors(Vec<ActorRow>),
    /// Placement groups.
    Groups(Vec<GroupRow>),
}

/// A task as the graph knows it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TaskRow {
    /// The task.
    pub task: TaskId,
    /// What it runs.
    pub function: FunctionId,
    /// Who launched it.
    pub parent: Option<TaskId>,
    /// How many results.
    pub returns: u32,
    /// Argument objects.
    pub inputs: Vec<ObjectId>,
    /// How far it is.
    pub state: TaskState,
    /// Execution time so far known.
    pub run_time_us: u32,
    /// When it was submitted, by the machine's monotonic clock.
    pub submitted_us: u64,
    /// How long after that its end was known.
    pub took_us: u32,
    /// Where it ran, once it has ended.
    pub worker: ClientId,
}

/// How far a task is, as the graph knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum TaskState {
    /// Submitted, not started as far as known.
    Pending,
    /// An attempt runs.
    Running,
    /// Gave its values.
    Finished,
    /// Gave failures.
    Failed,
}

/// The cluster at a glance.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ClusterView {
    /// Every node that ever was.
    pub nodes: Vec<NodeRow>,
    /// Every live worker.
    pub workers: Vec<WorkerRow>,
    /// Connected drivers.
    pub drivers: u32,
}

/// One node.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct NodeRow {
    /// Which.
    pub node: NodeId,
    /// Whether it is there.
    pub alive: bool,
    /// What it has.
    pub total: Resources,
    /// What is free.
    pub available: Resources,
    /// Path of its store's socket.
    pub store_socket: String,
    /// The store's budget.
    pub store_capacity_bytes: u64,
}

/// One worker.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct WorkerRow {
    /// Its client id.
    pub client: ClientId,
    /// Its pid.
    pub pid: i32,
    /// Its node.
    pub node: NodeId,
    /// In words: idle, leased to whom, blocked on what.
    pub state: String,
}

/// From a client to the scheduler about actors. The calls themselves go straight to the actor's worker.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum ActorMessage {
    /// Register a new actor; answered by [`ActorNotice::Registered`].
    Create {
        /// The creation task; it names the actor for ever.
        actor: TaskId,
        /// What it is.
        spec: Box<ActorSpec>,
    },
    /// The constructor ended.
    Constructed {
        /// Which actor.
        actor: TaskId,
        /// None when it worked, else the encoded failure.
        failure: Option<Vec<u8>>,
    },
    /// I hold `count` more (fewer) handles.
    Handles {
        /// Which actor.
        actor: TaskId,
        /// Whose handles.
        client: ClientId,
        /// How many more.
        count: i32,
    },
    /// Tell me where it is and when that changes.
    Watch {
        /// Which actor.
        actor: TaskId,
    },
    /// Kill it.
    Kill {
        /// Which actor.
        actor: TaskId,
        /// Do not restart it.
        no_restart: bool,
    },
    /// The actor ends itself on purpose.
    Exiting {
        /// Which actor.
        actor: TaskId,
    },
    /// Find by name.
    Find {
        /// Number to answer under.
        request: u64,
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
    },
}

/// What the scheduler keeps about an actor.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ActorSpec {
    /// Class name users see.
    pub class: String,
    /// Registered name, or empty.
    pub name: String,
    /// Namespace of the name.
    pub namespace: String,
    /// Outlives its creator.
    pub detached: bool,
    /// Times it may be restarted; -1 for ever.
    pub max_restarts: i64,
    /// Calls it may run at a time, all its concurrency groups together.
    pub calls_at_once: u32,
    /// What it holds to be placed.
    pub placement: Resources,
    /// What it holds while it lives.
    pub running: Resources,
    /// Environment variables its process gets on top of the driver's.
    pub environment: Vec<(String, String)>,
    /// Pickled metadata from which any process can build a handle.
    #[serde(with = "crate::as_bytes")]
    pub handle: Vec<u8>,
    /// The encoded creation record, sent to the worker again at each restart.
    #[serde(with = "crate::as_bytes")]
    pub creation: Vec<u8>,
}

/// From the scheduler about actors.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum ActorNotice {
    /// The answer to Create: the name may be taken.
    Registered {
        /// Which actor.
        actor: TaskId,
        /// Why not, if not.
        refused: Option<String>,
    },
    /// To the worker that is to become the actor.
    Become {
        /// Which actor.
        actor: TaskId,
        /// The encoded creation record.
        #[serde(with = "crate::as_bytes")]
        creation: Vec<u8>,
        /// 0 at first.
        restarts: u32,
        /// The GPUs it may use.
        devices: Vec<u32>,
    },
    /// It runs there.
    Alive {
        /// Which actor.
        actor: TaskId,
        /// Its worker.
        worker: ClientId,
        /// How often it was restarted.
        restarts: u32,
    },
    /// It is between two lives.
    Restarting {
        /// Which actor.
        actor: TaskId,
    },
    /// It will not come back.
    Dead {
        /// Which actor.
        actor: TaskId,
        /// The encoded failure for every call.
        failure: Vec<u8>,
    },
    /// The answer to Find.
    Found {
        /// Which request.
        request: u64,
        /// The actor and its handle metadata.
        actor: Option<(TaskId, Vec<u8>)>,
    },
    /// To the actor's worker: finish what is queued, then exit (the last handle is gone).
    Finish,
}

/// An actor, for lists.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ActorRow {
    /// Its creation task.
    pub actor: TaskId,
    /// Class name.
    pub class: String,
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// State in Ray's words.
    pub state: String,
    /// Its process, or 0.
    pub pid: i32,
    /// Its node.
    pub node: NodeId,
    /// Restarts so far.
    pub restarts: u32,
    /// Why it is dead.
    pub death_cause: String,
}

/// From the zygote to the scheduler.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum FromZygote {
    /// A worker was forked. Descriptors: its standard output and standard error, to read.
    Spawned {
        /// The number it was asked for under.
        spawn: u64,
        /// Its pid.
        pid: i32,
    },
    /// A worker ended.
    Exited {
        /// The number it was asked for under.
        spawn: u64,
        /// Exit code.
        code: Option<i32>,
        /// Signal.
        signal: Option<i32>,
    },
}

/// From the scheduler to the zygote.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum ToZygote {
    /// Fork a worker.
    Spawn {
        /// Its number.
        spawn: u64,
        /// Environment variables on top of the driver's.
        environment: Vec<(String, String)>,
    },
    /// Kill a worker and everything it started.
    Kill {
        /// Its number.
        spawn: u64,
    },
}

/// From a client (or another store) to a store.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum ToStore {
    /// I am about to make a segment of this size: count it before memory is taken. Answered by Reserved or Full.
    Reserve {
        /// The segment's id.
        segment: SegmentId,
        /// Its size.
        size_bytes: u64,
    },
    /// The segment, after [`FromStore::Reserved`]. Descriptor: the segment.
    Register {
        /// The segment's id.
        segment: SegmentId,
    },
    /// I dropped an empty segment.
    Drop {
        /// The segment's id.
        segment: SegmentId,
    },
    /// Objects written and complete.
    Sealed(Vec<(ObjectId, Location)>),
    /// Objects nobody can refer to any more.
    Free(Vec<ObjectId>),
    /// Let me read this segment. Answered by Segment or SegmentGone.
    Map {
        /// The segment's id.
        segment: SegmentId,
    },
    /// Bring this object, which is on another node, here. Answered by Fetched.
    Fetch {
        /// The object.
        object: ObjectId,
        /// Where it is.
        from: Location,
    },
    /// Send me this object's bytes ([`FromStore::Chunk`]); between stores.
    Pull {
        /// The object.
        object: ObjectId,
        /// Where it lies in your memory.
        from: Location,
    },
    /// Numbers. Answered by Stats.
    Ask {
        /// Number to answer under.
        request: u64,
    },
}

/// From a store to a client, another store or the scheduler.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum FromStore {
    /// Hello back; the store checked the version.
    Welcome {
        /// The store's node.
        node: NodeId,
    },
    /// Go ahead.
    Reserved {
        /// The segment.
        segment: SegmentId,
    },
    /// The budget does not allow it.
    Full {
        /// The segment.
        segment: SegmentId,
        /// What there is and what fills it, for the user.
        report: String,
    },
    /// Memory is short: drop the segments that hold no object.
    Trim,
    /// Blocks of yours that hold no object any more.
    Freed(Vec<(ObjectId, Location)>),
    /// A segment to map read-only. Descriptor: the segment.
    Segment {
        /// Which.
        segment: SegmentId,
        /// Its size.
        size_bytes: u64,
    },
    /// There is no such segment (any more); drop your mapping.
    SegmentGone {
        /// Which.
        segment: SegmentId,
    },
    /// The object is here now, or will not be.
    Fetched {
        /// The object.
        object: ObjectId,
        /// Where it lies here, or why not.
        outcome: Result<Location, NotFetched>,
    },
    /// A piece of an object, between stores; pieces come in order.
    Chunk {
        /// The object.
        object: ObjectId,
        /// Offset of the piece.
        offset: u64,
        /// The bytes.
        #[serde(with = "crate::as_bytes")]
        bytes: Vec<u8>,
        /// Whether this is the last.
        last: bool,
    },
    /// A pull failed.
    PullFailed {
        /// The object.
        object: ObjectId,
        /// Why.
        reason: String,
    },
    /// Numbers.
    Stats {
        /// Which question.
        request: u64,
        /// The numbers.
        stats: StoreStats,
    },
}

/// Why an object could not be brought to a node.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum NotFetched {
    /// The store there has no room for a copy; what fills it, for the user.
    Full(String),
    /// The object, or the way to it, is gone.
    Lost(String),
}

/// From the scheduler to a store.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum SchedulerToStore {
    /// Where the other stores listen.
    Peers(Vec<(NodeId, String)>),
    /// Shared objects nobody holds any more.
    Free(Vec<ObjectId>),
    /// A client ended. Of its own objects only those that others know are of use any more; what it wrote for others is theirs to free.
    ClientGone {
        /// Who.
        client: ClientId,
        /// Its objects that others know.
        shared: Vec<ObjectId>,
    },
}

/// From a store to the scheduler.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum StoreToScheduler {
    /// A copy of an object was made here.
    Copied {
        /// The object.
        object: ObjectId,
        /// The copy.
        at: Location,
    },
}

/// A store's own count.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StoreStats {
    /// The budget.
    pub capacity_bytes: u64,
    /// Memory segments take, whether or not objects fill them.
    pub reserved_bytes: u64,
    /// Bytes of live objects.
    pub used_bytes: u64,
    /// Live objects.
    pub objects: u64,
    /// Segments.
    pub segments: u64,
    /// Objects brought from other nodes since the start.
    pub fetched: u64,
}
