//! From the scheduler's graph to a picture.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use ray_draw::{Format, Graph, ObjectKind, ObjectNode, Options, TaskNode, TaskState};

/// Draws tasks and objects as "svg", "png", "pdf" or "dot". A task is (id, name, parent, state, outputs, inputs), an object
/// (id, is a put, creator); ids are the numbers the picture shows.
#[pyfunction]
#[allow(clippy::type_complexity)]
pub(crate) fn draw_graph<'py>(
    py: Python<'py>,
    tasks: Vec<(u64, String, Option<u64>, String, Vec<u64>, Vec<u64>)>,
    objects: Vec<(u64, bool, Option<u64>)>,
    note: Option<String>,
    format: &str,
) -> PyResult<Bound<'py, PyBytes>> {
    let format = match format {
        "svg" => Format::Svg,
        "png" => Format::Png,
        "pdf" => Format::Pdf,
        "dot" => Format::Dot,
        other => return Err(PyValueError::new_err(format!("no such format: {other}"))),
    };
    let state = |name: &str| match name {
        "running" => TaskState::Running,
        "finished" => TaskState::Finished,
        "failed" => TaskState::Failed,
        "queued" => TaskState::Queued,
        _ => TaskState::Waiting,
    };
    let graph = Graph {
        tasks: tasks
            .into_iter()
            .map(|(id, name, parent, named, outputs, inputs)| TaskNode { id, name, parent, state: state(&named), outputs, inputs })
            .collect(),
        objects: objects
            .into_iter()
            .map(|(id, is_put, creator)| ObjectNode {
                id,
                kind: if is_put { ObjectKind::Put } else { ObjectKind::TaskOutput },
                creator,
            })
            .collect(),
        omitted_note: note,
    };
    let bytes = py.detach(|| ray_draw::render(&graph, format, &Options::default()));
    Ok(PyBytes::new(py, &bytes))
}
