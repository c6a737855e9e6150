//! ray-draw
