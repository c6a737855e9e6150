//! The real `objstore` process, a scheduler played by the test, and clients over real sockets.

use ray_io::{Connection, FrameError, Listener};
use ray_protocol::control::NotFetched;
use ray_protocol::control::{
    self, FromStore, Hello, Role, SchedulerToStore, StoreStats, StoreToScheduler, ToStore, decode, encode,
};
use ray_protocol::{ClientId, Location, NodeId, ObjectId, PROTOCOL_VERSION, SegmentId, TaskId};
use ray_shm::{OwnedSegment, ReadSegment};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

/// Longer than anything takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A session directory, the scheduler in it, and some stores. Gone, with its processes, when dropped.
struct Cluster {
    session: PathBuf,
    stores: Vec<Child>,
    /// The scheduler's connection to each store.
    links: Vec<Connection>,
}

impl Cluster {
    fn start(name: &str, stores: u32, capacity_bytes: u64) -> Self {
        let session = std::env::temp_dir().join(format!("objstore-test-{}-{name}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&session).unwrap();
        let listener = Listener::bind(&session.join("scheduler.sock")).unwrap();
        let mut cluster = Cluster { session, stores: Vec::new(), links: Vec::new() };
        for node in 0..stores {
            let child = cluster.command(node, capacity_bytes).spawn().unwrap();
            cluster.stores.push(child);
            let mut link = wait_for("the store calls the scheduler", || listener.accept().unwrap());
            let hello: Hello = decode(&link.receive_blocking(Some(PATIENCE)).unwrap().payload).unwrap();
            assert_eq!(hello.role, Role::Store { node: NodeId(node), capacity_bytes });
            cluster.links.push(link);
        }
        let peers = (0..stores).map(|node| (NodeId(node), cluster.socket(node).to_string_lossy().into_owned())).collect();
        for node in 0..stores as usize {
            cluster.tell(node, &SchedulerToStore::Peers(Vec::clone(&peers)));
        }
        cluster
    }

    fn command(&self, node: u32, capacity_bytes: u64) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_objstore"));
        command.arg("--session").arg(&self.session);
        command.args(["--node", &node.to_string(), "--capacity-bytes", &capacity_bytes.to_string()]);
        command.stdin(Stdio::null());
        // Some tests make it say much; it is shown when a test fails.
        command.stderr(std::fs::File::create(self.log(node)).unwrap());
        command
    }

    fn log(&self, node: u32) -> PathBuf {
        self.session.join(format!("objstore-{node}.log"))
    }

    fn socket(&self, node: u32) -> PathBuf {
        self.session.join(format!("objstore-{node}.sock"))
    }

    fn tell(&mut self, node: usize, message: &SchedulerToStore) {
        self.links[node].send_blocking(&encode(message), Vec::new()).unwrap();
    }

    fn hear(&mut self, node: usize) -> StoreToScheduler {
        decode(&self.links[node].receive_blocking(Some(PATIENCE)).unwrap().payload).unwrap()
    }

    fn client(&self, node: u32, id: u32) -> Client {
        Client::connect(&self.socket(node), node, id)
    }

    fn stats(&self, node: u32) -> StoreStats {
        let mut connection = Connection::connect(&self.socket(node)).unwrap();
        connection.send(&hello(Role::Observer), Vec::new()).unwrap();
        let mut tool = Client { connection, id: 0, node };
        assert!(matches!(tool.receive().0, FromStore::Welcome { .. }));
        tool.stats()
    }

    /// Waits until a store's count is as it should be.
    fn settle(&self, node: u32, what: &str, right: impl Fn(&StoreStats) -> bool) {
        wait_for(what, || Some(self.stats(node)).filter(&right));
    }

    fn resident_bytes(&self, node: usize) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.stores[node].id())).unwrap();
        statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }

    fn exit_of(&mut self, node: usize) -> ExitStatus {
        let store = &mut self.stores[node];
        wait_for("the store ends", || store.try_wait().unwrap())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for store in &mut self.stores {
            let _ = store.kill();
            let _ = store.wait();
        }
        if std::thread::panicking() {
            for node in 0..self.stores.len() as u32 {
                eprintln!("what store {node} said:\n{}", std::fs::read_to_string(self.log(node)).unwrap_or_default());
            }
        }
        let _ = std::fs::remove_dir_all(&self.session);
    }
}

/// A driver or worker.
struct Client {
    connection: Connection,
    id: u32,
    node: u32,
}

impl Client {
    fn connect(path: &Path, node: u32, id: u32) -> Self {
        let mut connection = Connection::connect(path).unwrap();
        connection.set_limit(ray_protocol::MAX_FRAME_BYTES);
        connection.send_blocking(&hello(Role::StoreClient { client: ClientId(id) }), Vec::new()).unwrap();
        let mut client = Client { connection, id, node };
        assert_eq!(client.receive().0, FromStore::Welcome { node: NodeId(node) });
        client
    }

    fn send(&mut self, message: &ToStore) {
        self.connection.send_blocking(&encode(message), Vec::new()).unwrap();
    }

    fn receive(&mut self) -> (FromStore, Vec<OwnedFd>) {
        let frame = self.connection.receive_blocking(Some(PATIENCE)).unwrap();
        (decode(&frame.payload).unwrap(), frame.fds)
    }

    /// The store closed the connection.
    fn is_closed(&mut self) -> bool {
        match self.connection.receive_blocking(Some(PATIENCE)) {
            Ok(_) => false,
            Err(FrameError::Closed) => true,
            Err(error) => panic!("{error}"),
        }
    }

    fn segment(&mut self, number: u32, size_bytes: u64) -> (SegmentId, OwnedSegment) {
        let id = segment(self.id, number);
        self.send(&ToStore::Reserve { segment: id, size_bytes });
        assert_eq!(self.receive().0, FromStore::Reserved { segment: id });
        let memory = OwnedSegment::create("test", size_bytes as usize).unwrap();
        let fd = memory.fd().try_clone_to_owned().unwrap();
        self.connection.send_blocking(&encode(&ToStore::Register { segment: id }), vec![fd]).unwrap();
        (id, memory)
    }

    fn map(&mut self, id: SegmentId) -> std::sync::Arc<ReadSegment> {
        self.send(&ToStore::Map { segment: id });
        let (answer, mut fds) = self.receive();
        let FromStore::Segment { segment, size_bytes } = answer else { panic!("{answer:?}") };
        assert_eq!((segment, fds.len()), (id, 1));
        ReadSegment::map(fds.remove(0), size_bytes as usize).unwrap()
    }

    fn stats(&mut self) -> StoreStats {
        self.send(&ToStore::Ask { request: 9 });
        match self.receive().0 {
            FromStore::Stats { request: 9, stats } => stats,
            other => panic!("{other:?}"),
        }
    }

    fn fetched(&mut self) -> Result<Location, String> {
        match self.receive().0 {
            FromStore::Fetched { outcome, .. } => outcome.map_err(|(NotFetched::Full(why) | NotFetched::Lost(why))| why),
            other => panic!("{other:?}"),
        }
    }

    fn place(&self, segment: SegmentId, offset: u64, size_bytes: u64) -> Location {
        Location { node: NodeId(self.node), segment, offset, size_bytes }
    }
}

fn hello(role: Role) -> Vec<u8> {
    encode(&Hello { version: PROTOCOL_VERSION, pid: std::process::id() as i32, role })
}

fn object(owner: u32, seq: u64) -> ObjectId {
    TaskId { client: ClientId(owner), seq }.result(0)
}

fn segment(writer: u32, number: u32) -> SegmentId {
    SegmentId { writer: ClientId(writer), number }
}

fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_object_is_written_by_one_process_read_by_another_and_freed() {
    let mut cluster = Cluster::start("life", 1, 100 * MIB);
    let (mut writer, mut reader) = (cluster.client(0, 11), cluster.client(0, 12));
    let (id, memory) = writer.segment(1, MIB);
    memory.write(4096, b"hello");
    let (first, second) = (object(12, 1), object(12, 2));
    let (at, next) = (writer.place(id, 4096, 5), writer.place(id, 8192, 100));
    writer.send(&ToStore::Sealed(vec![(first, at), (second, next)]));

    let map = reader.map(id);
    assert_eq!(map.slice(at.offset, at.size_bytes).unwrap().as_bytes(), b"hello");
    cluster
        .settle(0, "sealed", |stats| (stats.reserved_bytes, stats.used_bytes, stats.objects, stats.segments) == (MIB, 105, 2, 1));

    // Its owner frees one; the scheduler the other.
    reader.send(&ToStore::Free(vec![first]));
    assert_eq!(writer.receive().0, FromStore::Freed(vec![(first, at)]));
    cluster.tell(0, &SchedulerToStore::Free(vec![second]));
    assert_eq!(writer.receive().0, FromStore::Freed(vec![(second, next)]));
    writer.send(&ToStore::Drop { segment: id });
    assert_eq!(reader.receive().0, FromStore::SegmentGone { segment: id });
    assert_eq!(reader.stats(), StoreStats { capacity_bytes: 100 * MIB, ..StoreStats::default() });
    // What is mapped stays readable for as long as it is mapped.
    assert_eq!(map.slice(4096, 5).unwrap().as_bytes(), b"hello");
}

#[test]
fn a_full_store_says_so_and_goes_on() {
    let cluster = Cluster::start("full", 1, 100 * MIB);
    let (mut writer, mut other) = (cluster.client(0, 11), cluster.client(0, 12));
    let (id, _memory) = writer.segment(1, 80 * MIB);
    writer.send(&ToStore::Sealed(vec![(object(12, 1), writer.place(id, 0, 70 * MIB))]));
    let (empty, _empty) = writer.segment(2, 10 * MIB);
    writer.stats(); // the store has read all that

    let wanted = segment(12, 1);
    other.send(&ToStore::Reserve { segment: wanted, size_bytes: 50 * MIB });
    let FromStore::Full { segment: refused, report } = other.receive().0 else { panic!() };
    assert_eq!(refused, wanted);
    let owner = format!("process {} (client 12) holds 1 object, 70.0 MiB", std::process::id());
    assert!(report.contains(&owner) && report.contains("10.0 MiB of its 100.0 MiB are free"), "{report}");
    assert_eq!(writer.receive().0, FromStore::Trim);

    other.send(&ToStore::Reserve { segment: wanted, size_bytes: 20 * MIB });
    assert_eq!(writer.receive().0, FromStore::Trim);
    writer.send(&ToStore::Drop { segment: empty });
    assert_eq!(other.receive().0, FromStore::Reserved { segment: wanted });
}

#[test]
fn what_a_killed_writer_sealed_can_be_read_until_it_is_freed() {
    let mut cluster = Cluster::start("killed", 1, 100 * MIB);
    let mut reader = cluster.client(0, 12);
    let mut writer = cluster.client(0, 11);
    let (id, memory) = writer.segment(1, MIB);
    let (_, _unused) = writer.segment(2, MIB);
    writer.send(&ToStore::Reserve { segment: segment(11, 3), size_bytes: MIB });
    memory.write(0, b"last words");
    // The scheduler's word may be here before the last words, and the socket may live on in a child of the killed process.
    writer.send(&ToStore::Sealed(vec![(object(12, 1), writer.place(id, 0, 10))]));
    cluster.tell(0, &SchedulerToStore::ClientGone { client: ClientId(11), shared: vec![] });
    drop(memory);
    cluster.settle(0, "the rest is gone", |stats| (stats.reserved_bytes, stats.objects, stats.segments) == (MIB, 1, 1));
    assert_eq!(reader.map(id).slice(0, 10).unwrap().as_bytes(), b"last words");
    reader.send(&ToStore::Free(vec![object(12, 1)]));
    assert_eq!(reader.receive().0, FromStore::SegmentGone { segment: id });
    assert_eq!(reader.stats().reserved_bytes, 0);

    let mut another = cluster.client(0, 13);
    let (id, _memory) = another.segment(1, MIB);
    another.send(&ToStore::Sealed(vec![(object(12, 2), another.place(id, 0, 10))]));
    drop(another);
    reader.map(id);
    reader.send(&ToStore::Free(vec![object(12, 2)]));
    assert_eq!(reader.receive().0, FromStore::SegmentGone { segment: id });
}

#[test]
fn an_object_is_copied_once_for_three_who_wait() {
    let mut cluster = Cluster::start("copy", 2, 100 * MIB);
    let size_bytes = 20 * MIB + 7;
    let mut writer = cluster.client(0, 11);
    let (id, memory) = writer.segment(1, 30 * MIB);
    let bytes: Vec<u8> = (0..size_bytes).map(|at| (at ^ (at >> 8)) as u8).collect();
    memory.write(64, &bytes);
    let (wanted, from) = (object(11, 1), writer.place(id, 64, size_bytes));
    writer.send(&ToStore::Sealed(vec![(wanted, from)]));

    let mut waiters: Vec<Client> = (21..24).map(|id| cluster.client(1, id)).collect();
    for waiter in &mut waiters {
        waiter.send(&ToStore::Fetch { object: wanted, from });
    }
    let places: Vec<Location> = waiters.iter_mut().map(|waiter| waiter.fetched().unwrap()).collect();
    assert!(places.iter().all(|place| *place == places[0]) && places[0].node == NodeId(1));
    assert_eq!(cluster.hear(1), StoreToScheduler::Copied { object: wanted, at: places[0] });
    for waiter in &mut waiters {
        let map = waiter.map(places[0].segment);
        assert!(map.slice(places[0].offset, size_bytes).unwrap().as_bytes() == bytes);
    }
    let stats = cluster.stats(1);
    assert_eq!((stats.fetched, stats.objects, stats.used_bytes), (1, 1, size_bytes));
    assert_eq!(stats.reserved_bytes, size_bytes.next_multiple_of(64));

    cluster.tell(1, &SchedulerToStore::Free(vec![wanted]));
    assert_eq!(waiters[0].receive().0, FromStore::SegmentGone { segment: places[0].segment });
    assert_eq!(cluster.stats(1).reserved_bytes, 0);
    assert_eq!(cluster.stats(0).used_bytes, size_bytes);

    // What is not there, what does not fit, and a store that has ended.
    let waiter = &mut waiters[1];
    assert_eq!(waiter.receive().0, FromStore::SegmentGone { segment: places[0].segment });
    waiter.send(&ToStore::Fetch { object: object(77, 1), from: Location { segment: segment(77, 1), ..from } });
    let reason = waiter.fetched().unwrap_err();
    assert!(reason.starts_with("object 77.1#0 could not be copied from node 0: it is not in that store"), "{reason}");
    waiter.send(&ToStore::Fetch { object: object(77, 2), from: Location { size_bytes: 200 * MIB, ..from } });
    assert!(waiter.fetched().unwrap_err().contains("It can never hold that much"));
    cluster.stores[0].kill().unwrap();
    cluster.exit_of(0);
    waiter.send(&ToStore::Fetch { object: wanted, from });
    let reason = waiter.fetched().unwrap_err();
    assert!(reason.contains("from node 0: "), "{reason}");
}

#[test]
fn many_objects_are_copied_both_ways_at_once() {
    let cluster = Cluster::start("both", 2, 200 * MIB);
    const COUNT: u64 = 300;
    let size_of = |seq: u64| 1 + seq * 997;
    let mut clients: Vec<Client> = (0..2).map(|node| cluster.client(node, 11 + node)).collect();
    let mut memories = Vec::new();
    let mut places = Vec::new();
    for client in &mut clients {
        let (id, memory) = client.segment(1, 60 * MIB);
        let here: Vec<_> =
            (0..COUNT).map(|seq| (object(client.id, seq), client.place(id, seq * 131_072 * 2, size_of(seq)))).collect();
        for (seq, (_, place)) in here.iter().enumerate().take(200) {
            memory.write(place.offset as usize, &vec![seq as u8; place.size_bytes as usize]);
        }
        client.send(&ToStore::Sealed(here[..200].to_vec()));
        places.push(here);
        memories.push(memory);
    }
    for node in 0..2 {
        for (object, from) in places[1 - node][..200].iter().copied() {
            clients[node].send(&ToStore::Fetch { object, from });
        }
    }
    for client in &mut clients {
        let mut found = Vec::new();
        for _ in 0..200 {
            match client.receive().0 {
                FromStore::Fetched { object, outcome } => found.push((object, outcome.unwrap())),
                other => panic!("{other:?}"),
            }
        }
        for (object, place) in found {
            assert_eq!(place.size_bytes, size_of(object.task.seq));
            let map = client.map(place.segment);
            assert!(
                map.slice(place.offset, place.size_bytes).unwrap().as_bytes().iter().all(|byte| *byte == object.task.seq as u8)
            );
        }
        assert_eq!(client.stats().fetched, 200);
    }
}

#[test]
fn a_store_that_talks_nonsense_fails_the_fetch_and_nothing_else() {
    let mut cluster = Cluster::start("nonsense", 1, 100 * MIB);
    let path = cluster.session.join("false.sock");
    let false_store = Listener::bind(&path).unwrap();
    cluster.tell(0, &SchedulerToStore::Peers(vec![(NodeId(7), path.to_string_lossy().into_owned())]));
    let mut client = cluster.client(0, 11);
    let wanted = object(71, 1);
    let from = Location { node: NodeId(7), segment: segment(71, 1), offset: 0, size_bytes: 1000 };
    let chunk = |offset, len, last| encode(&FromStore::Chunk { object: wanted, offset, bytes: vec![1; len], last });
    let welcome = encode(&FromStore::Welcome { node: NodeId(7) });
    let scripts: [(Vec<Vec<u8>>, &str); 5] = [
        (vec![encode(&FromStore::Welcome { node: NodeId(8) })], "not the store of node 7"),
        (vec![vec![250; 3]], "malformed"),
        (vec![welcome.clone(), chunk(1, 10, false)], "not to be sent"),
        (vec![welcome.clone(), chunk(0, 1001, true)], "not to be sent"),
        (vec![welcome.clone(), vec![9; 100]], "the connection to its store ended"),
    ];
    for (script, expected) in scripts {
        client.send(&ToStore::Fetch { object: wanted, from });
        let mut store = wait_for("the store calls", || false_store.accept().unwrap());
        let hello: Hello = decode(&store.receive_blocking(Some(PATIENCE)).unwrap().payload).unwrap();
        assert_eq!(hello.role, Role::StorePeer { node: NodeId(0) });
        for (number, message) in script.iter().enumerate() {
            if number == 1 {
                let pull: ToStore = decode(&store.receive_blocking(Some(PATIENCE)).unwrap().payload).unwrap();
                assert_eq!(pull, ToStore::Pull { object: wanted, from });
            }
            store.send_blocking(message, Vec::new()).unwrap();
        }
        let reason = client.fetched().unwrap_err();
        assert!(reason.contains(expected), "{expected}: {reason}");
    }
    assert_eq!(client.stats().reserved_bytes, 0);
}

#[test]
fn wrong_segments_and_greetings_close_one_connection() {
    let cluster = Cluster::start("wrong", 1, 100 * MIB);
    let mut witness = cluster.client(0, 99);
    let greetings = [
        encode(&Hello { version: PROTOCOL_VERSION + 1, pid: 1, role: Role::Observer }),
        hello(Role::Driver { owner: true }),
        hello(Role::StoreClient { client: ClientId(99) }), // connected already
        hello(Role::StoreClient { client: ClientId(0) }),
        vec![0; 17 << 10],
        Vec::new(),
    ];
    for greeting in greetings {
        let mut connection = Connection::connect(&cluster.socket(0)).unwrap();
        let _ = connection.send_blocking(&greeting, Vec::new());
        assert!(Client { connection, id: 0, node: 0 }.is_closed());
    }

    let pipe = rustix::pipe::pipe().unwrap().0;
    let small = OwnedSegment::create("small", 4096).unwrap().fd().try_clone_to_owned().unwrap();
    let several = vec![small.try_clone().unwrap(), small.try_clone().unwrap()];
    for fds in [vec![pipe], vec![small], several, Vec::new()] {
        let mut client = cluster.client(0, 11);
        client.send(&ToStore::Reserve { segment: segment(11, 1), size_bytes: MIB });
        client.receive();
        client.connection.send_blocking(&encode(&ToStore::Register { segment: segment(11, 1) }), fds).unwrap();
        assert!(client.is_closed());
    }
    assert_eq!(witness.stats(), StoreStats { capacity_bytes: 100 * MIB, ..StoreStats::default() });
}

#[test]
fn who_says_nothing_is_let_go() {
    let cluster = Cluster::start("silent", 1, 100 * MIB);
    let mut witness = cluster.client(0, 99);
    // The oldest go when there are too many; whoever says hello gets through all the same.
    let mut strangers: Vec<UnixStream> = Vec::new();
    for _ in 0..400 {
        strangers.push(UnixStream::connect(cluster.socket(0)).unwrap());
        if strangers.len().is_multiple_of(100) {
            drop(cluster.client(0, 11 + strangers.len() as u32));
        }
    }
    for stranger in &mut strangers {
        stranger.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(stranger.read(&mut [0]).unwrap(), 0);
    }
    witness.stats();
}

#[test]
fn who_does_not_read_is_let_go() {
    let cluster = Cluster::start("deaf", 1, 100 * MIB);
    let mut writer = cluster.client(0, 11);
    let (id, _memory) = writer.segment(1, MIB);
    writer.stats();
    let mut deaf = cluster.client(0, 12);
    let map = encode(&ToStore::Map { segment: id });
    let mut sent = 0;
    while deaf.connection.send_blocking(&map, Vec::new()).is_ok() {
        sent += 1;
        assert!(sent < 1_000_000, "descriptors pile up without end");
    }
    writer.stats();
}

#[test]
fn mutated_frames_close_connections_and_nothing_else() {
    let mut cluster = Cluster::start("mutated", 1, 100 * MIB);
    let mut witness = cluster.client(0, 7);
    let (id, memory) = witness.segment(1, MIB);
    memory.write(0, b"untouched");
    witness.send(&ToStore::Sealed(vec![(object(7, 1), witness.place(id, 0, 9))]));
    witness.stats();
    let before = cluster.resident_bytes(0);

    let mut random = Random(1);
    let (mut frames, mut connections, mut client) = (0, 0, 100);
    while frames < 100_000 {
        connections += 1;
        client += 1;
        let Ok(stream) = UnixStream::connect(cluster.socket(0)) else { panic!("the store is gone after {frames} frames") };
        let role = match random.below(8) {
            0 => Role::StorePeer { node: NodeId(random.next() as u32) },
            1 => Role::Observer,
            _ => Role::StoreClient { client: ClientId(client) },
        };
        let mut connection = Connection::new(OwnedFd::from(stream.try_clone().unwrap())).unwrap();
        let greeting = if random.below(20) == 0 { random.mutated(hello(role)) } else { hello(role) };
        let mut open = connection.send_blocking(&greeting, Vec::new()).is_ok();
        // Many at once: those before the first that is wrong are handled, the rest is refused with the connection.
        for _ in 0..25 {
            frames += 1;
            if !open {
                continue;
            }
            let message = encode(&random.message(client));
            let payload = if random.below(3) == 0 { random.mutated(message) } else { message };
            if random.below(200) == 0 {
                let header = [random.next() as u8, random.next() as u8, random.next() as u8, 0, random.next() as u8];
                open = (&stream).write_all(&header).is_ok();
            }
            let count = if random.below(20) == 0 { random.below(3) } else { 0 };
            let fds = (0..count).map(|_| memory.fd().try_clone_to_owned().unwrap()).collect();
            open = open && connection.send_blocking(&payload, fds).is_ok();
        }
    }
    assert!(connections >= 300);
    cluster.settle(0, "all of them are gone", |stats| stats.segments == 1 && stats.objects == 1);
    let after = cluster.resident_bytes(0);
    assert!(after < before + 100 * MIB, "{before} bytes before, {after} after");
    assert_eq!(witness.map(id).slice(0, 9).unwrap().as_bytes(), b"untouched");
    assert!(cluster.stores[0].try_wait().unwrap().is_none());
    cluster.links.clear();
    assert!(cluster.exit_of(0).success());
}

#[test]
fn the_store_ends_with_the_scheduler() {
    let mut cluster = Cluster::start("end", 1, MIB);
    let mut client = cluster.client(0, 11);
    cluster.links.clear();
    assert!(cluster.exit_of(0).success());
    assert!(client.is_closed());
}

#[test]
fn a_listening_socket_can_be_inherited_and_mistakes_end_it_at_once() {
    let mut cluster = Cluster::start("inherit", 0, MIB);
    let scheduler = Listener::from_fd(OwnedFd::from(UnixListener::bind(cluster.session.join("other")).unwrap())).unwrap();
    std::fs::remove_file(cluster.session.join("scheduler.sock")).unwrap();
    std::fs::rename(cluster.session.join("other"), cluster.session.join("scheduler.sock")).unwrap();
    let socket = UnixListener::bind(cluster.socket(0)).unwrap();
    let mut command = cluster.command(0, MIB);
    command.args(["--listen-fd", "0"]).stdin(OwnedFd::from(socket));
    cluster.stores.push(command.spawn().unwrap());
    let link = wait_for("the store calls the scheduler", || scheduler.accept().unwrap());
    cluster.links.push(link);
    assert_eq!(cluster.client(0, 11).stats().capacity_bytes, MIB);

    let taken = cluster.command(0, MIB).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(taken.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&taken.stderr).contains("objstore-0.sock"), "{taken:?}");
    let usage = Command::new(env!("CARGO_BIN_EXE_objstore")).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
}

/// SplitMix64: few lines, no dependency, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A message that may be a good one, of a client or of a store.
    fn message(&mut self, client: u32) -> ToStore {
        let id = segment(if self.below(20) == 0 { 7 } else { client }, self.below(3) as u32);
        let size_bytes = if self.below(10) == 0 { self.next() } else { 1 + self.below(MIB) };
        // Nobody here owns or wrote what the witness has.
        let object = object(client, self.below(20));
        let from = Location { node: NodeId(self.below(3) as u32), segment: id, offset: self.below(MIB), size_bytes };
        match self.below(9) {
            0 | 1 => ToStore::Reserve { segment: id, size_bytes },
            2 => ToStore::Register { segment: id },
            3 => ToStore::Map { segment: id },
            4 => ToStore::Fetch { object, from },
            5 => ToStore::Free(vec![object; self.below(50) as usize]),
            6 => ToStore::Ask { request: self.next() },
            7 => ToStore::Pull { object, from },
            _ if self.below(3) == 0 => ToStore::Drop { segment: id },
            _ => ToStore::Sealed(vec![(object, from)]),
        }
    }

    fn mutated(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len().max(1) as u64) as usize;
            match self.below(4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at.min(bytes.len()), self.next() as u8),
                2 => bytes.extend((0..self.below(40)).map(|n| (n * 37) as u8)),
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << self.below(8);
                    }
                }
            }
        }
        bytes
    }
}

#[test]
fn a_message_survives_its_encoding() {
    let mut random = Random(3);
    for _ in 0..1000 {
        let message = random.message(5);
        assert_eq!(control::decode::<ToStore>(&encode(&message)).unwrap(), message);
    }
}
