//! Who sleeps, and how to wake them without a system call when nobody does.
//!
//! A process says in its [`ProcessPage`] which of its threads sleep; whoever has put something into a ring for it looks there
//! ([`PeerBell::ring`]) and writes to an eventfd only if it must. Waking costs 24 µs, looking a few nanoseconds.
//!
//! # Why no wake-up is lost
//!
//! ```text
//! sleeper                                   ringer
//! S1  store: sleep bit   (ProcessPage::set)   R1  store: ring index     (ChannelEnd::try_push or pop)
//! S2  fence(SeqCst)      (inside set)         R2  fence(SeqCst)         (inside ring)
//! S3  load: ring indexes (has_input ...)      R3  load: sleep bit       (inside ring)
//! S4  sleep on the eventfd
//! ```
//!
//! The two fences stand in one total order. If S2 is first, R3 sees the bit and rings, and the eventfd keeps the ring until S4. If R2 is
//! first, S3 sees the record and the sleeper does not sleep. Without the fences both loads could be done before both stores became
//! visible, on x86 too, and both sides would miss. So the order of a sleeper is always: announce, look once more at *everything* that
//! may wake it, sleep, withdraw, drain. [`ProcessPage::clear`] has the fence as well, because withdrawing [`POLLING`] is an
//! announcement too: from then on others must ring, so the rings must be looked at once more after it.
//!
//! A bell rung too often (the sleeper had just woken) costs one spurious wake-up and nothing else.
//!
//! An eventfd is shared with every peer that may ring it, so a peer gone mad could drain it or make it block. It can delay what it could
//! not corrupt; sleepers should therefore wake now and then on their own.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64, fence};

use rustix::event::{EventfdFlags, eventfd};

use crate::{OwnedSegment, ReadSegment, ShmError};

/// The thread that runs Python sleeps on the main eventfd.
pub const MAIN_SLEEPING: u32 = 1;
/// The thread that does the I/O sleeps on the other one (most likely by epoll, with its sockets).
pub const IO_SLEEPING: u32 = 2;
/// Some thread looks at all the rings in a loop: no need to wake anyone.
pub const POLLING: u32 = 4;

/// What a process tells its peers about itself, in a segment of one page. See the crate's documentation for the layout.
#[derive(Debug)]
pub struct ProcessPage {
    own: OwnedSegment,
}

impl ProcessPage {
    /// A page that says: awake, nothing running.
    pub fn create() -> io::Result<Self> {
        let own = OwnedSegment::create("ray-process", PAGE_LEN)?;
        own.atomic_u64(MAGIC_AT).store(MAGIC, Relaxed);
        own.atomic_u32(VERSION_AT).store(VERSION, Relaxed);
        Ok(Self { own })
    }

    /// The descriptor to give to peers.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.own.fd()
    }

    /// Announces: sets bits, then makes that visible before anything the caller looks at next. Each thread sets and clears only bits of its own.
    #[inline]
    pub fn set(&self, bits: u32) {
        self.sleep_state().fetch_or(bits, Relaxed);
        fence(SeqCst);
    }

    /// Withdraws bits, then makes that visible before anything the caller looks at next.
    #[inline]
    pub fn clear(&self, bits: u32) {
        self.sleep_state().fetch_and(!bits, Relaxed);
        fence(SeqCst);
    }

    /// The bits set now.
    #[inline]
    pub fn state(&self) -> u32 {
        self.sleep_state().load(Relaxed)
    }

    /// Says what this process executes from now on; to be called before user code starts. `sequence` must never repeat, and 0 says "nothing".
    /// One thread only.
    #[inline]
    pub fn set_running(&self, sequence: u64, slot: u64) {
        let running_seq = self.own.atomic_u64(RUNNING_SEQ_AT);
        // Killed anywhere from here to the last store, the page says "nothing", never a mixture of two.
        running_seq.store(0, Relaxed);
        fence(Release); // pairs with the Acquire fence in `PeerBell::running`: who reads the new slot will not read the old number after it
        self.own.atomic_u64(RUNNING_SLOT_AT).store(slot, Relaxed);
        running_seq.store(sequence, Release);
    }

    /// Says that nothing is executed.
    #[inline]
    pub fn clear_running(&self) {
        self.own.atomic_u64(RUNNING_SEQ_AT).store(0, Release);
    }

    #[inline]
    fn sleep_state(&self) -> &AtomicU32 {
        self.own.atomic_u32(SLEEP_STATE_AT)
    }
}

/// The eventfds on which the threads of this process sleep. Non-blocking, and closed on exec.
#[derive(Debug)]
pub struct Bell {
    main: OwnedFd,
    io: OwnedFd,
}

impl Bell {
    /// Two new eventfds, silent.
    pub fn create() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self { main: eventfd(0, flags)?, io: eventfd(0, flags)? })
    }

    /// What the main thread polls while it says [`MAIN_SLEEPING`]; a duplicate goes to each peer.
    pub fn main_fd(&self) -> BorrowedFd<'_> {
        self.main.as_fd()
    }

    /// What the I/O thread polls while it says [`IO_SLEEPING`]; a duplicate goes to each peer.
    pub fn io_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }

    /// Takes back all rings of the main eventfd, and says whether there were any.
    pub fn drain_main(&self) -> bool {
        drain(&self.main)
    }

    /// Takes back all rings of the I/O eventfd, and says whether there were any.
    pub fn drain_io(&self) -> bool {
        drain(&self.io)
    }

    /// Wakes the own main thread, from another thread of this process.
    pub fn ring_main(&self) {
        ring(&self.main);
    }

    /// Wakes the own I/O thread, from another thread of this process.
    pub fn ring_io(&self) {
        ring(&self.io);
    }
}

/// Another process's page and eventfds.
#[derive(Debug)]
pub struct PeerBell {
    page: Arc<ReadSegment>,
    main: OwnedFd,
    io: OwnedFd,
}

/// What [`PeerBell::ring`] found, for counting wake-ups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rang {
    /// Nobody sleeps; whoever works there will look before sleeping.
    NobodySleeps,
    /// Someone looks at the rings all the time.
    Polling,
    /// The main thread was woken.
    Main,
    /// The I/O thread was woken.
    Io,
}

impl PeerBell {
    /// From the descriptors a peer has sent.
    pub fn new(page: OwnedFd, main: OwnedFd, io: OwnedFd) -> Result<Self, ShmError> {
        let page = ReadSegment::map(page, PAGE_LEN)?;
        let magic = page.atomic_u64(MAGIC_AT).expect(IN_PAGE).load(Relaxed);
        let version = page.atomic_u32(VERSION_AT).expect(IN_PAGE).load(Relaxed);
        if magic != MAGIC {
            return Err(ShmError::BadHeader { field: "process page magic", found: magic, expected: MAGIC });
        }
        if version != VERSION {
            return Err(ShmError::BadHeader { field: "process page version", found: version.into(), expected: VERSION.into() });
        }
        for bell in [&main, &io] {
            let flags = rustix::fs::fcntl_getfl(bell).map_err(ShmError::system("fcntl"))?;
            if !flags.contains(rustix::fs::OFlags::NONBLOCK) {
                return Err(ShmError::BlockingBell);
            }
        }
        Ok(Self { page, main, io })
    }

    /// To be called after something was published for the peer: a pushed record, or space it may be waiting for.
    #[inline]
    pub fn ring(&self) -> Rang {
        fence(SeqCst); // R2 above
        let state = self.page.atomic_u32(SLEEP_STATE_AT).expect(IN_PAGE).load(Relaxed);
        if state & POLLING != 0 {
            Rang::Polling
        } else if state & MAIN_SLEEPING != 0 {
            ring(&self.main);
            Rang::Main
        } else if state & IO_SLEEPING != 0 {
            ring(&self.io);
            Rang::Io
        } else {
            Rang::NobodySleeps
        }
    }

    /// As [`ring`](Self::ring), but only for a main thread that sleeps: for tasks, which a busy worker finds by itself when it is done.
    #[inline]
    pub fn ring_main(&self) -> Rang {
        fence(SeqCst); // R2 above
        let state = self.page.atomic_u32(SLEEP_STATE_AT).expect(IN_PAGE).load(Relaxed);
        if state & POLLING != 0 {
            Rang::Polling
        } else if state & MAIN_SLEEPING != 0 {
            ring(&self.main);
            Rang::Main
        } else {
            Rang::NobodySleeps
        }
    }

    /// What the peer executes, or executed when it died, as (sequence, slot); (0, 0) for nothing. A pair that was set together, unless the peer
    /// is mad: it is evidence for a report, not a fact to act on without checking.
    pub fn running(&self) -> (u64, u64) {
        let running_seq = self.running_seq();
        // A live peer may be changing it; it is through in nanoseconds, and if it is stopped midway the sequence reads 0 both times.
        for _ in 0..100 {
            let before = running_seq.load(Acquire);
            let slot = self.page.atomic_u64(RUNNING_SLOT_AT).expect(IN_PAGE).load(Relaxed);
            fence(Acquire); // pairs with the Release fence in `set_running`
            if running_seq.load(Relaxed) == before {
                return if before == 0 { (0, 0) } else { (before, slot) };
            }
        }
        (0, 0)
    }

    fn running_seq(&self) -> &AtomicU64 {
        self.page.atomic_u64(RUNNING_SEQ_AT).expect(IN_PAGE)
    }
}

/// A full counter (EAGAIN) is a bell already ringing. Any other failure means that the descriptor was never an eventfd; its owner, who
/// sent it, then sleeps on.
#[cold]
fn ring(bell: &OwnedFd) {
    let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
}

fn drain(bell: &OwnedFd) -> bool {
    rustix::io::read(bell, &mut [0; 8]).is_ok()
}

const PAGE_LEN: usize = 4096;
const MAGIC: u64 = u64::from_le_bytes(*b"rayproc\0");
const VERSION: u32 = 1;
const MAGIC_AT: usize = 0;
const VERSION_AT: usize = 8;
const SLEEP_STATE_AT: usize = 128;
const RUNNING_SEQ_AT: usize = 256;
const RUNNING_SLOT_AT: usize = 264;
const IN_PAGE: &str = "`new` mapped a whole page";

const _: () = assert!(RUNNING_SLOT_AT + 8 <= PAGE_LEN && RUNNING_SLOT_AT == RUNNING_SEQ_AT + 8);
// Peers read the sleep state for every record; changes of the running pair, once per task, must not take its cache line from them.
const _: () = assert!(SLEEP_STATE_AT >= VERSION_AT + 8 && RUNNING_SEQ_AT - SLEEP_STATE_AT >= 128);

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;
    use crate::ChannelEnd;

    fn peer_of(page: &ProcessPage, bell: &Bell) -> PeerBell {
        let dup = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().unwrap();
        PeerBell::new(dup(page.fd()), dup(bell.main_fd()), dup(bell.io_fd())).unwrap()
    }

    #[test]
    fn rings_exactly_whom_it_should() {
        let (page, bell) = (ProcessPage::create().unwrap(), Bell::create().unwrap());
        let peer = peer_of(&page, &bell);
        assert_eq!(peer.ring(), Rang::NobodySleeps);
        assert!(!bell.drain_main() && !bell.drain_io());

        page.set(IO_SLEEPING);
        assert_eq!(peer.ring(), Rang::Io);
        assert_eq!((bell.drain_main(), bell.drain_io(), bell.drain_io()), (false, true, false));

        page.set(MAIN_SLEEPING);
        assert_eq!((peer.ring(), peer.ring()), (Rang::Main, Rang::Main));
        assert_eq!((bell.drain_io(), bell.drain_main(), bell.drain_main()), (false, true, false));

        page.set(POLLING);
        assert_eq!(peer.ring(), Rang::Polling);
        page.clear(POLLING | MAIN_SLEEPING);
        assert_eq!((peer.ring(), page.state()), (Rang::Io, IO_SLEEPING));

        page.clear(IO_SLEEPING);
        page.set(MAIN_SLEEPING);
        rustix::io::write(bell.main_fd(), &(u64::MAX - 1).to_ne_bytes()).unwrap();
        assert_eq!(peer.ring(), Rang::Main, "a full counter does not block");
        bell.ring_io();
        assert!(bell.drain_main() && bell.drain_io());
    }

    #[test]
    fn running_outlives_the_process() {
        let (page, bell) = (ProcessPage::create().unwrap(), Bell::create().unwrap());
        let peer = peer_of(&page, &bell);
        assert_eq!(peer.running(), (0, 0));
        page.set_running(7, 3);
        page.clear_running();
        assert_eq!(peer.running(), (0, 0));
        page.set_running(8, 4);
        drop((page, bell));
        assert_eq!(peer.running(), (8, 4));
        assert_eq!(peer.ring(), Rang::NobodySleeps);
    }

    #[test]
    fn running_is_never_a_mixture() {
        let (page, bell) = (ProcessPage::create().unwrap(), Bell::create().unwrap());
        let peer = peer_of(&page, &bell);
        let reader = std::thread::spawn(move || {
            let (mut last, mut distinct) = (0, 0u64);
            while last < 2_000_000 {
                let (sequence, slot) = peer.running();
                assert_eq!(slot, sequence.wrapping_mul(31));
                if sequence != 0 {
                    assert!(sequence >= last);
                    distinct += u64::from(sequence != last);
                    last = sequence;
                }
            }
            distinct
        });
        for sequence in 1..=2_000_000 {
            page.set_running(sequence, sequence.wrapping_mul(31));
        }
        assert!(reader.join().unwrap() > 0);
    }

    #[test]
    fn refuses_a_page_or_a_bell_that_is_none() {
        let (page, bell) = (ProcessPage::create().unwrap(), Bell::create().unwrap());
        let dup = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().unwrap();
        let other = OwnedSegment::create("other", PAGE_LEN).unwrap();
        let refused = PeerBell::new(dup(other.fd()), dup(bell.main_fd()), dup(bell.io_fd()));
        assert!(matches!(refused, Err(ShmError::BadHeader { .. })));
        let longer = OwnedSegment::create("longer", 2 * PAGE_LEN).unwrap();
        let refused = PeerBell::new(dup(longer.fd()), dup(bell.main_fd()), dup(bell.io_fd()));
        assert!(matches!(refused, Err(ShmError::WrongSize { .. })));
        let blocking = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        assert!(matches!(PeerBell::new(dup(page.fd()), blocking, dup(bell.io_fd())), Err(ShmError::BlockingBell)));
    }

    /// Two threads pass a token to and fro through rings, each sleeping as soon as it has nothing to do: the dance of the module's
    /// documentation, some tens of thousands of times. A lost wake-up shows as a sleep that only the watchdog ends.
    #[test]
    fn no_wake_up_is_lost() {
        const ROUNDS: u32 = 20_000;
        struct Side {
            end: ChannelEnd,
            page: ProcessPage,
            bell: Bell,
        }
        impl Side {
            fn new() -> Self {
                Self { end: ChannelEnd::create(1024).unwrap(), page: ProcessPage::create().unwrap(), bell: Bell::create().unwrap() }
            }

            fn receive(&mut self, record: &mut Vec<u8>) {
                while !self.end.pop(record).unwrap() {
                    self.page.set(MAIN_SLEEPING);
                    if !self.end.has_input() {
                        let mut fds = [PollFd::new(&self.bell.main, PollFlags::IN)];
                        let watchdog = Timespec { tv_sec: 60, tv_nsec: 0 };
                        assert_eq!(poll(&mut fds, Some(&watchdog)).unwrap(), 1, "a wake-up was lost");
                    }
                    self.page.clear(MAIN_SLEEPING);
                    self.bell.drain_main();
                }
            }
        }
        let (mut left, mut right) = (Side::new(), Side::new());
        left.end.attach(right.end.fd().try_clone_to_owned().unwrap()).unwrap();
        right.end.attach(left.end.fd().try_clone_to_owned().unwrap()).unwrap();
        let (to_left, to_right) = (peer_of(&left.page, &left.bell), peer_of(&right.page, &right.bell));
        let echo = std::thread::spawn(move || {
            let mut record = Vec::new();
            for _ in 0..ROUNDS {
                right.receive(&mut record);
                assert!(right.end.try_push(&[&record]));
                to_left.ring();
            }
        });
        let mut record = Vec::new();
        for round in 0..ROUNDS {
            assert!(left.end.try_push(&[&round.to_le_bytes()]));
            to_right.ring();
            left.receive(&mut record);
            assert_eq!(record, round.to_le_bytes());
        }
        echo.join().unwrap();
    }
}
