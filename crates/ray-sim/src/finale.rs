//! The end of a run: either something hangs, and it is said what, or nothing may be left (I6).

use crate::check::Check;
use crate::cluster::Cluster;
use crate::process::Role;
use std::fmt::Write;

impl Cluster {
    /// I1 is broken: who still waits for what.
    pub(crate) fn describe_hang(&self, events: u64) -> String {
        let mut text = format!("I1: after {events} events and {} s this has not ended:", self.agenda.now() / crate::link::SECOND);
        for (number, proc) in self.procs.iter().enumerate().filter(|(_, proc)| proc.alive) {
            let client =
                self.clients.get(&number).map_or_else(|| String::from("not welcomed"), |client| format!("client {client}"));
            let what = match proc.role {
                Role::Driver { done: true, .. } => "driver, done",
                Role::Driver { done: false, .. } => "driver",
                Role::Worker { .. } => "worker",
            };
            let frame = proc.frame.as_ref().map(|frame| (frame.program, frame.at, frame.task, frame.waits));
            let leases: Vec<_> = proc.core.iter().flat_map(|core| core.leases()).collect();
            let queued = proc.core.as_ref().map_or(0, |core| core.queued());
            let unstarted = proc.unstarted.len();
            let _ = write!(
                text,
                "\n  process {number} ({what}, {client}): {frame:?}, {unstarted} unstarted, {queued} queued, leases {leases:?}"
            );
            if let Some(crate::process::Wait::Object(object)) = proc.frame.as_ref().and_then(|frame| frame.waits) {
                let _ = write!(text, "\n    {}", self.scheduler.explain(object).replace('\n', "\n    "));
            }
        }
        text
    }

    /// I6: every driver has dropped its references, and some time has passed.
    pub(crate) fn nothing_left(&self) -> Check {
        for (number, proc) in self.procs.iter().enumerate().filter(|(_, proc)| proc.alive) {
            let Some(core) = &proc.core else { continue };
            if core.object_count() > 0 || core.expects_news() || core.queued() > 0 {
                let count = core.object_count();
                return Err(format!(
                    "I6: process {number} still has claims on {count} objects; tasks left: {}\n{core:#?}",
                    core.expects_news()
                ));
            }
            if proc.frame.is_some() || !proc.unstarted.is_empty() {
                return Err(format!("I6: process {number} still runs something"));
            }
        }
        for (name, count) in self.scheduler.counters() {
            if matches!(name.as_str(), "shared_objects" | "holds" | "wishes" | "live_actors") && count > 0 {
                return Err(format!("I6: the scheduler still counts {count} {name}\n{}", self.scheduler.shared_in_words()));
            }
        }
        for (worker, to) in self.scheduler.leases() {
            let holder = self.procs[self.by_client[&to]].core.as_ref();
            if !holder.is_some_and(|core| core.leases().any(|(own, _)| own == worker)) {
                return Err(format!("I6: the scheduler leases worker {worker} to client {to}, which does not know"));
            }
        }
        // What a dead process wrote and never told anybody of has no one who could free it; its segments go with the cluster.
        let orphan = |object: &ray_protocol::ObjectId| !self.procs[self.by_client[&object.owner()]].alive;
        let left: Vec<_> = self.store.left().filter(|object| !orphan(object)).collect();
        if !left.is_empty() {
            return Err(format!("I6: the store still has {left:?}"));
        }
        Ok(())
    }
}
