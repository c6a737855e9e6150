//! Options of calls that their workers must know: as Python words them, ready to travel, and asked about at the other end.

use crate::context;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use ray_client::Client;
use ray_protocol::{CallOptions, FunctionId, Resources, Retry};
use std::borrow::Cow;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// What all calls of one remote function or method ask of their workers.
pub(crate) struct Prepared {
    options: CallOptions,
    encoded: Option<Vec<u8>>,
    shown_as: Option<FunctionId>,
}

impl Prepared {
    pub(crate) fn new(options: CallOptions, function: FunctionId) -> Self {
        let shown_as = options.name.as_ref().map(|name| {
            let mut hasher = DefaultHasher::new();
            (function.0, name).hash(&mut hasher);
            FunctionId(hasher.finish())
        });
        Prepared { encoded: options.encode(), options, shown_as }
    }

    /// Tells the computation graph the name that calls have for themselves.
    pub(crate) fn make_known(&self, client: &Client) {
        if let (Some(function), Some(name)) = (self.shown_as, &self.options.name) {
            client.with_process(|process| process.name_function(function, name));
        }
    }

    /// What the graph shows calls as, when they have a name of their own.
    #[inline]
    pub(crate) fn shown_as(&self) -> Option<FunctionId> {
        self.shown_as
    }

    /// What travels with a task, which holds `captured` when it belongs to the placement group of what submits it; None when it asks for
    /// nothing.
    #[inline]
    pub(crate) fn bytes(&self, captured: Option<&Resources>) -> Option<Cow<'_, [u8]>> {
        if context::inherits() || captured.is_some() {
            let mut options = self.with_inherited();
            if let Some(resources) = captured {
                options.resources = Some(resources.clone());
                options.captures = true;
            }
            return options.encode().map(Cow::Owned);
        }
        self.encoded.as_deref().map(Cow::Borrowed)
    }

    /// What travels with a call of an actor, whose environment is its process's.
    #[inline]
    pub(crate) fn bytes_of_call(&self) -> Option<&[u8]> {
        self.encoded.as_deref()
    }

    /// The submitter's own variables come first, so that those asked for win.
    #[cold]
    fn with_inherited(&self) -> CallOptions {
        let mut options = self.options.clone();
        let own = core::mem::take(&mut options.environment);
        options.environment = context::inherited_environment();
        options.environment.retain(|(name, _)| own.iter().all(|(other, _)| other != name));
        options.environment.extend(own);
        options
    }
}

/// Options as `ray.options.call_options` words them.
pub(crate) fn from_dict(given: &Bound<'_, PyDict>) -> PyResult<CallOptions> {
    let mut options = CallOptions::default();
    for (key, value) in given.iter() {
        match key.extract::<&str>()? {
            "group" => options.group = value.extract()?,
            "name" => options.name = value.extract()?,
            "retry" => options.retry = retry(&value)?,
            "timeout" => options.timeout_us = (value.extract::<f64>()? * 1e6).clamp(1.0, u64::MAX as f64) as u64,
            "max_calls" => options.max_calls = value.extract()?,
            "captures" => options.captures = value.extract()?,
            "environment" => options.environment = value.extract()?,
            other => return Err(pyo3::exceptions::PyKeyError::new_err(other.to_owned())),
        }
    }
    Ok(options)
}

/// True, or a pickled tuple of classes and whether the one for time that is over is among them.
fn retry(value: &Bound<'_, PyAny>) -> PyResult<Retry> {
    if let Ok((classes, timeouts)) = value.extract::<(Vec<u8>, bool)>() {
        return Ok(Retry::On { classes, timeouts });
    }
    Ok(if value.is_truthy()? { Retry::Always } else { Retry::Never })
}

/// What a task holds, for its worker to know; None when it is what tasks hold by default.
pub(crate) fn worth_saying(resources: &Resources) -> Option<Resources> {
    (*resources != Resources::cpus(1)).then(|| resources.clone())
}

/// Whether a call is to be tried again after this exception. A list that cannot be read here (its module is missing) names nothing.
pub(crate) fn wants_retry(py: Python<'_>, options: &CallOptions, error: &PyErr, timed_out: bool) -> bool {
    match &options.retry {
        Retry::Never => false,
        Retry::Always => true,
        Retry::On { .. } if timed_out => options.retries_timeouts(),
        Retry::On { classes, .. } => {
            let listed = || {
                let classes = py.import("pickle")?.getattr("loads")?.call1((PyBytes::new(py, classes),))?;
                error.value(py).is_instance(&classes)
            };
            listed().unwrap_or(false)
        }
    }
}
