//! A sealed slice as a Python object with the buffer protocol, so that `numpy.frombuffer` and pickle 5 (`buffers=`) read it in place.

use std::ffi::{c_int, c_void};

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::{OwnedSegment, SharedSlice};

/// Read-only bytes of a sealed object. Every view (`memoryview`, array, ...) holds a reference to this Python object, hence to the
/// slice, its segment and its pin: the object stays pinned as long as any view lives, whatever the user deletes.
///
/// There is no `__releasebuffer__`: a view owns nothing but that reference, which the interpreter drops itself, and CPython refuses types
/// that have one wherever a function takes "read-only bytes-like" arguments (the `y#` and `s#` formats).
#[pyclass(frozen, module = "ray._core")]
pub struct SharedBuffer {
    slice: SharedSlice,
}

impl SharedBuffer {
    /// Wraps a slice of a sealed object.
    pub fn new(slice: SharedSlice) -> Self {
        Self { slice }
    }

    /// The slice itself, for Rust callers.
    pub fn slice(&self) -> &SharedSlice {
        &self.slice
    }
}

#[pymethods]
impl SharedBuffer {
    fn __len__(&self) -> usize {
        self.slice.len()
    }

    /// Fills `view` for reading; a request for a writable buffer is a `BufferError`.
    ///
    /// # Safety
    /// `view` is null or points to a `Py_buffer` to fill, as CPython calls the slot.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("no view to fill"));
        }
        let bytes = slf.get().slice.as_bytes();
        // A slice is never longer than isize::MAX: it lies in one mapping.
        let len = bytes.len() as ffi::Py_ssize_t;
        // SAFETY: `view` is not null and CPython's to fill. The protocol wants `obj` null whenever the request fails.
        unsafe { (*view).obj = std::ptr::null_mut() };
        // SAFETY: `view` as above; the bytes stay mapped and pinned as long as the frozen object lives, to which a successful call takes a
        // reference; readonly = 1, so the pointer is not written through, and a request for PyBUF_WRITABLE fails with BufferError.
        let status =
            unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), bytes.as_ptr().cast_mut().cast::<c_void>(), len, 1, flags) };
        if status == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }
}

/// Copies what a Python object exports (a C-contiguous buffer: `PickleBuffer.raw()`, bytes, an array) into a segment; returns its length.
/// The interpreter lock is released while a large buffer is copied.
///
/// # Errors
/// The object exports no contiguous buffer, or `room` is smaller than it is.
pub fn copy_buffer(segment: &OwnedSegment, offset: usize, room: usize, source: &Bound<'_, PyAny>) -> PyResult<usize> {
    /// Below this, letting other threads run costs more than the copy.
    const RELEASE_FROM: usize = 1 << 16;
    let buffer = PyBuffer::<u8>::get(source)?;
    let length = buffer.len_bytes();
    if !buffer.is_c_contiguous() || length > room {
        return Err(PyBufferError::new_err("the buffer is not contiguous or larger than it said"));
    }
    if length == 0 {
        return Ok(0);
    }
    let address = buffer.buf_ptr() as usize;
    let copy = || {
        // SAFETY: CPython keeps the exported memory in place and `length` bytes long as long as `buffer` lives, which is until after this
        // call. Python code that writes to it meanwhile would race with us, as with any C code that reads a buffer without the lock; the
        // bytes are only copied, never interpreted here.
        let bytes = unsafe { std::slice::from_raw_parts(address as *const u8, length) };
        segment.write(offset, bytes);
    };
    if length >= RELEASE_FROM {
        source.py().detach(copy)
    } else {
        copy()
    }
    Ok(length)
}
