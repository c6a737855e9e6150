//! Waits for descriptors to become ready: epoll, level-triggered, and a waker for other threads.
//!
//! Keeps no timers: the loop that owns it knows its next deadline and passes it to
//! [`Poller::wait`]. What a token stands for is the caller's business.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, Timespec, epoll};
use rustix::io::Errno;

/// A set of descriptors to wait for.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
}

/// What to wait for. With neither, only a hang-up is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// Bytes, a connection or the end can be read.
    pub readable: bool,
    /// Bytes can be written.
    pub writable: bool,
}

impl Interest {
    /// Reading only.
    pub const READ: Self = Self { readable: true, writable: false };
    /// Reading and writing.
    pub const BOTH: Self = Self { readable: true, writable: true };
}

/// A descriptor that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// As given to [`Poller::add`].
    pub token: u64,
    /// Reading will not wait.
    pub readable: bool,
    /// Writing will not wait.
    pub writable: bool,
    /// The other side is gone or the descriptor is broken. Bytes may still be there to read.
    pub hangup: bool,
}

impl Poller {
    /// An empty set.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll })
    }

    /// Starts to wait for `fd`, which must be removed before it is closed: a copy of it in another
    /// process would keep it in the set.
    pub fn add(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        let data = epoll::EventData::new_u64(token);
        Ok(epoll::add(&self.epoll, fd, data, flags(interest))?)
    }

    /// Changes what is waited for.
    pub fn modify(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        let data = epoll::EventData::new_u64(token);
        Ok(epoll::modify(&self.epoll, fd, data, flags(interest))?)
    }

    /// Stops to wait for `fd`.
    pub fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    /// Replaces `events` by what is ready, waiting for the first until the timeout; for ever without
    /// one. A signal ends the wait with no events.
    pub fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        let timeout = timeout.map(|timeout| Timespec {
            // Years are as good as for ever, and older kernels count milliseconds in an i32.
            tv_sec: timeout.as_secs().min(LONGEST_WAIT_S) as i64,
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let mut memory = [MaybeUninit::uninit(); EVENTS_AT_ONCE];
        match epoll::wait(&self.epoll, &mut memory[..], timeout.as_ref()) {
            Ok((ready, _)) => events.extend(ready.iter().map(event)),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

/// Makes a [`Poller`] return from another thread. Add it to the set, and drain it when readable.
#[derive(Debug)]
pub struct Waker {
    eventfd: OwnedFd,
}

impl Waker {
    /// A waker that has not been called.
    pub fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let eventfd = rustix::event::eventfd(0, flags)?;
        Ok(Self { eventfd })
    }

    /// Makes it readable. Calls before the next drain count as one.
    pub fn wake(&self) {
        // Fails only when 2^64 calls are pending: then it is readable already.
        let _ = rustix::io::write(&self.eventfd, &1u64.to_ne_bytes());
    }

    /// Makes it unreadable until the next call of [`wake`](Self::wake). Drain first, then look for
    /// work: the other order loses a call made in between.
    pub fn drain(&self) {
        let mut count = [0; 8];
        // Fails only when there was no call: nothing to drain.
        let _ = rustix::io::read(&self.eventfd, &mut count);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}

fn flags(interest: Interest) -> epoll::EventFlags {
    let mut flags = epoll::EventFlags::empty();
    if interest.readable {
        flags |= epoll::EventFlags::IN | epoll::EventFlags::RDHUP;
    }
    if interest.writable {
        flags |= epoll::EventFlags::OUT;
    }
    flags
}

fn event(ready: &epoll::Event) -> Event {
    let (flags, data) = (ready.flags, ready.data); // copied out: the kernel's record is packed
    let gone = epoll::EventFlags::HUP | epoll::EventFlags::ERR;
    Event {
        token: data.u64(),
        readable: flags.contains(epoll::EventFlags::IN),
        writable: flags.contains(epoll::EventFlags::OUT),
        hangup: flags.intersects(gone | epoll::EventFlags::RDHUP),
    }
}

/// Events taken from the kernel at once; the rest come with the next wait.
const EVENTS_AT_ONCE: usize = 256;
/// Eleven days.
const LONGEST_WAIT_S: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Connection;

    #[test]
    fn readiness_is_reported_and_stays_until_taken() {
        let poller = Poller::new().unwrap();
        let (mut one, mut other) = Connection::pair().unwrap();
        poller.add(other.as_fd(), 7, Interest::READ).unwrap();
        let mut events = Vec::new();
        poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
        assert_eq!(events, []);

        one.send_blocking(b"x", Vec::new()).unwrap();
        for _ in 0..2 {
            poller.wait(&mut events, None).unwrap();
            assert_eq!(events.len(), 1);
            assert_eq!((events[0].token, events[0].readable, events[0].hangup), (7, true, false));
        }
        other.receive().unwrap();
        poller.modify(other.as_fd(), 8, Interest::BOTH).unwrap();
        poller.wait(&mut events, None).unwrap();
        assert_eq!((events[0].token, events[0].readable, events[0].writable), (8, false, true));

        drop(one);
        poller.wait(&mut events, None).unwrap();
        assert!(events[0].hangup);
        poller.remove(other.as_fd()).unwrap();
        poller.wait(&mut events, Some(Duration::from_millis(1))).unwrap();
        assert_eq!(events, []);
    }

    #[test]
    fn a_waker_wakes_until_drained() {
        let poller = Poller::new().unwrap();
        let waker = Waker::new().unwrap();
        poller.add(waker.as_fd(), 1, Interest::READ).unwrap();
        let mut events = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                waker.wake();
                waker.wake();
            });
            poller.wait(&mut events, Some(Duration::MAX)).unwrap();
        });
        assert_eq!(events.len(), 1);
        waker.drain();
        poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
        assert_eq!(events, []);
    }
}
