//! Nodes and their worker processes: asked of the zygote, idle, at work, gone.

use super::devices::{Assigned, Devices};
use super::{Action, NodeConfig, Scheduler};
use crate::Time;
use ray_protocol::control::{SchedulerToStore, ToZygote};
use ray_protocol::value::{Exit, RESOURCE_UNIT};
use ray_protocol::{ClientId, NodeId, Resources};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

/// One node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) alive: bool,
    pub(super) total: Resources,
    /// What unblocked leases, actors and bundles of placement groups hold. May exceed `total` for a while: a task whose wait ended goes
    /// on at once.
    pub(super) in_use: Resources,
    pub(super) devices: Devices,
    /// Workers kept ready, leased ones included.
    pub(super) target: u32,
    /// Asked of the zygote and not here yet.
    pub(super) spawning: BTreeMap<u64, Spawning>,
    pub(super) zygote_ready: bool,
    pub(super) store_ready: bool,
    pub(super) store_socket: String,
    pub(super) store_capacity_bytes: u64,
    /// Workers that ended before they said hello, in a row: something is wrong with starting them.
    pub(super) stillborn: u32,
    /// What became of the last of those.
    pub(super) stillborn_reason: String,
}

/// A worker that was asked for.
#[derive(Debug, Default)]
pub(super) struct Spawning {
    /// The actor it is for.
    pub(super) actor: Option<ray_protocol::TaskId>,
    /// What that will hold of the node, kept free for it from now on.
    pub(super) holds: Resources,
    /// The GPUs among it.
    pub(super) devices: Assigned,
}

/// A connected worker.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) node: NodeId,
    pub(super) spawn: u64,
    pub(super) work: Work,
    /// Its task waits: what it holds is free meanwhile.
    pub(super) is_blocked: bool,
    /// The GPUs its tasks use, also while they wait; they are free when the lease is over or its process has ended.
    pub(super) devices: Assigned,
    /// It ends by itself, and nothing it submitted is under way.
    pub(super) is_quiet: bool,
}

/// What a worker is for just now.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Work {
    /// Free since then.
    Idle(Time),
    /// A client pushes tasks to it.
    Leased {
        to: ClientId,
        shape: Resources,
        /// When it was last asked back.
        asked_back: Option<Time>,
    },
    /// It is an actor.
    Actor { actor: ray_protocol::TaskId, holds: Resources },
    /// It was told to end.
    Retiring,
}

/// A worker of whose end one half is known: that its connection ended, or how its process did. The two come over different links, and
/// until the connection has ended, last words may come that others rely on (what its results contain, above all).
#[derive(Debug)]
pub(super) struct Dying {
    client: ClientId,
    since: Time,
    exit: Option<Exit>,
}

/// The other half usually comes within a millisecond; when it does not (the zygote died too, a grandchild keeps the socket open), nobody
/// waits longer than this.
const EPITAPH_WAIT: Duration = Duration::from_millis(300);

/// Workers beyond the target that have nothing to do end after this. Nested tasks come in waves; forking anew each time would cost more.
const SURPLUS_WAIT: Duration = Duration::from_secs(2);

/// After this many workers in a row that ended before they said hello, no more are started: the cause will not go away by itself.
const MAX_STILLBORN: u32 = 8;

impl Dying {
    pub(super) fn deadline(&self) -> Time {
        self.since.plus(EPITAPH_WAIT)
    }
}

/// What only this node has, for those who are to run there and nowhere else: as much of it as anybody may ask for.
fn own_name(id: NodeId) -> Resources {
    Resources::new([(format!("{OWN_NAME}{:056x}", id.0), 1_000_000 * RESOURCE_UNIT)])
}

/// How the names of such resources begin.
const OWN_NAME: &str = "node_id:";

/// Resources as users know them.
pub(super) fn for_users(resources: &Resources) -> Resources {
    let known = resources.iter().filter(|(name, _)| !name.starts_with(OWN_NAME));
    Resources::new(known.map(|(name, amount)| (name.to_owned(), amount)))
}

impl Node {
    pub(super) fn new(id: NodeId, config: &NodeConfig) -> Node {
        Node {
            id,
            alive: true,
            total: {
                let mut total = config.resources.clone();
                total.add(&own_name(id));
                total
            },
            in_use: Resources::default(),
            devices: Devices::new(&config.resources),
            target: config.workers,
            spawning: BTreeMap::new(),
            zygote_ready: false,
            store_ready: false,
            store_socket: config.store_socket.clone(),
            store_capacity_bytes: 0,
            stillborn: 0,
            stillborn_reason: String::new(),
        }
    }

    /// Whether workers can be had here.
    pub(super) fn may_fork(&self) -> bool {
        self.alive && self.zygote_ready && self.stillborn < MAX_STILLBORN
    }

    /// Why no worker will ever be started here again, if that is so.
    pub(super) fn gave_up(&self) -> Option<String> {
        (self.stillborn >= MAX_STILLBORN).then(|| {
            format!(
                "no worker can be started on node {}: {MAX_STILLBORN} in a row ended before they connected; the last {}",
                self.id, self.stillborn_reason
            )
        })
    }

    /// What is free.
    pub(super) fn available(&self) -> Resources {
        let mut free = self.total.clone();
        free.subtract(&self.in_use);
        free
    }

    /// Whether this much is free, down to single GPUs.
    pub(super) fn has_room(&self, shape: &Resources) -> bool {
        let enough = |(name, amount)| self.total.amount(name).saturating_sub(self.in_use.amount(name)) >= amount;
        shape.iter().all(enough) && self.devices.fit(shape)
    }
}

impl Scheduler {
    pub(super) fn store_joined(&mut self, node: NodeId, capacity_bytes: u64) {
        let Some(entry) = self.nodes.get_mut(&node) else { return };
        entry.store_ready = true;
        entry.store_capacity_bytes = capacity_bytes;
        let peers: Vec<(NodeId, String)> =
            self.nodes.values().filter(|node| node.alive).map(|node| (node.id, node.store_socket.clone())).collect();
        for other in self.nodes.values().filter(|node| node.store_ready).map(|node| node.id).collect::<Vec<_>>() {
            self.actions.push_back(Action::Store(other, SchedulerToStore::Peers(peers.clone())));
        }
    }

    pub(super) fn zygote_joined(&mut self, node: NodeId) {
        let Some(entry) = self.nodes.get_mut(&node) else { return };
        entry.zygote_ready = true;
        for _ in 0..entry.target {
            self.spawn(node, Spawning::default(), Vec::new());
        }
    }

    /// Asks a node's zygote for one more worker, if any can be had there.
    pub(super) fn spawn(&mut self, node: NodeId, mut what: Spawning, environment: Vec<(String, String)>) {
        let entry = self.nodes.get_mut(&node).expect("nodes are never removed");
        if !entry.may_fork() {
            return;
        }
        let spawn = self.next_spawn;
        self.next_spawn += 1;
        entry.in_use.add(&what.holds);
        what.devices = entry.devices.assign(&what.holds);
        entry.spawning.insert(spawn, what);
        self.actions.push_back(Action::Zygote(node, ToZygote::Spawn { spawn, environment }));
    }

    /// Why no worker with this much will ever be started, if every node that has it has given up.
    pub(super) fn barren(&self, shape: &Resources) -> Option<String> {
        let mut reason = None;
        for node in self.nodes.values().filter(|node| node.alive && node.total.covers(shape)) {
            reason = Some(node.gave_up()?);
        }
        reason
    }

    /// A worker that was asked for is here, or will never be: what was kept free for it is its own business now.
    fn take_spawning(&mut self, spawn: u64) -> Option<(NodeId, Spawning)> {
        self.nodes.values_mut().find_map(|node| {
            let what = node.spawning.remove(&spawn)?;
            node.in_use.subtract(&what.holds);
            Some((node.id, what))
        })
    }

    pub(super) fn worker_joined(&mut self, spawn: u64, pid: i32) {
        let Some((node, what)) = self.take_spawning(spawn) else { return };
        self.nodes.get_mut(&node).expect("nodes are never removed").stillborn = 0;
        let client = self.join(pid, node, None, false);
        self.workers.insert(
            client,
            Worker { node, spawn, work: Work::Idle(self.now), is_blocked: false, devices: what.devices, is_quiet: false },
        );
        if let Some(actor) = what.actor {
            self.place_actor(actor, client);
        }
    }

    pub(super) fn worker_connection_ended(&mut self, client: ClientId) {
        let spawn = self.workers[&client].spawn;
        // No task is sent there from now on; who waits for its results hears when it is known how it ended.
        match self.dying.remove(&spawn) {
            Some(Dying { exit: Some(exit), .. }) => self.bury_worker(client, exit),
            Some(Dying { exit: None, .. }) | None => {
                self.dying.insert(spawn, Dying { client, since: self.now, exit: None });
            }
        }
    }

    pub(super) fn worker_exited(&mut self, spawn: u64, mut exit: Exit) {
        if let Some(reason) = self.kill_reasons.remove(&spawn) {
            exit.note = reason;
        }
        let client = self.workers.iter().find(|(_, worker)| worker.spawn == spawn).map(|(client, _)| *client);
        match (client, self.dying.remove(&spawn)) {
            (Some(client), Some(_)) => self.bury_worker(client, exit),
            (Some(client), None) => {
                self.dying.insert(spawn, Dying { client, since: self.now, exit: Some(exit) });
            }
            (None, _) => self.stillborn(spawn, &exit),
        }
    }

    fn stillborn(&mut self, spawn: u64, exit: &Exit) {
        let Some((node, mut what)) = self.take_spawning(spawn) else { return };
        let entry = self.nodes.get_mut(&node).expect("nodes are never removed");
        entry.devices.take_back(&mut what.devices);
        entry.stillborn += 1;
        entry.stillborn_reason = ray_protocol::value::describe_exit(ClientId(0), exit);
        if !exit.stderr_tail.is_empty() {
            entry.stillborn_reason.push_str("\nThe last lines it wrote to standard error:\n");
            entry.stillborn_reason.push_str(&exit.stderr_tail);
        }
        if entry.stillborn == MAX_STILLBORN
            && let Some(text) = entry.gave_up()
        {
            for client in self.clients.iter().filter(|(_, client)| client.job.is_some()).map(|(id, _)| *id).collect::<Vec<_>>() {
                self.send(client, ray_protocol::control::FromScheduler::Warning { text: text.clone() });
            }
        }
        match what.actor {
            Some(actor) => self.actor_worker_lost(actor, exit),
            None => self.refill(node),
        }
    }

    pub(super) fn bury_the_dying(&mut self) {
        let now = self.now;
        let overdue: Vec<u64> = self.dying.iter().filter(|(_, dying)| dying.deadline() <= now).map(|(spawn, _)| *spawn).collect();
        for spawn in overdue {
            let dying = self.dying.remove(&spawn).expect("just listed");
            let exit = dying.exit.unwrap_or_else(|| {
                let note = self.kill_reasons.remove(&spawn).unwrap_or_default();
                Exit { note, ..Exit::default() }
            });
            self.bury_worker(dying.client, exit);
        }
    }

    fn bury_worker(&mut self, client: ClientId, mut exit: Exit) {
        exit.pid = self.clients.get(&client).map_or(exit.pid, |known| known.pid);
        self.take_devices_back(client);
        let Some(worker) = self.workers.remove(&client) else { return };
        if worker.is_quiet {
            self.take_leases_back(client); // nothing runs there for it
        }
        self.occupy(worker.node, &worker, false);
        self.bury(client, exit.clone());
        if let Work::Actor { actor, .. } = worker.work {
            self.actor_worker_lost(actor, &exit);
        }
        self.refill(worker.node);
    }

    /// Adds or takes away what a worker holds just now from its node's books.
    pub(super) fn occupy(&mut self, node: NodeId, worker: &Worker, begins: bool) {
        let held = worker.held();
        let node = self.nodes.get_mut(&node).expect("nodes are never removed");
        if begins {
            node.in_use.add(&held);
        } else {
            node.in_use.subtract(&held);
        }
    }

    /// The GPUs a worker's tasks used are free.
    pub(super) fn take_devices_back(&mut self, client: ClientId) {
        let Some(worker) = self.workers.get_mut(&client) else { return };
        let node = self.nodes.get_mut(&worker.node).expect("nodes are never removed");
        node.devices.take_back(&mut worker.devices);
    }

    /// A worker ends by its own wish, for its function asks for a new process. Its GPUs are free when the process is gone; at once if it
    /// waits for tasks of its own, which may need them.
    pub(super) fn retires(&mut self, client: ClientId, waits: bool) {
        let Some(worker) = self.workers.get(&client) else { return };
        let node = worker.node;
        let begins = matches!(worker.work, Work::Idle(_) | Work::Leased { .. });
        self.change_worker(client, |worker| {
            worker.is_quiet = !waits;
            if begins {
                worker.work = Work::Retiring;
            }
        });
        if waits {
            self.take_devices_back(client);
        }
        if begins {
            self.refill(node);
        }
    }

    /// Changes a worker, keeping its node's books.
    pub(super) fn change_worker(&mut self, client: ClientId, change: impl FnOnce(&mut Worker)) {
        let Some(mut worker) = self.workers.remove(&client) else { return };
        let node = worker.node;
        self.occupy(node, &worker, false);
        change(&mut worker);
        self.occupy(node, &worker, true);
        self.workers.insert(client, worker);
    }

    /// Workers that count towards the target: idle, or at work and not blocked.
    fn ready_workers(&self, node: NodeId) -> usize {
        let counts = |worker: &&Worker| {
            worker.node == node && !worker.is_blocked && matches!(worker.work, Work::Idle(_) | Work::Leased { .. })
        };
        self.workers.values().filter(counts).count()
            + self.nodes[&node].spawning.values().filter(|what| what.actor.is_none()).count()
    }

    /// Keeps as many workers ready as the node's target says.
    pub(super) fn refill(&mut self, node: NodeId) {
        let missing = (self.nodes[&node].target as usize).saturating_sub(self.ready_workers(node));
        for _ in 0..missing {
            self.spawn(node, Spawning::default(), Vec::new());
        }
        self.fail_barren_wishes();
    }

    /// When the next surplus worker is to end.
    pub(super) fn surplus_deadline(&self) -> Option<Time> {
        let surplus = self.nodes.values().filter(|node| self.ready_workers(node.id) > node.target as usize);
        surplus.filter_map(|node| self.longest_idle(node.id)).map(|(since, _)| since.plus(SURPLUS_WAIT)).min()
    }

    fn longest_idle(&self, node: NodeId) -> Option<(Time, ClientId)> {
        let idle = self.workers.iter().filter(|(_, worker)| worker.node == node).filter_map(|(client, worker)| match worker.work {
            Work::Idle(since) => Some((since, *client)),
            _ => None,
        });
        idle.min()
    }

    pub(super) fn retire_surplus(&mut self) {
        for node in self.nodes.keys().copied().collect::<Vec<_>>() {
            let surplus = self.ready_workers(node).saturating_sub(self.nodes[&node].target as usize);
            let now = self.now;
            let idle_long = |worker: &Worker| matches!(worker.work, Work::Idle(since) if since.plus(SURPLUS_WAIT) <= now);
            let candidates = self.workers.iter().filter(|(_, worker)| worker.node == node && idle_long(worker));
            for client in candidates.map(|(client, _)| *client).collect::<Vec<_>>().into_iter().take(surplus) {
                if self.is_owed(client) {
                    // Looked at again later: its children run on, and their results are its own.
                    self.change_worker(client, |worker| worker.work = Work::Idle(now));
                    continue;
                }
                self.change_worker(client, |worker| worker.work = Work::Retiring);
                let spawn = self.workers[&client].spawn;
                self.actions.push_back(Action::Zygote(node, ToZygote::Kill { spawn }));
            }
        }
    }

    /// Whether tasks this worker submitted may still be under way. Leases it only keeps are asked back, so that it can go next time.
    fn is_owed(&mut self, client: ClientId) -> bool {
        let leased = self.ask_leases_back(client);
        leased || self.has_wish(client) || self.owns_unfinished(client) || self.keeps_actors(client)
    }

    pub(super) fn kill_worker(&mut self, client: ClientId, reason: String) {
        let Some(worker) = self.workers.get(&client) else { return };
        let (node, spawn) = (worker.node, worker.spawn);
        self.kill_reasons.insert(spawn, reason);
        self.actions.push_back(Action::Zygote(node, ToZygote::Kill { spawn }));
    }

    pub(super) fn node_lost(&mut self, node: NodeId, reason: &str) {
        let Some(entry) = self.nodes.get_mut(&node).filter(|node| node.alive) else { return };
        entry.alive = false;
        entry.zygote_ready = false;
        entry.store_ready = false;
        let mut unborn: Vec<Spawning> = core::mem::take(&mut entry.spawning).into_values().collect();
        for what in &mut unborn {
            entry.in_use.subtract(&what.holds);
            entry.devices.take_back(&mut what.devices);
        }
        let there: Vec<ClientId> = self.workers.iter().filter(|(_, worker)| worker.node == node).map(|(id, _)| *id).collect();
        for client in there {
            let spawn = self.workers[&client].spawn;
            self.dying.remove(&spawn);
            // Its zygote may be there still, when it is the store that ended; and its connection certainly is to be closed.
            self.actions.push_back(Action::Zygote(node, ToZygote::Kill { spawn }));
            self.actions.push_back(Action::Close { client, reason: format!("node {node} was lost") });
            self.bury_worker(client, Exit { note: format!("node {node} was lost: {reason}"), ..Exit::default() });
        }
        for actor in unborn.into_iter().filter_map(|what| what.actor) {
            self.actor_worker_lost(actor, &Exit { note: format!("node {node} was lost: {reason}"), ..Exit::default() });
        }
        self.groups_lost_with(node);
        self.objects_lost_with(node, reason);
        if self.nodes.values().all(|node| !node.alive) {
            self.end(&format!("its last node was lost: {reason}"));
        }
    }

    /// What a worker does, for people.
    pub(super) fn worker_in_words(&self, client: ClientId) -> String {
        let worker = &self.workers[&client];
        let what = match &worker.work {
            Work::Idle(_) => String::from("idle"),
            Work::Leased { to, shape, .. } => format!("runs tasks of client {to} that take {shape}"),
            Work::Actor { actor, .. } => format!("is actor {actor}"),
            Work::Retiring => String::from("is ending"),
        };
        match self.clients[&client].waits.values().next() {
            Some(blocked) => format!("{what}; waits for {} objects, first {}", blocked.objects.len(), blocked.first_in_words()),
            None => what,
        }
    }

    pub(super) fn validate_workers(&self) {
        for node in self.nodes.values() {
            let mut in_use = self.bundles_on(node.id);
            for what in node.spawning.values() {
                in_use.add(&what.holds);
            }
            for worker in self.workers.values().filter(|worker| worker.node == node.id) {
                in_use.add(&worker.held());
            }
            let same = in_use.iter().all(|(name, amount)| node.in_use.amount(name) == amount)
                && node.in_use.iter().all(|(name, amount)| in_use.amount(name) == amount);
            assert!(same, "S-2: node {} books {} in use, its workers hold {in_use}", node.id, node.in_use);
            let there = self.workers.values().filter(|worker| worker.node == node.id).map(|worker| &worker.devices);
            let assigned = there.chain(node.spawning.values().map(|what| &what.devices));
            let same = node.devices.is_free_but_for(&node.total, assigned);
            assert!(same, "S-2: the GPUs of node {} are not those its workers have or leave", node.id);
        }
        for (client, worker) in &self.workers {
            assert!(self.clients.contains_key(client), "S-4: worker {client} is no client");
            if let Work::Leased { to, .. } = &worker.work {
                assert!(self.clients.contains_key(to), "S-4: worker {client} is leased to {to}, which is gone");
            }
        }
    }
}

impl Worker {
    /// What it holds of its node just now. A task or call that waits lends its CPUs only: what else it holds (memory, a GPU with data on it,
    /// a licence) is in use all the same.
    pub(super) fn held(&self) -> Cow<'_, Resources> {
        match &self.work {
            Work::Leased { shape: holds, .. } | Work::Actor { holds, .. } => {
                if self.is_blocked {
                    let others = holds.iter().filter(|(name, _)| *name != "CPU").map(|(name, amount)| (name.to_owned(), amount));
                    Cow::Owned(Resources::new(others))
                } else {
                    Cow::Borrowed(holds)
                }
            }
            Work::Idle(_) | Work::Retiring => Cow::Owned(Resources::default()),
        }
    }
}
