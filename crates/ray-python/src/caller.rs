//! What happens at `f.remote(...)`: check, serialise, submit. This is the hot path of every program; it stays in Rust unless a check
//! fails or a keyword is used, and then Python decides and words the error.

use crate::arguments::{Arguments, Check};
use crate::call_options::{self, Prepared};
use crate::context;
use crate::generator::ObjectRefGenerator;
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
    declared: Vec<Option<Py<PyAny>>>,
    resources: Resources,
    max_retries: i32,
    results: Results,
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
    #[pyo3(signature = (
        *, check, declared, returns, resources, max_retries, export, call_options=None, capturable=true, results="fixed", most_untaken=0
    ))]
    fn new(
        check: Py<Check>,
        declared: Vec<Option<Py<PyAny>>>,
        returns: u32,
        resources: Vec<(String, f64)>,
        max_retries: i32,
        export: Py<PyAny>,
        call_options: Option<Py<PyAny>>,
        capturable: bool,
        results: &str,
        most_untaken: u32,
    ) -> Self {
        let results = Results::new(results, returns, most_untaken);
        let (resources, exported, prepared) = (to_resources(resources), Mutex::new(None), OnceLock::new());
        Caller { check, declared, resources, max_retries, results, export, exported, call_options, prepared, capturable }
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
                    return local.call_method1("submit", (function, self.results.returns, &call.args, call.kwargs.as_ref()));
                }
                None => session::current(py)?,
            },
        };
        let exported = self.exported(py, &client)?;
        let prepared = self.prepared.get().expect("made with the export");
        let mut arguments = Arguments::new(&client);
        let mut flags = call.flags | self.results.flags();
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
            returns: self.results.returns,
            limited: self.results.is_limited,
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
        references(py, &client, task, self.results, &self.declared)
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
            let _ = self.prepared.set(Prepared::new(self.results.asked_of(options), function));
        }
        self.prepared.get().expect("just made").make_known(client);
        client.define_function(function, &name, Arc::from(blob.as_bytes()));
        let exported = Exported { shape: client.shape(&self.resources), member, function };
        *self.exported.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(exported);
        Ok(exported)
    }
}

/// What results a call has.
#[derive(Clone, Copy)]
pub(crate) struct Results {
    pub(crate) returns: u32,
    pub(crate) is_stream: bool,
    /// Of a stream: it waits for its consumer.
    pub(crate) is_limited: bool,
    /// The one result is a list of references.
    pub(crate) is_dynamic: bool,
    most_untaken: u32,
}

impl Results {
    /// `results` is "fixed", "streaming" or "dynamic".
    pub(crate) fn new(results: &str, returns: u32, most_untaken: u32) -> Self {
        let is_stream = results == "streaming";
        let most_untaken = if is_stream { most_untaken } else { 0 };
        Results { returns, is_stream, is_limited: most_untaken > 0, is_dynamic: results == "dynamic", most_untaken }
    }

    /// What a call asks of its worker, its results included.
    pub(crate) fn asked_of(self, options: CallOptions) -> CallOptions {
        CallOptions { most_untaken: self.most_untaken, dynamic: self.is_dynamic, ..options }
    }

    /// What the task's record must say of it.
    pub(crate) fn flags(self) -> u8 {
        if self.is_stream { flag::STREAM } else { 0 }
    }
}

/// What a call returns: a generator, or by the number of its results a reference, a list of them, or None.
#[inline]
pub(crate) fn references<'py>(
    py: Python<'py>,
    client: &Client,
    task: TaskId,
    results: Results,
    declared: &[Option<Py<PyAny>>],
) -> PyResult<Bound<'py, PyAny>> {
    if results.is_stream {
        let declared = declared.first().and_then(|declared| declared.as_ref().map(|kind| kind.clone_ref(py)));
        return Ok(Bound::new(py, ObjectRefGenerator::adopt(client.clone(), task, declared))?.into_any());
    }
    let reference = |index: u32| {
        let declared = declared.get(index as usize).and_then(|declared| declared.as_ref().map(|kind| kind.clone_ref(py)));
        ObjectRef::adopt(py, client.clone(), task.result(index), declared)
    };
    match results.returns {
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
