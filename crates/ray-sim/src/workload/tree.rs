//! Tasks that submit tasks: independent ones, chains, nests deeper than there are workers, and anything at random.

use super::Author;
use crate::program::{Expect, Program, ProgramId, Scope, Slot};
use std::rc::Rc;

/// Tasks that have nothing to do with each other.
pub(super) fn independent(author: &mut Author<'_>) -> Program {
    let mut driver = Scope::driver();
    let count = author.rng.within(1, 90);
    let mut slots = Vec::new();
    for _ in 0..count {
        let program = leaf(author);
        slots.push(author.submit(&mut driver, program, vec![], vec![]));
        if author.rng.per_mille(100) {
            author.some_work(&mut driver);
        }
    }
    finish(author, driver, slots)
}

/// Each task takes the results of earlier ones by reference.
pub(super) fn chain(author: &mut Author<'_>) -> Program {
    let mut driver = Scope::driver();
    let count = author.rng.within(2, 40);
    let mut slots: Vec<Slot> = Vec::new();
    for _ in 0..count {
        let by_ref = some_of(author, &slots, 3);
        let expects: Vec<_> = by_ref.iter().map(|&slot| driver.expect(slot)).collect();
        let mut scope = Scope::task(author.rng.number(), &[], &expects);
        ordinary_work(author, &mut scope);
        let stored = author.is_stored();
        let program = author.add(scope.finish(vec![], stored));
        slots.push(author.submit(&mut driver, program, by_ref, vec![]));
        if author.rng.per_mille(150) {
            // References go at random moments; those who depend on the objects keep them.
            let gone = slots.remove(author.rng.index(slots.len()));
            driver.drop(gone);
        }
    }
    finish(author, driver, slots)
}

/// Tasks that wait for tasks, deeper than there are workers.
pub(super) fn nested(author: &mut Author<'_>) -> Program {
    let mut driver = Scope::driver();
    let depth = author.rng.within(2, 9);
    let mut slots = Vec::new();
    for _ in 0..author.rng.within(1, 4) {
        let program = nest(author, depth);
        slots.push(author.submit(&mut driver, program, vec![], vec![]));
    }
    finish(author, driver, slots)
}

fn nest(author: &mut Author<'_>, depth: u64) -> ProgramId {
    if depth == 0 {
        return leaf(author);
    }
    let mut scope = Scope::task(author.rng.number(), &[], &[]);
    let width = author.rng.within(1, 2);
    let below = (0..width).map(|child| if child == 0 { nest(author, depth - 1) } else { leaf(author) }).collect::<Vec<_>>();
    let slots: Vec<Slot> = below.into_iter().map(|program| author.submit(&mut scope, program, vec![], vec![])).collect();
    for slot in slots {
        scope.get(slot);
    }
    author.add(scope.finish(vec![], false))
}

/// Any mixture: references in values, put, passed on, returned, dropped.
pub(super) fn anything(author: &mut Author<'_>) -> Program {
    let mut driver = Scope::driver();
    let mut budget = author.rng.within(5, 100);
    while budget > 0 {
        steps(author, &mut driver, &mut budget, 3);
    }
    let live = driver.live();
    let some = some_of(author, &live, 20);
    finish(author, driver, some)
}

fn steps(author: &mut Author<'_>, scope: &mut Scope, budget: &mut u64, depth: u64) {
    for _ in 0..author.rng.within(1, 3 + 4 * depth) {
        if *budget == 0 {
            return;
        }
        *budget -= 1;
        let live = scope.live();
        match author.rng.index(10) {
            0..4 => {
                let by_ref = some_of(author, &live, 2);
                let nested = some_of(author, &live, 2);
                let program = inner_task(author, scope, &by_ref, &nested, budget, depth);
                author.submit(scope, program, by_ref, nested);
            }
            4 | 5 => {
                let inner = some_of(author, &live, 3);
                let stored = author.is_stored();
                scope.put(author.rng.number(), inner, stored);
            }
            6 => author.some_work(scope),
            _ if live.is_empty() => {}
            7 => scope.drop(author.rng.pick(&live)),
            8 => scope.get(author.rng.pick(&live)),
            _ => {
                scope.unpack(author.rng.pick(&live));
            }
        }
    }
}

fn inner_task(author: &mut Author<'_>, outer: &Scope, by_ref: &[Slot], nested: &[Slot], budget: &mut u64, depth: u64) -> ProgramId {
    let expects = |slots: &[Slot]| slots.iter().map(|&slot| outer.expect(slot)).collect::<Vec<Rc<_>>>();
    let mut scope = Scope::task(author.rng.number(), &expects(nested), &expects(by_ref));
    ordinary_work(author, &mut scope);
    if depth > 0 {
        steps(author, &mut scope, budget, depth - 1);
    }
    let live = scope.live();
    let returns = some_of(author, &live, 3);
    let stored = author.is_stored();
    author.add(scope.finish(returns, stored))
}

fn leaf(author: &mut Author<'_>) -> ProgramId {
    leaf_with(author, &[], &[])
}

/// A task that gets references and gives some of them back.
pub(super) fn leaf_with(author: &mut Author<'_>, nested: &[Rc<Expect>], by_ref: &[Rc<Expect>]) -> ProgramId {
    let mut scope = Scope::task(author.rng.number(), nested, by_ref);
    ordinary_work(author, &mut scope);
    let stored = author.is_stored();
    let live = scope.live();
    let returns = some_of(author, &live, 1);
    author.add(scope.finish(returns, stored))
}

fn ordinary_work(author: &mut Author<'_>, scope: &mut Scope) {
    author.some_work(scope);
    if author.rng.per_mille(author.style.raises) {
        scope.raise();
    }
}

/// Some of these, each at most once.
pub(super) fn some_of(author: &mut Author<'_>, slots: &[Slot], most: u64) -> Vec<Slot> {
    let mut left = slots.to_vec();
    let count = author.rng.within(0, most.min(left.len() as u64));
    (0..count).map(|_| left.remove(author.rng.index(left.len()))).collect()
}

/// A driver gets everything in some order, then ends (and drops all it has left).
pub(super) fn finish(author: &mut Author<'_>, mut driver: Scope, mut slots: Vec<Slot>) -> Program {
    while !slots.is_empty() {
        let slot = slots.remove(author.rng.index(slots.len()));
        driver.get(slot);
        if author.rng.per_mille(500) {
            driver.drop(slot);
        }
    }
    driver.finish(vec![], false)
}
