//! Is the simulator good enough? Clusters that lose a kind of message now and then must be caught, each within 300 seeds.

use ray_protocol::control::ToScheduler;

/// A name, and which messages are lost, given how many messages came before.
type Mutation = (&'static str, fn(&ToScheduler, u64) -> bool);

const MUTATIONS: [Mutation; 9] = [
    ("a hold is not booked", |message, count| matches!(message, ToScheduler::Hold { count: 1.., .. }) && count % 40 == 0),
    ("a hold is not given back", |message, count| matches!(message, ToScheduler::Hold { count: ..=-1, .. }) && count % 40 == 0),
    ("an object is not announced", |message, count| matches!(message, ToScheduler::Share { .. }) && count % 40 == 0),
    ("what a value contains is not said", |message, count| matches!(message, ToScheduler::Contains { .. }) && count % 40 == 0),
    ("a value is not told", |message, count| matches!(message, ToScheduler::Ready { .. }) && count % 40 == 0),
    ("a question is lost", |message, count| matches!(message, ToScheduler::Subscribe { .. }) && count % 40 == 0),
    ("a lease is not returned", |message, count| matches!(message, ToScheduler::ReturnLease { .. }) && count % 10 == 0),
    ("a wish is lost", |message, count| matches!(message, ToScheduler::WantLeases { count: 1.., .. }) && count % 10 == 0),
    ("a wait is not told", |message, _| matches!(message, ToScheduler::Blocked { .. })),
];

#[test]
fn lost_messages_are_found_out() {
    std::panic::set_hook(Box::new(|_| ()));
    let missed: Vec<&str> = MUTATIONS
        .iter()
        .filter(|(_, mutation)| (0..300).all(|seed| ray_sim::run_mutated(seed, false, Some(*mutation)).broken.is_none()))
        .map(|(name, _)| *name)
        .collect();
    let _ = std::panic::take_hook();
    assert!(missed.is_empty(), "planted and not found: {missed:?}");
}
