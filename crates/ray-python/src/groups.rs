//! Placement groups, as Python asks for them.

use crate::caller::to_resources;
use crate::errors;
use crate::session;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use ray_client::WaitEnd;
use ray_protocol::control::{AnswerPart, Question};
use ray_protocol::groups::{GroupRequest, GroupRow, GroupSpec, GroupState, Strategy};
use ray_protocol::value::RESOURCE_UNIT;
use std::time::{Duration, Instant};

/// Makes a group; None, or why not.
#[pyfunction]
#[pyo3(signature = (group, *, name, namespace, strategy, bundles, detached))]
pub(crate) fn create_group(
    py: Python<'_>,
    group: String,
    name: String,
    namespace: String,
    strategy: &str,
    bundles: Vec<Vec<(String, f64)>>,
    detached: bool,
) -> PyResult<Option<String>> {
    let strategy = match strategy {
        "PACK" => Strategy::Pack,
        "SPREAD" => Strategy::Spread,
        "STRICT_PACK" => Strategy::StrictPack,
        "STRICT_SPREAD" => Strategy::StrictSpread,
        other => return Err(PyValueError::new_err(format!("no such strategy: {other}"))),
    };
    let bundles = bundles.into_iter().map(to_resources).collect();
    let spec = GroupSpec { name, namespace, strategy, bundles, detached };
    let parts = session::ask(py, Question::Groups(GroupRequest::Create { group, spec }))?;
    Ok(parts.into_iter().find_map(|part| match part {
        AnswerPart::Text(refused) => Some(refused),
        _ => None,
    }))
}

/// Gives a group's resources back.
#[pyfunction]
pub(crate) fn remove_group(py: Python<'_>, group: String) -> PyResult<()> {
    session::ask(py, Question::Groups(GroupRequest::Remove { group })).map(|_| ())
}

/// Waits until a group is placed or removed; its state then, or None when it is unknown or the time (seconds) is over.
#[pyfunction]
#[pyo3(signature = (group, timeout))]
pub(crate) fn await_group(py: Python<'_>, group: String, timeout: Option<f64>) -> PyResult<Option<&'static str>> {
    let client = session::current(py)?;
    // Longer than anybody waits, and short enough to be added to a point in time.
    let deadline = timeout.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds.clamp(0.0, 1e9)));
    let question = Question::Groups(GroupRequest::Await { group });
    match py.detach(|| client.ask_until(question, deadline, &mut session::signal_pending)) {
        Ok(parts) => Ok(rows(parts).next().map(|row| state_name(row.state))),
        Err(WaitEnd::TimedOut) => Ok(None),
        Err(end) => Err(errors::wait_end(py, end, None)),
    }
}

/// What is known of the groups there are and were, as dictionaries.
#[pyfunction]
pub(crate) fn group_rows(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for row in rows(session::ask(py, Question::Groups(GroupRequest::List))?) {
        let entry = PyDict::new(py);
        let bundles = PyList::empty(py);
        for bundle in &row.spec.bundles {
            let amounts = PyDict::new(py);
            for (name, amount) in bundle.iter() {
                amounts.set_item(name, amount as f64 / RESOURCE_UNIT as f64)?;
            }
            bundles.append(amounts)?;
        }
        entry.set_item("group", &row.group)?;
        entry.set_item("name", &row.spec.name)?;
        entry.set_item("namespace", &row.spec.namespace)?;
        entry.set_item("strategy", strategy_name(row.spec.strategy))?;
        entry.set_item("detached", row.spec.detached)?;
        entry.set_item("bundles", bundles)?;
        entry.set_item("state", state_name(row.state))?;
        entry.set_item("nodes", row.nodes.iter().map(|node| node.map(|node| node.0)).collect::<Vec<_>>())?;
        entry.set_item("created_after_ms", row.placed_after_us as f64 / 1e3)?;
        entry.set_item("attempts", row.attempts)?;
        list.append(entry)?;
    }
    Ok(list)
}

fn rows(parts: Vec<AnswerPart>) -> impl Iterator<Item = GroupRow> {
    parts.into_iter().flat_map(|part| match part {
        AnswerPart::Groups(rows) => rows,
        _ => Vec::new(),
    })
}

fn state_name(state: GroupState) -> &'static str {
    match state {
        GroupState::Pending => "PENDING",
        GroupState::Created => "CREATED",
        GroupState::Rescheduling => "RESCHEDULING",
        GroupState::Removed => "REMOVED",
    }
}

fn strategy_name(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Pack => "PACK",
        Strategy::Spread => "SPREAD",
        Strategy::StrictPack => "STRICT_PACK",
        Strategy::StrictSpread => "STRICT_SPREAD",
    }
}
