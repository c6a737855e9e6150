//! What running code hands down to the tasks it submits: environment variables that were given to it, its placement group, and itself as
//! their parent.

use crate::become_actor::Call;
use pyo3::prelude::*;
use ray_protocol::TaskId;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Variables that every task submitted from here inherits. Looked at only when there are some.
static INHERITED: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());
static INHERITS: AtomicBool = AtomicBool::new(false);

/// The placement group that what runs here belongs to.
static GROUP: Mutex<Option<String>> = Mutex::new(None);
/// Whether what it submits belongs to that, too.
static CAPTURES: AtomicBool = AtomicBool::new(false);

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

/// What runs here belongs to this placement group from now on; if it `captures`, so does what it submits.
#[pyfunction]
pub(crate) fn enter_group(group: Option<String>, captures: bool) {
    CAPTURES.store(captures && group.is_some(), Ordering::Relaxed);
    *GROUP.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = group;
}

/// The placement group that what runs here belongs to, and whether what it submits does, too.
#[pyfunction]
pub(crate) fn current_group() -> Option<(String, bool)> {
    let group = GROUP.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()?;
    Some((group, CAPTURES.load(Ordering::Relaxed)))
}

/// The placement group that a task submitted here belongs to if it does not say otherwise.
#[inline]
pub(crate) fn capturing_group() -> Option<String> {
    if CAPTURES.load(Ordering::Relaxed) { current_group().map(|(group, _)| group) } else { None }
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
