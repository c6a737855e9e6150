//! Actors: making, finding and ending them; and how the main thread of an actor with an event loop of its own sleeps.

use crate::Client;
use crate::state::State;
use crate::wait::{Interrupt, WaitEnd};
use ray_protocol::control::{ActorMessage, ActorSpec, ToScheduler};
use ray_protocol::{ObjectId, TaskId};
use ray_shm::bell::MAIN_SLEEPING;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::Ordering;

/// An answer of [`Client::before_sleep`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaySleep {
    /// There is something to do.
    No,
    /// As long as it likes, on [`Client::main_fd`] too.
    Yes,
    /// For a moment only: another thread sleeps on the same bell.
    Briefly,
}

impl Client {
    /// Creates an actor; the caller has the first handle. With a name, waits until that is known to be free: the inner error says why not.
    pub fn create_actor(
        &self,
        spec: ActorSpec,
        inputs: &[ObjectId],
        nested: &[ObjectId],
        interrupt: Interrupt<'_>,
    ) -> Result<Result<TaskId, String>, WaitEnd> {
        let named = !spec.name.is_empty();
        let actor = {
            let mut state = self.shared.lock();
            let actor = state.process.create_actor(spec, inputs, nested);
            if named {
                state.actor_replies.insert(actor, None);
            }
            self.shared.act(&mut state);
            actor
        };
        if !named {
            return Ok(Ok(actor));
        }
        let mut reply = None;
        let end = self.shared.wait_for_reply(None, interrupt, &mut |state| {
            reply = state.actor_replies.get(&actor).cloned().flatten();
            reply.is_some()
        });
        self.shared.lock().actor_replies.remove(&actor);
        match reply {
            Some(Ok(())) => Ok(Ok(actor)),
            Some(Err(reason)) => {
                self.release_actor(actor, false);
                Ok(Err(reason))
            }
            None => Err(end),
        }
    }

    /// Looks an actor up: which it is, and what a handle of it is made from.
    #[allow(clippy::type_complexity)]
    pub fn find_actor(&self, namespace: &str, name: &str, interrupt: Interrupt<'_>) -> Result<Option<(TaskId, Vec<u8>)>, WaitEnd> {
        let request = {
            let mut state = self.shared.lock();
            let request = state.new_request();
            let find = ActorMessage::Find { request, namespace: namespace.to_owned(), name: name.to_owned() };
            state.tell_scheduler(&ToScheduler::Actor(find));
            self.shared.act(&mut state);
            request
        };
        let mut found = None;
        let end = self.shared.wait_for_reply(None, interrupt, &mut |state| {
            found = found.take().or_else(|| state.found_actors.remove(&request));
            found.is_some()
        });
        found.ok_or(end)
    }

    /// One more handle in this process.
    pub fn retain_actor(&self, actor: TaskId, class: &str, weak: bool) {
        self.with_process(|process| process.retain_actor(actor, class, weak));
    }

    /// One handle less.
    pub fn release_actor(&self, actor: TaskId, weak: bool) {
        if self.is_of_parent() {
            return;
        }
        self.with_process(|process| process.release_actor(actor, weak));
    }

    /// Tells the scheduler about an actor.
    pub fn actor_message(&self, message: ActorMessage) {
        self.tell_scheduler(&ToScheduler::Actor(message));
    }

    /// The descriptor that becomes readable when something arrives while the main thread says that it sleeps.
    pub fn main_fd(&self) -> RawFd {
        self.shared.bell.main_fd().as_raw_fd()
    }

    /// For a main thread that sleeps in an event loop: to be called right before, and [`after_sleep`](Self::after_sleep) right after.
    pub fn before_sleep(&self) -> MaySleep {
        let mut done = |state: &mut State| state.serving.has_input() || !state.notices.is_empty() || state.ended.is_some();
        if self.shared.watched.swap(true, Ordering::Acquire) {
            let mut state = self.shared.lock();
            self.shared.pump(&mut state);
            return if done(&mut state) { MaySleep::No } else { MaySleep::Briefly };
        }
        let mut found = self.shared.spin_for_news(&mut done);
        if !found {
            self.shared.page.set(MAIN_SLEEPING);
            let mut state = self.shared.lock();
            self.shared.pump(&mut state);
            found = done(&mut state);
        }
        if found {
            self.after_sleep(MaySleep::Yes);
            return MaySleep::No;
        }
        MaySleep::Yes
    }

    /// See [`before_sleep`](Self::before_sleep), whose answer is the argument.
    pub fn after_sleep(&self, slept: MaySleep) {
        if slept == MaySleep::Yes {
            self.shared.page.clear(MAIN_SLEEPING);
            self.shared.bell.drain_main();
            self.shared.watched.store(false, Ordering::Release);
            if self.shared.onlookers.load(Ordering::Relaxed) > 0 {
                self.shared.news.notify_all();
            }
        }
        let mut state = self.shared.lock();
        self.shared.pump(&mut state);
    }
}
