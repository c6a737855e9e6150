//! The native daemons, as libraries: `scheduler` and `objstore` each have a `run()` and a three-line main.

mod log;
pub mod objstore;
pub mod scheduler;
