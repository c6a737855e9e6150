//! ray-daemon
