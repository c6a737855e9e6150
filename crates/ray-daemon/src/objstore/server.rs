//! The loop: events of sockets and time in, actions of the state machine out.

use super::links::{Incoming, Links, Role};
use super::memory::{ClientSegment, Memory};
use crate::log::Log;
use ray_core::Time;
use ray_core::objstore::{Action, ConnectionId, Event, ObjectStore};
use ray_io::{Connection, Interest, Listener, Poller, ReadStatus};
use ray_protocol::control::{self, FromStore, Hello, ToStore};
use ray_protocol::{NodeId, PROTOCOL_VERSION};
use rustix::event::{PollFd, PollFlags, Timespec};
use serde::Serialize;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// Nothing else is served while a store of another node does not accept.
const PEER_PATIENCE: Duration = Duration::from_millis(200);

/// The daemon around the state machine.
pub(super) struct Server {
    store: ObjectStore,
    node: NodeId,
    /// Where the state machine's time begins.
    started: Instant,
    poller: Poller,
    listener: Listener,
    links: Links,
    memory: Memory,
    log: Log,
    /// The segment that came with the event being handled.
    arrived: Option<ClientSegment>,
    /// What happened while actions were performed.
    events: VecDeque<Event>,
    /// Connections of ended clients whose last words are to be read.
    draining: VecDeque<ConnectionId>,
    /// Set when the daemon is to end.
    ending: Option<io::Result<()>>,
}

impl Server {
    /// Says hello to the scheduler.
    pub(super) fn new(node: NodeId, capacity_bytes: u64, listener: Listener, mut scheduler: Connection) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(listener.as_fd(), LISTENER, Interest::READ)?;
        let role = control::Role::Store { node, capacity_bytes };
        scheduler.send_blocking(&hello(role), Vec::new()).map_err(io::Error::other)?;
        let mut links = Links::new();
        links.add(&poller, scheduler, Role::Scheduler)?;
        let started = Instant::now();
        Ok(Server {
            store: ObjectStore::new(node, capacity_bytes),
            node,
            started,
            poller,
            listener,
            links,
            memory: Memory::default(),
            log: Log::new(format!("objstore {node}"), started),
            arrived: None,
            events: VecDeque::new(),
            draining: VecDeque::new(),
            ending: None,
        })
    }

    /// Serves until the scheduler's connection ends.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut ready = Vec::new();
        loop {
            self.poller.wait(&mut ready, self.patience())?;
            for event in &ready {
                match event.token {
                    LISTENER => self.accept(),
                    token => {
                        if event.readable || event.hangup {
                            self.read(ConnectionId(token));
                        }
                        if event.writable {
                            self.flush(ConnectionId(token));
                        }
                    }
                }
            }
            self.look_at_the_clock();
            for token in self.links.take_dirty() {
                self.flush(ConnectionId(token));
            }
            self.links.postpone_dirty(&self.poller)?;
            if let Some(result) = self.ending {
                return result;
            }
        }
    }

    // ---- what happens

    /// How long nothing will be due.
    fn patience(&self) -> Option<Duration> {
        let due = self.store.next_timeout().map(|due| due.since(self.now()));
        let silence = self.links.first_silent().map(|(until, _)| until.saturating_duration_since(Instant::now()));
        due.into_iter().chain(silence).min()
    }

    fn look_at_the_clock(&mut self) {
        let now = Instant::now();
        while let Some((until, id)) = self.links.first_silent()
            && until <= now
        {
            self.end(id, "it did not say hello in time");
        }
        if self.store.next_timeout().is_some_and(|due| due <= self.now()) {
            self.handle(Event::TimePassed);
        }
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTS_AT_ONCE {
            let connection = match self.listener.accept() {
                Ok(Some(connection)) => connection,
                Ok(None) => return,
                Err(error) => return self.log(&format!("a connection could not be accepted: {error}")),
            };
            if let Some(oldest) = self.links.surplus() {
                self.end(oldest, "it did not say hello, and too many others wait to");
            }
            let until = Instant::now() + LONGEST_SILENCE;
            match self.links.add(&self.poller, connection, Role::Stranger { until }) {
                // An honest client's hello is there already: it never counts among the strangers.
                Ok(id) => self.read(id),
                Err(error) => self.log(&format!("a connection could not be watched: {error}")),
            }
        }
    }

    /// Reads once what a connection has, and handles it.
    fn read(&mut self, id: ConnectionId) {
        let Some(connection) = self.links.connection(id) else { return };
        let status = match connection.receive() {
            Ok(status) => status,
            Err(error) => return self.end(id, &error.to_string()),
        };
        loop {
            match self.links.next_message(id) {
                Ok(Some(message)) => self.message(id, message),
                Ok(None) => break,
                Err(error) => return self.end(id, &error),
            }
        }
        if status == ReadStatus::Closed {
            self.end(id, "");
        }
    }

    fn message(&mut self, id: ConnectionId, message: Incoming) {
        match message {
            Incoming::Hello(hello) => self.greeting(id, hello),
            Incoming::ToStore(ToStore::Register { segment }, fds) => {
                let segment_of = |fds: Vec<OwnedFd>| match <[OwnedFd; 1]>::try_from(fds) {
                    Ok([fd]) => ClientSegment::new(fd),
                    Err(fds) => Err(format!("{} descriptors came with it", fds.len())),
                };
                match segment_of(fds) {
                    Ok(arrived) => {
                        let size_bytes = arrived.size_bytes();
                        self.arrived = Some(arrived);
                        self.handle(Event::SegmentArrived { connection: id, segment, size_bytes });
                    }
                    Err(problem) => {
                        let name = format!("segment {}/{}", segment.writer, segment.number);
                        self.end(id, &format!("it registered {name}: {problem}"));
                    }
                }
            }
            Incoming::ToStore(message, _) => self.handle(Event::Message { connection: id, message }),
            Incoming::FromStore(message) => self.answer_of_a_store(id, message),
            Incoming::FromScheduler(message) => self.handle(Event::FromScheduler(message)),
        }
    }

    fn greeting(&mut self, id: ConnectionId, hello: Hello) {
        let Some(connection) = self.links.connection(id) else { return };
        // What the kernel says of the peer, not what it says itself.
        let pid = connection.peer_pid().unwrap_or(0);
        if hello.version != PROTOCOL_VERSION {
            let versions = format!("process {pid} speaks protocol version {}, this store {PROTOCOL_VERSION}", hello.version);
            return self.end(id, &versions);
        }
        let (role, event) = match hello.role {
            control::Role::StoreClient { client } => (Role::Client { pid }, Event::ClientConnected { connection: id, client, pid }),
            control::Role::Observer => (Role::Client { pid }, Event::ObserverConnected { connection: id }),
            control::Role::StorePeer { .. } => {
                (Role::Puller { pid, chunks_on_the_way: false }, Event::PeerConnected { connection: id })
            }
            control::Role::Driver { .. }
            | control::Role::Worker { .. }
            | control::Role::Zygote { .. }
            | control::Role::Store { .. } => return self.end(id, &format!("process {pid} takes this store for a scheduler")),
        };
        self.links.introduce(id, role);
        self.handle(event);
    }

    fn answer_of_a_store(&mut self, id: ConnectionId, message: FromStore) {
        match (self.links.role(id), message) {
            (Some(Role::Called { node, .. }), FromStore::Welcome { node: found }) if node == found => {
                self.links.introduce(id, Role::Source { node });
                self.handle(Event::PeerReached { node, connection: id });
            }
            (Some(Role::Called { node, .. }), _) => self.end(id, &format!("whoever listens there is not the store of node {node}")),
            (_, message) => self.handle(Event::FromPeer { connection: id, message }),
        }
    }

    /// Ends a connection, for a reason worth a line in the log if it is not empty.
    fn end(&mut self, id: ConnectionId, reason: &str) {
        match self.close(id, reason) {
            Some(Role::Scheduler) if reason.is_empty() => self.ending = Some(Ok(())),
            Some(Role::Scheduler) => {
                self.ending = Some(Err(io::Error::other(format!("the scheduler's connection broke: {reason}"))))
            }
            Some(Role::Called { node, .. }) => {
                let reason = if reason.is_empty() { "it closed the connection" } else { reason };
                self.handle(Event::PeerUnreachable { node, reason: reason.into() });
            }
            Some(Role::Client { .. } | Role::Puller { .. } | Role::Source { .. }) => {
                self.handle(Event::Disconnected { connection: id });
            }
            Some(Role::Stranger { .. }) | None => {}
        }
    }

    fn close(&mut self, id: ConnectionId, reason: &str) -> Option<Role> {
        let role = self.links.remove(&self.poller, id)?;
        if !reason.is_empty() {
            let who = match role {
                Role::Scheduler => String::from("the scheduler"),
                Role::Stranger { .. } => String::from("a stranger"),
                Role::Client { pid } => format!("process {pid}"),
                Role::Puller { pid, .. } => format!("the store in process {pid}"),
                Role::Called { node, .. } | Role::Source { node } => format!("the store of node {node}"),
            };
            self.log(&format!("connection of {who} closed: {reason}"));
        }
        Some(role)
    }

    // ---- what to do

    /// Hands an event to the state machine and performs what it says, and what comes of that.
    fn handle(&mut self, event: Event) {
        self.events.push_back(event);
        while let Some(event) = self.events.pop_front() {
            self.store.handle(self.now(), event);
            while let Some(action) = self.store.poll_action() {
                self.perform(action);
            }
            self.arrived = None; // closed, unless it was kept
        }
        while let Some(id) = self.draining.pop_front() {
            self.drain(id);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Send { to, message, descriptor_of: None } => self.send(to, &message, Vec::new()),
            Action::Send { to, message, descriptor_of: Some(segment) } => match self.memory.descriptor(segment) {
                Ok(fd) => self.send(to, &message, vec![fd]),
                Err(error) => self.fail(to, &format!("a descriptor for it could not be made: {error}")),
            },
            Action::Pull { to, object, from } => self.send(to, &ToStore::Pull { object, from }, Vec::new()),
            Action::SendChunk { to, object, location, offset, size_bytes, last } => {
                match self.memory.read(location, offset, size_bytes) {
                    Ok(bytes) => {
                        self.send(to, &FromStore::Chunk { object, offset, bytes, last }, Vec::new());
                        self.links.note_chunk(to);
                    }
                    Err(reason) => self.events.push_back(Event::ChunkUnreadable { connection: to, object, reason }),
                }
            }
            Action::Tell(message) => self.send(SCHEDULER, &message, Vec::new()),
            Action::Close { connection, reason } => drop(self.close(connection, &reason.to_string())),
            Action::Drain { connection } => self.draining.push_back(connection),
            Action::ConnectPeer { node, path } => self.call(node, &path),
            Action::KeepSegment { segment } => {
                if let Some(arrived) = self.arrived.take() {
                    self.memory.keep(segment, arrived);
                }
            }
            Action::CreateSegment { segment, size_bytes } => {
                if let Err(error) = self.memory.create(segment, size_bytes) {
                    let reason = format!("memory for it could not be had: {error}");
                    self.events.push_back(Event::SegmentFailed { segment, reason });
                }
            }
            Action::Write { segment, offset, bytes } => self.memory.write(segment, offset, &bytes),
            Action::DropSegment { segment } => self.memory.drop_segment(segment),
        }
    }

    fn send(&mut self, to: ConnectionId, message: &impl Serialize, fds: Vec<OwnedFd>) {
        if let Err(reason) = self.links.send(to, message, fds) {
            self.fail(to, &reason);
        }
    }

    /// Closes a connection from within an action; the state machine hears of it afterwards.
    fn fail(&mut self, id: ConnectionId, reason: &str) {
        match self.close(id, reason) {
            Some(Role::Scheduler) => self.ending = Some(Err(io::Error::other(format!("the scheduler: {reason}")))),
            Some(Role::Called { node, .. }) => self.events.push_back(Event::PeerUnreachable { node, reason: reason.into() }),
            Some(_) => self.events.push_back(Event::Disconnected { connection: id }),
            None => {}
        }
    }

    /// Connects to another store. This waits only if its backlog is full, that is, if it hangs.
    fn call(&mut self, node: NodeId, path: &str) {
        if let Some(earlier) = self.links.called(node) {
            self.close(earlier, "its address has changed");
        }
        let until = Instant::now() + LONGEST_SILENCE;
        let called = Connection::connect_within(Path::new(path), PEER_PATIENCE).and_then(|mut connection| {
            let role = control::Role::StorePeer { node: self.node };
            connection.send(&hello(role), Vec::new()).map_err(io::Error::other)?;
            connection.flush()?;
            self.links.add(&self.poller, connection, Role::Called { node, until })
        });
        if let Err(error) = called {
            self.events.push_back(Event::PeerUnreachable { node, reason: error.to_string() });
        }
    }

    /// Handles all that an ended process has sent, and closes. There may be no end to find: a child of it may hold the socket too.
    fn drain(&mut self, id: ConnectionId) {
        for _ in 0..READS_OF_LAST_WORDS {
            let Some(connection) = self.links.connection(id) else { return };
            let mut fds = [PollFd::new(connection, PollFlags::IN)];
            let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
            if !matches!(rustix::event::poll(&mut fds, Some(&at_once)), Ok(1..)) {
                break;
            }
            self.read(id);
        }
        self.end(id, "");
    }

    fn flush(&mut self, id: ConnectionId) {
        match self.links.flush(&self.poller, id) {
            Ok(true) => self.handle(Event::ChunksLeft { connection: id }),
            Ok(false) => {}
            // It has closed its end. What it sent before that is still to be read; reading finds the end.
            Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => self.read(id),
            Err(error) => self.end(id, &error.to_string()),
        }
    }

    fn now(&self) -> Time {
        Time::after(self.started.elapsed())
    }

    fn log(&mut self, text: &str) {
        self.log.line(Instant::now(), text);
    }
}

fn hello(role: control::Role) -> Vec<u8> {
    control::encode(&Hello { version: PROTOCOL_VERSION, pid: std::process::id() as i32, role })
}

const LISTENER: u64 = 0;
/// The first connection there is.
const SCHEDULER: ConnectionId = ConnectionId(super::links::FIRST_TOKEN);
/// How long a peer may take to say who it is.
const LONGEST_SILENCE: Duration = Duration::from_secs(5);
/// More than a cluster starts at once; then the others get their turn.
const ACCEPTS_AT_ONCE: usize = 64;
/// Of 256 KiB each: more than the kernel buffers, so that only a living sender reaches it.
const READS_OF_LAST_WORDS: usize = 64;
