//! `ray.ObjectRef`: a handle to an object, which keeps the object alive.

use crate::ids;
use crate::session;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyTuple, PyType};
use ray_client::Client;
use ray_protocol::{ClientId, ObjectId, TaskId};

/// A reference to an immutable remote object, returned by `put` and by every call of a remote function.
///
/// References are hashable, equal when they mean the same object, can be awaited, and keep the object alive wherever they travel:
/// inside arguments, results, containers. `ray.get` gives the value.
///
/// >>> ref = ray.put([1, 2, 3])
/// >>> ray.get(ref)
/// [1, 2, 3]
#[pyclass(frozen, weakref, module = "ray")]
pub(crate) struct ObjectRef {
    id: ObjectId,
    /// None for a reference that belongs to no cluster (nil, or read from bytes).
    client: Option<Client>,
    cluster: u64,
    /// The type its producer declared; the bytes it was read from where the cluster is [`FOREIGN`].
    declared: Option<Py<PyAny>>,
}

/// The cluster of references read from bytes that no cluster of ours can have made.
const FOREIGN: u64 = u64::MAX;

impl ObjectRef {
    /// A reference that takes over a claim the caller has.
    pub(crate) fn adopt(py: Python<'_>, client: Client, id: ObjectId, declared: Option<Py<PyAny>>) -> PyResult<Bound<'_, Self>> {
        let cluster = client.identity().cluster;
        let reference = Bound::new(py, Self::with(id, Some(client), cluster, declared))?;
        ray_shm::untrack(&reference);
        Ok(reference)
    }

    /// A reference whose claim, if it has a client, has been made.
    fn with(id: ObjectId, client: Option<Client>, cluster: u64, declared: Option<Py<PyAny>>) -> Self {
        ObjectRef { id, client, cluster, declared }
    }

    pub(crate) fn id(&self) -> ObjectId {
        self.id
    }

    pub(crate) fn declared(&self) -> Option<&Py<PyAny>> {
        self.declared.as_ref().filter(|_| self.cluster != FOREIGN)
    }

    /// The id, for use in `client`'s cluster.
    #[inline]
    pub(crate) fn id_in(&self, client: &Client) -> PyResult<ObjectId> {
        match &self.client {
            Some(mine) if mine.is_same(client) => Ok(self.id),
            _ => Err(self.foreign(client)),
        }
    }

    #[cold]
    fn foreign(&self, client: &Client) -> PyErr {
        if self.is_nil() {
            return PyValueError::new_err("This object reference is nil: it refers to nothing.");
        }
        if self.cluster == client.identity().cluster {
            return PyValueError::new_err(format!(
                "{} was made from its bytes alone and keeps nothing alive; it cannot be used after the object was freed.",
                self.hex()
            ));
        }
        self.of_stopped_cluster()
    }

    /// The error for a reference whose cluster is not there any more.
    #[cold]
    pub(crate) fn of_stopped_cluster(&self) -> PyErr {
        of_stopped_cluster("object reference")
    }

    /// The id, for a reference that is being written into a message or an object.
    pub(crate) fn travelling(&self, py: Python<'_>) -> PyResult<ObjectId> {
        self.id_in(&session::current(py)?)
    }

    fn bytes(&self) -> [u8; ids::OBJECT_BYTES] {
        if self.is_nil() {
            return ids::NIL;
        }
        if let (FOREIGN, Some(bytes)) = (self.cluster, &self.declared) {
            return Python::attach(|py| bytes.bind(py).extract::<[u8; ids::OBJECT_BYTES]>()).unwrap_or(ids::NIL);
        }
        ids::object_bytes(self.id, self.cluster, ids::JOB)
    }
}

/// The error for a reference, or a generator of them, whose cluster is not there any more.
#[cold]
pub(crate) fn of_stopped_cluster(what: &str) -> PyErr {
    PyValueError::new_err(format!(
        "This {what} belongs to a cluster that has been stopped (or to another one). \
         Objects live as long as their cluster; create it again with ray.put or by calling the remote function.",
    ))
}

impl Drop for ObjectRef {
    fn drop(&mut self) {
        if let Some(client) = &self.client {
            client.release(self.id);
        }
    }
}

#[pymethods]
impl ObjectRef {
    /// A reference from its 28 bytes. It keeps the object alive from now on, if it is still there.
    #[new]
    pub(crate) fn new(bytes: &[u8]) -> PyResult<Self> {
        let bytes: [u8; ids::OBJECT_BYTES] = bytes.try_into().map_err(|_| {
            PyValueError::new_err(format!("ID string needs to have length {}, got {}", ids::OBJECT_BYTES, bytes.len()))
        })?;
        let (id, cluster) = ids::parse_object(&bytes).unwrap_or_default();
        let client = session::current_if_any().filter(|client| client.identity().cluster == cluster);
        if let Some(client) = &client {
            client.retain(id);
        }
        let reference = Self::with(id, client, cluster, None);
        if reference.bytes() == bytes {
            return Ok(reference);
        }
        let kept = Python::attach(|py| PyBytes::new(py, &bytes).into_any().unbind());
        Ok(Self::with(id, None, FOREIGN, Some(kept)))
    }

    /// As the constructor.
    #[classmethod]
    fn from_binary(_class: &Bound<'_, PyType>, bytes: &[u8]) -> PyResult<Self> {
        Self::new(bytes)
    }

    /// From `hex()`.
    #[classmethod]
    fn from_hex(_class: &Bound<'_, PyType>, hex: &str) -> PyResult<Self> {
        let digit = |at: usize| hex.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (0..hex.len()).step_by(2).map(digit).collect::<Option<Vec<u8>>>() {
            Some(bytes) => Self::new(&bytes),
            None => Self::new(&ids::NIL),
        }
    }

    /// A reference to nothing anybody made, with an id of its own.
    #[classmethod]
    fn from_random(_class: &Bound<'_, PyType>) -> PyResult<Self> {
        let mut bytes = [0; ids::OBJECT_BYTES];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&crate::cluster::random()?.to_le_bytes()[..chunk.len()]);
        }
        Self::new(&bytes)
    }

    /// The reference that refers to nothing.
    #[classmethod]
    fn nil(_class: &Bound<'_, PyType>) -> PyResult<Self> {
        Self::new(&ids::NIL)
    }

    /// Bytes of an id: 28.
    #[classmethod]
    fn size(_class: &Bound<'_, PyType>) -> usize {
        ids::OBJECT_BYTES
    }

    /// The id as 28 bytes.
    fn binary<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.bytes())
    }

    /// The id as 56 hexadecimal digits.
    fn hex(&self) -> String {
        ids::hex(&self.bytes())
    }

    /// Whether it refers to nothing.
    fn is_nil(&self) -> bool {
        self.client.is_none() && self.cluster == 0
    }

    /// The type the producing function declared for it, or None.
    #[getter]
    fn declared_type(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.declared().map(|declared| declared.clone_ref(py))
    }

    /// (client, number, index): the key notices name an object by.
    #[getter]
    fn _key(&self) -> (u32, u64, u32) {
        (self.id.task.client.0, self.id.task.seq, self.id.index)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        format!("<ray.ObjRef at {:#x}>", slf.as_ptr() as usize)
    }

    fn __hash__(&self) -> u64 {
        // Finalised so that neighbouring numbers do not fall into neighbouring slots of a dict.
        let mixed =
            (self.id.task.seq ^ u64::from(self.id.task.client.0).rotate_left(40) ^ u64::from(self.id.index).rotate_left(20))
                .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ mixed >> 32
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<ObjectRef>().is_ok_and(|other| {
            let other = other.get();
            other.id == self.id && other.cluster == self.cluster && (self.cluster != FOREIGN || other.bytes() == self.bytes())
        })
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let py = slf.py();
        imported(py, &NOTE, "ray.serialization", "note_reference")?.call1((slf,))?;
        let this = slf.get();
        if this.cluster == FOREIGN {
            return PyTuple::new(py, [slf.get_type().into_any(), (PyBytes::new(py, &this.bytes()),).into_pyobject(py)?.into_any()]);
        }
        if let Some(client) = &this.client {
            client.share(this.id);
        }
        let rebuild = imported(py, &REBUILD, "ray._core", "rebuild_reference")?;
        let id = (this.id.task.client.0, this.id.task.seq, this.id.index, this.cluster);
        let declared = this.declared.as_ref().map(|declared| declared.clone_ref(py));
        (rebuild.clone(), (id, declared)).into_pyobject(py)
    }

    fn __await__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        py.import("ray.awaiting")?.getattr("as_future")?.call1((slf,))?.call_method0("__await__")
    }

    /// A `concurrent.futures.Future` of the value.
    fn future<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("ray.awaiting")?.getattr("as_concurrent_future")?.call1((slf,))
    }

    /// An `asyncio.Future` of the value, in the running loop.
    #[pyo3(signature = (_internal=false))]
    fn as_future<'py>(slf: &Bound<'py, Self>, _internal: bool) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("ray.awaiting")?.getattr("as_future")?.call1((slf,))
    }

    /// Calls `callback(value or exception)` from a background thread when the object exists.
    fn _on_completed<'py>(slf: &Bound<'py, Self>, callback: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("ray.awaiting")?.getattr("on_completed")?.call1((slf, callback))
    }

    /// Calls `callback()` from a background thread when the object exists; it may have failed.
    fn _on_ready<'py>(slf: &Bound<'py, Self>, callback: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("ray.notices")?.getattr("when_ready")?.call1((slf, callback))
    }

    /// The id of the task the object comes from.
    fn task_id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("ray.ids")?.getattr("TaskID")?.call1((PyBytes::new(py, &self.bytes()[..ids::TASK_BYTES]),))
    }

    /// The id of the job the object was made in.
    fn job_id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("ray.ids")?.getattr("JobID")?.call1((PyBytes::new(py, &self.bytes()[20..ids::TASK_BYTES]),))
    }

    /// Bytes that name the process the object belongs to; none for a reference that is of no cluster.
    fn owner_address<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let bytes = self.bytes();
        PyBytes::new(py, if self.client.is_some() { &bytes[8..20] } else { &[] })
    }

    /// Where the reference was made: not recorded, hence empty.
    fn call_site(&self) -> &'static str {
        ""
    }

    /// How tensors of the object travel: None, as every value does.
    fn tensor_transport(&self) {}

    #[classmethod]
    fn __class_getitem__<'py>(class: &Bound<'py, PyType>, item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        class.py().import("types")?.getattr("GenericAlias")?.call1((class, item))
    }
}

static NOTE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static REBUILD: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// A function of a module, looked up once: an object may hold ten thousand references.
fn imported<'py>(
    py: Python<'py>,
    cell: &'static PyOnceLock<Py<PyAny>>,
    module: &str,
    name: &str,
) -> PyResult<&'py Bound<'py, PyAny>> {
    Ok(cell.get_or_try_init(py, || py.import(module)?.getattr(name).map(Bound::unbind))?.bind(py))
}

/// Unpickles a reference.
#[pyfunction]
pub(crate) fn rebuild_reference(
    py: Python<'_>,
    id: (u32, u64, u32, u64),
    declared: Option<Py<PyAny>>,
) -> PyResult<Bound<'_, ObjectRef>> {
    let (client, seq, index, cluster) = id;
    let id = TaskId { client: ClientId(client), seq }.result(index);
    if cluster == 0 {
        return Bound::new(py, ObjectRef::with(id, None, cluster, declared));
    }
    let Some(client) = session::current_if_any() else {
        if let Some(local) = session::local_mode(py)? {
            return Ok(local.call_method1("reference_of", (seq, index))?.cast_into()?);
        }
        return Err(PyTypeError::new_err(
            "An object reference can only be unpickled in a process that uses ray. Call ray.init() first.",
        ));
    };
    if client.identity().cluster != cluster {
        return Bound::new(py, ObjectRef::with(id, None, cluster, declared));
    }
    client.retain(id);
    Bound::new(py, ObjectRef::with(id, Some(client), cluster, declared))
}
