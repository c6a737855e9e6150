//! What one call asks of the worker that runs it, beyond its arguments. It travels as the first argument of a task whose record has
//! [`flag::OPTIONS`](crate::record::flag::OPTIONS); most calls ask for nothing and carry nothing.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Options of one call that its worker must know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallOptions {
    /// The concurrency group of an actor to run in, when it is not the method's own.
    pub group: Option<String>,
    /// Of a stream: the most items that may be under way, yielded and not taken; 0 for any number.
    pub most_untaken: u32,
    /// The one result is a list of references, one to each value that is yielded.
    pub dynamic: bool,
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
}
