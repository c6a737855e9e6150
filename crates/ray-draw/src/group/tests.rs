use super::*;
use crate::graph::ObjectKind;
use crate::samples::{Program, chain, nonsense, sleep, tree};
use crate::sketch::Sketch;

fn grouped(graph: &Graph) -> (Partition, Vec<String>) {
    let links = Links::new(graph);
    let partition = Partition::grouped(graph, &links, &Options::default());
    let labels = Sketch::new(graph, &links, &partition).nodes[1..].iter().map(|n| n.label.join(" ")).collect();
    (partition, labels)
}

#[test]
fn equal_calls_share_a_box() {
    assert_eq!(grouped(&sleep(9_990)).1, ["sleep × 9,990", "9,990 objects"]);
}

#[test]
fn a_tree_has_a_box_per_level() {
    let (partition, labels) = grouped(&tree(1024));
    assert_eq!(partition.task_parts, 11);
    assert_eq!(&labels[..3], ["zeros × 1,024", "add × 512", "add × 256"]);
    assert_eq!(labels[10], "2046 add");
}

#[test]
fn a_chain_is_one_box() {
    assert_eq!(grouped(&chain(5_000)).1, ["f × 5,000 (chain)", "5,000 objects"]);
}

#[test]
fn parallel_chains_fold_together() {
    let mut p = Program::default();
    for _ in 0..10 {
        let mut last = Vec::new();
        (0..50).for_each(|_| last = vec![p.call("step", None, &last)]);
    }
    assert_eq!(grouped(&p.graph).1, ["step × 500 (50 in a row)", "500 objects"]);
}

#[test]
fn a_running_sum_is_a_chain_with_other_inputs() {
    let mut p = Program::default();
    let parts: Vec<u64> = (0..500).map(|_| p.call("load", None, &[])).collect();
    let mut total = p.call("zero", None, &[]);
    for part in parts {
        total = p.call("add", None, &[total, part]);
    }
    assert_eq!(grouped(&p.graph).1, ["load × 500", "500 zero", "add × 500 (chain)", "500", "500 objects", "500 objects"]);
}

#[test]
fn loops_over_functions_become_a_circle() {
    let mut p = Program::default();
    let mut weights = vec![p.object(ObjectKind::Put, None)];
    for _ in 0..1_000 {
        let gradients: Vec<u64> = (0..4).map(|_| p.call("gradient", None, &weights)).collect();
        weights = vec![p.call("update", None, &gradients)];
    }
    let (_, labels) = grouped(&p.graph);
    assert_eq!(&labels[..2], ["gradient × 4,000", "update × 1,000"]);
}

#[test]
fn parents_keep_their_children_apart() {
    let mut p = Program::default();
    p.call("a", None, &[]);
    p.call("b", None, &[]);
    (0..200).for_each(|i| _ = p.call("child", Some(i % 2), &[]));
    assert_eq!(&grouped(&p.graph).1[..4], ["0 a", "1 b", "child × 100", "child × 100"]);
}

#[test]
fn a_shared_put_is_not_one_of_many() {
    let mut p = Program::default();
    let table = p.object(ObjectKind::Put, None);
    for _ in 0..400 {
        let own = p.object(ObjectKind::Put, None);
        p.call("f", None, &[table, own]);
    }
    assert_eq!(grouped(&p.graph).1, ["f × 400", "0", "400 objects", "400 objects"]);
}

#[test]
fn many_functions_leave_a_rest() {
    let mut p = Program::default();
    for i in 0..1_000 {
        (0..1 + i % 3).for_each(|_| _ = p.call(&format!("f{i}"), None, &[]));
    }
    let (partition, labels) = grouped(&p.graph);
    assert_eq!(partition.task_parts, Options::default().max_boxes as u32);
    assert!(labels.iter().any(|l| l.starts_with("other functions × ")), "{labels:?}");
}

#[test]
fn every_task_and_object_is_in_exactly_one_part() {
    for seed in 0..30 {
        let graph = nonsense(400, seed);
        let links = Links::new(&graph);
        let p = Partition::grouped(&graph, &links, &Options::default());
        assert_eq!((p.task.len(), p.object.len()), (graph.tasks.len(), links.object_ids.len()));
        let used = |parts: &[u32], n: u32| (0..n).all(|part| parts.contains(&part)) && parts.iter().all(|&part| part < n);
        assert!(used(&p.task, p.task_parts) && used(&p.object, p.object_parts), "seed {seed}");
        assert!(p.task_parts <= 60 && p.object_parts <= 180);
    }
}

#[test]
fn the_order_of_the_list_does_not_matter_much() {
    let mut graph = tree(512);
    let sizes = |graph: &Graph| {
        let (p, _) = grouped(graph);
        let mut sizes = vec![0; p.task_parts as usize];
        p.task.iter().for_each(|&part| sizes[part as usize] += 1);
        sizes.sort_unstable();
        sizes
    };
    let before = sizes(&graph);
    graph.tasks.reverse();
    assert_eq!(sizes(&graph), before);
}
