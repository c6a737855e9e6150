//! The directory of one session: private, short, and removed even if its owner was killed.
//!
//! ```text
//! $RAY_TMPDIR/ray-<uid>/<16 hex>/   if that variable is set
//! $XDG_RUNTIME_DIR/ray/<16 hex>/    if that one names a private directory of ours
//! <tmp>/ray-<uid>/<16 hex>/         otherwise; <tmp> is $TMPDIR or /tmp
//!     lock                          flock held by the owner for as long as it lives
//!     ...                           sockets, logs: whatever the owner puts there
//! ```
//!
//! In /tmp anybody may have made our names first. So each directory is made with mode 0700, opened
//! without following a link, and what was *opened* is checked to be ours and closed to others; from
//! there on we go by handle. Anything else is refused with its path and the reason, never repaired.
//!
//! The kernel drops the lock of a killed owner, which is how [`remove_stale`] knows the dead. Between
//! making a directory and locking it the parent is locked, so that a newborn is not taken for dead.
//!
//! It must not know what the files in a session mean.

use std::ffi::{CStr, CString, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::address::at;

/// A session's directory, held by its lock. Dropping it leaves the files and frees the lock, as
/// being killed does: the next [`remove_stale`] takes them.
#[derive(Debug)]
pub struct SessionDir {
    path: PathBuf,
    directory: OwnedFd,
    parent: OwnedFd,
    name: CString,
    /// Open file of `lock`. Close-on-exec, but a child that is forked and does not exec shares it.
    _lock: OwnedFd,
}

impl SessionDir {
    /// Makes a new one where the environment says.
    pub fn create() -> io::Result<Self> {
        Self::create_with(&|name| std::env::var_os(name).filter(|value| !value.is_empty()))
    }

    /// Makes a new one below `tmp`, as if `RAY_TMPDIR` named it.
    pub fn create_below(tmp: &Path) -> io::Result<Self> {
        Self::create_with(&|name| (name == "RAY_TMPDIR").then(|| tmp.as_os_str().to_owned()))
    }

    /// Absolute path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of the directory that holds ours and its siblings: the argument for [`remove_stale`].
    pub fn parent(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// Deletes the directory and what is in it, the lock last. Follows no links. Devices and the
    /// like, which nobody can have put there by accident, are left and reported.
    pub fn remove(self) -> io::Result<()> {
        remove_session(&self.parent, &self.directory, &self.name).map_err(|e| at(&self.path, e))
    }

    fn create_with(variable: &dyn Fn(&str) -> Option<OsString>) -> io::Result<Self> {
        let (base, name) = place(variable)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // The base is not of our making and may be a link: /tmp is one on some machines.
        let base_fd = rustix::fs::open(&base, flags, Mode::empty()).map_err(|e| at(&base, e.into()))?;
        let parent_path = base.join(&name);
        let parent = make_private(&base_fd, &name, &parent_path)?;
        let _newborn = lock_parent(&parent, &parent_path)?;

        let name = format!("{:016x}", random()?);
        let path = parent_path.join(&name);
        // Must not exist: two sessions with one number would be the end of both.
        rustix::fs::mkdirat(&parent, &name, PRIVATE).map_err(|e| at(&path, e.into()))?;
        let directory = open_private(&parent, &name, &path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let lock_path = path.join("lock");
        let lock = rustix::fs::openat(&directory, LOCK, flags, Mode::RUSR | Mode::WUSR).map_err(|e| at(&lock_path, e.into()))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|e| at(&lock_path, e.into()))?;
        let name = CString::new(name).expect("hexadecimal digits hold no NUL");
        Ok(Self { path, directory, parent, name, _lock: lock })
    }
}

impl AsFd for SessionDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// Removes the sessions in `parent` that are our own user's and whose owners are dead. Returns how
/// many. One that cannot be removed is left to the next call: it may be in another's hands.
pub fn remove_stale(parent: &Path) -> io::Result<usize> {
    let base = parent.parent().filter(|base| !base.as_os_str().is_empty());
    let name = parent.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let base = base.unwrap_or(Path::new("."));
    let base = match rustix::fs::open(base, flags, Mode::empty()) {
        Ok(base) => base,
        Err(Errno::NOENT) => return Ok(0),
        Err(errno) => return Err(at(parent, errno.into())),
    };
    let name = CString::new(name.as_bytes())?;
    let stat = rustix::fs::statat(&base, &name, AtFlags::SYMLINK_NOFOLLOW);
    if stat.is_err_and(|errno| errno == Errno::NOENT) {
        return Ok(0);
    }
    let parent_fd = open_private(&base, &name, parent)?;
    let _newborn = lock_parent(&parent_fd, parent)?;
    let mut removed = 0;
    for entry in Dir::read_from(&parent_fd)? {
        let entry = entry?;
        if !is_session_name(entry.file_name()) {
            continue;
        }
        let path = parent.join(entry.file_name().to_string_lossy().as_ref());
        let Ok(directory) = open_private(&parent_fd, entry.file_name(), &path) else {
            continue; // not ours, or gone meanwhile
        };
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let lock = match rustix::fs::openat(&directory, LOCK, flags, Mode::empty()) {
            Ok(lock) => Some(lock),
            Err(Errno::NOENT) => None, // killed before it locked, or while removing: nobody's
            Err(_) => continue,
        };
        let take = |lock| rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive);
        let is_free = lock.as_ref().is_none_or(|lock| take(lock).is_ok());
        if is_free && remove_session(&parent_fd, &directory, entry.file_name()).is_ok() {
            removed += 1;
        }
    }
    Ok(removed)
}

/// Where sessions go: an existing directory, and the name of ours in it.
fn place(variable: &dyn Fn(&str) -> Option<OsString>) -> io::Result<(PathBuf, String)> {
    let name = format!("ray-{}", rustix::process::geteuid().as_raw());
    if let Some(tmp) = variable("RAY_TMPDIR").map(PathBuf::from) {
        if !tmp.is_absolute() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "the directory for sessions is not absolute");
            return Err(at(&tmp, error));
        }
        return Ok((tmp, name)); // asked for by name: used or refused, never passed over
    }
    if let Some(runtime) = variable("XDG_RUNTIME_DIR").map(PathBuf::from) {
        // Not private means not made by a login manager (sudo keeps the variable, for one): ignored.
        let is_private = rustix::fs::lstat(&runtime).is_ok_and(|stat| why_not(&stat).is_none());
        if runtime.is_absolute() && is_private && is_short(&runtime) {
            return Ok((runtime, "ray".into()));
        }
    }
    let tmp = variable("TMPDIR").map(PathBuf::from);
    let tmp = tmp.filter(|tmp| tmp.is_absolute() && tmp.is_dir() && is_short(tmp));
    Ok((tmp.unwrap_or_else(|| "/tmp".into()), name))
}

/// Whether sockets below `base` still have paths the kernel takes (107 bytes), also in the hands of
/// tools that do not know the way round (see `address.rs`).
fn is_short(base: &Path) -> bool {
    base.as_os_str().len() <= LONGEST_BASE
}

/// Makes `name` in `base` unless it is there, and opens it if it is private.
fn make_private(base: &OwnedFd, name: &str, path: &Path) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(base, name, PRIVATE) {
        Ok(()) | Err(Errno::EXIST) => open_private(base, name, path),
        Err(errno) => Err(at(path, errno.into())),
    }
}

/// Opens the directory `name` in `base` if it is ours and nobody else's, and no link.
fn open_private(base: &OwnedFd, name: impl rustix::path::Arg + Copy, path: &Path) -> io::Result<OwnedFd> {
    let refuse = |reason: String| {
        let text = format!("refused, since it {reason}");
        at(path, io::Error::new(io::ErrorKind::PermissionDenied, text))
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(base, name, flags, Mode::empty());
    // The error alone does not tell a link from a file, or whose directory it is.
    let stat = match &opened {
        Ok(directory) => rustix::fs::fstat(directory),
        Err(_) => rustix::fs::statat(base, name, AtFlags::SYMLINK_NOFOLLOW),
    };
    match stat.map(|stat| why_not(&stat)) {
        Ok(None) => opened.map_err(|errno| at(path, errno.into())),
        Ok(Some(reason)) => Err(refuse(reason)),
        Err(errno) => Err(at(path, errno.into())),
    }
}

/// Why a file is not a private directory of ours; none if it is.
fn why_not(stat: &rustix::fs::Stat) -> Option<String> {
    let ours = rustix::process::geteuid().as_raw();
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {}
        FileType::Symlink => return Some("is a symbolic link".into()),
        _ => return Some("is not a directory".into()),
    }
    if stat.st_uid != ours {
        return Some(format!("belongs to user {}, not to us ({ours})", stat.st_uid));
    }
    let open_bits = stat.st_mode & 0o077;
    (open_bits != 0).then(|| format!("is open to others (mode {:03o})", stat.st_mode & 0o777))
}

/// Keeps other processes from making or removing sessions until the result is dropped. They hold it
/// for milliseconds, unless stopped: so we wait, but not for ever.
fn lock_parent(parent: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    // Opened anew: a lock belongs to the open file, and dropping this one must free it.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let lock = rustix::fs::openat(parent, c".", flags, Mode::empty()).map_err(|e| at(path, e.into()))?;
    let deadline = Instant::now() + PARENT_TIMEOUT;
    loop {
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(lock),
            Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(Errno::WOULDBLOCK) => {
                let text = "locked by another process, which seems to be stopped";
                return Err(at(path, io::Error::new(io::ErrorKind::TimedOut, text)));
            }
            Err(errno) => return Err(at(path, errno.into())),
        }
    }
}

/// Empties a session's directory and removes it, the lock file last: whoever is interrupted leaves
/// something [`remove_stale`] recognises.
fn remove_session(parent: &OwnedFd, directory: &OwnedFd, name: &CStr) -> io::Result<()> {
    empty(directory, Some(LOCK), DEEPEST)?;
    remove_entry(directory, LOCK, AtFlags::empty())?;
    remove_entry(parent, name, AtFlags::REMOVEDIR)
}

/// Removes what is in a directory but the file `keep`.
fn empty(directory: &OwnedFd, keep: Option<&CStr>, depth: usize) -> io::Result<()> {
    // Listed first: what a listing says while its directory changes is up to the file system.
    let mut entries = Vec::new();
    for entry in Dir::read_from(directory)? {
        entries.push(entry?.file_name().to_owned());
    }
    for name in &entries {
        let name = name.as_c_str();
        if matches!(name.to_bytes(), b"." | b"..") || Some(name) == keep {
            continue;
        }
        let stat = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => continue,
            Err(errno) => return Err(errno.into()),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            // Unlinking a link removes the link.
            FileType::RegularFile | FileType::Socket | FileType::Symlink | FileType::Fifo => {
                remove_entry(directory, name, AtFlags::empty())?;
            }
            FileType::Directory if depth > 0 => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let below = rustix::fs::openat(directory, name, flags, Mode::empty())?;
                empty(&below, None, depth - 1)?;
                remove_entry(directory, name, AtFlags::REMOVEDIR)?;
            }
            kind => {
                let text = format!("{}: not removed ({kind:?})", name.to_string_lossy());
                return Err(io::Error::other(text));
            }
        }
    }
    Ok(())
}

/// Removes one entry, if it is still there: two sessions may clean up after the same dead one.
fn remove_entry(directory: &OwnedFd, name: &CStr, flags: AtFlags) -> io::Result<()> {
    match rustix::fs::unlinkat(directory, name, flags) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn is_session_name(name: &CStr) -> bool {
    let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    name.to_bytes().len() == 16 && name.to_bytes().iter().all(is_hex)
}

fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    // Up to 256 bytes come whole and uninterrupted.
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_ne_bytes(bytes))
}

const LOCK: &CStr = c"lock";
const PRIVATE: Mode = Mode::RWXU;
/// Leaves room for `/ray-<uid>/<16 hex>/` and a socket's name of 20 bytes and more.
const LONGEST_BASE: usize = 50;
/// Levels of directories below a session that are removed; we make one or two.
const DEEPEST: usize = 8;
const PARENT_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
