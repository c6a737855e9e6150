//! The computation graph: every task, what it takes, who launched it, how it ended.
//!
//! Clients report in batches, so the graph runs behind by up to a batch; whoever wants to look at it asks everyone to report first
//! ([`Scheduler::gather_graph`]). It is bounded: when it grows beyond [`LIMIT`], the oldest finished tasks are folded into counts by
//! function, and whoever draws the graph is told how many were.

use super::Scheduler;
use crate::Time;
use ray_protocol::control::{AnswerPart, FromScheduler, GraphEvent, RunningTask, TaskRow, TaskState};
use ray_protocol::{ClientId, FunctionId, ObjectId, TaskId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// The graph.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// By submitting client, in order of submission: sequence numbers rise, so a task is found by halving.
    tasks: BTreeMap<ClientId, VecDeque<Node>>,
    /// Calls of actors that have not ended, and of which actor.
    calls: BTreeMap<TaskId, TaskId>,
    names: BTreeMap<FunctionId, String>,
    folded: BTreeMap<FunctionId, u64>,
    count: usize,
    finished: u64,
    failed: u64,
}

/// One task. Its size is what a queued task costs the scheduler.
#[derive(Debug)]
struct Node {
    seq: u64,
    /// When it was submitted, which orders tasks of different clients.
    at_us: u64,
    function: FunctionId,
    parent: Option<TaskId>,
    inputs: Box<[ObjectId]>,
    returns: u32,
    run_time_us: u32,
    took_us: u32,
    worker: ClientId,
    state: TaskState,
}

/// A question that needs everybody's news.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked {
    Graph,
    /// The cluster: who keeps leases without using them.
    Cluster,
    Explain(ObjectId),
    ExplainActor(TaskId),
}

/// A client waits for an answer that needs everybody's reports.
#[derive(Debug)]
pub(super) struct PendingAnswer {
    client: ClientId,
    request: u64,
    asked: Asked,
    /// Workers leased to those who have reported that have nothing to do.
    idle: BTreeSet<ClientId>,
    flush: u64,
    awaited: BTreeSet<ClientId>,
    running: Running,
    pub(super) deadline: Time,
}

/// What ran, where, and since when, as those who run it told when they were last asked.
pub(super) type Running = BTreeMap<TaskId, (ClientId, Duration)>;

/// Tasks kept in full. At about 120 bytes each this is what a scheduler may take for a long history.
const LIMIT: usize = 2_000_000;
/// Rows per piece of an answer, so that a piece stays far below the largest frame.
const ROWS_PER_PIECE: usize = 2_000;
/// Bytes per piece of an answer, for rows with many inputs.
const INPUTS_PER_PIECE: usize = 16_000;
/// Clients that do not report within this time are not waited for.
const REPORT_WAIT: Duration = Duration::from_secs(1);

impl Graph {
    pub(super) fn record(&mut self, client: ClientId, events: Vec<GraphEvent>) {
        for event in events {
            match event {
                GraphEvent::Function { function, name } => {
                    self.names.insert(function, name);
                }
                GraphEvent::Submitted { seq, function, returns, parent, actor, inputs, at_us } => {
                    let node = Node {
                        seq,
                        at_us,
                        function,
                        parent,
                        inputs: inputs.into_boxed_slice(),
                        returns,
                        run_time_us: 0,
                        took_us: 0,
                        worker: ClientId::default(),
                        state: TaskState::Pending,
                    };
                    let tasks = self.tasks.entry(client).or_default();
                    // A client numbers its tasks upwards; one that does not is broken, and its report is not worth believing.
                    if tasks.back().is_none_or(|last| last.seq < seq) {
                        tasks.push_back(node);
                        self.count += 1;
                        if let Some(actor) = actor {
                            self.calls.insert(TaskId { client, seq }, actor);
                        }
                    }
                }
                GraphEvent::Finished { seq, ok, run_time_us, worker, at_us } => {
                    if !self.calls.is_empty() {
                        self.calls.remove(&TaskId { client, seq });
                    }
                    if let Some(node) = self.node_mut(TaskId { client, seq }) {
                        node.state = if ok { TaskState::Finished } else { TaskState::Failed };
                        node.run_time_us = run_time_us;
                        node.took_us = u32::try_from(at_us.saturating_sub(node.at_us)).unwrap_or(u32::MAX);
                        node.worker = worker;
                        self.finished += u64::from(ok);
                        self.failed += u64::from(!ok);
                    }
                }
            }
        }
        if self.count > LIMIT {
            self.fold();
        }
    }

    /// Folds finished tasks from the front of each client's history until a tenth of the room is free.
    fn fold(&mut self) {
        let enough = LIMIT - LIMIT / 10;
        for tasks in self.tasks.values_mut() {
            while self.count > enough {
                let Some(front) = tasks.front() else { break };
                if !matches!(front.state, TaskState::Finished | TaskState::Failed) {
                    break;
                }
                *self.folded.entry(front.function).or_default() += 1;
                tasks.pop_front();
                self.count -= 1;
            }
        }
    }

    fn node_mut(&mut self, task: TaskId) -> Option<&mut Node> {
        let tasks = self.tasks.get_mut(&task.client)?;
        let at = tasks.binary_search_by_key(&task.seq, |node| node.seq).ok()?;
        Some(&mut tasks[at])
    }

    fn node(&self, task: TaskId) -> Option<&Node> {
        let tasks = self.tasks.get(&task.client)?;
        let at = tasks.binary_search_by_key(&task.seq, |node| node.seq).ok()?;
        Some(&tasks[at])
    }

    /// A task, if it is known and was not folded.
    pub(super) fn task(&self, task: TaskId) -> Option<TaskRow> {
        self.node(task).map(|node| node.row(task.client))
    }

    /// The actor that a call which has not ended is for.
    pub(super) fn actor_of(&self, call: TaskId) -> Option<TaskId> {
        self.calls.get(&call).copied()
    }

    /// Calls of an actor that have not ended, in the order in which they were made.
    pub(super) fn calls_of(&self, actor: TaskId) -> Vec<TaskId> {
        let theirs = self.calls.iter().filter(|(_, of)| **of == actor);
        let mut calls: Vec<(u64, TaskId)> =
            theirs.filter_map(|(call, _)| self.node(*call).map(|node| (node.at_us, *call))).collect();
        calls.sort_unstable();
        calls.into_iter().map(|(_, call)| call).collect()
    }

    /// What to call a task in texts.
    pub(super) fn name_of(&self, task: TaskId) -> String {
        let name = self.node(task).and_then(|node| self.names.get(&node.function));
        name.map_or_else(|| format!("task {task}"), |name| format!("{name} (task {task})"))
    }

    /// A client that is gone will not report the end of what it submitted.
    pub(super) fn client_gone(&mut self, client: ClientId) {
        self.calls.retain(|call, _| call.client != client);
        for node in self.tasks.get_mut(&client).into_iter().flatten() {
            if matches!(node.state, TaskState::Pending | TaskState::Running) {
                node.state = TaskState::Failed;
                self.failed += 1;
            }
        }
    }

    pub(super) fn counters(&self) -> Vec<(String, u64)> {
        vec![
            (String::from("graph_tasks"), self.count as u64),
            (String::from("graph_folded"), self.folded.values().sum()),
            (String::from("tasks_finished"), self.finished),
            (String::from("tasks_failed"), self.failed),
        ]
    }

    /// The whole graph in pieces.
    fn pieces(&self, running: &Running) -> Vec<AnswerPart> {
        let mut rows: Vec<(u64, TaskRow)> = Vec::with_capacity(self.count);
        for (client, tasks) in &self.tasks {
            rows.extend(tasks.iter().map(|node| {
                let mut row = node.row(*client);
                if row.state == TaskState::Pending && running.contains_key(&row.task) {
                    row.state = TaskState::Running;
                }
                (node.at_us, row)
            }));
        }
        rows.sort_by_key(|(at_us, _)| *at_us); // stable: a client's own order stays
        let mut pieces = vec![AnswerPart::Functions(self.names.iter().map(|(id, name)| (*id, name.clone())).collect())];
        if !self.folded.is_empty() {
            let name = |id: &FunctionId| self.names.get(id).cloned().unwrap_or_default();
            pieces.push(AnswerPart::Folded(self.folded.iter().map(|(id, count)| (name(id), *count)).collect()));
        }
        let (mut piece, mut inputs) = (Vec::new(), 0);
        for (_, row) in rows {
            inputs += row.inputs.len();
            piece.push(row);
            if piece.len() >= ROWS_PER_PIECE || inputs >= INPUTS_PER_PIECE {
                pieces.push(AnswerPart::Tasks(core::mem::take(&mut piece)));
                inputs = 0;
            }
        }
        pieces.push(AnswerPart::Tasks(piece));
        pieces
    }
}

impl Node {
    fn row(&self, client: ClientId) -> TaskRow {
        TaskRow {
            task: TaskId { client, seq: self.seq },
            function: self.function,
            parent: self.parent,
            returns: self.returns,
            inputs: self.inputs.to_vec(),
            state: self.state,
            run_time_us: self.run_time_us,
            submitted_us: self.at_us,
            took_us: self.took_us,
            worker: self.worker,
        }
    }
}

impl Scheduler {
    /// Asks everyone for their news, then answers.
    pub(super) fn gather(&mut self, client: ClientId, request: u64, asked: Asked) {
        let flush = self.next_request;
        self.next_request += 1;
        let awaited: BTreeSet<ClientId> = self.clients.keys().copied().collect();
        for &other in &awaited {
            self.send(other, FromScheduler::FlushReports { request: flush });
        }
        let deadline = self.now.plus(REPORT_WAIT);
        let (running, idle) = (Running::new(), BTreeSet::new());
        self.pending_answers.push(PendingAnswer { client, request, asked, idle, flush, awaited, running, deadline });
    }

    pub(super) fn flushed(&mut self, client: ClientId, request: u64, running: &[RunningTask], idle: &[ClientId]) {
        if self.deadlock_flushed(client, request) {
            return;
        }
        if let Some(at) = self.pending_answers.iter().position(|answer| answer.flush == request) {
            let answer = &mut self.pending_answers[at];
            answer.awaited.remove(&client);
            answer.running.extend(running.iter().map(|task| (task.task, (client, Duration::from_micros(task.for_us)))));
            answer.idle.extend(idle);
            self.answer_if_complete(at);
        }
    }

    pub(super) fn answer_overdue(&mut self) {
        for at in (0..self.pending_answers.len()).rev() {
            if self.pending_answers[at].deadline <= self.now {
                self.pending_answers[at].awaited.clear();
                self.answer_if_complete(at);
            }
        }
    }

    /// Nobody waits for the reports of a client that is gone.
    pub(super) fn flush_answers_without(&mut self, client: ClientId) {
        self.pending_answers.retain(|answer| answer.client != client);
        for at in (0..self.pending_answers.len()).rev() {
            self.pending_answers[at].awaited.remove(&client);
            self.answer_if_complete(at);
        }
        if let Some(check) = self.deadlock_check.as_ref().and_then(super::deadlock::Check::request) {
            self.deadlock_flushed(client, check);
        }
    }

    fn answer_if_complete(&mut self, at: usize) {
        if !self.pending_answers[at].awaited.is_empty() {
            return;
        }
        let PendingAnswer { client, request, asked, running, idle, .. } = self.pending_answers.remove(at);
        let pieces = match asked {
            Asked::Graph => self.graph.pieces(&running),
            Asked::Cluster => vec![AnswerPart::Cluster(self.cluster_view(&idle))],
            Asked::Explain(object) => vec![AnswerPart::Text(self.explain_object(object, &running))],
            Asked::ExplainActor(actor) => vec![AnswerPart::Text(self.explain_actor(actor, &running))],
        };
        let last = pieces.len() - 1;
        for (number, part) in pieces.into_iter().enumerate() {
            self.send(client, FromScheduler::Answer { request, part, more: number < last });
        }
    }
}
