//! Actors: made by drivers and by tasks, named, found, called in order or not, given away inside values, killed, dropped with calls still
//! queued.

use super::{Author, tree};
use crate::program::{Call, Creation, Expect, Program, ProgramId, Scope, Slot};
use std::rc::Rc;

/// Names are few, so that drivers meet.
const NAMES: [&str; 3] = ["", "one", "two"];

/// An actor a program has a handle of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// Its number there.
    pub(super) at: usize,
    /// Its calls may overtake each other.
    pub(super) unordered: bool,
}

/// A driver that makes a few actors, or finds those of others, calls them, and gives their handles to tasks and to other actors.
pub(super) fn calls(author: &mut Author<'_>) -> Program {
    let mut driver = Scope::driver();
    let mut actors: Vec<Known> = (0..author.rng.within(1, 3)).map(|_| some_actor(author, &mut driver)).collect();
    let mut slots: Vec<Slot> = Vec::new();
    for _ in 0..author.rng.within(3, 40) {
        match author.rng.index(24) {
            0 => driver.kill_actor(author.rng.pick(&actors).at, author.rng.per_mille(300)),
            1 => {
                let dropped = author.rng.index(actors.len());
                driver.drop_actor(actors.swap_remove(dropped).at);
                let next = some_actor(author, &mut driver);
                actors.push(next);
            }
            2 => author.some_work(&mut driver),
            3 if !slots.is_empty() => driver.get(author.rng.pick(&slots)),
            4 | 5 => {
                // The handle travels inside a value, and may be all that is left of it.
                let stored = author.is_stored();
                let given = author.rng.index(actors.len());
                let Known { at, unordered } = actors[given];
                let boxed = driver.wrap(at, author.rng.number(), stored);
                if author.rng.per_mille(300) {
                    driver.drop_actor(actors.swap_remove(given).at);
                    actors.push(some_actor(author, &mut driver));
                }
                if author.rng.per_mille(800) {
                    let program = user(author, &driver.expect(boxed), unordered);
                    slots.push(author.submit(&mut driver, program, vec![], vec![boxed]));
                    driver.drop(boxed);
                } else {
                    actors.push(Known { at: driver.unwrap(boxed), unordered });
                    driver.drop(boxed);
                }
            }
            6 => {
                let program = maker(author);
                let gives = author.programs[program as usize].expect.inner.len() == 1;
                let made = author.submit(&mut driver, program, vec![], vec![]);
                if gives {
                    // What it returns contains a value that contains the handle.
                    let boxed = driver.unpack(made)[0];
                    actors.push(Known { at: driver.unwrap(boxed), unordered: false });
                    driver.drop(boxed);
                    driver.drop(made);
                } else {
                    slots.push(made);
                }
            }
            _ => {
                let actor = author.rng.pick(&actors);
                let slot = call(author, &mut driver, actor, &slots);
                slots.push(slot);
            }
        }
    }
    if author.rng.per_mille(500) {
        // The last handles go while calls are queued: these run all the same.
        for actor in actors {
            driver.drop_actor(actor.at);
        }
    }
    tree::finish(author, driver, slots)
}

/// A call of an actor, with some of these references as arguments.
fn call(author: &mut Author<'_>, scope: &mut Scope, actor: Known, slots: &[Slot]) -> Slot {
    let (nested, by_ref) = (tree::some_of(author, slots, 2), tree::some_of(author, slots, 1));
    let expects = |slots: &[Slot]| slots.iter().map(|&slot| scope.expect(slot)).collect::<Vec<_>>();
    let program = tree::leaf_with(author, &expects(&nested), &expects(&by_ref));
    let expect = author.programs[program as usize].expect.clone();
    let retries = author.rng.pick(&author.style.retries);
    scope.call(Call { actor: actor.at, program, by_ref, nested, retries, unordered: actor.unordered, expect })
}

/// A task that gets a box with a handle, and calls the actor.
fn user(author: &mut Author<'_>, boxed: &Rc<Expect>, unordered: bool) -> ProgramId {
    let mut scope = Scope::task(author.rng.number(), std::slice::from_ref(boxed), &[]);
    let actor = Known { at: scope.unwrap(0), unordered };
    call_a_few(author, &mut scope, actor);
    author.add(scope.finish(vec![], false))
}

/// A task that makes an actor of its own, calls it, and may give its handle back.
fn maker(author: &mut Author<'_>) -> ProgramId {
    let mut scope = Scope::task(author.rng.number(), &[], &[]);
    let max_restarts = author.rng.pick(&[0, 1, -1]);
    let at = scope.create(Creation { name: String::new(), max_restarts, nested: vec![], raises: false, work_us: 100 });
    let actor = Known { at, unordered: false };
    let returns =
        if author.rng.per_mille(500) { vec![scope.wrap(actor.at, author.rng.number(), author.is_stored())] } else { vec![] };
    call_a_few(author, &mut scope, actor);
    author.add(scope.finish(returns, false))
}

fn call_a_few(author: &mut Author<'_>, scope: &mut Scope, actor: Known) {
    let mut slots = Vec::new();
    for _ in 0..author.rng.within(0, 4) {
        let slot = call(author, scope, actor, &slots);
        slots.push(slot);
    }
    if author.rng.per_mille(300) {
        scope.drop_actor(actor.at);
        return;
    }
    for slot in slots {
        if author.rng.per_mille(600) {
            scope.get(slot);
        }
    }
}

pub(super) fn some_actor(author: &mut Author<'_>, driver: &mut Scope) -> Known {
    let name = author.rng.pick(&NAMES);
    // Whether calls may overtake each other is the actor's own: whoever finds it by its name knows.
    let unordered = if name.is_empty() { author.rng.per_mille(300) } else { name == "two" };
    if !name.is_empty() && author.rng.per_mille(400) {
        return Known { at: driver.find(name), unordered };
    }
    let inside = if author.rng.per_mille(300) {
        let stored = author.rng.per_mille(500);
        vec![driver.put(author.rng.number(), vec![], stored)]
    } else {
        vec![]
    };
    let at = driver.create(Creation {
        name: name.to_owned(),
        max_restarts: author.rng.pick(&[0, 0, 1, 2, -1]),
        nested: inside,
        raises: author.rng.per_mille(50),
        work_us: author.rng.pick(&[10, 1_000, 20_000]),
    });
    Known { at, unordered }
}
