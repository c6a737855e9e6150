//! SVG 1.1: real text, and a tooltip on everything that has more to say.

use std::fmt::Write;

use crate::display::{Colour, DOTS, Display, Item, Pen, Shape};
use crate::layout::{Point, Segment};

pub(crate) fn write(display: &Display) -> Vec<u8> {
    let mut out = String::new();
    let (w, h) = (Short(display.width), Short(display.height));
    let _ = writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#);
    let _ = writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{w}pt" height="{h}pt" viewBox="0 0 {w} {h}" font-family="Times,'Times New Roman','Liberation Serif',serif" fill="none">"#
    );
    let _ = writeln!(out, r##"<rect width="{w}" height="{h}" fill="#ffffff"/>"##);
    for item in &display.items {
        write_item(&mut out, item);
    }
    out.push_str("</svg>\n");
    out.into_bytes()
}

fn write_item(out: &mut String, item: &Item) {
    if let Some(title) = &item.title {
        let _ = writeln!(out, "<g><title>{}</title>", Escaped(title));
    }
    for shape in &item.shapes {
        let _ = match shape {
            Shape::Rect { x, y, width, height, pen } => {
                let (x, y, w, h) = (Short(*x), Short(*y), Short(*width), Short(*height));
                writeln!(out, r#"<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="white"{}/>"#, Stroke(pen))
            }
            Shape::Ellipse { x, y, rx, ry, pen } => {
                let (x, y, rx, ry) = (Short(*x), Short(*y), Short(*rx), Short(*ry));
                writeln!(out, r#"<ellipse cx="{x}" cy="{y}" rx="{rx}" ry="{ry}" fill="white"{}/>"#, Stroke(pen))
            }
            Shape::Path { start, segments, pen } => {
                let _ = write!(out, r#"<path d="M{}"#, Pair(*start));
                for segment in segments {
                    let _ = match *segment {
                        Segment::Straight(p) => write!(out, "L{}", Pair(p)),
                        Segment::Curve(a, b, p) => write!(out, "C{} {} {}", Pair(a), Pair(b), Pair(p)),
                    };
                }
                writeln!(out, r#""{}/>"#, Stroke(pen))
            }
            Shape::Polygon { points, fill } => {
                let points: Vec<String> = points.iter().map(|&p| Pair(p).to_string()).collect();
                writeln!(out, r#"<polygon points="{}" fill="{}"/>"#, points.join(" "), Hex(*fill))
            }
            Shape::Text { x, y, size, centred, text } => {
                let anchor = if *centred { r#" text-anchor="middle""# } else { "" };
                let (x, y, size) = (Short(*x), Short(*y), Short(*size));
                writeln!(out, r#"<text x="{x}" y="{y}" font-size="{size}"{anchor} fill="black">{}</text>"#, Escaped(text))
            }
        };
    }
    if item.title.is_some() {
        out.push_str("</g>\n");
    }
}

/// Two decimals at most: a hundredth of a point shows nowhere.
struct Short(f64);

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hundredths = (self.0 * 100.0).round() as i64;
        let (sign, n) = (if hundredths < 0 { "-" } else { "" }, hundredths.unsigned_abs());
        match (n / 100, n % 100) {
            (whole, 0) => write!(f, "{sign}{whole}"),
            (whole, part) if part % 10 == 0 => write!(f, "{sign}{whole}.{}", part / 10),
            (whole, part) => write!(f, "{sign}{whole}.{part:02}"),
        }
    }
}

struct Pair(Point);

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{},{}", Short(self.0.x), Short(self.0.y))
    }
}

struct Hex(Colour);

impl std::fmt::Display for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [r, g, b] = self.0.rgb();
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}

struct Stroke<'a>(&'a Pen);

impl std::fmt::Display for Stroke<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, r#" stroke="{}""#, Hex(self.0.colour))?;
        if self.0.width != 1.0 {
            write!(f, r#" stroke-width="{}""#, Short(self.0.width))?;
        }
        if self.0.dotted {
            write!(f, r#" stroke-dasharray="{},{}""#, Short(DOTS[0]), Short(DOTS[1]))?;
        }
        Ok(())
    }
}

/// Text for XML, in content and in attributes. Characters that XML cannot hold at all become U+FFFD; [`crate::text::printable`] has
/// spelled them out already wherever a name is shown.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let short = |n| Short(n).to_string();
        assert_eq!(
            [short(0.0), short(-0.001), short(1.5), short(-2.346), short(12.0), short(0.05)],
            ["0", "0", "1.5", "-2.35", "12", "0.05"]
        );
    }

    #[test]
    fn markup_is_escaped() {
        assert_eq!(Escaped("<a href=\"x\">&'\0").to_string(), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;\u{fffd}");
    }
}
