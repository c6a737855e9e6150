//! Writes a gallery of computation graphs in all formats: `cargo run -p ray-draw --example pictures -- FOLDER`.

use std::path::Path;
use std::time::Instant;

use ray_draw::{Format, Graph, ObjectKind, ObjectNode, Options, TaskNode, TaskState, render};

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).expect("usage: pictures FOLDER");
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    for (name, graph) in gallery() {
        for (format, ending) in [(Format::Svg, "svg"), (Format::Png, "png"), (Format::Pdf, "pdf"), (Format::Dot, "dot")] {
            let start = Instant::now();
            let bytes = render(&graph, format, &Options::default());
            println!("{name}.{ending}: {} bytes in {:.0?}", bytes.len(), start.elapsed());
            std::fs::write(folder.join(format!("{name}.{ending}")), bytes)?;
        }
    }
    Ok(())
}

fn gallery() -> Vec<(&'static str, Graph)> {
    vec![
        ("sleep", sleep(10)),
        ("dot", dot()),
        ("nested", nested()),
        ("tree", tree(64)),
        ("sum", sum(12)),
        ("puts", puts()),
        ("training", training(6, 4)),
        ("states", states()),
        ("names", names()),
        ("pipeline", pipeline(40)),
        ("chain-of-40", chain(40)),
        ("random", random(60)),
        ("sleep-300", sleep(300)),
        ("sleep-10000", ten_thousand()),
        ("tree-10000", tree(10_000)),
        ("chain-5000", chain(5_000)),
        ("training-1000", training(1_000, 10)),
        ("random-5000", random(5_000)),
        ("recursion", recursion(12)),
        ("million", tree(1_000_000)),
    ]
}

/// Builds a graph the way a driver would: each call returns what it made.
#[derive(Default)]
struct Program {
    graph: Graph,
}

impl Program {
    fn call(&mut self, name: &str, parent: Option<u64>, inputs: &[u64], outputs: usize) -> (u64, Vec<u64>) {
        let id = self.graph.tasks.len() as u64;
        let outputs: Vec<u64> = (0..outputs).map(|_| self.object(ObjectKind::TaskOutput, None)).collect();
        let task =
            TaskNode { id, name: name.into(), parent, state: TaskState::Finished, outputs: outputs.clone(), inputs: inputs.into() };
        self.graph.tasks.push(task);
        (id, outputs)
    }

    /// A task of the driver with one result.
    fn one(&mut self, name: &str, inputs: &[u64]) -> u64 {
        self.call(name, None, inputs, 1).1[0]
    }

    fn object(&mut self, kind: ObjectKind, creator: Option<u64>) -> u64 {
        let id = self.graph.objects.len() as u64;
        self.graph.objects.push(ObjectNode { id, kind, creator });
        id
    }

    fn state(&mut self, task: u64, state: TaskState) {
        self.graph.tasks[task as usize].state = state;
    }
}

fn sleep(n: usize) -> Graph {
    let mut p = Program::default();
    for _ in 0..n {
        p.one("sleep", &[]);
    }
    p.graph
}

fn dot() -> Graph {
    let mut p = Program::default();
    let (a, b) = (p.one("zeros", &[]), p.one("zeros", &[]));
    p.one("dot", &[a, b]);
    p.graph
}

fn nested() -> Graph {
    let mut p = Program::default();
    let (a, made) = p.call("experiment", None, &[], 1);
    let (b, _) = p.call("experiment", None, &[], 1);
    let mut scores = Vec::new();
    for parent in [a, b] {
        let (train, model) = p.call("train", Some(parent), &[], 2);
        for _ in 0..3 {
            p.call("load_batch", Some(train), &[], 1);
        }
        scores.push(p.call("evaluate", Some(parent), &[model[0]], 1).1[0]);
    }
    scores.push(made[0]);
    p.one("report", &scores);
    p.graph
}

fn tree(leaves: usize) -> Graph {
    let mut p = Program::default();
    let mut level: Vec<u64> = (0..leaves).map(|_| p.one("zeros", &[])).collect();
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| if pair.len() == 2 { p.one("add", pair) } else { pair[0] }).collect();
    }
    p.graph
}

fn sum(n: usize) -> Graph {
    let mut p = Program::default();
    let parts: Vec<u64> = (0..n).map(|_| p.one("count_words", &[])).collect();
    p.one("merge", &parts);
    let mut total = p.one("zero", &[]);
    for part in parts.iter().take(5) {
        total = p.one("accumulate", &[total, *part]);
    }
    p.graph
}

fn puts() -> Graph {
    let mut p = Program::default();
    let x = p.object(ObjectKind::Put, None);
    let y = p.object(ObjectKind::Put, None);
    let (split, halves) = p.call("split", None, &[x], 2);
    let inner = p.object(ObjectKind::Put, Some(split));
    let a = p.one("scale", &[halves[0], y]);
    let b = p.one("scale", &[halves[1], y, inner]);
    p.one("join", &[a, b, x, a]);
    p.graph
}

fn training(steps: usize, workers: usize) -> Graph {
    let mut p = Program::default();
    let mut weights = p.object(ObjectKind::Put, None);
    let batches: Vec<u64> = (0..workers).map(|_| p.object(ObjectKind::Put, None)).collect();
    for _ in 0..steps {
        let gradients: Vec<u64> = batches.iter().map(|&b| p.one("gradient", &[weights, b])).collect();
        weights = p.one("update", &gradients);
    }
    p.graph
}

fn states() -> Graph {
    let mut p = Program::default();
    let a = p.one("fetch", &[]);
    let b = p.one("fetch", &[]);
    let c = p.one("parse", &[a]);
    let d = p.one("parse", &[b]);
    p.one("merge", &[c, d]);
    p.state(2, TaskState::Running);
    p.state(3, TaskState::Failed);
    p.state(4, TaskState::Waiting);
    p.graph.omitted_note = Some("1,204 older tasks whose results were freed are not shown.".into());
    p.graph
}

fn names() -> Graph {
    let mut p = Program::default();
    let mut last = None;
    for name in [
        "<lambda>",
        "a_very_long_function_name_that_goes_on_and_on_for_ever",
        "函数",
        "ελληνικά_и_кириллица",
        "q\"uo'te&amp;\\N\\",
        "(par)en)s",
        "nul\0esc\x1b[31m\nnewline",
        "rtl\u{202e}gnp.exe",
        "",
    ] {
        last = Some(p.call(name, None, &Vec::from_iter(last), 1).1[0]);
    }
    p.graph
}

fn pipeline(n: usize) -> Graph {
    let mut p = Program::default();
    for _ in 0..n / 4 {
        let mut x = p.one("read", &[]);
        for name in ["decode", "resize", "store"] {
            x = p.one(name, &[x]);
        }
    }
    p.graph
}

fn chain(n: usize) -> Graph {
    let mut p = Program::default();
    let mut x = p.one("f", &[]);
    for _ in 1..n {
        x = p.one("f", &[x]);
    }
    p.graph
}

/// Tasks that use up to three earlier results each, by a fixed recipe.
fn random(n: usize) -> Graph {
    let mut p = Program::default();
    let mut seed = 7u64;
    let mut next = |below: u64| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) % below
    };
    let names = ["load", "filter", "join", "project", "aggregate", "sort"];
    for t in 0..n as u64 {
        let inputs: Vec<u64> = if t < 6 { Vec::new() } else { (0..next(4)).map(|_| t - 1 - next(t.min(15))).collect() };
        p.one(names[next(6) as usize], &inputs);
    }
    p.graph
}

fn ten_thousand() -> Graph {
    let mut p = Program::default();
    let sizes = p.object(ObjectKind::Put, None);
    let parts: Vec<u64> = (0..9_990).map(|_| p.one("sleep", &[sizes])).collect();
    let sums: Vec<u64> = parts.chunks(1_110).map(|part| p.one("sum", part)).collect();
    p.one("total", &sums);
    p.state(17, TaskState::Failed);
    p.state(18, TaskState::Running);
    p.graph
}

fn recursion(depth: usize) -> Graph {
    let mut p = Program::default();
    let mut level = vec![p.call("fib", None, &[], 1).0];
    for _ in 1..depth {
        level = level.iter().flat_map(|&t| [p.call("fib", Some(t), &[], 1).0, p.call("fib", Some(t), &[], 1).0]).collect();
    }
    p.graph
}
