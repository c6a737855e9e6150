//! How a thread waits: it looks itself, spins a little, then sleeps where a result will wake it.
//!
//! One waiting thread at a time is the watcher: it looks at the rings, spins, and sleeps on the main bell. The others sleep on a condition
//! and are told whenever something arrived; when the watcher is done, one of them takes over.

use crate::state::State;
use crate::{Client, Shared, serve};
use ray_protocol::control::ToScheduler;
use ray_protocol::{ObjectId, TaskId, Value};
use ray_shm::bell::{MAIN_SLEEPING, POLLING};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How a wait ended.
#[derive(Debug, Clone, PartialEq)]
pub enum WaitEnd {
    /// What was waited for is there.
    Ready,
    /// The deadline passed.
    TimedOut,
    /// The interrupt check said to stop.
    Interrupted,
    /// The cluster is over.
    Ended(String),
    /// The wait is part of a cycle, which the text shows.
    Deadlock(String),
}

/// Called now and then while a thread waits; true ends the wait (a signal handler raised).
pub type Interrupt<'a> = &'a mut dyn FnMut() -> bool;

/// No sleep is longer, so that a bell a broken peer drained costs at most this; and an idle process wakes once a second, no more.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// A thread that looks on says that it is blocked after this long: most such waits are over sooner.
const LONG_LOOK: Duration = Duration::from_millis(200);
/// Looks between two glances at the clock while spinning.
const LOOKS_PER_GLANCE: u32 = 32;

impl Client {
    /// Waits until `enough` of the objects have values (failures count). Returns which, at most `enough` of them and in order, and how
    /// the wait ended.
    pub fn wait_for_objects(
        &self,
        objects: &[ObjectId],
        enough: usize,
        deadline: Option<Instant>,
        interrupt: Interrupt<'_>,
    ) -> (Vec<usize>, WaitEnd) {
        self.ask_for(objects);
        let mut ready = Vec::new();
        let mut seen_arrivals = None;
        let end = self.shared.wait(deadline, true, Some((objects, enough)), interrupt, &mut |state| {
            // Looking at ten thousand objects costs something; it is done when one of them may have come, and only as far as needed.
            let arrivals = state.process.arrivals();
            if seen_arrivals != Some(arrivals) {
                seen_arrivals = Some(arrivals);
                ready.clear();
                ready.extend((0..objects.len()).filter(|at| state.is_ready(objects[*at])).take(enough));
            }
            ready.len() == enough
        });
        (ready, end)
    }

    /// Makes sure that news of objects whose values come from the scheduler will come.
    fn ask_for(&self, objects: &[ObjectId]) {
        let mut state = self.shared.lock();
        if state.process.are_all_at_home(objects) {
            return;
        }
        for &object in objects {
            state.process.ask_for(object);
        }
        self.shared.act(&mut state);
    }

    /// Waits until all of the objects have values, or one of them a failure; returns the values there are, in order.
    pub fn wait_for_all_or_failure(
        &self,
        objects: &[ObjectId],
        deadline: Option<Instant>,
        interrupt: Interrupt<'_>,
    ) -> Result<Vec<Value>, WaitEnd> {
        self.ask_for(objects);
        let mut values: Vec<Value> = Vec::with_capacity(objects.len());
        let mut seen_failures = None;
        let end = self.shared.wait(deadline, true, Some((objects, objects.len())), interrupt, &mut |state| {
            while let Some(&object) = objects.get(values.len()) {
                match state.value(object) {
                    Some(value) => values.push(value),
                    None => break,
                }
                if matches!(values.last(), Some(Value::Failed(_))) {
                    return true;
                }
            }
            // A failure behind one that takes long: to find it means looking at all, so only when there is a new one somewhere.
            let failures = state.process.failures();
            if seen_failures != Some(failures) {
                seen_failures = Some(failures);
                let failed = |object: &&ObjectId| state.has_failed(**object);
                if let Some(&object) = objects[values.len()..].iter().find(failed) {
                    values.extend(state.value(object));
                    return true;
                }
            }
            values.len() == objects.len()
        });
        match end {
            WaitEnd::Ready => Ok(values),
            other => Err(other),
        }
    }
}

impl Shared {
    /// Waits for an answer of the scheduler or the store.
    pub(crate) fn wait_for_reply(
        &self,
        deadline: Option<Instant>,
        interrupt: Interrupt<'_>,
        done: &mut dyn FnMut(&mut State) -> bool,
    ) -> WaitEnd {
        self.wait(deadline, false, None, interrupt, done)
    }

    /// See the module. `objects` are what a blocked task is said to wait for, and how many of them. `done` is asked again and again, also after it said yes.
    pub(crate) fn wait(
        &self,
        deadline: Option<Instant>,
        spin: bool,
        objects: Option<(&[ObjectId], usize)>,
        interrupt: Interrupt<'_>,
        done: &mut dyn FnMut(&mut State) -> bool,
    ) -> WaitEnd {
        let mut blocked = None;
        let mut may_spin = spin;
        let mut looked_on_since = None;
        let end = loop {
            let mut state = self.lock();
            self.pump(&mut state);
            if let Some(end) = self.over(&mut state, deadline, blocked, done) {
                break end;
            }
            if self.watched.swap(true, Ordering::Acquire) {
                let since = *looked_on_since.get_or_insert_with(Instant::now);
                if blocked.is_none() && since.elapsed() > LONG_LOOK {
                    blocked = self.announce_blocked(&mut state, objects);
                }
                self.look_on(state, deadline);
            } else {
                drop(state);
                let spun = core::mem::take(&mut may_spin) && self.spin_for_news(done);
                if !spun {
                    if blocked.is_none() {
                        blocked = self.announce_blocked(&mut self.lock(), objects);
                    }
                    self.sleep_for_news(deadline, done);
                }
                self.watched.store(false, Ordering::Release);
                if self.onlookers.load(Ordering::Relaxed) > 0 {
                    self.news.notify_all();
                }
            }
            if interrupt() {
                break WaitEnd::Interrupted;
            }
        };
        if blocked.is_some() {
            let mut state = self.lock();
            state.serving.blocked = false;
            state.deadlock.take_if(|(task, _)| Some(*task) == blocked);
            state.tell_scheduler(&ToScheduler::Unblocked { task: blocked });
            self.act(&mut state);
        }
        end
    }

    fn over(
        &self,
        state: &mut State,
        deadline: Option<Instant>,
        blocked: Option<TaskId>,
        done: &mut dyn FnMut(&mut State) -> bool,
    ) -> Option<WaitEnd> {
        if done(state) {
            return Some(WaitEnd::Ready);
        }
        if let Some(reason) = &state.ended {
            return Some(WaitEnd::Ended(reason.clone()));
        }
        if let Some((task, cycle)) = &state.deadlock
            && blocked == Some(*task)
        {
            return Some(WaitEnd::Deadlock(cycle.clone()));
        }
        deadline.is_some_and(|deadline| Instant::now() >= deadline).then_some(WaitEnd::TimedOut)
    }

    /// Another thread looks; this one sleeps until told.
    fn look_on(&self, state: MutexGuard<'_, State>, deadline: Option<Instant>) {
        self.onlookers.fetch_add(1, Ordering::Relaxed);
        let sleep = nap(deadline);
        drop(self.news.wait_timeout(state, sleep));
        self.onlookers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Looks at the rings in a loop for a moment, telling others that nobody needs to be woken. True when there was news.
    pub(crate) fn spin_for_news(&self, done: &mut dyn FnMut(&mut State) -> bool) -> bool {
        if self.spin.is_zero() {
            return false;
        }
        self.page.set(POLLING);
        let mut until = Instant::now() + self.spin;
        let mut found = false;
        'spin: loop {
            let mut news = false;
            for _ in 0..LOOKS_PER_GLANCE {
                let mut state = self.lock();
                // Looked at even if nothing was taken out: a worker's tasks stay in their rings, and the I/O thread may have been first.
                news |= self.pump(&mut state);
                if done(&mut state) {
                    found = true;
                    break 'spin;
                }
                drop(state);
                std::hint::spin_loop();
            }
            let now = Instant::now();
            if news {
                until = now + self.spin; // where there was news there is more: results of a chain come one by one
            } else if now >= until {
                break;
            }
            // Where the one we wait for has the same core, this is its turn; otherwise it costs next to nothing.
            rustix::thread::sched_yield();
        }
        self.page.clear(POLLING);
        found
    }

    /// Sleeps on the main bell.
    fn sleep_for_news(&self, deadline: Option<Instant>, done: &mut dyn FnMut(&mut State) -> bool) {
        self.page.set(MAIN_SLEEPING);
        let nothing_came = {
            let mut state = self.lock();
            // After the announcement everything is looked at once more, also what the I/O thread took in meanwhile.
            !self.pump(&mut state) && !done(&mut state) && state.ended.is_none() && state.deadlock.is_none()
        };
        if nothing_came {
            let nap = nap(deadline);
            let timeout = Timespec { tv_sec: nap.as_secs() as i64, tv_nsec: nap.subsec_nanos().into() };
            // Interrupted by a signal: the caller looks whether it matters.
            let _ = poll(&mut [PollFd::new(&self.bell.main_fd(), PollFlags::IN)], Some(&timeout));
        }
        self.page.clear(MAIN_SLEEPING);
        self.bell.drain_main();
    }

    /// A worker's task is about to sleep: its slot is free meanwhile, and what was pushed behind it goes back.
    fn announce_blocked(&self, state: &mut State, objects: Option<(&[ObjectId], usize)>) -> Option<TaskId> {
        /// Enough to find a cycle or to explain a wait; a wait for a million objects need not name them all.
        const NAMED: usize = 1000;
        let (objects, enough) = objects?;
        let alone = state.serving.running;
        let task = alone.or_else(serve::call_of_this_thread)?;
        state.serving.blocked = alone.is_some();
        self.give_back_unstarted(state);
        let missing: Vec<ObjectId> = objects.iter().copied().filter(|object| !state.is_ready(*object)).collect();
        // How many of those missing it needs; of those named, when there are too many to name them all.
        let needed = (missing.len() + enough).saturating_sub(objects.len());
        let named = missing.len().min(NAMED);
        let enough = needed.saturating_sub(missing.len() - named) as u32;
        state.process.flush_reports();
        self.act(state);
        state.tell_scheduler(&ToScheduler::Blocked { task: Some(task), objects: missing[..named].to_vec(), enough });
        self.act(state);
        Some(task)
    }

    /// Sleeps until there is a notice, or for the time given.
    pub(crate) fn notice_bell<'a>(&'a self, state: MutexGuard<'a, State>, patience: Duration) -> MutexGuard<'a, State> {
        match self.news.wait_timeout(state, patience) {
            Ok((state, _)) => state,
            Err(_) => panic!("a thread of this process panicked inside raio"),
        }
    }
}

fn nap(deadline: Option<Instant>) -> Duration {
    deadline.map_or(LONGEST_SLEEP, |deadline| deadline.saturating_duration_since(Instant::now()).min(LONGEST_SLEEP))
}
