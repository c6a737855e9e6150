//! What running code hands down to the tasks it submits: environment variables that were given to it, and itself as their parent.

use crate::become_actor::Call;
use pyo3::prelude::*;
use ray_protocol::TaskId;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Variables that every task submitted from here inherits. Looked at only when there are some.
static INHERITED: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());
static INHERITS: AtomicBool = AtomicBool::new(false);

/// Many calls run here at a time, so that which one submits a task is known to Python alone.
static MANY_AT_ONCE: AtomicBool = AtomicBool::new(false);

/// From now on tasks submitted here inherit these variables, and no others.
#[pyfunction]
pub(crate) fn inherit_environment(variables: Vec<(String, String)>) {
    INHERITS.store(!variables.is_empty(), Ordering::Relaxed);
    *INHERITED.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = variables;
}

/// The variables that tasks submitted here inherit.
#[pyfunction]
pub(crate) fn inherited_environment() -> Vec<(String, String)> {
    INHERITED.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
}

/// Whether there are any.
#[inline]
pub(crate) fn inherits() -> bool {
    INHERITS.load(Ordering::Relaxed)
}

/// This process runs many calls at a time from now on.
pub(crate) fn many_at_once() {
    MANY_AT_ONCE.store(true, Ordering::Relaxed);
}

/// The call that submits something, where only Python knows it; None where the process knows by itself.
#[inline]
pub(crate) fn parent(py: Python<'_>) -> Option<TaskId> {
    if MANY_AT_ONCE.load(Ordering::Relaxed) { calling(py).ok().flatten() } else { None }
}

#[cold]
fn calling(py: Python<'_>) -> PyResult<Option<TaskId>> {
    let current = py.import("ray.actor_worker")?.getattr("current_call")?.call_method0("get")?;
    Ok(current.cast::<Call>().ok().map(|call| call.get().id()))
}
