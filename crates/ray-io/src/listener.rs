//! A Unix socket that takes connections from our own user and nobody else.
//!
//! The session directory already keeps other users out; this is the second line, for the day when a
//! mode or a mount is wrong. It must not read from a connection: who may say what comes later.

use std::cell::{Cell, RefCell};
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::address;
use crate::connection::Connection;

/// A listening socket. Dropping it leaves the socket file to the owner of the directory.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    /// The only user whose connections are taken.
    uid: u32,
    /// Connections closed because they came from another user.
    refused: Cell<u64>,
    /// Connections closed because this process had no descriptor left for them.
    shed: Cell<u64>,
    /// Given up for a moment to accept and close a connection when no other descriptor is left:
    /// otherwise it would stay in the backlog and the event loop would spin on it.
    spare: RefCell<Option<OwnedFd>>,
}

impl Listener {
    /// Listens at `path`, which must not exist and should lie in a directory of mode 0700. The
    /// socket file has mode 0600 before anybody can connect. Errors name the path.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let address = address::of(path)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::bind(&socket, &address.socket).map_err(|e| address::at(path, e.into()))?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(|error| address::at(path, error))?;
        rustix::net::listen(&socket, BACKLOG).map_err(|e| address::at(path, e.into()))?;
        Self::from_fd(socket)
    }

    /// Takes over a listening Unix stream socket, for instance an inherited one.
    pub fn from_fd(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
        Ok(Self {
            socket,
            uid: rustix::process::geteuid().as_raw(),
            refused: Cell::new(0),
            shed: Cell::new(0),
            spare: RefCell::new(open_spare()),
        })
    }

    /// Takes the next connection of our own user; none when nobody (else) waits.
    pub fn accept(&self) -> io::Result<Option<Connection>> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        for _ in 0..TRIES {
            match rustix::net::accept_with(&self.socket, flags) {
                Ok(socket) if sockopt::socket_peercred(&socket)?.uid.as_raw() == self.uid => {
                    return Connection::new(socket).map(Some);
                }
                Ok(_) => self.refused.set(self.refused.get() + 1),
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(errno @ (Errno::MFILE | Errno::NFILE)) => self.shed_one(errno)?,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(None)
    }

    /// How many connections of other users have been closed.
    pub fn refused(&self) -> u64 {
        self.refused.get()
    }

    /// How many connections have been closed for want of descriptors.
    pub fn shed(&self) -> u64 {
        self.shed.get()
    }

    /// Accepts one connection on the spare descriptor and closes it.
    fn shed_one(&self, errno: Errno) -> io::Result<()> {
        let mut spare = self.spare.borrow_mut();
        if spare.take().is_none() {
            *spare = open_spare();
            return Err(errno.into());
        }
        if rustix::net::accept_with(&self.socket, SocketFlags::CLOEXEC).is_ok() {
            self.shed.set(self.shed.get() + 1);
        }
        *spare = open_spare();
        Ok(())
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A descriptor of no use but to be closed; none where even that cannot be had.
fn open_spare() -> Option<OwnedFd> {
    File::open("/dev/null").ok().map(OwnedFd::from)
}

/// Connections the kernel keeps until we take them.
const BACKLOG: i32 = 256;
/// How many strangers one call turns away before the loop looks at other sockets.
const TRIES: usize = 64;

#[cfg(test)]
mod tests;
