//! What one call asks of the worker that runs it, beyond its arguments. It travels as the first argument of a task whose record has
//! [`flag::OPTIONS`](crate::record::flag::OPTIONS); most calls ask for nothing and carry nothing.

use crate::value::Resources;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Options of one call that its worker must know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallOptions {
    /// The concurrency group of an actor to run in, when it is not the method's own.
    pub group: Option<String>,
    /// What users call it, when that is not the name of its function or method.
    pub name: Option<String>,
    /// After which exceptions it is to be tried again.
    pub retry: Retry,
    /// How long it may run, in microseconds; 0: as long as it likes.
    pub timeout_us: u64,
    /// The worker ends when it has run the function this often; 0: it does not.
    pub max_calls: u32,
    /// Environment variables for as long as it runs.
    pub environment: Vec<(String, String)>,
    /// What it holds while it runs; None for one CPU, and for calls of actors.
    pub resources: Option<Resources>,
    /// What it submits belongs to its placement group, unless it says otherwise.
    pub captures: bool,
}

/// After which exceptions a call is to be tried again, as long as it has retries left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Retry {
    /// After none.
    #[default]
    Never,
    /// After any.
    Always,
    /// After those of some classes.
    On {
        /// A pickled tuple of classes.
        classes: Vec<u8>,
        /// Whether the exception for having run too long is among them.
        timeouts: bool,
    },
}

impl CallOptions {
    /// The bytes that travel; None when the call asks for nothing.
    pub fn encode(&self) -> Option<Vec<u8>> {
        (*self != CallOptions::default()).then(|| postcard::to_allocvec(self).expect("options of a call always encode"))
    }

    /// What arrived. Bytes of a broken peer ask for nothing.
    pub fn decode(bytes: &[u8]) -> CallOptions {
        postcard::from_bytes(bytes).unwrap_or_default()
    }

    /// Whether having run too long is a reason to try it again.
    pub fn retries_timeouts(&self) -> bool {
        matches!(self.retry, Retry::Always | Retry::On { timeouts: true, .. })
    }
}
