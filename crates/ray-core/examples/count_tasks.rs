//! Work for an instruction counter: what the pure cores do for no-op tasks, without a thread, a clock or a system call.
//!
//! ```text
//! count_tasks process N      a driver submits N tasks, one at a time, and takes their results
//! count_tasks scheduler N    the scheduler hears of N tasks
//! ```
//!
//! The difference between two runs, divided by the difference in N, is the cost of one task; `bench/counts.py` does that under callgrind.

use ray_core::Time;
use ray_core::process::{Action, ObjectView, Process, TaskSpec};
use ray_core::scheduler::{Config, Event, NodeConfig, Scheduler};
use ray_protocol::control::{FromScheduler, GraphEvent, ToScheduler};
use ray_protocol::{Bytes, ClientId, FunctionId, NodeId, Resources, Value, record};

const DRIVER: ClientId = ClientId(1);
const WORKER: ClientId = ClientId(2);
const NODE: NodeId = NodeId(0);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (which, count) = (arguments.next(), arguments.next().and_then(|count| count.parse().ok()));
    match (which.as_deref(), count) {
        (Some("process"), Some(count)) => process(count),
        (Some("scheduler"), Some(count)) => scheduler(count),
        _ => panic!("count_tasks process|scheduler N"),
    }
}

fn process(count: u64) {
    let now = Time::default();
    let mut driver = Process::new(DRIVER, NODE);
    let shape = driver.shape(&Resources::cpus(1));
    let mut pushed = Vec::new();
    let mut answer = Vec::new();
    let nothing = Value::Inline(Bytes::from_slice(&[0]));
    for _ in 0..count {
        let task = driver.submit(TaskSpec { function: FunctionId(7), returns: 1, shape, ..TaskSpec::default() });
        while let Some(action) = driver.poll_action() {
            match action {
                Action::Push { seq, .. } => pushed.push(seq),
                Action::Scheduler(message) if matches!(*message, ToScheduler::WantLeases { count: 1, .. }) => {
                    let grant = FromScheduler::Grant { worker: WORKER, node: NODE, shape: Resources::cpus(1), devices: Vec::new() };
                    driver.scheduler_said(now, grant);
                }
                _ => {}
            }
        }
        for seq in pushed.drain(..) {
            std::hint::black_box(driver.pushable(seq));
            answer.clear();
            record::write_result_header(&mut answer, seq, 0, 1, false, 1);
            record::write_result_value(&mut answer, &nothing, false);
            driver.record_arrived(now, WORKER, &answer).expect("a result as a worker sends it");
        }
        assert!(matches!(driver.value(task.result(0)), ObjectView::Ready(_)), "the task has run");
        driver.release(task.result(0));
    }
}

fn scheduler(count: u64) {
    /// As many as a process gathers before it reports.
    const BATCH: u64 = 1024;
    let node = NodeConfig { resources: Resources::cpus(1), workers: 1, store_socket: String::new() };
    let mut scheduler = Scheduler::new(Config { cluster: 1, nodes: vec![node], fail_unschedulable: true });
    scheduler.handle(Time::default(), Event::StoreJoined { node: NODE, capacity_bytes: 1 << 20 });
    scheduler.handle(Time::default(), Event::DriverJoined { pid: 1, owner: false });
    for first in (1..=count).step_by(BATCH as usize) {
        let news = (first..first + BATCH).flat_map(|seq| {
            let submitted = GraphEvent::Submitted {
                seq,
                function: FunctionId(7),
                returns: 1,
                parent: None,
                actor: None,
                inputs: Vec::new(),
                at_us: seq,
            };
            [submitted, GraphEvent::Finished { seq, ok: true, run_time_us: 1, worker: WORKER, at_us: seq }]
        });
        scheduler.handle(Time::default(), Event::Client(DRIVER, ToScheduler::Report(news.collect())));
        while scheduler.poll_action().is_some() {}
    }
}
