//! Attempts that are repeated because of what they raised, and workers that end after one.

use super::Process;
use super::tasks::{Task, TaskState};
use ray_protocol::ClientId;

impl Process {
    /// An attempt raised something after which its task asks to be tried again. True when it will be; what it raised counts for nothing
    /// then, and of its results the worker has said nothing to anybody. A call of an actor goes to the front of what waits to be sent there; what was sent meanwhile is ahead of it.
    pub(super) fn retry_raised(&mut self, worker: ClientId, seq: u64) -> bool {
        let pushed = |task: &&mut Task| task.state == TaskState::Pushed(worker);
        let Some(task) = self.tasks.get_mut(&seq).filter(pushed) else { return false };
        if task.cancelled || task.retries_left == 0 {
            return false;
        }
        task.retries_left -= i32::from(task.retries_left > 0);
        task.header.attempt += 1;
        let (shape, actor) = (task.shape, task.actor());
        match actor {
            Some(actor) => {
                self.tasks.get_mut(&seq).expect("just seen").state = TaskState::Queued;
                // Queued before it leaves: an actor without calls and handles is forgotten.
                self.actors.get_mut(&actor).expect("it has a call under way").queue.push_front(seq);
                self.actor_progressed(actor, seq);
                self.push_actor_calls(actor);
            }
            None => {
                self.task_left(worker, seq);
                self.requeue(shape, [seq]);
                self.worker_progressed(worker);
                self.dispatch(shape);
            }
        }
        true
    }

    /// A worker says that it ends after this task. What was pushed behind it was not begun, and goes back to the queue uncounted.
    pub(super) fn worker_ends(&mut self, worker: ClientId, seq: u64) {
        let Some(at) = self.leases.iter().position(|lease| lease.worker == worker) else { return };
        let lease = self.leases.remove(at);
        self.requeue(lease.shape, lease.in_flight.into_iter().filter(|&other| other != seq));
        // The scheduler takes the worker's own word for it that the lease is over.
        self.shapes[lease.shape.0 as usize].wanted = 0;
        self.dispatch(lease.shape);
    }
}
