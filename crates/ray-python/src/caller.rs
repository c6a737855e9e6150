//! What happens at `f.remote(...)`: check, serialise, submit. This is the hot path of every program; it stays in Rust unless a check
//! fails or a keyword is used, and then Python decides and words the error.

use crate::arguments::{Arguments, Check};
use crate::call_options::{self, Prepared};
use crate::context;
use crate::object_ref::ObjectRef;
use crate::session;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use pyo3::{PyTraverseError, PyVisit};
use ray_client::{Client, Identity};
use ray_core::process::{ShapeId, TaskSpec};
use ray_protocol::groups;
use ray_protocol::record::flag;
use ray_protocol::value::RESOURCE_UNIT;
use ray_protocol::{CallOptions, FunctionId, Resources, TaskId};
use std::sync::{Arc, Mutex, OnceLock};

/// The callable behind `f.remote`.
#[pyclass(frozen, module = "ray._core")]
pub(crate) struct Caller {
    check: Py<Check>,
    returns: u32,
    declared: Vec<Option<Py<PyAny>>>,
    resources: Resources,
    max_retries: i32,
    /// `() -> (function id, name, pickled function)`.
    export: Py<PyAny>,
    exported: Mutex<Option<Exported>>,
    /// `() -> dict`: options that the worker must know, asked for at the first call. None: there are none.
    call_options: Option<Py<PyAny>>,
    prepared: OnceLock<Prepared>,
    /// Whether it does not say where it is to run, so that it belongs to the placement group of what calls it.
    capturable: bool,
}

/// What a cluster knows of the function. Names the membership without holding it: a function outlives many clusters.
#[derive(Clone, Copy)]
struct Exported {
    member: Identity,
    function: FunctionId,
    shape: ShapeId,
}

#[pymethods]
impl Caller {
    #[new]
    #[pyo3(signature = (*, check, declared, returns, resources, max_retries, export, call_options=None, capturable=true))]
    fn new(
        check: Py<Check>,
        declared: Vec<Option<Py<PyAny>>>,
        returns: u32,
        resources: Vec<(String, f64)>,
        max_retries: i32,
        export: Py<PyAny>,
        call_options: Option<Py<PyAny>>,
        capturable: bool,
    ) -> Self {
        let (resources, exported, prepared) = (to_resources(resources), Mutex::new(None), OnceLock::new());
        Caller { check, returns, declared, resources, max_retries, export, exported, call_options, prepared, capturable }
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let call = self.check.get().check(py, args, kwargs)?;
        let client = match session::current_if_any() {
            Some(client) => client,
            None => match session::local_mode(py)? {
                Some(local) => {
                    let function = self.export.bind(py).getattr("__self__")?;
                    return local.call_method1("submit", (function, self.returns, &call.args, call.kwargs.as_ref()));
                }
                None => session::current(py)?,
            },
        };
        let exported = self.exported(py, &client)?;
        let prepared = self.prepared.get().expect("made with the export");
        let mut arguments = Arguments::new(&client);
        let mut flags = call.flags;
        let captured = if self.capturable { context::capturing_group() } else { None };
        let captured = captured.map(|group| groups::grouped(&self.resources, &group));
        if let Some(options) = prepared.bytes(captured.as_ref()) {
            flags |= flag::OPTIONS;
            arguments.add_raw(&options);
        }
        flags |= arguments.add_call(&call.args, call.kwargs.as_ref())?;
        let spec = TaskSpec {
            function: exported.function,
            flags,
            returns: self.returns,
            arguments: arguments.count,
            body: std::mem::take(&mut arguments.body),
            inputs: std::mem::take(&mut arguments.inputs),
            nested: std::mem::take(&mut arguments.nested),
            shape: captured.map_or(exported.shape, |resources| client.shape(&resources)),
            max_retries: self.max_retries,
            parent: context::parent(py),
            shown_as: prepared.shown_as(),
        };
        let task = client.submit(spec);
        drop(arguments); // what was made for large arguments is the task's alone now
        references(py, &client, task, self.returns, &self.declared)
    }

    /// The function holds its caller, whose methods hold the function: only the garbage collector can end that.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.check)?;
        visit.call(&self.export)?;
        visit.call(&self.call_options)?;
        for declared in self.declared.iter().flatten() {
            visit.call(declared)?;
        }
        Ok(())
    }
}

impl Caller {
    /// Makes the function known to the cluster, once.
    #[inline]
    fn exported(&self, py: Python<'_>, client: &Client) -> PyResult<Exported> {
        let member = client.identity();
        let known = *self.exported.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(exported) = known.filter(|exported| exported.member == member) {
            return Ok(exported);
        }
        let (function, name, blob): (u64, String, Bound<'_, PyBytes>) = self.export.bind(py).call0()?.extract()?;
        let function = FunctionId(function);
        if self.prepared.get().is_none() {
            let mut options = match &self.call_options {
                Some(options) => call_options::from_dict(options.bind(py).call0()?.cast()?)?,
                None => CallOptions::default(),
            };
            options.resources = call_options::worth_saying(&self.resources);
            let _ = self.prepared.set(Prepared::new(options, function));
        }
        self.prepared.get().expect("just made").make_known(client);
        client.define_function(function, &name, Arc::from(blob.as_bytes()));
        let exported = Exported { shape: client.shape(&self.resources), member, function };
        *self.exported.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(exported);
        Ok(exported)
    }
}

/// What a call returns: a reference, a list of them, or None, by the number of its results.
#[inline]
pub(crate) fn references<'py>(
    py: Python<'py>,
    client: &Client,
    task: TaskId,
    returns: u32,
    declared: &[Option<Py<PyAny>>],
) -> PyResult<Bound<'py, PyAny>> {
    let reference = |index: u32| {
        let declared = declared.get(index as usize).and_then(|declared| declared.as_ref().map(|kind| kind.clone_ref(py)));
        ObjectRef::adopt(py, client.clone(), task.result(index), declared)
    };
    match returns {
        0 => Ok(py.None().into_bound(py)),
        1 => Ok(reference(0)?.into_any()),
        count => {
            let list = PyList::empty(py);
            for index in 0..count {
                list.append(reference(index)?)?;
            }
            Ok(list.into_any())
        }
    }
}

/// Amounts as Python gives them.
pub(crate) fn to_resources(amounts: Vec<(String, f64)>) -> Resources {
    Resources::new(amounts.into_iter().map(|(name, amount)| (name, (amount * RESOURCE_UNIT as f64).round().max(0.0) as u64)))
}
