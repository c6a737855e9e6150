//! Graphs for the tests.

use crate::graph::{Graph, ObjectKind, ObjectNode, TaskNode, TaskState};

/// Builds a graph the way a driver would: each call returns the object it made.
#[derive(Default)]
pub(crate) struct Program {
    pub(crate) graph: Graph,
}

impl Program {
    pub(crate) fn call(&mut self, name: &str, parent: Option<u64>, inputs: &[u64]) -> u64 {
        let (id, output) = (self.graph.tasks.len() as u64, self.object(ObjectKind::TaskOutput, None));
        let task =
            TaskNode { id, name: name.into(), parent, state: TaskState::Finished, outputs: vec![output], inputs: inputs.into() };
        self.graph.tasks.push(task);
        output
    }

    pub(crate) fn object(&mut self, kind: ObjectKind, creator: Option<u64>) -> u64 {
        let id = self.graph.objects.len() as u64;
        self.graph.objects.push(ObjectNode { id, kind, creator });
        id
    }
}

pub(crate) fn sleep(n: usize) -> Graph {
    let mut p = Program::default();
    (0..n).for_each(|_| _ = p.call("sleep", None, &[]));
    p.graph
}

/// The tutorial's second graph.
pub(crate) fn dot() -> Graph {
    let mut p = Program::default();
    let (a, b) = (p.call("zeros", None, &[]), p.call("zeros", None, &[]));
    p.call("dot", None, &[a, b]);
    p.graph
}

pub(crate) fn chain(n: usize) -> Graph {
    let mut p = Program::default();
    let mut last = Vec::new();
    (0..n).for_each(|_| last = vec![p.call("f", None, &last)]);
    p.graph
}

pub(crate) fn tree(leaves: usize) -> Graph {
    let mut p = Program::default();
    let mut level: Vec<u64> = (0..leaves).map(|_| p.call("zeros", None, &[])).collect();
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| p.call("add", None, pair)).collect();
    }
    p.graph
}

/// A fixed sequence that looks random.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Tasks that use earlier results, nested launches, puts and names of different lengths.
pub(crate) fn random(tasks: u64, seed: u64) -> Graph {
    let mut dice = Dice(seed);
    let mut p = Program::default();
    let names = ["f", "load_everything", "a_rather_long_name_for_a_function", "x"];
    for t in 0..tasks {
        if dice.below(6) == 0 {
            let creator = (t > 0 && dice.below(2) == 0).then(|| dice.below(t));
            p.object(ObjectKind::Put, creator);
        }
        let objects = p.graph.objects.len() as u64;
        let inputs: Vec<u64> =
            (0..dice.below(4)).filter(|_| objects > 0).map(|_| objects - 1 - dice.below(objects.min(20))).collect();
        let parent = (t > 0 && dice.below(3) == 0).then(|| dice.below(t));
        p.call(names[dice.below(4) as usize], parent, &inputs);
        let state = [TaskState::Finished, TaskState::Running, TaskState::Failed][dice.below(3) as usize];
        p.graph.tasks[t as usize].state = state;
    }
    p.graph
}

/// A graph that makes no sense: ids at random, so that everything is missing, repeated or circular somewhere.
pub(crate) fn nonsense(tasks: u64, seed: u64) -> Graph {
    let mut dice = Dice(seed);
    let mut graph = Graph::default();
    for _ in 0..tasks {
        let id = if dice.below(20) == 0 { u64::MAX - dice.below(3) } else { dice.below(tasks) };
        let mut ids = |most: u64| -> Vec<u64> { (0..dice.below(most)).map(|_| dice.below(tasks)).collect() };
        let (inputs, outputs) = (ids(4), ids(3));
        let parent = (dice.below(2) == 0).then(|| dice.below(tasks + 3));
        graph.tasks.push(TaskNode {
            id,
            name: "n".repeat(dice.below(3) as usize),
            parent,
            state: TaskState::Queued,
            outputs,
            inputs,
        });
        let kind = if dice.below(2) == 0 { ObjectKind::Put } else { ObjectKind::TaskOutput };
        let creator = (dice.below(2) == 0).then(|| dice.below(tasks + 3));
        graph.objects.push(ObjectNode { id: dice.below(tasks), kind, creator });
    }
    graph
}
