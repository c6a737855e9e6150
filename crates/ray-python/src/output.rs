//! Output that tasks leave behind without the end of a line: sent on when the worker has nothing else to do.

use crate::session;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};

/// Something may be left behind. Asked before each wait for work, so Python is not.
static UNFINISHED: AtomicBool = AtomicBool::new(false);

/// A line was begun.
#[pyfunction]
pub(crate) fn note_unfinished_output() {
    UNFINISHED.store(true, Ordering::Relaxed);
}

/// Sends what was written and not ended, unless something runs that may go on with it.
#[pyfunction]
pub(crate) fn finish_output(py: Python<'_>) {
    if !UNFINISHED.load(Ordering::Relaxed) || !session::current_if_any().is_some_and(|client| client.is_idle()) {
        return;
    }
    UNFINISHED.store(false, Ordering::Relaxed);
    // An error here is one of a closed pipe: nobody listens.
    let _ = py.import("ray.worker_main").and_then(|module| module.getattr("finish_output")?.call0());
}
