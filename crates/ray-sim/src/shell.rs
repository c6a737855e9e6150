//! What the real event loop of a driver or worker does around its [`Process`](ray_core::process::Process) core: messages in, actions out,
//! channels, rings.

use crate::check::Check;
use crate::cluster::{Cluster, Event, Link, NODE};
use crate::link::{MICRO, MILLI, Nanos};
use crate::process::{ActorSelf, Channel, Execution, Frame, Proc, ProcId, Role, Unstarted, Wait};
use crate::ring::Lane;
use ray_core::Time;
use ray_core::process::{Action, Process};
use ray_protocol::control::{ActorMessage, ActorNotice, FromScheduler, ToScheduler};
use ray_protocol::record::{self, Argument, BodyReader, Record, TaskHeader, flag};
use ray_protocol::value::Exit;
use ray_protocol::{ClientId, Failure, ObjectId, TaskId, Value};
use std::collections::VecDeque;

impl Cluster {
    /// The core of a process that has been welcomed.
    pub(crate) fn core(&mut self, proc: ProcId) -> &mut Process {
        self.procs[proc].core.as_mut().expect("only welcomed processes act")
    }

    fn wake(&mut self, to: ProcId, from: ProcId) {
        let delay = self.plan.weather.delay(&mut self.rng);
        self.agenda.after(delay, Event::Doorbell { to, from });
    }

    /// Lets a process go on with its program soon.
    pub(crate) fn run_soon(&mut self, proc: ProcId, delay: Nanos) {
        if !core::mem::replace(&mut self.procs[proc].runs, true) {
            self.agenda.after(delay, Event::Run(proc));
        }
    }

    /// Does what a core wants done, then sees to its timers.
    pub(crate) fn carry_out(&mut self, proc: ProcId) -> Check {
        while let Some(action) = self.core(proc).poll_action() {
            match action {
                Action::Scheduler(message) => self.say(proc, *message),
                Action::OpenChannel(worker) => {
                    let peer = self.by_client[&worker];
                    let channel = self.procs[proc].channels.entry(worker).or_insert(Channel { peer, ..Channel::default() });
                    if !core::mem::replace(&mut channel.opened, true) {
                        self.say(proc, ToScheduler::OpenChannel { to: worker });
                    }
                }
                Action::Push { worker, seq } => {
                    let Some((header, body)) = self.core(proc).pushable(seq) else { continue };
                    let bytes = [&header.encode()[..], &body].concat();
                    self.push(proc, worker, Lane::Tasks, bytes);
                }
                Action::Devices { worker, devices } => self.push(proc, worker, Lane::Tasks, record::devices(&devices)),
                Action::Recall(worker) => self.push(proc, worker, Lane::Tasks, record::recall().to_vec()),
                Action::Cancel { worker, seq, force, recursive } => {
                    self.push(proc, worker, Lane::Tasks, record::cancel(seq, force, recursive).to_vec());
                }
                Action::Consumed { worker, seq, items } => {
                    self.push(proc, worker, Lane::Tasks, record::consumed(seq, items).to_vec());
                }
                Action::Free(object) => self.send(Link::ProcessToStore(proc), Event::Free(NODE, vec![object])),
                Action::Ready(object) => self.wait_over(proc, Wait::Object(object)),
            }
        }
        self.core(proc).validate();
        if self.procs[proc].retires && !self.core(proc).expects_news() {
            self.run_soon(proc, MICRO);
        }
        self.set_timer(proc);
        Ok(())
    }

    pub(crate) fn push(&mut self, proc: ProcId, to: ClientId, lane: Lane, bytes: Vec<u8>) {
        let peer = self.by_client[&to];
        self.rings.push(proc, peer, lane, bytes);
        self.wake(peer, proc);
    }

    fn set_timer(&mut self, proc: ProcId) {
        let now = self.agenda.now();
        let core = self.core(proc);
        let reports = core.has_reports().then_some(now + 2 * MILLI);
        let core_timer = core.next_timeout().map(|at| at.since(Time::default()).as_nanos() as Nanos);
        let Some(due) = reports.into_iter().chain(core_timer).min() else { return };
        let due = due.max(now + 10 * MICRO);
        if self.procs[proc].timer.is_none_or(|at| due < at || at <= now) {
            self.procs[proc].timer = Some(due);
            self.agenda.at(due, Event::Timer(proc));
        }
    }

    pub(crate) fn look_after_timers(&mut self, proc: ProcId) -> Check {
        let now = self.time();
        self.procs[proc].timer = None;
        let core = self.core(proc);
        core.tick(now);
        core.flush_reports();
        self.carry_out(proc)
    }

    /// A message from the scheduler.
    pub(crate) fn told(&mut self, proc: ProcId, message: FromScheduler) -> Check {
        match &message {
            FromScheduler::Welcome { client, node, .. } => {
                self.procs[proc].core = Some(Process::new(*client, *node));
                if let Role::Driver { program, .. } = self.procs[proc].role {
                    let salt = self.plan.programs[program as usize].salt;
                    self.procs[proc].frame = Some(Frame::new(program, salt, None));
                    self.run_soon(proc, MICRO);
                }
            }
            FromScheduler::ChannelOpened { from } => {
                let peer = self.by_client[from];
                self.procs[proc].channels.entry(*from).or_insert(Channel { peer, ..Channel::default() }).serves = true;
                self.say(proc, ToScheduler::AcceptChannel { to: *from });
                self.look_into_rings(proc, peer)?;
            }
            FromScheduler::ChannelAccepted { from } => {
                let peer = self.by_client[from];
                if let Some(channel) = self.procs[proc].channels.get_mut(from) {
                    channel.accepted = true;
                    self.look_into_rings(proc, peer)?;
                }
            }
            FromScheduler::PeerLost { client, exit } => {
                self.peer_lost(proc, *client, exit)?;
            }
            FromScheduler::FlushReports { request } => {
                self.core(proc).flush_reports();
                self.carry_out(proc)?;
                let idle = self.core(proc).idle_leases();
                self.say(proc, ToScheduler::Flushed { request: *request, running: Vec::new(), idle });
            }
            FromScheduler::Deadlock { task, cycle } => {
                return Err(format!("task {task} is told of a deadlock that is none: {cycle}"));
            }
            FromScheduler::Actor(ActorNotice::Become { actor, creation, restarts, .. }) => {
                self.becomes(proc, *actor, creation, *restarts)?;
            }
            FromScheduler::Actor(ActorNotice::Finish) => {
                if let Some(actor) = &mut self.procs[proc].actor {
                    actor.finishing = true;
                }
                self.run_soon(proc, MICRO);
            }
            FromScheduler::Actor(ActorNotice::Found { request, actor }) => {
                let frame = self.procs[proc].frame.as_mut();
                if let Some(frame) = frame.filter(|frame| frame.waits == Some(Wait::Find(*request))) {
                    frame.actors.push(actor.as_ref().map(|(actor, _)| (*actor, true)));
                    frame.at += 1;
                    if let Some((actor, _)) = actor {
                        self.core(proc).retain_actor(*actor, "Actor", true);
                    }
                    self.wait_over(proc, Wait::Find(*request));
                }
            }
            _ => {}
        }
        if !self.procs[proc].alive {
            return Ok(()); // a cancel it found in a ring killed it
        }
        let now = self.time();
        self.core(proc).scheduler_said(now, message);
        self.carry_out(proc)
    }

    /// A worker becomes an actor: its constructor runs first.
    fn becomes(&mut self, proc: ProcId, actor: TaskId, creation: &[u8], restarts: u32) -> Check {
        let rivals = |other: &&Proc| other.alive && other.actor.is_some_and(|own| own.actor == actor);
        if self.procs.iter().any(|other| rivals(&other)) {
            return Err(format!("I4: two processes are actor {actor} at one time"));
        }
        let lives = self.lives.entry(actor).or_default();
        *lives += 1;
        let most = self.restarts.get(&actor).copied().unwrap_or(0);
        if restarts + 1 < *lives || (most >= 0 && i64::from(restarts) > most) {
            return Err(format!("I4: actor {actor} begins life {lives}, told of {restarts} restarts, of which it may have {most}"));
        }
        self.procs[proc].actor = Some(ActorSelf { actor, restarts, finishing: false, constructed: false });
        let plan = crate::executor::Constructor::decode(creation);
        let mut frame = Frame::new(plan.program, 0, Some(Execution::Constructor { raises: plan.raises }));
        for object in plan.nested {
            // Its creator's word keeps them alive for as long as the actor may be made again.
            self.core(proc).retain(object);
            frame.claims.push(object);
        }
        self.procs[proc].frame = Some(frame);
        self.run_soon(proc, plan.work_us * MICRO);
        Ok(())
    }

    fn peer_lost(&mut self, proc: ProcId, client: ClientId, exit: &Exit) -> Check {
        let Some(&peer) = self.by_client.get(&client) else { return Ok(()) };
        self.look_into_rings(proc, peer)?;
        if !self.procs[proc].alive {
            return Ok(());
        }
        let channel = self.procs[proc].channels.remove(&client).unwrap_or_default();
        let started = if channel.accepted { self.rings.started(proc, peer) } else { None };
        let now = self.time();
        self.core(proc).worker_lost(now, client, exit, started);
        self.consumer_gone(proc, client);
        // Nobody waits for what it asked for and was not begun. What travelled with that was booked for this process all the same.
        let (its, others): (VecDeque<Unstarted>, _) =
            core::mem::take(&mut self.procs[proc].unstarted).into_iter().partition(|task| task.from == client);
        self.procs[proc].unstarted = others;
        for task in its {
            for object in booked(&task.header, &task.body) {
                self.core(proc).retain_booked(object);
                self.core(proc).release(object);
            }
        }
        self.carry_out(proc)
    }

    /// Reads everything a peer has written: its answers, and what it wants done.
    pub(crate) fn look_into_rings(&mut self, proc: ProcId, peer: ProcId) -> Check {
        let Some(&client) = self.clients.get(&peer).filter(|_| self.procs[proc].alive) else { return Ok(()) };
        let Some(channel) = self.procs[proc].channels.get(&client).copied() else { return Ok(()) };
        if channel.accepted {
            while let Some(bytes) = self.rings.pop(peer, proc, Lane::Results) {
                self.trace.line(self.agenda.now(), || format!("    {proc} reads {}", brief(&bytes)));
                let now = self.time();
                let read = self.core(proc).record_arrived(now, client, &bytes);
                read.map_err(|error| format!("process {proc} cannot read what worker {client} answers: {error}"))?;
            }
            self.carry_out(proc)?;
        }
        if channel.serves {
            while let Some(bytes) = self.rings.pop(peer, proc, Lane::Tasks) {
                self.trace.line(self.agenda.now(), || format!("    {proc} reads {}", brief(&bytes)));
                match record::read(&bytes).map_err(|error| error.to_string())? {
                    Record::Task(header, body) => {
                        self.procs[proc].unstarted.push_back(Unstarted { from: client, header, body: body.to_vec(), consumed: 0 });
                    }
                    Record::Recall => self.give_back(proc, Some(client)),
                    Record::Consumed { seq, items } => self.consumed(proc, client, seq, items),
                    Record::Devices(_) => {}
                    Record::Cancel { seq, force, recursive } => self.cancel_received(proc, client, seq, force, recursive)?,
                    _ => {
                        return Err(format!("process {proc} was pushed something that is no task"));
                    }
                }
                if !self.procs[proc].alive {
                    return Ok(()); // a cancel may kill
                }
            }
            if self.procs[proc].is_blocked() {
                self.give_back(proc, None);
            } else if !self.procs[proc].unstarted.is_empty() {
                self.run_soon(proc, MICRO);
            }
        }
        Ok(())
    }

    /// Gives back what was not begun: to one submitter, or to all. An actor keeps what it was sent.
    pub(crate) fn give_back(&mut self, proc: ProcId, to: Option<ClientId>) {
        if self.procs[proc].actor.is_some() {
            return;
        }
        let (back, kept): (VecDeque<Unstarted>, _) =
            core::mem::take(&mut self.procs[proc].unstarted).into_iter().partition(|task| to.is_none_or(|to| task.from == to));
        self.procs[proc].unstarted = kept;
        for task in back {
            self.tally.count("tasks given back");
            self.push(proc, task.from, Lane::Results, record::returned(task.header.seq).to_vec());
        }
    }

    fn cancel_received(&mut self, proc: ProcId, from: ClientId, seq: u64, force: bool, recursive: bool) -> Check {
        let at = self.procs[proc].unstarted.iter().position(|task| task.from == from && task.header.seq == seq);
        if let Some(task) = at.and_then(|at| self.procs[proc].unstarted.remove(at)) {
            for object in booked(&task.header, &task.body) {
                self.core(proc).retain_booked(object);
                self.core(proc).release(object);
            }
            let failure = Failure::Cancelled { function: String::new() }.into_value();
            self.answer(proc, from, seq, &failure, false, 0);
            return self.carry_out(proc);
        }
        let running = self.procs[proc].frame.as_mut().filter(
            |frame| matches!(frame.task, Some(Execution::Task { from: whose, seq: which }) if whose == from && which == seq),
        );
        let Some(frame) = running else { return Ok(()) };
        frame.cancelled = true;
        self.tally.count("running tasks cancelled");
        let children = if recursive { core::mem::take(&mut frame.children) } else { Vec::new() };
        if force {
            self.plan.faults.kills += 1;
            self.dies(proc);
            return Ok(());
        }
        for child in children {
            self.core(proc).cancel(child, force, recursive);
        }
        if let Some(wait) = self.procs[proc].frame.as_ref().and_then(|frame| frame.waits) {
            self.wait_over(proc, wait);
        }
        self.carry_out(proc)
    }

    /// Sends the only result of a task.
    pub(crate) fn answer(&mut self, proc: ProcId, to: ClientId, seq: u64, value: &Value, has_refs: bool, marks: u8) {
        let mut bytes = Vec::new();
        let run_time_us = self.rng.pick(&[1, 20, 100, 1_000]);
        record::write_result_header(&mut bytes, seq, 0, 1, false, run_time_us);
        record::write_result_value(&mut bytes, value, has_refs);
        record::mark_result(&mut bytes, marks);
        self.push(proc, to, Lane::Results, bytes);
    }

    /// The program of this process need not wait any longer.
    pub(crate) fn wait_over(&mut self, proc: ProcId, wait: Wait) {
        let Some(frame) = self.procs[proc].frame.as_mut().filter(|frame| frame.waits == Some(wait)) else { return };
        frame.waits = None;
        let task = waiting_task(frame);
        if matches!(wait, Wait::Object(_) | Wait::Demand) {
            self.say(proc, ToScheduler::Unblocked { task });
        }
        self.run_soon(proc, MICRO);
    }

    /// The program of this process waits: its slot is free meanwhile, and others run what was to run behind it.
    pub(crate) fn wait_for(&mut self, proc: ProcId, wait: Wait) {
        let frame = self.procs[proc].frame.as_mut().expect("a program waits");
        frame.waits = Some(wait);
        let task = waiting_task(frame);
        match wait {
            Wait::Object(object) => self.say(proc, ToScheduler::Blocked { task, objects: vec![object], enough: 1 }),
            Wait::Demand => self.say(proc, ToScheduler::Blocked { task, objects: vec![], enough: 0 }),
            Wait::Find(_) => {}
        }
        self.give_back(proc, None);
    }

    /// The constructor of an actor has ended.
    pub(crate) fn constructed(&mut self, proc: ProcId, raises: bool) {
        let Some(own) = &mut self.procs[proc].actor else { return };
        own.constructed = !raises;
        let actor = own.actor;
        let failure = Failure::ActorDied { actor, class: String::new(), reason: String::from("it raises"), raised: vec![1] };
        let failure = raises.then(|| match failure.into_value() {
            Value::Failed(bytes) => bytes.into_vec(),
            Value::Inline(_) | Value::Stored(_) => unreachable!("a failure encodes as Failed"),
        });
        self.say(proc, ToScheduler::Actor(ActorMessage::Constructed { actor, failure }));
    }
}

/// The task a wait of this frame is said to be of.
fn waiting_task(frame: &Frame) -> Option<TaskId> {
    match frame.task {
        Some(Execution::Task { from, seq }) => Some(TaskId { client: from, seq }),
        Some(Execution::Constructor { .. }) | None => None,
    }
}

/// The objects that were booked for a task's worker: references nested in its arguments, and stored arguments.
pub(crate) fn booked(header: &TaskHeader, body: &[u8]) -> Vec<ObjectId> {
    let mut reader = BodyReader::new(body, header.arguments);
    let mut found = Vec::new();
    while let Some(Ok(argument)) = reader.next_argument() {
        if let Argument::Stored(object, _) = argument {
            found.push(object);
        }
    }
    if header.flags & flag::HAS_REFS != 0 {
        found.extend(reader.nested().unwrap_or_default());
    }
    found
}

fn brief(bytes: &[u8]) -> String {
    match record::read(bytes) {
        Ok(Record::Task(header, _)) => format!("task {} (attempt {})", header.seq, header.attempt),
        Ok(other) => format!("{other:?}").chars().take(150).collect(),
        Err(error) => error.to_string(),
    }
}
