//! The native half of the zygote: it hears from the scheduler which workers to fork, watches those there are, kills what it is told to,
//! and reports how each ended. Python does the forking itself, because the interpreter must be forked by its own hand.

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use ray_io::{Connection, Interest, Poller, ReadStatus, Signal};
use ray_protocol::control::{self, FromZygote, Hello, Role, ToZygote};
use ray_protocol::{MAX_FRAME_BYTES, NodeId, PROTOCOL_VERSION};
use rustix::process::{Pid, WaitId, WaitIdOptions, kill_process, waitid};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

const SCHEDULER: u64 = 0;
/// What a killed worker left behind is gone within this.
const STRAY_WAIT: Duration = Duration::from_millis(200);

/// See the module.
#[pyclass(unsendable, module = "ray._core")]
pub(crate) struct Zygote {
    connection: Connection,
    poller: Poller,
    /// Workers by the number they were asked for under.
    workers: BTreeMap<u64, Child>,
    /// Requests that arrived together.
    waiting: VecDeque<Spawn>,
}

/// A worker to fork: its number, and environment variables on top of ours.
type Spawn = (u64, Vec<(String, String)>);

struct Child {
    pid: i32,
    pidfd: OwnedFd,
}

#[pymethods]
impl Zygote {
    /// Connects to the scheduler of a session, as the zygote of a node.
    #[new]
    fn new(session: PathBuf, node: u32) -> PyResult<Self> {
        // Orphans of workers come here and are found; and whoever kills the scheduler kills us, so that we can take the workers along.
        ray_io::set_subreaper()?;
        ray_io::set_parent_death_signal(Signal::TERM)?;
        let _ = ray_io::set_name("python");
        let mut connection = Connection::connect(&session.join("scheduler.sock"))?;
        connection.set_limit(MAX_FRAME_BYTES);
        let role = Role::Zygote { node: NodeId(node) };
        let hello = Hello { version: PROTOCOL_VERSION, pid: std::process::id() as i32, role };
        send(&mut connection, &hello, Vec::new())?;
        let poller = Poller::new()?;
        poller.add(connection.as_fd(), SCHEDULER, Interest::READ)?;
        Ok(Zygote { connection, poller, workers: BTreeMap::new(), waiting: VecDeque::new() })
    }

    /// The next worker to fork: (number, environment). None when the scheduler is gone and every worker has been killed.
    fn next_spawn(&mut self, py: Python<'_>) -> PyResult<Option<Spawn>> {
        let mut events = Vec::new();
        loop {
            if let Some(request) = self.waiting.pop_front() {
                return Ok(Some(request));
            }
            py.check_signals()?;
            self.poller.wait(&mut events, None)?;
            for event in events.drain(..) {
                if event.token == SCHEDULER {
                    if !self.read_scheduler()? {
                        self.kill_all();
                        return Ok(None);
                    }
                } else {
                    self.reap(event.token)?;
                }
            }
        }
    }

    /// Kills every worker and everything they started.
    fn kill_all(&self) {
        ray_io::kill_descendants(std::process::id() as i32, &[], Duration::from_millis(500));
    }

    /// Tells the scheduler of a worker just forked, and hands it the read ends of its output.
    fn spawned(&mut self, spawn: u64, pid: i32, stdout: i32, stderr: i32) -> PyResult<()> {
        let pipes = vec![ray_shm::sys::take_fd(stdout)?, ray_shm::sys::take_fd(stderr)?];
        let pidfd = ray_io::pidfd_of(pid)?;
        self.poller.add(pidfd.as_fd(), spawn, Interest::READ)?;
        self.workers.insert(spawn, Child { pid, pidfd });
        send(&mut self.connection, &FromZygote::Spawned { spawn, pid }, pipes)?;
        Ok(())
    }

    /// Tells the scheduler that a worker could not be forked; what there is to say of it is in the pipes.
    fn not_spawned(&mut self, spawn: u64, stdout: i32, stderr: i32) -> PyResult<()> {
        let pipes = vec![ray_shm::sys::take_fd(stdout)?, ray_shm::sys::take_fd(stderr)?];
        send(&mut self.connection, &FromZygote::Spawned { spawn, pid: 0 }, pipes)?;
        send(&mut self.connection, &FromZygote::Exited { spawn, code: Some(1), signal: None }, Vec::new())?;
        Ok(())
    }
}

impl Zygote {
    /// Takes what the scheduler said; false when it is gone.
    fn read_scheduler(&mut self) -> PyResult<bool> {
        let status = self.connection.receive();
        while let Ok(Some(frame)) = self.connection.next_frame() {
            match control::decode(&frame.payload) {
                Ok(ToZygote::Spawn { spawn, environment }) => self.waiting.push_back((spawn, environment)),
                Ok(ToZygote::Kill { spawn }) => self.kill(spawn),
                Err(error) => return Err(PyOSError::new_err(error.to_string())),
            }
        }
        Ok(matches!(status, Ok(ReadStatus::Open)))
    }

    /// Kills a worker and everything it started. The worker first: what it started is ours then, and cannot be added to any more.
    fn kill(&self, spawn: u64) {
        if let Some(child) = self.workers.get(&spawn) {
            let family = ray_io::descendants(child.pid);
            let _ = rustix::process::pidfd_send_signal(&child.pidfd, Signal::KILL);
            for pid in family.into_iter().filter_map(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }

    /// A worker has ended: its status, and the end of whatever it left running.
    fn reap(&mut self, spawn: u64) -> PyResult<()> {
        let Some(child) = self.workers.get(&spawn) else { return Ok(()) };
        let status = match waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(Some(status)) => Some(status),
            Ok(None) => return Ok(()),
            Err(_) => None, // reaped by somebody else; it is gone all the same
        };
        let child = self.workers.remove(&spawn).expect("just seen");
        let _ = self.poller.remove(child.pidfd.as_fd());
        let code = status.as_ref().and_then(|status| status.exit_status());
        let signal = status.as_ref().and_then(|status| status.terminating_signal());
        send(&mut self.connection, &FromZygote::Exited { spawn, code, signal }, Vec::new())?;
        self.kill_strays();
        Ok(())
    }

    /// What dead workers had started has become ours: nobody needs it any more.
    fn kill_strays(&self) {
        let workers: Vec<i32> = self.workers.values().map(|child| child.pid).collect();
        let spared: std::collections::BTreeSet<i32> =
            workers.iter().flat_map(|pid| ray_io::descendants(*pid)).chain(workers.iter().copied()).collect();
        let everyone = ray_io::descendants(std::process::id() as i32);
        if everyone.iter().any(|pid| !spared.contains(pid)) {
            ray_io::kill_descendants(std::process::id() as i32, &workers, STRAY_WAIT);
        }
    }
}

fn send(connection: &mut Connection, message: &impl serde::Serialize, fds: Vec<OwnedFd>) -> io::Result<()> {
    connection.send_blocking(&control::encode(message), fds).map_err(io::Error::other)
}
