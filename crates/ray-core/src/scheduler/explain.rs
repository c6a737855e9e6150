//! Why something is not there yet, in words for whoever waits for it.

use super::Scheduler;
use super::graph::Running;
use ray_protocol::control::TaskState;
use ray_protocol::{ClientId, ObjectId, Resources, TaskId};

impl Scheduler {
    /// Why an object is not there yet, as far as the scheduler knows by itself.
    pub fn explain(&self, object: ObjectId) -> String {
        self.explain_object(object, &Running::new())
    }

    pub(super) fn explain_object(&self, object: ObjectId, running: &Running) -> String {
        let mut lines = Vec::new();
        lines.extend(self.object_in_words(object));
        lines.extend(self.task_in_words(object.task, running));
        if self.graph.actor_of(object.task).is_some() {
            return lines.join("\n"); // it needs no worker but its actor's
        }
        for wish in self.wishes.iter().filter(|wish| wish.client == object.owner()) {
            lines.push(format!(
                "client {} has waited {:.1} s for {} more workers of {}",
                wish.client,
                self.now.since(wish.since).as_secs_f64(),
                wish.count,
                wish.shape
            ));
        }
        lines.extend(self.groups_in_words());
        for client in self.workers.keys() {
            lines.push(format!("worker {client} (pid {}): {}", self.clients[client].pid, self.worker_in_words(*client)));
        }
        lines.join("\n")
    }

    fn task_in_words(&self, task: TaskId, running: &Running) -> Vec<String> {
        let Some(row) = self.graph.task(task) else { return vec![format!("task {task} is not in the graph (yet)")] };
        let name = self.graph.name_of(task);
        match row.state {
            TaskState::Finished => return vec![format!("{name} has finished")],
            TaskState::Failed => return vec![format!("{name} has failed")],
            TaskState::Pending | TaskState::Running => {}
        }
        if running.contains_key(&task) {
            return vec![format!("{name} {}", self.run_in_words(task, running))];
        }
        let unfinished = |input: &&ObjectId| {
            let producer = self.graph.task(input.task);
            producer.is_some_and(|producer| matches!(producer.state, TaskState::Pending | TaskState::Running))
        };
        let waits: Vec<String> = row
            .inputs
            .iter()
            .filter(unfinished)
            .map(|input| match running.get(&input.task) {
                Some((_, since)) => {
                    format!("{input} of {}, which runs ({:.1} s so far)", self.graph.name_of(input.task), since.as_secs_f64())
                }
                None => format!("{input} of {}", self.graph.name_of(input.task)),
            })
            .collect();
        if !waits.is_empty() {
            return vec![format!("{name} waits for {}", waits.join(", "))];
        }
        let Some(actor) = self.graph.actor_of(task) else {
            return vec![format!("{name} has its inputs and is queued or about to run")];
        };
        let before =
            self.graph.calls_of(actor).into_iter().take_while(|call| *call != task).filter(|call| !running.contains_key(call));
        let place = match before.count() {
            0 => String::from("is the next in its queue"),
            1 => String::from("comes after 1 other in its queue"),
            count => format!("comes after {count} others in its queue"),
        };
        let mut lines = vec![format!("{name} has its inputs and waits for its actor; it {place}")];
        lines.extend(self.actor_in_words(actor, running));
        lines
    }

    /// What an actor does, or why it does nothing.
    pub(super) fn explain_actor(&self, actor: TaskId, running: &Running) -> String {
        let mut lines = self.actor_in_words(actor, running);
        let waiting: Vec<TaskId> = self.graph.calls_of(actor).into_iter().filter(|call| !running.contains_key(call)).collect();
        match waiting.first() {
            None => lines.push(String::from("no call waits for it")),
            Some(first) => {
                let inputs = self.graph.task(*first).map_or_else(Vec::new, |row| row.inputs);
                let missing = inputs.into_iter().find(|input| {
                    let producer = self.graph.task(input.task);
                    producer.is_some_and(|producer| matches!(producer.state, TaskState::Pending | TaskState::Running))
                });
                let why = missing.map(|input| format!(", which waits for {input} of {}", self.graph.name_of(input.task)));
                lines.push(format!(
                    "calls that wait for it: {}; the first is {}{}",
                    waiting.len(),
                    self.graph.name_of(*first),
                    why.unwrap_or_default()
                ));
            }
        }
        lines.join("\n")
    }

    /// How long a task has run and what it waits for.
    pub(super) fn run_in_words(&self, task: TaskId, running: &Running) -> String {
        let Some((worker, since)) = running.get(&task) else { return String::from("runs") };
        let pid = self.clients.get(worker).map_or(0, |client| client.pid);
        let mut text = format!("has run for {:.1} s (pid {pid})", since.as_secs_f64());
        let wait = self.clients.get(worker).and_then(|client| client.waits.get(&Some(task)));
        if let Some(wait) = wait {
            let first = wait.objects.first().map_or_else(String::new, |object| format!(" of {}", self.graph.name_of(object.task)));
            text.push_str(&format!(" and waits for {}{first}", wait.first_in_words()));
        }
        text
    }

    /// Why an actor that waits for resources has not got them: what is missing where, and who has it.
    pub(super) fn shortage_in_words(&self, wanted: &Resources) -> Vec<String> {
        let mut lines = Vec::new();
        for node in self.nodes.values().filter(|node| node.alive) {
            let free = node.available();
            let missing: Vec<&str> =
                wanted.iter().filter(|(name, amount)| free.amount(name) < *amount).map(|(name, _)| name).collect();
            if missing.is_empty() {
                continue;
            }
            let amounts = |of: &Resources| -> Vec<String> {
                missing
                    .iter()
                    .map(|name| format!("{name}: {}", of.amount(name) as f64 / ray_protocol::value::RESOURCE_UNIT as f64))
                    .collect()
            };
            lines.push(format!(
                "node {} has {}, of which are free {}",
                node.id,
                amounts(&node.total).join(", "),
                amounts(&free).join(", ")
            ));
            for (client, worker) in self.workers.iter().filter(|(_, worker)| worker.node == node.id) {
                let held = worker.held();
                if missing.iter().any(|name| held.amount(name) > 0) {
                    lines.push(format!(
                        "  worker {client} (pid {}) holds {held}: it {}",
                        self.pid_of(*client),
                        self.worker_in_words(*client)
                    ));
                }
            }
        }
        lines
    }

    pub(super) fn pid_of(&self, client: ClientId) -> i32 {
        self.clients.get(&client).map_or(0, |known| known.pid)
    }
}
