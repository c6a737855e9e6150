//! Events in, list of actions out.

mod groups;

use super::*;
use ray_protocol::FunctionId;
use ray_protocol::control::{ActorMessage, ActorNotice, ActorSpec, GraphEvent, RunningTask};
use ray_protocol::value::RESOURCE_UNIT;
use ray_protocol::{Failure, Location, SegmentId, Value};
use std::time::Duration;

const NODE: NodeId = NodeId(0);
const DRIVER: ClientId = ClientId(1);

/// A scheduler whose node has this many CPUs and is to have as many workers.
struct Cluster {
    scheduler: Scheduler,
    now_ms: u64,
}

impl Cluster {
    /// With [`DRIVER`] connected, and workers 2, 3, … idle.
    fn new(cpus: u32) -> Self {
        Self::with_gpus(cpus, 0)
    }

    fn with_gpus(cpus: u32, gpus: u64) -> Self {
        let mut resources = Resources::cpus(u64::from(cpus));
        resources.add(&gpu(gpus * RESOURCE_UNIT));
        let node = NodeConfig { resources, workers: cpus, store_socket: String::new() };
        let config = Config { cluster: 1, nodes: vec![node], fail_unschedulable: true };
        let mut cluster = Cluster { scheduler: Scheduler::new(config), now_ms: 0 };
        cluster.on(Event::StoreJoined { node: NODE, capacity_bytes: 1 << 20 });
        cluster.on(Event::ZygoteJoined { node: NODE });
        cluster.driver();
        for spawn in 1..=u64::from(cpus) {
            cluster.on(Event::WorkerJoined { spawn, pid: 100 });
        }
        cluster
    }

    /// Lets something happen; what the scheduler wants done, in order.
    fn on(&mut self, event: Event) -> Vec<Action> {
        self.scheduler.handle(Time::after(Duration::from_millis(self.now_ms)), event);
        self.scheduler.validate();
        std::iter::from_fn(|| self.scheduler.poll_action()).collect()
    }

    fn says(&mut self, client: ClientId, message: ToScheduler) -> Vec<Action> {
        self.on(Event::Client(client, message))
    }

    fn driver(&mut self) -> ClientId {
        let actions = self.on(Event::DriverJoined { pid: 1, owner: false });
        match actions[..] {
            [Action::Client(client, FromScheduler::Welcome { .. })] => client,
            _ => panic!("no welcome: {actions:?}"),
        }
    }

    fn wants(&mut self, client: ClientId, count: u32) -> Vec<Action> {
        self.says(client, ToScheduler::WantLeases { shape: Resources::cpus(1), count, near: None })
    }

    fn later(&mut self, ms: u64) -> Vec<Action> {
        self.now_ms += ms;
        self.on(Event::Tick)
    }

    /// A worker dies and everybody hears of it.
    fn dies(&mut self, worker: ClientId, spawn: u64) -> Vec<Action> {
        let mut actions = self.on(Event::ClientGone(worker));
        actions.extend(self.on(Event::WorkerExited { spawn, exit: killed() }));
        actions
    }
}

/// This much of a GPU.
fn gpu(amount: u64) -> Resources {
    Resources::new([(String::from("GPU"), amount)])
}

fn killed() -> Exit {
    Exit { pid: 100, signal: Some(9), ..Exit::default() }
}

fn grant(to: ClientId, worker: u32) -> Action {
    Action::Client(to, FromScheduler::Grant { worker: ClientId(worker), node: NODE, shape: Resources::cpus(1), devices: vec![] })
}

fn revoke(from: ClientId, worker: u32) -> Action {
    Action::Client(from, FromScheduler::Revoke { worker: ClientId(worker) })
}

fn spawn(spawn: u64) -> Action {
    Action::Zygote(NODE, ToZygote::Spawn { spawn, environment: Vec::new() })
}

fn kill(spawn: u64) -> Action {
    Action::Zygote(NODE, ToZygote::Kill { spawn })
}

fn free(object: ObjectId) -> Action {
    Action::Store(NODE, SchedulerToStore::Free(vec![object]))
}

fn stored() -> Value {
    Value::Stored(Location { node: NODE, segment: SegmentId::default(), offset: 0, size_bytes: 1 })
}

fn hold(client: ClientId, object: ObjectId, count: i32) -> ToScheduler {
    ToScheduler::Hold { client, object, count }
}

fn own(client: ClientId, seq: u64) -> ObjectId {
    TaskId { client, seq }.result(0)
}

/// The value somebody was told, if it is a failure.
fn told_failure(action: &Action) -> Option<Failure> {
    match action {
        Action::Client(_, FromScheduler::Ready { value: Value::Failed(bytes), .. }) => Some(Failure::from_bytes(bytes)),
        _ => None,
    }
}

#[test]
fn workers_are_asked_for_when_the_zygote_comes() {
    let node = NodeConfig { resources: Resources::cpus(2), workers: 2, store_socket: String::new() };
    let config = Config { cluster: 1, nodes: vec![node], fail_unschedulable: true };
    let mut cluster = Cluster { scheduler: Scheduler::new(config), now_ms: 0 };
    assert_eq!(cluster.on(Event::ZygoteJoined { node: NODE }), [spawn(1), spawn(2)]);
}

#[test]
fn a_wish_is_granted_as_far_as_workers_go() {
    let mut cluster = Cluster::new(2);
    assert_eq!(cluster.wants(DRIVER, 5), [grant(DRIVER, 2), grant(DRIVER, 3)]);
}

#[test]
fn a_returned_worker_goes_to_who_waits() {
    let mut cluster = Cluster::new(1);
    let other = cluster.driver();
    cluster.wants(DRIVER, 1);
    assert_eq!(cluster.wants(other, 1), [revoke(DRIVER, 2)]);
    assert_eq!(cluster.says(DRIVER, ToScheduler::ReturnLease { worker: ClientId(2) }), [grant(other, 2)]);
}

#[test]
fn workers_are_shared_among_those_who_wish() {
    let mut cluster = Cluster::new(3);
    let other = cluster.driver();
    cluster.wants(DRIVER, 3);
    assert_eq!(cluster.wants(other, 3), [revoke(DRIVER, 2), revoke(DRIVER, 3), revoke(DRIVER, 4)]);
    for worker in 2..=4 {
        cluster.wants(DRIVER, 3);
        cluster.says(DRIVER, ToScheduler::ReturnLease { worker: ClientId(worker) });
    }
    let shares: Vec<usize> =
        [DRIVER, other].map(|client| cluster.scheduler.leases().filter(|(_, to)| *to == client).count()).to_vec();
    assert_eq!(shares.iter().sum::<usize>(), 3);
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
}

#[test]
fn another_lease_is_asked_for_when_the_first_does_not_come() {
    let mut cluster = Cluster::new(2);
    let other = cluster.driver();
    cluster.wants(DRIVER, 2);
    assert_eq!(cluster.wants(other, 1), [revoke(DRIVER, 2)]);
    assert_eq!(cluster.later(10), []);
    assert_eq!(cluster.later(10), [revoke(DRIVER, 3)]);
}

#[test]
fn own_leases_for_other_tasks_do_not_stand_in_the_way() {
    let mut cluster = Cluster::new(1);
    cluster.wants(DRIVER, 1);
    let shape = Resources::new([(String::from("CPU"), 5_000)]);
    let actions = cluster.says(DRIVER, ToScheduler::WantLeases { shape, count: 1, near: None });
    assert_eq!(actions, [revoke(DRIVER, 2)]);
}

#[test]
fn what_no_node_has_is_refused_with_a_reason() {
    let mut cluster = Cluster::new(1);
    let shape = Resources::cpus(4);
    let actions = cluster.says(DRIVER, ToScheduler::WantLeases { shape, count: 1, near: None });
    assert!(
        matches!(&actions[..], [Action::Client(DRIVER, FromScheduler::Unschedulable { failure: Failure::Unschedulable { reason }, .. })] if reason.contains("CPU: 4"))
    );
}

#[test]
fn a_blocked_worker_gives_its_slot_to_its_children() {
    let mut cluster = Cluster::new(1);
    cluster.wants(DRIVER, 1);
    let parent = ClientId(2);
    assert_eq!(cluster.wants(parent, 1), [revoke(DRIVER, 2)]);
    let blocked = ToScheduler::Blocked { task: Some(TaskId { client: DRIVER, seq: 1 }), objects: vec![own(parent, 1)], enough: 1 };
    assert_eq!(cluster.says(parent, blocked), [spawn(2)]);
    assert_eq!(cluster.on(Event::WorkerJoined { spawn: 2, pid: 101 })[1], grant(parent, 3));
}

#[test]
fn workers_that_are_too_many_end_after_a_while() {
    let mut cluster = Cluster::new(1);
    cluster.wants(DRIVER, 1);
    cluster.wants(ClientId(2), 1);
    let blocked = ToScheduler::Blocked { task: Some(TaskId { client: DRIVER, seq: 1 }), objects: vec![], enough: 0 };
    cluster.says(ClientId(2), blocked);
    cluster.on(Event::WorkerJoined { spawn: 2, pid: 101 });
    cluster.says(ClientId(2), ToScheduler::Unblocked { task: Some(TaskId { client: DRIVER, seq: 1 }) });
    cluster.says(ClientId(2), ToScheduler::ReturnLease { worker: ClientId(3) });
    assert_eq!(cluster.later(1_000), []);
    assert_eq!(cluster.later(1_000), [kill(2)]);
}

#[test]
fn a_lost_worker_is_told_of_with_how_it_ended_and_replaced() {
    let mut cluster = Cluster::new(1);
    cluster.wants(DRIVER, 1);
    cluster.says(DRIVER, ToScheduler::OpenChannel { to: ClientId(2) });
    assert_eq!(cluster.on(Event::ClientGone(ClientId(2))), []);
    let actions = cluster.on(Event::WorkerExited { spawn: 1, exit: killed() });
    assert_eq!(actions[0], Action::Client(DRIVER, FromScheduler::PeerLost { client: ClientId(2), exit: killed() }));
    assert_eq!(actions.last(), Some(&spawn(2)));
}

#[test]
fn a_worker_s_last_words_count_when_its_end_is_known_before_them() {
    let mut cluster = Cluster::new(1);
    let (worker, object) = (ClientId(2), own(ClientId(2), 1));
    assert_eq!(cluster.on(Event::WorkerExited { spawn: 1, exit: killed() }), []);
    cluster.says(worker, ToScheduler::Share { object, value: Some(stored()) });
    cluster.says(worker, ToScheduler::Contains { object: own(DRIVER, 1), inner: vec![object] });
    cluster.on(Event::ClientGone(worker));
    assert_eq!(cluster.says(DRIVER, hold(DRIVER, own(DRIVER, 1), -1)), [free(object)]);
}

#[test]
fn nobody_waits_for_ever_to_hear_how_a_worker_ended() {
    let mut cluster = Cluster::new(1);
    cluster.on(Event::ClientGone(ClientId(2)));
    assert_eq!(cluster.scheduler.next_timeout(), Some(Time::after(Duration::from_millis(300))));
    assert!(cluster.later(300).contains(&spawn(2)));
}

#[test]
fn who_opens_a_channel_to_a_dead_worker_is_told() {
    let mut cluster = Cluster::new(1);
    cluster.dies(ClientId(2), 1);
    let actions = cluster.says(DRIVER, ToScheduler::OpenChannel { to: ClientId(2) });
    assert_eq!(actions, [Action::Client(DRIVER, FromScheduler::PeerLost { client: ClientId(2), exit: killed() })]);
}

#[test]
fn the_workers_of_a_client_that_is_gone_are_replaced() {
    let mut cluster = Cluster::new(1);
    cluster.wants(DRIVER, 1);
    assert!(cluster.on(Event::ClientGone(DRIVER)).contains(&kill(1)));
}

#[test]
fn a_shared_object_is_freed_with_its_last_hold() {
    let mut cluster = Cluster::new(1);
    let object = own(DRIVER, 1);
    cluster.says(DRIVER, ToScheduler::Share { object, value: Some(stored()) });
    cluster.says(DRIVER, hold(ClientId(2), object, 1));
    assert_eq!(cluster.says(DRIVER, hold(DRIVER, object, -1)), []);
    assert_eq!(cluster.says(ClientId(2), hold(ClientId(2), object, -1)), [free(object)]);
}

#[test]
fn a_hold_may_be_given_back_before_it_was_booked() {
    let mut cluster = Cluster::new(1);
    let object = own(DRIVER, 1);
    cluster.says(ClientId(2), hold(ClientId(2), object, -1));
    cluster.says(DRIVER, ToScheduler::Share { object, value: Some(stored()) });
    assert_eq!(cluster.says(DRIVER, hold(ClientId(2), object, 1)), []);
    assert_eq!(cluster.says(DRIVER, hold(DRIVER, object, -1)), [free(object)]);
}

#[test]
fn what_a_value_contains_lives_as_long_as_the_value() {
    let mut cluster = Cluster::new(1);
    let (outer, inner) = (own(DRIVER, 1), own(ClientId(2), 1));
    cluster.says(ClientId(2), ToScheduler::Share { object: inner, value: Some(stored()) });
    cluster.says(ClientId(2), ToScheduler::Contains { object: outer, inner: vec![inner] });
    assert_eq!(cluster.says(ClientId(2), hold(ClientId(2), inner, -1)), []);
    assert_eq!(cluster.says(DRIVER, hold(DRIVER, outer, -1)), [free(inner)]);
}

#[test]
fn what_a_lost_worker_said_of_a_result_is_void_and_what_the_next_one_says_is_not() {
    let mut cluster = Cluster::new(2);
    let (outer, lost, kept) = (own(DRIVER, 1), own(ClientId(2), 1), own(ClientId(3), 1));
    for (worker, inner) in [(ClientId(2), lost), (ClientId(3), kept)] {
        cluster.says(worker, ToScheduler::Share { object: inner, value: Some(stored()) });
        cluster.says(worker, ToScheduler::Contains { object: outer, inner: vec![inner] });
        cluster.says(worker, hold(worker, inner, -1));
    }
    assert_eq!(cluster.says(DRIVER, ToScheduler::ContainsNothing { object: outer, worker: ClientId(2) }), [free(lost)]);
    assert_eq!(cluster.says(DRIVER, hold(DRIVER, outer, -1)), [free(kept)]);
}

#[test]
fn subscribers_hear_of_a_value_when_it_comes() {
    let mut cluster = Cluster::new(1);
    let object = own(DRIVER, 1);
    cluster.says(DRIVER, ToScheduler::Share { object, value: None });
    assert_eq!(cluster.says(ClientId(2), ToScheduler::Subscribe { object }), []);
    let told = Action::Client(ClientId(2), FromScheduler::Ready { object, value: stored() });
    assert_eq!(cluster.says(DRIVER, ToScheduler::Ready { object, value: stored() }), [told]);
}

#[test]
fn subscribers_hear_that_an_owner_died() {
    let mut cluster = Cluster::new(1);
    let object = own(DRIVER, 1);
    cluster.says(DRIVER, ToScheduler::Share { object, value: None });
    cluster.says(ClientId(2), ToScheduler::Subscribe { object });
    let actions = cluster.on(Event::ClientGone(DRIVER));
    assert!(actions.iter().any(|action| matches!(told_failure(action), Some(Failure::OwnerDied { .. }))), "{actions:?}");
}

#[test]
fn a_client_that_speaks_for_another_is_closed() {
    let mut cluster = Cluster::new(1);
    let object = own(ClientId(2), 1);
    let actions = cluster.says(DRIVER, ToScheduler::Share { object, value: None });
    assert!(matches!(actions[..], [Action::Close { client: DRIVER, .. }]));
}

#[test]
fn only_the_owner_ends_the_cluster() {
    let mut cluster = Cluster::new(1);
    assert!(matches!(cluster.says(DRIVER, ToScheduler::Shutdown)[..], [Action::Close { .. }]));
    cluster.on(Event::DriverJoined { pid: 5, owner: true });
    assert!(matches!(cluster.says(ClientId(3), ToScheduler::Shutdown)[..], [Action::End { .. }]));
}

const ACTOR: TaskId = TaskId { client: DRIVER, seq: 1 };

fn create(cluster: &mut Cluster, max_restarts: i64, name: &str) -> Vec<Action> {
    let spec = ActorSpec { max_restarts, name: name.to_owned(), placement: Resources::cpus(1), ..ActorSpec::default() };
    cluster.says(DRIVER, ToScheduler::Actor(ActorMessage::Create { actor: ACTOR, spec: Box::new(spec) }))
}

fn notice(to: ClientId, notice: ActorNotice) -> Action {
    Action::Client(to, FromScheduler::Actor(notice))
}

/// An actor that serves on worker 3, started as number 2.
fn live_actor(max_restarts: i64) -> Cluster {
    let mut cluster = Cluster::new(1);
    create(&mut cluster, max_restarts, "");
    cluster.on(Event::WorkerJoined { spawn: 2, pid: 102 });
    cluster.says(ClientId(3), ToScheduler::Actor(ActorMessage::Constructed { actor: ACTOR, failure: None }));
    cluster
}

#[test]
fn an_actor_gets_a_fresh_worker_and_its_callers_hear_where_it_is() {
    let mut cluster = Cluster::new(1);
    assert_eq!(create(&mut cluster, 0, "")[1], spawn(2));
    let call_up = ActorNotice::Become { actor: ACTOR, creation: Vec::new(), restarts: 0, devices: vec![] };
    assert_eq!(cluster.on(Event::WorkerJoined { spawn: 2, pid: 102 })[1], notice(ClientId(3), call_up));
    let constructed = ToScheduler::Actor(ActorMessage::Constructed { actor: ACTOR, failure: None });
    let alive = ActorNotice::Alive { actor: ACTOR, worker: ClientId(3), restarts: 0 };
    assert_eq!(cluster.says(ClientId(3), constructed), [notice(DRIVER, alive)]);
}

#[test]
fn an_actor_gets_the_room_of_an_idle_lease() {
    let mut cluster = Cluster::new(1);
    cluster.wants(DRIVER, 1);
    assert_eq!(create(&mut cluster, 0, "").last(), Some(&revoke(DRIVER, 2)));
    assert_eq!(cluster.says(DRIVER, ToScheduler::ReturnLease { worker: ClientId(2) }), [spawn(2)]);
}

#[test]
fn an_actor_is_restarted_as_often_as_it_may_be() {
    let mut cluster = live_actor(1);
    let actions = cluster.dies(ClientId(3), 2);
    assert!(actions.contains(&notice(DRIVER, ActorNotice::Restarting { actor: ACTOR })));
    assert!(actions.contains(&spawn(3)));
    cluster.on(Event::WorkerJoined { spawn: 3, pid: 103 });
    let actions = cluster.dies(ClientId(4), 3);
    assert!(actions.iter().any(|action| matches!(action, Action::Client(DRIVER, FromScheduler::Actor(ActorNotice::Dead { .. })))));
}

#[test]
fn an_actor_without_handles_finishes_what_is_queued() {
    let mut cluster = live_actor(-1);
    let drop = ToScheduler::Actor(ActorMessage::Handles { actor: ACTOR, client: DRIVER, count: -1 });
    assert_eq!(cluster.says(DRIVER, drop), [notice(ClientId(3), ActorNotice::Finish)]);
    let actions = cluster.dies(ClientId(3), 2);
    assert!(actions.iter().any(|action| matches!(action, Action::Client(DRIVER, FromScheduler::Actor(ActorNotice::Dead { .. })))));
}

#[test]
fn a_name_belongs_to_one_live_actor() {
    let mut cluster = Cluster::new(1);
    create(&mut cluster, 0, "one");
    let again = ActorSpec { name: String::from("one"), ..ActorSpec::default() };
    let actor = TaskId { client: DRIVER, seq: 2 };
    let actions = cluster.says(DRIVER, ToScheduler::Actor(ActorMessage::Create { actor, spec: Box::new(again) }));
    assert!(matches!(
        &actions[..],
        [Action::Client(DRIVER, FromScheduler::Actor(ActorNotice::Registered { refused: Some(_), .. }))]
    ));
}

#[test]
fn an_actor_dies_with_the_driver_that_made_it() {
    let mut cluster = live_actor(-1);
    assert!(cluster.on(Event::ClientGone(DRIVER)).contains(&kill(2)));
}

fn actor_message(cluster: &mut Cluster, client: ClientId, message: ActorMessage) -> Vec<Action> {
    cluster.says(client, ToScheduler::Actor(message))
}

fn handles(actor: TaskId, client: ClientId, count: i32) -> ActorMessage {
    ActorMessage::Handles { actor, client, count }
}

/// Why a client was told that an actor is dead.
fn told_dead(actions: &[Action], to: ClientId) -> Option<String> {
    actions.iter().find_map(|action| match action {
        Action::Client(client, FromScheduler::Actor(ActorNotice::Dead { failure, .. })) if *client == to => {
            match Failure::from_bytes(failure) {
                Failure::ActorDied { reason, .. } => Some(reason),
                other => panic!("{other:?}"),
            }
        }
        _ => None,
    })
}

#[test]
fn an_actor_ends_with_the_process_that_has_its_last_handle_but_not_with_another() {
    let mut cluster = live_actor(-1);
    let (one, two) = (cluster.driver(), cluster.driver());
    actor_message(&mut cluster, one, handles(ACTOR, one, 1));
    actor_message(&mut cluster, two, handles(ACTOR, two, 1));
    actor_message(&mut cluster, DRIVER, handles(ACTOR, DRIVER, -1));
    assert!(!cluster.on(Event::ClientGone(one)).contains(&kill(2)));
    assert!(cluster.on(Event::ClientGone(two)).contains(&kill(2)));
    let watch = ActorMessage::Watch { actor: ACTOR };
    actor_message(&mut cluster, DRIVER, watch);
    let reason = told_dead(&cluster.dies(ClientId(3), 2), DRIVER).expect("it is told");
    assert!(reason.contains("had its last handle"), "{reason}");
}

#[test]
fn dead_actors_are_remembered_while_there_are_handles_and_for_a_while_after() {
    let mut cluster = Cluster::new(1);
    let never = ActorSpec { placement: Resources::cpus(9), ..ActorSpec::default() };
    for seq in 1..=1500 {
        let actor = TaskId { client: DRIVER, seq };
        actor_message(&mut cluster, DRIVER, ActorMessage::Create { actor, spec: Box::new(never.clone()) });
        if seq > 1 {
            actor_message(&mut cluster, DRIVER, handles(actor, DRIVER, -1));
        }
    }
    let known: Vec<u64> = cluster.scheduler.actor_rows().iter().map(|row| row.actor.seq).collect();
    assert_eq!(known.len(), 1001);
    assert_eq!((known[0], known[1], known[1000]), (1, 501, 1500));
    actor_message(&mut cluster, DRIVER, handles(ACTOR, DRIVER, -1));
    assert_eq!(cluster.scheduler.actor_rows().len(), 1000);
}

#[test]
fn when_no_worker_can_be_started_those_who_wait_hear_why() {
    let mut cluster = Cluster::new(2);
    let died = Exit { code: Some(7), stderr_tail: String::from("no such library"), ..Exit::default() };
    create(&mut cluster, -1, "");
    let mut heard = Vec::new();
    for spawn in 3..11 {
        heard = cluster.on(Event::WorkerExited { spawn, exit: died.clone() });
    }
    let reason = told_dead(&heard, DRIVER).expect("the actor fails");
    assert!(reason.contains("exited with code 7") && reason.contains("no such library"), "{reason}");
    // Tasks go on as long as there is a worker, and fail when the last one is gone.
    cluster.wants(DRIVER, 3);
    cluster.dies(ClientId(2), 1);
    let again = TaskId { client: DRIVER, seq: 9 };
    let spec = Box::new(ActorSpec { placement: Resources::cpus(1), ..ActorSpec::default() });
    assert!(told_dead(&actor_message(&mut cluster, DRIVER, ActorMessage::Create { actor: again, spec }), DRIVER).is_some());
    let actions = cluster.dies(ClientId(3), 2);
    assert!(
        actions.iter().any(|action| matches!(action, Action::Client(DRIVER, FromScheduler::Unschedulable { .. }))),
        "{actions:?}"
    );
}

#[test]
fn a_worker_is_not_granted_to_itself() {
    let mut cluster = Cluster::new(1);
    assert_eq!(cluster.wants(ClientId(2), 1), [spawn(2)]);
    assert_eq!(cluster.on(Event::WorkerJoined { spawn: 2, pid: 102 })[1], grant(ClientId(2), 3));
}

#[test]
fn a_hold_whose_booking_died_with_its_sender_is_put_right() {
    let mut cluster = Cluster::new(1);
    let sender = cluster.driver();
    let object = own(DRIVER, 5);
    cluster.says(DRIVER, ToScheduler::Share { object, value: Some(stored()) });
    let worker = ClientId(2);
    cluster.says(worker, hold(worker, object, -1));
    cluster.on(Event::ClientGone(sender));
    cluster.says(DRIVER, hold(DRIVER, object, -1));
    assert_eq!(cluster.later(10_000), []);
    assert_eq!(cluster.later(10_000), [free(object)]);
}

#[test]
fn what_clients_run_is_part_of_the_graph_and_of_explanations() {
    let mut cluster = live_actor(0);
    let submitted = |seq, actor| GraphEvent::Submitted {
        seq,
        function: FunctionId(1),
        returns: 1,
        parent: None,
        actor,
        inputs: Vec::new(),
        at_us: seq,
    };
    let function = GraphEvent::Function { function: FunctionId(1), name: String::from("A.work") };
    cluster.says(DRIVER, ToScheduler::Report(vec![function, submitted(2, Some(ACTOR)), submitted(3, Some(ACTOR))]));
    let ask = ToScheduler::Ask { request: 7, question: Question::Explain(own(DRIVER, 3)) };
    cluster.says(DRIVER, ask);
    cluster.says(DRIVER, ToScheduler::Flushed { request: 1, running: vec![], idle: vec![] });
    cluster.says(ClientId(2), ToScheduler::Flushed { request: 1, running: vec![], idle: vec![] });
    let running = RunningTask { task: TaskId { client: DRIVER, seq: 2 }, for_us: 1_500_000 };
    let actions = cluster.says(ClientId(3), ToScheduler::Flushed { request: 1, running: vec![running], idle: vec![] });
    let [Action::Client(DRIVER, FromScheduler::Answer { request: 7, part: AnswerPart::Text(text), more: false })] = &actions[..]
    else {
        panic!("{actions:?}");
    };
    assert!(text.contains("the next in its queue"), "{text}");
    assert!(text.contains("it runs A.work (task 1.2), which has run for 1.5 s (pid 102)"), "{text}");
}

#[test]
fn a_call_in_an_actor_full_of_blocked_calls_is_part_of_a_circle() {
    let mut cluster = live_actor(0);
    let first = TaskId { client: DRIVER, seq: 2 };
    let inner = own(ClientId(3), 1);
    let event = GraphEvent::Submitted {
        seq: 1,
        function: FunctionId(1),
        returns: 1,
        parent: Some(first),
        actor: Some(ACTOR),
        inputs: Vec::new(),
        at_us: 1,
    };
    cluster.says(ClientId(3), ToScheduler::Report(vec![event]));
    cluster.says(ClientId(3), ToScheduler::Blocked { task: Some(first), objects: vec![inner], enough: 1 });
    cluster.later(500);
    let mut told = Vec::new();
    for client in [DRIVER, ClientId(2), ClientId(3)] {
        told = cluster.says(client, ToScheduler::Flushed { request: 1, running: vec![], idle: vec![] });
    }
    let [Action::Client(ClientId(3), FromScheduler::Deadlock { task, cycle })] = &told[..] else { panic!("{told:?}") };
    assert_eq!(*task, first);
    assert!(cycle.contains("waits for its turn"), "{cycle}");
}

// -- GPUs, workers that end by themselves, what is available ------------------------------------------------------------------

/// The workers granted for GPUs, each with its devices.
fn devices(actions: &[Action]) -> Vec<(u32, Vec<u32>)> {
    let granted = |action: &Action| match action {
        Action::Client(_, FromScheduler::Grant { worker, devices, .. }) => Some((worker.0, devices.clone())),
        _ => None,
    };
    actions.iter().filter_map(granted).collect()
}

fn wants_gpus(cluster: &mut Cluster, amount: u64, count: u32) -> Vec<Action> {
    cluster.says(DRIVER, ToScheduler::WantLeases { shape: gpu(amount), count, near: None })
}

#[test]
fn whole_gpus_come_with_one_lease_each_and_come_back_with_it() {
    let mut cluster = Cluster::with_gpus(3, 2);
    let granted = wants_gpus(&mut cluster, RESOURCE_UNIT, 4);
    assert_eq!(devices(&granted), [(2, vec![0]), (3, vec![1])]);
    let again = cluster.says(DRIVER, ToScheduler::ReturnLease { worker: ClientId(3) });
    assert_eq!(devices(&again), [(3, vec![1])]);
    let after_death = cluster.dies(ClientId(2), 1);
    assert_eq!(devices(&after_death), [(4, vec![0])]);
}

#[test]
fn halves_of_two_gpus_are_no_whole_one() {
    let mut cluster = Cluster::with_gpus(5, 2);
    let three_quarters = RESOURCE_UNIT / 4 * 3;
    assert_eq!(devices(&wants_gpus(&mut cluster, three_quarters, 2)), [(2, vec![0]), (3, vec![1])]);
    let refused = wants_gpus(&mut cluster, RESOURCE_UNIT / 2, 1);
    assert_eq!(devices(&refused), []);
    assert!(!refused.iter().any(|action| matches!(action, Action::Zygote(..))), "another worker would be of no use");
    assert_eq!(devices(&wants_gpus(&mut cluster, RESOURCE_UNIT / 4, 1)), [(4, vec![0])]);
}

#[test]
fn a_task_that_waits_lends_its_cpus_and_not_its_gpus() {
    let mut cluster = Cluster::with_gpus(1, 1);
    let mut shape = Resources::cpus(1);
    shape.add(&gpu(RESOURCE_UNIT));
    cluster.says(DRIVER, ToScheduler::WantLeases { shape, count: 1, near: None });
    let task = TaskId { client: DRIVER, seq: 1 };
    cluster.says(ClientId(2), ToScheduler::Blocked { task: Some(task), objects: vec![own(DRIVER, 9)], enough: 1 });
    cluster.wants(ClientId(2), 1);
    cluster.on(Event::WorkerJoined { spawn: 2, pid: 101 });
    assert_eq!(devices(&wants_gpus(&mut cluster, RESOURCE_UNIT, 1)), []);
}

#[test]
fn a_worker_that_ends_by_itself_is_replaced_and_its_gpu_is_free_when_it_has_ended() {
    let mut cluster = Cluster::with_gpus(1, 1);
    wants_gpus(&mut cluster, RESOURCE_UNIT, 1);
    assert_eq!(cluster.says(ClientId(2), ToScheduler::Retire { waits: false }), [spawn(2)]);
    cluster.on(Event::WorkerJoined { spawn: 2, pid: 101 });
    assert_eq!(devices(&wants_gpus(&mut cluster, RESOURCE_UNIT, 1)), []);
    assert_eq!(cluster.says(DRIVER, ToScheduler::ReturnLease { worker: ClientId(2) }), [], "the lease is over already");
    assert_eq!(devices(&cluster.dies(ClientId(2), 1)), [(3, vec![0])]);
}

#[test]
fn one_that_waits_for_its_children_leaves_them_its_gpu() {
    let mut cluster = Cluster::with_gpus(1, 1);
    wants_gpus(&mut cluster, RESOURCE_UNIT, 1);
    cluster.says(ClientId(2), ToScheduler::Retire { waits: true });
    cluster.on(Event::WorkerJoined { spawn: 2, pid: 101 });
    let child = cluster.says(ClientId(2), ToScheduler::WantLeases { shape: gpu(RESOURCE_UNIT), count: 1, near: None });
    assert_eq!(devices(&child), [(3, vec![0])]);
}

#[test]
fn a_lease_that_is_only_kept_counts_as_available() {
    let mut cluster = Cluster::new(2);
    cluster.wants(DRIVER, 2);
    let mut available = |idle: Vec<ClientId>| {
        let asked = cluster.says(DRIVER, ToScheduler::Ask { request: 1, question: Question::Cluster });
        let mut answers = Vec::new();
        for action in asked {
            if let Action::Client(client, FromScheduler::FlushReports { request }) = action {
                let idle = if client == DRIVER { idle.clone() } else { Vec::new() };
                answers.extend(cluster.says(client, ToScheduler::Flushed { request, running: vec![], idle }));
            }
        }
        match &answers[..] {
            [Action::Client(DRIVER, FromScheduler::Answer { part: AnswerPart::Cluster(view), .. })] => {
                view.nodes[0].available.amount("CPU") / RESOURCE_UNIT
            }
            other => panic!("no answer: {other:?}"),
        }
    };
    assert_eq!(available(vec![]), 0);
    assert_eq!(available(vec![ClientId(2)]), 1);
    assert_eq!(available(vec![ClientId(3), ClientId(2), ClientId(77)]), 2);
}
