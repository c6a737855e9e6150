//! The main loop of a worker: takes a task, has it run, sends what came of it.

use crate::attempt::{self, Loaded};
use crate::become_actor::{self, Actor};
use crate::call_options::wants_retry;
use crate::output;
use crate::session::{self, raise_pending, signal_pending};
use crate::setting;
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use ray_client::{Client, Incoming, WaitEnd, Work, write_failure};
use ray_protocol::control::ActorNotice;
use ray_protocol::record::{self, flag};
use ray_protocol::{CallOptions, FunctionId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The name of the function that runs, for the prefix of its output.
static RUNNING_NAME: Mutex<Option<Arc<str>>> = Mutex::new(None);

/// The name of the function that runs in this worker, or None.
#[pyfunction]
pub(crate) fn current_function_name() -> Option<String> {
    RUNNING_NAME.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).as_deref().map(str::to_owned)
}

fn set_running_name(name: Option<Arc<str>>) {
    *RUNNING_NAME.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = name;
}

/// Whether the task that runs was cancelled.
#[pyfunction]
pub(crate) fn is_cancelled() -> bool {
    session::current_if_any().is_some_and(|client| client.is_cancelled())
}

/// Whether the task that runs is to be interrupted: it was cancelled, or its time is over.
#[pyfunction]
pub(crate) fn is_interrupted() -> bool {
    session::current_if_any().is_some_and(|client| client.is_interrupted())
}

/// Runs tasks until the cluster ends, or the actor this process has become. Returns then, or raises SystemExit when a task does.
#[pyfunction]
pub(crate) fn run_worker(py: Python<'_>) -> PyResult<()> {
    let client = session::current_if_any().ok_or_else(|| PyRuntimeError::new_err("this process is in no cluster"))?;
    let mut worker = Worker {
        functions: HashMap::new(),
        client,
        record: Vec::new(),
        actor: None,
        finishing: false,
        calls: HashMap::new(),
        retires: false,
    };
    loop {
        let work = match worker.client.try_next_task() {
            Some(work) => work,
            None if worker.finishing => return worker.actor.map_or(Ok(()), |actor| actor.drain(py)),
            None => match wait_for_work(py, &worker.client) {
                Ok(work) => work,
                Err(WaitEnd::Interrupted) => {
                    drop(raise_pending()); // a late interrupt of a task that has ended
                    continue;
                }
                Err(_) => return Ok(()),
            },
        };
        match work {
            Work::Task(task) => match &worker.actor {
                Some(actor) if actor.runs_many() => actor.dispatch(py, task)?,
                _ => {
                    worker.run(py, task)?;
                    if worker.retires {
                        py.detach(|| worker.client.retire(&mut signal_pending));
                        return Ok(());
                    }
                }
            },
            Work::Actor(ActorNotice::Become { actor, creation, restarts, devices }) => {
                let made = become_actor::construct(py, &worker.client, actor, &creation, restarts, devices)?;
                let Some(actor) = made else { continue };
                if actor.has_loop() {
                    return actor.run_loop(py);
                }
                worker.functions.clone_from(actor.methods());
                worker.actor = Some(actor);
            }
            Work::Actor(ActorNotice::Finish) => worker.finishing = true,
            Work::Exit => return Ok(()),
            // Calls on threads cannot be interrupted; they may ask whether they were cancelled.
            Work::Actor(_) | Work::Cancel(_) | Work::Consumed(_) => {}
        }
    }
}

fn wait_for_work(py: Python<'_>, client: &Client) -> Result<Work, WaitEnd> {
    output::finish_output(py);
    py.detach(|| client.next_task(&mut signal_pending))
}

struct Worker {
    client: Client,
    functions: HashMap<FunctionId, Arc<Loaded>>,
    /// The result record, reused.
    record: Vec<u8>,
    /// What it has become.
    actor: Option<Actor>,
    /// It ends when nothing is left to do.
    finishing: bool,
    /// How often functions ran here after which the worker ends at some time.
    calls: HashMap<FunctionId, u32>,
    /// It ends now.
    retires: bool,
}

impl Worker {
    fn run(&mut self, py: Python<'_>, task: Incoming) -> PyResult<()> {
        let began = task.began;
        self.record.clear();
        let options = task.options();
        let loaded = self.function(py, task.header.function);
        let outcome = match (&loaded, &options) {
            (Ok(loaded), None) => {
                set_running_name(Some(loaded.name.clone()));
                self.execute(py, loaded, &task, began)
            }
            (Ok(loaded), Some(options)) => {
                let name = shown_name(loaded, options);
                set_running_name(Some(name.clone()));
                setting::begin(py, &self.client, &task, options, &name).and_then(|setting| {
                    let outcome = self.execute(py, loaded, &task, began);
                    setting.end();
                    outcome
                })
            }
            (Err(error), _) => Err(error.clone_ref(py)),
        };
        let mut marks = 0;
        if let Err(error) = outcome {
            if error.is_instance_of::<PySystemExit>(py) || session::was_forked() {
                if let Some(actor) = &self.actor {
                    actor.announce_exit(py, &error);
                }
                return Err(error);
            }
            let name = match (&loaded, &options) {
                (Ok(loaded), None) => loaded.name.clone(),
                (Ok(loaded), Some(options)) => shown_name(loaded, options),
                (Err(_), _) => Arc::from("unknown function"),
            };
            let interrupted = error.is_instance_of::<PyKeyboardInterrupt>(py);
            let cancelled = interrupted && self.client.is_cancelled();
            let overdue = if interrupted && !cancelled { self.client.timed_out(task.task()) } else { None };
            if let Some(options) = options.as_ref().filter(|_| !cancelled)
                && wants_retry(py, options, &error, overdue.is_some())
            {
                marks |= flag::RETRY;
            }
            let failure = overdue.map_or_else(|| attempt::failure(py, &name, &error, cancelled), |overdue| overdue.into_value());
            self.client.forget_contents(task.task());
            self.record.clear();
            write_failure(&mut self.record, &task.header, &failure, attempt::micros(began));
        }
        set_running_name(None);
        if let Some(options) = options.filter(|options| options.max_calls > 0) {
            marks |= self.count_call(task.header.function, options.max_calls);
        }
        if marks != 0 {
            record::mark_result(&mut self.record, marks);
        }
        self.client.finish(task, &self.record);
        Ok(())
    }

    fn execute(&mut self, py: Python<'_>, loaded: &Loaded, task: &Incoming, began: Instant) -> PyResult<()> {
        let value = attempt::call(py, &self.client, loaded, task)?;
        refuse_to_speak_for_the_parent()?;
        attempt::write_results(py, &self.client, loaded, task, value, began, &mut self.record)
    }

    /// Counts a call of a function that asks for new processes now and then; [`flag::LAST`] when this process has had its share.
    fn count_call(&mut self, function: FunctionId, most: u32) -> u8 {
        let calls = self.calls.entry(function).or_default();
        *calls += 1;
        self.retires = *calls >= most && self.actor.is_none();
        if !self.retires {
            return 0;
        }
        self.client.announce_retirement();
        flag::LAST
    }

    fn function(&mut self, py: Python<'_>, function: FunctionId) -> PyResult<Arc<Loaded>> {
        if let Some(loaded) = self.functions.get(&function) {
            return Ok(loaded.clone());
        }
        if self.actor.is_some() {
            return Err(become_actor::no_such_method());
        }
        let blob = self.client.take_function(function);
        let blob = blob.ok_or_else(|| PyRuntimeError::new_err("the definition of this function did not arrive"))?;
        let loaded = py.import("ray.worker_main")?.getattr("load_function")?.call1((PyBytes::new(py, &blob),))?;
        let (callable, name, typed, return_plain, check_arguments, split, check_item): (_, String, _, _, _, _, _) =
            loaded.extract()?;
        let loaded = Arc::new(Loaded { callable, name: Arc::from(name), typed, return_plain, check_arguments, split, check_item });
        self.functions.insert(function, loaded.clone());
        Ok(loaded)
    }
}

fn shown_name(loaded: &Loaded, options: &CallOptions) -> Arc<str> {
    options.name.as_deref().map_or_else(|| loaded.name.clone(), Arc::from)
}

/// A child that the task forked comes out of it a second time. It is not this worker: it ends here.
fn refuse_to_speak_for_the_parent() -> PyResult<()> {
    if session::was_forked() { Err(PySystemExit::new_err(0)) } else { Ok(()) }
}
