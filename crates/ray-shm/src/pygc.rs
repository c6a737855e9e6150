//! Taking Python objects out of the garbage collector's sight.

use pyo3::ffi;
use pyo3::prelude::*;

/// Tells the cyclic garbage collector not to visit this object; it is freed by its reference count alone. For objects that are made by the
/// hundred thousand and cannot be part of a cycle worth finding: each collection would otherwise walk over all of them.
pub fn untrack<T>(object: &Bound<'_, T>) {
    // SAFETY: the pointer is valid while `object` is borrowed, and the interpreter is attached. The collector allows every object to be
    // untracked at any time; the object's destructor untracks again, which does nothing then.
    unsafe { ffi::PyObject_GC_UnTrack(object.as_ptr().cast()) }
}
