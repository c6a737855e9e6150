//! The display list: plain shapes in drawing order, all that SVG, PNG and PDF need to know.

use crate::layout::{Arrow, HEAD, LINE_SPACING, Layout, Line, Place, Point, SHEET, SMALL_SIZE, Segment, TEXT_SIZE};
use crate::sketch::{EdgeKind, Mark, Node, NodeKind, Sketch};
use crate::text::{Font, wrap};

/// The few colours of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Black,
    White,
    Red,
    Blue,
}

impl Colour {
    /// Red, green and blue, 0 to 255.
    pub(crate) fn rgb(self) -> [u8; 3] {
        match self {
            Colour::Black => [0, 0, 0],
            Colour::White => [255, 255, 255],
            Colour::Red => [200, 0, 0],
            Colour::Blue => [30, 80, 190],
        }
    }
}

/// How an outline is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pen {
    pub(crate) colour: Colour,
    pub(crate) width: f64,
    /// Drawn as [`DOTS`].
    pub(crate) dotted: bool,
}

/// On and off lengths of a dotted line, as in Graphviz.
pub(crate) const DOTS: [f64; 2] = [1.0, 5.0];

/// One thing to draw. Rectangles and ellipses are filled white: they hide what is behind them.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    Rect {
        x: f64,
        y: f64,
        width: f64,
        height: f64,
        pen: Pen,
    },
    Ellipse {
        x: f64,
        y: f64,
        rx: f64,
        ry: f64,
        pen: Pen,
    },
    Path {
        start: Point,
        segments: Vec<Segment>,
        pen: Pen,
    },
    /// Filled, without outline.
    Polygon {
        points: Vec<Point>,
        fill: Colour,
    },
    /// Black. `x` is the middle or, if not centred, the left end; `y` the baseline.
    Text {
        x: f64,
        y: f64,
        size: f64,
        centred: bool,
        text: String,
    },
}

/// Shapes that belong together, and the words that SVG shows when pointed at.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) title: Option<String>,
    pub(crate) shapes: Vec<Shape>,
}

/// A whole picture; its top left corner is the origin.
#[derive(Debug)]
pub(crate) struct Display {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) items: Vec<Item>,
}

const MARGIN: f64 = 26.0;
/// Width for the notes where the drawing itself is narrower.
const LEAST_NOTE_WIDTH: f64 = 300.0;
const NOTE_LINE: f64 = 14.0;

impl Display {
    pub(crate) fn new(sketch: &Sketch, layout: &Layout, font: &Font) -> Display {
        let mut items: Vec<Item> = Vec::new();
        for line in &layout.lines {
            items.push(arrow(sketch, line));
        }
        for (node, place) in sketch.nodes.iter().zip(&layout.places) {
            items.push(box_or_oval(node, place));
        }
        for label in &layout.labels {
            items.push(Item { title: None, shapes: number(label.middle, label.width, &label.text) });
        }
        let (low, high) = extent(&items);
        let drawn_width = high.x - low.x;
        let mut display = Display { width: drawn_width + 2.0 * MARGIN, height: high.y - low.y + 2.0 * MARGIN, items };
        display.shift(MARGIN - low.x, MARGIN - low.y);
        display.write_notes(sketch, drawn_width, font);
        display
    }

    fn write_notes(&mut self, sketch: &Sketch, drawn_width: f64, font: &Font) {
        let note_width = drawn_width.clamp(LEAST_NOTE_WIDTH, 3.0 * LEAST_NOTE_WIDTH);
        let lines: Vec<String> = sketch.notes.iter().flat_map(|note| wrap(font, note, SMALL_SIZE, note_width)).collect();
        if lines.is_empty() {
            return;
        }
        let widest = lines.iter().map(|l| font.width(l, SMALL_SIZE)).fold(0.0, f64::max);
        let wider = (widest + 2.0 * MARGIN - self.width).max(0.0);
        self.shift(wider / 2.0, 0.0);
        self.width += wider;
        for text in lines {
            self.height += NOTE_LINE;
            let shape = Shape::Text { x: MARGIN, y: self.height - MARGIN + 4.0, size: SMALL_SIZE, centred: false, text };
            self.items.push(Item { title: None, shapes: vec![shape] });
        }
    }

    fn shift(&mut self, dx: f64, dy: f64) {
        let moved = |p: &mut Point| {
            p.x += dx;
            p.y += dy;
        };
        for shape in self.items.iter_mut().flat_map(|item| &mut item.shapes) {
            match shape {
                Shape::Rect { x, y, .. } | Shape::Ellipse { x, y, .. } | Shape::Text { x, y, .. } => {
                    *x += dx;
                    *y += dy;
                }
                Shape::Path { start, segments, .. } => {
                    moved(start);
                    for segment in segments {
                        match segment {
                            Segment::Straight(p) => moved(p),
                            Segment::Curve(a, b, p) => [a, b, p].into_iter().for_each(moved),
                        }
                    }
                }
                Shape::Polygon { points, .. } => points.iter_mut().for_each(moved),
            }
        }
    }
}

/// Corners around all shapes. Text is inside its box; control points bound their curve.
fn extent(items: &[Item]) -> (Point, Point) {
    let (mut low, mut high) = (Point { x: f64::MAX, y: f64::MAX }, Point { x: f64::MIN, y: f64::MIN });
    let mut add = |x: f64, y: f64| {
        low = Point { x: low.x.min(x), y: low.y.min(y) };
        high = Point { x: high.x.max(x), y: high.y.max(y) };
    };
    for shape in items.iter().flat_map(|item| &item.shapes) {
        match shape {
            Shape::Rect { x, y, width, height, .. } => {
                add(*x, *y);
                add(x + width, y + height);
            }
            Shape::Ellipse { x, y, rx, ry, .. } => {
                add(x - rx, y - ry);
                add(x + rx, y + ry);
            }
            Shape::Path { start, segments, .. } => {
                add(start.x, start.y);
                for segment in segments {
                    match segment {
                        Segment::Straight(p) => add(p.x, p.y),
                        Segment::Curve(a, b, p) => [a, b, p].into_iter().for_each(|p| add(p.x, p.y)),
                    }
                }
            }
            Shape::Polygon { points, .. } => points.iter().for_each(|p| add(p.x, p.y)),
            Shape::Text { .. } => {}
        }
    }
    (low, high)
}

fn arrow(sketch: &Sketch, line: &Line) -> Item {
    let edge = &sketch.edges[line.edge];
    let pen = Pen { colour: Colour::Black, width: 1.0, dotted: edge.kind == EdgeKind::Launch };
    let path = Shape::Path { start: line.start, segments: line.segments.clone(), pen };
    let title = format!("{} → {}", short_title(&sketch.nodes[edge.from]), short_title(&sketch.nodes[edge.to]));
    Item { title: Some(title), shapes: vec![path, head(&line.arrow)] }
}

/// Enough of a title to tell the ends of an arrow.
fn short_title(node: &Node) -> String {
    node.label.join(" ")
}

/// A filled triangle, as long as Graphviz makes it.
fn head(arrow: &Arrow) -> Shape {
    let Arrow { tip, direction: d } = *arrow;
    let (length, half) = (HEAD, 3.5);
    let back = Point { x: tip.x - d.x * length, y: tip.y - d.y * length };
    let side = |s: f64| Point { x: back.x - d.y * s, y: back.y + d.x * s };
    Shape::Polygon { points: vec![tip, side(half), side(-half)], fill: Colour::Black }
}

fn box_or_oval(node: &Node, place: &Place) -> Item {
    let (colour, width) = match node.mark {
        Mark::Plain => (Colour::Black, 1.0),
        Mark::Running => (Colour::Blue, 2.0),
        Mark::Failed => (Colour::Red, 1.5),
    };
    let pen = Pen { colour, width, dotted: false };
    let (w, h) = (place.width - place.spread, place.height - place.spread);
    let (x, y) = (place.x - place.spread / 2.0, place.y + place.spread / 2.0); // middle of the front sheet
    let sheets = (place.spread / SHEET) as usize;
    let mut shapes: Vec<Shape> = Vec::new();
    for behind in (0..=sheets).rev().map(|i| i as f64 * SHEET) {
        let (x, y) = (x + behind, y - behind);
        shapes.push(match node.kind {
            NodeKind::Root | NodeKind::Task => Shape::Rect { x: x - w / 2.0, y: y - h / 2.0, width: w, height: h, pen },
            NodeKind::Object => Shape::Ellipse { x, y, rx: w / 2.0, ry: h / 2.0, pen },
        });
    }
    let lines = node.label.iter().map(|l| (l, TEXT_SIZE)).chain(node.remarks.iter().map(|l| (l, SMALL_SIZE)));
    let height: f64 = lines.clone().map(|(_, size)| size * LINE_SPACING).sum();
    let mut top = y - height / 2.0;
    for (text, size) in lines {
        // Figures and capitals are two thirds of the size high: this puts them in the middle of their line.
        let baseline = top + size * (LINE_SPACING / 2.0 + 0.31);
        shapes.push(Shape::Text { x, y: baseline, size, centred: true, text: text.clone() });
        top += size * LINE_SPACING;
    }
    Item { title: Some(node.title.clone()), shapes }
}

/// A number on an arrow, on white so that the line does not strike it through.
fn number(middle: Point, width: f64, text: &str) -> Vec<Shape> {
    let (w, h) = (width / 2.0, SMALL_SIZE * 0.55);
    let corner = |x: f64, y: f64| Point { x: middle.x + x, y: middle.y + y };
    let paper = Shape::Polygon { points: vec![corner(-w, -h), corner(w, -h), corner(w, h), corner(-w, h)], fill: Colour::White };
    let baseline = middle.y + 0.31 * SMALL_SIZE;
    vec![paper, Shape::Text { x: middle.x, y: baseline, size: SMALL_SIZE, centred: true, text: text.to_owned() }]
}
