//! Connections: who is at the other end, and what is on its way out.

use ray_core::objstore::ConnectionId;
use ray_io::{Connection, FrameError, Interest, Poller};
use ray_protocol::control::{self, FromStore, Hello, SchedulerToStore, ToStore};
use ray_protocol::{MAX_FRAME_BYTES, NodeId};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

/// Who is at the other end, which decides what may be said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Scheduler,
    /// Has connected and said nothing yet.
    Stranger {
        /// When it must have.
        until: Instant,
    },
    /// A driver, a worker or a tool.
    Client {
        pid: i32,
    },
    /// Another store, which pulls from here.
    Puller {
        pid: i32,
        /// Chunks were sent since the state machine was last told that all had left.
        chunks_on_the_way: bool,
    },
    /// Another store, which we called and which has not welcomed us yet.
    Called {
        node: NodeId,
        until: Instant,
    },
    /// Another store, from which we pull.
    Source {
        node: NodeId,
    },
}

/// A message, by the role of its sender.
#[derive(Debug)]
pub(super) enum Incoming {
    Hello(Hello),
    ToStore(ToStore, Vec<OwnedFd>),
    FromStore(FromStore),
    FromScheduler(SchedulerToStore),
}

#[derive(Debug)]
struct Link {
    connection: Connection,
    role: Role,
    /// The poller watches for room to write.
    watched_for_room: bool,
    /// Descriptors queued since the queue was last empty.
    descriptors: usize,
}

/// All open connections.
#[derive(Debug)]
pub(super) struct Links {
    links: BTreeMap<u64, Link>,
    next: u64,
    /// Those that have not said who they are, by the moment they must have.
    silent: BTreeSet<(Instant, u64)>,
    /// Those with something to flush in this round.
    dirty: BTreeSet<u64>,
}

impl Links {
    pub(super) fn new() -> Self {
        Links { links: BTreeMap::new(), next: FIRST_TOKEN, silent: BTreeSet::new(), dirty: BTreeSet::new() }
    }

    /// Takes a connection in and starts to watch it.
    pub(super) fn add(&mut self, poller: &Poller, mut connection: Connection, role: Role) -> io::Result<ConnectionId> {
        match role {
            Role::Stranger { .. } => {} // keeps the small limit it was born with
            Role::Scheduler => connection.set_limit(SCHEDULER_FRAME_BYTES),
            _ => connection.set_limit(MAX_FRAME_BYTES),
        }
        poller.add(connection.as_fd(), self.next, Interest::READ)?;
        let link = Link { connection, role, watched_for_room: false, descriptors: 0 };
        self.links.insert(self.next, link);
        self.silent.extend(role.silent_until().map(|until| (until, self.next)));
        self.next += 1;
        Ok(ConnectionId(self.next - 1))
    }

    /// Closes a connection and says who it was. What is queued goes out if there is room: the last words may explain the end.
    pub(super) fn remove(&mut self, poller: &Poller, id: ConnectionId) -> Option<Role> {
        let mut link = self.links.remove(&id.0)?;
        self.dirty.remove(&id.0);
        if let Some(until) = link.role.silent_until() {
            self.silent.remove(&(until, id.0));
        }
        let _ = link.connection.flush();
        let _ = poller.remove(link.connection.as_fd());
        Some(link.role)
    }

    pub(super) fn role(&self, id: ConnectionId) -> Option<Role> {
        self.links.get(&id.0).map(|link| link.role)
    }

    pub(super) fn connection(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.links.get_mut(&id.0).map(|link| &mut link.connection)
    }

    /// A peer said who it is.
    pub(super) fn introduce(&mut self, id: ConnectionId, role: Role) {
        if let Some(link) = self.links.get_mut(&id.0) {
            if let Some(until) = link.role.silent_until() {
                self.silent.remove(&(until, id.0));
            }
            link.role = role;
            link.connection.set_limit(MAX_FRAME_BYTES);
        }
    }

    /// The next message that has arrived; an error closes the connection.
    pub(super) fn next_message(&mut self, id: ConnectionId) -> Result<Option<Incoming>, String> {
        let Some(link) = self.links.get_mut(&id.0) else { return Ok(None) };
        let frame = link.connection.next_frame_ref().map_err(|error| error.to_string())?;
        let Some(frame) = frame else { return Ok(None) };
        let bytes = frame.payload;
        let message = match link.role {
            Role::Stranger { .. } => control::decode(bytes).map(Incoming::Hello),
            Role::Client { .. } | Role::Puller { .. } => {
                control::decode(bytes).map(|message| Incoming::ToStore(message, frame.fds))
            }
            Role::Called { .. } | Role::Source { .. } => control::decode(bytes).map(Incoming::FromStore),
            Role::Scheduler => control::decode(bytes).map(Incoming::FromScheduler),
        };
        message.map(Some).map_err(|error| error.to_string())
    }

    /// Queues a message. An error, which says that the peer takes up too much of us, closes the connection.
    pub(super) fn send(&mut self, id: ConnectionId, message: &impl Serialize, fds: Vec<OwnedFd>) -> Result<(), String> {
        let Some(link) = self.links.get_mut(&id.0) else { return Ok(()) };
        link.descriptors += fds.len();
        link.connection.send(&control::encode(message), fds).map_err(|error: FrameError| error.to_string())?;
        self.dirty.insert(id.0);
        if link.connection.queued_bytes() > MOST_QUEUED_BYTES {
            return Err(format!("it has not read {} bytes of answers", link.connection.queued_bytes()));
        }
        if link.descriptors > MOST_QUEUED_DESCRIPTORS {
            return Err(format!("it has not read answers with {} descriptors", link.descriptors));
        }
        Ok(())
    }

    /// Notes that a chunk is on its way to a puller.
    pub(super) fn note_chunk(&mut self, id: ConnectionId) {
        if let Some(Link { role: Role::Puller { chunks_on_the_way, .. }, .. }) = self.links.get_mut(&id.0) {
            *chunks_on_the_way = true;
        }
    }

    /// Those with something to flush; the list begins anew.
    pub(super) fn take_dirty(&mut self) -> BTreeSet<u64> {
        std::mem::take(&mut self.dirty)
    }

    /// Writes what the socket takes, watches for room if there was not enough, and says whether chunks have left.
    pub(super) fn flush(&mut self, poller: &Poller, id: ConnectionId) -> io::Result<bool> {
        let Some(link) = self.links.get_mut(&id.0) else { return Ok(false) };
        let empty = link.connection.flush()?;
        link.watch(poller, id.0, !empty)?;
        if !empty {
            return Ok(false);
        }
        link.descriptors = 0;
        Ok(match &mut link.role {
            Role::Puller { chunks_on_the_way, .. } => std::mem::take(chunks_on_the_way),
            _ => false,
        })
    }

    /// Leaves what became dirty while others were flushed to the next round, so that one fast reader cannot keep the loop for itself.
    pub(super) fn postpone_dirty(&mut self, poller: &Poller) -> io::Result<()> {
        for id in std::mem::take(&mut self.dirty) {
            if let Some(link) = self.links.get_mut(&id) {
                link.watch(poller, id, true)?;
            }
        }
        Ok(())
    }

    /// The peer that must speak first, and when.
    pub(super) fn first_silent(&self) -> Option<(Instant, ConnectionId)> {
        self.silent.first().map(|(until, id)| (*until, ConnectionId(*id)))
    }

    /// The peer that has been silent for longest, if there are as many of them as may be.
    pub(super) fn surplus(&self) -> Option<ConnectionId> {
        let first = self.silent.first().filter(|_| self.silent.len() >= MOST_SILENT)?;
        Some(ConnectionId(first.1))
    }

    /// The store of this node that we called and that has not answered yet.
    pub(super) fn called(&self, node: NodeId) -> Option<ConnectionId> {
        let called = |role: &Role| matches!(role, Role::Called { node: other, .. } if *other == node);
        self.links.iter().find(|(_, link)| called(&link.role)).map(|(id, _)| ConnectionId(*id))
    }
}

impl Role {
    /// When it must have said who it is, if it has not yet.
    fn silent_until(self) -> Option<Instant> {
        match self {
            Role::Stranger { until } | Role::Called { until, .. } => Some(until),
            Role::Scheduler | Role::Client { .. } | Role::Puller { .. } | Role::Source { .. } => None,
        }
    }
}

impl Link {
    fn watch(&mut self, poller: &Poller, token: u64, for_room: bool) -> io::Result<()> {
        if self.watched_for_room != for_room {
            let interest = if for_room { Interest::BOTH } else { Interest::READ };
            poller.modify(self.connection.as_fd(), token, interest)?;
            self.watched_for_room = for_room;
        }
        Ok(())
    }
}

/// Smaller tokens are the server's.
pub(super) const FIRST_TOKEN: u64 = 16;

/// The scheduler may free many objects at once; it is no stranger.
const SCHEDULER_FRAME_BYTES: usize = 64 << 20;

/// Peers that have not said who they are. When one more comes, the oldest goes: an honest one speaks at once.
const MOST_SILENT: usize = 256;

/// Answers a peer has not read. An honest one reads all the time; one that was stopped must not take the machine's memory.
const MOST_QUEUED_BYTES: usize = 64 << 20;

/// The same in descriptors, which are scarcer than bytes.
const MOST_QUEUED_DESCRIPTORS: usize = 1024;
