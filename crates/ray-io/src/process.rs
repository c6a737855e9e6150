//! Watching and ending processes that others may have started.
//!
//! A worker's task can start anything: a shell, its children, a daemon in a session of its own. All of
//! it must end with us. Descendants are found through /proc; the one that starts workers calls
//! [`set_subreaper`], so that orphans become its children instead of leaving the tree.
//!
//! A number is not a process: it may have been given away since. So a signal goes through a pidfd,
//! after checking that the process which has the number *while we hold the handle* is a descendant.
//! If the handle's process ended before the check, the signal goes nowhere.
//!
//! It must not know why somebody is to die.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, WaitOptions};

pub use rustix::process::Signal;

/// A handle of the process, readable for a poller once it has ended.
pub fn pidfd_of(pid: i32) -> io::Result<OwnedFd> {
    let pid = valid(pid)?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

/// The children of `root_pid`, theirs, and so on; parents before children, zombies included. A
/// snapshot of something that moves: only the absence of change makes it complete.
pub fn descendants(root_pid: i32) -> Vec<i32> {
    if root_pid < 1 {
        return Vec::new(); // 0 is the parent of the kernel's own threads, not a process
    }
    tree(root_pid, &HashSet::new(), &mut children_of).unwrap_or_else(|| scan(root_pid, &HashSet::new()))
}

/// Kills all descendants of `root_pid`, also those started meanwhile, until none is left or the time
/// is over. Spared are `root_pid`, the caller, and those in `except`, the latter two with everything
/// they started. Returns how many are left: zero is success.
///
/// Zombies are not left, and those of our own children met on the way are reaped, so a handle that
/// somebody waits on (`std::process::Child`) may find its child gone. Orphans stay in reach only if
/// `root_pid` is a subreaper.
///
/// Number 0 (which [`peer_pid`](crate::Connection::peer_pid) gives for a process outside our
/// namespace) and 1, unless that is the caller, stand above the whole machine: nothing is killed.
pub fn kill_descendants(root_pid: i32, except: &[i32], deadline: Duration) -> usize {
    let deadline = Instant::now().checked_add(deadline);
    let ourselves = std::process::id() as i32;
    if !may_be_root(root_pid, ourselves) {
        return 0;
    }
    let mut spared: HashSet<i32> = except.iter().copied().collect();
    if root_pid != ourselves {
        spared.insert(ourselves);
    }
    let mut pause = FIRST_PAUSE;
    loop {
        let mut found = living(tree(root_pid, &spared, &mut children_of).unwrap_or_default(), ourselves);
        if found.is_empty() {
            // The kernel's list of children may skip some while others end; this one does not.
            found = living(scan(root_pid, &spared), ourselves);
        }
        if found.is_empty() {
            return 0;
        }
        // All handles before the first signal: killing a parent cuts its children's way to the root.
        let handles: Vec<OwnedFd> = found
            .iter()
            .filter_map(|&pid| {
                let handle = pidfd_of(pid).ok()?;
                is_below(pid, root_pid).then_some(handle)
            })
            .collect();
        for handle in &handles {
            // Fails for those that ended, and those that became another user's: met again below.
            let _ = rustix::process::pidfd_send_signal(handle, Signal::KILL);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return living(scan(root_pid, &spared), ourselves).len();
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// Makes orphans below this process its children, wherever they were started.
pub fn set_subreaper() -> io::Result<()> {
    // Any number but zero switches it on.
    let ourselves = rustix::process::getpid();
    Ok(rustix::process::set_child_subreaper(Some(ourselves))?)
}

/// Has the kernel send `signal` to this process when the *thread* that started it ends. A second
/// line: it is forgotten over some execs and not sent if the parent has ended already, so compare
/// getppid afterwards and watch a socket to the parent as well.
pub fn set_parent_death_signal(signal: Signal) -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(signal))?)
}

/// Names the calling thread, and the process if it is its first: what `ps` and `top` show. The kernel
/// keeps 15 bytes.
pub fn set_name(name: &str) -> io::Result<()> {
    let name: Vec<u8> = name.bytes().take_while(|byte| *byte != 0).collect();
    let name = CString::new(name)?;
    Ok(rustix::thread::set_name(&name)?)
}

/// Whether killing everything below `root` can be meant. A container's first process may be the one
/// that asks; nobody else's is.
fn may_be_root(root: i32, ourselves: i32) -> bool {
    root > 1 || (root == 1 && ourselves == 1)
}

/// Walks down from `root`, around those spared. None if the kernel keeps no lists of children.
fn tree(root: i32, spared: &HashSet<i32>, children: &mut dyn FnMut(i32) -> Option<Vec<i32>>) -> Option<Vec<i32>> {
    let mut found = Vec::new();
    let mut seen = HashSet::from([root]);
    let mut next = 0;
    let mut parent = root;
    loop {
        // Numbers given away during the walk could make a circle.
        let new = |pid: &i32| !spared.contains(pid) && seen.insert(*pid);
        found.extend(children(parent)?.into_iter().filter(new));
        match found.get(next) {
            Some(pid) => parent = *pid,
            None => return Some(found),
        }
        next += 1;
    }
}

/// The same from one pass over all processes: slower, on every kernel.
fn scan(root: i32, spared: &HashSet<i32>) -> Vec<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some((pid, status)) = pid.and_then(|pid| Some((pid, Status::of(pid)?))) {
            children.entry(status.parent).or_default().push(pid);
        }
    }
    let mut children = |pid| Some(children.get(&pid).cloned().unwrap_or_default());
    tree(root, spared, &mut children).unwrap_or_default()
}

/// The children of each thread of a process. Empty for one that has ended.
fn children_of(pid: i32) -> Option<Vec<i32>> {
    let mut found = Vec::new();
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Some(found);
    };
    for thread in threads.flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(list) => found.extend(list.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok())),
            Err(_) if !thread.path().exists() => {} // the thread ended just now
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(_) => {}
        }
    }
    Some(found)
}

/// Leaves out those that have ended, reaping our own children among them.
fn living(mut pids: Vec<i32>, ourselves: i32) -> Vec<i32> {
    pids.retain(|&pid| match Status::of(pid) {
        None => false,
        Some(status) if status.is_zombie() => {
            if let Some(pid) = Pid::from_raw(pid).filter(|_| status.parent == ourselves) {
                let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
            }
            false
        }
        Some(_) => true,
    });
    pids
}

/// Whether going from parent to parent leads from `pid` to `root`.
fn is_below(pid: i32, root: i32) -> bool {
    let mut at = pid;
    for _ in 0..DEEPEST {
        match Status::of(at) {
            Some(status) if status.parent == root => return true,
            Some(status) if status.parent > 1 => at = status.parent,
            _ => return false,
        }
    }
    false
}

/// What /proc says of a process.
struct Status {
    state: u8,
    parent: i32,
}

impl Status {
    fn of(pid: i32) -> Option<Self> {
        Self::parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// `pid (name) state parent ...`, where the name may hold anything, parentheses too.
    fn parse(stat: &[u8]) -> Option<Self> {
        let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
        let mut fields = std::str::from_utf8(&stat[after_name..]).ok()?.split_ascii_whitespace();
        Some(Self { state: *fields.next()?.as_bytes().first()?, parent: fields.next()?.parse().ok()? })
    }

    fn is_zombie(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

fn valid(pid: i32) -> io::Result<Pid> {
    let pid = if pid > 0 { Pid::from_raw(pid) } else { None };
    pid.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// A killed process is usually gone within this.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// Often enough to outrun a fork in a loop, seldom enough to leave it no time lost to us.
const LAST_PAUSE: Duration = Duration::from_millis(10);
/// Generations from a process to its ancestor; more is a circle of reused numbers.
const DEEPEST: usize = 1000;

#[cfg(test)]
mod tests {
    use super::{Status, descendants, may_be_root};

    /// Asked of the check alone: a test that asked it of `kill_descendants` would, on the day it
    /// fails, take the machine with it.
    #[test]
    fn nothing_is_killed_below_the_whole_machine() {
        assert!(![0, -1, i32::MIN, 1].iter().any(|&root| may_be_root(root, 500)));
        assert!(may_be_root(1, 1) && may_be_root(2, 500) && may_be_root(500, 500));
        assert!(!may_be_root(0, 1));
        for nobody in [0, -1, i32::MAX] {
            assert_eq!(descendants(nobody), []);
        }
    }

    #[test]
    fn a_name_cannot_forge_its_status() {
        let status = Status::parse(b"12 (a) Z 1 (b) S 345 6 7\n").unwrap();
        assert_eq!((status.state, status.parent), (b'S', 345));
        for cut in [&b""[..], b"12 (a", b"12 (a)", b"12 (a) S", b"12 (a) S x"] {
            assert!(Status::parse(cut).is_none());
        }
    }
}
