//! PNG: the display list filled and stroked by tiny-skia, letters as outlines of the embedded font.

use tiny_skia::{FillRule, Paint, Path, PathBuilder, Pixmap, Rect, StrokeDash, Transform};

use crate::Options;
use crate::display::{Colour, DOTS, Display, Pen, Shape};
use crate::layout::Segment;
use crate::text::{Font, Stroke};

/// Pixels in all, at most: four bytes each while drawing.
const MOST_PIXELS: f64 = 40e6;

pub(crate) fn write(display: &Display, font: &Font, options: &Options) -> Vec<u8> {
    let side = f64::from(options.max_bitmap_side.clamp(16, 32_000));
    let scale = options
        .bitmap_scale
        .clamp(0.01, 16.0)
        .min(side / display.width.max(display.height))
        .min((MOST_PIXELS / (display.width * display.height)).sqrt());
    let pixels = |length: f64| ((length * scale).round() as u32).max(1);
    let mut canvas = Canvas {
        pixmap: Pixmap::new(pixels(display.width), pixels(display.height)).expect("sides are neither zero nor huge"),
        transform: Transform::from_scale(scale as f32, scale as f32),
        scale,
    };
    canvas.pixmap.fill(tiny_skia::Color::WHITE);
    let mut coloured = false;
    for shape in display.items.iter().flat_map(|item| &item.shapes) {
        coloured |= canvas.draw(shape, font);
    }
    encode(&canvas.pixmap, coloured)
}

struct Canvas {
    pixmap: Pixmap,
    transform: Transform,
    scale: f64,
}

impl Canvas {
    /// Draws one shape; says whether it left any colour.
    fn draw(&mut self, shape: &Shape, font: &Font) -> bool {
        match shape {
            Shape::Rect { x, y, width, height, pen } => {
                // An outline on whole pixels is as sharp on all four sides.
                let snap = |v: f64| ((v * self.scale).round() + 0.5 * ((pen.width * self.scale).round() % 2.0)) / self.scale;
                let rect = Rect::from_ltrb(snap(*x) as f32, snap(*y) as f32, snap(x + width) as f32, snap(y + height) as f32);
                self.outlined(rect.map(PathBuilder::from_rect), pen)
            }
            Shape::Ellipse { x, y, rx, ry, pen } => {
                let rect = Rect::from_ltrb((x - rx) as f32, (y - ry) as f32, (x + rx) as f32, (y + ry) as f32);
                self.outlined(rect.and_then(PathBuilder::from_oval), pen)
            }
            Shape::Path { start, segments, pen } => {
                let mut path = PathBuilder::new();
                path.move_to(start.x as f32, start.y as f32);
                for segment in segments {
                    match *segment {
                        Segment::Straight(p) => path.line_to(p.x as f32, p.y as f32),
                        Segment::Curve(a, b, p) => {
                            path.cubic_to(a.x as f32, a.y as f32, b.x as f32, b.y as f32, p.x as f32, p.y as f32);
                        }
                    }
                }
                self.stroke(path.finish(), pen)
            }
            Shape::Polygon { points, fill } => {
                let mut path = PathBuilder::new();
                for (i, p) in points.iter().enumerate() {
                    let (x, y) = (p.x as f32, p.y as f32);
                    if i == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
                }
                path.close();
                self.fill(path.finish(), *fill)
            }
            Shape::Text { x, y, size, centred, text } => {
                let left = if *centred { x - font.width(text, *size) / 2.0 } else { *x };
                let mut path = PathBuilder::new();
                let at = |right: f64, up: f64| ((left + right * size) as f32, (y - up * size) as f32);
                font.outline(text, &mut |stroke| match stroke {
                    Stroke::Move(x, y) => path.move_to(at(x, y).0, at(x, y).1),
                    Stroke::Line(x, y) => path.line_to(at(x, y).0, at(x, y).1),
                    Stroke::Quad(a, b, x, y) => path.quad_to(at(a, b).0, at(a, b).1, at(x, y).0, at(x, y).1),
                    Stroke::Cubic(a, b, c, d, x, y) => {
                        path.cubic_to(at(a, b).0, at(a, b).1, at(c, d).0, at(c, d).1, at(x, y).0, at(x, y).1);
                    }
                    Stroke::Close => path.close(),
                });
                self.fill(path.finish(), Colour::Black)
            }
        }
    }

    fn outlined(&mut self, path: Option<Path>, pen: &Pen) -> bool {
        self.fill(path.clone(), Colour::White);
        self.stroke(path, pen)
    }

    /// No path (an empty text, a shape without extent) draws nothing.
    fn fill(&mut self, path: Option<Path>, colour: Colour) -> bool {
        if let Some(path) = path {
            self.pixmap.fill_path(&path, &paint(colour), FillRule::Winding, self.transform, None);
        }
        is_coloured(colour)
    }

    fn stroke(&mut self, path: Option<Path>, pen: &Pen) -> bool {
        let dash = pen.dotted.then(|| StrokeDash::new(DOTS.map(|d| d as f32).to_vec(), 0.0)).flatten();
        let stroke = tiny_skia::Stroke { width: pen.width as f32, dash, ..Default::default() };
        if let Some(path) = path {
            self.pixmap.stroke_path(&path, &paint(pen.colour), &stroke, self.transform, None);
        }
        is_coloured(pen.colour)
    }
}

fn paint(colour: Colour) -> Paint<'static> {
    let [r, g, b] = colour.rgb();
    let mut paint = Paint::default();
    paint.set_color_rgba8(r, g, b, 255);
    paint
}

fn is_coloured(colour: Colour) -> bool {
    !matches!(colour, Colour::Black | Colour::White)
}

/// Most pictures are black on white: one channel is a third of the work and less of a file.
fn encode(pixmap: &Pixmap, coloured: bool) -> Vec<u8> {
    let (kind, channels) = if coloured { (png::ColorType::Rgb, 3) } else { (png::ColorType::Grayscale, 1) };
    let mut data = Vec::with_capacity(pixmap.data().len() / 4 * channels);
    for pixel in pixmap.data().as_chunks::<4>().0 {
        data.extend_from_slice(&pixel[..channels]); // opaque everywhere, so premultiplied or not is the same
    }
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, pixmap.width(), pixmap.height());
    encoder.set_color(kind);
    encoder.set_depth(png::BitDepth::Eight);
    // A third of the file for a quarter more time than the fast setting; differences between pixels gain nothing on flat white.
    encoder.set_compression(png::Compression::Balanced);
    encoder.set_filter(png::Filter::NoFilter);
    let mut writer = encoder.write_header().expect("writing to memory does not fail");
    writer.write_image_data(&data).expect("writing to memory does not fail");
    writer.finish().expect("writing to memory does not fail");
    out
}
