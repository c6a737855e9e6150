//! Small safe wrappers for crates that forbid unsafe code.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

/// Adopts a descriptor inherited from the parent process, known only by its number (from the command line or environment), and sets
/// close-on-exec, which an inherited descriptor by its nature lacks.
///
/// Fails for a number that is not open, and for 0, 1 and 2, which the standard library uses without owning. A number must be adopted
/// only once, at start-up, before anything else could have opened a descriptor: nothing can check that here, and a second owner would
/// close a stranger's descriptor later.
pub fn take_fd(raw: i32) -> io::Result<OwnedFd> {
    if raw <= 2 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("descriptor {raw} cannot be adopted")));
    }
    // SAFETY: not -1 (checked above); if it is not open, the kernel answers EBADF, and the borrow ends here.
    let borrowed = unsafe { BorrowedFd::borrow_raw(raw) };
    let flags = fcntl_getfd(borrowed)?;
    fcntl_setfd(borrowed, flags | FdFlags::CLOEXEC)?;
    // SAFETY: open, as F_GETFD has just shown; that nobody else owns it is the caller's part of the contract above.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

#[cfg(test)]
mod tests {
    use std::os::fd::IntoRawFd;

    use rustix::event::{EventfdFlags, eventfd};

    use super::*;

    #[test]
    fn adopts_an_open_descriptor_and_sets_close_on_exec() {
        let raw = eventfd(0, EventfdFlags::empty()).unwrap().into_raw_fd();
        let adopted = take_fd(raw).unwrap();
        assert_eq!(fcntl_getfd(&adopted).unwrap(), FdFlags::CLOEXEC);
    }

    #[test]
    fn refuses_what_is_not_open_or_not_adoptable() {
        for raw in [-7, -1, 0, 1, 2, 999_999_999] {
            assert!(take_fd(raw).is_err(), "{raw}");
        }
    }
}
