use super::order::Rows;
use super::rank::Ranks;
use super::*;
use crate::graph::{Graph, Links};
use crate::group::Partition;
use crate::samples::{Program, chain, dot, nonsense, random, sleep, tree};
use crate::{Options, sketch};

fn sketch_of(graph: &Graph) -> Sketch {
    let links = Links::new(graph);
    Sketch::new(graph, &links, &Partition::each(graph, &links))
}

fn layout_of(sketch: &Sketch) -> Layout {
    Layout::new(sketch, &Font::new())
}

/// Index of task `t`, and of object `o`, among the nodes of a graph drawn one by one.
fn task(t: usize) -> usize {
    1 + t
}

fn object(graph: &Graph, o: usize) -> usize {
    1 + graph.tasks.len() + o
}

#[test]
fn rows_follow_solid_arrows() {
    let graph = dot();
    let ranks = Ranks::new(&sketch_of(&graph));
    let row = |v: usize| ranks.rank[v];
    assert_eq!([row(ROOT), row(task(0)), row(task(1)), row(task(2))], [0, 0, 0, 2]);
    assert_eq!([0, 1, 2].map(|o| row(object(&graph, o))), [1, 1, 3]);
}

#[test]
fn nested_launches_go_below_their_parent_and_the_drivers_do_not() {
    let mut p = Program::default();
    p.call("outer", None, &[]);
    p.call("inner", Some(0), &[]);
    p.call("other", None, &[]);
    let ranks = Ranks::new(&sketch_of(&p.graph));
    assert_eq!([0, 1, 2].map(|t| ranks.rank[task(t)]), [0, 2, 0]);
}

#[test]
fn what_is_used_late_stands_near_its_use() {
    let mut p = Program::default();
    let mut total = p.call("zero", None, &[]);
    for _ in 0..3 {
        let part = p.call("load", None, &[]);
        total = p.call("add", None, &[total, part]);
    }
    let ranks = Ranks::new(&sketch_of(&p.graph));
    // Tasks are numbered zero, load, add, load, add, load, add.
    assert_eq!((0..7).map(|t| ranks.rank[task(t)]).collect::<Vec<_>>(), [0, 0, 2, 2, 4, 4, 6]);
}

#[test]
fn circles_are_broken_at_one_arrow() {
    let mut p = Program::default();
    let a = p.call("a", None, &[1]);
    p.call("b", None, &[a]);
    let sketch = sketch_of(&p.graph);
    assert_eq!(Ranks::new(&sketch).upward.iter().filter(|&&up| up).count(), 1);
    layout_of(&sketch);
}

#[test]
fn crossings_are_counted() {
    let mut p = Program::default();
    let (a, b) = (p.call("f", None, &[]), p.call("f", None, &[]));
    p.call("g", None, &[a, b]);
    p.call("g", None, &[a, b]);
    let sketch = sketch_of(&p.graph);
    let mut rows = Rows::new(&sketch, &Ranks::new(&sketch));
    assert_eq!(rows.crossings(), 1);
    rows.untangle();
    assert_eq!(rows.crossings(), 1); // two by two, all connected: one crossing is the best there is
    rows.rows[1].reverse();
    assert_eq!(rows.crossings(), 2);
}

#[test]
fn avoidable_crossings_are_avoided() {
    let mut p = Program::default();
    let made: Vec<u64> = (0..8).map(|_| p.call("f", None, &[])).collect();
    for i in [5, 2, 7, 0, 3, 6, 1, 4] {
        p.call("g", None, &[made[i]]);
    }
    for graph in [p.graph, tree(32), sleep(10)] {
        let sketch = sketch_of(&graph);
        let mut rows = Rows::new(&sketch, &Ranks::new(&sketch));
        rows.untangle();
        assert_eq!(rows.crossings(), 0);
    }
}

#[test]
fn chains_are_straight_and_parents_centred() {
    let graph = chain(20);
    let layout = layout_of(&sketch_of(&graph));
    assert!(layout.places[1..].iter().all(|p| (p.x - layout.places[1].x).abs() < 1e-6));

    let graph = tree(16);
    let layout = layout_of(&sketch_of(&graph));
    for (t, node) in graph.tasks.iter().enumerate().filter(|(_, t)| t.inputs.len() == 2) {
        let inputs = [0, 1].map(|i| layout.places[object(&graph, node.inputs[i] as usize)].x);
        assert!((layout.places[task(t)].x - (inputs[0] + inputs[1]) / 2.0).abs() < 1e-6);
    }
}

#[test]
fn the_tutorials_first_picture() {
    let graph = sleep(10);
    let layout = layout_of(&sketch_of(&graph));
    let root = layout.places[ROOT];
    for t in 0..10 {
        let (place, object) = (layout.places[task(t)], layout.places[object(&graph, t)]);
        assert_eq!(place.y, root.y); // beside op-root, in order, above its object
        assert!(place.left() > if t == 0 { root.right() } else { layout.places[task(t - 1)].right() });
        assert!((place.x - object.x).abs() < 1e-6 && object.top() > place.bottom());
    }
    // Nine arrows come from above, one from op-root's right side.
    let dotted = layout.lines.iter().take_while(|l| l.edge < 10).chain(layout.lines.iter().skip(10));
    assert_eq!(dotted.filter(|l| l.arrow.direction.y > 0.1).count(), 9);
}

#[test]
fn nodes_keep_apart_and_lines_pass_between_them() {
    for seed in 0..40 {
        let graph = if seed % 4 == 3 { nonsense(5 + seed, seed) } else { random(3 + 2 * seed, seed) };
        let sketch = sketch_of(&graph);
        check(&sketch, &layout_of(&sketch), seed);
    }
    for seed in 0..6 {
        let graph = random(800, seed);
        let links = Links::new(&graph);
        let options = Options { max_boxes: 12, ..Options::default() };
        let sketch = sketch::Sketch::new(&graph, &links, &Partition::grouped(&graph, &links, &options));
        check(&sketch, &layout_of(&sketch), seed);
    }
}

fn check(sketch: &Sketch, layout: &Layout, seed: u64) {
    let places = &layout.places;
    for (i, a) in places.iter().enumerate() {
        for b in &places[..i] {
            let apart = a.left() - b.right() > 5.0 || b.left() - a.right() > 5.0 || a.top() > b.bottom() || b.top() > a.bottom();
            assert!(apart, "seed {seed}: {a:?} and {b:?}");
        }
    }
    for line in &layout.lines {
        let edge = &sketch.edges[line.edge];
        for point in points(line) {
            for (v, place) in places.iter().enumerate().filter(|&(v, _)| v != edge.from && v != edge.to) {
                assert!(
                    !covers(&sketch.nodes[v], place, point),
                    "seed {seed}: {edge:?} at {point:?} runs through node {v}, {place:?}"
                );
            }
        }
    }
}

/// Whether a point is within a node by more than a hair.
fn covers(node: &Node, place: &Place, p: Point) -> bool {
    let (dx, dy) = ((p.x - place.x).abs(), (p.y - place.y).abs());
    let (a, b) = (place.width / 2.0 - 1.0, place.height / 2.0 - 1.0);
    if node.kind == NodeKind::Object { (dx / a).powi(2) + (dy / b).powi(2) < 1.0 } else { dx < a && dy < b }
}

/// Points along a line, close together.
fn points(line: &Line) -> Vec<Point> {
    let mut out = vec![line.start];
    for segment in &line.segments {
        let from = *out.last().unwrap();
        let (a, b, to) = match *segment {
            Segment::Straight(to) => (from, to, to),
            Segment::Curve(a, b, to) => (a, b, to),
        };
        for i in 1..=60 {
            let (t, u) = (f64::from(i) / 60.0, 1.0 - f64::from(i) / 60.0);
            let mix = |p: f64, q: f64, r: f64, s: f64| u * u * u * p + 3.0 * u * u * t * q + 3.0 * u * t * t * r + t * t * t * s;
            out.push(Point { x: mix(from.x, a.x, b.x, to.x), y: mix(from.y, a.y, b.y, to.y) });
        }
    }
    out.push(line.arrow.tip);
    out
}
