//! ray-protocol
