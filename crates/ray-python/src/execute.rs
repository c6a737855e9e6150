//! The main loop of a worker: takes a task, has it run, sends what came of it.

use crate::attempt::{self, Loaded};
use crate::become_actor::{self, Actor};
use crate::session::{self, raise_pending, signal_pending};
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use ray_client::{Client, Incoming, WaitEnd, Work, write_failure};
use ray_protocol::FunctionId;
use ray_protocol::control::ActorNotice;
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

/// Runs tasks until the cluster ends, or the actor this process has become. Returns then, or raises SystemExit when a task does.
#[pyfunction]
pub(crate) fn run_worker(py: Python<'_>) -> PyResult<()> {
    let client = session::current_if_any().ok_or_else(|| PyRuntimeError::new_err("this process is in no cluster"))?;
    let mut worker = Worker { functions: HashMap::new(), client, record: Vec::new(), actor: None, finishing: false };
    loop {
        let work = match worker.client.try_next_task() {
            Some(work) => work,
            None if worker.finishing => return worker.actor.map_or(Ok(()), |actor| actor.drain(py)),
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
            Work::Task(task) => match &worker.actor {
                Some(actor) if actor.runs_many() => actor.dispatch(py, task)?,
                _ => worker.run(py, task)?,
            },
            Work::Actor(ActorNotice::Become { actor, creation, restarts }) => {
                let Some(actor) = become_actor::construct(py, &worker.client, actor, &creation, restarts)? else { continue };
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

struct Worker {
    client: Client,
    functions: HashMap<FunctionId, Arc<Loaded>>,
    /// The result record, reused.
    record: Vec<u8>,
    /// What it has become.
    actor: Option<Actor>,
    /// It ends when nothing is left to do.
    finishing: bool,
}

impl Worker {
    fn run(&mut self, py: Python<'_>, task: Incoming) -> PyResult<()> {
        let began = Instant::now();
        self.record.clear();
        let loaded = self.function(py, task.header.function);
        let outcome = match &loaded {
            Ok(loaded) => {
                set_running_name(Some(loaded.name.clone()));
                let called = attempt::call(py, &self.client, loaded, &task);
                called.and_then(|value| {
                    refuse_to_speak_for_the_parent()?;
                    attempt::write_results(py, &self.client, loaded, &task, value, began, &mut self.record)
                })
            }
            Err(error) => Err(error.clone_ref(py)),
        };
        if let Err(error) = outcome {
            if error.is_instance_of::<PySystemExit>(py) || session::was_forked() {
                if let Some(actor) = &self.actor {
                    actor.announce_exit(py, &error);
                }
                return Err(error);
            }
            let name = loaded.as_ref().map_or("unknown function", |loaded| &*loaded.name);
            let cancelled = error.is_instance_of::<PyKeyboardInterrupt>(py) && self.client.is_cancelled();
            let failure = attempt::failure(py, name, &error, cancelled);
            self.record.clear();
            write_failure(&mut self.record, &task.header, &failure, attempt::micros(began));
        }
        set_running_name(None);
        self.client.finish(task, &self.record);
        Ok(())
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

/// A child that the task forked comes out of it a second time. It is not this worker: it ends here.
fn refuse_to_speak_for_the_parent() -> PyResult<()> {
    if session::was_forked() { Err(PySystemExit::new_err(0)) } else { Ok(()) }
}
