//! Streams: what is handed out when, what is claimed, what later attempts and drops change.

use super::*;
use ray_protocol::record::{NOBODY_WANTS_MORE, flag};

fn open(process: &mut Process, max_retries: i32, limited: bool) -> TaskId {
    let spec = TaskSpec { flags: flag::STREAM, returns: 0, limited, max_retries, ..task(process, &[]) };
    let stream = process.submit(spec);
    if process.leases().next().is_none() {
        grant(process, WORKER);
    }
    actions(process);
    stream
}

fn record(seq: u64, first: u32, values: &[(Value, bool)], more: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    record::write_result_header(&mut bytes, seq, first, values.len() as u32, more, 10);
    for (value, has_refs) in values {
        record::write_result_value(&mut bytes, value, *has_refs);
    }
    bytes
}

fn item(process: &mut Process, worker: ClientId, stream: TaskId, index: u32, value: &Value) {
    let bytes = record(stream.seq, index, &[(value.clone(), false)], true);
    process.record_arrived(at(1), worker, &bytes).expect("the next item");
    process.validate();
}

fn end(process: &mut Process, worker: ClientId, stream: TaskId, value: &Value) {
    let bytes = record(stream.seq, 0, &[(value.clone(), false)], false);
    process.record_arrived(at(1), worker, &bytes).expect("the end of a stream");
    process.validate();
}

fn consumed(seq: u64, items: u64) -> Action {
    Action::Consumed { worker: WORKER, seq, items }
}

fn taken(process: &mut Process, stream: TaskId) -> ObjectId {
    match process.next_item(stream) {
        NextItem::Item(object) => object,
        other => panic!("no item: {other:?}"),
    }
}

#[test]
fn items_are_handed_out_in_order_while_the_task_runs_and_then_nothing() {
    let mut process = process();
    let stream = open(&mut process, 0, false);
    assert_eq!(process.next_item(stream), NextItem::NotYet);
    item(&mut process, WORKER, stream, 1, &inline("a"));
    item(&mut process, WORKER, stream, 2, &inline("b"));
    for (index, text) in [(1, "a"), (2, "b")] {
        let object = taken(&mut process, stream);
        assert_eq!(object, stream.result(index));
        assert_eq!(process.value(object), ObjectView::Ready(&inline(text)));
        process.release(object);
    }
    assert_eq!(process.next_item(stream), NextItem::NotYet);
    assert!(!process.is_exhausted(stream));
    end(&mut process, WORKER, stream, &inline("done"));
    assert!(process.is_exhausted(stream));
    assert_eq!(process.next_item(stream), NextItem::End);
    assert_eq!(process.value(stream.result(0)), ObjectView::Ready(&inline("done")));
    process.drop_stream(stream);
    assert_eq!((process.object_count(), process.expects_news()), (0, false));
}

#[test]
fn a_failure_comes_once_after_the_items_that_were_yielded() {
    let mut process = process();
    let stream = open(&mut process, 0, false);
    item(&mut process, WORKER, stream, 1, &inline("a"));
    let failure = Failure::Raised(vec![1]);
    end(&mut process, WORKER, stream, &failure.into_value());
    let first = taken(&mut process, stream);
    assert!(!process.is_exhausted(stream));
    let NextItem::Failure(last) = process.next_item(stream) else { panic!("the failure follows") };
    assert_eq!(failure_of(&process, last), failure);
    assert!(process.is_exhausted(stream));
    assert_eq!(process.next_item(stream), NextItem::End);
    process.drop_stream(stream);
    assert_eq!(failure_of(&process, last), failure, "it was handed out: it stays");
    process.release(last);
    process.release(first);
    assert_eq!(process.object_count(), 0);
}

#[test]
fn who_waits_for_the_next_item_is_told_of_it_and_of_the_end() {
    let mut process = process();
    let stream = open(&mut process, 0, false);
    let awaited = process.awaited_item(stream).expect("the stream is open");
    assert!(!process.watch(awaited));
    item(&mut process, WORKER, stream, 1, &inline("a"));
    assert_eq!(actions(&mut process), [Action::Ready(awaited)]);
    taken(&mut process, stream);
    let beyond = process.awaited_item(stream).expect("the stream is open");
    process.retain(beyond);
    assert!(!process.watch(beyond));
    process.drop_stream(stream);
    end(&mut process, WORKER, stream, &inline("done"));
    assert_eq!(actions(&mut process), [Action::Ready(beyond)], "whether or not the stream is still there");
    assert_eq!(failure_of(&process, beyond), Failure::StreamEnded);
}

#[test]
fn a_dropped_stream_gives_up_what_it_has_and_what_still_comes() {
    let mut process = process();
    let stream = open(&mut process, 0, false);
    item(&mut process, WORKER, stream, 1, &stored(9_000));
    item(&mut process, WORKER, stream, 2, &stored(9_000));
    let kept = taken(&mut process, stream);
    process.drop_stream(stream);
    assert_eq!(actions(&mut process), [Action::Free(stream.result(2))]);
    item(&mut process, WORKER, stream, 3, &stored(9_000));
    assert_eq!(actions(&mut process), [Action::Free(stream.result(3))]);
    end(&mut process, WORKER, stream, &inline("done"));
    process.release(kept);
    assert_eq!(actions(&mut process), [Action::Free(kept)]);
    assert_eq!((process.object_count(), process.expects_news()), (0, false));
}

#[test]
fn references_inside_an_item_nobody_wants_are_given_up() {
    let mut process = process();
    let stream = open(&mut process, 0, false);
    process.drop_stream(stream);
    let bytes = record(stream.seq, 1, &[(inline("box"), true)], true);
    process.record_arrived(at(1), WORKER, &bytes).expect("the next item");
    assert_eq!(actions(&mut process), [hold(ME, stream.result(1), -1)]);
}

#[test]
fn a_second_attempt_begins_where_the_first_one_was() {
    let mut process = process();
    let stream = open(&mut process, 1, false);
    item(&mut process, WORKER, stream, 1, &inline("a"));
    item(&mut process, WORKER, stream, 2, &inline("b"));
    lose(&mut process, WORKER, Some(stream.seq));
    grant(&mut process, OTHER);
    let (header, _) = process.pushable(stream.seq).expect("it is tried again");
    assert_eq!((header.attempt, header.returns), (1, 2));
    // An item of the first attempt that did not arrive may contain something.
    let void = say(ToScheduler::ContainsNothing { object: stream.result(3), worker: WORKER });
    assert!(actions(&mut process).contains(&void));
    assert_eq!(taken(&mut process, stream), stream.result(1));
    let again = record(stream.seq, 1, &[(inline("a"), false)], true);
    assert!(process.record_arrived(at(3), OTHER, &again).is_err());
    item(&mut process, OTHER, stream, 3, &inline("c"));
    end(&mut process, OTHER, stream, &inline("done"));
    assert_eq!(actions(&mut process), [Action::Free(stream.result(4))], "what the first attempt may have written");
    assert_eq!([taken(&mut process, stream), taken(&mut process, stream)], [stream.result(2), stream.result(3)]);
    assert_eq!(process.next_item(stream), NextItem::End);
}

#[test]
fn without_retries_the_items_stay_and_the_death_follows_them() {
    let mut process = process();
    let stream = open(&mut process, 0, false);
    item(&mut process, WORKER, stream, 1, &inline("a"));
    lose(&mut process, WORKER, Some(stream.seq));
    assert_eq!(taken(&mut process, stream), stream.result(1));
    let NextItem::Failure(last) = process.next_item(stream) else { panic!("the failure follows") };
    assert!(matches!(failure_of(&process, last), Failure::WorkerCrashed { attempts: 1, .. }));
    process.validate();
}

#[test]
fn a_cancelled_stream_ends_with_that() {
    let mut process = process();
    let stream = open(&mut process, 3, false);
    let queued = open(&mut process, 3, false);
    assert!(process.cancel(queued, false, true));
    let NextItem::Failure(last) = process.next_item(queued) else { panic!("the failure follows") };
    assert!(matches!(failure_of(&process, last), Failure::Cancelled { .. }));
    actions(&mut process);
    assert!(process.cancel(stream, false, true));
    let cancel = Action::Cancel { worker: WORKER, seq: stream.seq, force: false, recursive: true };
    assert_eq!(actions(&mut process), [cancel]);
}

#[test]
fn a_limited_stream_tells_its_worker_what_was_taken_and_when_nobody_wants_more() {
    let mut process = process();
    let stream = open(&mut process, 1, true);
    item(&mut process, WORKER, stream, 1, &inline("a"));
    item(&mut process, WORKER, stream, 2, &inline("b"));
    assert_eq!(actions(&mut process), []);
    taken(&mut process, stream);
    assert_eq!(actions(&mut process), [consumed(stream.seq, 1)]);
    lose(&mut process, WORKER, Some(stream.seq));
    actions(&mut process);
    grant(&mut process, WORKER);
    let behind = actions(&mut process).into_iter().skip_while(|action| *action != push(WORKER, stream.seq)).nth(1);
    assert_eq!(behind, Some(consumed(stream.seq, 1)), "a new attempt knows nothing of the old one");
    process.drop_stream(stream);
    assert_eq!(actions(&mut process), [consumed(stream.seq, NOBODY_WANTS_MORE)]);
}

#[test]
fn a_worker_that_breaks_the_order_of_a_stream_is_not_believed() {
    let mut process = process();
    let stream = open(&mut process, 0, false);
    let broken = [
        record(stream.seq, 2, &[(inline("b"), false)], true),
        record(stream.seq, 0, &[(inline("a"), false)], true),
        record(stream.seq, 0, &[], false),
        record(stream.seq, 1, &[(inline("a"), false)], false),
        record(stream.seq, u32::MAX - 1, &[(inline("a"), false)], true),
    ];
    for bytes in broken {
        assert!(process.record_arrived(at(1), WORKER, &bytes).is_err());
        process.validate();
    }
    assert_eq!(process.next_item(stream), NextItem::NotYet);
}

#[test]
fn a_record_may_carry_several_items() {
    let mut process = process();
    let stream = open(&mut process, 0, false);
    let bytes = record(stream.seq, 1, &[(inline("a"), false), (inline("b"), false)], true);
    process.record_arrived(at(1), WORKER, &bytes).expect("the next items");
    process.validate();
    assert_eq!([taken(&mut process, stream), taken(&mut process, stream)], [stream.result(1), stream.result(2)]);
    assert_eq!(process.value(stream.result(2)), ObjectView::Ready(&inline("b")));
}

#[test]
fn a_call_of_an_actor_may_be_a_stream() {
    let mut process = process();
    let actor = live_actor(&mut process);
    let spec = TaskSpec { flags: flag::STREAM | flag::ACTOR_CALL, ..TaskSpec::default() };
    let stream = process.call(ActorCall { actor, task: spec, ..ActorCall::default() });
    actions(&mut process);
    item(&mut process, WORKER, stream, 1, &inline("a"));
    lose(&mut process, WORKER, Some(stream.seq));
    let failure = Failure::ActorDied { actor, class: String::from("A"), reason: String::from("gone"), raised: Vec::new() };
    let Value::Failed(bytes) = failure.into_value() else { unreachable!("a failure encodes as Failed") };
    notice(&mut process, ActorNotice::Dead { actor, failure: bytes.into_vec() });
    assert_eq!(taken(&mut process, stream), stream.result(1));
    let NextItem::Failure(last) = process.next_item(stream) else { panic!("the failure follows") };
    assert_eq!(failure_of(&process, last), failure);
    process.validate();
}
