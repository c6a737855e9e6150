//! Many seeds, each a whole cluster. `RAY_SIM_SEEDS` says how many (300), `RAY_SIM_FIRST` where to begin, `RAY_SIM_SEED` runs just one.

use ray_sim::tally::Tally;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is to be a number, not {text:?}")))
}

/// Runs a seed again with its last events written down, and says everything about it.
fn explain(seed: u64) -> String {
    let again = ray_sim::run(seed, true);
    let promise =
        again.broken.unwrap_or_else(|| String::from("(not broken when run again: the simulator itself is not deterministic)"));
    format!(
        "seed {seed} breaks a promise.\n{}\n{promise}\nreplay: RAY_SIM_SEED={seed} cargo test -p ray-sim --test seeds",
        again.lines.join("\n")
    )
}

#[test]
fn promises_hold_whatever_happens() {
    let (first, count) = match number("RAY_SIM_SEED") {
        Some(seed) => (seed, 1),
        None => (number("RAY_SIM_FIRST").unwrap_or(0), number("RAY_SIM_SEEDS").unwrap_or(300)),
    };
    std::panic::set_hook(Box::new(|panic| {
        // A broken invariant inside a run is reported below, with its story.
        if std::thread::current().name().is_some() {
            eprintln!("{panic}\n{}", std::backtrace::Backtrace::capture());
        }
    }));
    let next = AtomicU64::new(first);
    let total = Mutex::new(Tally::default());
    let mut broken: Vec<(u64, String)> = std::thread::scope(|scope| {
        let work = || {
            let mut broken = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= first + count {
                    return broken;
                }
                let outcome = ray_sim::run(seed, false);
                total.lock().expect("no thread panics").add(&outcome.tally);
                if let Some(promise) = outcome.broken {
                    broken.push((seed, promise.lines().next().unwrap_or_default().to_owned()));
                }
            }
        };
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("runs catch their own panics")).collect()
    });
    eprintln!("{:#?}", total.into_inner().expect("no thread panics"));
    broken.sort();
    let Some((first, _)) = broken.first() else { return };
    let story = explain(*first);
    let all: Vec<String> = broken.iter().map(|(seed, promise)| format!("seed {seed}: {promise}")).collect();
    panic!("{} of {count} seeds failed\n{}\n{story}", all.len(), all.join("\n"));
}

#[test]
fn a_seed_replays_bit_by_bit() {
    for seed in (0..300).step_by(10) {
        assert_eq!(ray_sim::run(seed, false).hash, ray_sim::run(seed, false).hash, "seed {seed} runs differently the second time");
    }
}
