//! `put`, `get`, `wait`, `cancel` and readiness, as Python calls them.

use crate::codec;
use crate::errors;
use crate::object_ref::ObjectRef;
use crate::session::{self, signal_pending};
use hashbrown::{HashMap, HashSet};
use pyo3::exceptions::{PyException, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;
use ray_client::{Client, Collector, WaitEnd};
use ray_protocol::{Bytes, ObjectId, TaskId, Value};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Stores a value, returns a reference to it.
#[pyfunction]
pub(crate) fn put<'py>(py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, ObjectRef>> {
    let client = session::current(py)?;
    let mut plain = Bytes::new();
    if codec::encode_plain(value, &mut plain) {
        let object = client.put_inline(plain, &[]);
        return ObjectRef::adopt(py, client, object, None);
    }
    if value.is_exact_instance_of::<ObjectRef>() {
        return Err(PyTypeError::new_err(
            "Calling 'put' on an ray.ObjectRef is not allowed: it already refers to a stored object. Pass the reference itself, \
             or put it inside a list to store the reference as a value.",
        ));
    }
    let encoded = codec::encode(value, "put value")?;
    let object = put_encoded(py, &client, encoded)?;
    ObjectRef::adopt(py, client, object, None)
}

/// Stores a serialised value; the caller gets the first claim on the object.
pub(crate) fn put_encoded<'py>(py: Python<'py>, client: &Client, encoded: codec::Encoded<'py>) -> PyResult<ObjectId> {
    let inner = encoded.inner.clone();
    let seq = client.with_process(|process| process.take_seq());
    let object = TaskId { client: client.identity().client, seq }.result(0);
    let value = encoded.into_value(py, client, object)?;
    client.with_process(|process| process.put_as(object, value, &inner));
    Ok(object)
}

/// The value of a reference, or the values of a list of them. `timeout` in seconds; None waits for ever.
#[pyfunction]
#[pyo3(signature = (refs, timeout=None))]
pub(crate) fn get<'py>(py: Python<'py>, refs: &Bound<'py, PyAny>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
    if let Ok(reference) = refs.cast_exact::<ObjectRef>() {
        let client = session::current_for(reference.get())?;
        let object = reference.get().id_in(&client)?;
        let value = match client.try_value(object) {
            Some(value) => value,
            None => wait_for(py, &client, &[object], timeout)?.pop().expect("one value per object"),
        };
        return open(py, &client, object, &value);
    }
    let Ok(list) = refs.cast::<PyList>() else {
        return Err(PyValueError::new_err(format!(
            "Invalid type of object refs, {}, is given. 'object_refs' must either be an ObjectRef or a list of ObjectRefs.",
            refs.get_type()
        )));
    };
    let client = current_of_list(py, list)?;
    let objects = ids_of(list, &client, "get")?;
    let values = wait_for(py, &client, &objects, timeout)?;
    let out = PyList::empty(py);
    // A failure anywhere is raised, also when values before it could not be opened any more.
    if let Some(Value::Failed(bytes)) = values.iter().find(|value| matches!(value, Value::Failed(_))) {
        return Err(errors::failure(py, bytes));
    }
    for (object, value) in objects.iter().zip(&values) {
        out.append(open(py, &client, *object, value)?)?;
    }
    Ok(out.into_any())
}

/// A value as `get` gives it: an error of the engine that was stored is raised, for whoever stored it had met it.
#[inline]
fn open<'py>(py: Python<'py>, client: &Client, object: ObjectId, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    let value = codec::decode(py, client, object, value)?;
    if value.is_instance_of::<PyException>() { errors::raise_if_of_engine(value) } else { Ok(value) }
}

fn current_of_list(py: Python<'_>, list: &Bound<'_, PyList>) -> PyResult<Client> {
    match list.get_item(0) {
        Ok(first) => match first.cast_exact::<ObjectRef>() {
            Ok(reference) => session::current_for(reference.get()),
            Err(_) => session::current(py),
        },
        Err(_) => session::current(py),
    }
}

fn ids_of(list: &Bound<'_, PyList>, client: &Client, verb: &str) -> PyResult<Vec<ObjectId>> {
    list.iter()
        .map(|item| match item.cast_exact::<ObjectRef>() {
            Ok(reference) => reference.get().id_in(client),
            Err(_) => Err(PyTypeError::new_err(format!(
                "Attempting to call `{verb}` on the value {}, which is not an ray.ObjectRef.",
                short_repr(&item)
            ))),
        })
        .collect()
}

fn short_repr(value: &Bound<'_, PyAny>) -> String {
    let text = value.repr().map(|text| text.to_string()).unwrap_or_else(|_| String::from("<no repr>"));
    if text.chars().count() > 100 { text.chars().take(100).chain("…".chars()).collect() } else { text }
}

/// Waits for the values of objects; returns early with what is there once one of them has failed.
fn wait_for(py: Python<'_>, client: &Client, objects: &[ObjectId], timeout: Option<f64>) -> PyResult<Vec<Value>> {
    let deadline = deadline(timeout);
    let end = py.detach(|| client.wait_for_all_or_failure(objects, deadline, &mut signal_pending));
    match end {
        Ok(values) => Ok(values),
        Err(WaitEnd::TimedOut) => {
            let text = "Get timed out: some object(s) not ready.";
            Err(errors::wait_end(py, WaitEnd::TimedOut, Some(text)))
        }
        Err(end) => Err(errors::wait_end(py, end, None)),
    }
}

/// None, a negative number, or what overflows means for ever.
fn deadline(timeout: Option<f64>) -> Option<Instant> {
    let seconds = timeout.filter(|seconds| *seconds >= 0.0)?;
    Instant::now().checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}

/// Splits references into those whose objects exist, at most `num_returns`, and the others; both in input order.
#[pyfunction]
pub(crate) fn wait<'py>(
    py: Python<'py>,
    refs: &Bound<'py, PyList>,
    num_returns: usize,
    timeout: Option<f64>,
) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyList>)> {
    let client = current_of_list(py, refs)?;
    let mut objects = Vec::with_capacity(refs.len());
    let mut fingerprint = Fingerprint::default();
    // A tuple, because its items can be looked at without counting a reference to each.
    for item in refs.to_tuple().iter_borrowed() {
        let reference = item
            .cast_exact::<ObjectRef>()
            .map_err(|_| PyTypeError::new_err("wait() expected a list of ray.ObjectRef: an element is something else."))?;
        let object = reference.get().id_in(&client)?;
        fingerprint.add(object);
        objects.push(object);
    }
    if !fingerprint.is_known() {
        let distinct: HashSet<ObjectId> = objects.iter().copied().collect();
        if distinct.len() != objects.len() {
            return Err(PyValueError::new_err("Wait requires a list of unique ray_waitables."));
        }
    }
    let deadline = deadline(timeout);
    let (ready_at, end) = py.detach(|| client.wait_for_objects(&objects, num_returns, deadline, &mut signal_pending));
    match end {
        WaitEnd::Ready | WaitEnd::TimedOut => {}
        other => return Err(errors::wait_end(py, other, None)),
    }
    // Between the ready ones the rest is copied in runs, at the speed of a list slice.
    let (ready, mut rest) = (PyList::empty(py), None::<Bound<'py, PyList>>);
    let mut from = 0;
    for at in ready_at.into_iter().chain([objects.len()]) {
        if from < at {
            let run = refs.get_slice(from, at);
            match &rest {
                Some(rest) => drop(rest.as_sequence().in_place_concat(run.as_sequence())?),
                None => rest = Some(run),
            }
        }
        if at < objects.len() {
            ready.append(refs.get_item(at)?)?;
            fingerprint.remove(objects[at]);
        }
        from = at + 1;
    }
    fingerprint.remember();
    Ok((ready, rest.unwrap_or_else(|| PyList::empty(py))))
}

/// A digest of some objects, in whatever order. The rest that `wait` returns usually comes back in the next call: it was distinct then, and to
/// know that again must not cost a hash table of all of it.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Fingerprint {
    length: usize,
    digest: u64,
}

static KNOWN_DISTINCT: Mutex<[Fingerprint; 8]> = Mutex::new([Fingerprint { length: 0, digest: 0 }; 8]);

impl Fingerprint {
    #[inline]
    fn digest(object: ObjectId) -> u64 {
        let word = object.task.seq ^ u64::from(object.task.client.0) << 40 ^ u64::from(object.index) << 52;
        let once = (word ^ word >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (once ^ once >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }

    #[inline]
    fn add(&mut self, object: ObjectId) {
        self.length += 1;
        self.digest = self.digest.wrapping_add(Self::digest(object));
    }

    fn remove(&mut self, object: ObjectId) {
        self.length -= 1;
        self.digest = self.digest.wrapping_sub(Self::digest(object));
    }

    fn is_known(self) -> bool {
        KNOWN_DISTINCT.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).contains(&self)
    }

    fn remember(self) {
        let mut known = KNOWN_DISTINCT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        known.rotate_right(1);
        known[0] = self;
    }
}

/// Hands out references as their objects come to exist; behind `ray.as_completed`.
#[pyclass(frozen, module = "ray._core")]
pub(crate) struct Completion {
    collector: Collector,
    /// References not handed out yet; the same object may be there more than once.
    left: Mutex<HashMap<ObjectId, Vec<Py<ObjectRef>>>>,
}

#[pymethods]
impl Completion {
    #[new]
    fn new(py: Python<'_>, refs: &Bound<'_, PyList>) -> PyResult<Self> {
        let client = current_of_list(py, refs)?;
        let objects = ids_of(refs, &client, "as_completed")?;
        let mut left: HashMap<ObjectId, Vec<Py<ObjectRef>>> = HashMap::with_capacity(objects.len());
        let mut distinct = Vec::with_capacity(objects.len());
        for (object, reference) in objects.into_iter().zip(refs.iter()) {
            let same = left.entry(object).or_default();
            if same.is_empty() {
                distinct.push(object);
            }
            same.push(reference.cast_into_exact::<ObjectRef>()?.unbind());
        }
        Ok(Completion { collector: client.collect(distinct), left: Mutex::new(left) })
    }

    /// Those that came since the last call, at least one; none when the time in seconds is over. None waits for ever.
    fn take(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Vec<Py<ObjectRef>>> {
        let deadline = deadline(timeout);
        let came = match py.detach(|| self.collector.take(deadline, &mut signal_pending)) {
            Ok(came) => came,
            Err(WaitEnd::TimedOut) => return Ok(Vec::new()),
            Err(end) => return Err(errors::wait_end(py, end, None)),
        };
        let mut left = self.left.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Ok(came.iter().filter_map(|object| left.remove(object)).flatten().collect())
    }
}

/// Whether an object exists by now.
#[pyfunction]
pub(crate) fn is_ready(reference: &ObjectRef) -> PyResult<bool> {
    let client = session::current_for(reference)?;
    let object = reference.id_in(&client)?;
    Ok(client.try_value(object).is_some())
}

/// The objects this process refers to: ((client, number, index), references to it, "expected", "inline", "stored" or "failed", its size in
/// bytes or None).
#[pyfunction]
#[allow(clippy::type_complexity)]
pub(crate) fn object_rows(py: Python<'_>) -> PyResult<Vec<((u32, u64, u32), u32, &'static str, Option<u64>)>> {
    let client = session::current(py)?;
    Ok(client.with_process(|process| {
        let row = |(object, claims, value): (ObjectId, u32, Option<&Value>)| {
            let key = (object.task.client.0, object.task.seq, object.index);
            match value {
                None => (key, claims, "expected", None),
                Some(Value::Inline(bytes)) => (key, claims, "inline", Some(bytes.len() as u64)),
                Some(Value::Stored(location)) => (key, claims, "stored", Some(location.size_bytes)),
                Some(Value::Failed(_)) => (key, claims, "failed", None),
            }
        };
        process.objects().map(row).collect()
    }))
}

/// Asks for a "ready" notice; False when the object exists already and none will come.
#[pyfunction]
pub(crate) fn watch(py: Python<'_>, reference: &ObjectRef) -> PyResult<bool> {
    let client = session::current_for(reference)?;
    let object = reference.id_in(&client)?;
    Ok(py.detach(|| client.watch(object)))
}

/// Stops the task an object comes from.
#[pyfunction]
pub(crate) fn cancel(py: Python<'_>, reference: &ObjectRef, force: bool, recursive: bool) -> PyResult<()> {
    let client = session::current_for(reference)?;
    let object = reference.id_in(&client)?;
    py.detach(|| client.cancel(object.task, force, recursive));
    Ok(())
}
