//! The caller's side of actors: making them, handles, and what happens at `handle.method.remote(...)`, which is the hot path of programs
//! with actors and costs what a task does.

use crate::arguments::{Arguments, Check};
use crate::call_options::{self, Prepared};
use crate::caller::{Results, references, to_resources};
use crate::context;
use crate::errors;
use crate::ids;
use crate::session::{self, signal_pending};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use pyo3::{PyTraverseError, PyVisit};
use ray_client::{Client, Identity};
use ray_core::process::{ActorCall, TaskSpec};
use ray_protocol::control::{ActorSpec, AnswerPart, Question};
use ray_protocol::record::{TaskHeader, flag};
use ray_protocol::{ClientId, FunctionId, ObjectId, TaskId};
use std::sync::{Arc, Mutex};

/// What keeps an actor alive from here: the last one that goes gives it up.
struct Claim {
    client: Client,
    actor: TaskId,
    weak: bool,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.client.release_actor(self.actor, self.weak);
    }
}

/// The native half of a handle.
#[pyclass(frozen, module = "ray._core")]
pub(crate) struct Actor {
    claim: Option<Arc<Claim>>,
    actor: TaskId,
    cluster: u64,
    weak: bool,
}

impl Actor {
    fn new(client: Client, actor: TaskId, weak: bool) -> Self {
        let cluster = client.identity().cluster;
        Actor { claim: Some(Arc::new(Claim { client, actor, weak })), actor, cluster, weak }
    }

    /// The claim, for use in the cluster this process is in now.
    fn claim(&self, py: Python<'_>) -> PyResult<&Arc<Claim>> {
        let current = session::current_if_any();
        match (&self.claim, current) {
            (Some(claim), Some(client)) if claim.client.is_same(&client) => Ok(claim),
            _ => Err(of_stopped_cluster(py)),
        }
    }

    /// What stands for the handle in a message or an object it is written into.
    pub(crate) fn travelling(&self, py: Python<'_>) -> PyResult<ObjectId> {
        self.claim(py).map(|_| self.actor.handle())
    }
}

#[cold]
fn of_stopped_cluster(py: Python<'_>) -> PyErr {
    let text = "This actor handle belongs to a cluster that has been stopped (or to another one). Actors live as long as their cluster; \
                create the actor again.";
    errors::exception(py, "ActorHandleNotFoundError", text)
}

#[pymethods]
impl Actor {
    /// The id as 16 bytes.
    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &ids::actor_bytes(self.actor, self.cluster))
    }

    /// What [`rebuild_actor`] makes it from again.
    #[getter]
    fn key(&self) -> (u32, u64, u64) {
        (self.actor.client.0, self.actor.seq, self.cluster)
    }

    /// Whether it does not keep the actor alive.
    #[getter]
    fn weak(&self) -> bool {
        self.weak
    }

    /// The callable behind `handle.method.remote`.
    fn caller(&self, py: Python<'_>, method: Py<Method>) -> PyResult<MethodCaller> {
        Ok(MethodCaller { claim: self.claim(py)?.clone(), method })
    }

    /// What it does, or what it waits for, in words.
    fn explain(&self, py: Python<'_>) -> PyResult<String> {
        self.claim(py)?;
        session::text(py, Question::ExplainActor(self.actor))
    }

    /// Ends the actor's process.
    fn kill(&self, py: Python<'_>, no_restart: bool) -> PyResult<()> {
        let claim = self.claim(py)?;
        claim.client.with_process(|process| process.kill_actor(self.actor, no_restart));
        Ok(())
    }
}

/// A handle read from a message or an object.
#[pyfunction]
pub(crate) fn rebuild_actor(key: (u32, u64, u64), class: &str, weak: bool) -> Actor {
    let actor = TaskId { client: ClientId(key.0), seq: key.1 };
    match session::current_if_any().filter(|client| client.identity().cluster == key.2) {
        Some(client) => {
            client.retain_actor(actor, class, weak);
            Actor::new(client, actor, weak)
        }
        None => Actor { claim: None, actor, cluster: key.2, weak },
    }
}

/// One method of a class, as its handles call it.
#[pyclass(frozen, module = "ray._core")]
pub(crate) struct Method {
    check: Py<Check>,
    function: FunctionId,
    /// The name users see.
    name: String,
    results: Results,
    declared: Vec<Option<Py<PyAny>>>,
    max_retries: i32,
    /// Calls may overtake each other.
    unordered: bool,
    /// The most calls one process may have under way; negative: any number.
    max_pending: i64,
    /// What a call asks of the actor.
    prepared: Prepared,
    /// Where the name is known already.
    named_in: Mutex<Option<Identity>>,
}

#[pymethods]
impl Method {
    #[new]
    #[pyo3(signature = (
        *, check, id, name, returns, declared, max_retries, unordered, max_pending, call_options, results="fixed", most_untaken=0
    ))]
    fn new(
        check: Py<Check>,
        id: u64,
        name: String,
        returns: u32,
        declared: Vec<Option<Py<PyAny>>>,
        max_retries: i32,
        unordered: bool,
        max_pending: i64,
        call_options: &Bound<'_, PyDict>,
        results: &str,
        most_untaken: u32,
    ) -> PyResult<Self> {
        let (function, named_in) = (FunctionId(id), Mutex::new(None));
        let results = Results::new(results, returns, most_untaken);
        let prepared = Prepared::new(results.asked_of(call_options::from_dict(call_options)?), function);
        Ok(Method { check, function, name, results, declared, max_retries, unordered, max_pending, prepared, named_in })
    }

    /// The name users see, "Class.method".
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// How many references a call returns.
    #[getter]
    fn returns(&self) -> u32 {
        self.results.returns
    }

    /// The check of a call's arguments.
    #[getter]
    fn check(&self, py: Python<'_>) -> Py<Check> {
        self.check.clone_ref(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.check)?;
        for declared in self.declared.iter().flatten() {
            visit.call(declared)?;
        }
        Ok(())
    }
}

impl Method {
    /// Tells the computation graph what the method is called, once.
    #[inline]
    fn make_known(&self, client: &Client) {
        let member = client.identity();
        let mut named_in = self.named_in.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if named_in.replace(member) != Some(member) {
            client.with_process(|process| process.name_function(self.function, &self.name));
            self.prepared.make_known(client);
        }
    }
}

/// The callable behind `handle.method.remote`.
#[pyclass(frozen, module = "ray._core")]
pub(crate) struct MethodCaller {
    claim: Arc<Claim>,
    method: Py<Method>,
}

#[pymethods]
impl MethodCaller {
    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let method = self.method.get();
        let call = method.check.get().check(py, args, kwargs)?;
        let client = &self.claim.client;
        if !session::current_if_any().is_some_and(|current| current.is_same(client)) {
            return Err(of_stopped_cluster(py));
        }
        method.make_known(client);
        if method.max_pending >= 0 {
            self.refuse_beyond(py, method.max_pending as usize)?;
        }
        let mut arguments = Arguments::new(client);
        let mut flags = flag::ACTOR_CALL | call.flags | method.results.flags();
        if let Some(options) = method.prepared.bytes_of_call() {
            flags |= flag::OPTIONS;
            arguments.add_raw(options);
        }
        flags |= arguments.add_call(&call.args, call.kwargs.as_ref())?;
        let task = TaskSpec {
            function: method.function,
            flags,
            returns: method.results.returns,
            limited: method.results.is_limited,
            arguments: arguments.count,
            body: std::mem::take(&mut arguments.body),
            inputs: std::mem::take(&mut arguments.inputs),
            nested: std::mem::take(&mut arguments.nested),
            max_retries: method.max_retries,
            parent: context::parent(py),
            shown_as: method.prepared.shown_as(),
            ..TaskSpec::default()
        };
        let task = client.call(ActorCall { actor: self.claim.actor, task, unordered: method.unordered });
        drop(arguments); // what was made for large arguments is the task's alone now
        references(py, client, task, method.results, &method.declared)
    }
}

impl MethodCaller {
    /// Raises when this process has as many calls under way as the actor takes.
    fn refuse_beyond(&self, py: Python<'_>, most: usize) -> PyResult<()> {
        let actor = self.claim.actor;
        let under_way =
            self.claim.client.with_process(|process| process.actor(actor).map_or(0, |view| view.queued + view.in_flight));
        if under_way < most {
            return Ok(());
        }
        let text = format!(
            "{} calls of this actor are under way from this process, and max_pending_calls={most} allows no more. \
             Get some of the results before making further calls.",
            under_way
        );
        Err(errors::exception(py, "PendingCallsLimitExceeded", &text))
    }
}

/// Creates an actor. `args` are the pickled class, the pickled details, then the constructor's. Returns the first handle's native half;
/// raises when the name is taken.
#[pyfunction]
#[pyo3(signature = (args, kwargs, *, class_name, name, namespace, detached, max_restarts, calls_at_once, placement, running, environment, handle))]
pub(crate) fn create_actor<'py>(
    py: Python<'py>,
    args: &Bound<'py, PyTuple>,
    kwargs: &Bound<'py, PyDict>,
    class_name: String,
    name: String,
    namespace: String,
    detached: bool,
    max_restarts: i64,
    calls_at_once: u32,
    placement: Vec<(String, f64)>,
    running: Vec<(String, f64)>,
    environment: Vec<(String, String)>,
    handle: Vec<u8>,
) -> PyResult<Actor> {
    let client = session::current(py)?;
    let mut arguments = Arguments::new(&client);
    let flags = flag::ACTOR_CALL | arguments.add_call(args, Some(kwargs))?;
    let header = TaskHeader { flags, arguments: arguments.count, ..TaskHeader::default() };
    let mut creation = header.encode().to_vec();
    creation.extend_from_slice(&arguments.body);
    if creation.len() + handle.len() > LARGEST_CREATION_BYTES {
        let text = format!(
            "The arguments of {class_name}'s constructor take {} KiB together although none is large. Put them into one list or dict, or \
             store them with ray.put() and pass the reference.",
            creation.len() >> 10
        );
        return Err(pyo3::exceptions::PyValueError::new_err(text));
    }
    let spec = ActorSpec {
        class: class_name,
        name,
        namespace,
        detached,
        max_restarts,
        calls_at_once,
        placement: to_resources(placement),
        running: to_resources(running),
        environment,
        handle,
        creation,
    };
    let (inputs, nested) = (&arguments.inputs, &arguments.nested);
    let created = py.detach(|| client.create_actor(spec, inputs, nested, &mut signal_pending));
    match created {
        Ok(Ok(actor)) => Ok(Actor::new(client.clone(), actor, false)),
        Ok(Err(reason)) => Err(errors::exception(py, "ActorAlreadyExistsError", &reason)),
        Err(end) => Err(errors::wait_end(py, end, None)),
    }
}

/// A creation travels in one frame, which is bounded; its large arguments are in the store.
const LARGEST_CREATION_BYTES: usize = ray_protocol::MAX_FRAME_BYTES - (64 << 10);

/// Looks an actor up by name: the native half of a weak handle, and what the rest is made from.
#[pyfunction]
#[allow(clippy::type_complexity)]
pub(crate) fn find_actor<'py>(
    py: Python<'py>,
    namespace: &str,
    name: &str,
) -> PyResult<Option<((u32, u64, u64), Bound<'py, PyBytes>)>> {
    let client = session::current(py)?;
    let found = py.detach(|| client.find_actor(namespace, name, &mut signal_pending));
    let found = found.map_err(|end| errors::wait_end(py, end, None))?;
    let cluster = client.identity().cluster;
    Ok(found.map(|(actor, handle)| ((actor.client.0, actor.seq, cluster), PyBytes::new(py, &handle))))
}

/// The actors that are or were, one dict each.
#[pyfunction]
pub(crate) fn list_actors(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let cluster = session::current(py)?.identity().cluster;
    let mut rows = Vec::new();
    for part in session::ask(py, Question::Actors)? {
        let AnswerPart::Actors(actors) = part else { continue };
        for row in actors {
            let dict = PyDict::new(py);
            dict.set_item("actor_id", ids::hex(&ids::actor_bytes(row.actor, cluster)))?;
            dict.set_item("class_name", row.class)?;
            dict.set_item("name", row.name)?;
            dict.set_item("namespace", row.namespace)?;
            dict.set_item("state", row.state)?;
            dict.set_item("pid", row.pid)?;
            dict.set_item("node", row.node.0)?;
            dict.set_item("restarts", row.restarts)?;
            dict.set_item("death_cause", row.death_cause)?;
            rows.push(dict);
        }
    }
    Ok(rows)
}

/// Whether the task an object comes from is an actor's call that has not ended, as far as this process knows.
#[pyfunction]
pub(crate) fn is_actor_call(py: Python<'_>, reference: &crate::object_ref::ObjectRef) -> PyResult<bool> {
    let client = session::current(py)?;
    let object = reference.id_in(&client)?;
    Ok(client.with_process(|process| process.is_actor_call(object.task)))
}
