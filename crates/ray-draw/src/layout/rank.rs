//! First step: which row each node stands in.
//!
//! Longest path, then pulling down what would otherwise hang far above its only use (the aim of Gansner, Koutsofios, North & Vo, "A
//! Technique for Drawing Directed Graphs", 1993, by a simpler means than their network simplex). Tasks take even rows and objects odd
//! ones, so that rows never mix boxes and ovals. Arrows from `op-root` have no say: it stands beside the first row whatever it launched.

use crate::sketch::{NodeKind, ROOT, Sketch};

/// Rows, and the arrows as they count for the layout.
pub(super) struct Ranks {
    /// Per node: its row, from 0 at the top. That of `op-root` is 0.
    pub(super) rank: Vec<usize>,
    /// Per edge: drawn upwards, because the graph runs in a circle. Only grouped or broken graphs do.
    pub(super) upward: Vec<bool>,
}

impl Ranks {
    pub(super) fn new(sketch: &Sketch) -> Ranks {
        let n = sketch.nodes.len();
        let upward = upward_edges(sketch);
        // The graph below op-root, all arrows pointing down.
        let mut down: Vec<Vec<usize>> = vec![Vec::new(); n];
        let mut up: Vec<Vec<usize>> = vec![Vec::new(); n];
        for (edge, &upward) in sketch.edges.iter().zip(&upward) {
            if edge.from != ROOT {
                let (high, low) = if upward { (edge.to, edge.from) } else { (edge.from, edge.to) };
                down[high].push(low);
                up[low].push(high);
            }
        }
        let is_object = |v: usize| usize::from(sketch.nodes[v].kind == NodeKind::Object);
        let order = topological(&down, &up);
        let mut rank = vec![0usize; n];
        for &v in &order {
            let least = up[v].iter().map(|&u| rank[u] + 1).max().unwrap_or(0);
            rank[v] = least + ((least % 2) ^ is_object(v));
        }
        for &v in order.iter().rev() {
            pull_down(v, &mut rank, &down, &up, is_object(v) == 1);
        }
        let top = (1..n).map(|v| rank[v]).min().unwrap_or(0);
        for rank in &mut rank[1..] {
            *rank -= top;
        }
        Ranks { rank, upward }
    }
}

/// Moves `v`, with the objects only it makes, as near to its uses as they allow, if it has more arrows below than above.
fn pull_down(v: usize, rank: &mut [usize], down: &[Vec<usize>], up: &[Vec<usize>], is_object: bool) {
    if is_object && !up[v].is_empty() {
        return; // moves with its maker
    }
    let own = |o: &usize| !is_object && up[*o].len() == 1 && rank[*o] % 2 == 1;
    let (mut uses, mut limit) = (0, usize::MAX);
    for w in &down[v] {
        if own(w) {
            uses += down[*w].len();
            limit = down[*w].iter().map(|&c| rank[c] - 2).min().unwrap_or(usize::MAX).min(limit);
        } else {
            uses += 1;
            limit = limit.min(rank[*w] - 1);
        }
    }
    if limit == usize::MAX || uses <= up[v].len() {
        return;
    }
    let new = limit - usize::from(limit % 2 != rank[v] % 2);
    let carried: Vec<usize> = down[v].iter().copied().filter(own).collect();
    if new > rank[v] {
        rank[v] = new;
        for o in carried {
            rank[o] = new + 1;
        }
    }
}

/// Finds arrows that close a circle: those to a node whose descendants are still being visited.
fn upward_edges(sketch: &Sketch) -> Vec<bool> {
    let n = sketch.nodes.len();
    let mut out: Vec<Vec<usize>> = vec![Vec::new(); n];
    let mut has_above = vec![false; n];
    for (e, edge) in sketch.edges.iter().enumerate() {
        if edge.from != ROOT {
            out[edge.from].push(e);
            has_above[edge.to] = true;
        }
    }
    let mut upward = vec![false; sketch.edges.len()];
    let mut state = vec![0u8; n]; // 0 untouched, 1 open, 2 done
    let starts = (1..n).filter(|&v| !has_above[v]).chain(1..n);
    for start in starts {
        if state[start] != 0 {
            continue;
        }
        state[start] = 1;
        let mut stack = vec![(start, 0)];
        while let Some((v, next)) = stack.last_mut() {
            let Some(&e) = out[*v].get(*next) else {
                state[*v] = 2;
                stack.pop();
                continue;
            };
            *next += 1;
            let to = sketch.edges[e].to;
            match state[to] {
                0 => {
                    state[to] = 1;
                    stack.push((to, 0));
                }
                1 => upward[e] = true,
                _ => {}
            }
        }
    }
    upward
}

/// Every node but `op-root`, each after all nodes above it.
fn topological(down: &[Vec<usize>], up: &[Vec<usize>]) -> Vec<usize> {
    let mut missing: Vec<usize> = up.iter().map(Vec::len).collect();
    let mut order: Vec<usize> = (1..up.len()).filter(|&v| missing[v] == 0).collect();
    let mut done = 0;
    while done < order.len() {
        for &w in &down[order[done]] {
            missing[w] -= 1;
            if missing[w] == 0 {
                order.push(w);
            }
        }
        done += 1;
    }
    order
}
