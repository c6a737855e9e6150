//! Carries frames and file descriptors over Unix sockets, and wakes event loops.
//!
//! A frame is bytes and a few descriptors; what they mean is the business of `ray-protocol`, and
//! what to do about them that of the state machines. Nothing here knows a task, an object or a
//! scheduler, keeps a policy (who may say how much: the caller raises the limits), or starts a
//! thread. Linux only, without unsafe code.
//!
//! What holds in every module:
//! - Nothing a peer sends makes this process panic, wait, or buffer more than the caller allowed.
//! - A peer under another user id is turned away before one of its bytes is read.
//! - Every descriptor made or received is close-on-exec, and closed if nobody claims it.
//! - No symbolic link is followed where another user could have planted one.
//!
//! Start with [`Connection`]; [`Poller`] says when to call it.

mod address;
mod connection;
mod frame;
mod listener;
mod poller;
mod process;
mod session_dir;

pub use connection::{Connection, ReadStatus};
pub use frame::{DEFAULT_LIMIT, Frame, FrameError, FrameRef, MAX_FDS};
pub use listener::Listener;
pub use poller::{Event, Interest, Poller, Waker};
pub use process::{Signal, descendants, kill_descendants, pidfd_of, set_name, set_parent_death_signal, set_subreaper};
pub use session_dir::{SessionDir, remove_stale};
