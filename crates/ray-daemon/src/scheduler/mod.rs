//! The `scheduler` daemon: carries frames to [`ray_core::scheduler::Scheduler`] and performs what it decides.
//!
//! It is the root of the cluster's process tree on this machine: it starts the object stores and the zygotes, is the subreaper of
//! everything they start, and at the end kills whatever is left below it and removes the session directory. One thread, one epoll; it
//! sleeps without a timeout when nothing is due.

mod children;
mod logs;
mod start;

use crate::log::Log;
use children::{Children, Part};
use logs::Logs;
use ray_core::Time;
use ray_core::scheduler::{Action, Event, Scheduler};
use ray_io::{Connection, Frame, FrameError, Interest, Listener, Poller, ReadStatus};
use ray_protocol::control::{self, FromScheduler, FromZygote, Hello, Role, ToScheduler};
use ray_protocol::value::Exit;
use ray_protocol::{ClientId, MAX_FRAME_BYTES, NodeId, PROTOCOL_VERSION};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

pub use start::{NodeStart, Start};

/// A connection that says nothing within this time is closed.
const HELLO_WAIT: Duration = Duration::from_secs(5);
/// Connections that have not said who they are; more are closed at once.
const MAX_STRANGERS: usize = 256;
/// A client that does not read this much of what it is told is closed: it hangs, and memory is not endless.
const MAX_QUEUED_BYTES: usize = 256 << 20;

const LISTENER: u64 = 0;
const TERMINATE: u64 = 1;
const OWNER: u64 = 2;
/// Tokens of connections begin here; those of log pipes have the top bit set.
const FIRST_CONNECTION: u64 = 16;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    Stranger(Instant),
    Client(ClientId),
    Zygote(NodeId),
    Store(NodeId),
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Peer::Stranger(_) => f.write_str("a stranger"),
            Peer::Client(client) => write!(f, "client {client}"),
            Peer::Zygote(node) => write!(f, "the zygote of node {node}"),
            Peer::Store(node) => write!(f, "the object store of node {node}"),
        }
    }
}

struct Link {
    connection: Connection,
    peer: Peer,
    wants_write: bool,
}

/// The daemon: everything around the state machine.
struct Daemon {
    core: Scheduler,
    started: Instant,
    poller: Poller,
    listener: Listener,
    links: BTreeMap<u64, Link>,
    next_token: u64,
    clients: BTreeMap<ClientId, u64>,
    zygotes: BTreeMap<NodeId, u64>,
    stores: BTreeMap<NodeId, u64>,
    /// The connection a client that joins just now has: the core numbers it, the next message to it is its welcome.
    joining: Option<u64>,
    /// Descriptors that came with the message being handled.
    carried: Vec<OwnedFd>,
    logs: Logs,
    children: Children,
    log: Log,
    /// Connections to close after the events of this round.
    doomed: VecDeque<(u64, String)>,
    ending: Option<String>,
    /// Kept open because they are watched: the self-pipe of signals, and the owner's pidfd.
    _watched: (UnixStream, OwnedFd),
}

/// Runs the daemon: `scheduler --session DIR`, with the listening socket as standard input and the cluster's description in `DIR/start`.
pub fn run(arguments: impl Iterator<Item = String>) -> ExitCode {
    match start::prepare(arguments).and_then(|prepared| Daemon::new(prepared)?.serve()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scheduler: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Daemon {
    fn new(prepared: start::Prepared) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(prepared.listener.as_fd(), LISTENER, Interest::READ)?;
        poller.add(prepared.terminate.as_fd(), TERMINATE, Interest::READ)?;
        poller.add(prepared.owner.as_fd(), OWNER, Interest::READ)?;
        let core = Scheduler::new(prepared.start.core_config(&prepared.session));
        let children = Children::start(&prepared)?;
        for (token, handle) in children.watched() {
            poller.add(handle, token, Interest::READ)?;
        }
        Ok(Daemon {
            core,
            started: Instant::now(),
            poller,
            listener: prepared.listener,
            links: BTreeMap::new(),
            next_token: FIRST_CONNECTION,
            clients: BTreeMap::new(),
            zygotes: BTreeMap::new(),
            stores: BTreeMap::new(),
            joining: None,
            carried: Vec::new(),
            logs: Logs::default(),
            children,
            log: Log::new(String::from("scheduler"), Instant::now()),
            doomed: VecDeque::new(),
            ending: None,
            _watched: (prepared.terminate, prepared.owner),
        })
    }

    fn now(&self) -> Time {
        Time::after(self.started.elapsed())
    }

    fn serve(mut self) -> io::Result<()> {
        let mut events = Vec::new();
        while self.ending.is_none() {
            self.poller.wait(&mut events, self.patience())?;
            for event in events.drain(..) {
                match event.token {
                    LISTENER => self.accept()?,
                    TERMINATE => self.ending = Some(String::from("it was told to terminate")),
                    // Not the end of its connection alone: a process it forked may hold that open, or it died before it connected.
                    OWNER => self.ending = Some(String::from("the driver that started it ended")),
                    token if children::is_newcomer(token) => self.newcomer_ended(token),
                    token if logs::is_log(token) => self.read_log(token, false),
                    token => self.connection_event(token, event.readable || event.hangup),
                }
            }
            if self.core.next_timeout().is_some_and(|due| due <= self.now()) {
                self.step(Event::Tick);
            }
            self.close_silent_strangers();
            self.close_doomed();
            self.flush_all();
            self.close_doomed();
        }
        self.end();
        Ok(())
    }

    /// How long nothing needs to be done if nothing arrives.
    fn patience(&self) -> Option<Duration> {
        let core = self.core.next_timeout().map(|due| due.since(self.now()));
        let now = Instant::now();
        let strangers = self.links.values().filter_map(|link| match link.peer {
            Peer::Stranger(since) => Some((since + HELLO_WAIT).saturating_duration_since(now)),
            Peer::Client(_) | Peer::Zygote(_) | Peer::Store(_) => None,
        });
        // A millisecond more, because the kernel's timeout may end a little early and the round would be empty.
        core.into_iter().chain(strangers).min().map(|wait| wait + Duration::from_millis(1))
    }

    fn accept(&mut self) -> io::Result<()> {
        while let Some(connection) = self.listener.accept()? {
            let strangers = self.links.values().filter(|link| matches!(link.peer, Peer::Stranger(_))).count();
            if strangers >= MAX_STRANGERS {
                continue; // dropped, which closes it
            }
            let token = self.next_token;
            self.next_token += 1;
            self.poller.add(connection.as_fd(), token, Interest::READ)?;
            self.links.insert(token, Link { connection, peer: Peer::Stranger(Instant::now()), wants_write: false });
        }
        Ok(())
    }

    fn connection_event(&mut self, token: u64, readable: bool) {
        let Some(link) = self.links.get_mut(&token) else { return };
        if !readable {
            return; // writable: flush_all does it
        }
        let status = link.connection.receive();
        loop {
            let Some(link) = self.links.get_mut(&token) else { return };
            match link.connection.next_frame() {
                Ok(Some(frame)) => {
                    if let Err(reason) = self.frame(token, frame) {
                        self.doomed.push_back((token, reason));
                        return;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    self.doomed.push_back((token, error.to_string()));
                    return;
                }
            }
        }
        match status {
            Ok(ReadStatus::Open) => {}
            Ok(ReadStatus::Closed) | Err(FrameError::Closed) => self.doomed.push_back((token, String::new())),
            Err(error) => self.doomed.push_back((token, error.to_string())),
        }
    }

    fn frame(&mut self, token: u64, frame: Frame) -> Result<(), String> {
        let peer = self.links[&token].peer;
        let malformed = |error: control::DecodeError| error.to_string();
        match peer {
            Peer::Stranger(_) => self.hello(token, control::decode(&frame.payload).map_err(malformed)?),
            Peer::Client(client) => {
                let message: ToScheduler = control::decode(&frame.payload).map_err(malformed)?;
                self.carried = frame.fds;
                self.step(Event::Client(client, message));
                self.carried.clear();
                Ok(())
            }
            Peer::Zygote(_) => {
                self.zygote_said(control::decode(&frame.payload).map_err(malformed)?, frame.fds);
                Ok(())
            }
            Peer::Store(node) => {
                self.step(Event::Store(node, control::decode(&frame.payload).map_err(malformed)?));
                Ok(())
            }
        }
    }

    fn hello(&mut self, token: u64, hello: Hello) -> Result<(), String> {
        if hello.version != PROTOCOL_VERSION {
            let reason = format!(
                "this cluster speaks protocol {PROTOCOL_VERSION}, process {} speaks {}: both need the same version of raio",
                hello.pid, hello.version
            );
            self.send_to(token, &FromScheduler::Refused { reason: reason.clone() }, Vec::new());
            return Err(reason);
        }
        let link = self.links.get_mut(&token).expect("the caller has it");
        link.connection.set_limit(MAX_FRAME_BYTES);
        let pid = link.connection.peer_pid().unwrap_or(hello.pid);
        match hello.role {
            Role::Driver { owner } => {
                let owner = owner && self.children.take_owner(pid);
                self.join(token, Event::DriverJoined { pid, owner })
            }
            Role::Worker { spawn } => self.join(token, Event::WorkerJoined { spawn, pid }),
            Role::Observer => self.join(token, Event::DriverJoined { pid, owner: false }),
            Role::Zygote { node } if self.children.take(Part::Zygote, node, pid) => {
                link.peer = Peer::Zygote(node);
                self.zygotes.insert(node, token);
                self.step(Event::ZygoteJoined { node });
                Ok(())
            }
            Role::Store { node, capacity_bytes } if self.children.take(Part::Store, node, pid) => {
                link.peer = Peer::Store(node);
                self.stores.insert(node, token);
                self.step(Event::StoreJoined { node, capacity_bytes });
                Ok(())
            }
            Role::Zygote { node } | Role::Store { node, .. } => {
                Err(format!("process {pid} wants to serve node {node}, and was not started for that"))
            }
            Role::StoreClient { .. } | Role::StorePeer { .. } => Err(String::from("a client of the store came to the scheduler")),
        }
    }

    /// A client joins: the core numbers it in its welcome, which is the first message it sends to anyone new.
    fn join(&mut self, token: u64, event: Event) -> Result<(), String> {
        self.joining = Some(token);
        self.step(event);
        match self.joining.take() {
            None => Ok(()),
            Some(_) => Err(String::from("a worker nobody asked for")),
        }
    }

    fn zygote_said(&mut self, message: FromZygote, fds: Vec<OwnedFd>) {
        match message {
            FromZygote::Spawned { spawn, pid } => {
                for (token, pipe) in self.logs.adopt(spawn, pid, fds) {
                    // A pipe that cannot be watched loses its output, nothing else.
                    let _ = self.poller.add(pipe, token, Interest::READ);
                }
            }
            FromZygote::Exited { spawn, code, signal } => {
                for token in self.logs.tokens(spawn) {
                    self.read_log(token, true);
                }
                let (pid, stderr_tail) = self.logs.last_words(spawn);
                self.step(Event::WorkerExited { spawn, exit: Exit { pid, code, signal, stderr_tail, note: String::new() } });
            }
        }
    }

    /// A part of a node ended before it connected: nobody else would notice.
    fn newcomer_ended(&mut self, token: u64) {
        if let Some((node, part)) = self.children.ended(token) {
            self.step(Event::NodeLost { node, reason: format!("{part} ended before it was ready") });
        }
    }

    fn read_log(&mut self, token: u64, last: bool) {
        let Some(lines) = self.logs.read(token, last) else { return };
        let drivers: Vec<u64> = self
            .links
            .iter()
            .filter_map(|(token, link)| matches!(link.peer, Peer::Client(_)).then_some(*token))
            .filter(|token| self.children.is_driver(*token))
            .collect();
        for driver in drivers {
            let queued = self.links[&driver].connection.queued_bytes();
            if let Some(message) = self.logs.message_for(driver, &lines, queued) {
                self.send_to(driver, &message, Vec::new());
            }
        }
    }

    /// One event through the state machine, and everything it wants done.
    fn step(&mut self, event: Event) {
        let now = self.now();
        let is_driver = matches!(event, Event::DriverJoined { .. });
        self.core.handle(now, event);
        #[cfg(debug_assertions)]
        self.core.validate();
        while let Some(action) = self.core.poll_action() {
            match action {
                Action::Client(client, message) => {
                    if let FromScheduler::Welcome { .. } = message
                        && let Some(token) = self.joining.take()
                    {
                        self.clients.insert(client, token);
                        if let Some(link) = self.links.get_mut(&token) {
                            link.peer = Peer::Client(client);
                        }
                        if is_driver {
                            self.children.note_driver(token);
                        }
                    }
                    self.send_client(client, &message, Vec::new());
                }
                Action::Relay(client, message) => {
                    let fds = std::mem::take(&mut self.carried);
                    self.send_client(client, &message, fds);
                }
                Action::Zygote(node, message) => {
                    if let Some(&token) = self.zygotes.get(&node) {
                        self.send_to(token, &message, Vec::new());
                    }
                }
                Action::Store(node, message) => {
                    if let Some(&token) = self.stores.get(&node) {
                        self.send_to(token, &message, Vec::new());
                    }
                }
                Action::Close { client, reason } => {
                    if let Some(&token) = self.clients.get(&client) {
                        self.doomed.push_back((token, reason));
                    }
                }
                Action::End { reason } => self.ending = Some(reason),
            }
        }
    }

    fn send_client(&mut self, client: ClientId, message: &FromScheduler, fds: Vec<OwnedFd>) {
        if let Some(&token) = self.clients.get(&client) {
            self.send_to(token, message, fds);
        }
    }

    fn send_to(&mut self, token: u64, message: &impl serde::Serialize, fds: Vec<OwnedFd>) {
        let Some(link) = self.links.get_mut(&token) else { return };
        if link.connection.queued_bytes() > MAX_QUEUED_BYTES {
            self.doomed.push_back((token, String::from("it does not read what it is told")));
        } else if let Err(error) = link.connection.send(&control::encode(message), fds) {
            self.doomed.push_back((token, error.to_string()));
        }
    }

    /// Writes what is queued for everyone; messages of one round leave in one system call per connection.
    fn flush_all(&mut self) {
        for (&token, link) in &mut self.links {
            if !link.connection.wants_write() && !link.wants_write {
                continue;
            }
            match link.connection.flush() {
                Ok(all) => {
                    if link.wants_write == all {
                        link.wants_write = !all;
                        let interest = if all { Interest::READ } else { Interest::BOTH };
                        let _ = self.poller.modify(link.connection.as_fd(), token, interest);
                    }
                }
                // The end of the connection shows when it is read, after what it still has to say.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    self.doomed.push_back((token, String::new()));
                }
                Err(error) => self.doomed.push_back((token, error.to_string())),
            }
        }
    }

    fn close_silent_strangers(&mut self) {
        let now = Instant::now();
        for (token, link) in &self.links {
            if matches!(link.peer, Peer::Stranger(since) if now.duration_since(since) >= HELLO_WAIT) {
                self.doomed.push_back((*token, String::from("it never said who it is")));
            }
        }
    }

    fn close_doomed(&mut self) {
        while let Some((token, reason)) = self.doomed.pop_front() {
            let Some(mut link) = self.links.remove(&token) else { continue };
            if !reason.is_empty() {
                self.log.line(Instant::now(), &format!("the connection of {} is closed: {reason}", link.peer));
                let _ = link.connection.flush();
            }
            let _ = self.poller.remove(link.connection.as_fd());
            self.children.forget_driver(token);
            match link.peer {
                Peer::Stranger(_) => {}
                Peer::Client(client) => {
                    self.clients.remove(&client);
                    self.step(Event::ClientGone(client));
                }
                Peer::Zygote(node) => {
                    self.zygotes.remove(&node);
                    self.step(Event::NodeLost { node, reason: format!("{} ended", Part::Zygote) });
                }
                Peer::Store(node) => {
                    self.stores.remove(&node);
                    self.step(Event::NodeLost { node, reason: format!("{} ended", Part::Store) });
                }
            }
        }
    }

    /// Tells everyone why, passes on the last output of workers, and takes the whole process tree down.
    fn end(&mut self) {
        let reason = self.ending.take().unwrap_or_default();
        for token in self.logs.all_tokens() {
            self.read_log(token, true);
        }
        let farewell = FromScheduler::Refused { reason: format!("The cluster ended: {reason}.") };
        for token in self.clients.values().copied().collect::<Vec<_>>() {
            self.send_to(token, &farewell, Vec::new());
        }
        self.flush_all();
        self.children.end();
    }
}
