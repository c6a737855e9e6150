//! What every call does with its arguments, of a function or of an actor's method: check them, then serialise them.

use crate::codec;
use crate::object_ref::ObjectRef;
use crate::objects::put_encoded;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};
use ray_client::Client;
use ray_protocol::record::{self, flag};
use ray_protocol::{Bytes, ObjectId};

/// What arguments a callable takes. Calls that only need their number counted and their classes compared are checked here; Python has a
/// look at the others, and words the error.
#[pyclass(frozen, module = "ray._core")]
pub(crate) struct Check {
    /// One entry per positional parameter: the class its argument must be of, or None for any. None as a whole: only Python can check.
    plain: Option<Vec<Option<Py<PyType>>>>,
    /// The same for further positional arguments, when the callable takes them.
    rest: Option<Option<Py<PyType>>>,
    required: usize,
    /// Whether calls without keywords may be checked here.
    positional_only_ok: bool,
    /// Whether the worker checks the types of references of unknown type.
    typed: bool,
    /// `(args, kwargs) -> (args, kwargs)`: checks everything, raises TypeError.
    bind: Py<PyAny>,
}

/// The arguments of a call, checked.
pub(crate) struct Checked<'py> {
    pub(crate) args: Bound<'py, PyTuple>,
    pub(crate) kwargs: Option<Bound<'py, PyDict>>,
    /// [`flag::CHECK`], or nothing.
    pub(crate) flags: u8,
}

#[pymethods]
impl Check {
    #[new]
    #[pyo3(signature = (*, plain, rest, has_rest, required, positional_only_ok, typed, bind))]
    fn new(
        plain: Option<Vec<Option<Py<PyType>>>>,
        rest: Option<Py<PyType>>,
        has_rest: bool,
        required: usize,
        positional_only_ok: bool,
        typed: bool,
        bind: Py<PyAny>,
    ) -> Self {
        Check { plain, rest: has_rest.then_some(rest), required, positional_only_ok, typed, bind }
    }

    /// `(args, kwargs) -> (args, kwargs)`: checks everything, raises TypeError.
    #[getter]
    fn bind(&self, py: Python<'_>) -> Py<PyAny> {
        self.bind.clone_ref(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.bind)?;
        for class in self.plain.iter().flatten().chain(&self.rest).flatten() {
            visit.call(class)?;
        }
        Ok(())
    }
}

impl Check {
    /// Checks a call's arguments.
    #[inline]
    pub(crate) fn check<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Checked<'py>> {
        let mut check_later = false;
        if kwargs.is_none() && self.check_here(args, &mut check_later)? {
            let flags = if check_later { flag::CHECK } else { 0 };
            return Ok(Checked { args: args.clone(), kwargs: None, flags });
        }
        let kwargs = kwargs.map_or_else(|| PyDict::new(py), Bound::clone);
        let bound = self.bind.bind(py).call1((args, kwargs))?;
        let (args, kwargs): (Bound<'py, PyTuple>, Bound<'py, PyDict>) = bound.extract()?;
        Ok(Checked { args, kwargs: Some(kwargs), flags: if self.typed { flag::CHECK } else { 0 } })
    }

    /// Checks number and types of positional arguments; false when Python must have a look.
    #[inline]
    fn check_here(&self, args: &Bound<'_, PyTuple>, check_later: &mut bool) -> PyResult<bool> {
        let Some(plain) = &self.plain else { return Ok(false) };
        let count = args.len();
        if !self.positional_only_ok || count < self.required || (count > plain.len() && self.rest.is_none()) {
            return Ok(false);
        }
        for (at, value) in args.iter_borrowed().enumerate() {
            let expected = match plain.get(at) {
                Some(expected) => expected,
                None => self.rest.as_ref().expect("checked above"),
            };
            let Some(expected) = expected else { continue };
            let expected = expected.bind(args.py());
            let kind = value.get_type();
            if kind.is(expected) {
                continue;
            }
            if let Ok(reference) = value.cast_exact::<ObjectRef>() {
                match reference.get().declared() {
                    None => *check_later = true,
                    Some(declared) => {
                        let declared = declared.bind(args.py());
                        let fits = declared.is(expected)
                            || declared.cast::<PyType>().map_or(Ok(false), |declared| declared.is_subclass(expected))?;
                        if !fits {
                            return Ok(false);
                        }
                    }
                }
            } else if !kind.is_subclass(expected)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The arguments of one call, being serialised.
pub(crate) struct Arguments<'c> {
    client: &'c Client,
    pub(crate) count: u32,
    pub(crate) body: Bytes,
    /// Arguments given by reference.
    pub(crate) inputs: Vec<ObjectId>,
    /// References inside arguments.
    pub(crate) nested: Vec<ObjectId>,
    /// Objects made for arguments too large for a message.
    made: Vec<ObjectId>,
}

impl<'c> Arguments<'c> {
    pub(crate) fn new(client: &'c Client) -> Self {
        Arguments { client, count: 0, body: Bytes::new(), inputs: Vec::new(), nested: Vec::new(), made: Vec::new() }
    }

    #[inline]
    pub(crate) fn add(&mut self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.count += 1;
        let begin = self.body.len();
        // Written where it belongs at once; the length is filled in afterwards.
        self.body.extend_from_slice(&[record::tag::INLINE, 0, 0, 0, 0]);
        if codec::encode_plain(value, &mut self.body) {
            let length = (self.body.len() - begin - 5) as u32;
            self.body[begin + 1..begin + 5].copy_from_slice(&length.to_le_bytes());
            return Ok(());
        }
        self.body.truncate(begin);
        if let Ok(reference) = value.cast_exact::<ObjectRef>() {
            let object = reference.get().id_in(self.client)?;
            record::write_reference_argument(&mut self.body, object);
            self.inputs.push(object);
            return Ok(());
        }
        let encoded = codec::encode(value, "argument")?;
        if encoded.is_small() {
            self.nested.extend_from_slice(&encoded.inner);
            record::write_inline_argument(&mut self.body, &encoded.into_bytes()?);
        } else {
            let object = put_encoded(value.py(), self.client, encoded)?;
            record::write_reference_argument(&mut self.body, object);
            self.inputs.push(object);
            self.made.push(object);
        }
        Ok(())
    }

    /// Bytes for the worker itself, not for the function.
    pub(crate) fn add_raw(&mut self, bytes: &[u8]) {
        self.count += 1;
        record::write_inline_argument(&mut self.body, bytes);
    }

    /// All arguments of a call; returns the flags they need.
    #[inline]
    pub(crate) fn add_call(&mut self, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<u8> {
        for value in args.iter_borrowed() {
            self.add(&value)?;
        }
        let mut flags = 0;
        if let Some(kwargs) = kwargs.filter(|kwargs| !kwargs.is_empty()) {
            self.add_keywords(kwargs)?;
            flags = flag::KEYWORDS;
        }
        if !self.nested.is_empty() {
            // The worker takes over what is booked for it by these.
            self.body.extend_from_slice(&(self.nested.len() as u32).to_le_bytes());
            for &object in &self.nested {
                record::write_object(&mut self.body, object);
            }
        }
        Ok(flags)
    }

    /// The values in order, then one string of their names.
    fn add_keywords(&mut self, kwargs: &Bound<'_, PyDict>) -> PyResult<()> {
        let mut names: Vec<String> = Vec::new();
        for (name, value) in kwargs.iter() {
            let name = name.cast::<PyString>()?.to_str()?.to_owned();
            if name.contains('\0') {
                return Err(PyValueError::new_err("A keyword argument's name must not contain NUL."));
            }
            names.push(name);
            self.add(&value)?;
        }
        let joined = PyString::new(kwargs.py(), &names.join("\0"));
        let mut plain = Bytes::new();
        if !codec::encode_plain(&joined, &mut plain) {
            return Err(PyValueError::new_err("The names of the keyword arguments are too long together."));
        }
        self.count += 1;
        record::write_inline_argument(&mut self.body, &plain);
        Ok(())
    }
}

impl Drop for Arguments<'_> {
    fn drop(&mut self) {
        for object in self.made.drain(..) {
            self.client.release(object);
        }
    }
}
