//! What the scheduler decides: who may use which worker, how long shared objects live, what the computation graph looks like, and what
//! happens when a process ends.
//!
//! Tasks do not pass through here. A client asks for workers ("I could use three more for tasks that take one CPU"), is granted leases,
//! pushes its tasks straight to those workers, and tells of both in batches. What does pass through here is what only one place can
//! decide: leases, holds on objects that more than one process knows, births and deaths.
//!
//! # Life of a worker here
//!
//! ```text
//!   asked of the zygote ──▶ idle ◀──────────▶ leased ◀──────▶ leased, its task blocked (its resources are free meanwhile)
//!                            │                  │
//!                            └──▶ actor         └──▶ (lost: peers are told, holds dropped, another is forked if needed)
//! ```
//!
//! # Invariants (checked by [`Scheduler::validate`] after each event in tests and in the simulator)
//!
//! - S-1 A worker is leased to at most one client.
//! - S-2 A node's resources in use are the sum of what its unblocked leases, its actors and the bundles of placement groups hold.
//! - S-3 A shared object is forgotten when no client's holds and no containing object are left, and not before.
//! - S-4 Nothing refers to a client that is gone.
//! - S-5 A dead actor without handles is in the line of those to be forgotten, and that line is bounded.
//!
//! It must not know: sockets, descriptors, processes, the clock, what is inside a value.

mod actors;
mod deadlock;
mod devices;
mod explain;
mod graph;
mod groups;
mod leases;
mod objects;
mod workers;

#[cfg(test)]
mod tests;

use crate::Time;
use ray_protocol::control::{
    AnswerPart, ClusterView, FromScheduler, KeyValueOperation, NodeRow, Question, SchedulerToStore, StoreToScheduler, ToScheduler,
    ToZygote, WorkerRow,
};
use ray_protocol::value::Exit;
use ray_protocol::{ClientId, NodeId, ObjectId, Resources, TaskId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use deadlock::Blocked;
use graph::{Asked, Graph};
use leases::Wish;
use objects::Shared;
use workers::{Node, Worker};

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A driver, or anyone else who submits tasks but runs none, said hello.
    DriverJoined {
        /// Its pid.
        pid: i32,
        /// Whether the cluster ends with it.
        owner: bool,
    },
    /// A worker said hello.
    WorkerJoined {
        /// The number it was asked for under.
        spawn: u64,
        /// Its pid.
        pid: i32,
    },
    /// A node's store said hello.
    StoreJoined {
        /// Its node.
        node: NodeId,
        /// Its budget.
        capacity_bytes: u64,
    },
    /// A node's zygote said hello.
    ZygoteJoined {
        /// Its node.
        node: NodeId,
    },
    /// A client's message.
    Client(ClientId, ToScheduler),
    /// A store's message.
    Store(NodeId, StoreToScheduler),
    /// A client's connection ended.
    ClientGone(ClientId),
    /// The zygote says how a worker ended.
    WorkerExited {
        /// The number it was asked for under.
        spawn: u64,
        /// How.
        exit: Exit,
    },
    /// A node's store or zygote is gone: the node is lost.
    NodeLost {
        /// Which.
        node: NodeId,
        /// What ended.
        reason: String,
    },
    /// It is this late.
    Tick,
}

/// What to do.
#[derive(Debug, PartialEq, Clone)]
pub enum Action {
    /// Send to a client.
    Client(ClientId, FromScheduler),
    /// Send to a client, with the descriptors that came with the message being handled.
    Relay(ClientId, FromScheduler),
    /// Send to a node's zygote.
    Zygote(NodeId, ToZygote),
    /// Send to a node's store.
    Store(NodeId, SchedulerToStore),
    /// A client broke the rules: close its connection.
    Close {
        /// Who.
        client: ClientId,
        /// Which rule.
        reason: String,
    },
    /// The cluster is over.
    End {
        /// Why.
        reason: String,
    },
}

/// What a cluster is made of at the start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Random number of this cluster.
    pub cluster: u64,
    /// Its nodes, with what each has.
    pub nodes: Vec<NodeConfig>,
    /// Whether a wish that no node could ever grant fails its tasks (or waits for new nodes).
    pub fail_unschedulable: bool,
}

/// One node at the start.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// What tasks can hold there.
    pub resources: Resources,
    /// Workers kept ready.
    pub workers: u32,
    /// Path of its store's socket.
    pub store_socket: String,
}

/// A connected driver or worker.
#[derive(Debug)]
struct Client {
    pid: i32,
    node: NodeId,
    /// Some for a driver.
    job: Option<u32>,
    owner: bool,
    /// Peers with a channel to it.
    channels: BTreeSet<ClientId>,
    /// Its waits by task; more than one only where calls run at the same time.
    waits: BTreeMap<Option<TaskId>, Blocked>,
}

/// The scheduler's state machine. See the module's documentation and [`crate`] for its contract.
#[derive(Debug)]
pub struct Scheduler {
    config: Config,
    now: Time,
    next_client: u32,
    next_job: u32,
    next_spawn: u64,
    next_request: u64,
    nodes: BTreeMap<NodeId, Node>,
    clients: BTreeMap<ClientId, Client>,
    workers: BTreeMap<ClientId, Worker>,
    /// Workers whose connection ended, waiting for the zygote to say how.
    dying: BTreeMap<u64, workers::Dying>,
    /// Why the scheduler itself asked for a worker's end.
    kill_reasons: BTreeMap<u64, String>,
    wishes: VecDeque<Wish>,
    objects: BTreeMap<ObjectId, Shared>,
    /// Counts of holds to be put right.
    debts: Option<objects::Debts>,
    /// How clients that are gone ended, for those who ask for their objects. Bounded, oldest first out.
    graves: VecDeque<(ClientId, Exit)>,
    graph: Graph,
    actors: BTreeMap<TaskId, actors::Actor>,
    actor_names: BTreeMap<(String, String), TaskId>,
    /// Actors that wait for room.
    pending_actors: BTreeSet<TaskId>,
    /// Dead ones without handles, in the order in which they will be forgotten.
    dead_actors: VecDeque<TaskId>,
    /// Placement groups by id.
    groups: BTreeMap<String, groups::Group>,
    next_group: u64,
    key_values: BTreeMap<Vec<u8>, Vec<u8>>,
    deadlock_check: Option<deadlock::Check>,
    pending_answers: Vec<graph::PendingAnswer>,
    actions: VecDeque<Action>,
}

/// How many ended clients are remembered with how they ended.
const GRAVES: usize = 4096;

impl Scheduler {
    /// A scheduler of a cluster that is about to start.
    pub fn new(config: Config) -> Self {
        let nodes = (0..).map(NodeId).zip(&config.nodes).map(|(id, node)| (id, Node::new(id, node))).collect();
        Scheduler {
            config,
            now: Time::default(),
            next_client: 1,
            next_job: 1,
            next_spawn: 1,
            next_request: 1,
            nodes,
            clients: BTreeMap::new(),
            workers: BTreeMap::new(),
            dying: BTreeMap::new(),
            kill_reasons: BTreeMap::new(),
            wishes: VecDeque::new(),
            objects: BTreeMap::new(),
            debts: None,
            graves: VecDeque::new(),
            graph: Graph::default(),
            actors: BTreeMap::new(),
            actor_names: BTreeMap::new(),
            pending_actors: BTreeSet::new(),
            dead_actors: VecDeque::new(),
            groups: BTreeMap::new(),
            next_group: 0,
            key_values: BTreeMap::new(),
            deadlock_check: None,
            pending_answers: Vec::new(),
            actions: VecDeque::new(),
        }
    }

    /// What to do next, in order; None when nothing is left.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Event::Tick`] is due at the latest.
    pub fn next_timeout(&self) -> Option<Time> {
        let dying = self.dying.values().map(workers::Dying::deadline);
        let idle = self.surplus_deadline();
        let check = self.deadlock_check.as_ref().map(deadlock::Check::due);
        let answers = self.pending_answers.iter().map(|answer| answer.deadline);
        dying.chain(idle).chain(check).chain(answers).chain(self.debts_due()).chain(self.revoke_deadline()).min()
    }

    /// Takes one event.
    pub fn handle(&mut self, now: Time, event: Event) {
        self.now = now;
        match event {
            Event::DriverJoined { pid, owner } => self.driver_joined(pid, owner),
            Event::WorkerJoined { spawn, pid } => self.worker_joined(spawn, pid),
            Event::StoreJoined { node, capacity_bytes } => self.store_joined(node, capacity_bytes),
            Event::ZygoteJoined { node } => self.zygote_joined(node),
            Event::Client(client, message) if self.clients.contains_key(&client) => self.client_said(client, message),
            Event::Client(..) => {} // it has just been closed
            Event::Store(_, StoreToScheduler::Copied { object, at }) => self.object_copied(object, at),
            Event::ClientGone(client) => self.connection_ended(client),
            Event::WorkerExited { spawn, exit } => self.worker_exited(spawn, exit),
            Event::NodeLost { node, reason } => self.node_lost(node, &reason),
            Event::Tick => self.tick(),
        }
        self.place_pending_groups();
        self.place_pending_actors();
        self.place();
    }

    fn client_said(&mut self, client: ClientId, message: ToScheduler) {
        match message {
            ToScheduler::WantLeases { shape, count, near } => self.wish(client, shape, count, near),
            ToScheduler::Retire { waits } => self.retires(client, waits),
            ToScheduler::ReturnLease { worker } => self.lease_returned(client, worker),
            ToScheduler::OpenChannel { to } => self.channel(client, to, FromScheduler::ChannelOpened { from: client }),
            ToScheduler::AcceptChannel { to } => self.channel(client, to, FromScheduler::ChannelAccepted { from: client }),
            ToScheduler::Share { object, value } => self.object_shared(client, object, value),
            ToScheduler::Ready { object, value } => self.object_ready(client, object, value),
            ToScheduler::Hold { client: holder, object, count } => self.hold(holder, object, count),
            ToScheduler::Contains { object, inner } => self.object_contains(client, object, inner),
            ToScheduler::ContainsNothing { object, worker } => self.contents_void(client, object, worker),
            ToScheduler::Subscribe { object } => self.subscribe(client, object),
            ToScheduler::Blocked { task, objects, enough } => self.blocked(client, task, objects, enough),
            ToScheduler::Unblocked { task } => self.unblocked(client, task),
            ToScheduler::Report(events) => self.graph.record(client, events),
            ToScheduler::Flushed { request, running, idle } => self.flushed(client, request, &running, &idle),
            ToScheduler::Ask { request, question } => self.asked(client, request, question),
            ToScheduler::Shutdown => self.shutdown_asked(client),
            ToScheduler::KillWorker { worker, reason } => self.kill_worker(worker, reason),
            ToScheduler::CancelOwned { task, force, recursive } => {
                if self.clients.contains_key(&task.client) {
                    self.send(task.client, FromScheduler::Cancel { task, force, recursive });
                }
            }
            ToScheduler::Actor(message) => self.actor_message(client, message),
            ToScheduler::KeyValue { request, operation } => self.key_value(client, request, operation),
        }
    }

    fn send(&mut self, client: ClientId, message: FromScheduler) {
        self.actions.push_back(Action::Client(client, message));
    }

    fn driver_joined(&mut self, pid: i32, owner: bool) {
        let job = self.next_job;
        self.next_job += 1;
        self.join(pid, NodeId(0), Some(job), owner);
    }

    /// Registers a client and welcomes it.
    fn join(&mut self, pid: i32, node: NodeId, job: Option<u32>, owner: bool) -> ClientId {
        let client = ClientId(self.next_client);
        self.next_client += 1;
        self.clients.insert(client, Client { pid, node, job, owner, channels: BTreeSet::new(), waits: BTreeMap::new() });
        let store_socket = self.nodes[&node].store_socket.clone();
        let welcome = FromScheduler::Welcome { client, node, cluster: self.config.cluster, job: job.unwrap_or(0), store_socket };
        self.send(client, welcome);
        client
    }

    fn channel(&mut self, from: ClientId, to: ClientId, message: FromScheduler) {
        if !self.clients.contains_key(&to) {
            let exit = self.epitaph(to);
            self.send(from, FromScheduler::PeerLost { client: to, exit });
            return;
        }
        for (one, other) in [(from, to), (to, from)] {
            self.clients.get_mut(&one).expect("both are connected").channels.insert(other);
        }
        self.actions.push_back(Action::Relay(to, message));
    }

    /// How a client that is gone ended.
    fn epitaph(&self, client: ClientId) -> Exit {
        let known = self.graves.iter().rev().find(|(dead, _)| *dead == client);
        known.map_or_else(|| Exit { note: String::from("it ended long ago"), ..Exit::default() }, |(_, exit)| exit.clone())
    }

    /// A client is gone for good, and it is known how.
    fn bury(&mut self, client: ClientId, exit: Exit) {
        let Some(gone) = self.clients.remove(&client) else { return };
        self.graves.push_back((client, exit.clone()));
        if self.graves.len() > GRAVES {
            self.graves.pop_front();
        }
        for peer in gone.channels {
            if let Some(other) = self.clients.get_mut(&peer) {
                other.channels.remove(&client);
                self.send(peer, FromScheduler::PeerLost { client, exit: exit.clone() });
            }
        }
        self.drop_wishes_and_leases(client);
        self.drop_claims(client, &exit);
        self.expect_debts();
        self.drop_actor_claims(client, gone.job.is_some());
        self.drop_groups_of(client, gone.job.is_some());
        self.graph.client_gone(client);
        self.flush_answers_without(client);
        let shared: Vec<ObjectId> = self.objects_of(client).map(|(object, _)| object).collect();
        for node in self.nodes.values().filter(|node| node.store_ready).map(|node| node.id).collect::<Vec<_>>() {
            let shared = shared.clone();
            self.actions.push_back(Action::Store(node, SchedulerToStore::ClientGone { client, shared }));
        }
        if gone.owner {
            self.end("the driver that started the cluster ended");
        }
    }

    fn connection_ended(&mut self, client: ClientId) {
        if self.workers.contains_key(&client) {
            self.worker_connection_ended(client);
        } else if let Some(known) = self.clients.get(&client) {
            let exit = Exit { pid: known.pid, note: String::from("a driver that disconnected"), ..Exit::default() };
            self.bury(client, exit);
        }
    }

    fn shutdown_asked(&mut self, client: ClientId) {
        if self.clients[&client].owner {
            self.end("its driver asked for it");
        } else {
            let reason = String::from("only the driver that started a cluster may end it");
            self.actions.push_back(Action::Close { client, reason });
        }
    }

    fn end(&mut self, reason: &str) {
        self.actions.push_back(Action::End { reason: reason.to_owned() });
    }

    fn tick(&mut self) {
        self.bury_the_dying();
        self.retire_surplus();
        self.continue_deadlock_check();
        self.answer_overdue();
        self.settle_debts();
    }

    fn asked(&mut self, client: ClientId, request: u64, question: Question) {
        match question {
            Question::Graph => self.gather(client, request, Asked::Graph),
            Question::Cluster => self.gather(client, request, Asked::Cluster),
            Question::Explain(object) => self.gather(client, request, Asked::Explain(object)),
            Question::ExplainActor(actor) => self.gather(client, request, Asked::ExplainActor(actor)),
            Question::Counters => {
                let counters = self.counters();
                self.answer(client, request, AnswerPart::Counters(counters));
            }
            Question::Actors => {
                let rows = self.actor_rows();
                self.answer(client, request, AnswerPart::Actors(rows));
            }
            Question::Groups(what) => self.group_asked(client, request, what),
        }
    }

    fn answer(&mut self, client: ClientId, request: u64, part: AnswerPart) {
        self.send(client, FromScheduler::Answer { request, part, more: false });
    }

    /// How much of everything there is.
    pub fn counters(&self) -> Vec<(String, u64)> {
        let mut counters = vec![
            (String::from("clients"), self.clients.len() as u64),
            (String::from("workers"), self.workers.len() as u64),
            (String::from("shared_objects"), self.objects.len() as u64),
            (String::from("holds"), self.objects.values().map(Shared::hold_count).sum()),
            (String::from("wishes"), self.wishes.len() as u64),
            (String::from("actors"), self.actors.len() as u64),
            (String::from("live_actors"), self.live_actors() as u64),
        ];
        counters.extend(self.graph.counters());
        counters
    }

    /// `idle` are leased workers that have nothing to do: what their tasks would hold is free for everybody who asks for it.
    fn cluster_view(&self, idle: &BTreeSet<ClientId>) -> ClusterView {
        let available = |node: &Node| {
            let mut available = node.available();
            for client in idle {
                if let Some(worker) = self.workers.get(client).filter(|worker| worker.node == node.id)
                    && let workers::Work::Leased { .. } = worker.work
                {
                    available.add(&worker.held());
                }
            }
            available
        };
        let nodes = self
            .nodes
            .values()
            .map(|node| NodeRow {
                node: node.id,
                alive: node.alive,
                total: workers::for_users(&node.total),
                available: workers::for_users(&available(node)),
                store_socket: node.store_socket.clone(),
                store_capacity_bytes: node.store_capacity_bytes,
            })
            .collect();
        let workers = self
            .workers
            .iter()
            .map(|(&client, worker)| WorkerRow {
                client,
                pid: self.clients[&client].pid,
                node: worker.node,
                state: self.worker_in_words(client),
            })
            .collect();
        let drivers = self.clients.values().filter(|client| client.job.is_some()).count() as u32;
        ClusterView { nodes, workers, drivers }
    }

    fn key_value(&mut self, client: ClientId, request: u64, operation: KeyValueOperation) {
        let found = match operation {
            KeyValueOperation::Put { key, value, overwrite } => {
                let existed = self.key_values.contains_key(&key);
                if !existed || overwrite {
                    self.key_values.insert(key, value);
                }
                existed.then(Vec::new).into_iter().collect()
            }
            KeyValueOperation::Get { key } => self.key_values.get(&key).cloned().into_iter().collect(),
            KeyValueOperation::Delete { key } => self.key_values.remove(&key).map(|_| Vec::new()).into_iter().collect(),
            KeyValueOperation::List { prefix } => self
                .key_values
                .range(prefix.clone()..)
                .map(|(key, _)| key.clone())
                .take_while(|key| key.starts_with(&prefix))
                .collect(),
        };
        self.send(client, FromScheduler::KeyValue { request, found });
    }

    /// Leased workers, and whom to.
    pub fn leases(&self) -> impl Iterator<Item = (ClientId, ClientId)> {
        self.workers.iter().filter_map(|(&worker, state)| match state.work {
            workers::Work::Leased { to, .. } => Some((worker, to)),
            workers::Work::Idle(_) | workers::Work::Actor { .. } | workers::Work::Retiring => None,
        })
    }

    /// Every object that is shared just now, one line each.
    pub fn shared_in_words(&self) -> String {
        let lines: Vec<String> = self.objects.keys().filter_map(|&object| self.object_in_words(object)).collect();
        lines.join("\n")
    }

    /// Walks every cross-link; a panic here is a bug of the state machine.
    pub fn validate(&self) {
        self.validate_workers();
        self.validate_objects();
        self.validate_actors();
        for (client, state) in &self.clients {
            for peer in &state.channels {
                assert!(self.clients.contains_key(peer), "S-4: {client} has a channel to {peer}, which is gone");
            }
        }
        for wish in &self.wishes {
            assert!(self.clients.contains_key(&wish.client), "S-4: a wish of {}, which is gone", wish.client);
        }
    }
}
