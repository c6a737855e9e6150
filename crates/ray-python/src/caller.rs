//! What happens at `f.remote(...)`: check, serialise, submit. This is the hot path of every program; it stays in Rust unless a check
//! fails or a keyword is used, and then Python decides and words the error.

use crate::codec;
use crate::object_ref::ObjectRef;
use crate::objects::put_encoded;
use crate::session;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};
use ray_client::{Client, Identity};
use ray_core::process::{ShapeId, TaskSpec};
use ray_protocol::record::{self, flag};
use ray_protocol::value::RESOURCE_UNIT;
use ray_protocol::{FunctionId, ObjectId, Resources};
use std::sync::{Arc, Mutex};

/// The callable behind `f.remote`.
#[pyclass(frozen, module = "ray._core")]
pub(crate) struct Caller {
    /// One entry per positional parameter: the class its argument must be of, or None for any. None as a whole: only Python can check.
    plain: Option<Vec<Option<Py<PyType>>>>,
    /// The same for further positional arguments, when the function takes them.
    rest: Option<Option<Py<PyType>>>,
    required: usize,
    /// Whether calls without keywords may be checked here.
    positional_only_ok: bool,
    /// Whether the worker checks the types of references of unknown type.
    typed: bool,
    returns: u32,
    declared: Vec<Option<Py<PyAny>>>,
    resources: Resources,
    max_retries: i32,
    /// `(args, kwargs) -> (args, kwargs)`: checks everything, raises TypeError.
    bind: Py<PyAny>,
    /// `() -> (function id, name, pickled function)`.
    export: Py<PyAny>,
    exported: Mutex<Option<Exported>>,
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
    #[pyo3(signature = (*, plain, rest, has_rest, required, positional_only_ok, typed, declared, returns, resources, max_retries, bind, export))]
    fn new(
        plain: Option<Vec<Option<Py<PyType>>>>,
        rest: Option<Py<PyType>>,
        has_rest: bool,
        required: usize,
        positional_only_ok: bool,
        typed: bool,
        declared: Vec<Option<Py<PyAny>>>,
        returns: u32,
        resources: Vec<(String, f64)>,
        max_retries: i32,
        bind: Py<PyAny>,
        export: Py<PyAny>,
    ) -> Self {
        let resources = Resources::new(resources.into_iter().map(|(name, amount)| (name, to_units(amount))));
        Caller {
            plain,
            rest: has_rest.then_some(rest),
            required,
            positional_only_ok,
            typed,
            returns,
            declared,
            resources,
            max_retries,
            bind,
            export,
            exported: Mutex::new(None),
        }
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut check_later = false;
        if kwargs.is_none() && self.check_here(args, &mut check_later)? {
            return self.submit(py, args, None, check_later);
        }
        let kwargs = kwargs.map_or_else(|| PyDict::new(py), Bound::clone);
        let bound = self.bind.bind(py).call1((args, kwargs))?;
        let (args, kwargs): (Bound<'py, PyTuple>, Bound<'py, PyDict>) = bound.extract()?;
        self.submit(py, &args, Some(&kwargs), self.typed)
    }

    /// The function holds its caller, whose methods hold the function: only the garbage collector can end that.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.bind)?;
        visit.call(&self.export)?;
        for class in self.plain.iter().flatten().chain(&self.rest).flatten() {
            visit.call(class)?;
        }
        for declared in self.declared.iter().flatten() {
            visit.call(declared)?;
        }
        Ok(())
    }
}

impl Caller {
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

    fn submit<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
        check_later: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let client = session::current(py)?;
        let exported = self.exported(py, &client)?;
        let mut arguments = Arguments::new(&client);
        for value in args.iter_borrowed() {
            arguments.add(&value)?;
        }
        let kwargs = kwargs.filter(|kwargs| !kwargs.is_empty());
        if let Some(kwargs) = kwargs {
            arguments.add_keywords(kwargs)?;
        }
        let flags = if kwargs.is_some() { flag::KEYWORDS } else { 0 } | if check_later { flag::CHECK } else { 0 };
        let spec = TaskSpec {
            function: exported.function,
            flags,
            returns: self.returns,
            arguments: arguments.count,
            body: std::mem::take(&mut arguments.body),
            inputs: std::mem::take(&mut arguments.inputs),
            nested: std::mem::take(&mut arguments.nested),
            shape: exported.shape,
            max_retries: self.max_retries,
            parent: None,
        };
        let task = client.submit(spec);
        drop(arguments); // what was made for large arguments is the task's alone now
        let reference = |index: u32| {
            let declared = self.declared.get(index as usize).and_then(|declared| declared.as_ref().map(|kind| kind.clone_ref(py)));
            Bound::new(py, ObjectRef::adopt(client.clone(), task.result(index), declared))
        };
        match self.returns {
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
        client.define_function(function, &name, Arc::from(blob.as_bytes()));
        let exported = Exported { shape: client.shape(&self.resources), member, function };
        *self.exported.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(exported);
        Ok(exported)
    }
}

/// The arguments of one call, being serialised.
struct Arguments<'c> {
    client: &'c Client,
    count: u32,
    body: Vec<u8>,
    inputs: Vec<ObjectId>,
    nested: Vec<ObjectId>,
    /// Objects made for arguments too large for a message.
    made: Vec<ObjectId>,
}

impl<'c> Arguments<'c> {
    fn new(client: &'c Client) -> Self {
        Arguments { client, count: 0, body: Vec::with_capacity(32), inputs: Vec::new(), nested: Vec::new(), made: Vec::new() }
    }

    #[inline]
    fn add(&mut self, value: &Bound<'_, PyAny>) -> PyResult<()> {
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
        let mut plain = Vec::new();
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

fn to_units(amount: f64) -> u64 {
    (amount * RESOURCE_UNIT as f64).round().max(0.0) as u64
}
