//! The process's membership in a cluster, as a global of the module: there is one `ray` per interpreter.

use crate::errors;
use crate::ids;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use ray_client::{Client, Notice as ClientNotice, WaitEnd};
use ray_protocol::control::{AnswerPart, KeyValueOperation, Question, Role, TaskRow, TaskState};
use ray_protocol::{ObjectId, TaskId};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static CURRENT: Mutex<Option<Client>> = Mutex::new(None);
static FORKED: AtomicBool = AtomicBool::new(false);

/// The membership, if there is one.
#[inline]
pub(crate) fn current_if_any() -> Option<Client> {
    CURRENT.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
}

/// The membership. Without one, a cluster is started as today's API does (`ray.init()` with no arguments).
#[inline]
pub(crate) fn current(py: Python<'_>) -> PyResult<Client> {
    match current_if_any() {
        Some(client) => Ok(client),
        None => {
            refuse_in_fork()?;
            py.import("ray.api")?.getattr("_auto_init")?.call0()?;
            current_if_any().ok_or_else(|| PyRuntimeError::new_err("Ray has not been started yet. Call ray.init() first."))
        }
    }
}

/// The module `ray.local_mode`, if this process runs its tasks itself. Looked at only where there is no membership, so that it costs
/// the calls of a real cluster nothing.
#[cold]
pub(crate) fn local_mode(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    let modules = py.import("sys")?.getattr("modules")?;
    let module = modules.call_method1("get", ("ray.local_mode",))?;
    Ok(if !module.is_none() && module.call_method0("is_active")?.is_truthy()? { Some(module) } else { None })
}

/// The membership a reference is used in. A reference never starts a cluster: one that exists is of a cluster that was.
#[inline]
pub(crate) fn current_for(reference: &crate::object_ref::ObjectRef) -> PyResult<Client> {
    match current_if_any() {
        Some(client) => Ok(client),
        None => {
            refuse_in_fork()?;
            Err(reference.of_stopped_cluster())
        }
    }
}

/// Whether this process was forked from one in a cluster, and is in none of its own.
pub(crate) fn was_forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

fn refuse_in_fork() -> PyResult<()> {
    if was_forked() {
        return Err(PyRuntimeError::new_err(
            "This process was forked from one that uses ray, and has no connection of its own. \
             Call ray.init() in the child if it needs a cluster, or do the work in a remote function.",
        ));
    }
    Ok(())
}

/// Called in the child after a fork: the connections and the I/O thread belong to the parent.
#[pyfunction]
pub(crate) fn after_fork_in_child() {
    ray_client::note_fork();
    if let Ok(mut current) = CURRENT.try_lock()
        && let Some(client) = current.take()
    {
        FORKED.store(true, Ordering::Relaxed);
        std::mem::forget(client); // closing it would talk to the parent's scheduler
        crate::cluster::forget_after_fork();
    }
}

/// Joins the cluster whose session directory this is: `role` is "owner", "driver" or "worker".
#[pyfunction]
#[pyo3(signature = (session, role, spawn=0))]
pub(crate) fn connect(py: Python<'_>, session: PathBuf, role: &str, spawn: u64) -> PyResult<()> {
    let role = match role {
        "owner" => Role::Driver { owner: true },
        "driver" => Role::Driver { owner: false },
        "worker" => Role::Worker { spawn },
        other => return Err(PyRuntimeError::new_err(format!("no such role: {other}"))),
    };
    if let Role::Worker { .. } = role {
        // Second line of defence, behind the end of the scheduler's connection: whoever kills the zygote kills us.
        ray_io::set_parent_death_signal(ray_io::Signal::KILL)?;
        ray_io::set_subreaper()?;
        let _ = ray_io::set_name("python");
    }
    let client =
        py.detach(|| Client::connect(&session, role, &mut signal_pending)).map_err(|error| errors::connection(py, &error))?;
    FORKED.store(false, Ordering::Relaxed);
    *CURRENT.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(client);
    Ok(())
}

/// True when a signal handler has raised; to be called while waiting without the interpreter lock. The exception stays set aside until
/// [`raise_pending`].
pub(crate) fn signal_pending() -> bool {
    Python::attach(|py| match py.check_signals() {
        Ok(()) => false,
        Err(error) => {
            *PENDING.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(error);
            true
        }
    })
}

static PENDING: Mutex<Option<PyErr>> = Mutex::new(None);

/// The exception a signal handler raised while this thread waited.
pub(crate) fn raise_pending() -> PyErr {
    let pending = PENDING.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
    pending.unwrap_or_else(|| pyo3::exceptions::PyKeyboardInterrupt::new_err(()))
}

/// Leaves the cluster; its owner ends it and waits up to `patience` seconds until everything is down. What arrived by then can still be
/// read with [`next_notices`]; [`forget`] ends that.
#[pyfunction]
pub(crate) fn disconnect(py: Python<'_>, end_cluster: bool, patience: f64) {
    if let Some(client) = current_if_any() {
        py.detach(|| client.leave(end_cluster, Duration::from_secs_f64(patience)));
    }
}

/// Drops the membership left with [`disconnect`].
#[pyfunction]
pub(crate) fn forget() {
    drop(CURRENT.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take());
}

/// Whether this process is in a cluster that is not known to be over.
#[pyfunction]
pub(crate) fn is_connected() -> bool {
    current_if_any().is_some()
}

/// Who this process is: (client, node, cluster, job); None outside a cluster.
#[pyfunction]
pub(crate) fn identity() -> Option<(u32, u32, u64, u32)> {
    current_if_any().map(|client| {
        let identity = client.identity();
        (identity.client.0, identity.node.0, identity.cluster, identity.job)
    })
}

/// The id of the task that runs in this process, 24 bytes, or None.
#[pyfunction]
pub(crate) fn running_task(py: Python<'_>) -> Option<Bound<'_, PyBytes>> {
    let client = current_if_any()?;
    let task = client.running_task()?;
    let identity = client.identity();
    Some(PyBytes::new(py, &ids::task_bytes(task, identity.cluster, ids::JOB)))
}

/// Something the background thread handles.
#[pyclass(frozen, get_all, module = "ray._core")]
pub(crate) struct Notice {
    kind: &'static str,
    pid: i32,
    stderr: bool,
    text: String,
    dropped_bytes: u64,
    object: Option<(u32, u64, u32)>,
}

/// Waits up to `patience` seconds for notices; None when the cluster is over.
#[pyfunction]
pub(crate) fn next_notices(py: Python<'_>, patience: f64) -> Option<Vec<Notice>> {
    let client = current_if_any()?;
    let notices = py.detach(|| client.next_notice(Duration::from_secs_f64(patience)))?;
    let empty = |kind| Notice { kind, pid: 0, stderr: false, text: String::new(), dropped_bytes: 0, object: None };
    let notices = notices.into_iter().map(|notice| match notice {
        ClientNotice::Ready(object) => {
            Notice { object: Some((object.task.client.0, object.task.seq, object.index)), ..empty("ready") }
        }
        ClientNotice::Log(log) => {
            Notice { pid: log.pid, stderr: log.stderr, text: log.text, dropped_bytes: log.dropped_bytes, ..empty("log") }
        }
        ClientNotice::Warning(text) => Notice { text, ..empty("warning") },
    });
    Some(notices.collect())
}

/// The store's own count, by name, in bytes or numbers.
#[pyfunction]
pub(crate) fn store_stats(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let client = current(py)?;
    let stats = py.detach(|| client.store_stats(&mut signal_pending)).map_err(|error| errors::store(py, &error))?;
    let dict = PyDict::new(py);
    for (name, number) in [
        ("capacity_bytes", stats.capacity_bytes),
        ("reserved_bytes", stats.reserved_bytes),
        ("used_bytes", stats.used_bytes),
        ("objects", stats.objects),
        ("segments", stats.segments),
        ("fetched", stats.fetched),
    ] {
        dict.set_item(name, number)?;
    }
    Ok(dict)
}

pub(crate) fn ask(py: Python<'_>, question: Question) -> PyResult<Vec<AnswerPart>> {
    let client = current(py)?;
    py.detach(|| client.ask(question, &mut signal_pending)).map_err(|end| errors::wait_end(py, end, None))
}

/// The scheduler's counters by name, with the number of objects this process has claims on.
#[pyfunction]
pub(crate) fn counters(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    for part in ask(py, Question::Counters)? {
        if let AnswerPart::Counters(counters) = part {
            for (name, number) in counters {
                dict.set_item(name, number)?;
            }
        }
    }
    let client = current(py)?;
    dict.set_item("local_objects", client.with_process(|process| process.object_count()))?;
    Ok(dict)
}

/// Nodes and workers, as dictionaries.
#[pyfunction]
pub(crate) fn cluster_info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    for part in ask(py, Question::Cluster)? {
        let AnswerPart::Cluster(view) = part else { continue };
        let nodes = PyList::empty(py);
        for row in view.nodes {
            let node = PyDict::new(py);
            node.set_item("node", row.node.0)?;
            node.set_item("alive", row.alive)?;
            node.set_item("store_socket", row.store_socket)?;
            node.set_item("store_capacity_bytes", row.store_capacity_bytes)?;
            for (name, resources) in [("total", row.total), ("available", row.available)] {
                let amounts = PyDict::new(py);
                for (resource, amount) in resources.iter() {
                    amounts.set_item(resource, amount as f64 / ray_protocol::value::RESOURCE_UNIT as f64)?;
                }
                node.set_item(name, amounts)?;
            }
            nodes.append(node)?;
        }
        let workers = PyList::empty(py);
        for row in view.workers {
            let worker = PyDict::new(py);
            worker.set_item("client", row.client.0)?;
            worker.set_item("pid", row.pid)?;
            worker.set_item("node", row.node.0)?;
            worker.set_item("state", row.state)?;
            workers.append(worker)?;
        }
        dict.set_item("nodes", nodes)?;
        dict.set_item("workers", workers)?;
        dict.set_item("drivers", view.drivers)?;
    }
    Ok(dict)
}

/// Why an object is not there yet, in words.
#[pyfunction]
pub(crate) fn explain(py: Python<'_>, reference: &crate::object_ref::ObjectRef) -> PyResult<String> {
    text(py, Question::Explain(reference.id()))
}

/// The words that answer a question.
pub(crate) fn text(py: Python<'_>, question: Question) -> PyResult<String> {
    let mut text = String::new();
    for part in ask(py, question)? {
        if let AnswerPart::Text(words) = part {
            text.push_str(&words);
        }
    }
    Ok(text)
}

/// The computation graph: (function names by id, rows, folded counts by name). A row is
/// (task, function id, parent or None, returns, inputs, state, run time in µs); a task is (client, number), an object (client, number, index).
#[pyfunction]
#[allow(clippy::type_complexity)]
pub(crate) fn graph(py: Python<'_>) -> PyResult<(Bound<'_, PyDict>, Bound<'_, PyList>, Bound<'_, PyDict>)> {
    let (names, rows, folded) = (PyDict::new(py), PyList::empty(py), PyDict::new(py));
    let task = |id: TaskId| (id.client.0, id.seq);
    let object = |id: ObjectId| (id.task.client.0, id.task.seq, id.index);
    for part in ask(py, Question::Graph)? {
        match part {
            AnswerPart::Functions(functions) => {
                for (id, name) in functions {
                    names.set_item(id.0, name)?;
                }
            }
            AnswerPart::Tasks(tasks) => {
                for row in tasks {
                    let inputs: Vec<_> = row.inputs.into_iter().map(object).collect();
                    let state = format!("{:?}", row.state).to_lowercase();
                    rows.append((
                        task(row.task),
                        row.function.0,
                        row.parent.map(task),
                        row.returns,
                        inputs,
                        state,
                        row.run_time_us,
                    ))?;
                }
            }
            AnswerPart::Folded(counts) => {
                for (name, count) in counts {
                    folded.set_item(name, count)?;
                }
            }
            _ => {}
        }
    }
    Ok((names, rows, folded))
}

/// When the tasks that have ended were submitted, ran and ended: (task id, function name, worker, submitted, began, ended, whether it
/// gave values); times in microseconds of the machine's monotonic clock. The beginning is the end less the time it ran.
#[pyfunction]
#[allow(clippy::type_complexity)]
pub(crate) fn task_times(py: Python<'_>) -> PyResult<Vec<(Bound<'_, PyBytes>, String, u32, u64, u64, u64, bool)>> {
    let cluster = current(py)?.identity().cluster;
    let (mut names, mut rows) = (hashbrown::HashMap::new(), Vec::new());
    for part in ask(py, Question::Graph)? {
        match part {
            AnswerPart::Functions(functions) => names.extend(functions),
            AnswerPart::Tasks(tasks) => rows.extend(tasks),
            _ => {}
        }
    }
    let ended = rows.into_iter().filter(|row| matches!(row.state, TaskState::Finished | TaskState::Failed));
    let row = |row: TaskRow| {
        let end = row.submitted_us + u64::from(row.took_us);
        let began = end.saturating_sub(u64::from(row.run_time_us)).max(row.submitted_us);
        let name = names.get(&row.function).cloned().unwrap_or_default();
        let id = PyBytes::new(py, &ids::task_bytes(row.task, cluster, ids::JOB));
        (id, name, row.worker.0, row.submitted_us, began, end, row.state == TaskState::Finished)
    };
    Ok(ended.map(row).collect())
}

/// The cluster's key-value store: operation is "put", "get", "delete" or "list".
#[pyfunction]
#[pyo3(signature = (operation, key, value=None, overwrite=true))]
pub(crate) fn key_value<'py>(
    py: Python<'py>,
    operation: &str,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    overwrite: bool,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let operation = match operation {
        "put" => KeyValueOperation::Put { key, value: value.unwrap_or_default(), overwrite },
        "get" => KeyValueOperation::Get { key },
        "delete" => KeyValueOperation::Delete { key },
        "list" => KeyValueOperation::List { prefix: key },
        other => return Err(PyRuntimeError::new_err(format!("no such operation: {other}"))),
    };
    let client = current(py)?;
    let found =
        py.detach(|| client.key_value(operation, &mut signal_pending)).map_err(|end: WaitEnd| errors::wait_end(py, end, None))?;
    Ok(found.into_iter().map(|bytes| PyBytes::new(py, &bytes)).collect())
}
