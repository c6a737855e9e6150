//! DOT, for Graphviz: the same drawing without places, so that `dot` can make its own layout.

use std::fmt::Write;

use crate::sketch::{EdgeKind, Mark, NodeKind, ROOT, Sketch};

pub(crate) fn write(sketch: &Sketch) -> Vec<u8> {
    let mut out = String::from("digraph computation {\n  node [fontname=\"Times-Roman\", fontsize=14];\n");
    out.push_str("  edge [fontname=\"Times-Roman\", fontsize=11];\n");
    if !sketch.notes.is_empty() {
        let note: String = sketch.notes.iter().map(|n| format!("{}\\l", escaped(n))).collect();
        let _ = writeln!(out, "  graph [fontname=\"Times-Roman\", fontsize=11, labelloc=b, labeljust=l, label=\"{note}\"];");
    }
    for (i, node) in sketch.nodes.iter().enumerate() {
        let lines: Vec<String> = node.label.iter().chain(&node.remarks).map(|l| escaped(l)).collect();
        let shape = if node.kind == NodeKind::Object { "ellipse" } else { "box" };
        let _ = write!(out, "  {} [shape={shape}, label=\"{}\", tooltip=\"{}\"", id(i), lines.join("\\n"), escaped(&node.title));
        if node.stacked {
            out.push_str(", peripheries=2");
        }
        out.push_str(match node.mark {
            Mark::Plain => "];\n",
            Mark::Running => ", color=\"#1e50be\", penwidth=2];\n",
            Mark::Failed => ", color=\"#c80000\", penwidth=1.5];\n",
        });
    }
    for edge in &sketch.edges {
        let _ = write!(out, "  {} -> {}", id(edge.from), id(edge.to));
        let mut attributes = Vec::new();
        if edge.kind == EdgeKind::Launch {
            attributes.push("style=dotted".to_owned());
            if edge.from == ROOT {
                attributes.push("constraint=false".to_owned());
            }
        }
        if let Some(label) = &edge.label {
            attributes.push(format!("label=\"{}\"", escaped(label)));
        }
        if !attributes.is_empty() {
            let _ = write!(out, " [{}]", attributes.join(", "));
        }
        out.push_str(";\n");
    }
    out.push_str("}\n");
    out.into_bytes()
}

/// Names of our own: nothing a user wrote is ever an identifier.
fn id(node: usize) -> String {
    if node == ROOT { "\"op-root\"".to_owned() } else { format!("n{node}") }
}

/// Text for a quoted label: Graphviz reads backslashes as escapes and ampersands as HTML entities there.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '&' => out.push_str("&amp;"),
            '\n' | '\r' => out.push_str("\\n"),
            '\0' => out.push('\u{fffd}'), // printable() spells these out; a NUL would end the file for Graphviz
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn labels_are_escaped() {
        assert_eq!(super::escaped("\"\\N\" &lt;\n\0"), "\\\"\\\\N\\\" &amp;lt;\\n\u{fffd}");
    }
}
