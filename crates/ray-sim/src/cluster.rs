//! A whole cluster in one thread: the real scheduler, real process cores, and simulated links, zygotes, stores and deaths between them.

use crate::check::{Check, Faults};
use crate::link::{Agenda, Links, MICRO, MILLI, Nanos, SECOND, Weather};
use crate::process::{Proc, ProcId, Role};
use crate::program::{Program, ProgramId};
use crate::ring::Rings;
use crate::rng::Rng;
use crate::store::Store;
use crate::tally::Tally;
use crate::trace::Trace;
use ray_core::Time;
use ray_core::scheduler::{self, Action, Config, NodeConfig, Scheduler};
use ray_protocol::control::{ActorNotice, FromScheduler, SchedulerToStore, ToScheduler, ToZygote};
use ray_protocol::value::Exit;
use ray_protocol::{ClientId, NodeId, ObjectId, Resources, TaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Something that happens.
#[derive(Debug)]
#[allow(missing_docs)] // the fields are what their names say
pub enum Event {
    /// A message from a process reaches the scheduler.
    Up(ProcId, Up),
    /// A message from the scheduler reaches a process.
    Down(ProcId, FromScheduler),
    /// A process looks into a ring it was woken for: the one that this peer writes.
    Doorbell { to: ProcId, from: ProcId },
    /// A process goes on with its program.
    Run(ProcId),
    /// A process looks after its timers.
    Timer(ProcId),
    /// The scheduler does.
    SchedulerTimer,
    /// A message reaches a zygote.
    ToZygote(NodeId, ToZygote),
    /// The zygote's word that a worker ended reaches the scheduler.
    Exited { spawn: u64, exit: Exit },
    /// A store is told to free objects.
    Free(NodeId, Vec<ObjectId>),
    /// A driver starts.
    DriverStarts(ProgramId),
    /// A process is killed.
    Kill(ProcId),
}

/// What a process's socket to the scheduler carries.
#[derive(Debug)]
pub enum Up {
    /// The first frame.
    Hello,
    /// A message.
    Says(ToScheduler),
    /// The end of the connection.
    End,
}

/// Who sends on a link that keeps order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Link {
    Up(ProcId),
    Down(ProcId),
    ToZygote(NodeId),
    FromZygote(NodeId),
    ProcessToStore(ProcId),
    SchedulerToStore(NodeId),
}

/// What a run is made of.
#[derive(Debug)]
pub struct Plan {
    /// All programs.
    pub programs: Vec<Program>,
    /// When each driver starts, and what it does.
    pub drivers: Vec<(Nanos, ProgramId)>,
    /// Workers kept ready, which is also the number of CPUs.
    pub workers: u32,
    /// How late messages are.
    pub weather: Weather,
    /// Kills still to come, and after how many events in a million the next one comes.
    pub kills: u64,
    /// See `kills`.
    pub kills_per_million: u64,
    /// Whether drivers are killed too.
    pub drivers_die: bool,
    /// Pauses of processes in a million events.
    pauses_per_million: u64,
    /// What may honestly go wrong besides kills.
    pub faults: Faults,
}

impl Plan {
    /// A cluster on which nothing happens yet.
    pub fn new(rng: &mut Rng, workers: u32) -> Self {
        let weather = Weather::draw(rng);
        let pauses_per_million = rng.pick(&[0, 0, 200, 2000]);
        Plan {
            programs: Vec::new(),
            drivers: Vec::new(),
            workers,
            weather,
            kills: 0,
            kills_per_million: 0,
            drivers_die: false,
            pauses_per_million,
            faults: Faults::default(),
        }
    }
}

/// A cluster at work.
#[derive(Debug)]
pub struct Cluster {
    pub(crate) rng: Rng,
    pub(crate) agenda: Agenda<Event>,
    pub(crate) links: Links<Link>,
    pub(crate) plan: Plan,
    pub(crate) trace: Trace,
    pub(crate) scheduler: Scheduler,
    scheduler_timer: Option<Nanos>,
    pub(crate) procs: Vec<Proc>,
    pub(crate) rings: Rings,
    pub(crate) by_client: BTreeMap<ClientId, ProcId>,
    pub(crate) clients: BTreeMap<ProcId, ClientId>,
    pub(crate) store: Store,
    /// I3: executions begun, by task.
    pub(crate) attempts: BTreeMap<TaskId, u32>,
    /// How often a task may begin.
    pub(crate) retries: BTreeMap<TaskId, i32>,
    /// Tasks an attempt of which died with its worker: what it wrote may be left, or not be there.
    pub(crate) crashed: BTreeSet<TaskId>,
    /// I4: what each life of an actor ran last of each caller.
    pub(crate) actor_calls: BTreeMap<(TaskId, u32, ClientId), u64>,
    /// I4: constructors begun, by actor.
    pub(crate) lives: BTreeMap<TaskId, u32>,
    /// How often an actor may be restarted.
    pub(crate) restarts: BTreeMap<TaskId, i64>,
    /// Calls that may overtake others.
    pub(crate) unordered: BTreeSet<TaskId>,
    pub(crate) tally: Tally,
    /// What a bug planted on purpose does to a message to the scheduler.
    pub(crate) mutation: Option<fn(&ToScheduler, u64) -> bool>,
    mutable_messages: u64,
}

/// Nothing a simulated program does takes this long: whatever has not ended by then hangs.
const DEADLINE: Nanos = 200 * SECOND;
/// After the last driver's last step, time for what is on its way, for late deaths, and for workers to retire: 2 s for each generation.
const SETTLING: Nanos = 40 * SECOND;
/// More events than any honest run has.
const MOST_EVENTS: u64 = 1_500_000;
/// The node everything is on.
pub(crate) const NODE: NodeId = NodeId(0);

impl Cluster {
    /// A cluster about to start.
    pub fn new(seed: u64, plan: Plan, trace: Trace) -> Self {
        let node =
            NodeConfig { resources: Resources::cpus(u64::from(plan.workers)), workers: plan.workers, store_socket: String::new() };
        let scheduler = Scheduler::new(Config { cluster: seed, nodes: vec![node], fail_unschedulable: true });
        Cluster {
            rng: Rng::new(seed ^ 0x5eed),
            agenda: Agenda::default(),
            links: Links::default(),
            plan,
            trace,
            scheduler,
            scheduler_timer: None,
            procs: Vec::new(),
            rings: Rings::default(),
            by_client: BTreeMap::new(),
            clients: BTreeMap::new(),
            store: Store::new(NODE),
            attempts: BTreeMap::new(),
            retries: BTreeMap::new(),
            crashed: BTreeSet::new(),
            actor_calls: BTreeMap::new(),
            lives: BTreeMap::new(),
            restarts: BTreeMap::new(),
            unordered: BTreeSet::new(),
            tally: Tally::default(),
            mutation: None,
            mutable_messages: 0,
        }
    }

    /// Runs until every driver has ended and everything has settled; says what promise was broken, if one was.
    pub fn run(&mut self) -> Check {
        self.schedule(scheduler::Event::StoreJoined { node: NODE, capacity_bytes: 1 << 30 }, None)?;
        self.schedule(scheduler::Event::ZygoteJoined { node: NODE }, None)?;
        for (when, program) in self.plan.drivers.clone() {
            self.agenda.at(when, Event::DriverStarts(program));
        }
        let (mut events, mut end) = (0, None);
        while let Some(event) = self.agenda.pop() {
            events += 1;
            self.tally.count("events");
            if end.is_some_and(|end| self.agenda.now() > end) {
                break;
            }
            if events > MOST_EVENTS || self.agenda.now() > DEADLINE {
                return Err(self.describe_hang(events));
            }
            if let Some(resume) = self.paused(&event) {
                self.agenda.at(resume, event);
                continue;
            }
            self.trace.event(self.agenda.now(), &event);
            self.happens(event)?;
            self.scheduler.validate();
            self.misfortune();
            if end.is_none() && self.drivers_done() {
                end = Some(self.agenda.now() + SETTLING);
                self.plan.kills = 0;
            }
        }
        self.nothing_left()
    }

    /// When a paused process will take its event. A moment earlier than it goes on, so that nothing on the same link comes first.
    fn paused(&self, event: &Event) -> Option<Nanos> {
        let (Event::Down(to, _) | Event::Doorbell { to, .. } | Event::Run(to) | Event::Timer(to)) = event else { return None };
        let resume = self.procs[*to].paused_until;
        (self.agenda.now() + 1 < resume).then(|| resume - 1)
    }

    fn drivers_done(&self) -> bool {
        let done = |proc: &&Proc| !proc.alive || matches!(proc.role, Role::Driver { done: true, .. });
        let started = self.procs.iter().filter(|proc| proc.is_driver()).filter(done).count();
        started == self.plan.drivers.len()
    }

    pub(crate) fn time(&self) -> Time {
        Time::after(Duration::from_nanos(self.agenda.now()))
    }

    fn happens(&mut self, event: Event) -> Check {
        match event {
            Event::Up(from, up) => self.heard(from, up),
            Event::Down(to, message) => {
                if self.procs[to].alive {
                    self.told(to, message)
                } else {
                    Ok(())
                }
            }
            Event::Doorbell { to, from } => {
                if self.procs[to].alive {
                    self.look_into_rings(to, from)
                } else {
                    Ok(())
                }
            }
            Event::Run(proc) => {
                if self.procs[proc].alive {
                    self.run_program(proc)
                } else {
                    Ok(())
                }
            }
            Event::Timer(proc) => {
                if self.procs[proc].alive {
                    self.look_after_timers(proc)
                } else {
                    Ok(())
                }
            }
            Event::SchedulerTimer => self.schedule(scheduler::Event::Tick, None),
            Event::ToZygote(_, message) => {
                self.zygote_told(message);
                Ok(())
            }
            Event::Exited { spawn, exit } => self.schedule(scheduler::Event::WorkerExited { spawn, exit }, None),
            Event::Free(_, objects) => objects.into_iter().try_for_each(|object| self.freed(object)),
            Event::DriverStarts(program) => {
                self.start(Role::Driver { program, done: false });
                Ok(())
            }
            Event::Kill(proc) => {
                self.dies(proc);
                Ok(())
            }
        }
    }

    /// Something reaches the scheduler's end of a connection.
    fn heard(&mut self, from: ProcId, up: Up) -> Check {
        let client = self.clients.get(&from).copied();
        match (up, client) {
            (Up::Hello, _) => {
                let pid = from as i32;
                let event = match self.procs[from].role {
                    Role::Driver { .. } => scheduler::Event::DriverJoined { pid, owner: false },
                    Role::Worker { spawn, .. } => scheduler::Event::WorkerJoined { spawn, pid },
                };
                self.schedule(event, Some(from))
            }
            (Up::Says(message), Some(client)) => self.schedule(scheduler::Event::Client(client, message), None),
            (Up::End, Some(client)) => self.schedule(scheduler::Event::ClientGone(client), None),
            (Up::Says(_) | Up::End, None) => Ok(()), // it was never let in
        }
    }

    /// Lets the scheduler take one event and carries out what it wants done. `joins` is whose hello it is.
    fn schedule(&mut self, event: scheduler::Event, joins: Option<ProcId>) -> Check {
        let now = self.time();
        self.scheduler.handle(now, event);
        while let Some(action) = self.scheduler.poll_action() {
            match &action {
                Action::Client(_, FromScheduler::Revoke { .. }) => self.tally.count("leases asked back"),
                Action::Client(_, FromScheduler::Ready { .. }) => self.tally.count("values told by the scheduler"),
                Action::Client(_, FromScheduler::Actor(ActorNotice::Restarting { .. })) => self.tally.count("actors restarted"),
                Action::Client(_, FromScheduler::Actor(ActorNotice::Registered { refused: Some(_), .. })) => {
                    self.tally.count("actors refused")
                }
                Action::Client(_, FromScheduler::Actor(ActorNotice::Finish)) => self.tally.count("actors told to finish"),
                Action::Client(_, FromScheduler::Actor(ActorNotice::Found { actor: Some(_), .. })) => {
                    self.tally.count("actors found")
                }
                Action::Client(_, FromScheduler::FlushReports { .. }) => self.tally.count("deadlock searches"),
                _ => {}
            }
            match action {
                Action::Client(client, message) | Action::Relay(client, message) => {
                    if let FromScheduler::Welcome { client, .. } = message {
                        let proc = joins.expect("a welcome answers a hello");
                        self.clients.insert(proc, client);
                        self.by_client.insert(client, proc);
                    }
                    let to = self.by_client[&client];
                    self.send(Link::Down(to), Event::Down(to, message));
                }
                Action::Zygote(node, message) => self.send(Link::ToZygote(node), Event::ToZygote(node, message)),
                Action::Store(node, SchedulerToStore::Free(objects)) => {
                    self.send(Link::SchedulerToStore(node), Event::Free(node, objects))
                }
                Action::Store(_, SchedulerToStore::Peers(_) | SchedulerToStore::ClientGone { .. }) => {}
                Action::Close { client, reason } => {
                    return Err(format!("the scheduler closes the connection of client {client}: {reason}"));
                }
                Action::End { reason } => return Err(format!("the scheduler ends the cluster: {reason}")),
            }
        }
        if let Some(due) = self.scheduler.next_timeout() {
            let due = (due.since(Time::default()).as_nanos() as Nanos).max(self.agenda.now() + 10 * MICRO);
            if self.scheduler_timer.is_none_or(|at| due < at || at <= self.agenda.now()) {
                self.scheduler_timer = Some(due);
                self.agenda.at(due, Event::SchedulerTimer);
            }
        }
        Ok(())
    }

    /// Puts a message on its way.
    pub(crate) fn send(&mut self, link: Link, event: Event) {
        self.send_numbered(link, event);
    }

    fn send_numbered(&mut self, link: Link, event: Event) -> u64 {
        let arrives = self.agenda.now() + self.plan.weather.delay(&mut self.rng);
        let arrives = self.links.arrival(link, arrives);
        self.agenda.at(arrives, event)
    }

    /// A process says something to the scheduler.
    pub(crate) fn say(&mut self, from: ProcId, message: ToScheduler) {
        if let Some(drops) = self.mutation {
            self.mutable_messages += 1;
            if drops(&message, self.mutable_messages) {
                return;
            }
        }
        // What can wait a little stays in the process's own memory for up to 5 ms, or until something urgent follows.
        let may_wait = matches!(message, ToScheduler::Hold { .. } | ToScheduler::Report(_));
        let now = self.agenda.now();
        let number = self.send_numbered(Link::Up(from), Event::Up(from, Up::Says(message)));
        let unsent = &mut self.procs[from].unsent;
        unsent.retain(|(since, _)| may_wait && now - since < 5 * MILLI);
        if may_wait {
            unsent.push((now, number));
        }
    }

    fn start(&mut self, role: Role) -> ProcId {
        let proc = self.procs.len();
        self.procs.push(Proc::new(role));
        self.send(Link::Up(proc), Event::Up(proc, Up::Hello));
        proc
    }

    fn zygote_told(&mut self, message: ToZygote) {
        match message {
            ToZygote::Spawn { spawn, .. } => {
                self.start(Role::Worker { node: NODE, spawn });
            }
            ToZygote::Kill { spawn } => {
                let found = self.procs.iter().position(|proc| matches!(proc.role, Role::Worker { spawn: own, .. } if own == spawn));
                if let Some(proc) = found {
                    self.dies(proc);
                }
            }
        }
    }

    /// A process ends by itself: everything it said has left before.
    pub(crate) fn leaves(&mut self, proc: ProcId) {
        self.procs[proc].unsent.clear();
        self.dies(proc);
    }

    /// A process ends at once: what it wrote to its socket arrives, what it wrote into its rings stays.
    pub(crate) fn dies(&mut self, proc: ProcId) {
        if !core::mem::replace(&mut self.procs[proc].alive, false) {
            return;
        }
        if let Some(crate::process::Execution::Task { from, seq }) = self.procs[proc].frame.as_ref().and_then(|frame| frame.task) {
            self.crashed.insert(TaskId { client: from, seq });
            self.tally.count("tasks that died with their worker");
        }
        self.tally.count("deaths");
        // What it had not sent yet goes with it: all of it, or (it was just being sent) nothing.
        let (unsent, now) = (core::mem::take(&mut self.procs[proc].unsent), self.agenda.now());
        if self.rng.per_mille(500) {
            for (_, number) in unsent.into_iter().filter(|(since, _)| now - since < 5 * MILLI) {
                self.agenda.withdraw(number);
            }
        }
        self.procs[proc].core = None;
        self.procs[proc].frame = None;
        self.send(Link::Up(proc), Event::Up(proc, Up::End));
        if let Role::Worker { node, spawn } = self.procs[proc].role {
            // A zygote may die with the worker; for one that never said hello it is the only witness.
            let says_nothing = self.clients.contains_key(&proc) && self.rng.per_mille(100);
            if !says_nothing {
                let exit = Exit { pid: proc as i32, signal: Some(9), ..Exit::default() };
                self.send(Link::FromZygote(node), Event::Exited { spawn, exit });
            }
        }
    }

    /// Chance: a process is killed, or stands still for a while.
    fn misfortune(&mut self) {
        if self.plan.kills > 0 && self.rng.number() % 1_000_000 < self.plan.kills_per_million {
            let may_die = |proc: &Proc| proc.alive && (self.plan.drivers_die || !proc.is_driver());
            let candidates: Vec<ProcId> = (0..self.procs.len()).filter(|&proc| may_die(&self.procs[proc])).collect();
            // Who is at work has more to lose.
            let busy: Vec<ProcId> = candidates.iter().copied().filter(|&proc| self.procs[proc].frame.is_some()).collect();
            let from = if !busy.is_empty() && self.rng.per_mille(700) { busy } else { candidates };
            if !from.is_empty() {
                let victim = self.rng.pick(&from);
                self.plan.kills -= 1;
                self.plan.faults.kills += 1;
                self.agenda.after(0, Event::Kill(victim));
            }
        }
        if self.rng.number() % 1_000_000 < self.plan.pauses_per_million && !self.procs.is_empty() {
            let sleeper = self.rng.index(self.procs.len());
            let resume = self.agenda.now() + self.rng.within(MILLI, 400 * MILLI);
            // A pause is never changed: what arrived in it already waits for its end, and nothing may pass it.
            if self.procs[sleeper].paused_until <= self.agenda.now() {
                self.procs[sleeper].paused_until = resume;
            }
        }
    }
}
