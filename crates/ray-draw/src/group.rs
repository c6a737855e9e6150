//! Deciding what is drawn together, in linear time.
//!
//! Small graphs are drawn as they are. In a large one, tasks that play the same part share a box. Four rules are tried, finest first,
//! until the picture has few enough boxes:
//!
//! 1. **Alike**: same function, same parent's part, as many outputs, and inputs from the same parts. Going through the tasks so that
//!    parents and inputs come first, one lookup per task decides. A tree of ten thousand leaves becomes one box per level. Then a row of
//!    like boxes in which each feeds the next becomes one, so that a chain of any length is one box as well.
//! 2. **Caller**: same function launched from the same function. Loops over several functions become a circle of boxes.
//! 3. **Function**: same function.
//! 4. **Rest**: the functions called most keep a box each, all others share one.
//!
//! A rule is too fine if it leaves too many boxes, or too many arrows between them. Rule 4 bounds both whatever the graph. Nothing is
//! ever left out: each task is in exactly one part.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use crate::Options;
use crate::graph::{DRIVER, Graph, Links, Origin, Rows, STRANGER};
use crate::sketch::arrows;

/// Which task and object is drawn by which box and oval.
pub(crate) struct Partition {
    /// Per task: its part.
    pub(crate) task: Vec<u32>,
    pub(crate) task_parts: u32,
    /// Per object: its part.
    pub(crate) object: Vec<u32>,
    pub(crate) object_parts: u32,
    /// Per part of objects: the part of tasks that returns them, or [`NOBODY`].
    pub(crate) object_maker: Vec<u32>,
    /// Per part of tasks: how many steps were folded into it, one after the other.
    pub(crate) chain_length: Vec<u64>,
    /// The rule in words, for the note under the picture.
    pub(crate) rule: &'static str,
}

/// More arrows than this for each box that may be drawn are a tangle, even between few boxes.
const ARROWS_PER_BOX: usize = 4;

/// No part of tasks returns this part of objects.
pub(crate) const NOBODY: u32 = u32::MAX;

impl Partition {
    /// Every task and object by itself.
    pub(crate) fn each(graph: &Graph, links: &Links) -> Partition {
        let (tasks, objects) = (graph.tasks.len() as u32, links.object_ids.len() as u32);
        let maker = |origin: &Origin| match *origin {
            Origin::Output(task, _) => task,
            Origin::Put(_) | Origin::Unknown => NOBODY,
        };
        Partition {
            task: (0..tasks).collect(),
            task_parts: tasks,
            object: (0..objects).collect(),
            object_parts: objects,
            object_maker: links.origin.iter().map(maker).collect(),
            chain_length: vec![1; tasks as usize],
            rule: "",
        }
    }

    /// The finest rule with few enough parts.
    pub(crate) fn grouped(graph: &Graph, links: &Links, options: &Options) -> Partition {
        let names = Names::new(graph);
        let most = options.max_boxes.max(2) as u32;
        let fits = |p: &Partition| {
            let few = p.task_parts <= most && p.object_parts <= 3 * most;
            few && arrows(graph, links, p).len() <= ARROWS_PER_BOX * most as usize
        };
        let alike = fold_chains(alike(graph, links, &names));
        if fits(&alike) {
            return alike;
        }
        let caller = |t: u32| match links.parent[t as usize] {
            p @ (DRIVER | STRANGER) => p,
            p => names.of[p as usize],
        };
        let by_caller = by_key(graph, links, "Calls of one function from the same function share a box.", |t| {
            (names.of[t as usize], caller(t))
        });
        if fits(&by_caller) {
            return by_caller;
        }
        let by_name = by_key(graph, links, "Calls of one function share a box.", |t| (names.of[t as usize], 0));
        if fits(&by_name) {
            return by_name;
        }
        let with_rest = |kept: u32| {
            let kept = names.most_called(kept as usize);
            by_key(graph, links, "Calls of one function share a box; functions called least share the last one.", |t| {
                let name = names.of[t as usize];
                (if kept[name as usize] { name } else { NOBODY }, 0)
            })
        };
        let many = with_rest(most - 1);
        // Where every function feeds every other, only fewer boxes help.
        if fits(&many) { many } else { with_rest((most / 4).max(1)) }
    }
}

/// Few tasks may still have so many objects or arrows that nobody could follow them one by one.
pub(crate) fn is_large(graph: &Graph, links: &Links, options: &Options) -> bool {
    let limit = options.group_above;
    let arrows = links.inputs.total() + links.outputs.total();
    graph.tasks.len() > limit || links.object_ids.len() > limit.saturating_mul(4) || arrows > limit.saturating_mul(10)
}

/// Function names as numbers, in order of first use.
struct Names {
    of: Vec<u32>,
    calls: Vec<u64>,
}

impl Names {
    fn new(graph: &Graph) -> Names {
        let mut known: HashMap<&str, u32> = HashMap::new();
        let mut names = Names { of: Vec::with_capacity(graph.tasks.len()), calls: Vec::new() };
        for task in &graph.tasks {
            let next = known.len() as u32;
            let name = *known.entry(&task.name).or_insert(next);
            if name == next {
                names.calls.push(0);
            }
            names.calls[name as usize] += 1;
            names.of.push(name);
        }
        names
    }

    /// Marks the `n` functions with most calls, the earlier one on a tie.
    fn most_called(&self, n: usize) -> Vec<bool> {
        let mut ranked: Vec<usize> = (0..self.calls.len()).collect();
        ranked.sort_by_key(|&name| std::cmp::Reverse(self.calls[name]));
        let mut kept = vec![false; ranked.len()];
        for &name in ranked.iter().take(n) {
            kept[name] = true;
        }
        kept
    }
}

/// Tasks by a key of their own; objects by who made them.
fn by_key(graph: &Graph, links: &Links, rule: &'static str, key: impl Fn(u32) -> (u32, u32)) -> Partition {
    let mut known: HashMap<(u32, u32), u32> = HashMap::new();
    let mut task = Vec::with_capacity(graph.tasks.len());
    for t in 0..graph.tasks.len() as u32 {
        let next = known.len() as u32;
        task.push(*known.entry(key(t)).or_insert(next));
    }
    let mut ovals = Ovals::new(links.object_ids.len());
    for o in 0..links.object_ids.len() as u32 {
        let maker = maker_part(links, &task, o);
        ovals.add(o, maker, 0);
    }
    let task_parts = known.len() as u32;
    ovals.into_partition(task, task_parts, rule)
}

/// The part that makes object `o`, and whether by returning it (0), putting it (1) or not at all (2).
fn maker_part(links: &Links, task: &[u32], o: u32) -> (u32, u32) {
    match links.origin[o as usize] {
        Origin::Output(t, _) if task[t as usize] == NOBODY => (0, 2), // used before it is made: only a circle does that
        Origin::Output(t, _) => (task[t as usize], 0),
        Origin::Put(t @ (DRIVER | STRANGER)) => (t, 1),
        Origin::Put(t) => (task[t as usize], 1),
        Origin::Unknown => (0, 2),
    }
}

/// Hands out parts of objects: by who returns them, or by a key.
struct Ovals {
    of: Vec<u32>,
    maker: Vec<u32>,
    /// Per part of objects: the position among the outputs of its maker.
    position: Vec<u32>,
    /// Per part of tasks: the parts of what it returns, by position.
    returned: Vec<[u32; MOST_POSITIONS]>,
    others: HashMap<(u32, u32, u64), u32>,
}

/// Outputs of a task get an oval for each position up to this one; of more outputs, all share one.
const MOST_POSITIONS: usize = 4;

impl Ovals {
    fn new(objects: usize) -> Ovals {
        Ovals { of: vec![NOBODY; objects], maker: Vec::new(), position: Vec::new(), returned: Vec::new(), others: HashMap::new() }
    }

    /// `maker` and `how` are those of [`maker_part`]. `detail` tells apart what is put or nobody's; of what is returned, it is the position.
    fn add(&mut self, o: u32, (maker, how): (u32, u32), detail: u64) -> u32 {
        let next = self.maker.len() as u32;
        let part = if how == 0 {
            if self.returned.len() <= maker as usize {
                self.returned.resize(maker as usize + 1, [NOBODY; MOST_POSITIONS]);
            }
            let part = &mut self.returned[maker as usize][detail as usize];
            *part = if *part == NOBODY { next } else { *part };
            *part
        } else {
            *self.others.entry((maker, how, detail)).or_insert(next)
        };
        if part == next {
            self.maker.push(if how == 0 { maker } else { NOBODY });
            self.position.push(if how == 0 { detail as u32 } else { 0 });
        }
        self.of[o as usize] = part;
        part
    }

    fn into_partition(self, task: Vec<u32>, task_parts: u32, rule: &'static str) -> Partition {
        Partition {
            task,
            task_parts,
            object: self.of,
            object_parts: self.maker.len() as u32,
            object_maker: self.maker,
            chain_length: vec![1; task_parts as usize],
            rule,
        }
    }
}

/// The first rule's result, with what folding needs to know.
struct Alike {
    partition: Partition,
    /// Per part of tasks: name, parent's part, number of outputs.
    keys: Vec<[u32; 3]>,
    /// Per part of tasks: the parts of objects among its inputs, ascending.
    inputs: Rows,
    /// Per part of objects: the position among the outputs of its maker.
    positions: Vec<u32>,
}

fn alike(graph: &Graph, links: &Links, names: &Names) -> Alike {
    let n = graph.tasks.len();
    let uses = PutUses::new(links, names);
    let mut ovals = Ovals::new(links.object_ids.len());
    let mut task = vec![NOBODY; n];
    // A part for each task is possible: no allocation of its own for any.
    let (mut keys, mut inputs): (Vec<[u32; 3]>, Rows) = (Vec::new(), Rows::default());
    let mut known: HashTable<u32> = HashTable::with_capacity(n);
    let hasher = DefaultHashBuilder::default();
    let mut scratch: Vec<u32> = Vec::new();
    let oval_of = |o: u32, task: &[u32], ovals: &mut Ovals| match ovals.of[o as usize] {
        NOBODY => {
            let detail = match links.origin[o as usize] {
                Origin::Output(t, position) if links.outputs.row(t as usize).len() <= MOST_POSITIONS => u64::from(position),
                Origin::Output(..) => 0,
                Origin::Put(_) | Origin::Unknown => uses.fingerprint(o),
            };
            ovals.add(o, maker_part(links, task, o), detail)
        }
        part => part,
    };
    for t in dependency_order(graph, links) {
        scratch.clear();
        scratch.extend(links.inputs.row(t as usize).iter().map(|&o| oval_of(o, &task, &mut ovals)));
        scratch.sort_unstable();
        scratch.dedup();
        let parent = match links.parent[t as usize] {
            p @ (DRIVER | STRANGER) => p,
            p => task[p as usize],
        };
        let key = [names.of[t as usize], parent, links.outputs.row(t as usize).len() as u32];
        let hash = hasher.hash_one((key, &scratch[..]));
        let is_same = |&part: &u32| keys[part as usize] == key && inputs.row(part as usize) == scratch;
        task[t as usize] = match known.find(hash, is_same) {
            Some(&part) => part,
            None => {
                let part = keys.len() as u32;
                scratch.iter().for_each(|&o| inputs.push(o));
                inputs.end_row();
                keys.push(key);
                known.insert_unique(hash, part, |&p| hasher.hash_one((keys[p as usize], inputs.row(p as usize))));
                part
            }
        };
    }
    for o in 0..links.object_ids.len() as u32 {
        oval_of(o, &task, &mut ovals);
    }
    let rule = "Calls of one function by one parent with like inputs share a box.";
    let positions = std::mem::take(&mut ovals.position);
    Alike { positions, partition: ovals.into_partition(task, keys.len() as u32, rule), keys, inputs }
}

/// Who uses an object that no task returned: what tells a shared table of parameters from ten thousand single arguments.
struct PutUses {
    /// Per object: a mixture of the names of the functions that use it, and whether it is used never, once, or more often.
    mixed: Vec<(u32, u8)>,
}

impl PutUses {
    fn new(links: &Links, names: &Names) -> PutUses {
        let mut mixed = vec![(0u32, 0u8); links.object_ids.len()];
        for (t, &name) in names.of.iter().enumerate() {
            let bit = 1 << (name.wrapping_mul(0x9E37_79B1) >> 27); // one of 32: a set of names, up to chance collisions
            for &o in links.inputs.row(t) {
                let (set, times) = &mut mixed[o as usize];
                *set |= bit;
                *times = (*times + 1).min(2);
            }
        }
        PutUses { mixed }
    }

    fn fingerprint(&self, o: u32) -> u64 {
        let (set, times) = self.mixed[o as usize];
        u64::from(times) << 32 | u64::from(set)
    }
}

/// Tasks so that parents and makers of inputs come first, otherwise by index; what hangs in a circle comes last.
fn dependency_order(graph: &Graph, links: &Links) -> Vec<u32> {
    let n = graph.tasks.len() as u32;
    let needs = |t: u32| {
        let makers = links.inputs.row(t as usize).iter().filter_map(|&o| links.maker(o));
        makers.chain(Some(links.parent[t as usize]).filter(|&p| p < STRANGER)).filter(move |&m| m != t)
    };
    if (0..n).all(|t| needs(t).all(|m| m < t)) {
        return (0..n).collect(); // the usual case: tasks are listed as they were launched
    }
    // Kahn's algorithm with the edges in one array.
    let mut missing = vec![0u32; n as usize];
    let mut start = vec![0u32; n as usize + 1];
    for t in 0..n {
        for m in needs(t) {
            missing[t as usize] += 1;
            start[m as usize + 1] += 1;
        }
    }
    for i in 0..n as usize {
        start[i + 1] += start[i];
    }
    let mut fill = start.clone();
    let mut dependents = vec![0u32; start[n as usize] as usize];
    for t in 0..n {
        for m in needs(t) {
            dependents[fill[m as usize] as usize] = t;
            fill[m as usize] += 1;
        }
    }
    let mut order: Vec<u32> = (0..n).filter(|&t| missing[t as usize] == 0).collect();
    let mut done = 0;
    while done < order.len() {
        let m = order[done] as usize;
        done += 1;
        for &t in &dependents[start[m] as usize..start[m + 1] as usize] {
            missing[t as usize] -= 1;
            if missing[t as usize] == 0 {
                order.push(t);
            }
        }
    }
    order.extend((0..n).filter(|&t| missing[t as usize] > 0));
    order
}

/// Shortest row of like boxes worth folding: three can still be read one by one.
const SHORTEST_CHAIN: u64 = 4;

/// Makes one part of each row of parts in which every one feeds the next and otherwise uses the same inputs.
fn fold_chains(alike: Alike) -> Partition {
    let Alike { partition: mut old, keys, inputs, positions } = alike;
    let parts = keys.len();
    let mut sizes = vec![0u64; parts];
    for &part in &old.task {
        sizes[part as usize] += 1;
    }
    // The part before: the only one with the same key and size among the makers of a part's inputs.
    let mut before = vec![NOBODY; parts];
    let mut after = vec![0u32; parts];
    for g in 0..parts {
        let alike = |&m: &u32| m != NOBODY && (m as usize) < g && keys[m as usize] == keys[g] && sizes[m as usize] == sizes[g];
        let mut makers = inputs.row(g).iter().map(|&o| old.object_maker[o as usize]).filter(alike);
        if let Some(first) = makers.next()
            && makers.all(|m| m == first)
        {
            before[g] = first;
            after[first as usize] += 1;
        }
    }
    // Parts are numbered so that inputs come first: one pass settles where each row starts.
    let mut start: Vec<u32> = (0..parts as u32).collect();
    let (makers, prior) = (&old.object_maker, &before);
    let others = |g: usize| inputs.row(g).iter().filter(move |&&o| prior[g] == NOBODY || makers[o as usize] != prior[g]);
    for g in 0..parts {
        let p = before[g];
        if p == NOBODY || after[p as usize] != 1 {
            continue;
        }
        let p_is_first = start[p as usize] == p;
        if p_is_first || others(p as usize).eq(others(g)) {
            start[g] = start[p as usize];
        }
    }
    let mut length = vec![0u64; parts];
    for &s in &start {
        length[s as usize] += 1;
    }
    // Number the remaining parts and merge the ovals of folded ones by position.
    let mut new_part = vec![NOBODY; parts];
    let mut chain_length = Vec::new();
    for g in 0..parts {
        let s = start[g] as usize;
        let folds = length[s] >= SHORTEST_CHAIN;
        new_part[g] = if folds && s != g {
            new_part[s]
        } else {
            chain_length.push(if folds { length[s] } else { 1 });
            chain_length.len() as u32 - 1
        };
    }
    let mut by_position = vec![[NOBODY; MOST_POSITIONS]; chain_length.len()];
    let (mut new_oval, mut object_maker) = (Vec::with_capacity(old.object_maker.len()), Vec::new());
    for (&maker, &position) in old.object_maker.iter().zip(&positions) {
        let next = object_maker.len() as u32;
        if maker == NOBODY {
            new_oval.push(next);
            object_maker.push(NOBODY);
            continue;
        }
        let part = new_part[maker as usize];
        let known = &mut by_position[part as usize][position as usize];
        if *known == NOBODY {
            *known = next;
            object_maker.push(part);
        }
        new_oval.push(*known);
    }
    for part in &mut old.task {
        *part = new_part[*part as usize];
    }
    for part in &mut old.object {
        *part = new_oval[*part as usize];
    }
    Partition { task_parts: chain_length.len() as u32, object_parts: object_maker.len() as u32, object_maker, chain_length, ..old }
}

#[cfg(test)]
mod tests;
