//! Actors this process calls: where they run, and the calls not yet ended, in order.

use super::tasks::TaskState;
use super::{Action, Process, TaskSpec};
use ray_protocol::control::{ActorMessage, ActorNotice, ActorSpec, ToScheduler};
use ray_protocol::value::Exit;
use ray_protocol::{ClientId, Failure, ObjectId, TaskId, Value};
use std::collections::{BTreeSet, VecDeque};

/// A method call to submit.
#[derive(Debug, Default, Clone)]
pub struct ActorCall {
    /// The actor.
    pub actor: TaskId,
    /// The call, as a task; its shape is not used.
    pub task: TaskSpec,
    /// It may overtake and be overtaken: an input that does not exist yet holds up nothing but itself.
    pub unordered: bool,
}

/// What this process knows of an actor.
#[derive(Debug)]
pub(super) struct Actor {
    life: Life,
    /// Handles inside this process.
    local: u32,
    /// Those of them that keep the actor alive.
    strong: u32,
    /// Whether the scheduler counts us among those who need the actor.
    counted: bool,
    /// Calls not yet pushed, in submission order; the first may still wait for inputs, and all behind it wait with it.
    pub(super) queue: VecDeque<u64>,
    /// Calls pushed and not ended, in order.
    pub(super) in_flight: VecDeque<u64>,
    /// Unordered calls that wait for inputs.
    pub(super) aside: BTreeSet<u64>,
    /// Calls whose process ended and that are not tried again; what they fail with depends on whether the actor comes back.
    pub(super) lost: Vec<u64>,
    /// How that process ended.
    lost_reason: String,
    class: String,
}

impl Actor {
    fn new(class: &str) -> Self {
        Actor {
            life: Life::Unknown,
            local: 0,
            strong: 0,
            counted: false,
            queue: VecDeque::new(),
            in_flight: VecDeque::new(),
            aside: BTreeSet::new(),
            lost: Vec::new(),
            lost_reason: String::new(),
            class: class.to_owned(),
        }
    }

    fn calls(&self) -> usize {
        self.queue.len() + self.in_flight.len() + self.aside.len() + self.lost.len()
    }
}

/// How an actor is, as far as this process heard.
#[derive(Debug, Clone, PartialEq)]
enum Life {
    /// Not asked yet, being made, or between two lives.
    Unknown,
    /// Its calls go there.
    Alive(ClientId),
    /// This process had it killed: calls wait for what becomes of it.
    Doomed(ClientId),
    /// Every call fails with this.
    Dead(Value),
}

impl Life {
    fn is_at(&self, worker: ClientId) -> bool {
        matches!(self, Life::Alive(at) | Life::Doomed(at) if *at == worker)
    }
}

/// What this process knows of an actor, for questions.
#[derive(Debug, Clone, PartialEq)]
pub struct ActorView {
    /// Calls not pushed yet.
    pub queued: usize,
    /// Calls pushed and not ended.
    pub in_flight: usize,
    /// Where it runs.
    pub worker: Option<ClientId>,
    /// Whether it is known to be dead.
    pub dead: bool,
}

impl Process {
    /// Creates an actor; the caller gets the first claim on its handle. `nested` are references inside the creation's arguments.
    pub fn create_actor(&mut self, spec: ActorSpec, inputs: &[ObjectId], nested: &[ObjectId]) -> TaskId {
        let actor = TaskId { client: self.me, seq: self.take_seq() };
        for &object in inputs.iter().chain(nested) {
            self.share(object);
        }
        let contained: Vec<ObjectId> = inputs.iter().chain(nested).copied().collect();
        if !contained.is_empty() {
            // The creation may run again at every restart: its arguments live as long as the actor's own id is held.
            self.tell_scheduler(ToScheduler::Contains { object: actor.result(0), inner: contained });
        }
        let entry = Actor { local: 1, strong: 1, counted: true, ..Actor::new(&spec.class) };
        self.actors.insert(actor, entry);
        self.tell_scheduler(ToScheduler::Actor(ActorMessage::Create { actor, spec: Box::new(spec) }));
        actor
    }

    /// One more handle of an actor in this process. A weak one does not keep the actor alive.
    ///
    /// Where handles travel, inside arguments and inside values, [`TaskId::handle`] travels for them, counted as any object is. So a
    /// handle read from a message is kept alive by that message or by the object around it until the scheduler hears of us.
    pub fn retain_actor(&mut self, actor: TaskId, class: &str, weak: bool) {
        let me = self.me;
        let mut is_new = false;
        let entry = self.actors.entry(actor).or_insert_with(|| {
            is_new = true;
            Actor::new(class)
        });
        entry.local += 1;
        entry.strong += u32::from(!weak);
        let count_us = !weak && !entry.counted;
        entry.counted |= count_us;
        if is_new {
            self.tell_scheduler(ToScheduler::Actor(ActorMessage::Watch { actor }));
        }
        if count_us {
            self.tell_scheduler(ToScheduler::Actor(ActorMessage::Handles { actor, client: me, count: 1 }));
        }
    }

    /// One handle less, of the same kind as was retained.
    pub fn release_actor(&mut self, actor: TaskId, weak: bool) {
        let Some(entry) = self.actors.get_mut(&actor) else { return };
        entry.local = entry.local.saturating_sub(1);
        entry.strong = entry.strong.saturating_sub(u32::from(!weak));
        self.forget_actor_if_unused(actor);
    }

    /// Has an actor killed. Calls made from now on wait for what becomes of it, instead of racing with its end.
    pub fn kill_actor(&mut self, actor: TaskId, no_restart: bool) {
        if let Some(entry) = self.actors.get_mut(&actor)
            && let Life::Alive(worker) = entry.life
        {
            entry.life = Life::Doomed(worker);
        }
        self.tell_scheduler(ToScheduler::Actor(ActorMessage::Kill { actor, no_restart }));
    }

    fn forget_actor_if_unused(&mut self, actor: TaskId) {
        let me = self.me;
        let Some(entry) = self.actors.get_mut(&actor) else { return };
        if entry.strong > 0 || entry.calls() > 0 {
            return;
        }
        let was_counted = core::mem::take(&mut entry.counted);
        if entry.local == 0 {
            self.actors.remove(&actor);
        }
        if was_counted {
            self.tell_scheduler(ToScheduler::Actor(ActorMessage::Handles { actor, client: me, count: -1 }));
        }
    }

    /// Submits a method call.
    pub fn call(&mut self, call: ActorCall) -> TaskId {
        let id = self.submit_for(call.task, Some(call.actor));
        self.actor_call_submitted(call.actor, id.seq, call.unordered);
        id
    }

    /// What is known of an actor.
    pub fn actor(&self, actor: TaskId) -> Option<ActorView> {
        self.actors.get(&actor).map(|entry| ActorView {
            queued: entry.queue.len() + entry.aside.len(),
            in_flight: entry.in_flight.len() + entry.lost.len(),
            worker: match entry.life {
                Life::Alive(worker) => Some(worker),
                _ => None,
            },
            dead: matches!(entry.life, Life::Dead(_)),
        })
    }

    fn actor_call_submitted(&mut self, actor: TaskId, seq: u64, unordered: bool) {
        let waits = matches!(self.tasks[&seq].state, TaskState::Waiting(missing) if missing > 0);
        match self.actors.get_mut(&actor) {
            Some(entry) if unordered && waits && !matches!(entry.life, Life::Dead(_)) => {
                entry.aside.insert(seq);
            }
            Some(entry) => {
                entry.queue.push_back(seq);
                self.push_actor_calls(actor);
            }
            None => {
                let failure = actor_died(actor, "", String::from("its handle is gone"));
                self.fail_task(seq, &failure);
            }
        }
    }

    /// The last input of a call got its value.
    pub(super) fn actor_call_ready(&mut self, actor: TaskId, seq: u64) {
        if let Some(entry) = self.actors.get_mut(&actor)
            && entry.aside.remove(&seq)
        {
            entry.queue.push_back(seq);
        }
        self.push_actor_calls(actor);
    }

    /// Pushes calls from the front of the queue as long as their inputs exist: a call never overtakes an earlier one.
    pub(super) fn push_actor_calls(&mut self, actor: TaskId) {
        loop {
            let Some(entry) = self.actors.get_mut(&actor) else { return };
            let Some(&seq) = entry.queue.front() else { break };
            let Some(task) = self.tasks.get(&seq) else {
                entry.queue.pop_front(); // cancelled while queued
                continue;
            };
            let waits = matches!(task.state, TaskState::Waiting(missing) if missing > 0);
            match &entry.life {
                Life::Dead(failure) => {
                    let failure = failure.clone();
                    entry.queue.pop_front();
                    self.fail_task(seq, &failure);
                }
                _ if waits => return,
                Life::Unknown | Life::Doomed(_) => return,
                Life::Alive(worker) => {
                    let worker = *worker;
                    entry.queue.pop_front();
                    if let Some(failure) = self.failed_input(seq) {
                        self.fail_task(seq, &failure);
                        continue;
                    }
                    self.actors.get_mut(&actor).expect("just seen").in_flight.push_back(seq);
                    self.push(worker, seq);
                }
            }
        }
        self.forget_actor_if_unused(actor);
    }

    pub(super) fn actor_notice(&mut self, notice: ActorNotice) {
        match notice {
            ActorNotice::Alive { actor, worker, .. } => {
                if let Some(entry) = self.actors.get_mut(&actor) {
                    entry.life = Life::Alive(worker);
                    self.actions.push_back(Action::OpenChannel(worker));
                    self.push_actor_calls(actor);
                }
            }
            ActorNotice::Restarting { actor } => {
                self.fail_lost_calls(actor, |entry| {
                    Failure::ActorUnavailable { actor, reason: core::mem::take(&mut entry.lost_reason) }.into_value()
                });
                if let Some(entry) = self.actors.get_mut(&actor) {
                    entry.life = Life::Unknown;
                    // What is still in flight was pushed into a channel the lost worker never heard of, or we would have been told of its
                    // end before this: nothing of it was begun.
                    for seq in core::mem::take(&mut entry.in_flight).into_iter().rev() {
                        entry.queue.push_front(seq);
                        if let Some(task) = self.tasks.get_mut(&seq) {
                            task.state = TaskState::Queued;
                        }
                    }
                }
            }
            ActorNotice::Dead { actor, failure } => {
                if let Some(entry) = self.actors.get_mut(&actor) {
                    let failure = Value::Failed(failure.into_boxed_slice());
                    entry.life = Life::Dead(failure.clone());
                    let (in_flight, aside) = (core::mem::take(&mut entry.in_flight), core::mem::take(&mut entry.aside));
                    self.fail_lost_calls(actor, |_| failure.clone());
                    for seq in in_flight.into_iter().chain(aside) {
                        self.fail_task(seq, &failure);
                    }
                    self.push_actor_calls(actor);
                }
            }
            ActorNotice::Registered { actor, refused: Some(reason) } => {
                if let Some(entry) = self.actors.get_mut(&actor) {
                    let failure = actor_died(actor, &entry.class, reason);
                    entry.life = Life::Dead(failure.clone());
                    for seq in core::mem::take(&mut entry.aside) {
                        self.fail_task(seq, &failure);
                    }
                    self.push_actor_calls(actor);
                }
            }
            ActorNotice::Registered { refused: None, .. }
            | ActorNotice::Become { .. }
            | ActorNotice::Found { .. }
            | ActorNotice::Finish => {}
        }
    }

    /// Calls under way when the actor's process ended fail, now that it is known whether the actor comes back.
    fn fail_lost_calls(&mut self, actor: TaskId, failure: impl FnOnce(&mut Actor) -> Value) {
        let Some(entry) = self.actors.get_mut(&actor) else { return };
        let lost = core::mem::take(&mut entry.lost);
        if lost.is_empty() {
            return;
        }
        let failure = failure(entry);
        for seq in lost {
            self.fail_task(seq, &failure);
        }
    }

    /// The worker of an actor is gone: calls under way are tried again if they may be, when the actor is back; the others fail when the
    /// scheduler has said what becomes of it, which it does next.
    pub(super) fn actor_worker_lost(&mut self, worker: ClientId, exit: &Exit) {
        let lost: Vec<TaskId> = self.actors.iter().filter(|(_, entry)| entry.life.is_at(worker)).map(|(actor, _)| *actor).collect();
        for actor in lost {
            let entry = self.actors.get_mut(&actor).expect("just listed");
            entry.life = Life::Unknown;
            entry.lost_reason = ray_protocol::value::describe_exit(worker, exit);
            let in_flight = core::mem::take(&mut entry.in_flight);
            for seq in in_flight.into_iter().rev() {
                let Some(task) = self.tasks.get_mut(&seq) else { continue };
                task.header.attempt += 1;
                self.void_lost_results(worker, seq);
                let task = self.tasks.get_mut(&seq).expect("just seen");
                task.state = TaskState::Queued;
                if task.cancelled {
                    self.fail_cancelled(seq);
                } else if task.retries_left == 0 {
                    self.actors.get_mut(&actor).expect("still there").lost.push(seq);
                } else {
                    task.retries_left -= i32::from(task.retries_left > 0);
                    self.actors.get_mut(&actor).expect("still there").queue.push_front(seq);
                }
            }
        }
    }

    /// A call has ended where it was pushed.
    pub(super) fn actor_progressed(&mut self, actor: TaskId, seq: u64) {
        let Some(entry) = self.actors.get_mut(&actor) else { return };
        if entry.in_flight.front() == Some(&seq) {
            entry.in_flight.pop_front();
        } else if let Some(at) = entry.in_flight.iter().position(|&other| other == seq) {
            entry.in_flight.remove(at);
        }
        if entry.strong == 0 {
            self.forget_actor_if_unused(actor);
        }
    }
}

fn actor_died(actor: TaskId, class: &str, reason: String) -> Value {
    Failure::ActorDied { actor, class: class.to_owned(), reason, raised: Vec::new() }.into_value()
}
