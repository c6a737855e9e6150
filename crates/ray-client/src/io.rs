//! The I/O thread: sockets, timers, and whatever arrives while no user thread waits.
//!
//! Results that arrive in a stream do not wake it one by one: after it has found something it looks again every [`MODERATION`] without
//! asking to be woken, until it finds nothing.

use crate::Shared;
use crate::channel::Channel;
use crate::state::{LAZY, State};
use ray_io::{Interest, Poller};
use ray_shm::bell::{IO_SLEEPING, MAIN_SLEEPING};
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

const BELL: u64 = 0;
const SCHEDULER: u64 = 1;
const STORE: u64 = 2;

/// Pause between two looks while results stream in.
const MODERATION: Duration = Duration::from_micros(100);
/// No sleep is longer, so that a bell a broken peer drained costs at most this.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// Graph news is sent at least this often while there is some; a look at the graph asks for the rest.
const REPORT_PAUSE: Duration = Duration::from_millis(500);
/// How often records that found no room in a ring are tried again.
const BACKLOG_RETRY: Duration = Duration::from_millis(1);

/// Starts the thread. It ends when the last [`Client`](crate::Client) is gone or the cluster is over.
pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<()> {
    let poller = Poller::new()?;
    poller.add(shared.bell.io_fd(), BELL, Interest::READ)?;
    poller.add(shared.lock().scheduler.as_fd(), SCHEDULER, Interest::READ)?;
    let weak = Arc::downgrade(shared);
    std::thread::Builder::new().name(String::from("ray-io")).spawn(move || run(&weak, &poller))?;
    Ok(())
}

fn run(weak: &Weak<Shared>, poller: &Poller) {
    let mut events = Vec::new();
    let mut watched = Watched::default();
    let mut reported = Instant::now();
    let mut streaming = false;
    // What followed the welcome may be in the connection's buffer already, and no socket will become readable for it.
    if let Some(shared) = weak.upgrade() {
        let mut state = shared.lock();
        shared.read_scheduler(&mut state);
        shared.act(&mut state);
        drop(state);
        // The main thread may have gone to sleep before this was read.
        shared.wake_waiting();
    }
    loop {
        // Held only while awake: a sleeping thread must not keep a process in a cluster that all its users have left.
        let Some(shared) = weak.upgrade() else { return };
        let patience = if streaming {
            MODERATION
        } else {
            shared.page.set(IO_SLEEPING);
            let mut state = shared.lock();
            if shared.pump(&mut state) { Duration::ZERO } else { patience(&shared, &mut state) }
        };
        // An error of epoll itself would repeat for ever; the pause bounds what that costs.
        if poller.wait(&mut events, Some(patience)).is_err() {
            std::thread::sleep(LAZY);
        }
        shared.page.clear(IO_SLEEPING);
        let mut state = shared.lock();
        if state.stop {
            return;
        }
        let mut news = false;
        for event in events.drain(..) {
            match event.token {
                BELL => {
                    shared.bell.drain_io();
                }
                SCHEDULER => {
                    shared.read_scheduler(&mut state);
                    news = true;
                }
                _ => {
                    shared.read_store(&mut state);
                    news = true;
                }
            }
        }
        news |= shared.serve_signals(&mut state);
        shared.look_after_limits(&mut state);
        streaming = shared.pump(&mut state);
        news |= streaming;
        state.process.tick(shared.now());
        if reported.elapsed() >= REPORT_PAUSE {
            reported = Instant::now();
            state.process.flush_reports();
        }
        shared.act(&mut state);
        send_lazy(&shared, &mut state);
        watched.update(poller, &mut state);
        let over = state.connection_closed;
        if over {
            cluster_over(&state);
        }
        drop(state);
        if news || over {
            shared.wake_waiting();
        }
        if over {
            return;
        }
    }
}

/// How long nothing needs to be done if nothing arrives.
fn patience(shared: &Shared, state: &mut State) -> Duration {
    let now = shared.now();
    let due = state.process.next_timeout().map(|due| due.since(now));
    state.io_has_timer = due.is_some();
    let lazy = (state.lazy_since.is_some() || state.segments.has_lazy()).then_some(LAZY);
    let backlogged = state.submit.values().any(Channel::has_backlog) || state.serving.has_backlog();
    state.io_retries = backlogged;
    let backlog = backlogged.then_some(BACKLOG_RETRY);
    let limit = state.serving.limits.due().map(|due| due.saturating_duration_since(Instant::now()));
    due.into_iter().chain(limit).chain(lazy).chain(backlog).min().unwrap_or(LONGEST_SLEEP)
}

/// Sends what had time to gather.
fn send_lazy(shared: &Shared, state: &mut State) {
    let ripe = state.lazy_since.is_some_and(|since| since.elapsed() >= LAZY);
    if ripe || state.scheduler.wants_write() && state.lazy_since.is_none() {
        state.flush_scheduler();
    }
    shared.flush_store(state);
    if state.lazy_since.is_none() {
        state.segments.io_knows = false;
    }
}

/// What the poller watches just now, to change only what changed.
#[derive(Default)]
struct Watched {
    scheduler_blocked: bool,
    store: bool,
    store_blocked: bool,
}

impl Watched {
    fn update(&mut self, poller: &Poller, state: &mut State) {
        let wants = state.scheduler.wants_write() && state.lazy_since.is_none();
        if wants != self.scheduler_blocked {
            self.scheduler_blocked = wants;
            let _ = poller.modify(state.scheduler.as_fd(), SCHEDULER, interest(wants));
        }
        let Some(store) = state.segments.connection() else { return };
        if !self.store {
            self.store = true;
            let _ = poller.add(store.as_fd(), STORE, Interest::READ);
        }
        let wants = store.wants_write();
        if wants != self.store_blocked {
            self.store_blocked = wants;
            let _ = poller.modify(store.as_fd(), STORE, interest(wants));
        }
    }
}

fn interest(wants_write: bool) -> Interest {
    if wants_write { Interest::BOTH } else { Interest::READ }
}

/// The scheduler is gone: a worker has no reason to live.
fn cluster_over(state: &State) {
    if state.is_worker && !state.stop {
        // What tasks started goes with us: the scheduler that would have killed it may have been killed itself.
        ray_io::kill_descendants(std::process::id() as i32, &[], Duration::from_millis(300));
        std::process::exit(0);
    }
}

impl Shared {
    /// Wakes threads that wait for something other than a ring: the I/O thread has read sockets.
    fn wake_waiting(&self) {
        if self.page.state() & MAIN_SLEEPING != 0 {
            self.bell.ring_main();
        }
        self.news.notify_all();
    }
}
