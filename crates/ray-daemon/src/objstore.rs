//! The `objstore` daemon: carries frames and descriptors to [`ray_core::objstore::ObjectStore`] and performs what it decides.
//!
//! One thread and one epoll, which sleeps without a timeout when nothing is due. It decides nothing about objects; what it has to know by
//! itself is who is at the other end of a connection, and how much of this process a peer may use up:
//!
//! - Frames of at most 16 KiB before a peer said hello, [`MAX_FRAME_BYTES`](ray_protocol::MAX_FRAME_BYTES) after.
//! - Five seconds to say hello, and at most 256 peers that have not.
//! - 64 MiB of answers that a peer has not read, and 1024 descriptors among them.
//!
//! Whatever a peer does wrong closes its connection, with a line on standard error. Only the scheduler's connection is vital: the store
//! ends with it.
//!
//! Read [`server`] for the loop, [`links`] for connections, [`memory`] for segments.

mod links;
mod memory;
mod server;

use ray_io::{Connection, Listener, Signal};
use ray_protocol::NodeId;
use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, PidfdFlags, PidfdGetfdFlags, Resource, Rlimit};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs the daemon: `objstore --session DIR --node N --capacity-bytes N [--listen-fd N]`. Returns when the scheduler's connection ends.
pub fn run(arguments: impl Iterator<Item = String>) -> ExitCode {
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("objstore: {problem}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match serve(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("objstore {}: {error}", options.node);
            ExitCode::FAILURE
        }
    }
}

/// What the command line says.
#[derive(Debug, PartialEq)]
struct Options {
    /// The session directory, in which the sockets are.
    session: PathBuf,
    node: NodeId,
    capacity_bytes: u64,
    /// An inherited socket that listens already.
    listen_fd: Option<i32>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut session, mut node, mut capacity_bytes, mut listen_fd) = (None, None, None, None);
        while let Some(flag) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{flag} wants a value"))?;
            match flag.as_str() {
                "--session" => session = Some(PathBuf::from(value)),
                "--node" => node = Some(number(&flag, &value)?),
                "--capacity-bytes" => capacity_bytes = Some(number(&flag, &value)?),
                "--listen-fd" => listen_fd = Some(number(&flag, &value)?),
                _ => return Err(format!("unknown option {flag}")),
            }
        }
        Ok(Options {
            session: session.ok_or("--session is missing")?,
            node: NodeId(node.ok_or("--node is missing")?),
            capacity_bytes: capacity_bytes.ok_or("--capacity-bytes is missing")?,
            listen_fd,
        })
    }
}

fn number<N: std::str::FromStr>(flag: &str, value: &str) -> Result<N, String> {
    value.parse().map_err(|_| format!("{flag} wants a number, not {value:?}"))
}

fn serve(options: &Options) -> io::Result<()> {
    prepare_process()?;
    // First the socket, then the word to the scheduler, which then may send clients here.
    let listener = match options.listen_fd {
        Some(fd) => Listener::from_fd(inherited(fd)?)?,
        None => Listener::bind(&options.session.join(format!("objstore-{}.sock", options.node)))?,
    };
    let scheduler = Connection::connect(&options.session.join("scheduler.sock"))?;
    server::Server::new(options.node, options.capacity_bytes, listener, scheduler)?.run()
}

/// What this process is to the kernel and to other users.
fn prepare_process() -> io::Result<()> {
    ray_io::set_name("objstore")?;
    // Whoever started us is to take us along. If that happened before this line, the parent is another one by now.
    let parent = rustix::process::getppid();
    ray_io::set_parent_death_signal(Signal::KILL)?;
    if rustix::process::getppid() != parent {
        return Err(io::Error::other("the process that started it has ended"));
    }
    // Ctrl-C at the user's terminal is for the driver. Fails for the leader of a process group, which has been taken care of.
    let _ = rustix::process::setsid();
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    // No core dumps, no debugger of another process: object bytes are nobody's business.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // Each segment and each client is a descriptor; the usual soft limit of 1024 is for programs that use select.
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    Ok(())
}

/// A descriptor known by its number, taken the way one would take another process's: without a promise that nobody else uses it.
fn inherited(fd: i32) -> io::Result<OwnedFd> {
    let ourselves = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
    rustix::process::pidfd_getfd(ourselves, fd, PidfdGetfdFlags::empty())
        .map_err(|errno| io::Error::other(format!("--listen-fd {fd}: {errno}")))
}

const USAGE: &str = "usage: objstore --session DIR --node N --capacity-bytes N [--listen-fd N]";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(String::from))
    }

    #[test]
    fn options_are_read_and_mistakes_named() {
        let options = parse("--session /s --node 2 --capacity-bytes 100 --listen-fd 0").unwrap();
        assert_eq!(options, Options { session: "/s".into(), node: NodeId(2), capacity_bytes: 100, listen_fd: Some(0) });
        assert_eq!(parse("--session /s --node 2").unwrap_err(), "--capacity-bytes is missing");
        assert_eq!(parse("--node").unwrap_err(), "--node wants a value");
        assert_eq!(parse("--node -1").unwrap_err(), "--node wants a number, not \"-1\"");
        assert_eq!(parse("--nose 1").unwrap_err(), "unknown option --nose");
    }
}
