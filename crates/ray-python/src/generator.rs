//! `ray.ObjectRefGenerator`: what a call returns whose results come one by one.

use crate::errors;
use crate::ids;
use crate::object_ref::{ObjectRef, of_stopped_cluster};
use crate::objects::deadline;
use crate::session::{self, signal_pending};
use pyo3::exceptions::{PyNotImplementedError, PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};
use ray_client::{Client, WaitEnd};
use ray_core::process::NextItem;
use ray_protocol::{ObjectId, TaskId};

/// References to what a generator function yields, each as soon as it has been yielded: the function goes on meanwhile.
///
/// If the function raises, or its worker is lost, one more reference follows, and `ray.get` of it raises. Items that nobody took are
/// freed with the generator; the function runs on regardless, unless it was told to wait for its consumer
/// (`_generator_backpressure_num_objects`): then it ends. Works with `for` and with `async for`.
///
/// >>> @ray.remote
/// ... def squares(n):
/// ...     for i in range(n):
/// ...         yield i * i
/// >>> [ray.get(ref) for ref in squares.remote(4)]
/// [0, 1, 4, 9]
#[pyclass(frozen, weakref, module = "ray")]
pub(crate) struct ObjectRefGenerator {
    client: Client,
    stream: TaskId,
    /// The type declared for each item.
    declared: Option<Py<PyAny>>,
}

/// What was found when looking for the next item.
enum Found<'py> {
    Reference(Bound<'py, ObjectRef>),
    NotYet,
    End,
}

impl ObjectRefGenerator {
    /// Takes over a stream that was just opened.
    pub(crate) fn adopt(client: Client, stream: TaskId, declared: Option<Py<PyAny>>) -> Self {
        ObjectRefGenerator { client, stream, declared }
    }

    /// The object that exists as soon as something follows; the caller has a claim on it.
    pub(crate) fn awaited<'py>(&self, py: Python<'py>, client: &Client) -> PyResult<Bound<'py, ObjectRef>> {
        self.check_in(client)?;
        ObjectRef::adopt(py, client.clone(), client.awaited_item(self.stream).unwrap_or_default(), None)
    }

    fn check_in(&self, client: &Client) -> PyResult<()> {
        if self.client.is_same(client) { Ok(()) } else { Err(of_stopped_cluster("generator")) }
    }

    pub(crate) fn current(&self) -> PyResult<Client> {
        let client = session::current_if_any().ok_or_else(|| of_stopped_cluster("generator"))?;
        self.check_in(&client)?;
        Ok(client)
    }

    fn look<'py>(&self, py: Python<'py>, client: &Client) -> PyResult<Found<'py>> {
        let reference = |object: ObjectId, declared: Option<&Py<PyAny>>| {
            let declared = declared.map(|declared| declared.clone_ref(py));
            ObjectRef::adopt(py, client.clone(), object, declared).map(Found::Reference)
        };
        match client.next_item(self.stream) {
            NextItem::Item(object) => reference(object, self.declared.as_ref()),
            NextItem::Failure(object) => reference(object, None),
            NextItem::NotYet => Ok(Found::NotYet),
            NextItem::End => Ok(Found::End),
        }
    }

    /// The next reference; None at the end; nil when the time is over.
    fn next_within<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Option<Bound<'py, ObjectRef>>> {
        let client = self.current()?;
        let deadline = deadline(timeout);
        loop {
            match self.look(py, &client)? {
                Found::Reference(reference) => return Ok(Some(reference)),
                Found::End => return Ok(None),
                Found::NotYet => {}
            }
            // Claimed while waiting: another thread may take the item.
            let awaited = self.awaited(py, &client)?;
            let objects = [awaited.get().id()];
            let (_, end) = py.detach(|| client.wait_for_objects(&objects, 1, deadline, &mut signal_pending));
            match end {
                WaitEnd::Ready => {}
                WaitEnd::TimedOut => return Bound::new(py, ObjectRef::new(&ids::NIL)?).map(Some),
                end => return Err(errors::wait_end(py, end, None)),
            }
        }
    }
}

impl Drop for ObjectRefGenerator {
    fn drop(&mut self) {
        self.client.drop_stream(self.stream);
    }
}

#[pymethods]
impl ObjectRefGenerator {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, ObjectRef>>> {
        self.next_within(py, None)
    }

    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __anext__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("ray.generators")?.getattr("next_async")?.call1((slf,))
    }

    /// The next reference, waiting up to so many seconds for it (None: as long as it takes).
    ///
    /// Returns the nil reference when the time is over. Raises StopIteration at the end.
    #[pyo3(signature = (timeout_s=None))]
    fn _next_sync<'py>(&self, py: Python<'py>, timeout_s: Option<f64>) -> PyResult<Bound<'py, ObjectRef>> {
        self.next_within(py, timeout_s)?.ok_or_else(|| PyStopIteration::new_err(()))
    }

    /// As `_next_sync`, to be awaited. Raises StopAsyncIteration at the end.
    #[pyo3(signature = (timeout_s=None))]
    fn _next_async<'py>(slf: &Bound<'py, Self>, timeout_s: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("ray.generators")?.getattr("next_async")?.call1((slf, timeout_s))
    }

    /// Without waiting: (the next reference or None, whether this is the end).
    fn _try_next<'py>(&self, py: Python<'py>) -> PyResult<(Option<Bound<'py, ObjectRef>>, bool)> {
        let client = self.current()?;
        Ok(match self.look(py, &client)? {
            Found::Reference(reference) => (Some(reference), false),
            Found::NotYet => (None, false),
            Found::End => (None, true),
        })
    }

    /// A reference that exists as soon as something follows, an item, a failure or the end. Its value means nothing.
    fn _get_next_ref<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, ObjectRef>> {
        self.awaited(py, &self.current()?)
    }

    /// A reference that exists once the function has ended: its value is None, or `ray.get` raises what the function raised.
    fn completed<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, ObjectRef>> {
        let (client, object) = (self.current()?, self.stream.result(0));
        client.retain(object);
        ObjectRef::adopt(py, client, object, None)
    }

    #[getter]
    fn _generator_ref<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, ObjectRef>> {
        self.completed(py)
    }

    /// Whether `next` would return a reference at once. False at the end.
    fn next_ready(&self, py: Python<'_>) -> PyResult<bool> {
        let client = self.current()?;
        let awaited = self.awaited(py, &client)?;
        Ok(!client.is_exhausted(self.stream) && client.try_value(awaited.get().id()).is_some())
    }

    /// Whether the function has ended and every reference was taken.
    fn is_finished(&self) -> PyResult<bool> {
        Ok(self.current()?.is_exhausted(self.stream))
    }

    #[pyo3(signature = (*_args))]
    fn send(&self, _args: &Bound<'_, PyTuple>) -> PyResult<()> {
        Err(not_possible("send"))
    }

    #[pyo3(signature = (*_args))]
    fn throw(&self, _args: &Bound<'_, PyTuple>) -> PyResult<()> {
        Err(not_possible("throw"))
    }

    fn close(&self) -> PyResult<()> {
        Err(not_possible("close"))
    }

    #[pyo3(signature = (*_args))]
    fn asend(&self, _args: &Bound<'_, PyTuple>) -> PyResult<()> {
        Err(not_possible("asend"))
    }

    #[pyo3(signature = (*_args))]
    fn athrow(&self, _args: &Bound<'_, PyTuple>) -> PyResult<()> {
        Err(not_possible("athrow"))
    }

    fn aclose(&self) -> PyResult<()> {
        Err(not_possible("aclose"))
    }

    fn __repr__(&self) -> String {
        format!(
            "ObjectRefGenerator({})",
            ids::hex(&ids::object_bytes(self.stream.result(0), self.client.identity().cluster, ids::JOB))
        )
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "You cannot return or pass a generator to other task. Serializing a ObjectRefGenerator is not allowed: \
             only the process that made the call takes its items. Pass the references it yields, or a list of them.",
        ))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.declared.iter().try_for_each(|declared| visit.call(declared))
    }

    #[classmethod]
    fn __class_getitem__<'py>(class: &Bound<'py, PyType>, item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        class.py().import("types")?.getattr("GenericAlias")?.call1((class, item))
    }
}

fn not_possible(what: &str) -> PyErr {
    PyNotImplementedError::new_err(format!(
        "`gen.{what}` is not supported: the function runs in another process and hears nothing of its consumer. \
         ray.cancel(gen) stops it."
    ))
}
