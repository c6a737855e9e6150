//! One execution of a task or of an actor's call: its arguments opened, the callable called, its results or its failure written.

use crate::codec;
use crate::object_ref::ObjectRef;
use crate::stream;
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use ray_client::{Client, Incoming};
use ray_protocol::record::{self, Argument, BodyReader, TaskHeader, flag};
use ray_protocol::{Failure, ObjectId, Value};
use std::sync::Arc;
use std::time::Instant;

/// A function or method, loaded.
pub(crate) struct Loaded {
    pub(crate) callable: Py<PyAny>,
    /// The name users see.
    pub(crate) name: Arc<str>,
    /// Whether it was declared with types: a reference it returns stands for its value, and arguments may have to be checked.
    pub(crate) typed: bool,
    /// Classes of the results, when a pointer comparison per result is all the checking there is.
    pub(crate) return_plain: Option<Vec<Option<Py<PyType>>>>,
    /// `(args, kwargs)`: raises TypeError.
    pub(crate) check_arguments: Py<PyAny>,
    /// `(value, returns) -> tuple` of that many results: raises ValueError or TypeError.
    pub(crate) split: Py<PyAny>,
    /// Of a generator whose items are of a declared type: `(item, index)`, raises TypeError.
    pub(crate) check_item: Option<Py<PyAny>>,
}

/// The arguments of a call, opened.
pub(crate) struct Opened<'py> {
    args: Bound<'py, PyTuple>,
    kwargs: Option<Bound<'py, PyDict>>,
}

/// Opens arguments. `read` tells what an argument by reference stands for.
pub(crate) fn open<'py>(
    py: Python<'py>,
    client: &Client,
    header: &TaskHeader,
    body: &[u8],
    read: impl Fn(ObjectId) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Opened<'py>> {
    let mut values = Vec::with_capacity(header.arguments as usize);
    let mut reader = BodyReader::new(body, header.arguments);
    if header.flags & flag::OPTIONS != 0 {
        let _ = reader.next_argument();
    }
    while let Some(argument) = reader.next_argument() {
        let value = match argument.map_err(|error| PyRuntimeError::new_err(error.to_string()))? {
            Argument::Inline(bytes) => codec::decode_inline(py, bytes)?,
            Argument::Stored(object, location) => codec::decode(py, client, object, &Value::Stored(location))?,
            Argument::Reference(object) => read(object)?,
        };
        values.push(value);
    }
    if header.flags & flag::KEYWORDS == 0 {
        return Ok(Opened { args: PyTuple::new(py, values)?, kwargs: None });
    }
    let kwargs = PyDict::new(py);
    let names: String = values.pop().map(|names| names.extract()).transpose()?.unwrap_or_default();
    let names: Vec<&str> = names.split('\0').collect();
    let first = values.len().saturating_sub(names.len());
    for (name, value) in names.into_iter().zip(values.drain(first..)) {
        kwargs.set_item(name, value)?;
    }
    Ok(Opened { args: PyTuple::new(py, values)?, kwargs: Some(kwargs) })
}

impl<'py> Opened<'py> {
    /// Positional and keyword arguments.
    pub(crate) fn into_parts(self, py: Python<'py>) -> (Bound<'py, PyTuple>, Bound<'py, PyDict>) {
        (self.args, self.kwargs.unwrap_or_else(|| PyDict::new(py)))
    }
}

/// Opens the arguments of a task and calls its function.
#[inline]
pub(crate) fn call<'py>(py: Python<'py>, client: &Client, loaded: &Loaded, task: &Incoming) -> PyResult<Bound<'py, PyAny>> {
    let unresolved = |_| Err(PyRuntimeError::new_err("an argument was not resolved before it was sent"));
    let opened = open(py, client, &task.header, &task.body, unresolved)?;
    let callable = loaded.callable.bind(py);
    if task.header.flags & flag::CHECK != 0 {
        let (args, kwargs) = opened.into_parts(py);
        loaded.check_arguments.bind(py).call1((&args, &kwargs))?;
        return callable.call(args, Some(&kwargs));
    }
    match opened.kwargs {
        None => callable.call1(opened.args),
        Some(kwargs) => callable.call(opened.args, Some(&kwargs)),
    }
}

/// Writes the record of a task's results: those in `value`.
pub(crate) fn write_results<'py>(
    py: Python<'py>,
    client: &Client,
    loaded: &Loaded,
    task: &Incoming,
    value: Bound<'py, PyAny>,
    began: Instant,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    if task.header.is_stream() {
        return stream::run(py, client, loaded, task, value, began, out);
    }
    let value = if task.options().is_some_and(|options| options.dynamic) {
        stream::collect(py, client, &loaded.name, &value)?
    } else {
        value
    };
    let value = if loaded.typed { follow(py, value)? } else { value };
    if task.header.returns == 1 && fits(loaded, &value) {
        let run_time = micros(began);
        record::write_result_header(out, task.header.seq, 0, 1, false, run_time);
        let begin = out.len();
        out.extend_from_slice(&[record::tag::INLINE, 0, 0, 0, 0]);
        if codec::encode_plain(&value, out) {
            let length = (out.len() - begin - 5) as u32;
            out[begin + 1..begin + 5].copy_from_slice(&length.to_le_bytes());
            return Ok(());
        }
        if !stream::is_generator(&value) {
            out.truncate(begin);
            return write_value(py, client, task.task().result(0), &value, out);
        }
        out.clear();
    }
    if task.header.returns > 0 && !loaded.typed && stream::is_generator(&value) {
        return stream::write_fixed(py, client, loaded, task, &value, began, out);
    }
    let results = loaded.split.bind(py).call1((value, task.header.returns))?;
    let results = results.cast::<PyTuple>()?;
    record::write_result_header(out, task.header.seq, 0, task.header.returns, false, micros(began));
    for (index, value) in (0..).zip(results.iter()) {
        let value = if loaded.typed { follow(py, value)? } else { value };
        write_value(py, client, task.task().result(index), &value, out)?;
    }
    Ok(())
}

pub(crate) fn write_value(
    py: Python<'_>,
    client: &Client,
    object: ObjectId,
    value: &Bound<'_, PyAny>,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    let encoded = codec::encode(value, "return value")?;
    let inner = encoded.inner.clone();
    let value = encoded.into_value(py, client, object)?;
    if !inner.is_empty() {
        client.result_contains(object, &inner);
    }
    record::write_result_value(out, &value, !inner.is_empty());
    Ok(())
}

/// In the typed dialect a task may return a reference; its result is then the value behind it.
pub(crate) fn follow<'py>(py: Python<'py>, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if value.is_exact_instance_of::<ObjectRef>() { crate::objects::get(py, &value, None) } else { Ok(value) }
}

/// The failure an exception becomes; `cancelled` when it is how a cancelled task ended.
pub(crate) fn failure(py: Python<'_>, name: &str, error: &PyErr, cancelled: bool) -> Value {
    if cancelled {
        return Failure::Cancelled { function: name.to_owned() }.into_value();
    }
    let written = pickled(py, name, error).or_else(|second| {
        // The interrupt of a cancel may come just now: it concerns the task, which has ended, not this.
        if second.is_instance_of::<PyKeyboardInterrupt>(py) { pickled(py, name, error) } else { Err(second) }
    });
    match written {
        Ok(bytes) => Failure::Raised(bytes).into_value(),
        Err(second) => {
            let reason = format!("{name} raised {error}, and that could not be told: {second}");
            Failure::Lost { object: ObjectId::default(), reason }.into_value()
        }
    }
}

/// An exception as the `RayTaskError` that callers get, pickled.
pub(crate) fn pickled(py: Python<'_>, name: &str, error: &PyErr) -> PyResult<Vec<u8>> {
    // Before 3.12 the interpreter keeps the traceback beside the exception, not in it.
    error.value(py).setattr("__traceback__", error.traceback(py))?;
    let dump = py.import("ray.worker_main")?.getattr("dump_failure")?;
    dump.call1((error.value(py), name))?.extract()
}

/// Whether a single result needs no more checking than a look at its class.
#[inline]
fn fits(loaded: &Loaded, value: &Bound<'_, PyAny>) -> bool {
    match &loaded.return_plain {
        Some(classes) => match classes.as_slice() {
            [None] => true,
            [Some(class)] => value.get_type().is(class),
            _ => false,
        },
        None => false,
    }
}

pub(crate) fn micros(began: Instant) -> u32 {
    began.elapsed().as_micros().min(u128::from(u32::MAX)) as u32
}
