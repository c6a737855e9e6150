//! Running programs: in a driver from its start, in a worker one task after the other.

use crate::check::{Cause, Check, Outcome, judge};
use crate::cluster::Cluster;
use crate::link::MICRO;
use crate::process::{Execution, Frame, Proc, ProcId, Role, Unstarted, Wait};
use crate::program::{Call, Content, Creation, Expect, Op, ProgramId, Slot, Spawn, mix};
use crate::ring::Lane;
use crate::shell::booked;
use crate::streams::{Intake, Yielding};
use crate::tally::Tally;
use ray_core::process::{ActorCall, ObjectView, Process, TaskSpec};
use ray_protocol::control::{ActorMessage, ActorSpec, ToScheduler};
use ray_protocol::record::{self, Argument, BodyReader, flag};
use ray_protocol::value::RESOURCE_UNIT;
use ray_protocol::{Bytes, ClientId, Failure, FunctionId, ObjectId, Resources, TaskId, Value};

/// What an actor's creation record says; stands in for its class and pickled arguments.
#[derive(Debug)]
pub(crate) struct Constructor {
    pub(crate) program: ProgramId,
    pub(crate) raises: bool,
    pub(crate) work_us: u64,
    pub(crate) nested: Vec<ObjectId>,
}

impl Constructor {
    fn encode(&self) -> Vec<u8> {
        let value = self.work_us << 33 | u64::from(self.program) << 1 | u64::from(self.raises);
        Content { value, inner: self.nested.clone() }.encode()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let Content { value, inner } = Content::decode(bytes).expect("this simulator wrote it");
        Constructor { program: (value >> 1) as u32, raises: value & 1 != 0, work_us: value >> 33, nested: inner }
    }
}

/// What a program takes out of a value it gets.
#[derive(Debug, Clone, Copy)]
enum Taking {
    /// Its number.
    Value,
    /// So many references.
    References(usize),
    /// The handle of an actor.
    Actor,
}

impl Cluster {
    /// A process goes on with what it runs, or begins the next task.
    pub(crate) fn run_program(&mut self, proc: ProcId) -> Check {
        self.procs[proc].runs = false;
        if self.procs[proc].is_blocked() || self.procs[proc].core.is_none() {
            return Ok(());
        }
        if self.procs[proc].frame.is_some() {
            self.step(proc)?;
        } else if self.procs[proc].retires {
            if !self.core(proc).expects_news() {
                self.tally.count("workers that ended by themselves");
                self.say(proc, ToScheduler::Retire { waits: false });
                self.leaves(proc);
            }
            return Ok(());
        } else if let Some(task) = self.procs[proc].unstarted.pop_front() {
            self.begin(proc, task)?;
        } else if self.procs[proc].actor.is_some_and(|own| own.finishing) && self.rings_are_empty(proc)? {
            self.dies(proc);
            return Ok(());
        } else {
            return Ok(());
        }
        if self.procs[proc].alive {
            self.carry_out(proc)?;
        }
        Ok(())
    }

    /// Whether nothing more was pushed to an actor that is about to end.
    fn rings_are_empty(&mut self, proc: ProcId) -> Result<bool, String> {
        let peers: Vec<ProcId> = self.procs[proc].channels.values().map(|channel| channel.peer).collect();
        for peer in peers {
            self.look_into_rings(proc, peer)?;
        }
        Ok(self.procs[proc].unstarted.is_empty())
    }

    /// Begins a task: from here on it counts as an attempt.
    fn begin(&mut self, proc: ProcId, task: Unstarted) -> Check {
        let Unstarted { from, header, body, consumed } = task;
        let id = TaskId { client: from, seq: header.seq };
        self.trace.line(self.agenda.now(), || format!("    {proc} begins {id}"));
        self.rings.start(self.by_client[&from], proc, header.seq);
        let attempts = self.attempts.entry(id).or_default();
        *attempts += 1;
        if *attempts > 1 {
            self.tally.count("tasks begun again");
        }
        self.tally.count(if self.procs[proc].actor.is_some() { "actor calls" } else { "tasks" });
        let attempts = self.attempts[&id];
        let retries = self.retries[&id];
        if retries >= 0 && attempts > 1 + retries as u32 {
            return Err(format!("I3: task {id} with {retries} retries begins for the {attempts}th time"));
        }
        if let Some(own) = self.procs[proc].actor.filter(|_| !self.unordered.contains(&id)) {
            let last = self.actor_calls.entry((own.actor, own.restarts, from)).or_default();
            // One that is tried again because of what it raised comes late.
            let is_late = header.attempt > 0 && self.plan.faults.flaky > 0;
            if *last >= header.seq && !is_late {
                return Err(format!("I4: actor {} runs call {} of client {from} after {last}", own.actor, header.seq));
            }
            *last = header.seq.max(*last);
        }
        // What was booked for this process is claimed before anything else: it may be the only claim there is.
        let claims = booked(&header, &body);
        for &object in &claims {
            self.core(proc).retain_booked(object);
        }
        let mut reader = BodyReader::new(&body, header.arguments);
        let first = reader.next_argument();
        let Some(Ok(Argument::Inline(program))) = first else { return Err(format!("task {id} has no program")) };
        let program = u32::from_le_bytes(program.try_into().map_err(|_| format!("task {id} has no program"))?);
        let plan = &self.plan.programs[program as usize];
        let (nested_slots, salt) = (plan.arguments.len(), plan.salt);
        let most_untaken = plan.most_untaken;
        let mut frame = Frame::new(program, salt, Some(Execution::Task { from, seq: header.seq }));
        frame.yielding = header.is_stream().then(|| Yielding::new(header.returns, consumed, most_untaken));
        let mut inner = Vec::new();
        let mut stored = 0;
        while let Some(argument) = reader.next_argument() {
            let content = match argument.map_err(|error| error.to_string())? {
                Argument::Inline(bytes) => Content::decode(bytes),
                Argument::Stored(object, location) => {
                    stored += 1;
                    let bytes = self.store.read(object, &location);
                    if bytes.is_none() && !self.procs[self.by_client[&from]].alive {
                        // Its arguments went with whoever submitted it; this process has not heard of that yet.
                        claims.iter().for_each(|&object| self.core(proc).release(object));
                        return Ok(());
                    }
                    Content::decode(bytes.ok_or_else(|| format!("I5: argument {object} of task {id} was freed before it ran"))?)
                }
                Argument::Reference(object) => return Err(format!("P-4: argument {object} of task {id} is not resolved")),
            };
            let content = content.ok_or_else(|| format!("I2: an argument of task {id} is no value"))?;
            frame.so_far = mix(frame.so_far, content.value);
            inner.extend(content.inner);
        }
        let nested = nested_slots.checked_sub(inner.len()).ok_or_else(|| format!("I2: task {id} got too many references"))?;
        frame.slots.extend(claims[stored..stored + nested].iter().map(|&object| Some(object)));
        frame.claims.extend_from_slice(&claims[..stored]);
        frame.claims.extend_from_slice(&claims[stored + nested..]);
        for object in inner {
            self.core(proc).retain(object);
            frame.slots.push(Some(object));
        }
        self.procs[proc].frame = Some(frame);
        self.run_soon(proc, MICRO);
        Ok(())
    }

    /// One step of a program.
    fn step(&mut self, proc: ProcId) -> Check {
        let frame = self.procs[proc].frame.as_mut().expect("the caller checked");
        if frame.result.is_some() {
            return self.end_task(proc);
        }
        if self.send_item(proc) {
            return Ok(());
        }
        let frame = self.frame(proc);
        if frame.cancelled {
            return self.end(proc, Err(Cause::Cancelled));
        }
        if !self.may_go_on(proc)? {
            return Ok(());
        }
        let frame = self.frame(proc);
        let (program, at) = (frame.program as usize, frame.at);
        if let Some(Execution::Constructor { raises }) = frame.task {
            return self.end_constructor(proc, raises);
        }
        let Some(op) = self.plan.programs[program].ops.get(at).cloned() else {
            return self.end(proc, Ok(()));
        };
        let frame = self.frame(proc);
        frame.at += 1;
        let mut delay = MICRO;
        match op {
            Op::Work(micros) => delay = micros * MICRO,
            Op::Raise => return self.end(proc, Err(Cause::Planned)),
            Op::Spawn(spawn) => self.spawn(proc, &spawn),
            Op::Open { spawn, actor } => self.open(proc, &spawn, actor),
            Op::Next(stream) => return self.take_next(proc, stream),
            Op::DropStream(stream) => self.drop_stream(proc, stream),
            Op::CancelStream(stream) => {
                if let Some(taking) = frame.streams[stream] {
                    self.core(proc).cancel(taking.task, false, true);
                }
            }
            Op::Yield { value, inner, stored } => return self.yield_item(proc, value, &inner, stored),
            Op::Put { value, inner, stored } => self.put(proc, value, &inner, stored),
            Op::Get(slot) => return self.get(proc, slot, Taking::Value),
            Op::Unpack(slot, count) => return self.get(proc, slot, Taking::References(count)),
            Op::Unwrap(slot) => return self.get(proc, slot, Taking::Actor),
            Op::Wrap { actor, value, stored } => self.wrap(proc, actor, value, stored),
            Op::Drop(slot) => {
                if let Some(object) = frame.slots[slot].take() {
                    self.core(proc).release(object);
                }
            }
            Op::Cancel { slot, force, recursive } => {
                if let Some(object) = frame.slots[slot] {
                    if object.owner() == self.core(proc).id() {
                        self.core(proc).cancel(object.task, force, recursive);
                    } else {
                        self.say(proc, ToScheduler::CancelOwned { task: object.task, force, recursive });
                    }
                }
            }
            Op::Create(creation) => self.create(proc, &creation),
            Op::Call(call) => self.call(proc, &call),
            Op::KillActor { actor, no_restart } => {
                if let Some((actor, _)) = frame.actors[actor] {
                    self.say(proc, ToScheduler::Actor(ActorMessage::Kill { actor, no_restart }));
                }
            }
            Op::DropActor(actor) => {
                if let Some((actor, weak)) = frame.actors[actor].take() {
                    self.core(proc).release_actor(actor, weak);
                }
            }
            Op::Find(name) => {
                frame.at -= 1; // the answer moves it on
                let request = at as u64;
                self.say(proc, ToScheduler::Actor(ActorMessage::Find { request, namespace: String::new(), name }));
                self.wait_for(proc, Wait::Find(request));
                return Ok(());
            }
        }
        self.run_soon(proc, delay);
        Ok(())
    }

    pub(crate) fn frame(&mut self, proc: ProcId) -> &mut Frame {
        self.procs[proc].frame.as_mut().expect("a program runs")
    }

    /// The objects in these slots; None when one of them never came to be.
    pub(crate) fn objects(&mut self, proc: ProcId, slots: &[Slot]) -> Option<Vec<ObjectId>> {
        let frame = self.frame(proc);
        slots.iter().map(|&slot| frame.slots[slot]).collect()
    }

    fn parent(&mut self, proc: ProcId) -> Option<TaskId> {
        match self.frame(proc).task {
            Some(Execution::Task { from, seq }) => Some(TaskId { client: from, seq }),
            Some(Execution::Constructor { .. }) | None => None,
        }
    }

    fn spawn(&mut self, proc: ProcId, spawn: &Spawn) {
        let task = self.submit(proc, spawn, 0);
        self.frame(proc).slots.push(task.map(|task| task.result(0)));
    }

    fn open(&mut self, proc: ProcId, spawn: &Spawn, actor: Option<(usize, bool)>) {
        let task = match actor {
            None => self.submit(proc, spawn, flag::STREAM),
            Some((actor, unordered)) => {
                let Spawn { program, by_ref, nested, retries, expect, .. } = spawn.clone();
                let call = Call { actor, program, by_ref, nested, retries, unordered, expect };
                self.submit_call(proc, &call, flag::STREAM)
            }
        };
        let taking = task.map(|task| Intake { task, program: spawn.program, taken: 0, failed: false });
        self.frame(proc).streams.push(taking);
    }

    fn submit(&mut self, proc: ProcId, spawn: &Spawn, flags: u8) -> Option<TaskId> {
        let (Some(inputs), Some(nested)) = (self.objects(proc, &spawn.by_ref), self.objects(proc, &spawn.nested)) else {
            return None;
        };
        let mut body = Vec::new();
        record::write_inline_argument(&mut body, &spawn.program.to_le_bytes());
        for &input in &inputs {
            record::write_reference_argument(&mut body, input);
        }
        write_nested(&mut body, &nested);
        let shape = self.core(proc).shape(&Resources::new([(String::from("CPU"), spawn.half_cpus * RESOURCE_UNIT / 2)]));
        let spec = TaskSpec {
            function: FunctionId(u64::from(spawn.program % 4)),
            flags,
            returns: 1,
            limited: self.plan.programs[spawn.program as usize].most_untaken > 0,
            arguments: 1 + inputs.len() as u32,
            body: body.into(),
            inputs,
            nested,
            shape,
            max_retries: spawn.retries,
            parent: self.parent(proc),
            shown_as: None,
        };
        let task = self.core(proc).submit(spec);
        self.retries.insert(task, spawn.retries);
        self.frame(proc).children.push(task);
        Some(task)
    }

    fn put(&mut self, proc: ProcId, value: u64, inner: &[Slot], stored: bool) {
        let Some(inner) = self.objects(proc, inner) else {
            self.frame(proc).slots.push(None);
            return;
        };
        self.put_with(proc, value, inner, stored);
    }

    fn put_with(&mut self, proc: ProcId, value: u64, inner: Vec<ObjectId>, stored: bool) {
        let me = self.core(proc).id();
        let object = TaskId { client: me, seq: self.core(proc).take_seq() }.result(0);
        let bytes = Content { value, inner: inner.clone() }.encode();
        let value = self.value(proc, object, bytes, stored);
        self.core(proc).put_as(object, value, &inner);
        self.frame(proc).slots.push(Some(object));
    }

    pub(crate) fn value(&mut self, proc: ProcId, object: ObjectId, bytes: Vec<u8>, stored: bool) -> Value {
        if stored {
            let me = self.core(proc).id();
            Value::Stored(self.store.write(me, object, bytes))
        } else {
            Value::Inline(Bytes::from_vec(bytes))
        }
    }

    /// What a wait for an object ends with, if it ends now.
    pub(crate) fn outcome(&mut self, proc: ProcId, object: ObjectId) -> Result<Option<Outcome>, String> {
        let core = self.procs[proc].core.as_ref().expect("only welcomed processes run programs");
        let bytes = match core.value(object) {
            ObjectView::Unknown => return Err(format!("process {proc} lost its claim on {object}")),
            ObjectView::Pending => return Ok(None),
            ObjectView::Ready(Value::Failed(bytes)) => return Ok(Some(Outcome::Failed(Cause::of(&Failure::from_bytes(bytes))))),
            ObjectView::Ready(Value::Inline(bytes)) => Some(&bytes[..]),
            ObjectView::Ready(Value::Stored(location)) => self.store.read(object, location),
        };
        let bytes = bytes.ok_or_else(|| format!("I5: process {proc} reads {object}, which was freed"))?;
        Ok(Some(Outcome::Value(Content::decode(bytes).ok_or_else(|| format!("I2: {object} is no value"))?)))
    }

    /// Gets a value, and what is to be taken out of it.
    fn get(&mut self, proc: ProcId, slot: Slot, taking: Taking) -> Check {
        let Some(object) = self.frame(proc).slots[slot] else {
            // What it would have come from failed before: a driver that goes on regardless.
            self.takes_nothing(proc, taking);
            self.run_soon(proc, MICRO);
            return Ok(());
        };
        let Some(outcome) = self.outcome(proc, object)? else {
            self.frame(proc).at -= 1;
            self.core(proc).watch(object);
            self.wait_for(proc, Wait::Object(object));
            return Ok(());
        };
        let program = self.frame(proc).program;
        let expect = self.expected(program, slot);
        judge(object, &expect, &outcome, &self.plan.faults)?;
        count_outcome(&mut self.tally, &outcome);
        match outcome {
            Outcome::Value(content) => match taking {
                Taking::References(count) => {
                    debug_assert_eq!(count, content.inner.len());
                    for inner in content.inner {
                        self.core(proc).retain(inner);
                        self.frame(proc).slots.push(Some(inner));
                    }
                }
                Taking::Actor => {
                    let actor = content.inner[0].task;
                    self.core(proc).retain_actor(actor, "Actor", false);
                    self.frame(proc).actors.push(Some((actor, false)));
                    self.tally.count("handles taken out of values");
                }
                Taking::Value => {
                    let frame = self.frame(proc);
                    frame.so_far = mix(frame.so_far, content.value);
                }
            },
            Outcome::Failed(cause) => {
                if !self.procs[proc].is_driver() {
                    return self.end(proc, Err(cause));
                }
                self.takes_nothing(proc, taking);
            }
        }
        self.run_soon(proc, MICRO);
        Ok(())
    }

    fn takes_nothing(&mut self, proc: ProcId, taking: Taking) {
        match taking {
            Taking::Value => {}
            Taking::References(count) => self.frame(proc).slots.extend(std::iter::repeat_n(None, count)),
            Taking::Actor => self.frame(proc).actors.push(None),
        }
    }

    fn wrap(&mut self, proc: ProcId, actor: usize, value: u64, stored: bool) {
        let Some((actor, _)) = self.frame(proc).actors[actor] else {
            self.frame(proc).slots.push(None);
            return;
        };
        self.put_with(proc, value, vec![actor.handle()], stored);
    }

    /// What a slot of a program must turn out to be.
    pub(crate) fn expected(&self, program: ProgramId, slot: Slot) -> std::rc::Rc<Expect> {
        self.plan.programs[program as usize].slots[slot].clone()
    }

    fn create(&mut self, proc: ProcId, creation: &Creation) {
        let Some(nested) = self.objects(proc, &creation.nested) else {
            self.frame(proc).actors.push(None);
            return;
        };
        let constructor = Constructor { program: 0, raises: creation.raises, work_us: creation.work_us, nested: nested.clone() };
        let spec = ActorSpec {
            class: String::from("Actor"),
            name: creation.name.clone(),
            max_restarts: creation.max_restarts,
            placement: Resources::cpus(1),
            creation: constructor.encode(),
            ..ActorSpec::default()
        };
        let actor = self.core(proc).create_actor(spec, &[], &nested);
        self.restarts.insert(actor, creation.max_restarts);
        self.frame(proc).actors.push(Some((actor, false)));
    }

    fn call(&mut self, proc: ProcId, call: &Call) {
        let task = self.submit_call(proc, call, 0);
        self.frame(proc).slots.push(task.map(|task| task.result(0)));
    }

    fn submit_call(&mut self, proc: ProcId, call: &Call, flags: u8) -> Option<TaskId> {
        let (inputs, nested) = (self.objects(proc, &call.by_ref), self.objects(proc, &call.nested));
        let (Some((actor, _)), Some(inputs), Some(nested)) = (self.frame(proc).actors[call.actor], inputs, nested) else {
            return None;
        };
        let mut body = Vec::new();
        record::write_inline_argument(&mut body, &call.program.to_le_bytes());
        for &input in &inputs {
            record::write_reference_argument(&mut body, input);
        }
        write_nested(&mut body, &nested);
        let task = TaskSpec {
            flags: flag::ACTOR_CALL | flags,
            returns: 1,
            limited: self.plan.programs[call.program as usize].most_untaken > 0,
            arguments: 1 + inputs.len() as u32,
            body: body.into(),
            inputs,
            nested,
            max_retries: call.retries,
            parent: self.parent(proc),
            ..TaskSpec::default()
        };
        let task = self.core(proc).call(ActorCall { actor, task, unordered: call.unordered });
        self.retries.insert(task, call.retries);
        if call.unordered {
            self.unordered.insert(task);
        }
        Some(task)
    }

    fn end_constructor(&mut self, proc: ProcId, raises: bool) -> Check {
        let frame = self.procs[proc].frame.take().expect("a constructor runs");
        self.release_all(proc, frame);
        self.constructed(proc, raises);
        self.run_soon(proc, MICRO);
        Ok(())
    }

    /// A program has ended. A task's result is written, and said what it contains; it is sent a moment later, for a worker may die between.
    pub(crate) fn end(&mut self, proc: ProcId, how: Result<(), Cause>) -> Check {
        let frame = self.frame(proc);
        let Some(Execution::Task { from, seq }) = frame.task else {
            let frame = self.procs[proc].frame.take().expect("a driver's program ends");
            self.release_all(proc, frame);
            if let Role::Driver { done, .. } = &mut self.procs[proc].role {
                *done = true;
            }
            return Ok(());
        };
        let (program, so_far, slots) = (frame.program as usize, frame.so_far, frame.slots.clone());
        let plan = &self.plan.programs[program];
        let (returns, stored) = (plan.returns.clone(), plan.stored);
        let object = TaskId { client: from, seq }.result(0);
        let mut has_refs = false;
        let value = match how {
            Err(Cause::Cancelled) => Failure::Cancelled { function: String::new() }.into_value(),
            Err(cause) => cause.raised().into_value(),
            Ok(()) if self.rng.per_mille(self.plan.faults.flaky) => {
                self.frame(proc).retry = true;
                self.tally.count("attempts that raised");
                Cause::Planned.raised().into_value()
            }
            Ok(()) => {
                let inner: Vec<ObjectId> = returns.iter().filter_map(|&slot| slots[slot]).collect();
                has_refs = !inner.is_empty();
                if has_refs {
                    self.core(proc).result_contains(object, &inner);
                    self.carry_out(proc)?;
                }
                let bytes = Content { value: so_far, inner }.encode();
                self.value(proc, object, bytes, stored)
            }
        };
        self.frame(proc).result = Some((value, has_refs));
        self.run_soon(proc, MICRO);
        Ok(())
    }

    /// Sends the result of the task that has ended, and looks for the next.
    fn end_task(&mut self, proc: ProcId) -> Check {
        let mut frame = self.procs[proc].frame.take().expect("a task ends");
        if let (Some(Execution::Task { from, seq }), Some((value, has_refs))) = (frame.task, frame.result.take()) {
            let mut marks = if frame.retry { flag::RETRY } else { 0 };
            if self.procs[proc].actor.is_none() && self.rng.per_mille(self.plan.faults.retires) {
                self.procs[proc].retires = true;
                let waits = self.core(proc).expects_news();
                self.say(proc, ToScheduler::Retire { waits });
                marks |= flag::LAST;
            }
            self.answer(proc, from, seq, &value, has_refs, marks);
        }
        self.release_all(proc, frame);
        let mut peers: Vec<ProcId> = self.procs[proc].channels.values().map(|channel| channel.peer).collect();
        peers.retain(|&peer| self.rings.has(peer, proc, Lane::Tasks));
        for peer in peers {
            self.look_into_rings(proc, peer)?;
        }
        self.run_soon(proc, MICRO);
        Ok(())
    }

    fn release_all(&mut self, proc: ProcId, frame: Frame) {
        for object in frame.slots.into_iter().flatten().chain(frame.claims) {
            self.core(proc).release(object);
        }
        for (actor, weak) in frame.actors.into_iter().flatten() {
            self.core(proc).release_actor(actor, weak);
        }
        for taking in frame.streams.into_iter().flatten() {
            self.core(proc).drop_stream(taking.task);
        }
    }

    /// A store is told that an object is not needed any more: that must be true, and said once.
    pub(crate) fn freed(&mut self, object: ObjectId) -> Check {
        // What an attempt wrote that was lost with its worker is freed when its task fails for good; whoever claims that sees a failure.
        let lost = self.crashed.contains(&object.task);
        // An actor dies with the driver that made it, and may hear of neither before it has begun to look at its arguments. And what a
        // task got is only as good as its submitter's word, which is lost if the submitter dies with it unsent.
        let is_gone = |client: ClientId| !self.procs[self.by_client[&client]].alive;
        let dies = |proc: &Proc| {
            let submitter = proc.frame.as_ref().and_then(|frame| match frame.task {
                Some(Execution::Task { from, .. }) => Some(from),
                Some(Execution::Constructor { .. }) | None => None,
            });
            submitter.is_some_and(is_gone) || proc.actor.is_some_and(|own| is_gone(own.actor.client))
        };
        let reads = |core: &Process| match core.value(object) {
            ObjectView::Ready(Value::Stored(_)) => true,
            ObjectView::Ready(Value::Failed(_) | Value::Inline(_)) | ObjectView::Unknown => false,
            ObjectView::Pending => !lost && self.store.has(object),
        };
        if let Some(proc) = self.procs.iter().position(|proc| proc.alive && !dies(proc) && proc.core.as_ref().is_some_and(reads)) {
            return Err(format!("I5: {object} is freed while process {proc} has a claim on it"));
        }
        if !self.store.free(object) && !lost {
            return Err(format!("I6: {object} is freed twice"));
        }
        Ok(())
    }
}

pub(crate) fn count_outcome(tally: &mut Tally, outcome: &Outcome) {
    tally.count(match outcome {
        Outcome::Value(_) => "values got",
        Outcome::Failed(Cause::Planned) => "failures: raised",
        Outcome::Failed(Cause::Crashed) => "failures: crashed",
        Outcome::Failed(Cause::OwnerDied) => "failures: owner died",
        Outcome::Failed(Cause::Cancelled) => "failures: cancelled",
        Outcome::Failed(Cause::ActorDied) => "failures: actor died",
        Outcome::Failed(Cause::Unexpected) => "failures: unexpected",
    });
}

/// Appends the references nested in a task's arguments.
fn write_nested(body: &mut Vec<u8>, nested: &[ObjectId]) {
    if !nested.is_empty() {
        body.extend_from_slice(&(nested.len() as u32).to_le_bytes());
        for &object in nested {
            record::write_object(body, object);
        }
    }
}
