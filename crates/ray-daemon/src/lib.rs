//! The native daemons, as libraries: `scheduler` and `objstore` each have a `run()` and a three-line main.

pub mod objstore;
pub mod scheduler;
