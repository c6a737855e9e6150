//! Where everything goes: rows ([`rank`]), order within rows ([`order`]), columns ([`place`]), then lines ([`route`]).
//!
//! Lengths are points, y grows downwards. The measures follow Graphviz's defaults, which the pictures in the tutorial show.

mod order;
mod place;
mod rank;
mod route;

use crate::sketch::{EdgeKind, Node, NodeKind, ROOT, Sketch};
use crate::text::Font;
pub(crate) use route::{Arrow, HEAD, Label, Line, Segment};

/// Text of boxes and ovals.
pub(crate) const TEXT_SIZE: f64 = 14.0;
/// Text of remarks and of numbers on arrows.
pub(crate) const SMALL_SIZE: f64 = 11.0;
/// From one line of a label to the next, over its text size.
pub(crate) const LINE_SPACING: f64 = 1.08;
/// How far each sheet of a stack shows behind the one before, right and up; there are three sheets.
pub(crate) const SHEET: f64 = 4.0;

/// Between neighbours in a row.
const APART: f64 = 18.0;
/// Between rows where nothing else asks for more.
const ROW_GAP: f64 = 36.0;
/// Between `op-root` and the first box: room for a dotted arrow.
const ROOT_GAP: f64 = 32.0;
/// Room for an arrow that passes a row.
const BEND_WIDTH: f64 = 4.0;

/// A point in the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

/// Where a box or an oval stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Its middle, sheets included.
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
    /// How far the sheets of a stack spread in all: the front one is this much smaller than the place.
    pub(crate) spread: f64,
}

impl Place {
    fn top(&self) -> f64 {
        self.y - self.height / 2.0
    }

    fn bottom(&self) -> f64 {
        self.y + self.height / 2.0
    }

    fn left(&self) -> f64 {
        self.x - self.width / 2.0
    }

    fn right(&self) -> f64 {
        self.x + self.width / 2.0
    }
}

/// The finished layout.
pub(crate) struct Layout {
    /// Per node of the sketch.
    pub(crate) places: Vec<Place>,
    /// The lines, those that others branch from included. Branches start on a line drawn before.
    pub(crate) lines: Vec<Line>,
    /// Numbers on lines.
    pub(crate) labels: Vec<Label>,
}

/// A drawing whose arrows pass more rows than this in all is a tangle, slow to make and impossible to follow.
const MOST_BENDS: usize = 20_000;

/// Whether drawing every part by itself stays legible: not taller than `most_rows`, nor a tangle.
pub(crate) fn is_legible(sketch: &Sketch, most_rows: usize) -> bool {
    let ranks = rank::Ranks::new(sketch);
    if ranks.rank.iter().any(|&rank| rank >= most_rows) {
        return false;
    }
    let mut deepest: std::collections::HashMap<(usize, EdgeKind), usize> = Default::default();
    for edge in sketch.edges.iter().filter(|e| e.from != ROOT) {
        let deepest = deepest.entry((edge.from, edge.kind)).or_default();
        *deepest = ranks.rank[edge.to].saturating_sub(ranks.rank[edge.from]).max(*deepest);
    }
    deepest.values().sum::<usize>() <= MOST_BENDS
}

impl Layout {
    pub(crate) fn new(sketch: &Sketch, font: &Font) -> Layout {
        let ranks = rank::Ranks::new(sketch);
        let mut rows = order::Rows::new(sketch, &ranks);
        rows.untangle();
        let mut places: Vec<Place> = sketch.nodes.iter().map(|node| size(node, font)).collect();
        let mut widths: Vec<f64> = places.iter().map(|p| p.width).collect();
        widths.resize(rows.row_of.len(), BEND_WIDTH);
        let x = place::places(&rows, &widths, APART);
        for (v, place) in places.iter_mut().enumerate() {
            place.x = x[v];
        }
        let bands = bands(sketch, &rows, &mut places, &x);
        let first_left = rows.rows[0].iter().map(|&v| x[v] - widths[v] / 2.0).fold(f64::MAX, f64::min);
        let root = &mut places[ROOT];
        root.x = if first_left < f64::MAX { first_left - ROOT_GAP - root.width / 2.0 } else { 0.0 };
        let (lines, labels) = route::lines(sketch, &ranks, &rows, &bands, &places, &x, font);
        Layout { places, lines, labels }
    }
}

/// Top and bottom of each row.
struct Band {
    top: f64,
    bottom: f64,
}

/// Gives rows their heights and the gaps between them, and nodes their y.
fn bands(sketch: &Sketch, rows: &order::Rows, places: &mut [Place], x: &[f64]) -> Vec<Band> {
    let count = rows.rows.len();
    let mut gap = vec![ROW_GAP; count]; // above each row
    for (e, edge) in sketch.edges.iter().enumerate() {
        let low = rows.row_of[edge.to].max(rows.row_of[edge.from]);
        if edge.label.is_some() {
            let below_upper = rows.row_of[edge.to].min(rows.row_of[edge.from]) + 1;
            let row = if rows.row_of[edge.to] == low { low } else { below_upper };
            gap[row] = gap[row].max(LABEL_GAP);
        }
        if edge.from == ROOT && low > 0 && rows.bends[e].is_empty() {
            gap[low] = gap[low].max(ROW_GAP + BUS_ROOM);
        }
    }
    for (row, vertices) in rows.rows.iter().enumerate().skip(1) {
        let lines = vertices.iter().flat_map(|&v| rows.up[v].iter().map(move |&u| (x[u] - x[v]).abs()));
        // A long way across in a low gap is a flat line that is hard to follow.
        gap[row] += ((lines.fold(0.0, f64::max) - FLAT) * STEEPEN).clamp(0.0, MOST_EXTRA_GAP);
    }
    let mut bands = Vec::with_capacity(count);
    let mut y = 0.0;
    for (row, vertices) in rows.rows.iter().enumerate() {
        let root = Some(ROOT).filter(|_| row == 0);
        let nodes = vertices.iter().copied().filter(|&v| !rows.is_bend(v)).chain(root);
        let height = nodes.clone().map(|v| places[v].height).fold(0.0, f64::max);
        y += if row == 0 { 0.0 } else { gap[row] };
        for v in nodes {
            places[v].y = y + height / 2.0;
        }
        bands.push(Band { top: y, bottom: y + height });
        y += height;
    }
    bands
}

/// Gap in which a number stands on an arrow.
const LABEL_GAP: f64 = 52.0;
/// Extra gap for dotted arrows that come in from the side.
const BUS_ROOM: f64 = 16.0;
/// A line may go this far across in an ordinary gap.
const FLAT: f64 = 150.0;
/// Extra gap for each point beyond.
const STEEPEN: f64 = 0.06;
const MOST_EXTRA_GAP: f64 = 160.0;

/// The room a node needs for its words.
fn size(node: &Node, font: &Font) -> Place {
    let wide = |lines: &[String], size| lines.iter().map(|l| font.width(l, size)).fold(0.0, f64::max);
    let text_width = wide(&node.label, TEXT_SIZE).max(wide(&node.remarks, SMALL_SIZE));
    let text_height = LINE_SPACING * (node.label.len() as f64 * TEXT_SIZE + node.remarks.len() as f64 * SMALL_SIZE);
    let (width, height) = match node.kind {
        NodeKind::Root | NodeKind::Task => (text_width + 16.0, text_height + 6.0),
        // An ellipse around a rectangle is wider by the square root of two, if it is as much higher.
        NodeKind::Object if node.label.len() + node.remarks.len() == 1 => (text_width * 1.2 + 14.0, text_height + 8.0),
        NodeKind::Object => (text_width * 1.42 + 4.0, text_height * 1.3 + 4.0),
    };
    let spread = if node.stacked { 2.0 * SHEET } else { 0.0 };
    Place { x: 0.0, y: 0.0, width: width.max(LEAST_WIDTH) + spread, height: height.max(LEAST_HEIGHT) + spread, spread }
}

const LEAST_WIDTH: f64 = 54.0;
const LEAST_HEIGHT: f64 = 36.0;

#[cfg(test)]
mod tests;
