//! Python values ⇄ bytes. The commonest small values are written here without pickle; everything else goes through `ray.serialization`.
//!
//! ```text
//! tag u8 · …
//!   NONE TRUE FALSE          nothing more
//!   INT i64  FLOAT f64       little-endian
//!   STR utf-8  BYTES bytes   to the end
//!   PICKLE                   pickle protocol 5, to the end
//!   BUFFERS                  0 × 3 · buffers u32 · pickle length u64 · length u64 of each buffer · pickle · each buffer, aligned to 64
//! ```
//!
//! Alignment counts from the beginning of the value; objects in a store begin at multiples of 64 themselves, so that arrays read from
//! there are aligned for any instruction.

use crate::actor::Actor;
use crate::errors;
use crate::object_ref::ObjectRef;
use crate::session::signal_pending;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyList, PyString, PyTuple};
use ray_client::Client;
use ray_protocol::record::Sink;
use ray_protocol::{Bytes, INLINE_LIMIT_BYTES, Location, ObjectId, Value};
use ray_shm::{SharedBuffer, SharedSlice, copy_buffer};

mod tag {
    pub(super) const NONE: u8 = 0;
    pub(super) const TRUE: u8 = 1;
    pub(super) const FALSE: u8 = 2;
    pub(super) const INT: u8 = 3;
    pub(super) const FLOAT: u8 = 4;
    pub(super) const STR: u8 = 5;
    pub(super) const BYTES: u8 = 6;
    pub(super) const PICKLE: u8 = 7;
    pub(super) const BUFFERS: u8 = 8;
}

const BUFFERS_HEADER: usize = 16;
const ALIGNMENT: u64 = 64;

/// A value ready to be stored or sent.
pub(crate) struct Encoded<'py> {
    shape: Shape<'py>,
    /// References inside the value.
    pub(crate) inner: Vec<ObjectId>,
}

enum Shape<'py> {
    Inline(Vec<u8>),
    /// A pickle and the buffers it left out; their lengths.
    Parts {
        head: Vec<u8>,
        buffers: Vec<(Bound<'py, PyAny>, u64)>,
        total: u64,
    },
}

/// Appends `value` to `out` if it is one of the plain ones; false when it needs pickle.
#[inline]
pub(crate) fn encode_plain(value: &Bound<'_, PyAny>, out: &mut impl Sink) -> bool {
    if value.is_exact_instance_of::<PyInt>() {
        let Ok(number) = value.extract::<i64>() else { return false };
        out.append(&[tag::INT]);
        out.append(&number.to_le_bytes());
    } else if value.is_none() {
        out.append(&[tag::NONE]);
    } else if let Ok(text) = value.cast_exact::<PyString>() {
        let Ok(text) = text.to_str() else { return false }; // lone surrogates: pickle can
        if text.len() > INLINE_LIMIT_BYTES {
            return false;
        }
        out.append(&[tag::STR]);
        out.append(text.as_bytes());
    } else if let Ok(float) = value.cast_exact::<PyFloat>() {
        out.append(&[tag::FLOAT]);
        out.append(&float.value().to_le_bytes());
    } else if let Ok(truth) = value.cast_exact::<PyBool>() {
        out.append(&[if truth.is_true() { tag::TRUE } else { tag::FALSE }]);
    } else if let Ok(bytes) = value.cast_exact::<PyBytes>() {
        let bytes = bytes.as_bytes();
        if bytes.len() > INLINE_LIMIT_BYTES {
            return false;
        }
        out.append(&[tag::BYTES]);
        out.append(bytes);
    } else {
        return false;
    }
    true
}

/// None, serialised.
pub(crate) fn none() -> Value {
    Value::Inline([tag::NONE].as_slice().into())
}

static PACK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

fn python<'py>(py: Python<'py>, cell: &'static PyOnceLock<Py<PyAny>>, name: &str) -> PyResult<&'py Bound<'py, PyAny>> {
    Ok(cell.get_or_try_init(py, || py.import("ray.serialization")?.getattr(name).map(Bound::unbind))?.bind(py))
}

/// Serialises any value. `what` names it in the error of one that cannot be.
pub(crate) fn encode<'py>(value: &Bound<'py, PyAny>, what: &str) -> PyResult<Encoded<'py>> {
    let py = value.py();
    let mut plain = Vec::new();
    if encode_plain(value, &mut plain) {
        return Ok(Encoded { shape: Shape::Inline(plain), inner: Vec::new() });
    }
    let packed = python(py, &PACK, "pack")?.call1((value, what))?;
    let (pickle, buffers, references): (Bound<'py, PyBytes>, Bound<'py, PyList>, Bound<'py, PyList>) = packed.extract()?;
    let mut inner = Vec::with_capacity(references.len());
    for reference in references.iter() {
        inner.push(match reference.cast::<Actor>() {
            Ok(handle) => handle.get().travelling(py)?,
            Err(_) => reference.cast::<ObjectRef>()?.get().travelling(py)?,
        });
    }
    let pickle = pickle.as_bytes();
    if buffers.is_empty() {
        let mut bytes = Vec::with_capacity(pickle.len() + 1);
        bytes.push(tag::PICKLE);
        bytes.extend_from_slice(pickle);
        return Ok(Encoded { shape: Shape::Inline(bytes), inner });
    }
    let buffers: Vec<(Bound<'py, PyAny>, u64)> = buffers
        .iter()
        .map(|buffer| {
            let raw = buffer.call_method0("raw")?;
            let length: u64 = raw.getattr("nbytes")?.extract()?;
            Ok((raw, length))
        })
        .collect::<PyResult<_>>()?;
    let mut head = Vec::with_capacity(BUFFERS_HEADER + 8 * buffers.len() + pickle.len());
    head.extend_from_slice(&[tag::BUFFERS, 0, 0, 0]);
    head.extend_from_slice(&(buffers.len() as u32).to_le_bytes());
    head.extend_from_slice(&(pickle.len() as u64).to_le_bytes());
    for (_, length) in &buffers {
        head.extend_from_slice(&length.to_le_bytes());
    }
    head.extend_from_slice(pickle);
    let total = buffers.iter().fold(head.len() as u64, |end, (_, length)| end.next_multiple_of(ALIGNMENT) + length);
    Ok(Encoded { shape: Shape::Parts { head, buffers, total }, inner })
}

impl<'py> Encoded<'py> {
    fn size_bytes(&self) -> u64 {
        match &self.shape {
            Shape::Inline(bytes) => bytes.len() as u64,
            Shape::Parts { total, .. } => *total,
        }
    }

    /// Whether the value is small enough to travel inside messages.
    pub(crate) fn is_small(&self) -> bool {
        self.size_bytes() <= INLINE_LIMIT_BYTES as u64
    }

    /// The bytes of a small value.
    pub(crate) fn into_bytes(self) -> PyResult<Vec<u8>> {
        match self.shape {
            Shape::Inline(bytes) => Ok(bytes),
            Shape::Parts { head: mut bytes, buffers, .. } => {
                for (buffer, _) in &buffers {
                    bytes.resize((bytes.len() as u64).next_multiple_of(ALIGNMENT) as usize, 0);
                    // Small by definition: through a bytes object, so that no unsafe code is needed here.
                    let copy = buffer.call_method0("tobytes")?;
                    bytes.extend_from_slice(copy.cast::<PyBytes>()?.as_bytes());
                }
                Ok(bytes)
            }
        }
    }

    /// Writes the value into the store under this id.
    pub(crate) fn store(&self, py: Python<'py>, client: &Client, object: ObjectId) -> PyResult<Location> {
        let size = self.size_bytes();
        let placed = py.detach(|| client.reserve(size, &mut signal_pending)).map_err(|error| errors::store(py, &error))?;
        let segment = placed.segment();
        match &self.shape {
            Shape::Inline(bytes) => segment.write(placed.offset(), bytes),
            Shape::Parts { head, buffers, .. } => {
                segment.write(placed.offset(), head);
                let mut end = head.len() as u64;
                for (buffer, length) in buffers {
                    let start = end.next_multiple_of(ALIGNMENT);
                    copy_buffer(segment, placed.offset() + start as usize, *length as usize, buffer)?;
                    end = start + length;
                }
            }
        }
        Ok(placed.seal(object))
    }

    /// The value as the engine keeps it: inline, or in the store under this id.
    pub(crate) fn into_value(self, py: Python<'py>, client: &Client, object: ObjectId) -> PyResult<Value> {
        if self.is_small() {
            Ok(Value::Inline(Bytes::from_vec(self.into_bytes()?)))
        } else {
            Ok(Value::Stored(self.store(py, client, object)?))
        }
    }
}

/// The Python value of an object, or its failure as an exception.
pub(crate) fn decode<'py>(py: Python<'py>, client: &Client, object: ObjectId, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Inline(bytes) => decode_inline(py, bytes),
        Value::Stored(location) => decode_stored(py, client, object, *location),
        Value::Failed(bytes) => Err(errors::failure(py, bytes)),
    }
}

/// The Python value of serialised bytes.
#[inline]
pub(crate) fn decode_inline<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let (&first, rest) = bytes.split_first().ok_or_else(|| damaged("it is empty"))?;
    Ok(match first {
        tag::NONE => py.None().into_bound(py),
        tag::TRUE => PyBool::new(py, true).to_owned().into_any(),
        tag::FALSE => PyBool::new(py, false).to_owned().into_any(),
        tag::INT => {
            let number: [u8; 8] = rest.try_into().map_err(|_| damaged("an integer of another size"))?;
            i64::from_le_bytes(number).into_pyobject(py)?.into_any()
        }
        tag::FLOAT => {
            let number: [u8; 8] = rest.try_into().map_err(|_| damaged("a float of another size"))?;
            PyFloat::new(py, f64::from_le_bytes(number)).into_any()
        }
        tag::STR => PyString::new(py, std::str::from_utf8(rest).map_err(|_| damaged("text that is not UTF-8"))?).into_any(),
        tag::BYTES => PyBytes::new(py, rest).into_any(),
        tag::PICKLE => python(py, &LOADS, "loads")?.call1((PyBytes::new(py, rest),))?,
        tag::BUFFERS => {
            let layout = Layout::read(bytes)?;
            // Each buffer gets a bytes object of its own: aligned, read-only, and alive as long as its view.
            let buffers: Vec<_> = layout.buffers.iter().map(|&(at, length)| PyBytes::new(py, &bytes[at..at + length])).collect();
            let (at, length) = layout.pickle;
            let pickle = PyBytes::new(py, &bytes[at..at + length]);
            python(py, &LOADS, "loads")?.call1((pickle, PyTuple::new(py, buffers)?))?
        }
        _ => return Err(damaged("an unknown tag")),
    })
}

fn decode_stored<'py>(py: Python<'py>, client: &Client, object: ObjectId, location: Location) -> PyResult<Bound<'py, PyAny>> {
    let slice = py.detach(|| client.open(object, location, &mut signal_pending)).map_err(|error| errors::store(py, &error))?;
    let bytes = slice.as_bytes();
    match bytes.first() {
        Some(&tag::BUFFERS) => {
            let layout = Layout::read(bytes)?;
            let view = |(at, length): (usize, usize)| -> PyResult<Bound<'py, SharedBuffer>> {
                let part: SharedSlice = slice.subslice(at, length).ok_or_else(|| damaged("a buffer outside the object"))?;
                Bound::new(py, SharedBuffer::new(part))
            };
            let buffers = layout.buffers.iter().map(|&place| view(place)).collect::<PyResult<Vec<_>>>()?;
            python(py, &LOADS, "loads")?.call1((view(layout.pickle)?, PyTuple::new(py, buffers)?))
        }
        Some(&tag::PICKLE) => {
            let pickle = slice.subslice(1, bytes.len() - 1).ok_or_else(|| damaged("no pickle"))?;
            python(py, &LOADS, "loads")?.call1((Bound::new(py, SharedBuffer::new(pickle))?,))
        }
        _ => decode_inline(py, bytes),
    }
}

/// Where the parts of a value with buffers lie; checked against its length.
struct Layout {
    pickle: (usize, usize),
    buffers: Vec<(usize, usize)>,
}

impl Layout {
    fn read(bytes: &[u8]) -> PyResult<Layout> {
        let short = || damaged("it ends too early");
        let word = |at: usize| -> PyResult<u64> {
            let bytes = bytes.get(at..at + 8).ok_or_else(short)?;
            Ok(u64::from_le_bytes(bytes.try_into().expect("8 bytes")))
        };
        let count = (word(0)? >> 32) as usize;
        let pickle_length = word(8)? as usize;
        if count > bytes.len() / 8 {
            return Err(short());
        }
        let pickle_at = BUFFERS_HEADER + 8 * count;
        let mut end = pickle_at.checked_add(pickle_length).filter(|end| *end <= bytes.len()).ok_or_else(short)?;
        let mut buffers = Vec::with_capacity(count);
        for number in 0..count {
            let length = word(BUFFERS_HEADER + 8 * number)? as usize;
            let at = end.next_multiple_of(ALIGNMENT as usize);
            end = at.checked_add(length).filter(|end| *end <= bytes.len()).ok_or_else(short)?;
            buffers.push((at, length));
        }
        Ok(Layout { pickle: (pickle_at, pickle_length), buffers })
    }
}

fn damaged(how: &str) -> PyErr {
    PyRuntimeError::new_err(format!("a serialised value is damaged: {how}"))
}
