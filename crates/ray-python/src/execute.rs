//! The main loop of a worker: takes a task, opens its arguments, calls the function, sends the results.

use crate::codec;
use crate::object_ref::ObjectRef;
use crate::session::{self, raise_pending, signal_pending};
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple, PyType};
use ray_client::{Client, Incoming, WaitEnd, Work, write_failure};
use ray_protocol::record::{self, Argument, BodyReader, flag};
use ray_protocol::{Failure, FunctionId, ObjectId, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A function, loaded.
struct Loaded {
    callable: Py<PyAny>,
    name: Arc<str>,
    /// Whether it was declared with types: a reference it returns stands for its value, and arguments may have to be checked.
    typed: bool,
    /// Classes of the results, when a pointer comparison per result is all the checking there is.
    return_plain: Option<Vec<Option<Py<PyType>>>>,
    /// `(args, kwargs)`: raises TypeError.
    check_arguments: Py<PyAny>,
    /// `(value, returns) -> tuple` of that many results: raises ValueError or TypeError.
    split: Py<PyAny>,
}

/// The name of the function that runs, for the prefix of its output.
static RUNNING_NAME: Mutex<Option<Arc<str>>> = Mutex::new(None);

/// The name of the function that runs in this worker, or None.
#[pyfunction]
pub(crate) fn current_function_name() -> Option<String> {
    RUNNING_NAME.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).as_deref().map(str::to_owned)
}

/// Whether the task that runs was cancelled.
#[pyfunction]
pub(crate) fn is_cancelled() -> bool {
    session::current_if_any().is_some_and(|client| client.is_cancelled())
}

/// Runs tasks until the cluster ends. Returns then, or raises SystemExit when a task does.
#[pyfunction]
pub(crate) fn run_worker(py: Python<'_>) -> PyResult<()> {
    let client = session::current_if_any().ok_or_else(|| PyRuntimeError::new_err("this process is in no cluster"))?;
    let mut worker = Worker { functions: HashMap::new(), client, record: Vec::new() };
    loop {
        let work = match worker.client.try_next_task() {
            Some(work) => work,
            None => match py.detach(|| worker.client.next_task(&mut signal_pending)) {
                Ok(work) => work,
                Err(WaitEnd::Interrupted) => {
                    drop(raise_pending()); // a late interrupt of a task that has ended
                    continue;
                }
                Err(_) => return Ok(()),
            },
        };
        match work {
            Work::Task(task) => worker.run(py, task)?,
            Work::Actor(_) => {}
        }
    }
}

struct Worker {
    client: Client,
    functions: HashMap<FunctionId, Arc<Loaded>>,
    /// The result record, reused.
    record: Vec<u8>,
}

impl Worker {
    fn run(&mut self, py: Python<'_>, task: Incoming) -> PyResult<()> {
        let began = Instant::now();
        self.record.clear();
        let loaded = self.function(py, task.header.function);
        let outcome = match &loaded {
            Ok(loaded) => self.call(py, loaded, &task).and_then(|value| self.write_results(py, loaded, &task, value, began)),
            Err(error) => Err(error.clone_ref(py)),
        };
        if let Err(error) = outcome {
            if error.is_instance_of::<PySystemExit>(py) {
                return Err(error);
            }
            let name = loaded.as_ref().map_or("unknown function", |loaded| &*loaded.name);
            let failure = self.failure(py, name, error);
            self.record.clear();
            write_failure(&mut self.record, &task.header, &failure, micros(began));
        }
        *RUNNING_NAME.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = None;
        self.client.finish(task, &self.record);
        Ok(())
    }

    fn function(&mut self, py: Python<'_>, function: FunctionId) -> PyResult<Arc<Loaded>> {
        if let Some(loaded) = self.functions.get(&function) {
            return Ok(loaded.clone());
        }
        let blob = self.client.take_function(function);
        let blob = blob.ok_or_else(|| PyRuntimeError::new_err("the definition of this function did not arrive"))?;
        let loaded = py.import("ray.worker_main")?.getattr("load_function")?.call1((PyBytes::new(py, &blob),))?;
        let (callable, name, typed, return_plain, check_arguments, split): (_, String, _, _, _, _) = loaded.extract()?;
        let loaded = Arc::new(Loaded { callable, name: Arc::from(name), typed, return_plain, check_arguments, split });
        self.functions.insert(function, loaded.clone());
        Ok(loaded)
    }

    fn call<'py>(&self, py: Python<'py>, loaded: &Loaded, task: &Incoming) -> PyResult<Bound<'py, PyAny>> {
        let mut values = Vec::with_capacity(task.header.arguments as usize);
        let mut reader = BodyReader::new(&task.body, task.header.arguments);
        while let Some(argument) = reader.next_argument() {
            let value = match argument.map_err(|error| PyRuntimeError::new_err(error.to_string()))? {
                Argument::Inline(bytes) => codec::decode_inline(py, bytes)?,
                Argument::Stored(object, location) => codec::decode(py, &self.client, object, &Value::Stored(location))?,
                Argument::Reference(_) => return Err(PyRuntimeError::new_err("an argument was not resolved before it was sent")),
            };
            values.push(value);
        }
        *RUNNING_NAME.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(loaded.name.clone());
        let callable = loaded.callable.bind(py);
        if task.header.flags & (flag::KEYWORDS | flag::CHECK) == 0 {
            return callable.call1(PyTuple::new(py, values)?);
        }
        let kwargs = PyDict::new(py);
        if task.header.flags & flag::KEYWORDS != 0 {
            let names: String = values.pop().map(|names| names.extract()).transpose()?.unwrap_or_default();
            let names: Vec<&str> = names.split('\0').collect();
            let first = values.len().saturating_sub(names.len());
            for (name, value) in names.into_iter().zip(values.drain(first..)) {
                kwargs.set_item(name, value)?;
            }
        }
        let args = PyTuple::new(py, values)?;
        if task.header.flags & flag::CHECK != 0 {
            loaded.check_arguments.bind(py).call1((&args, &kwargs))?;
        }
        callable.call(args, Some(&kwargs))
    }

    fn write_results<'py>(
        &mut self,
        py: Python<'py>,
        loaded: &Loaded,
        task: &Incoming,
        value: Bound<'py, PyAny>,
        began: Instant,
    ) -> PyResult<()> {
        let value = if loaded.typed { self.follow(py, value)? } else { value };
        if task.header.returns == 1 && fits(loaded, &value) {
            let run_time = micros(began);
            record::write_result_header(&mut self.record, task.header.seq, 0, 1, false, run_time);
            let begin = self.record.len();
            self.record.extend_from_slice(&[record::tag::INLINE, 0, 0, 0, 0]);
            if codec::encode_plain(&value, &mut self.record) {
                let length = (self.record.len() - begin - 5) as u32;
                self.record[begin + 1..begin + 5].copy_from_slice(&length.to_le_bytes());
                return Ok(());
            }
            self.record.truncate(begin);
            return self.write_value(py, task.task().result(0), &value);
        }
        let results = loaded.split.bind(py).call1((value, task.header.returns))?;
        let results = results.cast::<PyTuple>()?;
        record::write_result_header(&mut self.record, task.header.seq, 0, task.header.returns, false, micros(began));
        for (index, value) in (0..).zip(results.iter()) {
            let value = if loaded.typed { self.follow(py, value)? } else { value };
            self.write_value(py, task.task().result(index), &value)?;
        }
        Ok(())
    }

    fn write_value(&mut self, py: Python<'_>, object: ObjectId, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let encoded = codec::encode(value, "return value")?;
        let inner = encoded.inner.clone();
        let value = encoded.into_value(py, &self.client, object)?;
        if !inner.is_empty() {
            self.client.result_contains(object, &inner);
        }
        record::write_result_value(&mut self.record, &value, !inner.is_empty());
        Ok(())
    }

    /// In the typed dialect a task may return a reference; its result is then the value behind it.
    fn follow<'py>(&self, py: Python<'py>, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if value.is_exact_instance_of::<ObjectRef>() { crate::objects::get(py, &value, None) } else { Ok(value) }
    }

    /// The failure an exception becomes.
    fn failure(&self, py: Python<'_>, name: &str, error: PyErr) -> Value {
        if error.is_instance_of::<PyKeyboardInterrupt>(py) && self.client.is_cancelled() {
            return Failure::Cancelled { function: name.to_owned() }.into_value();
        }
        let pickled = || -> PyResult<Vec<u8>> {
            // Before 3.12 the interpreter keeps the traceback beside the exception, not in it.
            error.value(py).setattr("__traceback__", error.traceback(py))?;
            let dump = py.import("ray.worker_main")?.getattr("dump_failure")?;
            dump.call1((error.value(py), name))?.extract()
        };
        match pickled() {
            Ok(bytes) => Failure::Raised(bytes).into_value(),
            Err(second) => {
                let reason = format!("{name} raised {error}, and that could not be told: {second}");
                Failure::Lost { object: ObjectId::default(), reason }.into_value()
            }
        }
    }
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

fn micros(began: Instant) -> u32 {
    began.elapsed().as_micros().min(u128::from(u32::MAX)) as u32
}
