//! The worker's side of functions that yield: a stream sends each item as it comes; a fixed number of results, or one list of references,
//! is made of what was yielded.

use crate::attempt::{self, Loaded, write_value};
use crate::codec;
use crate::object_ref::ObjectRef;
use crate::objects::put_encoded;
use crate::session::{self, raise_pending, signal_pending};
use pyo3::exceptions::{PyException, PyKeyboardInterrupt, PySystemExit, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyList, PyType};
use ray_client::{Client, Demand, Incoming, WaitEnd};
use ray_protocol::TaskId;
use ray_protocol::record;
use std::time::Instant;

/// How far a stream is.
pub(crate) struct Progress {
    task: TaskId,
    /// Items yielded so far.
    yielded: u32,
    /// So many were sent by an earlier attempt.
    sent_before: u32,
    most_untaken: u32,
    record: Vec<u8>,
}

impl Progress {
    pub(crate) fn new(task: &Incoming) -> Self {
        Progress {
            task: task.task(),
            yielded: 0,
            sent_before: task.header.returns,
            most_untaken: task.options().unwrap_or_default().most_untaken,
            record: Vec::new(),
        }
    }

    /// Sends the next item, unless an earlier attempt has.
    pub(crate) fn send(&mut self, py: Python<'_>, client: &Client, loaded: &Loaded, item: Bound<'_, PyAny>) -> PyResult<()> {
        if session::was_forked() {
            return Err(PySystemExit::new_err(0)); // a child that the function forked does not speak for its parent
        }
        let item = if loaded.typed { attempt::follow(py, item)? } else { item };
        if let Some(check) = &loaded.check_item {
            check.bind(py).call1((&item, self.yielded))?;
        }
        self.yielded += 1;
        if self.yielded <= self.sent_before {
            return Ok(());
        }
        self.record.clear();
        record::write_result_header(&mut self.record, self.task.seq, self.yielded, 1, true, 0);
        write_value(py, client, self.task.result(self.yielded), &item, &mut self.record)?;
        drop(item); // before the function goes on: it may be large
        client.send_item(self.task, &self.record);
        Ok(())
    }

    /// Whether the function may go on.
    pub(crate) fn demand(&self, client: &Client) -> Demand {
        if self.yielded < self.sent_before { Demand::Open } else { client.demand(self.task, self.yielded, self.most_untaken) }
    }

    /// Waits until the function may go on; false when nobody wants more.
    fn may_go_on(&self, py: Python<'_>, client: &Client) -> PyResult<bool> {
        match self.demand(client) {
            Demand::Open => return Ok(true),
            Demand::Gone => return Ok(false),
            Demand::Sated | Demand::Congested => {}
        }
        let wait = || client.wait_for_demand(self.task, self.yielded, self.most_untaken, &mut signal_pending);
        py.detach(wait).map_err(|end| match end {
            WaitEnd::Interrupted => raise_pending(),
            end => crate::errors::wait_end(py, end, None),
        })
    }
}

/// Takes everything out of what a stream's function has returned and sends it. Writes the record of its end.
pub(crate) fn run<'py>(
    py: Python<'py>,
    client: &Client,
    loaded: &Loaded,
    task: &Incoming,
    value: Bound<'py, PyAny>,
    began: Instant,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    refuse_other_than_generators(&loaded.name, &value)?;
    let mut progress = Progress::new(task);
    let taken: PyResult<()> = (|| {
        for item in value.try_iter()? {
            progress.send(py, client, loaded, item?)?;
            if !progress.may_go_on(py, client)? {
                break;
            }
        }
        Ok(())
    })();
    close(&value, taken.is_err());
    taken?;
    write_end(task, began, out);
    Ok(())
}

/// A stream can only be made of something that yields.
pub(crate) fn refuse_other_than_generators(name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    if is_iterator(value) || value.hasattr("__anext__")? {
        return Ok(());
    }
    Err(PyValueError::new_err(format!(
        "{name}: a function with num_returns=\"streaming\" must return a generator, but it returned a value of type {}. Let it yield \
         its results, or return iter(...) of them.",
        value.get_type()
    )))
}

/// Lets a generator clean up before anybody hears that it has ended. What it raises then concerns nobody if something was raised before.
fn close(value: &Bound<'_, PyAny>, failed: bool) {
    if let Ok(Err(error)) = value.getattr_opt("close").map(|close| close.map(|close| close.call0()).transpose())
        && !failed
    {
        error.write_unraisable(value.py(), Some(value));
    }
}

/// The record of a stream that has ended well.
pub(crate) fn write_end(task: &Incoming, began: Instant, out: &mut Vec<u8>) {
    record::write_result_header(out, task.header.seq, 0, 1, false, attempt::micros(began));
    record::write_result_value(out, &codec::none(), false);
}

/// Whether a function that yields has returned this; other iterators may be values like any other.
pub(crate) fn is_generator(value: &Bound<'_, PyAny>) -> bool {
    static GENERATOR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    GENERATOR.import(value.py(), "types", "GeneratorType").is_ok_and(|class| value.get_type().is(class))
}

fn is_iterator(value: &Bound<'_, PyAny>) -> bool {
    value.hasattr("__next__").unwrap_or(false)
}

/// Writes the record of a fixed number of results that a generator yields. Those it yielded before it raised are results all the same.
pub(crate) fn write_fixed<'py>(
    py: Python<'py>,
    client: &Client,
    loaded: &Loaded,
    task: &Incoming,
    generator: &Bound<'py, PyAny>,
    began: Instant,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    let (name, returns) = (&loaded.name, task.header.returns);
    // Nothing is written before it is known that the number is right: what is written cannot be taken back.
    let (mut items, mut raised) = (Vec::new(), None);
    for item in generator.try_iter()?.take(returns as usize + 1) {
        match item {
            Ok(item) => items.push(item),
            Err(error) => raised = Some(error),
        }
    }
    if items.len() > returns as usize {
        let text = format!("{name}: Task returned more than num_returns={returns} objects.");
        return Err(PyValueError::new_err(text));
    }
    match raised {
        Some(error) if items.is_empty() || ends_more_than_the_call(py, &error) => return Err(error),
        None if items.len() < returns as usize => {
            let text = format!("{name}: Task returned {} objects, but num_returns={returns}.", items.len());
            return Err(PyValueError::new_err(text));
        }
        _ => {}
    }
    record::write_result_header(out, task.header.seq, 0, returns, false, attempt::micros(began));
    let mut written = 0;
    for item in items {
        let begin = out.len();
        if let Err(error) = write_value(py, client, task.task().result(written), &item, out) {
            out.truncate(begin);
            raised = Some(error);
            break;
        }
        written += 1;
    }
    if let Some(error) = raised {
        let failure = attempt::failure(py, name, &error, false);
        for _ in written..returns {
            record::write_result_value(out, &failure, false);
        }
    }
    Ok(())
}

fn ends_more_than_the_call(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PySystemExit>(py) || error.is_instance_of::<PyKeyboardInterrupt>(py)
}

/// Stores each value a generator yields; the list of references is the result. A failure is one more.
pub(crate) fn collect<'py>(py: Python<'py>, client: &Client, name: &str, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if !is_iterator(value) {
        return Err(PyTypeError::new_err(format!(
            "{name}: a function with num_returns=\"dynamic\" must return a generator, but it returned a value of type {}.",
            value.get_type()
        )));
    }
    let references = PyList::empty(py);
    for item in value.try_iter()? {
        let stored = item.and_then(|item| put_encoded(py, client, codec::encode(&item, "yielded value")?));
        let (object, last) = match stored {
            Ok(object) => (object, false),
            Err(error) if error.is_instance_of::<PyException>(py) => {
                let failure = attempt::failure(py, name, &error, false);
                (client.with_process(|process| process.put(failure, &[])), true)
            }
            Err(error) => return Err(error),
        };
        references.append(ObjectRef::adopt(py, client.clone(), object, None)?)?;
        if last {
            break;
        }
    }
    py.import("ray.generators")?.getattr("DynamicObjectRefGenerator")?.call1((references,))
}
