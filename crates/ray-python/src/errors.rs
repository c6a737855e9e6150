//! The one place where failures of the engine become Python exceptions.

use crate::ids;
use crate::session;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use ray_client::{ClientError, StoreError, WaitEnd};
use ray_protocol::value::Exit;
use ray_protocol::{Failure, TaskId};

/// An exception class of `ray.exceptions`, called with these arguments.
pub(crate) fn exception(py: Python<'_>, class: &str, text: &str) -> PyErr {
    let build = || py.import("ray.exceptions")?.getattr(class)?.call1((text,));
    match build() {
        Ok(value) => PyErr::from_value(value),
        Err(error) => error,
    }
}

/// The exception of an object that cannot be read any more.
fn lost(py: Python<'_>, class: &str, object: Option<String>, reason: &str) -> PyErr {
    let build = || {
        let details = PyDict::new(py);
        details.set_item("detail", reason)?;
        py.import("ray.exceptions")?.getattr(class)?.call((object,), Some(&details))
    };
    build().map_or_else(|error| error, PyErr::from_value)
}

/// The exception an object's failure stands for.
pub(crate) fn failure(py: Python<'_>, bytes: &[u8]) -> PyErr {
    let build = || -> PyResult<PyErr> {
        let exceptions = py.import("ray.exceptions")?;
        Ok(match Failure::from_bytes(bytes) {
            Failure::Raised(pickled) => PyErr::from_value(exceptions.getattr("load_error")?.call1((PyBytes::new(py, &pickled),))?),
            Failure::WorkerCrashed { function, exit, attempts } => {
                let details = exit_details(py, &exit)?;
                details.set_item("function_name", function)?;
                details.set_item("attempts", attempts)?;
                PyErr::from_value(exceptions.getattr("WorkerCrashedError")?.call((note(&exit),), Some(&details))?)
            }
            Failure::OwnerDied { object, exit } => {
                let note = if exit.note.is_empty() { String::new() } else { format!(" ({})", exit.note) };
                let reason = format!("{} before the object existed{note}", describe(&exit));
                lost(py, "OwnerDiedError", Some(object.to_string()), &reason)
            }
            Failure::Cancelled { function } => {
                let text = format!("Task {function} was cancelled.");
                PyErr::from_value(exceptions.getattr("TaskCancelledError")?.call1((py.None(), text))?)
            }
            Failure::Lost { object, reason } => lost(py, "ObjectLostError", Some(object.to_string()), &reason),
            Failure::StoreFull { report } => exception(py, "ObjectStoreFullError", &report),
            Failure::Deadlock { cycle } => exception(py, "DeadlockError", &cycle),
            Failure::Unschedulable { reason } => exception(py, "TaskUnschedulableError", &reason),
            Failure::ActorDied { actor, class, reason, raised } => {
                let details = PyDict::new(py);
                details.set_item("class_name", class)?;
                details.set_item("actor_id", actor_id(actor))?;
                let cause = if raised.is_empty() {
                    let text =
                        format!("The actor died unexpectedly before finishing this task. The actor is dead because {reason}");
                    text.into_pyobject(py)?.into_any()
                } else {
                    exceptions.getattr("load_error")?.call1((PyBytes::new(py, &raised),))?
                };
                PyErr::from_value(exceptions.getattr("ActorDiedError")?.call((cause,), Some(&details))?)
            }
            Failure::ActorUnavailable { actor, reason } => {
                PyErr::from_value(exceptions.getattr("ActorUnavailableError")?.call1((reason, actor_id(actor)))?)
            }
            Failure::TimedOut { function, limit_us } => {
                let details = PyDict::new(py);
                details.set_item("function_name", function)?;
                details.set_item("timeout_s", limit_us as f64 / 1e6)?;
                PyErr::from_value(exceptions.getattr("TaskTimeoutError")?.call((), Some(&details))?)
            }
            Failure::ActorUnschedulable { reason } => exception(py, "ActorUnschedulableError", &reason),
            Failure::TaskGroupRemoved => PyErr::from_value(exceptions.getattr("TaskPlacementGroupRemoved")?.call0()?),
            Failure::ActorGroupRemoved => PyErr::from_value(exceptions.getattr("ActorPlacementGroupRemoved")?.call0()?),
        })
    };
    build().unwrap_or_else(|error| error)
}

/// An exception that is a value: an error of the engine is raised, any other is given.
#[cold]
pub(crate) fn raise_if_of_engine(value: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let exceptions = value.py().import("ray.exceptions")?;
    if !value.is_instance(&exceptions.getattr("RayError")?)? {
        return Ok(value);
    }
    let raised =
        if value.is_instance(&exceptions.getattr("RayTaskError")?)? { value.call_method0("as_instanceof_cause")? } else { value };
    Err(PyErr::from_value(raised))
}

/// An actor's id as hexadecimal digits.
fn actor_id(actor: TaskId) -> String {
    let cluster = session::current_if_any().map_or(0, |client| client.identity().cluster);
    ids::hex(&ids::actor_bytes(actor, cluster))
}

fn note(exit: &Exit) -> Option<String> {
    (!exit.note.is_empty()).then(|| exit.note.clone())
}

fn describe(exit: &Exit) -> String {
    match (exit.signal, exit.code) {
        (Some(signal), _) => format!("its owner, process {}, was killed by signal {signal}", exit.pid),
        (None, Some(code)) => format!("its owner, process {}, exited with code {code}", exit.pid),
        (None, None) => format!("its owner, process {}, ended", exit.pid),
    }
}

fn exit_details<'py>(py: Python<'py>, exit: &Exit) -> PyResult<Bound<'py, PyDict>> {
    let details = PyDict::new(py);
    details.set_item("signal", exit.signal)?;
    details.set_item("exit_code", exit.code)?;
    details.set_item("pid", exit.pid)?;
    details.set_item("stderr_lines", exit.stderr_tail.lines().collect::<Vec<_>>())?;
    Ok(details)
}

/// A wait that did not end with what was waited for. `timeout` is the user's text for an expired deadline.
pub(crate) fn wait_end(py: Python<'_>, end: WaitEnd, timeout: Option<&str>) -> PyErr {
    match end {
        WaitEnd::Ready => PyRuntimeError::new_err("a wait that succeeded was reported as an error"),
        WaitEnd::TimedOut => {
            exception(py, "GetTimeoutError", timeout.unwrap_or("Get timed out: the scheduler did not answer within 60 s."))
        }
        WaitEnd::Interrupted => session::raise_pending(),
        WaitEnd::Ended(reason) => exception(py, "ClusterUnavailableError", &reason),
        WaitEnd::Deadlock(cycle) => exception(py, "DeadlockError", &cycle),
    }
}

/// An object could not be written or read.
pub(crate) fn store(py: Python<'_>, error: &StoreError) -> PyErr {
    match error {
        StoreError::Full(report) => exception(py, "ObjectStoreFullError", report),
        StoreError::Lost(reason) => lost(py, "ObjectLostError", None, reason),
        StoreError::Wait(end) => wait_end(py, end.clone(), None),
    }
}

/// A cluster could not be joined.
pub(crate) fn connection(py: Python<'_>, error: &ClientError) -> PyErr {
    if let ClientError::Connection(ray_io::FrameError::Io(cause)) = error
        && cause.kind() == std::io::ErrorKind::Interrupted
    {
        return session::raise_pending();
    }
    exception(py, "RayConnectionError", &error.to_string())
}
