//! Events in, list of actions out.

use super::*;
use ray_protocol::control::{ActorMessage, ActorNotice, ActorSpec};
use ray_protocol::record::flag;
use ray_protocol::value::Exit;
use ray_protocol::{Failure, Location, Resources, SegmentId};

const ME: ClientId = ClientId(1);
const WORKER: ClientId = ClientId(2);
const OTHER: ClientId = ClientId(3);
const HERE: NodeId = NodeId(0);

fn process() -> Process {
    Process::new(ME, HERE)
}

fn at(ms: u64) -> Time {
    Time::after(Duration::from_millis(ms))
}

/// Everything the process wants done, in order; the graph's news left out.
fn actions(process: &mut Process) -> Vec<Action> {
    process.validate();
    std::iter::from_fn(|| process.poll_action())
        .filter(|action| !matches!(action, Action::Scheduler(message) if matches!(**message, ToScheduler::Report(_))))
        .collect()
}

fn say(message: ToScheduler) -> Action {
    Action::Scheduler(Box::new(message))
}

fn want(count: u32) -> Action {
    say(ToScheduler::WantLeases { shape: Resources::cpus(1), count, near: None })
}

fn hold(client: ClientId, object: ObjectId, count: i32) -> Action {
    say(ToScheduler::Hold { client, object, count })
}

fn push(worker: ClientId, seq: u64) -> Action {
    Action::Push { worker, seq }
}

fn inline(text: &str) -> Value {
    Value::Inline(text.as_bytes().into())
}

fn stored(size_bytes: u64) -> Value {
    Value::Stored(Location { node: HERE, segment: SegmentId::default(), offset: 0, size_bytes })
}

/// A task that takes one CPU, with these arguments by reference.
fn task(process: &mut Process, inputs: &[ObjectId]) -> TaskSpec {
    let mut body = Vec::new();
    for &input in inputs {
        record::write_reference_argument(&mut body, input);
    }
    let shape = process.shape(&Resources::cpus(1));
    TaskSpec {
        returns: 1,
        arguments: inputs.len() as u32,
        body: body.into(),
        inputs: inputs.to_vec(),
        shape,
        ..TaskSpec::default()
    }
}

fn submit(process: &mut Process, inputs: &[ObjectId]) -> ObjectId {
    let spec = task(process, inputs);
    process.submit(spec).result(0)
}

fn grant(process: &mut Process, worker: ClientId) {
    process.scheduler_said(at(0), FromScheduler::Grant { worker, node: HERE, shape: Resources::cpus(1), devices: vec![] });
}

fn answer(process: &mut Process, worker: ClientId, seq: u64, value: &Value, has_refs: bool) {
    let mut bytes = Vec::new();
    record::write_result_header(&mut bytes, seq, 0, 1, false, 10);
    record::write_result_value(&mut bytes, value, has_refs);
    process.record_arrived(at(1), worker, &bytes).expect("a well-formed result");
}

fn lose(process: &mut Process, worker: ClientId, started: Option<u64>) {
    process.worker_lost(at(2), worker, &Exit { signal: Some(9), ..Exit::default() }, started);
}

fn failure_of(process: &Process, object: ObjectId) -> Failure {
    match process.value(object) {
        ObjectView::Ready(Value::Failed(bytes)) => Failure::from_bytes(bytes),
        other => panic!("{object} has not failed: {other:?}"),
    }
}

/// A task with one argument by value that is pushed to [`WORKER`]; its result, and nothing left to do.
fn pushed(process: &mut Process, max_retries: i32) -> ObjectId {
    let spec = TaskSpec { max_retries, ..task(process, &[]) };
    let result = process.submit(spec).result(0);
    if process.leases().next().is_none() {
        grant(process, WORKER);
    }
    actions(process);
    result
}

#[test]
fn a_task_asks_for_a_worker_is_pushed_to_it_and_gives_its_value() {
    let mut process = process();
    let result = submit(&mut process, &[]);
    assert_eq!(actions(&mut process), [want(1)]);
    grant(&mut process, WORKER);
    assert_eq!(actions(&mut process), [Action::OpenChannel(WORKER), push(WORKER, 1), want(0)]);
    answer(&mut process, WORKER, 1, &inline("value"), false);
    assert_eq!(process.value(result), ObjectView::Ready(&inline("value")));
    assert!(!process.expects_news());
    assert_eq!(actions(&mut process), []);
}

#[test]
fn a_lease_at_hand_is_used_without_asking() {
    let mut process = process();
    pushed(&mut process, 0);
    answer(&mut process, WORKER, 1, &inline("value"), false);
    submit(&mut process, &[]);
    assert_eq!(actions(&mut process), [push(WORKER, 2)]);
}

#[test]
fn a_wish_is_repeated_only_when_it_doubled() {
    let mut process = process();
    for _ in 0..5 {
        submit(&mut process, &[]);
    }
    assert_eq!(actions(&mut process), [want(1), want(2), want(4)]);
}

#[test]
fn a_grant_nobody_needs_any_more_goes_back() {
    let mut process = process();
    grant(&mut process, WORKER);
    assert_eq!(actions(&mut process), [say(ToScheduler::ReturnLease { worker: WORKER })]);
}

#[test]
fn a_task_waits_for_its_inputs_and_gets_their_values() {
    let mut process = process();
    let input = pushed(&mut process, 0);
    submit(&mut process, &[input]);
    assert_eq!(actions(&mut process), []);
    answer(&mut process, WORKER, 1, &inline("in"), false);
    assert_eq!(actions(&mut process), [push(WORKER, 2)]);
    let (header, body) = process.pushable(2).expect("it was just pushed");
    let mut reader = record::BodyReader::new(&body, header.arguments);
    assert_eq!(reader.next_argument(), Some(Ok(record::Argument::Inline(b"in"))));
    assert_eq!(header.flags & record::flag::HAS_REFS, 0);
}

#[test]
fn an_input_with_references_inside_is_held_for_the_worker() {
    let mut process = process();
    let inside = process.put(inline("inside"), &[]);
    let outside = process.put(inline("box"), &[inside]);
    actions(&mut process);
    submit(&mut process, &[outside]);
    grant(&mut process, WORKER);
    assert!(actions(&mut process).contains(&hold(WORKER, outside, 1)));
    let (header, body) = process.pushable(3).expect("it was just pushed");
    assert_eq!(record::BodyReader::new(&body, header.arguments).nested(), Ok(vec![outside]));
}

#[test]
fn a_failure_runs_down_a_chain_of_any_length() {
    let mut process = process();
    let first = pushed(&mut process, 0);
    let last = (0..100_000).fold(first, |input, _| submit(&mut process, &[input]));
    answer(&mut process, WORKER, 1, &Failure::Raised(b"no".to_vec()).into_value(), false);
    assert_eq!(failure_of(&process, last), Failure::Raised(b"no".to_vec()));
    assert!(!process.expects_news());
}

#[test]
fn a_task_that_was_not_started_runs_elsewhere_without_counting() {
    let mut process = process();
    pushed(&mut process, 0);
    lose(&mut process, WORKER, None);
    assert_eq!(actions(&mut process), [want(1)]);
    grant(&mut process, OTHER);
    assert_eq!(process.pushable(1).expect("it is pushed again").0.attempt, 0);
}

#[test]
fn a_started_task_without_retries_fails_with_its_worker() {
    let mut process = process();
    let result = pushed(&mut process, 0);
    lose(&mut process, WORKER, Some(1));
    assert!(matches!(failure_of(&process, result), Failure::WorkerCrashed { attempts: 1, .. }));
    let void = say(ToScheduler::ContainsNothing { object: result, worker: WORKER });
    assert_eq!(actions(&mut process), [void, Action::Free(result)]);
}

#[test]
fn a_started_task_is_retried_as_often_as_it_may_be() {
    let mut process = process();
    let result = pushed(&mut process, 2);
    for attempt in 1..=2 {
        lose(&mut process, WORKER, Some(1));
        grant(&mut process, WORKER);
        assert_eq!(process.pushable(1).expect("it is pushed again").0.attempt, attempt);
    }
    lose(&mut process, WORKER, Some(1));
    assert!(matches!(failure_of(&process, result), Failure::WorkerCrashed { attempts: 3, .. }));
}

#[test]
fn tasks_given_back_keep_their_order_and_wait_until_the_worker_ends_one() {
    let mut process = process();
    pushed(&mut process, 0);
    answer(&mut process, WORKER, 1, &inline(""), false); // now it is known to be quick: several go ahead
    for _ in 0..4 {
        submit(&mut process, &[]);
    }
    assert_eq!(actions(&mut process), [2, 3, 4, 5].map(|seq| push(WORKER, seq)));
    for seq in [3, 4, 5] {
        process.record_arrived(at(1), WORKER, &record::returned(seq)).expect("well-formed");
    }
    assert_eq!(actions(&mut process), [want(1), want(2)]);
    answer(&mut process, WORKER, 2, &inline(""), false);
    assert_eq!(actions(&mut process)[..3], [3, 4, 5].map(|seq| push(WORKER, seq)));
}

#[test]
fn what_waits_behind_a_long_task_is_recalled() {
    let mut process = process();
    pushed(&mut process, 0);
    answer(&mut process, WORKER, 1, &inline(""), false);
    submit(&mut process, &[]);
    submit(&mut process, &[]);
    actions(&mut process);
    assert_eq!(process.next_timeout(), Some(at(6)));
    process.tick(at(6));
    assert_eq!(actions(&mut process), [Action::Recall(WORKER)]);
}

#[test]
fn an_idle_lease_goes_back_at_once_when_asked_for() {
    let mut process = process();
    pushed(&mut process, 0);
    answer(&mut process, WORKER, 1, &inline(""), false);
    process.scheduler_said(at(1), FromScheduler::Revoke { worker: WORKER });
    assert_eq!(actions(&mut process), [say(ToScheduler::ReturnLease { worker: WORKER })]);
}

#[test]
fn an_idle_lease_goes_instead_of_a_busy_one() {
    let mut process = process();
    submit(&mut process, &[]);
    submit(&mut process, &[]);
    grant(&mut process, WORKER);
    grant(&mut process, OTHER);
    answer(&mut process, OTHER, 2, &inline(""), false);
    actions(&mut process);
    process.scheduler_said(at(1), FromScheduler::Revoke { worker: WORKER });
    assert_eq!(actions(&mut process), [say(ToScheduler::ReturnLease { worker: OTHER })]);
}

#[test]
fn a_shape_no_node_has_fails_its_tasks() {
    let mut process = process();
    let result = submit(&mut process, &[]);
    let failure = Failure::Unschedulable { reason: String::from("too much") };
    process.scheduler_said(at(0), FromScheduler::Unschedulable { shape: Resources::cpus(1), failure: failure.clone() });
    assert_eq!(failure_of(&process, result), failure);
}

#[test]
fn a_queued_task_is_cancelled_at_once() {
    let mut process = process();
    let result = submit(&mut process, &[]);
    assert!(process.cancel(result.task, false, false));
    assert!(matches!(failure_of(&process, result), Failure::Cancelled { .. }));
    assert!(!process.cancel(result.task, false, false));
}

#[test]
fn a_pushed_task_is_cancelled_where_it_is_and_not_tried_again() {
    let mut process = process();
    let result = pushed(&mut process, -1);
    process.cancel(result.task, false, false);
    assert_eq!(actions(&mut process), [Action::Cancel { worker: WORKER, seq: 1, force: false, recursive: false }]);
    process.record_arrived(at(1), WORKER, &record::returned(1)).expect("well-formed");
    assert!(matches!(failure_of(&process, result), Failure::Cancelled { .. }));
}

#[test]
fn the_last_claim_on_an_own_stored_object_frees_it() {
    let mut process = process();
    let object = process.put(stored(10), &[]);
    process.retain(object);
    process.release(object);
    assert_eq!(actions(&mut process), []);
    process.release(object);
    assert_eq!(actions(&mut process), [Action::Free(object)]);
    assert_eq!(process.object_count(), 0);
}

#[test]
fn a_stored_object_with_references_inside_is_freed_too() {
    let mut process = process();
    let inside = process.put(inline("inside"), &[]);
    let outside = process.put(stored(10), &[inside]);
    let share = say(ToScheduler::Share { object: inside, value: Some(inline("inside")) });
    assert_eq!(actions(&mut process), [share, say(ToScheduler::Contains { object: outside, inner: vec![inside] })]);
    process.release(outside);
    assert_eq!(actions(&mut process), [hold(ME, outside, -1), Action::Free(outside)]);
}

#[test]
fn a_nested_reference_is_announced_and_held_for_the_worker_before_the_push() {
    let mut process = process();
    let object = process.put(inline("x"), &[]);
    let spec = TaskSpec { nested: vec![object], ..task(&mut process, &[]) };
    process.submit(spec);
    grant(&mut process, WORKER);
    let share = say(ToScheduler::Share { object, value: Some(inline("x")) });
    assert_eq!(
        actions(&mut process),
        [want(1), Action::OpenChannel(WORKER), share, hold(WORKER, object, 1), push(WORKER, 2), want(0)]
    );
    process.record_arrived(at(1), WORKER, &record::returned(2)).expect("well-formed");
    assert_eq!(actions(&mut process)[0], hold(WORKER, object, -1), "given back: the worker took nothing");
}

#[test]
fn a_shared_result_is_told_even_when_nobody_here_wants_it_any_more() {
    let mut process = process();
    let result = pushed(&mut process, 0);
    process.put(inline("box"), &[result]);
    process.release(result);
    actions(&mut process);
    answer(&mut process, WORKER, 1, &inline("value"), false);
    assert_eq!(actions(&mut process), [say(ToScheduler::Ready { object: result, value: inline("value") })]);
}

#[test]
fn an_own_object_that_comes_back_after_it_was_dropped_is_asked_for() {
    let mut process = process();
    let object = process.put(inline("x"), &[]);
    let outside = process.put(inline("box"), &[object]);
    process.release(object);
    actions(&mut process);
    process.retain(object); // read from the box
    assert!(!process.watch(object));
    assert_eq!(actions(&mut process), [hold(ME, object, 1), say(ToScheduler::Subscribe { object })]);
    process.scheduler_said(at(1), FromScheduler::Ready { object, value: inline("x") });
    assert_eq!(actions(&mut process), [Action::Ready(object)]);
    process.release(outside);
}

#[test]
fn a_foreign_object_is_asked_for_once_and_given_up_with_all_its_holds() {
    let mut process = process();
    let object = TaskId { client: OTHER, seq: 7 }.result(0);
    process.retain_booked(object);
    process.retain_booked(object);
    assert!(!process.watch(object));
    assert!(!process.watch(object));
    assert_eq!(actions(&mut process), [say(ToScheduler::Subscribe { object })]);
    process.release(object);
    process.release(object);
    assert_eq!(actions(&mut process), [hold(ME, object, -2)]);
}

#[test]
fn a_result_with_references_comes_with_a_hold_that_goes_back() {
    let mut process = process();
    let result = pushed(&mut process, 0);
    answer(&mut process, WORKER, 1, &inline("box"), true);
    process.release(result);
    assert_eq!(actions(&mut process), [hold(ME, result, -1)]);
}

fn call(process: &mut Process, actor: TaskId, max_retries: i32) -> ObjectId {
    let task = TaskSpec { returns: 1, max_retries, ..TaskSpec::default() };
    process.call(ActorCall { actor, task, unordered: false }).result(0)
}

fn notice(process: &mut Process, notice: ActorNotice) {
    process.scheduler_said(at(0), FromScheduler::Actor(notice));
}

/// An actor that serves on [`WORKER`].
fn live_actor(process: &mut Process) -> TaskId {
    let actor = process.create_actor(ActorSpec::default(), &[], &[]);
    notice(process, ActorNotice::Alive { actor, worker: WORKER, restarts: 0 });
    actions(process);
    actor
}

#[test]
fn calls_wait_for_their_actor_and_go_in_order() {
    let mut process = process();
    let actor = process.create_actor(ActorSpec::default(), &[], &[]);
    call(&mut process, actor, 0);
    call(&mut process, actor, 0);
    assert_eq!(actions(&mut process), [say(ToScheduler::Actor(ActorMessage::Create { actor, spec: Box::default() }))]);
    notice(&mut process, ActorNotice::Alive { actor, worker: WORKER, restarts: 0 });
    assert_eq!(actions(&mut process), [Action::OpenChannel(WORKER), push(WORKER, 2), push(WORKER, 3)]);
}

#[test]
fn a_call_that_waits_for_an_input_holds_up_those_behind_it_until_it_is_cancelled() {
    let mut process = process();
    let actor = live_actor(&mut process);
    let input = pushed(&mut process, 0);
    let mut body = Vec::new();
    record::write_reference_argument(&mut body, input);
    let task = TaskSpec { returns: 1, arguments: 1, body: body.into(), inputs: vec![input], ..TaskSpec::default() };
    let first = process.call(ActorCall { actor, task, unordered: false });
    call(&mut process, actor, 0);
    assert_eq!(actions(&mut process), []);
    process.cancel(first, false, false);
    assert_eq!(actions(&mut process), [push(WORKER, 4)]);
}

#[test]
fn calls_under_way_fail_with_their_actor_unless_they_may_be_retried() {
    let mut process = process();
    let actor = live_actor(&mut process);
    let (fails, again) = (call(&mut process, actor, 0), call(&mut process, actor, 1));
    lose(&mut process, WORKER, Some(2));
    notice(&mut process, ActorNotice::Restarting { actor });
    assert!(matches!(failure_of(&process, fails), Failure::ActorUnavailable { .. }));
    assert_eq!(process.value(again), ObjectView::Pending);
    notice(&mut process, ActorNotice::Alive { actor, worker: OTHER, restarts: 1 });
    assert!(actions(&mut process).contains(&push(OTHER, 3)));
}

#[test]
fn calls_to_a_worker_that_never_heard_of_them_go_to_its_successor() {
    let mut process = process();
    let actor = live_actor(&mut process);
    call(&mut process, actor, 0);
    actions(&mut process);
    notice(&mut process, ActorNotice::Restarting { actor });
    notice(&mut process, ActorNotice::Alive { actor, worker: OTHER, restarts: 1 });
    assert_eq!(actions(&mut process), [Action::OpenChannel(OTHER), push(OTHER, 2)]);
}

#[test]
fn a_dead_actor_fails_every_call() {
    let mut process = process();
    let actor = live_actor(&mut process);
    let before = call(&mut process, actor, -1);
    let failure = Failure::ActorDied { actor, class: String::from("A"), reason: String::from("gone"), raised: Vec::new() };
    let Value::Failed(bytes) = failure.into_value() else { unreachable!("a failure encodes as Failed") };
    notice(&mut process, ActorNotice::Dead { actor, failure: bytes.into_vec() });
    let after = call(&mut process, actor, 0);
    assert_eq!([failure_of(&process, before), failure_of(&process, after)], [failure.clone(), failure]);
}

#[test]
fn a_handle_is_given_up_when_the_last_call_has_ended() {
    let mut process = process();
    let actor = live_actor(&mut process);
    call(&mut process, actor, 0);
    process.release_actor(actor, false);
    assert_eq!(actions(&mut process), [push(WORKER, 2)]);
    answer(&mut process, WORKER, 2, &inline(""), false);
    assert_eq!(actions(&mut process), [say(ToScheduler::Actor(ActorMessage::Handles { actor, client: ME, count: -1 }))]);
}

#[test]
fn a_record_no_worker_sends_is_an_error() {
    let mut process = process();
    assert!(process.record_arrived(at(0), WORKER, &record::recall()).is_err());
    assert!(process.record_arrived(at(0), WORKER, &[1, 2, 3]).is_err());
}

#[test]
fn an_unordered_call_waits_aside_and_goes_when_its_input_comes() {
    let mut process = process();
    let actor = process.create_actor(ActorSpec::default(), &[], &[]);
    let first = call(&mut process, actor, 0);
    let late = TaskSpec { max_retries: 0, ..task(&mut process, &[first]) };
    let late = process.call(ActorCall { actor, task: late, unordered: true });
    let last = call(&mut process, actor, 0);
    process.release_actor(actor, false);
    actions(&mut process);
    notice(&mut process, ActorNotice::Alive { actor, worker: WORKER, restarts: 0 });
    let pushed = [Action::OpenChannel(WORKER), push(WORKER, first.task.seq), push(WORKER, last.task.seq)];
    assert_eq!(actions(&mut process), pushed);
    answer(&mut process, WORKER, first.task.seq, &inline("x"), false);
    assert_eq!(actions(&mut process), [push(WORKER, late.seq)]);
}

// -- attempts that are repeated, workers that end ---------------------------------------------------------------------------

fn answer_marked(process: &mut Process, worker: ClientId, seq: u64, value: &Value, marks: u8) {
    let mut bytes = Vec::new();
    record::write_result_header(&mut bytes, seq, 0, 1, false, 10);
    record::write_result_value(&mut bytes, value, false);
    record::mark_result(&mut bytes, marks);
    process.record_arrived(at(1), worker, &bytes).expect("a well-formed result");
}

fn raised() -> Value {
    Failure::Raised(vec![1]).into_value()
}

#[test]
fn a_failure_that_is_to_be_tried_again_is_as_long_as_there_are_retries() {
    let mut process = process();
    let result = pushed(&mut process, 1);
    answer_marked(&mut process, WORKER, 1, &raised(), flag::RETRY);
    assert_eq!(process.value(result), ObjectView::Pending);
    assert_eq!(actions(&mut process), [push(WORKER, 1)]);
    assert_eq!(process.pushable(1).expect("it is there").0.attempt, 1);
    answer_marked(&mut process, WORKER, 1, &raised(), flag::RETRY);
    assert_eq!(failure_of(&process, result), Failure::Raised(vec![1]));
    actions(&mut process);
    assert!(!process.expects_news());
}

#[test]
fn the_value_of_a_later_attempt_counts() {
    let mut process = process();
    let result = pushed(&mut process, -1);
    for _ in 0..5 {
        answer_marked(&mut process, WORKER, 1, &raised(), flag::RETRY);
        actions(&mut process);
    }
    answer(&mut process, WORKER, 1, &inline("value"), false);
    assert_eq!(process.value(result), ObjectView::Ready(&inline("value")));
}

#[test]
fn a_cancelled_task_is_not_tried_again() {
    let mut process = process();
    let result = pushed(&mut process, -1);
    process.cancel(result.task, false, false);
    answer_marked(&mut process, WORKER, 1, &raised(), flag::RETRY);
    assert_eq!(failure_of(&process, result), Failure::Raised(vec![1]));
    actions(&mut process);
}

#[test]
fn what_was_pushed_behind_the_last_task_of_a_worker_goes_elsewhere_uncounted() {
    let mut process = process();
    let first = pushed(&mut process, 0);
    answer(&mut process, WORKER, 1, &inline("quick"), false); // so that several are pushed at a time
    let (second, third) = (pushed(&mut process, 0), pushed(&mut process, 0));
    assert_eq!(process.leases().collect::<Vec<_>>(), [(WORKER, 2)]);
    answer_marked(&mut process, WORKER, 2, &inline("last"), flag::LAST);
    assert_eq!(process.value(second), ObjectView::Ready(&inline("last")));
    assert_eq!(process.leases().count(), 0);
    assert_eq!(actions(&mut process), [want(1)]);
    lose(&mut process, WORKER, Some(2));
    grant(&mut process, OTHER);
    assert_eq!(actions(&mut process), [Action::OpenChannel(OTHER), push(OTHER, 3), want(0)]);
    assert_eq!(process.pushable(3).expect("it is there").0.attempt, 0);
    answer(&mut process, OTHER, 3, &inline("third"), false);
    assert_eq!(process.value(third), ObjectView::Ready(&inline("third")));
    assert_eq!(process.value(first), ObjectView::Ready(&inline("quick")));
}

#[test]
fn a_last_task_that_failed_is_tried_again_elsewhere() {
    let mut process = process();
    pushed(&mut process, 1);
    answer_marked(&mut process, WORKER, 1, &raised(), flag::LAST | flag::RETRY);
    assert_eq!(actions(&mut process), [want(1)]);
    grant(&mut process, OTHER);
    assert_eq!(actions(&mut process), [Action::OpenChannel(OTHER), push(OTHER, 1), want(0)]);
}

#[test]
fn a_worker_hears_which_gpus_come_with_the_lease_before_its_first_task() {
    let mut process = process();
    submit(&mut process, &[]);
    actions(&mut process);
    let granted = FromScheduler::Grant { worker: WORKER, node: HERE, shape: Resources::cpus(1), devices: vec![2, 3] };
    process.scheduler_said(at(0), granted);
    let told = Action::Devices { worker: WORKER, devices: [2, 3].into() };
    assert_eq!(actions(&mut process), [Action::OpenChannel(WORKER), told, push(WORKER, 1), want(0)]);
}

#[test]
fn a_call_that_is_tried_again_keeps_an_actor_that_nobody_has_a_handle_of() {
    let mut process = process();
    let actor = TaskId { client: OTHER, seq: 7 };
    process.retain_actor(actor, "Actor", false);
    process.scheduler_said(at(0), FromScheduler::Actor(ActorNotice::Alive { actor, worker: WORKER, restarts: 0 }));
    let task = TaskSpec { returns: 1, max_retries: 1, ..TaskSpec::default() };
    let result = process.call(ActorCall { actor, task, unordered: false }).result(0);
    process.release_actor(actor, false);
    actions(&mut process);
    let seq = result.task.seq;
    answer_marked(&mut process, WORKER, seq, &raised(), flag::RETRY);
    assert_eq!(actions(&mut process), [push(WORKER, seq)]);
    answer(&mut process, WORKER, seq, &inline("value"), false);
    assert_eq!(process.value(result), ObjectView::Ready(&inline("value")));
    assert_eq!(process.actor(actor), None);
    actions(&mut process);
}
