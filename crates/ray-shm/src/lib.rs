//! ray-shm
