//! Placement groups: who gets what is set aside, and when.

use super::*;
use ray_protocol::groups::{GroupRequest, GroupSpec, GroupState, Strategy, grouped};

const GROUP: &str = "0123456789abcdef0123456789abcdef0123";
const OTHER: &str = "fedcba9876543210fedcba9876543210fedc";

fn group(request: GroupRequest) -> ToScheduler {
    ToScheduler::Ask { request: 7, question: Question::Groups(request) }
}

fn create(id: &str, cpus: &[u64], strategy: Strategy) -> ToScheduler {
    let bundles = cpus.iter().map(|cpus| Resources::cpus(*cpus)).collect();
    group(GroupRequest::Create { group: id.to_owned(), spec: GroupSpec { strategy, bundles, ..GroupSpec::default() } })
}

fn remove(id: &str) -> ToScheduler {
    group(GroupRequest::Remove { group: id.to_owned() })
}

/// The states that answers among these actions tell.
fn group_states(actions: &[Action]) -> Vec<GroupState> {
    let parts = actions.iter().filter_map(|action| match action {
        Action::Client(_, FromScheduler::Answer { part: AnswerPart::Groups(rows), .. }) => Some(rows),
        _ => None,
    });
    parts.flatten().map(|row| row.state).collect()
}

fn wants_in(cluster: &mut Cluster, id: &str, count: u32) -> Vec<Action> {
    let shape = grouped(&Resources::cpus(1), id);
    cluster.says(DRIVER, ToScheduler::WantLeases { shape, count, near: None })
}

fn grants(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Client(_, FromScheduler::Grant { .. }))).count()
}

fn fails_of_removal(actions: &[Action]) -> bool {
    let failure = |action: &Action| match action {
        Action::Client(_, FromScheduler::Unschedulable { failure, .. }) => Some(failure.clone()),
        _ => None,
    };
    actions.iter().any(|action| failure(action) == Some(Failure::TaskGroupRemoved))
}

#[test]
fn a_group_has_all_of_its_bundles_or_none() {
    let mut cluster = Cluster::new(4);
    assert_eq!(group_states(&cluster.says(DRIVER, create(GROUP, &[1, 2], Strategy::Pack))), [GroupState::Created]);
    assert_eq!(group_states(&cluster.says(DRIVER, create(OTHER, &[1, 1], Strategy::Pack))), [GroupState::Pending]);
    assert_eq!(grants(&cluster.wants(DRIVER, 4)), 1, "the pending group holds nothing");
    assert_eq!(grants(&wants_in(&mut cluster, GROUP, 9)), 3);
}

#[test]
fn who_waits_for_a_group_hears_when_it_is_placed() {
    let mut cluster = Cluster::new(2);
    cluster.says(DRIVER, create(GROUP, &[2], Strategy::Pack));
    cluster.says(DRIVER, create(OTHER, &[2], Strategy::Pack));
    assert_eq!(cluster.says(DRIVER, group(GroupRequest::Await { group: OTHER.to_owned() })), []);
    let actions = cluster.says(DRIVER, remove(GROUP));
    assert!(group_states(&actions).contains(&GroupState::Created), "{actions:?}");
}

#[test]
fn two_bundles_that_want_two_nodes_wait_for_the_second() {
    let mut cluster = Cluster::new(4);
    let spread = cluster.says(DRIVER, create(GROUP, &[1, 1], Strategy::StrictSpread));
    assert_eq!(group_states(&spread), [GroupState::Pending]);
    assert_eq!(group_states(&cluster.says(DRIVER, create(OTHER, &[1, 1], Strategy::Spread))), [GroupState::Created]);
}

#[test]
fn tasks_wait_for_their_group_and_fail_when_it_goes() {
    let mut cluster = Cluster::new(1);
    cluster.says(DRIVER, create(GROUP, &[2], Strategy::Pack));
    assert_eq!(wants_in(&mut cluster, GROUP, 1), [], "it may be placed yet");
    assert!(fails_of_removal(&cluster.says(DRIVER, remove(GROUP))));
    assert!(fails_of_removal(&wants_in(&mut cluster, GROUP, 1)), "it is gone");
    assert!(fails_of_removal(&wants_in(&mut cluster, OTHER, 1)), "there never was one");
}

#[test]
fn workers_of_a_group_that_goes_end() {
    let mut cluster = Cluster::new(1);
    cluster.says(DRIVER, create(GROUP, &[1], Strategy::Pack));
    assert_eq!(grants(&wants_in(&mut cluster, GROUP, 1)), 1);
    assert!(cluster.says(DRIVER, remove(GROUP)).contains(&kill(1)));
}

#[test]
fn leases_are_asked_back_for_a_group_that_would_fit_then() {
    let mut cluster = Cluster::new(2);
    cluster.wants(DRIVER, 2);
    let actions = cluster.says(DRIVER, create(GROUP, &[2], Strategy::Pack));
    assert!(actions.contains(&revoke(DRIVER, 2)) && actions.contains(&revoke(DRIVER, 3)), "{actions:?}");
    let too_large = cluster.says(DRIVER, create(OTHER, &[3], Strategy::Pack));
    assert_eq!(group_states(&too_large), [GroupState::Pending]);
}

#[test]
fn a_driver_takes_its_groups_with_it_unless_they_are_detached() {
    let mut cluster = Cluster::new(2);
    let other = cluster.driver();
    cluster.says(other, create(GROUP, &[1], Strategy::Pack));
    let spec = GroupSpec { bundles: vec![Resources::cpus(1)], detached: true, ..GroupSpec::default() };
    cluster.says(other, group(GroupRequest::Create { group: OTHER.to_owned(), spec }));
    cluster.on(Event::ClientGone(other));
    let states = group_states(&cluster.says(DRIVER, group(GroupRequest::List)));
    assert_eq!(states, [GroupState::Removed, GroupState::Created]);
}

#[test]
fn a_lost_nodes_bundles_wait_for_another() {
    let mut cluster = Cluster::new(2);
    cluster.says(DRIVER, create(GROUP, &[1], Strategy::Pack));
    cluster.on(Event::NodeLost { node: NODE, reason: String::from("test") });
    assert_eq!(group_states(&cluster.says(DRIVER, group(GroupRequest::List))), [GroupState::Rescheduling]);
}
