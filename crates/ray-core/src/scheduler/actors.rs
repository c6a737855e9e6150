//! Actors: born on a worker of their own, found by name, restarted, dead.

use super::graph::Running;
use super::workers::{Spawning, Work};
use super::{Scheduler, workers};
use ray_protocol::control::{ActorMessage, ActorNotice, ActorRow, ActorSpec, FromScheduler};
use ray_protocol::value::Exit;
use ray_protocol::{ClientId, Failure, NodeId, TaskId};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// One actor.
#[derive(Debug)]
pub(super) struct Actor {
    spec: ActorSpec,
    state: State,
    /// Handles by client; may be negative for a while, like holds.
    handles: BTreeMap<ClientId, i32>,
    /// Who wants to hear where it is.
    watchers: BTreeSet<ClientId>,
    restarts: u32,
    /// The scheduler was told to kill it, or it ends itself: it does not come back.
    final_reason: Option<String>,
    /// Where its last handle went: it may finish its queue, then ends.
    finishing: bool,
    /// How its process ended last, if it was restarted.
    last_end: String,
    /// It is dead and nobody can call it: it is in the line of those to be forgotten.
    in_history: bool,
}

/// Dead actors nobody has a handle of any more are remembered for those who ask what became of them; this many, oldest first out.
const HISTORY: usize = 1000;

/// Calls under way that an explanation names.
const RUNS_NAMED: usize = 10;

/// Where an actor is in its life.
#[derive(Debug, Clone, PartialEq)]
enum State {
    /// Waits for resources.
    Pending,
    /// A worker is being forked for it.
    Starting,
    /// Its constructor runs there.
    Constructing(ClientId),
    /// It serves.
    Alive(ClientId),
    /// It is over; the encoded failure.
    Dead(Vec<u8>),
}

impl Actor {
    pub(super) fn is_detached(&self) -> bool {
        self.spec.detached
    }

    /// What it needs to be placed.
    pub(super) fn placement(&self) -> &ray_protocol::Resources {
        &self.spec.placement
    }
}

impl Scheduler {
    pub(super) fn actor_message(&mut self, client: ClientId, message: ActorMessage) {
        match message {
            ActorMessage::Create { actor, spec } => self.create_actor(client, actor, *spec),
            ActorMessage::Constructed { actor, failure } => self.actor_constructed(client, actor, failure),
            ActorMessage::Handles { actor, client: holder, count } => self.count_handles(actor, holder, count),
            ActorMessage::Watch { actor } => self.watch_actor(client, actor),
            ActorMessage::Kill { actor, no_restart } => self.kill_actor(actor, no_restart),
            ActorMessage::Exiting { actor } => {
                if let Some(entry) = self.actors.get_mut(&actor) {
                    entry.final_reason.get_or_insert_with(|| String::from("exit_actor() was called in it"));
                }
            }
            ActorMessage::Find { request, namespace, name } => {
                let actor = self.actor_names.get(&(namespace, name)).copied();
                let found = actor.map(|actor| (actor, self.actors[&actor].spec.handle.clone()));
                self.send(client, FromScheduler::Actor(ActorNotice::Found { request, actor: found }));
            }
        }
    }

    fn create_actor(&mut self, client: ClientId, actor: TaskId, spec: ActorSpec) {
        let mut refused = None;
        if !spec.name.is_empty() {
            let key = (spec.namespace.clone(), spec.name.clone());
            match self.actor_names.entry(key) {
                Entry::Occupied(_) => {
                    refused = Some(format!(
                        "The name {} (namespace={}) is already taken by a live actor. Use another name, ray.get_actor, or \
                         get_if_exists=True.",
                        spec.name, spec.namespace
                    ));
                }
                Entry::Vacant(free) => {
                    free.insert(actor);
                }
            }
        }
        if refused.is_some() {
            self.release_creation(actor);
        } else {
            let mut entry = Actor {
                spec,
                state: State::Pending,
                handles: BTreeMap::from([(client, 1)]),
                watchers: BTreeSet::from([client]),
                restarts: 0,
                final_reason: None,
                finishing: false,
                last_end: String::new(),
                in_history: false,
            };
            if entry.spec.detached {
                entry.handles.insert(ClientId(0), 1);
            }
            self.actors.insert(actor, entry);
            self.pending_actors.insert(actor);
        }
        self.send(client, FromScheduler::Actor(ActorNotice::Registered { actor, refused }));
        self.seek_place(actor);
    }

    /// Tries to place every actor that waits for resources.
    pub(super) fn place_pending_actors(&mut self) {
        if self.pending_actors.is_empty() {
            return;
        }
        for actor in self.pending_actors.clone() {
            self.seek_place(actor);
            if self.actors[&actor].state != State::Pending {
                self.pending_actors.remove(&actor);
            }
        }
    }

    /// Finds a node for an actor and has a worker forked for it there; a fresh one, so that nothing of earlier tasks is in it.
    fn seek_place(&mut self, actor: TaskId) {
        let Some(entry) = self.actors.get(&actor).filter(|entry| entry.state == State::Pending) else { return };
        if self.group_is_gone(&entry.spec.placement) {
            self.actor_dies(actor, postcard_failure(&Failure::ActorGroupRemoved));
            return;
        }
        if let Some(reason) = self.never(&entry.spec.placement).filter(|_| self.config.fail_unschedulable) {
            let failure = Failure::ActorUnschedulable { reason };
            self.actor_dies(actor, postcard_failure(&failure));
            return;
        }
        if let Some(reason) = self.barren(&entry.spec.placement) {
            let failure = self.death(actor, reason);
            self.actor_dies(actor, failure);
            return;
        }
        let fits = |node: &&workers::Node| node.may_fork() && node.has_room(&entry.spec.placement);
        let Some(node) = self.nodes.values().find(fits).map(|node| node.id) else {
            let shape = entry.spec.placement.clone();
            self.revoke_for(ClientId(0), &shape, 1);
            return;
        };
        let (holds, environment) = (entry.spec.running.clone(), entry.spec.environment.clone());
        self.actors.get_mut(&actor).expect("just seen").state = State::Starting;
        self.spawn(node, Spawning { actor: Some(actor), holds, ..Spawning::default() }, environment);
    }

    /// The worker forked for an actor is here.
    pub(super) fn place_actor(&mut self, actor: TaskId, worker: ClientId) {
        let Some(entry) = self.actors.get_mut(&actor).filter(|entry| entry.state == State::Starting) else {
            self.kill_worker(worker, String::from("the actor it was started for is dead"));
            return;
        };
        entry.state = State::Constructing(worker);
        let (holds, creation, restarts) = (entry.spec.running.clone(), entry.spec.creation.clone(), entry.restarts);
        let devices = self.workers[&worker].devices.ids.clone();
        self.change_worker(worker, |state| state.work = Work::Actor { actor, holds });
        self.send(worker, FromScheduler::Actor(ActorNotice::Become { actor, creation, restarts, devices }));
    }

    fn actor_constructed(&mut self, client: ClientId, actor: TaskId, failure: Option<Vec<u8>>) {
        let Some(entry) = self.actors.get_mut(&actor).filter(|entry| entry.state == State::Constructing(client)) else { return };
        match failure {
            None => {
                entry.state = State::Alive(client);
                let restarts = entry.restarts;
                self.tell_watchers(actor, &ActorNotice::Alive { actor, worker: client, restarts });
                self.end_if_unreferenced(actor);
            }
            Some(failure) => {
                self.actor_dies(actor, failure);
                self.kill_worker(client, String::from("its constructor raised"));
            }
        }
    }

    fn count_handles(&mut self, actor: TaskId, holder: ClientId, count: i32) {
        if count > 0 && !self.clients.contains_key(&holder) {
            return;
        }
        let Some(entry) = self.actors.get_mut(&actor) else { return };
        let sum = entry.handles.entry(holder).or_default();
        *sum += count;
        if *sum == 0 {
            entry.handles.remove(&holder);
        }
        self.end_if_unreferenced(actor);
    }

    /// The last handle is gone: the actor finishes what is queued, then ends.
    pub(super) fn end_if_unreferenced(&mut self, actor: TaskId) {
        let Some(entry) = self.actors.get_mut(&actor) else { return };
        // A handle may be on its way, or inside a value.
        if !entry.handles.is_empty() || self.objects.contains_key(&actor.handle()) {
            return;
        }
        match entry.state.clone() {
            State::Alive(_) if entry.finishing || entry.final_reason.is_some() => {}
            State::Alive(worker) => {
                entry.finishing = true;
                entry.final_reason.get_or_insert_with(|| {
                    String::from("all references to the actor were removed: its last handle went out of scope")
                });
                self.send(worker, FromScheduler::Actor(ActorNotice::Finish));
            }
            State::Pending => {
                let failure = self.death(
                    actor,
                    String::from("all references to the actor were removed before it started: its last handle went out of scope"),
                );
                self.actor_dies(actor, failure);
            }
            // Decided when it is constructed.
            State::Starting | State::Constructing(_) => {}
            State::Dead(_) => self.join_history(actor),
        }
    }

    /// Nobody has a handle of a dead actor any more: it is forgotten when enough others have followed it.
    fn join_history(&mut self, actor: TaskId) {
        let Some(entry) = self.actors.get_mut(&actor) else { return };
        if core::mem::replace(&mut entry.in_history, true) {
            return;
        }
        self.dead_actors.push_back(actor);
        while self.dead_actors.len() > HISTORY {
            let oldest = self.dead_actors.pop_front().expect("there are many");
            let Some(entry) = self.actors.get_mut(&oldest) else { continue };
            if entry.handles.is_empty() && !self.objects.contains_key(&oldest.handle()) {
                self.actors.remove(&oldest);
            } else {
                entry.in_history = false; // a handle came back, out of a value: it keeps the cause of death
            }
        }
    }

    fn watch_actor(&mut self, client: ClientId, actor: TaskId) {
        let Some(entry) = self.actors.get_mut(&actor) else {
            let reason = String::from("it is not known to this cluster (any more)");
            let failure = postcard_failure(&Failure::ActorDied { actor, class: String::new(), reason, raised: Vec::new() });
            self.send(client, FromScheduler::Actor(ActorNotice::Dead { actor, failure }));
            return;
        };
        entry.watchers.insert(client);
        let restarts = entry.restarts;
        match entry.state.clone() {
            State::Alive(worker) => self.send(client, FromScheduler::Actor(ActorNotice::Alive { actor, worker, restarts })),
            State::Dead(failure) => self.send(client, FromScheduler::Actor(ActorNotice::Dead { actor, failure })),
            State::Pending | State::Starting | State::Constructing(_) => {}
        }
    }

    fn kill_actor(&mut self, actor: TaskId, no_restart: bool) {
        let Some(entry) = self.actors.get_mut(&actor) else { return };
        let reason = String::from("it was killed by ray.kill");
        if no_restart {
            entry.final_reason.get_or_insert_with(|| reason.clone());
        }
        match entry.state.clone() {
            State::Constructing(worker) | State::Alive(worker) => self.kill_worker(worker, reason),
            State::Pending | State::Starting if no_restart => {
                let failure = self.death(actor, reason);
                self.actor_dies(actor, failure);
            }
            State::Pending | State::Starting | State::Dead(_) => {}
        }
    }

    /// An actor's process is gone.
    pub(super) fn actor_worker_lost(&mut self, actor: TaskId, exit: &Exit) {
        let Some(entry) = self.actors.get_mut(&actor) else { return };
        if matches!(entry.state, State::Dead(_)) {
            return;
        }
        let may_restart = entry.spec.max_restarts < 0 || i64::from(entry.restarts) < entry.spec.max_restarts;
        if entry.final_reason.is_none() && may_restart {
            entry.restarts += 1;
            entry.last_end = end_in_words(exit);
            entry.state = State::Pending;
            self.pending_actors.insert(actor);
            self.tell_watchers(actor, &ActorNotice::Restarting { actor });
            self.seek_place(actor);
        } else {
            let mut reason = entry.final_reason.clone().unwrap_or_else(|| end_in_words(exit));
            if !exit.stderr_tail.is_empty() {
                reason.push_str("\nThe last lines it wrote to standard error:\n");
                reason.push_str(&exit.stderr_tail);
            }
            let failure = self.death(actor, reason);
            self.actor_dies(actor, failure);
        }
    }

    /// The placement group an actor belongs to is no more, and so is the actor.
    pub(super) fn actor_loses_group(&mut self, actor: TaskId) {
        let Some(entry) = self.actors.get_mut(&actor) else { return };
        let reason = String::from("the actor died because its placement group was removed");
        match entry.state.clone() {
            State::Pending => self.actor_dies(actor, postcard_failure(&Failure::ActorGroupRemoved)),
            State::Starting => {
                let failure = self.death(actor, reason);
                self.actor_dies(actor, failure);
            }
            State::Constructing(worker) | State::Alive(worker) => {
                entry.final_reason.get_or_insert_with(|| reason.clone());
                self.kill_worker(worker, reason);
            }
            State::Dead(_) => {}
        }
    }

    fn death(&self, actor: TaskId, reason: String) -> Vec<u8> {
        let class = self.actors[&actor].spec.class.clone();
        postcard_failure(&Failure::ActorDied { actor, class, reason, raised: Vec::new() })
    }

    fn actor_dies(&mut self, actor: TaskId, failure: Vec<u8>) {
        let Some(entry) = self.actors.get_mut(&actor) else { return };
        entry.state = State::Dead(failure.clone());
        let key = (entry.spec.namespace.clone(), entry.spec.name.clone());
        // What is left is for those who ask what became of it.
        entry.spec.creation = Vec::new();
        entry.spec.handle = Vec::new();
        entry.spec.environment = Vec::new();
        entry.handles.remove(&ClientId(0));
        if self.actor_names.get(&key) == Some(&actor) {
            self.actor_names.remove(&key);
        }
        self.tell_watchers(actor, &ActorNotice::Dead { actor, failure });
        if let Some(entry) = self.actors.get_mut(&actor) {
            entry.watchers.clear(); // they have heard all there will ever be to hear
        }
        self.release_creation(actor);
        self.drop_groups_of_actor(actor);
        self.end_if_unreferenced(actor);
    }

    /// What an actor's creation needs to be repeated is not needed any more.
    fn release_creation(&mut self, actor: TaskId) {
        let object = actor.result(0);
        if self.objects.contains_key(&object) {
            self.hold(actor.client, object, -1);
        }
    }

    /// Actors that live or may live again.
    pub(super) fn live_actors(&self) -> usize {
        self.actors.values().filter(|entry| !matches!(entry.state, State::Dead(_))).count()
    }

    /// Whether some actor waits for room.
    pub(super) fn has_pending_actors(&self) -> bool {
        !self.pending_actors.is_empty()
    }

    fn tell_watchers(&mut self, actor: TaskId, notice: &ActorNotice) {
        for watcher in self.actors[&actor].watchers.clone() {
            if self.clients.contains_key(&watcher) {
                self.send(watcher, FromScheduler::Actor(notice.clone()));
            }
        }
    }

    /// A client is gone: its handles go, and with them actors nobody else has one of. If it was a driver, the actors it made go too,
    /// unless they are detached.
    pub(super) fn drop_actor_claims(&mut self, client: ClientId, is_driver: bool) {
        for actor in self.actors.keys().copied().collect::<Vec<_>>() {
            let Some(entry) = self.actors.get_mut(&actor) else { continue };
            entry.watchers.remove(&client);
            let held = entry.handles.remove(&client).is_some();
            if is_driver && actor.client == client && !entry.spec.detached {
                entry.final_reason.get_or_insert_with(|| String::from("its owner has died: the driver that made it ended"));
                self.kill_actor(actor, true);
            } else if held && entry.handles.is_empty() && !self.objects.contains_key(&actor.handle()) {
                // Who still waited for a call would be counted: nothing it could finish is wanted by anybody.
                entry.final_reason.get_or_insert_with(|| String::from("the process that had its last handle ended"));
                self.kill_actor(actor, true);
            }
            self.end_if_unreferenced(actor);
        }
    }

    /// Whether a client has handles of actors that live: they would end with it.
    pub(super) fn keeps_actors(&self, client: ClientId) -> bool {
        self.actors.values().any(|entry| entry.handles.contains_key(&client) && !matches!(entry.state, State::Dead(_)))
    }

    /// What an actor is called in texts.
    pub(super) fn actor_name(&self, actor: TaskId) -> String {
        match self.actors.get(&actor) {
            Some(entry) if entry.spec.name.is_empty() => format!("actor {} ({actor})", entry.spec.class),
            Some(entry) => format!("actor {} ({actor}, named {:?})", entry.spec.class, entry.spec.name),
            None => format!("actor {actor}"),
        }
    }

    /// Calls an actor may run at a time; one while it is being made.
    pub(super) fn calls_at_once(&self, actor: TaskId) -> usize {
        match self.actors.get(&actor) {
            Some(Actor { spec, state: State::Alive(_), .. }) => spec.calls_at_once.max(1) as usize,
            _ => 1,
        }
    }

    /// The process an actor is.
    pub(super) fn actor_worker(&self, actor: TaskId) -> Option<ClientId> {
        match self.actors.get(&actor)?.state {
            State::Constructing(worker) | State::Alive(worker) => Some(worker),
            State::Pending | State::Starting | State::Dead(_) => None,
        }
    }

    /// Where an actor is in its life, and what it does, for [`explain`](Self::explain).
    pub(super) fn actor_in_words(&self, actor: TaskId, running: &Running) -> Vec<String> {
        let name = self.actor_name(actor);
        let Some(entry) = self.actors.get(&actor) else { return vec![format!("{name} is not known (any more)")] };
        let mut lines = Vec::new();
        if entry.restarts > 0 && !matches!(entry.state, State::Alive(_) | State::Dead(_)) {
            let most = if entry.spec.max_restarts < 0 { String::from("any number") } else { entry.spec.max_restarts.to_string() };
            lines.push(format!("{name} is being restarted ({} of {most}): {}", entry.restarts, entry.last_end));
        }
        match &entry.state {
            State::Pending => {
                lines.push(format!("{name} has not been created: it needs {} to be placed", entry.spec.placement));
                lines.extend(self.shortage_in_words(&entry.spec.placement));
            }
            State::Starting => lines.push(format!("the process of {name} is being started")),
            State::Constructing(worker) => {
                lines.push(format!(
                    "the constructor of {name} {}",
                    match running.contains_key(&actor) {
                        true => self.run_in_words(actor, running),
                        false => format!("runs (pid {})", self.pid_of(*worker)),
                    }
                ));
            }
            State::Alive(worker) => {
                lines.push(format!("{name} lives in process {}, {} restarts", self.pid_of(*worker), entry.restarts));
                let its: Vec<TaskId> = running.iter().filter(|(_, (at, _))| at == worker).map(|(task, _)| *task).collect();
                for task in its.iter().take(RUNS_NAMED) {
                    lines.push(format!("  it runs {}, which {}", self.graph.name_of(*task), self.run_in_words(*task, running)));
                }
                if its.len() > RUNS_NAMED {
                    lines.push(format!("  and {} other calls", its.len() - RUNS_NAMED));
                }
                if its.is_empty() {
                    lines.push(String::from("  it runs nothing"));
                }
            }
            State::Dead(failure) => lines.push(format!("{name} is dead: {}", cause_in_words(failure))),
        }
        lines
    }

    pub(super) fn validate_actors(&self) {
        for (actor, entry) in &self.actors {
            let unwanted = entry.handles.is_empty() && !self.objects.contains_key(&actor.handle());
            let forgettable = matches!(entry.state, State::Dead(_)) && unwanted;
            assert!(!forgettable || entry.in_history, "S-5: actor {actor} is dead, nobody has a handle, and it is never forgotten");
        }
        assert!(self.dead_actors.len() <= HISTORY, "S-5: more dead actors than are to be remembered");
    }

    pub(super) fn actor_rows(&self) -> Vec<ActorRow> {
        let row = |(actor, entry): (&TaskId, &Actor)| {
            let (state, worker) = match &entry.state {
                State::Pending if entry.restarts > 0 => ("RESTARTING", None),
                State::Pending | State::Starting => ("PENDING_CREATION", None),
                State::Constructing(worker) => ("PENDING_CREATION", Some(worker)),
                State::Alive(worker) => ("ALIVE", Some(worker)),
                State::Dead(_) => ("DEAD", None),
            };
            let client = worker.and_then(|worker| self.clients.get(worker));
            ActorRow {
                actor: *actor,
                class: entry.spec.class.clone(),
                name: entry.spec.name.clone(),
                namespace: entry.spec.namespace.clone(),
                state: state.to_owned(),
                pid: client.map_or(0, |client| client.pid),
                node: client.map_or(NodeId(0), |client| client.node),
                restarts: entry.restarts,
                death_cause: match &entry.state {
                    State::Dead(failure) => cause_in_words(failure),
                    _ => String::new(),
                },
            }
        };
        self.actors.iter().map(row).collect()
    }
}

/// Why an actor is dead.
fn cause_in_words(failure: &[u8]) -> String {
    match Failure::from_bytes(failure) {
        Failure::ActorDied { reason, .. } | Failure::ActorUnschedulable { reason } => reason,
        other => format!("{other:?}"),
    }
}

/// How an actor's process ended.
fn end_in_words(exit: &Exit) -> String {
    let how = match (exit.signal, exit.code) {
        _ if !exit.note.is_empty() => format!("ended: {}", exit.note),
        (Some(signal), _) => format!("was killed by signal {signal}"),
        (None, Some(code)) => format!("exited with code {code}"),
        (None, None) => String::from("closed its connection"),
    };
    format!("its process ({}) {how}", exit.pid)
}

fn postcard_failure(failure: &Failure) -> Vec<u8> {
    match failure.into_value() {
        ray_protocol::Value::Failed(bytes) => bytes.into_vec(),
        _ => unreachable!("a failure encodes as Failed"),
    }
}
