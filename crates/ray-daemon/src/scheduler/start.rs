//! What the scheduler is started with, and what it does before it serves.

use ray_core::scheduler::{Config, NodeConfig};
use ray_io::Listener;
use ray_protocol::Resources;
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The cluster to start, written by the driver to `start` in the session directory (mode 0600) and removed once read: nothing of it is
/// seen in `ps`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Start {
    /// Random number of the cluster.
    pub cluster: u64,
    /// Its nodes on this machine.
    pub nodes: Vec<NodeStart>,
    /// Program and arguments of a zygote; the node's number is appended.
    pub zygote: Vec<String>,
    /// Path of the `objstore` program.
    pub objstore: String,
    /// Pid of the driver that owns the cluster.
    pub owner_pid: i32,
    /// Whether tasks no node can ever run fail.
    pub fail_unschedulable: bool,
}

/// One node to start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeStart {
    /// What tasks can hold there.
    pub resources: Resources,
    /// Workers kept ready.
    pub workers: u32,
    /// Budget of its store.
    pub store_bytes: u64,
}

/// Everything read and bound.
pub(super) struct Prepared {
    pub(super) start: Start,
    pub(super) session: PathBuf,
    pub(super) listener: Listener,
    /// Readable when SIGTERM or SIGINT came.
    pub(super) terminate: UnixStream,
    /// The driver that owns the cluster; readable when it has ended.
    pub(super) owner: OwnedFd,
}

impl Start {
    pub(super) fn core_config(&self, session: &Path) -> Config {
        let nodes = (0..).zip(&self.nodes).map(|(number, node)| NodeConfig {
            resources: node.resources.clone(),
            workers: node.workers,
            store_socket: session.join(format!("objstore-{number}.sock")).to_string_lossy().into_owned(),
        });
        Config { cluster: self.cluster, nodes: nodes.collect(), fail_unschedulable: self.fail_unschedulable }
    }
}

pub(super) fn prepare(mut arguments: impl Iterator<Item = String>) -> io::Result<Prepared> {
    let session = match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (Some("--session"), Some(session), None) => PathBuf::from(session),
        _ => return Err(io::Error::other("usage: scheduler --session DIR < listening-socket (started by raio, not by hand)")),
    };
    let _ = ray_io::set_name("scheduler");
    // Orphans of workers become our children, so that nothing a task started outlives the cluster.
    ray_io::set_subreaper()?;
    let file = session.join("start");
    let bytes =
        std::fs::read(&file).map_err(|error| io::Error::new(error.kind(), format!("cannot read {}: {error}", file.display())))?;
    std::fs::remove_file(&file)?;
    let start: Start =
        postcard::from_bytes(&bytes).map_err(|error| io::Error::other(format!("{} is damaged: {error}", file.display())))?;
    let listener = Listener::from_fd(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?)?;
    let (terminate, bell) = UnixStream::pair()?;
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::low_level::pipe::register(signal, bell.try_clone()?)?;
    }
    let owner = ray_io::pidfd_of(start.owner_pid)?;
    Ok(Prepared { start, session, listener, terminate, owner })
}
