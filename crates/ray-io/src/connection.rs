//! A nonblocking Unix stream socket that sends and receives frames.
//!
//! Made for a level-triggered event loop. When the socket is readable: [`Connection::receive`] once,
//! then [`Connection::next_frame`] until it says none (skipping the second step leaves bytes in the
//! way of new ones). [`Connection::send`] only queues; [`Connection::flush`] once per turn of the
//! loop, and again when writable for as long as [`Connection::wants_write`].
//!
//! Simple clients, which have nothing else to do meanwhile, use the `_blocking` calls. Those wait in
//! poll and never for good: a caller with signal handlers of its own (Python) passes a function that
//! is asked, after each signal and several times a second, whether to go on.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType,
};

use crate::address;
use crate::frame::{Frame, FrameError, FrameRef, Incoming, MAX_FDS, Outgoing};

/// One end of a stream of frames.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    incoming: Incoming,
    outgoing: Outgoing,
    /// The peer will send nothing more; set once, by the read that found the end.
    closed: bool,
}

/// What [`Connection::receive`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadStatus {
    /// More may come.
    Open,
    /// The peer is gone. Frames that had arrived whole can still be taken.
    Closed,
}

impl Connection {
    /// Takes over a connected Unix stream socket and makes it nonblocking and close-on-exec.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
        Ok(Self { socket, incoming: Incoming::new(), outgoing: Outgoing::new(), closed: false })
    }

    /// Connects to the listener at `path`, which must belong to our own user: in a shared directory
    /// somebody else may have put a socket in its place. Waits at most some seconds, and only while
    /// the listener's backlog is full.
    pub fn connect(path: &Path) -> io::Result<Self> {
        Self::connect_within(path, CONNECT_TIMEOUT)
    }

    /// As [`connect`](Self::connect), for those who cannot stand still for long while nobody accepts.
    pub fn connect_within(path: &Path, patience: Duration) -> io::Result<Self> {
        let address = address::of(path)?;
        let kind = SocketType::STREAM;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_timeout(&socket, Timeout::Send, Some(patience))?;
        rustix::net::connect(&socket, &address.socket).map_err(|errno| match errno {
            Errno::AGAIN => address::at(path, io::Error::new(io::ErrorKind::TimedOut, "nobody accepts")),
            errno => address::at(path, errno.into()),
        })?;
        let connection = Self::new(socket)?;
        let (uid, ours) = (connection.peer_uid()?, rustix::process::geteuid().as_raw());
        if uid != ours {
            let text = format!("the socket belongs to user {uid}, not to us ({ours})");
            let error = io::Error::new(io::ErrorKind::PermissionDenied, text);
            return Err(address::at(path, error));
        }
        Ok(connection)
    }

    /// Two connected ends.
    pub fn pair() -> io::Result<(Self, Self)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (one, other) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        Ok((Self::new(one)?, Self::new(other)?))
    }

    /// Sets the longest payload taken from the peer ([`DEFAULT_LIMIT`](crate::DEFAULT_LIMIT) at
    /// first). Counts from the next frame taken, so a peer may send a long frame right behind its
    /// greeting.
    pub fn set_limit(&mut self, max_frame: usize) {
        self.incoming.set_limit(max_frame);
    }

    /// The peer's user, as the kernel noted it when the two were connected.
    pub fn peer_uid(&self) -> io::Result<u32> {
        Ok(sockopt::socket_peercred(&self.socket)?.uid.as_raw())
    }

    /// The peer's process, likewise. It may have ended since, and its number been given away.
    pub fn peer_pid(&self) -> io::Result<i32> {
        Ok(sockopt::socket_peercred(&self.socket)?.pid.as_raw_pid())
    }

    /// Queues one frame; [`flush`](Self::flush) sends it. The descriptors are closed here once the
    /// peer has them.
    pub fn send(&mut self, payload: &[u8], fds: Vec<OwnedFd>) -> Result<(), FrameError> {
        self.outgoing.push(payload, fds)
    }

    /// Writes what the socket takes now; true when nothing is left.
    pub fn flush(&mut self) -> io::Result<bool> {
        while self.outgoing.len() > 0 {
            let (bytes, fds) = self.outgoing.chunk();
            match send_some(self.socket.as_fd(), bytes, fds) {
                Ok(count) => self.outgoing.sent(count),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(true)
    }

    /// Whether something waits for the socket to become writable.
    pub fn wants_write(&self) -> bool {
        self.outgoing.len() > 0
    }

    /// Bytes queued and not yet written, headers included: what back-pressure is decided on.
    pub fn queued_bytes(&self) -> usize {
        self.outgoing.len()
    }

    /// Reads what is there, but no more than 256 KiB and no more than is needed for one frame
    /// of the longest allowed: the rest makes the socket readable again.
    pub fn receive(&mut self) -> Result<ReadStatus, FrameError> {
        let mut budget = READ_BUDGET;
        for _ in 0..READS_AT_ONCE {
            if self.closed {
                return Ok(ReadStatus::Closed);
            }
            if budget == 0 || self.incoming.is_full_of_fds() {
                break;
            }
            let space = self.incoming.space();
            let wanted = space.len().min(budget);
            if wanted == 0 {
                break;
            }
            match receive_some(self.socket.as_fd(), &mut space[..wanted]) {
                Ok(Received { bytes: 0, .. }) => self.closed = true,
                Ok(Received { cut: true, .. }) => return Err(FrameError::LostFds),
                Ok(Received { bytes, fds, .. }) => {
                    // A short read found the socket empty, unless descriptors ended it.
                    let drained = bytes < wanted && fds.is_empty();
                    self.incoming.arrived(bytes, fds)?;
                    if drained {
                        break;
                    }
                    budget -= bytes;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                // The peer closed with frames of ours unread. What it had sent is already here.
                Err(Errno::CONNRESET) => self.closed = true,
                Err(errno) => return Err(io::Error::from(errno).into()),
            }
        }
        Ok(if self.closed { ReadStatus::Closed } else { ReadStatus::Open })
    }

    /// Takes the next whole frame out of the buffer; none when [`receive`](Self::receive) must bring
    /// more first.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        Ok(self.next_frame_ref()?.map(|frame| Frame { payload: frame.payload.to_vec(), fds: frame.fds }))
    }

    /// [`next_frame`](Self::next_frame) without a copy.
    pub fn next_frame_ref(&mut self) -> Result<Option<FrameRef<'_>>, FrameError> {
        self.incoming.next()
    }

    /// Queues one frame and waits until everything queued is written.
    pub fn send_blocking(&mut self, payload: &[u8], fds: Vec<OwnedFd>) -> Result<(), FrameError> {
        self.send_blocking_with(payload, fds, &mut || true)
    }

    /// [`send_blocking`](Self::send_blocking), asking `on_interrupt` whether to go on waiting. What was
    /// not written stays queued: half a frame cannot be taken back.
    pub fn send_blocking_with(
        &mut self,
        payload: &[u8],
        fds: Vec<OwnedFd>,
        on_interrupt: &mut dyn FnMut() -> bool,
    ) -> Result<(), FrameError> {
        self.send(payload, fds)?;
        while !self.flush()? {
            self.wait(PollFlags::OUT, None, on_interrupt)?;
        }
        Ok(())
    }

    /// Waits for a frame; for ever without a timeout.
    pub fn receive_blocking(&mut self, timeout: Option<Duration>) -> Result<Frame, FrameError> {
        self.receive_blocking_with(timeout, &mut || true)
    }

    /// [`receive_blocking`](Self::receive_blocking), asking `on_interrupt` whether to go on waiting: if
    /// not, the error is [`io::ErrorKind::Interrupted`], nothing is lost, and the call can be made
    /// again. Frames still queued go out meanwhile, since the peer may be waiting for them.
    pub fn receive_blocking_with(
        &mut self,
        timeout: Option<Duration>,
        on_interrupt: &mut dyn FnMut() -> bool,
    ) -> Result<Frame, FrameError> {
        // A timeout too long for the clock is as good as none.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            if let Some(frame) = self.next_frame()? {
                return Ok(frame);
            }
            if self.closed {
                return Err(FrameError::Closed);
            }
            let mut flags = PollFlags::IN;
            match self.flush() {
                Ok(true) => {}
                Ok(false) => flags |= PollFlags::OUT,
                // The peer is gone; reading finds its last words first, then the end.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
                Err(error) => return Err(error.into()),
            }
            self.wait(flags, deadline, on_interrupt)?;
            self.receive()?;
        }
    }

    /// Waits until the socket is ready. `on_interrupt` is asked after a signal, and also every
    /// [`SLICE`]: a signal may be handled by another thread, or just before poll begins, and wake
    /// nobody here.
    fn wait(&self, flags: PollFlags, deadline: Option<Instant>, on_interrupt: &mut dyn FnMut() -> bool) -> Result<(), FrameError> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let slice = left.map_or(SLICE, |left| left.min(SLICE));
            let timeout = Timespec {
                tv_sec: 0, // a slice is below one second
                tv_nsec: slice.subsec_nanos().into(),
            };
            let mut fds = [PollFd::new(&self.socket, flags)];
            match rustix::event::poll(&mut fds, Some(&timeout)) {
                Ok(0) if left.is_some_and(|left| left <= slice) => {
                    return Err(FrameError::TimedOut);
                }
                Ok(0) | Err(Errno::INTR) => {
                    if !on_interrupt() {
                        return Err(io::Error::from(io::ErrorKind::Interrupted).into());
                    }
                }
                Ok(_) => return Ok(()),
                Err(errno) => return Err(io::Error::from(errno).into()),
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What one read brought.
struct Received {
    bytes: usize,
    fds: Vec<OwnedFd>,
    /// The kernel had more descriptors than it could deliver.
    cut: bool,
}

fn receive_some(socket: BorrowedFd<'_>, space: &mut [u8]) -> Result<Received, Errno> {
    let mut memory = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut memory);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let message = rustix::net::recvmsg(socket, &mut [IoSliceMut::new(space)], &mut control, flags)?;
    let mut fds = Vec::new();
    for item in control.drain() {
        if let RecvAncillaryMessage::ScmRights(set) = item {
            fds.extend(set);
        }
    }
    Ok(Received { bytes: message.bytes, fds, cut: message.flags.contains(ReturnFlags::CTRUNC) })
}

fn send_some(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[OwnedFd]) -> Result<usize, Errno> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    if fds.is_empty() {
        return rustix::net::send(socket, bytes, flags);
    }
    let mut borrowed = [fds[0].as_fd(); MAX_FDS];
    for (place, fd) in borrowed.iter_mut().zip(fds) {
        *place = fd.as_fd();
    }
    let mut memory = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut memory);
    let pushed = control.push(SendAncillaryMessage::ScmRights(&borrowed[..fds.len()]));
    assert!(pushed, "the buffer has room for MAX_FDS");
    rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags)
}

/// The most bytes one call of [`Connection::receive`] reads, so that one
/// chatty peer cannot hold up the others.
const READ_BUDGET: usize = 256 << 10;
/// The same in system calls, for a peer that attaches descriptors to every byte.
const READS_AT_ONCE: usize = 64;
/// How long to wait for a listener whose backlog is full.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a blocking call asks whether to go on: unnoticed by the machine, prompt to a human.
const SLICE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
