//! Words in the picture: making names harmless, short enough, and measuring them.
//!
//! Function names come from users and may hold anything. [`printable`] is the one place that disarms them, the way Python's `repr` does:
//! what would not show, or would change how its neighbours show, is spelled out. Every back end still escapes for its own syntax.

use ttf_parser::{Face, OutlineBuilder};

/// Liberation Serif cut to Latin, Greek and Cyrillic. Its widths are those of Times, so one measurement serves every back end.
static FONT: &[u8] = include_bytes!("../font/raio-serif.ttf");

/// Longest name shown in full, in characters.
pub(crate) const LONGEST_NAME: usize = 28;

/// The embedded font, read once per picture.
pub(crate) struct Font {
    face: Face<'static>,
}

impl Font {
    pub(crate) fn new() -> Font {
        Font { face: Face::parse(FONT, 0).expect("the embedded font is well-formed") }
    }

    /// Width of `text` in points when set at `size`.
    pub(crate) fn width(&self, text: &str, size: f64) -> f64 {
        text.chars().map(|c| self.advance(c)).sum::<f64>() * size
    }

    /// Draws `text` into `out`, its baseline starting at the origin, one unit per em, y upwards.
    pub(crate) fn outline(&self, text: &str, out: &mut dyn FnMut(Stroke)) {
        let scale = 1.0 / f64::from(self.face.units_per_em());
        let mut x = 0.0;
        for c in text.chars() {
            match self.face.glyph_index(c) {
                Some(glyph) => _ = self.face.outline_glyph(glyph, &mut Pen { x, scale, out }),
                None => missing(x, out),
            }
            x += self.advance(c);
        }
    }

    /// How far `c` moves the pen, in ems. A letter we lack is likely East Asian and drawn square by whoever has it.
    fn advance(&self, c: char) -> f64 {
        let glyph = self.face.glyph_index(c);
        glyph.and_then(|g| self.face.glyph_hor_advance(g)).map_or(1.0, |w| f64::from(w) / f64::from(self.face.units_per_em()))
    }
}

/// The box for a letter that the font lacks: two rectangles, the inner one a hole.
fn missing(x: f64, out: &mut dyn FnMut(Stroke)) {
    let (left, right, top, rim) = (x + 0.1, x + 0.9, 0.72, 0.04);
    for corners in [
        [(left, 0.0), (left, top), (right, top), (right, 0.0)],
        [(left + rim, rim), (right - rim, rim), (right - rim, top - rim), (left + rim, top - rim)],
    ] {
        out(Stroke::Move(corners[0].0, corners[0].1));
        corners[1..].iter().for_each(|c| out(Stroke::Line(c.0, c.1)));
        out(Stroke::Close);
    }
}

/// One movement of the pen along a letter's outline.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stroke {
    Move(f64, f64),
    Line(f64, f64),
    Quad(f64, f64, f64, f64),
    Cubic(f64, f64, f64, f64, f64, f64),
    Close,
}

struct Pen<'a> {
    x: f64,
    scale: f64,
    out: &'a mut dyn FnMut(Stroke),
}

impl Pen<'_> {
    fn at(&self, x: f32, y: f32) -> (f64, f64) {
        (self.x + f64::from(x) * self.scale, f64::from(y) * self.scale)
    }
}

impl OutlineBuilder for Pen<'_> {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        (self.out)(Stroke::Move(x, y));
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        (self.out)(Stroke::Line(x, y));
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        (self.out)(Stroke::Quad(x1, y1, x, y));
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        (self.out)(Stroke::Cubic(x1, y1, x2, y2, x, y));
    }

    fn close(&mut self) {
        (self.out)(Stroke::Close);
    }
}

/// Spells out what would not show or would change how its neighbours show: `\n`, `\x1b`, `\u202e`.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if !is_hidden(c) => out.push(c),
            _ if (c as u32) < 0x100 => out.push_str(&format!("\\x{:02x}", c as u32)),
            _ if (c as u32) < 0x10000 => out.push_str(&format!("\\u{:04x}", c as u32)),
            _ => out.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    out
}

/// Controls, marks that reorder or join text, invisible separators, and code points that XML forbids.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c as u32,
            0xAD | 0x61C | 0x180E | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0xFEFF | 0xFFF9..=0xFFFB
            | 0xFDD0..=0xFDEF | 0xE0000..=0xE0FFF)
        || c as u32 & 0xFFFE == 0xFFFE
}

/// Cuts the middle out of a long text; its ends tell most. The whole text goes into the tooltip.
pub(crate) fn elide(text: &str, longest: usize) -> String {
    let count = text.chars().count();
    if count <= longest {
        return text.to_owned();
    }
    let kept = longest - 1;
    let tail = kept / 2;
    let head: String = text.chars().take(kept - tail).collect();
    let tail: String = text.chars().skip(count - tail).collect();
    format!("{head}…{tail}")
}

/// A number with a comma between thousands.
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(d);
    }
    out
}

/// "1 task", "2 tasks".
pub(crate) fn count(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", thousands(n), if n == 1 { "" } else { "s" })
}

/// Breaks a paragraph into lines no wider than `width` points; a word that is wider by itself is cut.
pub(crate) fn wrap(font: &Font, text: &str, size: f64, width: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut used = 0.0;
    for word in text.split_whitespace() {
        let wide = font.width(word, size);
        let space = if line.is_empty() { 0.0 } else { font.width(" ", size) };
        if !line.is_empty() && used + space + wide > width {
            lines.push(std::mem::take(&mut line));
            used = 0.0;
        }
        if !line.is_empty() {
            line.push(' ');
            used += space;
        }
        for c in word.chars() {
            let step = font.advance(c) * size;
            if used + step > width && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
                used = 0.0;
            }
            line.push(c);
            used += step;
        }
    }
    lines.extend(Some(line).filter(|l| !l.is_empty()));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_spelled_out() {
        assert_eq!(printable("a\0b\n\x1b[31m\u{202e}x\u{feff}é函\u{10ffff}"), "a\\x00b\\n\\x1b[31m\\u202ex\\ufeffé函\\U0010ffff");
        assert_eq!(printable("<lambda> \"q\" \\"), "<lambda> \"q\" \\");
    }

    #[test]
    fn long_names_lose_their_middle() {
        assert_eq!(elide("abcdefghij", 10), "abcdefghij");
        assert_eq!(elide("abcdefghijk", 10), "abcde…hijk");
        assert_eq!(elide("éééééééééééé", 5).chars().count(), 5);
    }

    #[test]
    fn numbers_and_counts() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(count(1, "task"), "1 task");
        assert_eq!(count(9_990, "object"), "9,990 objects");
    }

    #[test]
    fn widths_are_those_of_times() {
        let font = Font::new();
        let close = |text, afm: f64| assert!((font.width(text, 1000.0) - afm).abs() < 1.0, "{text}: {}", font.width(text, 1000.0));
        close("0", 500.0); // from the metrics Adobe publishes for Times-Roman
        close("M", 889.0);
        close("×", 564.0);
        close("…", 1000.0);
    }

    #[test]
    fn wrapped_lines_fit_and_lose_nothing() {
        let font = Font::new();
        let text = "three short words and areallylongwordthatdoesnotfitanywhereatall in between";
        let lines = wrap(&font, text, 10.0, 60.0);
        assert!(lines.iter().all(|l| font.width(l, 10.0) <= 60.0), "{lines:?}");
        assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
    }
}
