//! Socket addresses for paths of any length.
//!
//! The kernel's address holds 107 bytes of path. A longer one is reached through an open handle to
//! its directory, as `/proc/self/fd/<n>/<name>`.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::net::SocketAddrUnix;

/// An address the kernel takes, and what must stay open while it is used.
pub(crate) struct Address {
    /// Passed to bind or connect.
    pub(crate) socket: SocketAddrUnix,
    /// The directory that `socket` goes through, where the path itself was too long.
    _directory: Option<OwnedFd>,
}

/// Makes the address of `path`. Errors name the path.
pub(crate) fn of(path: &Path) -> io::Result<Address> {
    if path.as_os_str().len() <= LONGEST_PATH {
        let socket = SocketAddrUnix::new(path).map_err(|error| at(path, error.into()))?;
        return Ok(Address { socket, _directory: None });
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(at(path, io::ErrorKind::InvalidInput.into()));
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(parent, flags, Mode::empty()).map_err(|e| at(path, e.into()))?;
    let mut short = PathBuf::from("/proc/self/fd");
    short.push(directory.as_raw_fd().to_string());
    short.push(name);
    let socket = SocketAddrUnix::new(&short).map_err(|error| at(path, error.into()))?;
    Ok(Address { socket, _directory: Some(directory) })
}

/// Puts the path in front of an error's text: the kernel's alone says "Permission denied" of nothing.
pub(crate) fn at(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// `sun_path` has 108 bytes and wants a closing NUL.
const LONGEST_PATH: usize = 107;
