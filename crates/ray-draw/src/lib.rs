//! Draws computation graphs: tasks as boxes, objects as ovals, in the manner of Graphviz but without it.
//!
//! A value in, bytes out: no files, no clock, no environment, and the same graph always gives the same bytes.
//!
//! ```text
//! Graph ── graph::Links ──► group::Partition ──► sketch::Sketch ─┬──► dot
//!  ids      indices          who shares a box    words and arrows │
//!                                                                └──► layout ──► display ─┬─► svg
//!                                                                     places     shapes   ├─► png
//!                                                                                         └─► pdf
//! ```
//!
//! Time is linear in the graph. What is laid out is bounded: a large graph is grouped first, whatever its shape.

mod graph;
mod group;
mod sketch;
mod text;

mod layout;

mod display;
mod dot;
mod pdf;
mod png;
mod svg;

pub use graph::{Graph, ObjectKind, ObjectNode, TaskNode, TaskState};

/// What kind of file to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Text and tooltips; for browsers and notebooks.
    Svg,
    /// A bitmap.
    Png,
    /// One page; for print.
    Pdf,
    /// Source for Graphviz.
    Dot,
}

/// How to draw; [`Options::default`] suits most.
#[derive(Clone, Debug)]
pub struct Options {
    /// Up to this many tasks each is drawn by itself; with more, like ones share a box. So many rows (two for each task of a chain), ten
    /// times as many arrows, or four times as many objects have the same effect.
    pub group_above: usize,
    /// Boxes in a grouped picture, at most.
    pub max_boxes: usize,
    /// Pixels per point of a PNG: 2 is crisp on today's screens.
    pub bitmap_scale: f64,
    /// Longest side of a PNG in pixels. Larger drawings are scaled down to fit.
    pub max_bitmap_side: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options { group_above: 300, max_boxes: 60, bitmap_scale: 2.0, max_bitmap_side: 12_000 }
    }
}

/// Draws `graph` as a file of the given format.
///
/// ```
/// use ray_draw::{Format, Graph, Options, TaskNode, TaskState, render};
///
/// let sleep = |id| TaskNode { id, name: "sleep".into(), parent: None, state: TaskState::Finished, outputs: vec![id], inputs: vec![] };
/// let graph = Graph { tasks: (0..10).map(sleep).collect(), ..Graph::default() };
/// let svg = render(&graph, Format::Svg, &Options::default());
/// assert!(svg.starts_with(b"<?xml"));
/// ```
pub fn render(graph: &Graph, format: Format, options: &Options) -> Vec<u8> {
    let sketch = sketch(graph, options);
    if format == Format::Dot {
        return dot::write(&sketch);
    }
    let font = text::Font::new();
    let layout = layout::Layout::new(&sketch, &font);
    let display = display::Display::new(&sketch, &layout, &font);
    match format {
        Format::Svg => svg::write(&display),
        Format::Png => png::write(&display, &font, options),
        Format::Pdf => pdf::write(&display, &font),
        Format::Dot => unreachable!("returned above"),
    }
}

fn sketch(graph: &Graph, options: &Options) -> sketch::Sketch {
    let links = graph::Links::new(graph);
    if !group::is_large(graph, &links, options) {
        let sketch = sketch::Sketch::new(graph, &links, &group::Partition::each(graph, &links));
        if layout::is_legible(&sketch, options.group_above) {
            return sketch;
        }
    }
    sketch::Sketch::new(graph, &links, &group::Partition::grouped(graph, &links, options))
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
