//! The worker's side of actors: a worker becomes one, and runs its calls one after the other (the loop in [`crate::execute`]), on threads,
//! or on an event loop. Which thread runs what is decided in `ray.actor_worker`; here are the calls it is handed.

use crate::attempt::{self, Loaded};
use crate::call_options::wants_retry;
use crate::codec;
use crate::context;
use crate::errors;
use crate::ids;
use crate::session::signal_pending;
use crate::stream::{self, Progress};
use pyo3::exceptions::{PyAttributeError, PyRuntimeError, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use ray_client::{Client, Demand, Incoming, Manner, MaySleep, Work, write_failure};
use ray_protocol::control::{ActorMessage, ActorNotice};
use ray_protocol::record::{self, Record, flag};
use ray_protocol::{CallOptions, Failure, FunctionId, ObjectId, TaskId, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// What this process has become.
pub(crate) struct Actor {
    client: Client,
    id: TaskId,
    manner: Calls,
    methods: HashMap<FunctionId, Arc<Loaded>>,
}

/// Where calls run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Calls {
    /// On the main thread, in order.
    OneByOne,
    /// On pools of threads.
    OnThreads,
    /// On the main thread's event loop.
    OnLoop,
}

/// One callable of an actor, as `ray.actor_worker.construct` lists them: id, callable, name, `(value, returns) -> tuple`.
type Method = (u64, Py<PyAny>, String, Py<PyAny>);

/// Runs the constructor and tells the scheduler how it went. None when it failed: the scheduler ends this process.
pub(crate) fn construct(
    py: Python<'_>,
    client: &Client,
    actor: TaskId,
    creation: &[u8],
    restarts: u32,
    devices: Vec<u32>,
) -> PyResult<Option<Actor>> {
    client.begin_construction(actor);
    // Before anything of the user's is loaded that may look at them.
    let settled = py.import("ray.task_setting").and_then(|module| module.getattr("settle_actor")?.call1((devices,)));
    let built = settled.and_then(|_| build(py, client, actor, creation, restarts));
    client.end_construction();
    let failure = match &built {
        Ok(_) => None,
        Err(error) => {
            let class = class_name(py);
            let raised = attempt::pickled(py, &format!("{class}.__init__"), error)?;
            let reason = String::from("its constructor raised an exception");
            match (Failure::ActorDied { actor, class, reason, raised }).into_value() {
                Value::Failed(bytes) => Some(bytes.into_vec()),
                Value::Inline(_) | Value::Stored(_) => unreachable!("a failure encodes as Failed"),
            }
        }
    };
    let built = built.ok();
    if built.as_ref().is_some_and(|built| built.manner != Calls::OneByOne) {
        client.set_manner(Manner::CallsAtOnce);
        context::many_at_once();
    }
    client.actor_message(ActorMessage::Constructed { actor, failure });
    Ok(built)
}

fn build(py: Python<'_>, client: &Client, actor: TaskId, creation: &[u8], restarts: u32) -> PyResult<Actor> {
    let Ok(Record::Task(header, body)) = record::read(creation) else {
        return Err(PyRuntimeError::new_err("what this actor is to be made from is damaged"));
    };
    let opened = attempt::open(py, client, &header, body, |object| read(py, client, object))?;
    let (args, kwargs) = opened.into_parts(py);
    let identity = client.identity();
    let id = PyBytes::new(py, &ids::actor_bytes(actor, identity.cluster));
    let key = (actor.client.0, actor.seq, identity.cluster);
    let construct = py.import("ray.actor_worker")?.getattr("construct")?;
    let (manner, methods): (String, Vec<Method>) = construct.call1((id, key, restarts, args, kwargs))?.extract()?;
    let manner = match manner.as_str() {
        "loop" => Calls::OnLoop,
        "threads" => Calls::OnThreads,
        _ => Calls::OneByOne,
    };
    let check_arguments = py.import("ray.worker_main")?.getattr("_no_check")?.unbind();
    let load = |(id, callable, name, split): Method| {
        let check_arguments = check_arguments.clone_ref(py);
        let loaded = Loaded {
            callable,
            name: Arc::from(name),
            typed: false,
            return_plain: Some(vec![None]),
            check_arguments,
            split,
            check_item: None,
        };
        (FunctionId(id), Arc::new(loaded))
    };
    Ok(Actor { client: client.clone(), id: actor, manner, methods: methods.into_iter().map(load).collect() })
}

/// The value of an argument the constructor was given by reference.
fn read<'py>(py: Python<'py>, client: &Client, object: ObjectId) -> PyResult<Bound<'py, PyAny>> {
    client.retain(object);
    let values = py.detach(|| client.wait_for_all_or_failure(&[object], None, &mut signal_pending));
    let value = match values {
        Ok(values) => codec::decode(py, client, object, &values[0]),
        Err(end) => Err(errors::wait_end(py, end, None)),
    };
    client.release(object);
    value
}

fn class_name(py: Python<'_>) -> String {
    let name = || -> PyResult<String> { py.import("ray.actor_worker")?.getattr("class_name")?.call0()?.extract() };
    name().unwrap_or_default()
}

/// The error for a call of a method the actor does not have: its caller's class is another version.
pub(crate) fn no_such_method() -> PyErr {
    PyAttributeError::new_err("The actor has no such method: its class is not the one this handle was made for.")
}

impl Actor {
    /// Whether calls run at the same time.
    pub(crate) fn runs_many(&self) -> bool {
        self.manner != Calls::OneByOne
    }

    /// Whether the main thread is its event loop's.
    pub(crate) fn has_loop(&self) -> bool {
        self.manner == Calls::OnLoop
    }

    pub(crate) fn methods(&self) -> &HashMap<FunctionId, Arc<Loaded>> {
        &self.methods
    }

    /// Hands a call to the threads.
    pub(crate) fn dispatch(&self, py: Python<'_>, task: Incoming) -> PyResult<()> {
        let call = Bound::new(py, Call::new(&self.client, &self.methods, task))?;
        py.import("ray.actor_worker")?.getattr("dispatch")?.call1((call,))?;
        Ok(())
    }

    /// Waits until the threads have run everything.
    pub(crate) fn drain(&self, py: Python<'_>) -> PyResult<()> {
        py.import("ray.actor_worker")?.getattr("drain")?.call0().map(drop)
    }

    /// Runs the event loop until the actor ends.
    pub(crate) fn run_loop(self, py: Python<'_>) -> PyResult<()> {
        let mailbox = Bound::new(py, Mailbox { client: self.client, methods: self.methods })?;
        py.import("ray.actor_worker")?.getattr("run_loop")?.call1((mailbox,)).map(drop)
    }

    /// The actor ends itself on purpose, unless the exit code says otherwise.
    pub(crate) fn announce_exit(&self, py: Python<'_>, error: &PyErr) {
        let code = error.value(py).getattr("code").ok();
        if code.is_none_or(|code| code.is_none() || code.extract::<i64>().is_ok_and(|code| code == 0)) {
            self.client.actor_message(ActorMessage::Exiting { actor: self.id });
        }
    }
}

/// Ends the actor this process is, from any of its threads.
#[pyfunction]
pub(crate) fn leave_actor(key: (u32, u64, u64), deliberate: bool) {
    let Some(client) = crate::session::current_if_any() else { return };
    if deliberate {
        let actor = TaskId { client: ray_protocol::ClientId(key.0), seq: key.1 };
        client.actor_message(ActorMessage::Exiting { actor });
    }
    client.ask_exit();
}

/// A call under way beside others.
#[pyclass(frozen, module = "ray._core")]
pub(crate) struct Call {
    client: Client,
    id: TaskId,
    function: FunctionId,
    loaded: Option<Arc<Loaded>>,
    options: CallOptions,
    is_stream: bool,
    state: Mutex<CallState>,
    /// Of a stream that is sent item by item. Taken out while one is being sent.
    progress: Mutex<Option<Progress>>,
}

struct CallState {
    /// None once it has ended.
    task: Option<Incoming>,
    began: Instant,
}

impl Call {
    fn new(client: &Client, methods: &HashMap<FunctionId, Arc<Loaded>>, task: Incoming) -> Self {
        Call {
            client: client.clone(),
            id: task.task(),
            function: task.header.function,
            loaded: methods.get(&task.header.function).cloned(),
            options: task.options().unwrap_or_default(),
            is_stream: task.header.is_stream(),
            progress: Mutex::new(task.header.is_stream().then(|| Progress::new(&task))),
            state: Mutex::new(CallState { task: Some(task), began: Instant::now() }),
        }
    }

    /// Works on the call; what it does may run Python code, so the lock is not held.
    fn with_task<R>(&self, work: impl FnOnce(&Incoming, Instant) -> PyResult<R>) -> PyResult<R> {
        let (task, began) = {
            let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            (state.task.take(), state.began)
        };
        let task = task.ok_or_else(|| PyRuntimeError::new_err("this call has ended"))?;
        let result = work(&task, began);
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).task = Some(task);
        result
    }

    fn take_progress(&self) -> PyResult<Progress> {
        let progress = self.progress.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        progress.ok_or_else(|| PyRuntimeError::new_err("this call is no stream, or another item of it is being sent"))
    }

    fn end(&self, record: &[u8]) {
        let task = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).task.take();
        if let Some(task) = task {
            self.client.finish(task, record);
        }
    }

    pub(crate) fn id(&self) -> TaskId {
        self.id
    }

    fn name(&self) -> &str {
        if let Some(name) = &self.options.name {
            return name;
        }
        self.loaded.as_ref().map_or("unknown method", |loaded| &*loaded.name)
    }
}

#[pymethods]
impl Call {
    /// (client, number): what a cancelled call is named by.
    #[getter]
    fn key(&self) -> (u32, u64) {
        (self.id.client.0, self.id.seq)
    }

    #[getter]
    fn method_id(&self) -> u64 {
        self.function.0
    }

    /// The name users see.
    #[getter(name)]
    fn shown_name(&self) -> String {
        self.name().to_owned()
    }

    /// The concurrency group the call itself asks for, or None.
    #[getter]
    fn group(&self) -> Option<String> {
        self.options.group.clone()
    }

    #[getter]
    fn task_id<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let identity = self.client.identity();
        PyBytes::new(py, &ids::task_bytes(self.id, identity.cluster, ids::JOB))
    }

    /// Whether its caller does not want it any more.
    #[getter]
    fn cancelled(&self) -> bool {
        self.client.is_call_cancelled(self.id)
    }

    /// Calls the method; what it returns may be a coroutine.
    fn start<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.client.call_begins(self.id, false);
        self.call(py)
    }

    /// Whether its results are sent one by one, with [`send_item`](Self::send_item).
    #[getter]
    fn is_stream(&self) -> bool {
        self.is_stream
    }

    /// Raises ValueError when a stream cannot be made of what the method returned.
    fn check_stream(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        stream::refuse_other_than_generators(self.name(), value)
    }

    /// Sends one item of a stream.
    fn send_item(&self, py: Python<'_>, item: Bound<'_, PyAny>) -> PyResult<()> {
        let loaded = self.loaded.clone().ok_or_else(no_such_method)?;
        let mut progress = self.take_progress()?;
        let sent = progress.send(py, &self.client, &loaded, item);
        self.progress.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).replace(progress);
        sent
    }

    /// Whether the next item may be yielded: "open", "sated" (the consumer has to take some first), "congested" (try again soon), or
    /// "gone" (nobody will take it).
    fn demand(&self) -> PyResult<&'static str> {
        let progress = self.take_progress()?;
        let demand = progress.demand(&self.client);
        self.progress.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).replace(progress);
        Ok(match demand {
            Demand::Open => "open",
            Demand::Sated => "sated",
            Demand::Congested => "congested",
            Demand::Gone => "gone",
        })
    }

    /// Ends a stream.
    fn end_stream(&self) -> PyResult<()> {
        let mut record = Vec::with_capacity(64);
        self.with_task(|task, began| {
            stream::write_end(task, began, &mut record);
            Ok(())
        })?;
        self.end(&record);
        Ok(())
    }

    /// Sends the results.
    fn finish(&self, py: Python<'_>, value: Bound<'_, PyAny>) -> PyResult<()> {
        let loaded = self.loaded.clone().ok_or_else(no_such_method)?;
        let mut record = Vec::with_capacity(64);
        let written =
            self.with_task(|task, began| attempt::write_results(py, &self.client, &loaded, task, value, began, &mut record));
        match written {
            Ok(()) => self.end(&record),
            Err(error) if error.is_instance_of::<PySystemExit>(py) => return Err(error),
            Err(error) => self.fail(py, &error, false)?,
        }
        Ok(())
    }

    /// Sends an exception as the outcome; `cancelled` when it is how a call ends that is not wanted any more.
    #[pyo3(name = "fail", signature = (error, cancelled=false))]
    fn fail_with(&self, py: Python<'_>, error: Bound<'_, PyAny>, cancelled: bool) -> PyResult<()> {
        self.fail(py, &PyErr::from_value(error), cancelled)
    }

    /// All of it, for a thread. Returns the SystemExit it raised, if it did.
    fn run<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.client.call_begins(self.id, true);
        let outcome = self.run_here(py);
        self.client.call_left_thread();
        outcome
    }
}

impl Call {
    fn call<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let loaded = self.loaded.clone().ok_or_else(no_such_method)?;
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).began = Instant::now();
        if self.options.timeout_us > 0 {
            self.with_task(|task, _| {
                self.client.limit(task, self.name(), &self.options);
                Ok(())
            })?;
        }
        self.with_task(|task, _| attempt::call(py, &self.client, &loaded, task))
    }

    fn run_here<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.call(py).and_then(|value| self.finish(py, value)) {
            Ok(()) => {}
            Err(error) if error.is_instance_of::<PySystemExit>(py) => {
                return Ok(Some(error.into_value(py).into_bound(py).into_any()));
            }
            Err(error) => self.fail(py, &error, false)?,
        }
        Ok(None)
    }

    fn fail(&self, py: Python<'_>, error: &PyErr, cancelled: bool) -> PyResult<()> {
        let overdue = if cancelled { self.client.timed_out(self.id) } else { None };
        let cancelled = cancelled && overdue.is_none() && self.client.is_call_cancelled(self.id);
        let retry = !cancelled && wants_retry(py, &self.options, error, overdue.is_some());
        let failure = overdue.map_or_else(|| attempt::failure(py, self.name(), error, cancelled), |overdue| overdue.into_value());
        self.client.forget_contents(self.id);
        let mut record = Vec::new();
        self.with_task(|task, began| {
            write_failure(&mut record, &task.header, &failure, attempt::micros(began));
            Ok(())
        })?;
        if retry {
            record::mark_result(&mut record, flag::RETRY);
        }
        self.end(&record);
        Ok(())
    }
}

/// What an event loop asks for work.
#[pyclass(frozen, module = "ray._core")]
pub(crate) struct Mailbox {
    client: Client,
    methods: HashMap<FunctionId, Arc<Loaded>>,
}

/// Calls taken at a time, so that the loop's other business has its turn.
const CALLS_PER_TURN: usize = 256;

#[pymethods]
impl Mailbox {
    /// Readable when something arrives while the loop sleeps.
    fn fileno(&self) -> i32 {
        self.client.main_fd()
    }

    /// Before the loop sleeps: 0 when there is work, 1 when it may sleep, 2 when it may sleep for a moment.
    fn before_sleep(&self, py: Python<'_>) -> u8 {
        match py.detach(|| self.client.before_sleep()) {
            MaySleep::No => 0,
            MaySleep::Yes => 1,
            MaySleep::Briefly => 2,
        }
    }

    /// After it has slept; `slept` is what [`before_sleep`](Self::before_sleep) said.
    fn after_sleep(&self, slept: u8) {
        self.client.after_sleep(if slept == 1 { MaySleep::Yes } else { MaySleep::Briefly });
    }

    /// What has arrived: (calls, keys of cancelled calls, keys of streams of which items were taken, whether to end when all is done,
    /// whether to end now).
    #[allow(clippy::type_complexity)]
    fn take<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyList>, Vec<(u32, u64)>, Vec<(u32, u64)>, bool, bool)> {
        let (calls, mut finish, mut exit) = (PyList::empty(py), false, false);
        let (mut cancelled, mut consumed) = (Vec::new(), Vec::new());
        for _ in 0..CALLS_PER_TURN {
            match self.client.try_next_task() {
                Some(Work::Task(task)) => calls.append(Bound::new(py, Call::new(&self.client, &self.methods, task))?)?,
                Some(Work::Cancel(task)) => cancelled.push((task.client.0, task.seq)),
                Some(Work::Consumed(task)) => consumed.push((task.client.0, task.seq)),
                Some(Work::Actor(ActorNotice::Finish)) => finish = true,
                Some(Work::Actor(_)) => {}
                Some(Work::Exit) => {
                    exit = true;
                    break;
                }
                None => break,
            }
        }
        Ok((calls, cancelled, consumed, finish, exit || self.client.ended().is_some()))
    }
}
