//! What will be drawn: boxes, ovals and arrows with their words, before anything has a place.
//!
//! [`Sketch::new`] reads a graph and the partition that [`crate::group`] made of it. Without grouping every task and object is its own
//! part, so there is one way from graph to sketch, whatever the size.

use hashbrown::HashMap;

use crate::graph::{DRIVER, Graph, Links, Origin, STRANGER, TaskState};
use crate::group::Partition;
use crate::text::{LONGEST_NAME, count, elide, printable, thousands};

/// What stands at the end of an arrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    /// The driver: the box `op-root`.
    Root,
    Task,
    Object,
}

/// How a box stands out from the black and white.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Plain,
    Running,
    Failed,
}

/// A box or an oval.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    /// Lines at full size.
    pub(crate) label: Vec<String>,
    /// Lines at small size, below.
    pub(crate) remarks: Vec<String>,
    /// The tooltip: everything in full.
    pub(crate) title: String,
    /// Stands for several, drawn as a stack.
    pub(crate) stacked: bool,
    pub(crate) mark: Mark,
}

/// Why an arrow is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum EdgeKind {
    /// Dotted: who launched or put whom.
    Launch,
    /// Solid: an object's way out of one task and into others.
    Data,
}

/// An arrow, by the indices of its ends.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) kind: EdgeKind,
    /// How many arrows it stands for, where that is not plain from its ends.
    pub(crate) label: Option<String>,
}

/// The drawing without places. Node 0 is `op-root`.
#[derive(Debug)]
pub(crate) struct Sketch {
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<Edge>,
    /// Sentences under the picture.
    pub(crate) notes: Vec<String>,
}

/// Index of the box `op-root`.
pub(crate) const ROOT: usize = 0;

impl Sketch {
    pub(crate) fn new(graph: &Graph, links: &Links, partition: &Partition) -> Sketch {
        let tasks = partition.task_parts as usize;
        let arrows = arrows(graph, links, partition);
        let mut nodes = vec![Node {
            kind: NodeKind::Root,
            label: vec!["op-root".into()],
            remarks: Vec::new(),
            title: "op-root: the driver".into(),
            stacked: false,
            mark: Mark::Plain,
        }];
        nodes.extend(task_nodes(graph, partition, &arrows));
        nodes.extend(object_nodes(links, partition));
        let mut edges = Vec::with_capacity(arrows.len());
        for &(from, to, kind, n) in &arrows {
            // A part that launches or feeds itself says so in its own words.
            if from == to || kind == EdgeKind::Data && is_own_output(partition, tasks, to, from) {
                continue;
            }
            // Launches and outputs number as many as what they point to. Uses do not.
            let plain = n == 1 || from <= tasks;
            edges.push(Edge { from, to, kind, label: (!plain).then(|| format!("× {}", thousands(n))) });
        }
        Sketch { nodes, edges, notes: notes(graph, links, partition) }
    }
}

/// Whether `object` is made by the very part that `task` is, so that an arrow back would only say "chain".
fn is_own_output(partition: &Partition, tasks: usize, task: usize, object: usize) -> bool {
    task >= 1 && task <= tasks && object > tasks && partition.object_maker[object - tasks - 1] == task as u32 - 1
}

/// All arrows between parts as (from, to, why, how many), in a fixed order.
pub(crate) fn arrows(graph: &Graph, links: &Links, partition: &Partition) -> Vec<(usize, usize, EdgeKind, u64)> {
    let first_object = 1 + partition.task_parts as usize;
    let task_node = |t: u32| 1 + partition.task[t as usize] as usize;
    let object_node = |o: u32| first_object + partition.object[o as usize] as usize;
    let launcher = |t: u32| match t {
        DRIVER => Some(ROOT),
        STRANGER => None,
        t => Some(task_node(t)),
    };
    let mut counted: HashMap<(usize, usize, EdgeKind), u64> = HashMap::new();
    let mut add = |from, to, kind| *counted.entry((from, to, kind)).or_default() += 1;
    for t in 0..graph.tasks.len() {
        let node = task_node(t as u32);
        if let Some(from) = launcher(links.parent[t]) {
            add(from, node, EdgeKind::Launch);
        }
        for &o in links.outputs.row(t) {
            add(node, object_node(o), EdgeKind::Data);
        }
        for &o in links.inputs.row(t) {
            add(object_node(o), node, EdgeKind::Data);
        }
    }
    for (o, origin) in links.origin.iter().enumerate() {
        let node = object_node(o as u32);
        match *origin {
            Origin::Put(by) => {
                if let Some(from) = launcher(by) {
                    add(from, node, EdgeKind::Launch);
                }
            }
            // Claimed by the object alone: its task's list of outputs does not name it.
            Origin::Output(t, _) if !links.outputs.row(t as usize).contains(&(o as u32)) => add(task_node(t), node, EdgeKind::Data),
            Origin::Output(..) | Origin::Unknown => {}
        }
    }
    let mut arrows: Vec<_> = counted.into_iter().map(|((from, to, kind), n)| (from, to, kind, n)).collect();
    arrows.sort_unstable();
    arrows
}

/// What a box has to say about its members.
#[derive(Clone, Default)]
struct Tally {
    members: u64,
    first: usize,
    lowest: u64,
    highest: u64,
    waiting: u64,
    queued: u64,
    running: u64,
    failed: u64,
    names: Names,
}

#[derive(Clone, Default)]
enum Names {
    #[default]
    One,
    Several,
}

fn task_nodes(graph: &Graph, partition: &Partition, arrows: &[(usize, usize, EdgeKind, u64)]) -> Vec<Node> {
    let mut tallies = vec![Tally::default(); partition.task_parts as usize];
    for (i, task) in graph.tasks.iter().enumerate() {
        let tally = &mut tallies[partition.task[i] as usize];
        if tally.members == 0 {
            (tally.first, tally.lowest, tally.highest) = (i, task.id, task.id);
        } else if matches!(tally.names, Names::One) && graph.tasks[tally.first].name != task.name {
            tally.names = Names::Several;
        }
        tally.members += 1;
        tally.lowest = tally.lowest.min(task.id);
        tally.highest = tally.highest.max(task.id);
        match task.state {
            TaskState::Waiting => tally.waiting += 1,
            TaskState::Queued => tally.queued += 1,
            TaskState::Running => tally.running += 1,
            TaskState::Failed => tally.failed += 1,
            TaskState::Finished => {}
        }
    }
    let mut recursive = vec![false; tallies.len()];
    let mut chained = vec![false; tallies.len()];
    for &(from, to, kind, _) in arrows {
        if from == to {
            recursive[from - 1] = true;
        } else if kind == EdgeKind::Data && is_own_output(partition, tallies.len(), to, from) {
            chained[to - 1] = true;
        }
    }
    let mut nodes = Vec::with_capacity(tallies.len());
    for (part, tally) in tallies.iter().enumerate() {
        let task = &graph.tasks[tally.first];
        let name = printable(&task.name);
        let mark = match tally {
            t if t.failed > 0 => Mark::Failed,
            t if t.running > 0 => Mark::Running,
            _ => Mark::Plain,
        };
        let (mut remarks, mut label) = (Vec::new(), Vec::new());
        let title = if tally.members == 1 {
            label.push(task.id.to_string());
            if !name.is_empty() {
                label.push(elide(&name, LONGEST_NAME));
            }
            if recursive[part] || chained[part] {
                remarks.push("(depends on itself)".into()); // only a broken graph says so
            }
            format!("task {}: {name} ({})", task.id, state_word(task.state))
        } else {
            let name = match tally.names {
                Names::One => name,
                Names::Several => "other functions".to_owned(),
            };
            label.push(format!("{} × {}", elide(&name, LONGEST_NAME), thousands(tally.members)));
            let steps = partition.chain_length[part];
            if steps == tally.members {
                label.push("(chain)".into());
            } else if steps > 1 {
                label.push(format!("({} in a row)", thousands(steps)));
            } else if chained[part] {
                label.push("(chained)".into());
            }
            if recursive[part] {
                label.push("(recursive)".into());
            }
            let states =
                [(tally.failed, "failed"), (tally.running, "running"), (tally.queued, "queued"), (tally.waiting, "waiting")];
            let said: Vec<String> =
                states.iter().filter(|s| s.0 > 0).map(|(n, word)| format!("{} {word}", thousands(*n))).collect();
            remarks.extend(said.chunks(2).map(|pair| pair.join(", ")));
            let rest = if said.is_empty() { "all finished".to_owned() } else { said.join(", ") };
            format!("{} of {name}, numbered {} to {}; {rest}", count(tally.members, "task"), tally.lowest, tally.highest)
        };
        nodes.push(Node {
            kind: NodeKind::Task,
            label,
            remarks,
            title: elide(&title, LONGEST_TITLE),
            stacked: tally.members > 1,
            mark,
        });
    }
    nodes
}

fn object_nodes(links: &Links, partition: &Partition) -> Vec<Node> {
    let mut members = vec![(0u64, u64::MAX, 0u64, false); partition.object_parts as usize];
    for (o, &id) in links.object_ids.iter().enumerate() {
        let (n, lowest, highest, put) = &mut members[partition.object[o] as usize];
        *n += 1;
        *lowest = id.min(*lowest);
        *highest = id.max(*highest);
        *put = matches!(links.origin[o], Origin::Put(_));
    }
    let node = |&(n, lowest, highest, put): &(u64, u64, u64, bool)| Node {
        kind: NodeKind::Object,
        label: vec![if n == 1 { lowest.to_string() } else { count(n, "object") }],
        remarks: if put { vec!["put".into()] } else { Vec::new() },
        title: match (n, put) {
            (1, false) => format!("object {lowest}"),
            (1, true) => format!("object {lowest}, stored by ray.put"),
            (_, false) => format!("{}, numbered {lowest} to {highest}", count(n, "object")),
            (_, true) => format!("{}, numbered {lowest} to {highest}, stored by ray.put", count(n, "object")),
        },
        stacked: n > 1,
        mark: Mark::Plain,
    };
    members.iter().map(node).collect()
}

fn notes(graph: &Graph, links: &Links, partition: &Partition) -> Vec<String> {
    let mut notes = Vec::new();
    let (tasks, objects) = (graph.tasks.len() as u64, links.object_ids.len() as u64);
    if u64::from(partition.task_parts) < tasks || u64::from(partition.object_parts) < objects {
        let boxes = match partition.task_parts {
            1 => "1 box".to_owned(),
            n => format!("{} boxes", thousands(u64::from(n))),
        };
        notes.push(format!(
            "{} drawn as {boxes} and {} as {}. {}",
            count(tasks, "task"),
            count(objects, "object"),
            count(u64::from(partition.object_parts), "oval"),
            partition.rule
        ));
    }
    let strangers = links.parent.iter().filter(|&&p| p == STRANGER).count() as u64;
    if strangers > 0 {
        notes.push(format!("{} launched by a task that is not in this graph.", count(strangers, "task")));
    }
    let omitted = graph.omitted_note.iter().map(|n| elide(&printable(n.trim()), LONGEST_TITLE));
    notes.extend(omitted.filter(|n| !n.is_empty()));
    notes
}

fn state_word(state: TaskState) -> &'static str {
    match state {
        TaskState::Waiting => "waiting",
        TaskState::Queued => "queued",
        TaskState::Running => "running",
        TaskState::Finished => "finished",
        TaskState::Failed => "failed",
    }
}

/// A tooltip or note longer than this helps nobody, and a name has no limit of its own.
const LONGEST_TITLE: usize = 1000;
