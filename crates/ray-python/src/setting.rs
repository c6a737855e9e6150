//! What a task with options runs in: its name, its time limit, environment variables, GPUs.

use crate::context;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use ray_client::{Client, Incoming};
use ray_protocol::groups;
use ray_protocol::value::RESOURCE_UNIT;
use ray_protocol::{CallOptions, Resources};
use std::sync::Mutex;

/// What the running task holds, when it is not the default.
static HELD: Mutex<Option<Resources>> = Mutex::new(None);

/// What the task that runs here holds by name; None when it holds what tasks hold by default.
#[pyfunction]
pub(crate) fn held_resources(py: Python<'_>) -> PyResult<Option<Bound<'_, PyDict>>> {
    let held = HELD.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
    let Some(held) = held else { return Ok(None) };
    let dict = PyDict::new(py);
    for (name, amount) in groups::plain(&held).iter() {
        dict.set_item(name, amount as f64 / RESOURCE_UNIT as f64)?;
    }
    Ok(Some(dict))
}

/// Something that was set up for a task and is undone after it.
pub(crate) struct Setting<'py> {
    undo: Option<Bound<'py, PyAny>>,
    holds: bool,
    in_group: bool,
}

/// Sets up what a task asks for.
pub(crate) fn begin<'py>(
    py: Python<'py>,
    client: &Client,
    task: &Incoming,
    options: &CallOptions,
    name: &str,
) -> PyResult<Setting<'py>> {
    let mut setting = Setting { undo: None, holds: false, in_group: false };
    let (mut cpus, mut devices) = (1, None);
    if let Some(resources) = &options.resources {
        cpus = groups::amount_of(resources, "CPU") / RESOURCE_UNIT;
        devices = (groups::amount_of(resources, "GPU") > 0).then(|| client.devices(task.from));
        hold(Some(resources.clone()));
        setting.holds = true;
        if let Some(group) = groups::group_of(resources) {
            context::enter_group(Some(group.to_owned()), options.captures);
            setting.in_group = true;
        }
    }
    if !options.environment.is_empty() || devices.is_some() || cpus > 1 {
        let begin = py.import("ray.task_setting")?.getattr("begin")?;
        setting.undo = Some(begin.call1((options.environment.clone(), devices, cpus))?);
        context::inherit_environment(options.environment.clone());
    }
    if options.timeout_us > 0 {
        client.limit(task, name, options);
    }
    Ok(setting)
}

impl Setting<'_> {
    /// Undoes it.
    pub(crate) fn end(self) {
        if let Some(undo) = self.undo {
            context::inherit_environment(Vec::new());
            // A late interrupt may hit it; undoing what is undone changes nothing.
            if undo.call0().is_err() {
                let _ = undo.call0();
            }
        }
        if self.holds {
            hold(None);
        }
        if self.in_group {
            context::enter_group(None, false);
        }
    }
}

fn hold(resources: Option<Resources>) {
    *HELD.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = resources;
}
