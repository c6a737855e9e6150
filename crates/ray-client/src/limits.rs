//! Time limits of what runs in this worker, and the end of a worker that has run its share.
//!
//! A limit is looked after by the I/O thread, for the main thread may be anywhere: deep in a C library, or in a loop that never looks. When
//! the time is over the task is interrupted, as by a cancel. If it has not ended [`GRACE`] later, the I/O thread answers in its place and
//! has the process killed, with all it started.

use crate::serve::Manner;
use crate::state::State;
use crate::wait::Interrupt;
use crate::{Client, Incoming, Shared, write_failure};
use ray_protocol::control::ToScheduler;
use ray_protocol::record::{self, TaskHeader, flag};
use ray_protocol::{CallOptions, ClientId, Failure, TaskId};
use std::time::{Duration, Instant};

/// How long a task that was interrupted may take to clean up.
const GRACE: Duration = Duration::from_secs(1);

/// The pause between two looks at whether everything was sent, before a worker ends.
const FLUSH_PAUSE: Duration = Duration::from_millis(1);

/// A limit of something that runs here.
pub(crate) struct Limit {
    task: TaskId,
    header: TaskHeader,
    name: String,
    limit_us: u64,
    retries: bool,
    /// When something is to be done about it.
    due: Instant,
    interrupted: bool,
}

impl Limit {
    fn failure(&self) -> Failure {
        Failure::TimedOut { function: self.name.clone(), limit_us: self.limit_us }
    }
}

/// Limits of what runs here. Few tasks have one, and few run at a time.
#[derive(Default)]
pub(crate) struct Limits(Vec<Limit>);

impl Limits {
    /// When the I/O thread is to look.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.0.iter().map(|limit| limit.due).min()
    }

    /// A task has ended.
    #[inline]
    pub(crate) fn end(&mut self, task: TaskId) {
        if !self.0.is_empty() {
            self.0.retain(|limit| limit.task != task);
        }
    }

    pub(crate) fn has_interrupted(&self, task: TaskId) -> bool {
        self.0.iter().any(|limit| limit.task == task && limit.interrupted)
    }
}

impl Client {
    /// The task that begins now may run this long.
    pub fn limit(&self, task: &Incoming, name: &str, options: &CallOptions) {
        let mut state = self.shared.lock();
        state.serving.limits.0.push(Limit {
            task: task.task(),
            header: task.header,
            name: name.to_owned(),
            limit_us: options.timeout_us,
            retries: options.retries_timeouts(),
            due: Instant::now() + Duration::from_micros(options.timeout_us),
            interrupted: false,
        });
        self.shared.bell.ring_io(); // it sleeps as long as it knew
    }

    /// Why a task was interrupted, if it was because it ran too long.
    pub fn timed_out(&self, task: TaskId) -> Option<Failure> {
        let state = self.shared.lock();
        state.serving.limits.0.iter().find(|limit| limit.task == task && limit.interrupted).map(Limit::failure)
    }

    /// This worker ends after what it runs now: it is to be given nothing more. To be said before that task's result is sent.
    pub fn announce_retirement(&self) {
        let mut state = self.shared.lock();
        let waits = state.process.expects_news();
        state.tell_scheduler(&ToScheduler::Retire { waits });
        self.shared.act(&mut state);
    }

    /// Waits until nothing this process submitted is under way, and everything it has to say is said: it may end then.
    pub fn retire(&self, interrupt: Interrupt<'_>) {
        while self.ended().is_none() {
            self.shared.wait_for_reply(None, interrupt, &mut |state| !state.process.expects_news());
            let mut state = self.shared.lock();
            if state.process.expects_news() {
                continue; // the wait was interrupted by what concerns nobody any more
            }
            state.process.flush_reports();
            state.tell_scheduler(&ToScheduler::Retire { waits: false });
            self.shared.act(&mut state);
            state.serving.drain_backlog();
            let sent = state.flush_scheduler();
            self.shared.flush_store(&mut state);
            if sent && !state.serving.has_backlog() {
                return;
            }
            drop(state);
            std::thread::sleep(FLUSH_PAUSE);
        }
    }
}

impl Shared {
    /// Does what is due about limits. Called by the I/O thread.
    pub(crate) fn look_after_limits(&self, state: &mut State) {
        let now = Instant::now();
        while let Some(at) = state.serving.limits.0.iter().position(|limit| limit.due <= now) {
            if state.serving.limits.0[at].interrupted {
                self.end_by_force(state, at);
            } else {
                self.interrupt(state, at, now);
            }
        }
    }

    fn interrupt(&self, state: &mut State, at: usize, now: Instant) {
        let limit = &mut state.serving.limits.0[at];
        limit.interrupted = true;
        limit.due = now + GRACE;
        let task = limit.task;
        state.process.cancel_children(task, false);
        self.act(state);
        if state.serving.manner == Manner::CallsAtOnce {
            state.serving.overdue.push_back(task);
            self.bell.ring_main();
            self.news.notify_all();
        } else if state.serving.running == Some(task) {
            // As for a cancel: the handler asks whether it is meant for what runs, and raises in the main thread.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::INT);
        }
    }

    /// The task did not let itself be interrupted: its result is said here, and this process is killed.
    fn end_by_force(&self, state: &mut State, at: usize) {
        let limit = state.serving.limits.0.swap_remove(at);
        let mut answer = Vec::new();
        write_failure(&mut answer, &limit.header, &limit.failure().into_value(), 0);
        record::mark_result(&mut answer, if limit.retries { flag::RETRY | flag::LAST } else { flag::LAST });
        state.serving.answer_once(limit.task, &answer);
        let ClientId(me) = self.identity.client;
        let reason = format!("{} did not end when its time limit was over", limit.name);
        state.tell_scheduler(&ToScheduler::KillWorker { worker: ClientId(me), reason });
        self.act(state);
    }
}
