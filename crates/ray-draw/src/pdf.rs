//! PDF 1.4, written by hand: one page, one content stream, the Times-Roman every reader has.
//!
//! Text that Windows-1252 can hold is real text: it can be searched and copied. Other text is drawn as outlines from our own font, whose
//! box stands for letters that it lacks as well.

use std::fmt::Write;

use crate::display::{Colour, DOTS, Display, Pen, Shape};
use crate::layout::{Point, Segment};
use crate::text::{Font, Stroke};

/// Readers refuse pages with longer sides (in points); larger pictures are scaled down.
const LONGEST_SIDE: f64 = 14_400.0;

pub(crate) fn write(display: &Display, font: &Font) -> Vec<u8> {
    let scale = (LONGEST_SIDE / display.width.max(display.height)).min(1.0);
    let content = content(display, scale, font);
    let (width, height) = (display.width * scale, display.height * scale);
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width:.2} {height:.2}] /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> >>"
        ),
        format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman /Encoding /WinAnsiEncoding >>".to_owned(),
        "<< /Title (Computation graph) >>".to_owned(),
    ];
    // The second line marks the file as binary for tools that guess.
    let mut out = b"%PDF-1.4\n%\xE2\xE3\xCF\xD3\n".to_vec();
    let mut starts = Vec::new();
    for (i, object) in objects.iter().enumerate() {
        starts.push(out.len());
        out.extend(format!("{} 0 obj\n{object}\nendobj\n", i + 1).into_bytes());
    }
    let table = out.len();
    let mut end = format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for start in starts {
        let _ = writeln!(end, "{start:010} 00000 n ");
    }
    let _ = write!(end, "trailer\n<< /Size {} /Root 1 0 R /Info 6 0 R >>\nstartxref\n{table}\n%%EOF\n", objects.len() + 1);
    out.extend(end.into_bytes());
    out
}

/// The drawing operators: plain ASCII, so that lengths in characters and bytes agree.
fn content(display: &Display, scale: f64, font: &Font) -> String {
    let mut out = String::new();
    // PDF's y grows upwards.
    let _ = writeln!(out, "{scale:.6} 0 0 -{scale:.6} 0 {:.2} cm", display.height * scale);
    let _ = writeln!(out, "1 g 0 0 {:.2} {:.2} re f", display.width, display.height);
    for shape in display.items.iter().flat_map(|item| &item.shapes) {
        match shape {
            Shape::Rect { x, y, width, height, pen } => {
                let _ = writeln!(out, "q 1 g {}{x:.2} {y:.2} {width:.2} {height:.2} re B Q", Style(pen));
            }
            Shape::Ellipse { x, y, rx, ry, pen } => {
                let _ = write!(out, "q 1 g {}", Style(pen));
                ellipse(&mut out, *x, *y, *rx, *ry);
                out.push_str("B Q\n");
            }
            Shape::Path { start, segments, pen } => {
                let _ = write!(out, "q {}{} m ", Style(pen), Pair(*start));
                for segment in segments {
                    let _ = match *segment {
                        Segment::Straight(p) => write!(out, "{} l ", Pair(p)),
                        Segment::Curve(a, b, p) => write!(out, "{} {} {} c ", Pair(a), Pair(b), Pair(p)),
                    };
                }
                out.push_str("S Q\n");
            }
            Shape::Polygon { points, fill } => {
                let _ = write!(out, "{} rg ", Rgb(*fill));
                for (i, &p) in points.iter().enumerate() {
                    let _ = write!(out, "{} {} ", Pair(p), if i == 0 { "m" } else { "l" });
                }
                out.push_str("f\n");
            }
            Shape::Text { x, y, size, centred, text } => {
                let left = if *centred { x - font.width(text, *size) / 2.0 } else { *x };
                match windows_1252(text) {
                    // The text matrix turns letters upright again.
                    Some(bytes) => {
                        _ = writeln!(out, "0 g BT /F {size:.2} Tf 1 0 0 -1 {left:.2} {y:.2} Tm ({}) Tj ET", literal(&bytes))
                    }
                    None => outlined(&mut out, left, *y, *size, text, font),
                }
            }
        }
    }
    out
}

/// Four quarter arcs; 0.5523 times the radius is where a cubic's control points come nearest to a circle.
fn ellipse(out: &mut String, x: f64, y: f64, rx: f64, ry: f64) {
    let (kx, ky) = (0.5523 * rx, 0.5523 * ry);
    let _ = write!(out, "{} m ", Pair(Point { x: x + rx, y }));
    for (ax, ay, bx, by, px, py) in
        [(rx, ky, kx, ry, 0.0, ry), (-kx, ry, -rx, ky, -rx, 0.0), (-rx, -ky, -kx, -ry, 0.0, -ry), (kx, -ry, rx, -ky, rx, 0.0)]
    {
        let at = |dx: f64, dy: f64| Pair(Point { x: x + dx, y: y + dy });
        let _ = write!(out, "{} {} {} c ", at(ax, ay), at(bx, by), at(px, py));
    }
    out.push_str("h ");
}

fn outlined(out: &mut String, left: f64, baseline: f64, size: f64, text: &str, font: &Font) {
    let at = |x: f64, y: f64| Pair(Point { x: left + x * size, y: baseline - y * size });
    let mut pen = (0.0, 0.0);
    out.push_str("0 g ");
    font.outline(text, &mut |stroke| {
        let _ = match stroke {
            Stroke::Move(x, y) => write!(out, "{} m ", at(x, y)),
            Stroke::Line(x, y) => write!(out, "{} l ", at(x, y)),
            // PDF has cubics only: their control points lie two thirds of the way to the quadratic's.
            Stroke::Quad(cx, cy, x, y) => {
                let third = |from: f64, c: f64| from + (c - from) * 2.0 / 3.0;
                let (ax, ay, bx, by) = (third(pen.0, cx), third(pen.1, cy), third(x, cx), third(y, cy));
                write!(out, "{} {} {} c ", at(ax, ay), at(bx, by), at(x, y))
            }
            Stroke::Cubic(ax, ay, bx, by, x, y) => write!(out, "{} {} {} c ", at(ax, ay), at(bx, by), at(x, y)),
            Stroke::Close => write!(out, "h "),
        };
        if let Stroke::Move(x, y) | Stroke::Line(x, y) | Stroke::Quad(_, _, x, y) | Stroke::Cubic(_, _, _, _, x, y) = stroke {
            pen = (x, y);
        }
    });
    out.push_str("f\n");
}

struct Pair(Point);

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} {:.2}", self.0.x, self.0.y)
    }
}

struct Rgb(Colour);

impl std::fmt::Display for Rgb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [r, g, b] = self.0.rgb().map(|c| f64::from(c) / 255.0);
        write!(f, "{r:.3} {g:.3} {b:.3}")
    }
}

struct Style<'a>(&'a Pen);

impl std::fmt::Display for Style<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} RG {:.2} w ", Rgb(self.0.colour), self.0.width)?;
        if self.0.dotted { write!(f, "[{} {}] 0 d ", DOTS[0], DOTS[1]) } else { Ok(()) }
    }
}

/// The text in PDF's WinAnsiEncoding, if it has all the letters.
fn windows_1252(text: &str) -> Option<Vec<u8>> {
    let byte = |c: char| match c {
        ' '..='~' | '\u{a0}'..='\u{ff}' => Some(c as u8),
        '…' => Some(0x85),
        '–' => Some(0x96),
        '—' => Some(0x97),
        '‘' => Some(0x91),
        '’' => Some(0x92),
        '“' => Some(0x93),
        '”' => Some(0x94),
        '•' => Some(0x95),
        '€' => Some(0x80),
        _ => None,
    };
    text.chars().map(byte).collect()
}

/// The inside of a PDF string: brackets and backslashes escaped, everything beyond ASCII in octal.
fn literal(bytes: &[u8]) -> String {
    let mut out = String::new();
    for &b in bytes {
        match b {
            b'(' | b')' | b'\\' => {
                out.push('\\');
                out.push(char::from(b));
            }
            b' '..=b'~' => out.push(char::from(b)),
            _ => _ = write!(out, "\\{b:03o}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped() {
        assert_eq!(literal(&windows_1252("a(b)\\ é…").unwrap()), "a\\(b\\)\\\\ \\351\\205");
        assert_eq!(windows_1252("函数"), None);
        assert_eq!(literal(b"\n\0"), "\\012\\000");
    }
}
