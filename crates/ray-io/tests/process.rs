//! Ending whole trees of processes. A program of its own, with one test at a time: as a subreaper it
//! is the root of the trees, and would kill the children of tests beside it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ray_io::{Interest, Poller};

const LONG: Duration = Duration::from_secs(20);

fn ourselves() -> i32 {
    std::process::id() as i32
}

/// Starts a shell script and waits for its first line, which it writes when its children run.
fn shell(script: &str) -> Child {
    let mut command = Command::new("sh");
    let mut child = command.args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    child
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn exists(pid: i32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn trees_end_whole() {
    // Below another process, including one in a session of its own.
    let mut child = shell("sleep 100 & setsid sleep 100 & echo; wait; exit 3");
    let root = child.id() as i32;
    wait_until("two children", || ray_io::descendants(root).len() == 2);
    let below = ray_io::descendants(root);
    assert_eq!(ray_io::kill_descendants(root, &[], LONG), 0);
    assert_eq!(child.wait().unwrap().code(), Some(3), "the root itself is spared");
    wait_until("both gone", || !below.iter().any(|pid| exists(*pid)));

    // Below ourselves, with orphans: they come to us, and are reaped.
    ray_io::set_subreaper().unwrap();
    let mut parent = shell("(setsid sh -c 'sleep 100 & sleep 100' >&2 &) ; echo");
    parent.wait().unwrap();
    wait_until("three orphans", || ray_io::descendants(ourselves()).len() == 3);
    let orphans = ray_io::descendants(ourselves());
    assert_eq!(ray_io::kill_descendants(ourselves(), &[], LONG), 0);
    assert!(!orphans.iter().any(|pid| exists(*pid)), "reaped, not only dead");

    // A tree that grows while it is cut down.
    let mut forker = shell("echo; while :; do (sleep 100 & sleep 100 &) ; done 2>/dev/null");
    assert_eq!(ray_io::kill_descendants(ourselves(), &[], LONG), 0);
    assert_eq!(ray_io::descendants(ourselves()), []);
    assert!(forker.wait().is_err(), "the one reaped above is gone for its handle");

    // Spared with all it started; a zombie is neither left nor in the way.
    let mut spared = shell("sleep 100 & echo; wait");
    let mut other = shell("sleep 100 & echo; wait");
    let mut zombie = Command::new("true").spawn().unwrap();
    wait_until("four and one", || ray_io::descendants(ourselves()).len() == 5);
    assert_eq!(ray_io::kill_descendants(ourselves(), &[spared.id() as i32], LONG), 0);
    assert!(!exists(other.id() as i32) && !exists(zombie.id() as i32));
    assert!(other.wait().is_err() && zombie.wait().is_err());
    assert_eq!(ray_io::descendants(ourselves()).len(), 2);

    // A handle tells of the end.
    let handle = ray_io::pidfd_of(spared.id() as i32).unwrap();
    let poller = Poller::new().unwrap();
    poller.add(std::os::fd::AsFd::as_fd(&handle), 5, Interest::READ).unwrap();
    spared.kill().unwrap();
    let mut events = Vec::new();
    poller.wait(&mut events, Some(LONG)).unwrap();
    assert_eq!(events[0].token, 5);
    spared.wait().unwrap();
    assert_eq!(ray_io::kill_descendants(ourselves(), &[], LONG), 0);
    for nobody in [0, -1, i32::MAX] {
        assert!(ray_io::pidfd_of(nobody).is_err());
    }

    // Names and death signals are the kernel's business; ours is that they reach it.
    ray_io::set_name("ray-test-with-a-long-name").unwrap();
    let name = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
    assert_eq!(name.trim_end(), "ray-test-with-a");
    ray_io::set_parent_death_signal(ray_io::Signal::WINCH).unwrap(); // ignored by default
}
