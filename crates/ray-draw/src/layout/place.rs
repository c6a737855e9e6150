//! Third step: where along its row each vertex stands.
//!
//! After Brandes & Köpf, "Fast and Simple Horizontal Coordinate Assignment", 2001: vertices are strung into vertical blocks with a median
//! neighbour, once for each of the four combinations of up/down and left/right, each result is packed, and every vertex takes the mean of
//! its two middle places. Long arrows become straight because the inner parts of them go first. The packing is not theirs (it needed an
//! erratum) but a longest path over blocks from the left, followed by closing needless room from the right.
//!
//! The mean of four extremes still leaves parents off the middle of their children where a long line is in the way of one extreme only.
//! So whatever is straight is then taken as one piece, and pieces slide towards the median of their neighbours as far as there is room:
//! the priority method of Sugiyama et al. 1981, applied to pieces instead of single vertices.

use std::cmp::Ordering;

use super::order::Rows;

/// Per vertex: the middle of it, the leftmost being about 0. `width` gives the room a vertex needs.
pub(super) fn places(rows: &Rows, width: &[f64], apart: f64) -> Vec<f64> {
    let n = rows.row_of.len();
    let mut results: Vec<Vec<f64>> = Vec::with_capacity(4);
    let crossed = crossed_by_inner(rows);
    for upwards in [false, true] {
        for mirrored in [false, true] {
            let mut order: Vec<Vec<usize>> = rows.rows.clone();
            if upwards {
                order.reverse();
            }
            if mirrored {
                order.iter_mut().for_each(|row| row.reverse());
            }
            let before = if upwards { &rows.down } else { &rows.up };
            let block = align(&order, before, n, &crossed, upwards);
            let mut x = pack(&order, &block, width, apart);
            if mirrored {
                x.iter_mut().for_each(|x| *x = -*x);
            }
            results.push(x);
        }
    }
    bring_together(&mut results, rows, width);
    let middle = |v: usize| {
        let mut at = [results[0][v], results[1][v], results[2][v], results[3][v]];
        at.sort_by(f64::total_cmp);
        (at[1] + at[2]) / 2.0
    };
    let mut x: Vec<f64> = (0..n).map(middle).collect();
    slide(rows, width, apart, &mut x);
    x
}

/// Moves pieces towards the median of their neighbours, keeping order, distance and straight lines.
fn slide(rows: &Rows, width: &[f64], apart: f64, x: &mut [f64]) {
    let pieces = pieces(rows, x);
    let mut position = vec![0usize; x.len()];
    for row in &rows.rows {
        row.iter().enumerate().for_each(|(i, &v)| position[v] = i);
    }
    let mut piece_of = vec![usize::MAX; x.len()];
    for (p, piece) in pieces.iter().enumerate() {
        piece.iter().for_each(|&v| piece_of[v] = p);
    }
    let (mut above, mut below): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    for round in 0..SLIDES {
        let mut moved = 0.0f64;
        for i in 0..pieces.len() {
            let p = if round % 2 == 0 { i } else { pieces.len() - 1 - i };
            let piece = &pieces[p];
            let at = x[piece[0]];
            above.clear();
            below.clear();
            let (mut low, mut high) = (f64::MIN, f64::MAX);
            for &v in piece {
                above.extend(rows.up[v].iter().filter(|&&u| piece_of[u] != p).map(|&u| x[u]));
                below.extend(rows.down[v].iter().filter(|&&u| piece_of[u] != p).map(|&u| x[u]));
                let row = &rows.rows[rows.row_of[v]];
                if let Some(&left) = position[v].checked_sub(1).and_then(|i| row.get(i)) {
                    low = low.max(x[left] + (width[left] + width[v]) / 2.0 + apart);
                }
                if let Some(&right) = row.get(position[v] + 1) {
                    high = high.min(x[right] - (width[right] + width[v]) / 2.0 - apart);
                }
            }
            let Some(wish) = wish(at, &mut above, &mut below) else { continue };
            let to = wish.min(high).max(low);
            // `low` and `high` may differ from each other by rounding alone: then the piece is stuck.
            if low < high && (to - at).abs() > 0.5 {
                piece.iter().for_each(|&v| x[v] = to);
                moved = moved.max((to - at).abs());
            }
        }
        if moved < 1.0 {
            break;
        }
    }
}

const SLIDES: usize = 12;

/// Where a piece between these neighbours is best: in the middle of its only side; otherwise it may stay if it is between the medians of
/// the side with more of them, or of both.
fn wish(at: f64, above: &mut Vec<f64>, below: &mut Vec<f64>) -> Option<f64> {
    let one_sided = above.is_empty() || below.is_empty();
    match above.len().cmp(&below.len()) {
        Ordering::Less => std::mem::swap(above, below),
        Ordering::Equal => above.append(below),
        Ordering::Greater => {}
    }
    above.sort_by(f64::total_cmp);
    let (low, high) = (above[above.len().checked_sub(1)? / 2], above[above.len() / 2]);
    Some(if one_sided { (low + high) / 2.0 } else { at.clamp(low, high) })
}

/// Vertices on one straight line: long arrows, and pairs that have only each other on that side. The top one comes first.
fn pieces(rows: &Rows, x: &[f64]) -> Vec<Vec<usize>> {
    let mut piece_of = vec![usize::MAX; x.len()];
    let mut pieces: Vec<Vec<usize>> = Vec::new();
    for &v in rows.rows.iter().flatten() {
        let is_straight = |&u: &usize| {
            let alone = rows.up[v].len() == 1 && rows.down[u].len() == 1;
            (x[u] - x[v]).abs() < 1e-6 && (alone || rows.is_bend(u) || rows.is_bend(v))
        };
        match rows.up[v].iter().copied().find(is_straight) {
            Some(u) => {
                piece_of[v] = piece_of[u];
                pieces[piece_of[v]].push(v);
            }
            None => {
                piece_of[v] = pieces.len();
                pieces.push(vec![v]);
            }
        }
    }
    pieces
}

/// Shifts the four results so that left-packed ones share the left edge, and right-packed ones the right edge, of the narrowest.
fn bring_together(results: &mut [Vec<f64>], rows: &Rows, width: &[f64]) {
    let extent = |x: &Vec<f64>| {
        let vertices = rows.rows.iter().flatten();
        vertices.fold((f64::MAX, f64::MIN), |(l, r), &v| (l.min(x[v] - width[v] / 2.0), r.max(x[v] + width[v] / 2.0)))
    };
    let extents: Vec<(f64, f64)> = results.iter().map(extent).collect();
    let narrowest = extents.iter().copied().min_by(|a, b| (a.1 - a.0).total_cmp(&(b.1 - b.0))).unwrap_or((0.0, 0.0));
    for (i, x) in results.iter_mut().enumerate() {
        let shift = if i % 2 == 0 { narrowest.0 - extents[i].0 } else { narrowest.1 - extents[i].1 };
        x.iter_mut().for_each(|x| *x += shift);
    }
}

/// Lines, as (upper, lower), that cross the inner part of a long arrow: they give way.
fn crossed_by_inner(rows: &Rows) -> hashbrown::HashSet<(usize, usize)> {
    let mut crossed = hashbrown::HashSet::new();
    let mut position = vec![0usize; rows.row_of.len()];
    for row in &rows.rows {
        row.iter().enumerate().for_each(|(i, &v)| position[v] = i);
    }
    let inner_above = |v: usize| rows.is_bend(v).then(|| rows.up[v][0]).filter(|&u| rows.is_bend(u));
    for pair in rows.rows.windows(2) {
        let (above, below) = (&pair[0], &pair[1]);
        let mut left = 0;
        let mut checked = 0;
        for (i, &v) in below.iter().enumerate() {
            let inner = inner_above(v);
            if inner.is_none() && i + 1 < below.len() {
                continue;
            }
            let right = inner.map_or(above.len(), |u| position[u]);
            for &w in &below[checked..=i] {
                for &u in &rows.up[w] {
                    let inner = rows.is_bend(u) && rows.is_bend(w);
                    if !inner && (position[u] < left || position[u] > right) {
                        crossed.insert((u, w));
                    }
                }
            }
            checked = i + 1;
            left = inner.map_or(left, |u| position[u]);
        }
    }
    crossed
}

/// Per vertex: the first vertex of its block.
fn align(
    order: &[Vec<usize>],
    before: &[Vec<usize>],
    n: usize,
    crossed: &hashbrown::HashSet<(usize, usize)>,
    upwards: bool,
) -> Vec<usize> {
    let mut block: Vec<usize> = (0..n).collect();
    let mut taken = vec![false; n]; // already has a vertex strung below it
    let mut position = vec![0usize; n];
    for row in order {
        row.iter().enumerate().for_each(|(i, &v)| position[v] = i);
    }
    for row in order.iter().skip(1) {
        let mut free_from = 0; // positions left of this would cross a string of this row
        for &v in row {
            let mut near = before[v].clone();
            near.sort_unstable_by_key(|&u| position[u]);
            near.dedup();
            if near.is_empty() {
                continue;
            }
            for m in [(near.len() - 1) / 2, near.len() / 2] {
                let u = near[m];
                let line = if upwards { (v, u) } else { (u, v) };
                if block[v] == v && !taken[u] && position[u] >= free_from && !crossed.contains(&line) {
                    block[v] = block[u];
                    taken[u] = true;
                    free_from = position[u] + 1;
                }
            }
        }
    }
    block
}

/// Places blocks as far left as their order allows, then closes room on their right.
fn pack(order: &[Vec<usize>], block: &[usize], width: &[f64], apart: f64) -> Vec<f64> {
    let n = block.len();
    let mut right: Vec<Vec<(usize, f64)>> = vec![Vec::new(); n];
    let mut missing = vec![0usize; n];
    for row in order {
        for pair in row.windows(2) {
            let (a, b) = (block[pair[0]], block[pair[1]]);
            right[a].push((b, (width[pair[0]] + width[pair[1]]) / 2.0 + apart));
            missing[b] += 1;
        }
    }
    let mut x = vec![0.0f64; n];
    let mut sequence: Vec<usize> = (0..n).filter(|&b| block[b] == b && missing[b] == 0).collect();
    let mut done = 0;
    while done < sequence.len() {
        let a = sequence[done];
        done += 1;
        for &(b, gap) in &right[a] {
            x[b] = x[b].max(x[a] + gap);
            missing[b] -= 1;
            if missing[b] == 0 {
                sequence.push(b);
            }
        }
    }
    for &a in sequence.iter().rev() {
        let limit = right[a].iter().map(|&(b, gap)| x[b] - gap).fold(f64::MAX, f64::min);
        if limit < f64::MAX {
            x[a] = x[a].max(limit);
        }
    }
    (0..n).map(|v| x[block[v]]).collect()
}
