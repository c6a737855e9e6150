//! What must hold in a process between any two events; tests and the simulator look after each one.

use super::Process;
use super::tasks::TaskState;

impl Process {
    /// Walks every cross-link; a panic here is a bug of the state machine.
    pub fn validate(&self) {
        self.validate_tasks();
        self.validate_leases();
        self.validate_objects();
        self.validate_actors();
        self.validate_streams();
    }

    fn validate_tasks(&self) {
        for (seq, task) in self.tasks.iter() {
            assert_eq!(task.header.seq, seq, "task {seq} is filed under another number");
            for &object in task.inputs().iter().chain(task.nested()) {
                assert!(self.objects.contains_key(&object), "P-1: argument {object} of task {seq} has no entry");
            }
            match (task.state, task.actor()) {
                (TaskState::Waiting(missing), None) => assert!(missing > 0, "task {seq} waits for nothing"),
                (TaskState::Queued, None) => {
                    assert!(self.shapes[task.shape.0 as usize].queue.contains(&seq), "task {seq} is queued nowhere");
                }
                (TaskState::Pushed(worker), None) => {
                    let lease = self.leases.iter().find(|lease| lease.worker == worker);
                    assert!(
                        lease.is_some_and(|lease| lease.in_flight.contains(&seq)),
                        "task {seq} is on worker {worker} without a lease"
                    );
                }
                (_, Some(_)) => {} // looked at from the actor's side
            }
        }
    }

    fn validate_leases(&self) {
        for lease in &self.leases {
            let same = self.leases.iter().filter(|other| other.worker == lease.worker).count();
            assert_eq!(same, 1, "worker {} is leased twice", lease.worker);
            for seq in &lease.in_flight {
                let pushed = self.tasks.get(seq).is_some_and(|task| task.state == TaskState::Pushed(lease.worker));
                assert!(pushed, "task {seq} is in flight on worker {} and does not know", lease.worker);
            }
        }
        for shape in &self.shapes {
            for seq in &shape.queue {
                let queued = self.tasks.get(seq).is_none_or(|task| task.state == TaskState::Queued);
                assert!(queued, "task {seq} is queued and does not know");
            }
        }
    }

    fn validate_objects(&self) {
        for (id, object) in self.objects.iter() {
            assert!(object.is_claimed(), "P-1: {id} is claimed by nobody");
            for seq in object.dependents() {
                assert!(!object.has_value(), "task {seq} waits for {id}, which has a value");
            }
            if id.owner() == self.me && !object.has_value() && self.tasks.contains_key(&id.task.seq) {
                continue; // its task will give it one
            }
            assert!(
                object.has_value() || !object.is_awaited() || object.is_asked_for(),
                "nothing will give {id} the value that is waited for"
            );
        }
    }

    fn validate_actors(&self) {
        for (actor, entry) in &self.actors {
            for seq in entry.queue.iter().chain(&entry.in_flight).chain(&entry.aside).chain(&entry.lost) {
                let is_call = self.tasks.get(seq).is_none_or(|task| task.actor() == Some(*actor));
                assert!(is_call, "task {seq} is with actor {actor} and is no call of it");
            }
            for seq in &entry.in_flight {
                assert!(self.tasks.contains_key(seq), "call {seq} of actor {actor} has ended and is still in flight");
            }
        }
        for (seq, task) in self.tasks.iter() {
            if let Some(actor) = task.actor() {
                let known = self.actors.get(&actor).is_some_and(|entry| {
                    entry.queue.contains(&seq)
                        || entry.in_flight.contains(&seq)
                        || entry.aside.contains(&seq)
                        || entry.lost.contains(&seq)
                });
                assert!(known, "call {seq} is nowhere with its actor {actor}");
            }
        }
    }
}
