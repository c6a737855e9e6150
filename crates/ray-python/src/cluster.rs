//! Starting a cluster on this machine: the session directory, the scheduler's socket, the scheduler.

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use ray_daemon::scheduler::{NodeStart, Start};
use ray_io::{Listener, SessionDir};
use ray_protocol::Resources;
use ray_protocol::value::RESOURCE_UNIT;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The cluster this process started. The directory's lock is held as long as it is here.
struct Running {
    scheduler: Child,
    session: Option<SessionDir>,
}

/// A node to start, as Python says it: amounts of resources by name, workers, bytes of its store.
type PyNode = (Vec<(String, f64)>, u32, u64);

static RUNNING: Mutex<Option<Running>> = Mutex::new(None);

/// Starts a scheduler, which starts everything else; returns the session directory. `nodes` are (resources, workers, store bytes);
/// `environment` are variables that everything which is started has besides ours; `place` is where the session directory goes, if not
/// where the environment says.
#[pyfunction]
pub(crate) fn start_cluster(
    py: Python<'_>,
    binaries: PathBuf,
    nodes: Vec<PyNode>,
    zygote: Vec<String>,
    fail_unschedulable: bool,
    environment: Vec<(String, String)>,
    place: Option<PathBuf>,
) -> PyResult<PathBuf> {
    if nodes.is_empty() {
        return Err(PyValueError::new_err("A cluster needs at least one node."));
    }
    let nodes = nodes.into_iter().map(|(resources, workers, store_bytes)| {
        let units = |amount: f64| (amount * RESOURCE_UNIT as f64).round().max(0.0) as u64;
        let resources = Resources::new(resources.into_iter().map(|(name, amount)| (name, units(amount))));
        NodeStart { resources, workers, store_bytes }
    });
    let start = Start {
        cluster: random()?,
        nodes: nodes.collect(),
        zygote,
        objstore: binaries.join("objstore").to_string_lossy().into_owned(),
        owner_pid: std::process::id() as i32,
        fail_unschedulable,
    };
    let running = py
        .detach(|| launch(&binaries.join("scheduler"), start, environment, place.as_deref()))
        .map_err(|error| PyRuntimeError::new_err(format!("The cluster could not be started: {error}")))?;
    let path = running.session.as_ref().map(|session| session.path().to_owned()).unwrap_or_default();
    *RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(running);
    Ok(path)
}

fn launch(scheduler: &Path, mut start: Start, environment: Vec<(String, String)>, place: Option<&Path>) -> io::Result<Running> {
    let session = place.map_or_else(SessionDir::create, SessionDir::create_below)?;
    // What earlier clusters of this user left behind when they were killed; nobody else's.
    let _ = ray_io::remove_stale(session.parent());
    let path = session.path().to_owned();
    start.zygote.push(path.to_string_lossy().into_owned());
    let listener = Listener::bind(&path.join("scheduler.sock"))?;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path.join("start"))?;
    io::Write::write_all(&mut file, &ray_protocol::control::encode(&start))?;
    // Its own process group: Ctrl-C in the terminal is for the driver, which then decides.
    let child = Command::new(scheduler)
        .arg("--session")
        .arg(&path)
        .envs(environment)
        .stdin(Stdio::from(listener.as_fd().try_clone_to_owned()?))
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", scheduler.display())))?;
    Ok(Running { scheduler: child, session: Some(session) })
}

pub(crate) fn random() -> PyResult<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| PyRuntimeError::new_err(format!("the system gives no random numbers: {error}")))?;
    // 0 means "of no cluster" in an id, 1 "of local mode", the largest "foreign".
    Ok(u64::from_le_bytes(bytes).clamp(2, u64::MAX - 1))
}

/// Waits for the scheduler this process started to be gone, kills it if it is not in time, and removes what a crash of it left.
#[pyfunction]
pub(crate) fn stop_cluster(py: Python<'_>, patience: f64) {
    let running = RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
    let Some(mut running) = running else { return };
    py.detach(|| {
        let until = Instant::now() + Duration::from_secs_f64(patience);
        loop {
            match running.scheduler.try_wait() {
                Ok(Some(_)) | Err(_) => break,
                Ok(None) if Instant::now() >= until => {
                    let _ = ray_io::kill_descendants(running.scheduler.id() as i32, &[], Duration::from_millis(500));
                    let _ = running.scheduler.kill();
                    let _ = running.scheduler.wait();
                    break;
                }
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        if let Some(session) = running.session.take() {
            let _ = session.remove();
        }
    });
}

/// In the child of a fork: the cluster belongs to the parent.
pub(crate) fn forget_after_fork() {
    if let Ok(mut running) = RUNNING.try_lock()
        && let Some(running) = running.take()
    {
        std::mem::forget(running);
    }
}
