//! Last step: the lines.
//!
//! A line is only ever inside a gap between rows, or in the room that its bends keep free in a row. Inside a gap its control points stay
//! between the two rows, and a Bézier curve stays within its control points: so no line runs through a box, by construction.
//!
//! Arrows from `op-root` do not take part in the layout: they arch above the first row, and reach lower rows along a line down the left
//! side that branches into each gap.

use super::order::Rows;
use super::rank::Ranks;
use super::{Band, Place, Point, SMALL_SIZE};
use crate::sketch::{NodeKind, ROOT, Sketch};
use crate::text::Font;

/// A part of a line, from where the part before ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Segment {
    Straight(Point),
    Curve(Point, Point, Point),
}

/// A head: where it points, and the direction, of length 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrow {
    pub(crate) tip: Point,
    pub(crate) direction: Point,
}

/// An arrow of the sketch, or the part of it that it does not share.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) edge: usize,
    pub(crate) start: Point,
    pub(crate) segments: Vec<Segment>,
    pub(crate) arrow: Arrow,
}

/// A number on a line.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    pub(crate) text: String,
    pub(crate) middle: Point,
    pub(crate) width: f64,
}

/// Length of an arrow's head.
pub(crate) const HEAD: f64 = 10.0;

pub(super) fn lines(
    sketch: &Sketch,
    ranks: &Ranks,
    rows: &Rows,
    bands: &[Band],
    places: &[Place],
    x: &[f64],
    font: &Font,
) -> (Vec<Line>, Vec<Label>) {
    let mut router = Router { sketch, ranks, rows, bands, places, x, whole: whole(rows), ports: Vec::new() };
    router.ports = router.spread_ports();
    let mut lines = Vec::new();
    let mut labels: Vec<Label> = Vec::new();
    for (e, edge) in sketch.edges.iter().enumerate().filter(|(_, edge)| edge.from != ROOT) {
        let (line, label_at) = router.layered(e);
        lines.push(line);
        if let Some(text) = &edge.label {
            let width = font.width(text, SMALL_SIZE) + 4.0;
            labels.push(put_label(text, width, label_at, &labels));
        }
    }
    lines.extend(router.arcs());
    lines.extend(router.trunk());
    (lines, labels)
}

/// Per edge: whether it is drawn from end to end. Of those that share bends only the longest is; the others branch from it.
fn whole(rows: &Rows) -> Vec<bool> {
    let mut longest: Vec<(usize, usize)> = vec![(0, 0); rows.row_of.len()]; // per first bend: how many bends, and the edge
    for (e, bends) in rows.bends.iter().enumerate().filter(|(_, bends)| !bends.is_empty()) {
        if bends.len() > longest[bends.start].0 {
            longest[bends.start] = (bends.len(), e);
        }
    }
    rows.bends.iter().enumerate().map(|(e, bends)| bends.is_empty() || longest[bends.start].1 == e).collect()
}

/// Puts a number on a curve where no other number is, if there is such a place.
fn put_label(text: &str, width: f64, curve: [Point; 4], others: &[Label]) -> Label {
    let height = SMALL_SIZE + 2.0;
    let at = |t| Label { text: text.to_owned(), middle: on_curve(curve, t), width };
    let is_free = |l: &Label| {
        let clear =
            |o: &Label| (o.middle.x - l.middle.x).abs() > (o.width + width) / 2.0 || (o.middle.y - l.middle.y).abs() > height;
        others.iter().all(clear)
    };
    [0.5, 0.4, 0.6, 0.3, 0.68, 0.2, 0.76, 0.12].into_iter().map(at).find(is_free).unwrap_or_else(|| at(0.5))
}

fn on_curve(c: [Point; 4], t: f64) -> Point {
    let u = 1.0 - t;
    let mix = |a: f64, b: f64, c: f64, d: f64| u * u * u * a + 3.0 * u * u * t * b + 3.0 * u * t * t * c + t * t * t * d;
    Point { x: mix(c[0].x, c[1].x, c[2].x, c[3].x), y: mix(c[0].y, c[1].y, c[2].y, c[3].y) }
}

fn point(x: f64, y: f64) -> Point {
    Point { x, y }
}

/// A line in the making.
struct Trace {
    start: Point,
    segments: Vec<Segment>,
}

impl Trace {
    fn new(start: Point) -> Trace {
        Trace { start, segments: Vec::new() }
    }

    fn end(&self) -> Point {
        match self.segments.last() {
            None => self.start,
            Some(&Segment::Straight(p) | &Segment::Curve(_, _, p)) => p,
        }
    }

    fn straight(&mut self, to: Point) {
        let from = self.end();
        if (from.x - to.x).abs() + (from.y - to.y).abs() > 1e-6 {
            self.segments.push(Segment::Straight(to));
        }
    }

    fn curve(&mut self, a: Point, b: Point, to: Point) {
        self.segments.push(Segment::Curve(a, b, to));
    }

    /// Goes down a gap, leaving and arriving with the given slopes (dx per dy).
    fn fall(&mut self, to: Point, leave: f64, arrive: f64) -> [Point; 4] {
        let from = self.end();
        let pull = 0.42 * (to.y - from.y);
        let (a, b) = (point(from.x + leave * pull, from.y + pull), point(to.x - arrive * pull, to.y - pull));
        if (leave - arrive).abs() < 1e-9 && ((to.x - from.x) - leave * (to.y - from.y)).abs() < 1e-6 {
            self.straight(to);
        } else {
            self.curve(a, b, to);
        }
        [from, a, b, to]
    }

    fn reversed(self) -> Trace {
        let mut points = vec![self.start];
        points.extend(self.segments.iter().map(|&(Segment::Straight(p) | Segment::Curve(_, _, p))| p));
        let mut out = Trace::new(self.end());
        for (i, segment) in self.segments.iter().enumerate().rev() {
            out.segments.push(match *segment {
                Segment::Straight(_) => Segment::Straight(points[i]),
                Segment::Curve(a, b, _) => Segment::Curve(b, a, points[i]),
            });
        }
        out
    }

    /// Puts a head on the end and takes its length off the line.
    fn into_line(mut self, edge: usize) -> Line {
        let tip = self.end();
        let before = match *self.segments.last().expect("a line has a length") {
            Segment::Curve(_, b, _) => b,
            Segment::Straight(_) if self.segments.len() == 1 => self.start,
            Segment::Straight(_) => match self.segments[self.segments.len() - 2] {
                Segment::Straight(p) | Segment::Curve(_, _, p) => p,
            },
        };
        let length = f64::hypot(tip.x - before.x, tip.y - before.y).max(1e-9);
        let direction = point((tip.x - before.x) / length, (tip.y - before.y) / length);
        let back = |p: Point, by: f64| point(p.x - direction.x * by, p.y - direction.y * by);
        match self.segments.last_mut().expect("a line has a length") {
            Segment::Straight(p) => *p = back(*p, HEAD.min(length)),
            Segment::Curve(_, b, p) => (*b, *p) = (back(*b, HEAD.min(length) / 2.0), back(*p, HEAD)),
        }
        Line { edge, start: self.start, segments: self.segments, arrow: Arrow { tip, direction } }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Top,
    Bottom,
}

struct Router<'a> {
    sketch: &'a Sketch,
    ranks: &'a Ranks,
    rows: &'a Rows,
    bands: &'a [Band],
    places: &'a [Place],
    x: &'a [f64],
    /// Per edge: see [`whole`].
    whole: Vec<bool>,
    /// Per edge: where it meets the node below and the node above, as distances from their middles.
    ports: Vec<[f64; 2]>,
}

/// One end of a line: where it would best meet its node, where it comes from, the edge, and which of its ports this is.
type End = (f64, f64, usize, usize);

/// Indices into [`Router::ports`].
const BELOW: usize = 0;
const ABOVE: usize = 1;

impl Router<'_> {
    /// The outline of node `v` at column `x`: of its back sheet from above, of its front sheet from below.
    fn outline(&self, v: usize, side: Side, x: f64) -> Point {
        let place = &self.places[v];
        let sign = if side == Side::Top { -1.0 } else { 1.0 };
        if self.sketch.nodes[v].kind != NodeKind::Object {
            return point(x, place.y + sign * place.height / 2.0);
        }
        let (a, b) = ((place.width - place.spread) / 2.0, (place.height - place.spread) / 2.0);
        let (cx, cy) = (place.x - sign * place.spread / 2.0, place.y + sign * place.spread / 2.0);
        let inside = (1.0 - ((x - cx) / a).powi(2)).max(0.0);
        point(x, cy + sign * b * inside.sqrt())
    }

    /// Where a line between `v` and a point beyond its row would best meet the outline: on the way to its middle, but never near the ends
    /// of its side, where a flat line would graze the neighbours.
    fn wish(&self, v: usize, other: Point) -> f64 {
        let place = &self.places[v];
        let slope = (other.x - place.x) / (other.y - place.y).abs().max(1.0);
        let (a, b) = (place.width / 2.0, place.height / 2.0);
        if self.sketch.nodes[v].kind == NodeKind::Object {
            let reach = if slope.abs() < STEEP { 0.8 } else { 0.35 };
            let dy = 1.0 / f64::sqrt((slope / a).powi(2) + 1.0 / (b * b));
            (slope * dy).clamp(-reach * a, reach * a)
        } else {
            (slope * b).clamp(-0.75 * a, 0.75 * a)
        }
    }

    /// Gives each line its place on the sides of its nodes, so that heads do not cover each other where there is room.
    fn spread_ports(&self) -> Vec<[f64; 2]> {
        // Per node: lines at its top and at its bottom.
        let mut sides: Vec<[Vec<End>; 2]> = vec![Default::default(); self.places.len()];
        let middle = |v: usize| point(self.places[v].x, self.places[v].y);
        for (e, edge) in self.sketch.edges.iter().enumerate() {
            if edge.from == ROOT {
                let side = if self.places[edge.to].x < self.trunk_x() { -1.0 } else { 1.0 };
                sides[edge.to][0].push((self.side_wish(edge.to, side), -side * f64::MAX, e, BELOW));
                continue;
            }
            let (high, low) = if self.ranks.upward[e] { (edge.to, edge.from) } else { (edge.from, edge.to) };
            let bends = &self.rows.bends[e];
            let (after_high, before_low) = match bends.clone().last() {
                Some(last) => (self.bend(bends.start).0, self.bend(last).1),
                None => (middle(low), middle(high)),
            };
            if self.whole[e] {
                sides[high][1].push((self.wish(high, after_high), after_high.x, e, ABOVE));
            }
            sides[low][0].push((self.wish(low, before_low), before_low.x, e, BELOW));
        }
        let mut ports = vec![[0.0; 2]; self.sketch.edges.len()];
        for (v, lines) in sides.iter_mut().enumerate().flat_map(|(v, sides)| sides.iter_mut().map(move |lines| (v, lines))) {
            lines.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
            let wishes: Vec<f64> = lines.iter().map(|l| l.0).collect();
            let placed = spread(&wishes, HEADS_APART, 0.8 * self.places[v].width / 2.0);
            for (&(_, _, e, port), at) in lines.iter().zip(placed) {
                ports[e][port] = at;
            }
        }
        ports
    }

    fn port(&self, e: usize, v: usize, port: usize) -> Point {
        let side = if port == BELOW { Side::Top } else { Side::Bottom };
        self.outline(v, side, self.places[v].x + self.ports[e][port])
    }

    fn slope_to(from: Point, to: Point) -> f64 {
        ((to.x - from.x) / (to.y - from.y).max(1.0)).clamp(-STEEP, STEEP)
    }

    /// Where a shared line passes the row of a bend, and its slope there.
    fn bend(&self, b: usize) -> (Point, Point, f64) {
        let row = self.rows.row_of[b];
        let band = &self.bands[row];
        let middle =
            |v: usize| point(self.x[v], (self.bands[self.rows.row_of[v]].top + self.bands[self.rows.row_of[v]].bottom) / 2.0);
        let above = middle(self.rows.up[b][0]);
        let next = &self.rows.down[b];
        let below_x = next.iter().map(|&v| self.x[v]).sum::<f64>() / next.len() as f64;
        let (x, y) = (self.x[b], (band.top + band.bottom) / 2.0);
        let (before, after) = ((x - above.x) / (y - above.y), (below_x - x) / (middle(next[0]).y - y));
        let height = band.bottom - band.top;
        let room = if height > 0.0 { (2.0 * BEND_ROOM / height).min(STEEP) } else { STEEP };
        // Leaning only where the line goes on in the same direction keeps straight parts straight and curves without wiggles.
        let slope = if before * after > 0.0 { before.signum() * before.abs().min(after.abs()).min(room) } else { 0.0 };
        let run = slope * height / 2.0;
        (point(self.x[b] - run, band.top), point(self.x[b] + run, band.bottom), slope)
    }

    /// An arrow between nodes in rows, whole or only from its last bend on; and the curve its number may stand on.
    fn layered(&self, e: usize) -> (Line, [Point; 4]) {
        let edge = &self.sketch.edges[e];
        let upward = self.ranks.upward[e];
        let (high, low) = if upward { (edge.to, edge.from) } else { (edge.from, edge.to) };
        let bends = self.rows.bends[e].clone();
        let (above, below) = (&self.bands[self.rows.row_of[high]], &self.bands[self.rows.row_of[low]]);
        let Some(last) = bends.clone().last() else {
            let (from, to) = (self.port(e, high, ABOVE), self.port(e, low, BELOW));
            let mut trace = Trace::new(from);
            // In a row of uneven heights the low ones are left straight down first, lest a flat line cuts a high neighbour's corner.
            let (stub_out, stub_in) = (above.bottom - from.y > STUB, to.y - below.top > STUB);
            let slope = Self::slope_to(from, to);
            if stub_out {
                trace.straight(point(from.x, above.bottom));
            }
            let fall_to = if stub_in { point(to.x, below.top) } else { to };
            let curve = if stub_out || stub_in {
                trace.fall(fall_to, if stub_out { 0.0 } else { slope }, if stub_in { 0.0 } else { slope })
            } else {
                trace.straight(to);
                let third = |t: f64| point(from.x + t * (to.x - from.x), from.y + t * (to.y - from.y));
                [from, third(1.0 / 3.0), third(2.0 / 3.0), to]
            };
            trace.straight(to);
            return (if upward { trace.reversed() } else { trace }.into_line(e), curve);
        };
        let mut first_curve = None;
        let mut trace;
        let mut slope;
        if self.whole[e] {
            let (first_in, ..) = self.bend(bends.start);
            let from = self.port(e, high, ABOVE);
            trace = Trace::new(from);
            slope = Self::slope_to(from, first_in);
            if above.bottom - from.y > STUB {
                trace.straight(point(from.x, above.bottom));
                slope = 0.0;
            }
            for b in bends {
                let (enter, exit, through) = self.bend(b);
                let curve = trace.fall(enter, slope, through);
                first_curve.get_or_insert(curve);
                trace.straight(exit);
                slope = through;
            }
        } else {
            let (_, exit, through) = self.bend(last);
            trace = Trace::new(exit);
            slope = through;
        }
        let to = self.port(e, low, BELOW);
        let curve = if to.y - below.top > STUB {
            let curve = trace.fall(point(to.x, below.top), slope, 0.0);
            trace.straight(to);
            curve
        } else {
            let arrive = Self::slope_to(trace.end(), to);
            trace.fall(to, slope, arrive)
        };
        let curve = if upward { first_curve.unwrap_or(curve) } else { curve };
        (if upward { trace.reversed() } else { trace }.into_line(e), curve)
    }

    /// Dotted arrows from `op-root` to its own row: the nearest straight, the others along one arc above from which each falls to its
    /// box.
    fn arcs(&self) -> Vec<Line> {
        let root = &self.places[ROOT];
        let mut targets: Vec<(usize, usize)> = Vec::new();
        for (e, edge) in self.sketch.edges.iter().enumerate() {
            if edge.from == ROOT && self.rows.row_of[edge.to] == 0 {
                targets.push((e, edge.to));
            }
        }
        targets.sort_by(|a, b| self.places[a.1].x.total_cmp(&self.places[b.1].x));
        let mut lines = Vec::new();
        if let Some(&(e, v)) = targets.first()
            && self.rows.rows[0].first() == Some(&v)
        {
            let mut trace = Trace::new(point(root.right(), root.y));
            trace.straight(point(self.places[v].left(), root.y));
            lines.push(trace.into_line(e));
            targets.remove(0);
        }
        let from = point(root.x + 0.12 * root.width, root.top());
        let y = self.bands[0].top - ARC_HEIGHT;
        let risen = point(root.right() + RISE, y);
        for (i, &(e, v)) in targets.iter().enumerate() {
            let (tip, towards) = self.side_port(e, v, 1.0);
            let leave = point(tip.x - DROP, y);
            let mut trace = Trace::new(from);
            if leave.x < risen.x || targets.len() == 1 && leave.x < risen.x + SHORT_ARC {
                let height = from.y - y;
                let a = point(from.x + 0.3 * (tip.x - from.x), from.y - 1.35 * height);
                let b = point(tip.x - towards.x * 1.9 * height, tip.y - towards.y * 1.9 * height);
                trace.curve(a, b, tip);
            } else {
                if i + 1 == targets.len() {
                    trace.curve(point(from.x + 0.25 * RISE, from.y - 0.6 * ARC_HEIGHT), point(risen.x - 0.6 * RISE, y), risen);
                    trace.straight(leave);
                } else {
                    trace = Trace::new(leave);
                }
                trace.curve(
                    point(leave.x + 0.5 * DROP, y),
                    point(tip.x - towards.x * DROP * 0.5, tip.y - towards.y * DROP * 0.5),
                    tip,
                );
            }
            lines.push(trace.into_line(e));
        }
        lines
    }

    /// Whether a node is too low in its row to be reached from the side.
    fn is_sunk(&self, v: usize) -> bool {
        self.places[v].top() - self.bands[self.rows.row_of[v]].top > STUB
    }

    /// Where an arrow that comes from the left (`side` 1) or right (-1) above would best meet the top of a node.
    fn side_wish(&self, v: usize, side: f64) -> f64 {
        -side * (0.28 * self.places[v].width).min(if self.is_sunk(v) { 6.0 } else { 15.0 })
    }

    /// Where it does, and its direction.
    fn side_port(&self, e: usize, v: usize, side: f64) -> (Point, Point) {
        let tip = self.port(e, v, BELOW);
        (tip, if self.is_sunk(v) { point(0.0, 1.0) } else { point(side * 0.77, 0.64) })
    }

    /// Column of the line down the left side: free in every row that it passes.
    fn trunk_x(&self) -> f64 {
        let lower = self.sketch.edges.iter().filter(|e| e.from == ROOT).map(|e| self.rows.row_of[e.to]);
        let deepest = lower.max().unwrap_or(0);
        (1..deepest).map(|row| self.left_of(row)).fold(self.trunk_start(), f64::min)
    }

    /// Where that line leaves `op-root`.
    fn trunk_start(&self) -> f64 {
        self.places[ROOT].x - 0.05 * self.places[ROOT].width
    }

    fn left_of(&self, row: usize) -> f64 {
        let left = |&v: &usize| self.x[v] - if self.rows.is_bend(v) { BEND_ROOM } else { self.places[v].width / 2.0 };
        self.rows.rows[row].iter().map(left).fold(f64::MAX, f64::min) - TRUNK_ROOM
    }

    /// Dotted arrows from `op-root` to lower rows.
    fn trunk(&self) -> Vec<Line> {
        let mut targets: Vec<(usize, usize)> = Vec::new();
        for (e, edge) in self.sketch.edges.iter().enumerate() {
            if edge.from == ROOT && self.rows.row_of[edge.to] > 0 {
                targets.push((e, edge.to));
            }
        }
        let Some(deepest) = targets.iter().map(|t| self.rows.row_of[t.1]).max() else { return Vec::new() };
        let (start_x, x) = (self.trunk_start(), self.trunk_x());
        let leans = targets.len() == 1 && deepest == 2;
        let mut lines = Vec::new();
        for row in 1..=deepest {
            let mut here: Vec<(usize, usize)> = targets.iter().copied().filter(|t| self.rows.row_of[t.1] == row).collect();
            if leans && row == deepest {
                lines.push(self.leaning(here[0], start_x, self.left_of(1)));
                break;
            }
            here.sort_by(|a, b| self.places[a.1].x.total_cmp(&self.places[b.1].x));
            let gap_top = self.bands[row - 1].bottom;
            let bus = gap_top + 0.3 * (self.bands[row].top - gap_top);
            // Each side of the trunk has one line that is whole and others that branch from it.
            let (to_left, to_right): (Vec<_>, Vec<_>) = here.iter().copied().partition(|t| self.places[t.1].x < x);
            let to_left: Vec<_> = to_left.into_iter().rev().collect();
            for (side, group) in [(-1.0, to_left), (1.0, to_right)] {
                for (i, &(e, v)) in group.iter().enumerate() {
                    // The last line to leave carries the trunk.
                    let carries =
                        row == deepest && i + 1 == group.len() && (side > 0.0 || here.iter().all(|t| self.places[t.1].x < x));
                    let at = if row == 1 { point(start_x, gap_top) } else { point(x, gap_top) };
                    let mut trace = if carries { self.down_the_side(start_x, x, row) } else { Trace::new(at) };
                    let (tip, towards) = self.side_port(e, v, side);
                    let turn_end = at.x + side * TURN;
                    let leave = tip.x - side * DROP;
                    let outermost = i + 1 == group.len();
                    let is_next = group.len() == 1 && self.rows.rows[row].first() == Some(&v) && side > 0.0;
                    if is_next || (leave - turn_end) * side < 0.0 {
                        let reach = (tip.x - at.x).abs();
                        let pull = (0.55 * reach).clamp(8.0, 0.8 * (tip.y - gap_top));
                        let (sx, sy) = if reach < DROP { (0.25 * side, 0.97) } else { (towards.x, towards.y) };
                        trace.curve(point(at.x, at.y + 0.5 * (tip.y - at.y)), point(tip.x - sx * pull, tip.y - sy * pull), tip);
                    } else {
                        if outermost || carries {
                            let turn = Point { x: turn_end, y: bus };
                            trace.curve(point(at.x, at.y + 0.7 * (bus - at.y)), point(at.x + 0.3 * side * TURN, bus), turn);
                            trace.straight(point(leave, bus));
                        } else {
                            trace = Trace::new(point(leave, bus));
                        }
                        let pull = 0.6 * DROP;
                        trace.curve(
                            point(leave + 0.4 * side * DROP, bus),
                            point(tip.x - towards.x * pull, tip.y - towards.y * pull),
                            tip,
                        );
                    }
                    lines.push(trace.into_line(e));
                }
            }
        }
        lines
    }

    /// The line down to the gap above `row`.
    fn down_the_side(&self, start_x: f64, x: f64, row: usize) -> Trace {
        let mut trace = Trace::new(point(start_x, self.places[ROOT].bottom()));
        trace.straight(point(start_x, self.bands[0].bottom));
        if row > 1 {
            trace.fall(point(x, self.bands[1].top), 0.0, 0.0);
            trace.straight(point(x, self.bands[row - 1].bottom));
        }
        trace
    }

    /// The only arrow to a lower row may take the shortest way round the row between.
    fn leaning(&self, (e, v): (usize, usize), start_x: f64, limit: f64) -> Line {
        let band = &self.bands[1];
        let height = band.bottom - band.top;
        let from = point(start_x, self.places[ROOT].bottom());
        let (tip, towards) = self.side_port(e, v, if self.places[v].x < start_x { -1.0 } else { 1.0 });
        let slope = Self::slope_to(from, tip).clamp(-0.7, 0.7);
        let run = slope * height / 2.0;
        let middle = ((from.x + tip.x) / 2.0).min(limit - run.abs());
        let mut trace = Trace::new(from);
        trace.straight(point(from.x, self.bands[0].bottom));
        trace.fall(point(middle - run, band.top), Self::slope_to(from, point(middle - run, band.top)) * 0.6, slope);
        trace.straight(point(middle + run, band.bottom));
        let at = trace.end();
        let pull = 0.45 * (tip.y - at.y);
        trace.curve(point(at.x + slope * pull, at.y + pull), point(tip.x - towards.x * pull, tip.y - towards.y * pull), tip);
        trace.into_line(e)
    }
}

/// Slopes beyond this (dx per dy) count as flat.
const STEEP: f64 = 1.2;
/// A node lower than its row by more than this is left straight down. Longer than a head, so that the head fits.
const STUB: f64 = 12.0;
/// How far a line may lean within a row.
const BEND_ROOM: f64 = 8.0;
/// Height of the arc above the first row, and how much farther a single arrow may go without it.
const ARC_HEIGHT: f64 = 30.0;
const SHORT_ARC: f64 = 160.0;
/// Across, while an arc rises, falls, or leaves the trunk.
const RISE: f64 = 55.0;
const DROP: f64 = 44.0;
/// Between neighbouring heads on one side of a node.
const HEADS_APART: f64 = 9.0;
const TURN: f64 = 20.0;
/// Between the trunk and the rows it passes.
const TRUNK_ROOM: f64 = 16.0;

/// Nearest places to the given ones, which are ascending, at least `apart` from each other and within `reach` of 0; nearer to each other
/// if they do not fit. Neighbours that want to be too near share their displacement (pooling, as in isotonic regression).
fn spread(wishes: &[f64], apart: f64, reach: f64) -> Vec<f64> {
    let apart = apart.min(2.0 * reach / wishes.len().saturating_sub(1).max(1) as f64);
    let mut pools: Vec<(f64, f64)> = Vec::new(); // mean and how many, after taking `apart` out
    for (i, wish) in wishes.iter().enumerate() {
        let mut pool = (wish - i as f64 * apart, 1.0);
        while let Some(&(mean, count)) = pools.last().filter(|last| last.0 > pool.0) {
            pool = ((mean * count + pool.0 * pool.1) / (count + pool.1), count + pool.1);
            pools.pop();
        }
        pools.push(pool);
    }
    let means = pools.iter().flat_map(|&(mean, count)| std::iter::repeat_n(mean, count as usize));
    let last = wishes.len().saturating_sub(1) as f64 * apart;
    means.enumerate().map(|(i, mean)| mean.clamp(-reach, (reach - last).max(-reach)) + i as f64 * apart).collect()
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn heads_keep_apart_and_stay_on_their_side() {
        assert_eq!(spread(&[-10.0, 0.0, 10.0], 9.0, 20.0), [-10.0, 0.0, 10.0]);
        assert_eq!(spread(&[0.0, 0.0], 10.0, 20.0), [-5.0, 5.0]);
        assert_eq!(spread(&[20.0, 20.0], 10.0, 20.0), [10.0, 20.0]);
        assert_eq!(spread(&[5.0; 5], 10.0, 20.0), [-20.0, -10.0, 0.0, 10.0, 20.0]);
        assert_eq!(spread(&[5.0; 9], 10.0, 20.0)[8], 20.0);
        assert!(spread(&[], 10.0, 20.0).is_empty());
    }
}
