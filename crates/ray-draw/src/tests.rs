//! What holds for whole pictures, in every format.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::samples::{chain, dot, nonsense, random, sleep, tree};
use crate::*;

const ALL: [Format; 4] = [Format::Svg, Format::Png, Format::Pdf, Format::Dot];

/// Names nobody should use and somebody will.
const HOSTILE: [&str; 14] = [
    "",
    "</title><script>alert(1)</script>",
    "\"]; evil [label=\"",
    "\\N\\G\\l\\",
    "&lt;&amp;&#0;",
    "]]>",
    "nul\0",
    "\x1b[31mred\x1b[0m",
    "line\nbreak\r\n\ttab",
    "\u{202e}txt.exe",
    "\u{feff}\u{fffe}\u{ffff}\u{10ffff}",
    ") Tj ET 0 0 m (\\",
    "函数 العربية 🎉 e\u{301}\u{301}",
    "--><!-- ${jndi} %s %n '",
];

fn hostile() -> Graph {
    let mut graph = chain(HOSTILE.len() + 1);
    for (task, name) in graph.tasks.iter_mut().zip(HOSTILE) {
        task.name = name.into();
    }
    graph.tasks.last_mut().unwrap().name = "very long ".repeat(100_000);
    graph.omitted_note = Some(HOSTILE.concat());
    graph
}

fn examples() -> Vec<Graph> {
    vec![
        Graph::default(),
        sleep(1),
        sleep(10),
        dot(),
        tree(20),
        hostile(),
        random(60, 1),
        random(900, 2),
        nonsense(40, 3),
        nonsense(700, 4),
    ]
}

#[test]
fn the_same_graph_gives_the_same_bytes() {
    let options = Options { bitmap_scale: 0.2, ..Options::default() };
    for (i, graph) in examples().iter().enumerate() {
        // Drawing pixels without optimisation takes its time: the simplest and the most colourful will do.
        for format in ALL.into_iter().filter(|&f| f != Format::Png || i < 5) {
            assert!(render(graph, format, &options) == render(&graph.clone(), format, &options), "{format:?}");
        }
    }
}

#[test]
fn nonsense_is_drawn_all_the_same() {
    for seed in 0..30 {
        let graph = nonsense(1 + 4 * seed, seed);
        let options =
            Options { group_above: if seed % 2 == 0 { 0 } else { 300 }, max_boxes: seed as usize % 7, ..Options::default() };
        for format in [Format::Svg, Format::Pdf, Format::Dot] {
            assert!(!render(&graph, format, &options).is_empty());
        }
    }
}

#[test]
fn svg_is_well_formed() {
    for graph in examples() {
        let svg = String::from_utf8(render(&graph, Format::Svg, &Options::default())).unwrap();
        well_formed(&svg);
        assert!(!svg.contains("<script"));
    }
}

/// A strict reader for the little XML we write: tags nest, attributes are quoted, no stray markup, no character that XML forbids.
fn well_formed(xml: &str) {
    let forbidden = |c: char| (c < ' ' && !"\t\n\r".contains(c)) || matches!(c, '\u{fffe}' | '\u{ffff}');
    assert!(!xml.contains(forbidden));
    let mut open = Vec::new();
    let mut rest = xml.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").expect("declaration");
    while let Some(at) = rest.find('<') {
        entities(&rest[..at]);
        assert!(!rest[..at].contains('>'));
        let end = at + rest[at..].find('>').expect("tags end");
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
            continue;
        }
        let (tag, empty) = tag.strip_suffix('/').map_or((tag, false), |t| (t, true));
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(name.chars().all(|c| c.is_ascii_alphabetic()), "{name}");
        assert_eq!(attributes.matches('"').count() % 2, 0, "{tag}");
        entities(attributes);
        if !empty {
            open.push(name);
        }
    }
    assert!(open.is_empty() && rest == "\n");
}

fn entities(text: &str) {
    for part in text.split('&').skip(1) {
        assert!(["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|e| part.starts_with(e)), "{part}");
    }
}

#[test]
fn tooltips_hold_what_labels_elide() {
    let mut graph = sleep(1);
    graph.tasks[0].name = "a_function_whose_name_does_not_fit_into_a_box".into();
    let svg = String::from_utf8(render(&graph, Format::Svg, &Options::default())).unwrap();
    assert!(svg.contains("<title>task 0: a_function_whose_name_does_not_fit_into_a_box (finished)</title>"));
    assert!(svg.contains(">a_function_who…_into_a_box</text>") || svg.contains("…"));
    assert!(!svg.contains(">a_function_whose_name_does_not_fit_into_a_box</text>"));
}

#[test]
fn what_is_grouped_or_left_out_is_said() {
    let mut graph = sleep(10_000);
    graph.omitted_note = Some("7 tasks were freed.".into());
    let svg = String::from_utf8(render(&graph, Format::Svg, &Options::default())).unwrap();
    assert!(svg.contains("10,000 tasks drawn as 1 box and 10,000 objects as 1 oval."));
    assert!(svg.contains("sleep × 10,000") && svg.contains("7 tasks were freed."));
    let svg = String::from_utf8(render(&sleep(300), Format::Svg, &Options::default())).unwrap();
    assert!(!svg.contains("drawn as"));
    assert_eq!(svg.matches(">sleep</text>").count(), 300);
}

#[test]
fn tangles_of_few_tasks_are_grouped_too() {
    // Each of 300 tasks uses ten earlier results: too many long arrows to follow.
    let mut p = crate::samples::Program::default();
    for t in 0..300u64 {
        let inputs: Vec<u64> = (0..t.min(9)).map(|i| t - 1 - i * (t / 10)).collect();
        p.call(["f", "g"][t as usize % 2], None, &inputs);
    }
    let svg = String::from_utf8(render(&p.graph, Format::Svg, &Options::default())).unwrap();
    assert!(svg.contains("300 tasks drawn as 2 boxes"));
}

#[test]
fn a_chain_too_tall_to_read_is_folded() {
    let svg = |n| String::from_utf8(render(&chain(n), Format::Svg, &Options::default())).unwrap();
    assert!(svg(150).contains(">149</text>"));
    assert!(svg(151).contains("f × 151") && svg(151).contains("(chain)"));
}

#[test]
fn a_million_tasks() {
    let graph = tree(1 << 19);
    let svg = String::from_utf8(render(&graph, Format::Svg, &Options::default())).unwrap();
    assert!(svg.contains("1,048,575 tasks drawn as 20 boxes"));
}

#[test]
fn bitmaps_decode_and_are_bounded() {
    let size = |graph: &Graph, options: &Options| {
        let bytes = render(graph, Format::Png, options);
        let mut reader = ::png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert!(pixels.iter().any(|&p| p < 250) && pixels.contains(&255));
        (info.width, info.height, info.color_type)
    };
    let options = Options::default();
    let (width, height, kind) = size(&sleep(10), &options);
    assert!(width > 1400 && height > 300 && kind == ::png::ColorType::Grayscale);
    assert_eq!(size(&random(20, 3), &options).2, ::png::ColorType::Rgb);
    assert_eq!(size(&sleep(200), &Options { max_bitmap_side: 900, ..options.clone() }).0, 900);
    size(&hostile(), &Options { bitmap_scale: 0.5, ..options });
}

#[test]
fn pdf_offsets_point_at_their_objects() {
    for graph in examples() {
        let pdf = render(&graph, Format::Pdf, &Options::default());
        let text = String::from_utf8_lossy(&pdf).replace('\u{fffd}', "?"); // the four bytes that are not ASCII, each as one
        assert!(text.starts_with("%PDF-1.4\n") && text.ends_with("%%EOF\n"));
        let table: usize = text.rsplit("startxref\n").next().unwrap().lines().next().unwrap().parse().unwrap();
        let mut lines = text[table..].lines().skip(3);
        for object in 1..=6 {
            let start: usize = lines.next().unwrap()[..10].parse().unwrap();
            assert!(text[start..].starts_with(&format!("{object} 0 obj\n")));
        }
        let stream = text.split("stream\n").nth(1).unwrap().trim_end_matches("\nend");
        assert!(text.contains(&format!("/Length {} ", stream.len())));
    }
}

/// Runs a reader on a picture, if this machine has the reader.
fn accepted_by(program: &str, arguments: &[&str], bytes: &[u8]) {
    let spawned = Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let Ok(mut child) = spawned else { return eprintln!("{program} is not installed: not checked") };
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || _ = stdin.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.to_lowercase().contains("error"), "{program}: {said}");
}

#[test]
fn other_programs_read_our_pictures() {
    for graph in examples() {
        accepted_by("dot", &["-Tsvg"], &render(&graph, Format::Dot, &Options::default()));
        accepted_by("xmllint", &["--noout", "-"], &render(&graph, Format::Svg, &Options::default()));
        accepted_by("pdftotext", &["-", "-"], &render(&graph, Format::Pdf, &Options::default()));
    }
}
