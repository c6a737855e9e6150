//! What workers write to standard output and error: read from their pipes, passed to the drivers in whole lines, the end of each worker's
//! standard error kept to be told when it dies.
//!
//! A worker that floods its output is slowed by its pipe. A driver that does not keep up loses lines, and is told how many bytes.

use ray_protocol::control::FromScheduler;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Tokens of log pipes have this bit.
const LOG_BIT: u64 = 1 << 63;
/// Read at most this much from one pipe per round.
const READ_BYTES: usize = 64 << 10;
/// Kept of each worker's standard error.
const TAIL_BYTES: usize = 4 << 10;
/// A line longer than this is passed on in pieces.
const LONGEST_LINE: usize = 256 << 10;
/// Output waiting for one driver beyond which more is dropped.
const DRIVER_BACKLOG_BYTES: usize = 8 << 20;

pub(super) fn is_log(token: u64) -> bool {
    token & LOG_BIT != 0
}

/// All pipes.
#[derive(Default)]
pub(super) struct Logs {
    pipes: BTreeMap<u64, Pipe>,
    pids: BTreeMap<u64, i32>,
    tails: BTreeMap<u64, Vec<u8>>,
    /// Bytes each driver missed since it was last told.
    dropped: BTreeMap<u64, u64>,
}

struct Pipe {
    file: OwnedFd,
    spawn: u64,
    pid: i32,
    stderr: bool,
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
}

/// Text without the marks that tell the driver whose output it is.
fn without_marks(text: &str) -> String {
    text.split('\u{2}')
        .enumerate()
        .map(|(at, part)| if at == 0 { part } else { part.split_once('\u{3}').map_or(part, |(_, rest)| rest) })
        .collect()
}

/// Whole lines of one worker.
pub(super) struct Lines {
    pid: i32,
    stderr: bool,
    text: String,
}

impl Logs {
    /// Takes over a new worker's pipes (output, error); returns what to watch.
    pub(super) fn adopt(&mut self, spawn: u64, pid: i32, fds: Vec<OwnedFd>) -> Vec<(u64, BorrowedFd<'_>)> {
        self.pids.insert(spawn, pid);
        let mut tokens = Vec::new();
        for (stderr, file) in [false, true].into_iter().zip(fds) {
            let _ = rustix::io::ioctl_fionbio(&file, true);
            let token = LOG_BIT | spawn << 1 | u64::from(stderr);
            self.pipes.insert(token, Pipe { file, spawn, pid, stderr, partial: Vec::new() });
            tokens.push(token);
        }
        tokens.into_iter().map(|token| (token, self.pipes[&token].file.as_fd())).collect()
    }

    pub(super) fn tokens(&self, spawn: u64) -> Vec<u64> {
        self.pipes.iter().filter(|(_, pipe)| pipe.spawn == spawn).map(|(token, _)| *token).collect()
    }

    pub(super) fn all_tokens(&self) -> Vec<u64> {
        self.pipes.keys().copied().collect()
    }

    /// Reads what a pipe has; whole lines, or None when there are none. With the `last` look at it, also a line that was begun.
    pub(super) fn read(&mut self, token: u64, last: bool) -> Option<Lines> {
        let pipe = self.pipes.get_mut(&token)?;
        let mut buffer = [0; READ_BYTES];
        let ended = match rustix::io::read(&pipe.file, &mut buffer) {
            Ok(0) => true,
            Ok(count) => {
                pipe.partial.extend_from_slice(&buffer[..count]);
                false
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => false,
            Err(_) => true,
        };
        let whole = match pipe.partial.iter().rposition(|byte| *byte == b'\n') {
            _ if ended || last || pipe.partial.len() > LONGEST_LINE => pipe.partial.len(),
            Some(at) => at + 1,
            None => 0,
        };
        let text: Vec<u8> = pipe.partial.drain(..whole).collect();
        let (pid, stderr, spawn) = (pipe.pid, pipe.stderr, pipe.spawn);
        if ended {
            self.pipes.remove(&token); // closing it ends the watch
        }
        if text.is_empty() {
            return None;
        }
        if stderr {
            let tail = self.tails.entry(spawn).or_default();
            tail.extend_from_slice(&text);
            let excess = tail.len().saturating_sub(TAIL_BYTES);
            tail.drain(..excess);
        }
        Some(Lines { pid, stderr, text: String::from_utf8_lossy(&text).into_owned() })
    }

    /// A worker has ended: its pid and the end of its standard error.
    pub(super) fn last_words(&mut self, spawn: u64) -> (i32, String) {
        let tail = self.tails.remove(&spawn).unwrap_or_default();
        let pid = self.pids.remove(&spawn).unwrap_or(0);
        (pid, without_marks(&String::from_utf8_lossy(&tail)))
    }

    /// The message that brings lines to a driver, unless it is too far behind.
    pub(super) fn message_for(&mut self, driver: u64, lines: &Lines, queued_bytes: usize) -> Option<FromScheduler> {
        if queued_bytes > DRIVER_BACKLOG_BYTES {
            *self.dropped.entry(driver).or_default() += lines.text.len() as u64;
            return None;
        }
        let dropped_bytes = self.dropped.remove(&driver).unwrap_or(0);
        Some(FromScheduler::Log { pid: lines.pid, stderr: lines.stderr, text: lines.text.clone(), dropped_bytes })
    }
}
