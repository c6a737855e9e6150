//! Actors this process calls: where they run, and the calls not yet ended, in order.

use super::tasks::TaskState;
use super::{Action, Process, TaskSpec};
use ray_protocol::control::{ActorMessage, ActorNotice, ActorSpec, ToScheduler};
use ray_protocol::value::Exit;
use ray_protocol::{ClientId, Failure, ObjectId, TaskId, Value};
use std::collections::VecDeque;

/// A method call to submit.
#[derive(Debug, Default, Clone)]
pub struct ActorCall {
    /// The actor.
    pub actor: TaskId,
    /// The call, as a task; its shape is not used.
    pub task: TaskSpec,
}

/// What this process knows of an actor.
#[derive(Debug)]
pub(super) struct Actor {
    life: Life,
    /// Claims inside this process (handles), and holds booked with the scheduler.
    local: u32,
    holds: u32,
    /// Calls not yet pushed, in submission order; the first may still wait for inputs, and all behind it wait with it.
    pub(super) queue: VecDeque<u64>,
    /// Calls pushed and not ended, in order.
    pub(super) in_flight: VecDeque<u64>,
    class: String,
}

/// How an actor is, as far as this process heard.
#[derive(Debug, Clone, PartialEq)]
enum Life {
    /// Not asked yet, being made, or between two lives.
    Unknown,
    /// Its calls go there.
    Alive(ClientId),
    /// Every call fails with this.
    Dead(Value),
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
        let class = spec.class.clone();
        self.tell_scheduler(ToScheduler::Actor(ActorMessage::Create { actor, spec }));
        self.actors.insert(
            actor,
            Actor { life: Life::Unknown, local: 1, holds: 1, queue: VecDeque::new(), in_flight: VecDeque::new(), class },
        );
        actor
    }

    /// One more handle of an actor in this process.
    pub fn retain_actor(&mut self, actor: TaskId, class: &str) {
        let me = self.me;
        let entry = self.actors.entry(actor).or_insert_with(|| Actor {
            life: Life::Unknown,
            local: 0,
            holds: 0,
            queue: VecDeque::new(),
            in_flight: VecDeque::new(),
            class: class.to_owned(),
        });
        entry.local += 1;
        if entry.holds == 0 {
            entry.holds = 1;
            self.tell_scheduler(ToScheduler::Actor(ActorMessage::Watch { actor }));
            self.tell_scheduler(ToScheduler::Actor(ActorMessage::Handles { actor, client: me, count: 1 }));
        }
    }

    /// One handle less.
    pub fn release_actor(&mut self, actor: TaskId) {
        let Some(entry) = self.actors.get_mut(&actor) else { return };
        entry.local = entry.local.saturating_sub(1);
        self.forget_actor_if_unused(actor);
    }

    /// Books a handle for a client that a handle travels to.
    pub fn book_handle(&mut self, actor: TaskId, client: ClientId) {
        self.tell_scheduler(ToScheduler::Actor(ActorMessage::Handles { actor, client, count: 1 }));
    }

    fn forget_actor_if_unused(&mut self, actor: TaskId) {
        let me = self.me;
        let Some(entry) = self.actors.get(&actor) else { return };
        if entry.local == 0 && entry.queue.is_empty() && entry.in_flight.is_empty() {
            let count = -(entry.holds as i32);
            self.actors.remove(&actor);
            if count != 0 {
                self.tell_scheduler(ToScheduler::Actor(ActorMessage::Handles { actor, client: me, count }));
            }
        }
    }

    /// Submits a method call.
    pub fn call(&mut self, call: ActorCall) -> TaskId {
        self.submit_for(call.task, Some(call.actor))
    }

    /// What is known of an actor.
    pub fn actor(&self, actor: TaskId) -> Option<ActorView> {
        self.actors.get(&actor).map(|entry| ActorView {
            queued: entry.queue.len(),
            in_flight: entry.in_flight.len(),
            worker: match entry.life {
                Life::Alive(worker) => Some(worker),
                _ => None,
            },
            dead: matches!(entry.life, Life::Dead(_)),
        })
    }

    pub(super) fn actor_call_submitted(&mut self, seq: u64) {
        let actor = self.tasks[&seq].actor().expect("the caller checked");
        match self.actors.get_mut(&actor) {
            Some(entry) => {
                entry.queue.push_back(seq);
                self.push_actor_calls(actor);
            }
            None => {
                let failure =
                    Failure::ActorDied { class: String::new(), reason: String::from("its handle is gone"), init_failed: false };
                self.fail_task(seq, &failure.into_value());
            }
        }
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
            if matches!(task.state, TaskState::Waiting(missing) if missing > 0) {
                return;
            }
            match entry.life.clone() {
                Life::Unknown => return,
                Life::Dead(failure) => {
                    entry.queue.pop_front();
                    self.fail_task(seq, &failure);
                }
                Life::Alive(worker) => {
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
                    for seq in core::mem::take(&mut entry.in_flight) {
                        self.fail_task(seq, &failure);
                    }
                    self.push_actor_calls(actor);
                }
            }
            ActorNotice::Registered { actor, refused: Some(reason) } => {
                if let Some(entry) = self.actors.get_mut(&actor) {
                    let failure = Failure::ActorDied { class: entry.class.clone(), reason, init_failed: true };
                    entry.life = Life::Dead(failure.into_value());
                    self.push_actor_calls(actor);
                }
            }
            ActorNotice::Registered { refused: None, .. }
            | ActorNotice::Become { .. }
            | ActorNotice::Found { .. }
            | ActorNotice::Finish => {}
        }
    }

    /// The worker of an actor is gone: calls under way are tried again if they may be, when the actor is back; the others fail now.
    pub(super) fn actor_worker_lost(&mut self, worker: ClientId, exit: &Exit) {
        let lost: Vec<TaskId> =
            self.actors.iter().filter(|(_, entry)| entry.life == Life::Alive(worker)).map(|(actor, _)| *actor).collect();
        for actor in lost {
            let entry = self.actors.get_mut(&actor).expect("just listed");
            entry.life = Life::Unknown;
            let (in_flight, class) = (core::mem::take(&mut entry.in_flight), entry.class.clone());
            for seq in in_flight.into_iter().rev() {
                let Some(task) = self.tasks.get_mut(&seq) else { continue };
                task.header.attempt += 1;
                self.void_lost_results(worker, seq);
                let task = self.tasks.get_mut(&seq).expect("just seen");
                if task.retries_left == 0 || task.cancelled {
                    let reason = ray_protocol::value::describe_exit(worker, exit);
                    let failure = Failure::ActorDied { class: class.clone(), reason, init_failed: false };
                    self.fail_task(seq, &failure.into_value());
                } else {
                    task.retries_left -= i32::from(task.retries_left > 0);
                    task.state = TaskState::Queued;
                    self.actors.get_mut(&actor).expect("still there").queue.push_front(seq);
                }
            }
        }
    }

    pub(super) fn actor_progressed(&mut self, worker: ClientId, seq: u64) {
        let found = self.actors.iter_mut().find(|(_, entry)| entry.life == Life::Alive(worker)).map(|(actor, entry)| {
            if entry.in_flight.front() == Some(&seq) {
                entry.in_flight.pop_front();
            } else {
                entry.in_flight.retain(|&other| other != seq);
            }
            *actor
        });
        if let Some(actor) = found {
            self.forget_actor_if_unused(actor);
        }
    }
}
