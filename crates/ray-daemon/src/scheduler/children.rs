//! The processes below the scheduler: started here, and taken down here at the end.

use super::start::Prepared;
use ray_protocol::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The process tree's root, and who owns it.
pub(super) struct Children {
    session: PathBuf,
    owner_pid: Option<i32>,
    /// Pids of the object stores and zygotes that have not connected yet.
    stores: BTreeMap<NodeId, i32>,
    zygotes: BTreeMap<NodeId, i32>,
    /// Connections of drivers, who get the workers' output.
    drivers: BTreeSet<u64>,
}

/// Killed processes are gone within this, or the kernel holds them in a system call and nothing helps.
const KILL_WAIT: Duration = Duration::from_millis(900);

impl Children {
    /// Starts one object store and one zygote per node. Nobody waits for them: they connect when they are ready.
    pub(super) fn start(prepared: &Prepared) -> io::Result<Self> {
        let (mut stores, mut zygotes) = (BTreeMap::new(), BTreeMap::new());
        for (number, node) in (0..).zip(&prepared.start.nodes) {
            let mut store = Command::new(&prepared.start.objstore);
            store.arg("--session").arg(&prepared.session);
            store.args(["--node", &number.to_string(), "--capacity-bytes", &node.store_bytes.to_string()]);
            stores.insert(NodeId(number), spawn(store)?);
            let (program, arguments) = prepared.start.zygote.split_first().ok_or_else(|| io::Error::other("no zygote program"))?;
            let mut zygote = Command::new(program);
            zygote.args(arguments).arg(number.to_string());
            zygotes.insert(NodeId(number), spawn(zygote)?);
        }
        let owner_pid = Some(prepared.start.owner_pid);
        Ok(Children { session: prepared.session.clone(), owner_pid, stores, zygotes, drivers: BTreeSet::new() })
    }

    /// Whether this is the driver that owns the cluster, connecting for the first time.
    pub(super) fn take_owner(&mut self, pid: i32) -> bool {
        self.owner_pid.take_if(|owner| *owner == pid).is_some()
    }

    /// Whether this is the object store that was started for the node, connecting for the first time. Anybody else would take its place.
    pub(super) fn take_store(&mut self, node: NodeId, pid: i32) -> bool {
        take(&mut self.stores, node, pid)
    }

    /// The same of a zygote.
    pub(super) fn take_zygote(&mut self, node: NodeId, pid: i32) -> bool {
        take(&mut self.zygotes, node, pid)
    }

    pub(super) fn note_driver(&mut self, token: u64) {
        self.drivers.insert(token);
    }

    pub(super) fn is_driver(&self, token: u64) -> bool {
        self.drivers.contains(&token)
    }

    pub(super) fn forget_driver(&mut self, token: u64) {
        self.drivers.remove(&token);
    }

    /// Kills everything below, wherever it hid, and removes the session directory.
    pub(super) fn end(&self) {
        let left = ray_io::kill_descendants(std::process::id() as i32, &[], KILL_WAIT);
        if left > 0 {
            eprintln!("scheduler: {left} processes did not end within {KILL_WAIT:?}");
        }
        // Best effort: whoever starts the next cluster removes what a crash left.
        let _ = std::fs::remove_dir_all(&self.session);
    }
}

fn take(expected: &mut BTreeMap<NodeId, i32>, node: NodeId, pid: i32) -> bool {
    let is_it = expected.get(&node) == Some(&pid);
    if is_it {
        expected.remove(&node);
    }
    is_it
}

fn spawn(mut command: Command) -> io::Result<i32> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null());
    let child = command.spawn().map_err(|error| io::Error::new(error.kind(), format!("cannot start {program}: {error}")))?;
    Ok(child.id() as i32)
}
