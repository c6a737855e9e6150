//! ray-sim
