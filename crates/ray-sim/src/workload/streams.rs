//! Streams: tasks and methods that yield, taken to the end or dropped in the middle, by drivers and by tasks.

use super::{Author, actors, tree};
use crate::program::{Program, ProgramId, Scope, Slot, Spawn};

/// A driver that takes from several tasks in turn.
pub(super) fn streams(author: &mut Author<'_>) -> Program {
    let mut driver = Scope::driver();
    let mut kept = Vec::new();
    for _ in 0..author.rng.within(1, 4) {
        if author.rng.per_mille(300) {
            let consumer = consumer(author);
            kept.push(author.submit(&mut driver, consumer, vec![], vec![]));
        } else {
            take_some(author, &mut driver, None, &mut kept);
        }
    }
    tree::finish(author, driver, kept)
}

/// A driver that takes what the methods of an actor yield.
pub(super) fn of_actors(author: &mut Author<'_>) -> Program {
    let mut driver = Scope::driver();
    let actor = actors::some_actor(author, &mut driver);
    let mut kept = Vec::new();
    for _ in 0..author.rng.within(1, 4) {
        take_some(author, &mut driver, Some((actor.at, actor.unordered)), &mut kept);
    }
    if author.rng.per_mille(300) {
        driver.drop_actor(actor.at);
    }
    tree::finish(author, driver, kept)
}

/// A task that takes what others yield.
fn consumer(author: &mut Author<'_>) -> ProgramId {
    let mut scope = Scope::task(author.rng.number(), &[], &[]);
    take_some(author, &mut scope, None, &mut Vec::new());
    author.add(scope.finish(vec![], false))
}

/// Opens a stream and takes from it, perhaps to its end, perhaps beyond.
fn take_some(author: &mut Author<'_>, scope: &mut Scope, actor: Option<(usize, bool)>, kept: &mut Vec<Slot>) {
    let program = producer(author);
    let plan = &author.programs[program as usize];
    let (expect, items) = (plan.expect.clone(), plan.items.clone());
    let (retries, half_cpus) = (author.rng.pick(&author.style.retries), author.rng.pick(&author.style.half_cpus));
    let spawn = Spawn { program, by_ref: vec![], nested: vec![], retries, half_cpus, expect };
    let stream = scope.open(spawn, actor, &items);
    for _ in 0..author.rng.within(0, items.len() as u64 + 2) {
        if author.rng.per_mille(100) {
            author.some_work(scope);
        }
        let slot = scope.next(stream);
        match author.rng.index(3) {
            0 => kept.push(slot),
            1 => scope.drop(slot),
            _ => {}
        }
    }
    if author.rng.per_mille(author.style.cancels) {
        scope.cancel_stream(stream);
    }
    // An actor that waits for its consumer does nothing else: who goes on to its next call must not leave it waiting.
    let in_the_way = actor.is_some() && author.programs[program as usize].most_untaken > 0;
    if in_the_way || author.rng.per_mille(500) {
        scope.drop_stream(stream);
    }
}

/// A task that yields.
fn producer(author: &mut Author<'_>) -> ProgramId {
    let mut scope = Scope::task(author.rng.number(), &[], &[]);
    for _ in 0..author.rng.within(0, 8) {
        author.some_work(&mut scope);
        let inner = if author.rng.per_mille(300) {
            let stored = author.is_stored();
            vec![scope.put(author.rng.number(), vec![], stored)]
        } else {
            vec![]
        };
        let stored = author.is_stored();
        scope.yield_item(author.rng.number(), inner, stored);
        if author.rng.per_mille(author.style.raises) {
            scope.raise();
        }
    }
    let mut program = scope.finish(vec![], false);
    program.most_untaken = author.rng.pick(&[0, 0, 1, 3]);
    author.add(program)
}
