//! Actors: made, named, found, called in order, killed, dropped with calls still queued.

use super::{Author, tree};
use crate::program::{Creation, Program, Scope, Slot};

/// Names are few, so that drivers meet.
const NAMES: [&str; 3] = ["", "one", "two"];

/// A driver that makes a few actors, or finds those of others, and calls them.
pub(super) fn calls(author: &mut Author<'_>) -> Program {
    let mut driver = Scope::driver();
    let mut actors: Vec<usize> = (0..author.rng.within(1, 3)).map(|_| some_actor(author, &mut driver)).collect();
    let mut slots: Vec<Slot> = Vec::new();
    for _ in 0..author.rng.within(3, 40) {
        match author.rng.index(20) {
            0 => driver.kill_actor(author.rng.pick(&actors), author.rng.per_mille(300)),
            1 => {
                let dropped = author.rng.index(actors.len());
                driver.drop_actor(actors.swap_remove(dropped));
                let next = some_actor(author, &mut driver);
                actors.push(next);
            }
            2 => author.some_work(&mut driver),
            3 if !slots.is_empty() => driver.get(author.rng.pick(&slots)),
            _ => {
                let nested = tree::some_of(author, &slots, 2);
                let expects: Vec<_> = nested.iter().map(|&slot| driver.expect(slot)).collect();
                let program = tree::leaf_with(author, &expects);
                let expect = author.programs[program as usize].expect.clone();
                let retries = author.rng.pick(&author.style.retries);
                slots.push(driver.call(author.rng.pick(&actors), program, nested, expect, retries));
            }
        }
    }
    if author.rng.per_mille(500) {
        // The last handles go while calls are queued: these run all the same.
        for actor in actors {
            driver.drop_actor(actor);
        }
    }
    tree::finish(author, driver, slots)
}

pub(super) fn some_actor(author: &mut Author<'_>, driver: &mut Scope) -> usize {
    let name = author.rng.pick(&NAMES);
    if !name.is_empty() && author.rng.per_mille(400) {
        return driver.find(name);
    }
    let inside = if author.rng.per_mille(300) {
        let stored = author.rng.per_mille(500);
        vec![driver.put(author.rng.number(), vec![], stored)]
    } else {
        vec![]
    };
    driver.create(Creation {
        name: name.to_owned(),
        max_restarts: author.rng.pick(&[0, 0, 1, 2, -1]),
        nested: inside,
        raises: author.rng.per_mille(50),
        work_us: author.rng.pick(&[10, 1_000, 20_000]),
    })
}
