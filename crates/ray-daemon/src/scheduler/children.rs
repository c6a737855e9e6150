//! The processes below the scheduler: started here, and taken down here at the end.

use super::start::Prepared;
use ray_protocol::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The process tree's root, and who owns it.
pub(super) struct Children {
    session: PathBuf,
    owner_pid: Option<i32>,
    /// Those that have not connected yet, by the token their end is watched under. Once connected, the connection's end tells it.
    newcomers: BTreeMap<u64, Newcomer>,
    /// Connections of drivers, who get the workers' output.
    drivers: BTreeSet<u64>,
}

/// What a node consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Store,
    Zygote,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Part::Store => "its object store (objstore)",
            Part::Zygote => "the process that starts its workers",
        })
    }
}

struct Newcomer {
    part: Part,
    node: NodeId,
    pid: i32,
    pidfd: OwnedFd,
}

/// Tokens of newcomers have this bit.
const NEWCOMER_BIT: u64 = 1 << 62;

pub(super) fn is_newcomer(token: u64) -> bool {
    token & NEWCOMER_BIT != 0
}

/// Killed processes are gone within this, or the kernel holds them in a system call and nothing helps.
const KILL_WAIT: Duration = Duration::from_millis(900);

impl Children {
    /// Starts one object store and one zygote per node. Nobody waits for them: they connect when they are ready.
    pub(super) fn start(prepared: &Prepared) -> io::Result<Self> {
        let mut newcomers = BTreeMap::new();
        let mut start = |part, node, command| -> io::Result<()> {
            let pid = spawn(command)?;
            let token = NEWCOMER_BIT | newcomers.len() as u64;
            newcomers.insert(token, Newcomer { part, node, pid, pidfd: ray_io::pidfd_of(pid)? });
            Ok(())
        };
        for (number, node) in (0..).zip(&prepared.start.nodes) {
            let mut store = Command::new(&prepared.start.objstore);
            store.arg("--session").arg(&prepared.session);
            store.args(["--node", &number.to_string(), "--capacity-bytes", &node.store_bytes.to_string()]);
            start(Part::Store, NodeId(number), store)?;
            let (program, arguments) = prepared.start.zygote.split_first().ok_or_else(|| io::Error::other("no zygote program"))?;
            let mut zygote = Command::new(program);
            zygote.args(arguments).arg(number.to_string());
            start(Part::Zygote, NodeId(number), zygote)?;
        }
        let owner_pid = Some(prepared.start.owner_pid);
        Ok(Children { session: prepared.session.clone(), owner_pid, newcomers, drivers: BTreeSet::new() })
    }

    /// Whether this is the driver that owns the cluster, connecting for the first time.
    pub(super) fn take_owner(&mut self, pid: i32) -> bool {
        self.owner_pid.take_if(|owner| *owner == pid).is_some()
    }

    /// Whether this is the process that was started as this part of the node, connecting for the first time. Anybody else would take its
    /// place.
    pub(super) fn take(&mut self, part: Part, node: NodeId, pid: i32) -> bool {
        let is_it = |newcomer: &Newcomer| (newcomer.part, newcomer.node, newcomer.pid) == (part, node, pid);
        match self.newcomers.iter().find(|(_, newcomer)| is_it(newcomer)).map(|(token, _)| *token) {
            Some(token) => self.newcomers.remove(&token).is_some(), // closing the handle ends the watch
            None => false,
        }
    }

    /// What to watch: readable when a process has ended before it connected.
    pub(super) fn watched(&self) -> impl Iterator<Item = (u64, BorrowedFd<'_>)> {
        self.newcomers.iter().map(|(token, newcomer)| (*token, newcomer.pidfd.as_fd()))
    }

    /// A process has ended before it connected: the node it was to be part of, and what it was.
    pub(super) fn ended(&mut self, token: u64) -> Option<(NodeId, Part)> {
        self.newcomers.remove(&token).map(|newcomer| (newcomer.node, newcomer.part))
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

fn spawn(mut command: Command) -> io::Result<i32> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null());
    let child = command.spawn().map_err(|error| io::Error::new(error.kind(), format!("cannot start {program}: {error}")))?;
    Ok(child.id() as i32)
}
