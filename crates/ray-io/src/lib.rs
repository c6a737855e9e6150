//! ray-io
