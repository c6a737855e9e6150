//! The extension module `ray._core`: converts between Python and [`ray_client`], and decides nothing.
//!
//! One rule holds everywhere here: no Python object is created, compared or dropped while the client's lock is held, because any of these
//! may run user code (a `__del__`, the garbage collector) that comes back for the same lock.

mod actor;
mod arguments;
mod attempt;
mod become_actor;
mod call_options;
mod caller;
mod cluster;
mod codec;
mod context;
mod drawing;
mod errors;
mod execute;
mod groups;
mod ids;
mod object_ref;
mod objects;
mod output;
mod session;
mod setting;
mod zygote;

use pyo3::prelude::*;

/// The module's contents. `_core.pyi` describes them for type checkers.
#[pymodule]
mod _core {
    #[pymodule_export]
    use super::actor::{Actor, Method, MethodCaller, create_actor, find_actor, is_actor_call, list_actors, rebuild_actor};
    #[pymodule_export]
    use super::arguments::Check;
    #[pymodule_export]
    use super::become_actor::{Call, Mailbox, leave_actor};
    #[pymodule_export]
    use super::caller::Caller;
    #[pymodule_export]
    use super::cluster::{start_cluster, stop_cluster};
    #[pymodule_export]
    use super::context::{current_group, enter_group, inherit_environment, inherited_environment};
    #[pymodule_export]
    use super::drawing::draw_graph;
    #[pymodule_export]
    use super::execute::{current_function_name, is_cancelled, is_interrupted, run_worker};
    #[pymodule_export]
    use super::groups::{await_group, create_group, group_rows, remove_group};
    #[pymodule_export]
    use super::object_ref::{ObjectRef, rebuild_reference};
    #[pymodule_export]
    use super::objects::{Completion, cancel, get, is_ready, object_rows, put, wait, watch};
    #[pymodule_export]
    use super::output::{finish_output, note_unfinished_output};
    #[pymodule_export]
    use super::session::{
        Notice, after_fork_in_child, cluster_info, connect, counters, disconnect, explain, forget, graph, identity, is_connected,
        key_value, next_notices, running_task, store_stats, task_times,
    };
    #[pymodule_export]
    use super::setting::held_resources;
    #[pymodule_export]
    use super::zygote::Zygote;
}
