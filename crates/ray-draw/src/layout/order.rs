//! Second step: the order within each row, with few crossings.
//!
//! Layered drawing after Sugiyama, Tagawa & Toda, "Methods for Visual Understanding of Hierarchical System Structures", 1981. An arrow
//! that passes rows gets a *bend* in each. All arrows of one kind from one node share their bends, so that an object used in many rows
//! leaves one line that branches instead of a sheaf. Sweeps by medians and exchanges of neighbours follow Gansner et al. 1993; crossings
//! are counted with an accumulator tree (Barth, Jünger & Mutzel, "Simple and Efficient Bilayer Cross Counting", 2002).
//!
//! Every choice falls back on the order of the input: the same graph gives the same picture.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;

use super::rank::Ranks;
use crate::sketch::{ROOT, Sketch};

/// Rows of vertices: nodes of the sketch (by their index) and, after those, bends. `op-root` is in no row.
pub(super) struct Rows {
    pub(super) rows: Vec<Vec<usize>>,
    /// Per vertex: its row.
    pub(super) row_of: Vec<usize>,
    /// Per vertex: its neighbours one row up and one row down.
    pub(super) up: Vec<Vec<usize>>,
    pub(super) down: Vec<Vec<usize>>,
    /// Per edge: its bends from the upper end to the lower. Empty for arrows from `op-root`.
    pub(super) bends: Vec<Range<usize>>,
    /// How many vertices are nodes.
    pub(super) nodes: usize,
}

impl Rows {
    /// Makes the rows, ordered by depth-first search only.
    pub(super) fn new(sketch: &Sketch, ranks: &Ranks) -> Rows {
        let nodes = sketch.nodes.len();
        let mut row_of = ranks.rank.clone();
        let (mut up, mut down) = (vec![Vec::new(); nodes], vec![Vec::new(); nodes]);
        let mut bends = vec![0..0; sketch.edges.len()];
        for (high, group) in bundles(sketch, ranks) {
            let deepest = group.iter().map(|&(_, low)| row_of[low]).max().unwrap_or(0);
            let (first, top) = (row_of.len(), row_of[high] + 1);
            let mut above = high;
            for row in top..deepest {
                let bend = row_of.len();
                row_of.push(row);
                up.push(vec![above]);
                down.push(Vec::new());
                down[above].push(bend);
                above = bend;
            }
            for (e, low) in group {
                bends[e] = first..first + (row_of[low] - top);
                let above = if bends[e].is_empty() { high } else { bends[e].end - 1 };
                down[above].push(low);
                up[low].push(above);
            }
        }
        let count = row_of.iter().max().map_or(0, |r| r + 1);
        let started = |both_ways| {
            let mut rows = vec![Vec::new(); count];
            for v in depth_first(&row_of, &up, &down, both_ways) {
                rows[row_of[v]].push(v);
            }
            rows
        };
        // Downwards only, sources keep the order of the input. Both ways, what joins late starts near what it joins.
        let (downwards, both_ways) = (started(false), started(true));
        let mut all = Rows { rows: both_ways, row_of, up, down, bends, nodes };
        let crossings = all.crossings();
        let both_ways = std::mem::replace(&mut all.rows, downwards);
        if crossings < all.crossings() {
            all.rows = both_ways;
        }
        all
    }

    pub(super) fn is_bend(&self, v: usize) -> bool {
        v >= self.nodes
    }

    /// Reduces crossings.
    pub(super) fn untangle(&mut self) {
        let size: usize = self.row_of.len() + self.down.iter().map(Vec::len).sum::<usize>();
        let rounds = (WORK / size.max(1)).clamp(2, MOST_ROUNDS);
        let mut position = self.positions();
        let mut best = self.rows.clone();
        let mut fewest = self.crossings();
        let mut patience = 0;
        for round in 0..rounds {
            if fewest == 0 || patience == PATIENCE {
                break;
            }
            let downwards = round % 2 == 0;
            self.sweep(downwards, &mut position);
            self.exchange(&mut position);
            let crossings = self.crossings();
            patience += 1;
            if crossings < fewest {
                (best, fewest, patience) = (self.rows.clone(), crossings, 0);
            }
        }
        self.rows = best;
        self.face_reading_direction();
    }

    /// A drawing and its mirror image are as good as each other: takes the one where numbers rise to the right.
    fn face_reading_direction(&mut self) {
        let mut balance = 0i64;
        for row in &self.rows {
            let nodes: Vec<usize> = row.iter().copied().filter(|&v| !self.is_bend(v)).collect();
            balance += nodes.windows(2).map(|pair| if pair[0] < pair[1] { 1 } else { -1 }).sum::<i64>();
        }
        if balance < 0 {
            self.rows.iter_mut().for_each(|row| row.reverse());
        }
    }

    /// How many pairs of lines between neighbouring rows cross.
    pub(super) fn crossings(&self) -> u64 {
        let position = self.positions();
        let mut tree: Vec<u32> = Vec::new();
        let mut total = 0;
        for pair in self.rows.windows(2) {
            let width = pair[1].len().next_power_of_two();
            tree.clear();
            tree.resize(2 * width, 0);
            let mut ends: Vec<usize> = Vec::new();
            for &v in &pair[0] {
                ends.clear();
                ends.extend(self.down[v].iter().map(|&w| position[w]));
                ends.sort_unstable();
                // Lines already entered that end right of this one cross it; those from the same vertex do not, being entered in order.
                for &end in &ends {
                    let mut i = end + width;
                    while i > 1 {
                        if i.is_multiple_of(2) {
                            total += u64::from(tree[i + 1]);
                        }
                        tree[i] += 1;
                        i /= 2;
                    }
                }
            }
        }
        total
    }

    fn positions(&self) -> Vec<usize> {
        let mut position = vec![0; self.row_of.len()];
        for row in &self.rows {
            for (i, &v) in row.iter().enumerate() {
                position[v] = i;
            }
        }
        position
    }

    /// Sorts each row by the medians of its neighbours in the row before; vertices without any stay where they are.
    fn sweep(&mut self, downwards: bool, position: &mut [usize]) {
        let count = self.rows.len();
        for i in 1..count {
            let row = if downwards { i } else { count - 1 - i };
            let towards = if downwards { &self.up } else { &self.down };
            let mut moving: Vec<(f64, usize)> = Vec::new();
            for &v in &self.rows[row] {
                if let Some(m) = median(&towards[v], position) {
                    moving.push((m, v));
                }
            }
            moving.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal)); // stable: ties keep their order
            let mut next = moving.into_iter();
            for (i, place) in self.rows[row].iter_mut().enumerate() {
                if !towards[*place].is_empty() {
                    *place = next.next().expect("as many as were taken").1;
                }
                position[*place] = i;
            }
        }
    }

    /// Exchanges neighbours while that saves crossings.
    fn exchange(&mut self, position: &mut [usize]) {
        for _ in 0..MOST_EXCHANGES {
            let mut saved = false;
            for row in &mut self.rows {
                for i in 1..row.len() {
                    let (v, w) = (row[i - 1], row[i]);
                    let (as_is, swapped) = pair_crossings(&self.up[v], &self.up[w], position);
                    let (as_is_down, swapped_down) = pair_crossings(&self.down[v], &self.down[w], position);
                    if swapped + swapped_down < as_is + as_is_down {
                        row.swap(i - 1, i);
                        position[w] = i - 1;
                        position[v] = i;
                        saved = true;
                    }
                }
            }
            if !saved {
                break;
            }
        }
    }
}

/// How many vertices and lines all rounds together may touch: keeps the largest drawings within a second.
const WORK: usize = 1_500_000;
const MOST_ROUNDS: usize = 24;
/// Rounds without gain before giving up.
const PATIENCE: usize = 6;
const MOST_EXCHANGES: usize = 8;

/// Arrows of one kind and direction from one node, as (upper node, [(edge, lower node)]).
fn bundles(sketch: &Sketch, ranks: &Ranks) -> Vec<(usize, Vec<(usize, usize)>)> {
    let mut groups: BTreeMap<_, Vec<(usize, usize)>> = BTreeMap::new();
    for (e, edge) in sketch.edges.iter().enumerate() {
        if edge.from != ROOT {
            let (high, low) = if ranks.upward[e] { (edge.to, edge.from) } else { (edge.from, edge.to) };
            // An upward arrow has its head at the upper end: those never share a line.
            let alone = if ranks.upward[e] { e + 1 } else { 0 };
            groups.entry((high, edge.kind, alone)).or_default().push((e, low));
        }
    }
    groups.into_iter().map(|((high, ..), group)| (high, group)).collect()
}

/// Every vertex but `op-root`, from the top row on, following lines down or both ways.
fn depth_first(row_of: &[usize], up: &[Vec<usize>], down: &[Vec<usize>], both_ways: bool) -> Vec<usize> {
    let mut starts: Vec<usize> = (0..row_of.len()).filter(|&v| v != ROOT).collect();
    starts.sort_by_key(|&v| row_of[v]);
    let mut seen = vec![false; row_of.len()];
    let mut order = Vec::with_capacity(row_of.len());
    let mut stack = Vec::new();
    for start in starts {
        if !seen[start] {
            seen[start] = true;
            order.push(start);
            stack.push((start, 0));
        }
        while let Some((v, next)) = stack.last_mut() {
            let back: &[usize] = if both_ways { &up[*v] } else { &[] };
            let neighbour = down[*v].iter().chain(back).nth(*next).copied();
            *next += 1;
            match neighbour {
                None => _ = stack.pop(),
                Some(w) if !seen[w] => {
                    seen[w] = true;
                    order.push(w);
                    stack.push((w, 0));
                }
                Some(_) => {}
            }
        }
    }
    order
}

/// The weighted median of Gansner et al.: between two middle neighbours, nearer to the side that is packed more tightly.
fn median(neighbours: &[usize], position: &[usize]) -> Option<f64> {
    let mut at: Vec<f64> = neighbours.iter().map(|&v| position[v] as f64).collect();
    at.sort_by(f64::total_cmp);
    let mid = at.len() / 2;
    match at.len() {
        0 => None,
        2 => Some((at[0] + at[1]) / 2.0),
        n if n % 2 == 1 => Some(at[mid]),
        n => {
            let (left, right) = (at[mid - 1] - at[0], at[n - 1] - at[mid]);
            let sum = left + right;
            Some(if sum == 0.0 { (at[mid - 1] + at[mid]) / 2.0 } else { (at[mid - 1] * right + at[mid] * left) / sum })
        }
    }
}

/// Crossings among the lines of two neighbours as they stand, and exchanged.
fn pair_crossings(left: &[usize], right: &[usize], position: &[usize]) -> (u64, u64) {
    if left.is_empty() || right.is_empty() {
        return (0, 0);
    }
    let sorted = |vs: &[usize]| {
        let mut at: Vec<usize> = vs.iter().map(|&v| position[v]).collect();
        at.sort_unstable();
        at
    };
    let (left, right) = (sorted(left), sorted(right));
    let beyond = |a: &[usize], b: &[usize]| a.iter().map(|&x| b.partition_point(|&y| y < x) as u64).sum::<u64>();
    (beyond(&left, &right), beyond(&right, &left))
}
