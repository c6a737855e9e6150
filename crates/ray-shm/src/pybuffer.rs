//! A sealed slice as a Python object with the buffer protocol, so that `numpy.frombuffer` and pickle 5 (`buffers=`) read it in place.

use std::ffi::{c_int, c_void};

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::SharedSlice;

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
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
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
        let status = unsafe {
            ffi::PyBuffer_FillInfo(
                view,
                slf.as_ptr(),
                bytes.as_ptr().cast_mut().cast::<c_void>(),
                len,
                1,
                flags,
            )
        };
        if status == 0 {
            Ok(())
        } else {
            Err(PyErr::fetch(slf.py()))
        }
    }
}
