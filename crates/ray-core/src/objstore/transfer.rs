//! Objects that travel between nodes.
//!
//! ```text
//! Fetch ─▶ AwaitingPeer ─ connected ─▶ AwaitingRoom ─ place found, Pull sent ─▶ Receiving ─ last chunk ─▶ an object like any other
//!               ▲                                                                  │ freed meanwhile
//!               └────────────── last chunk, and somebody asked again ───────── Discarding
//! ```
//!
//! One transfer per object runs, however many clients wait for it. Each store connects to those it pulls from; a connection is used one
//! way only, so two stores that connect to each other at once need no tie to be broken. The sending side serves the pulls of one connection in
//! order, and has at most [`WINDOW`] chunks of it on their way out.
//!
//! What a location says about another store's memory is believed by nobody: the sender looks the object up in its own table, the
//! receiver writes where it chose to.

use super::{Action, Claimant, CloseReason, ConnectionId, Deadline, ObjectStore, Writer};
use super::{budget::LARGEST_SEGMENT_BYTES, space::Space, space::block_bytes};
use crate::Time;
use core::time::Duration;
use ray_protocol::control::{FromStore, NotFetched, StoreToScheduler};
use ray_protocol::{Location, NodeId, ObjectId, SegmentId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A store to pull from.
#[derive(Debug)]
pub(super) struct Peer {
    path: String,
    pub(super) link: Link,
}

/// How far the connection to it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Link {
    /// Nobody needed it yet, or it was lost.
    Idle,
    /// Asked for.
    Connecting,
    /// There.
    Ready(ConnectionId),
}

/// An object on its way here.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) from: Location,
    /// The clients to tell.
    pub(super) waiters: BTreeSet<ConnectionId>,
    pub(super) stage: Stage,
}

/// How far a transfer is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    /// No connection to the store that has it yet.
    AwaitingPeer,
    /// No place for it yet.
    AwaitingRoom {
        /// The claim that waits.
        claim: u64,
    },
    /// Chunks come.
    Receiving {
        connection: ConnectionId,
        /// Where it is put.
        at: Location,
        /// How much is there.
        received: u64,
    },
    /// Chunks come, and nobody wants them. A fetch of the object starts when they have come, so that the two cannot be mixed up.
    Discarding { connection: ConnectionId },
}

/// A store that pulls from here.
#[derive(Debug)]
pub(super) struct ServedPeer {
    /// What it asked for, in order; the first is being sent.
    queue: VecDeque<Sending>,
    /// What it asked for and is not sealed yet, with the size it expects.
    pub(super) awaiting: BTreeMap<ObjectId, u64>,
    /// Chunks that may still be sent before the loop says that the earlier ones have left.
    window: u32,
}

#[derive(Debug)]
struct Sending {
    object: ObjectId,
    location: Location,
    sent: u64,
}

impl Default for ServedPeer {
    fn default() -> Self {
        ServedPeer { queue: VecDeque::new(), awaiting: BTreeMap::new(), window: WINDOW }
    }
}

impl ServedPeer {
    pub(super) fn window_left(&self) -> u32 {
        self.window
    }

    /// Whether nothing but the window keeps it from sending more.
    pub(super) fn stalled_only_by_window(&self) -> bool {
        self.queue.is_empty() || self.window == 0
    }
}

/// Receiving.
impl ObjectStore {
    pub(super) fn fetch(
        &mut self,
        now: Time,
        connection: ConnectionId,
        object: ObjectId,
        from: Location,
    ) -> Result<(), CloseReason> {
        if from.size_bytes == 0 || from.size_bytes > LARGEST_SEGMENT_BYTES {
            return Err(CloseReason::BadSize { segment: from.segment, size_bytes: from.size_bytes });
        }
        if let Some(location) = self.objects.get(&object).and_then(|places| places.last()) {
            let outcome = Ok(*location);
            self.send(connection, FromStore::Fetched { object, outcome });
            return Ok(());
        }
        let client = self.clients.get_mut(&connection).expect("only clients fetch");
        let refusal = if from.node == self.node {
            Some(format!("object {object} is not in the store of node {}: it was freed, or never written", self.node))
        } else if client.fetching.len() >= MOST_WAITING {
            Some(format!("this process waits for {MOST_WAITING} objects from other nodes already"))
        } else {
            None
        };
        if let Some(reason) = refusal {
            self.send(connection, FromStore::Fetched { object, outcome: Err(NotFetched::Lost(reason)) });
            return Ok(());
        }
        client.fetching.insert(object);
        if let Some(transfer) = self.transfers.get_mut(&object) {
            transfer.waiters.insert(connection);
        } else {
            let waiters = BTreeSet::from([connection]);
            self.transfers.insert(object, Transfer { from, waiters, stage: Stage::AwaitingPeer });
            self.seek_peer(now, object, from);
        }
        Ok(())
    }

    /// First step: a connection.
    fn seek_peer(&mut self, now: Time, object: ObjectId, from: Location) {
        let node = from.node;
        match self.peers.get_mut(&node) {
            // A client may hear of a node before we do.
            None => {
                self.deadlines.insert((now.plus(LONGEST_UNKNOWN), Deadline::UnknownPeer(node)));
            }
            Some(peer) => match peer.link {
                Link::Idle => {
                    peer.link = Link::Connecting;
                    self.actions.push_back(Action::ConnectPeer { node, path: peer.path.clone() });
                }
                Link::Connecting => {}
                Link::Ready(_) => self.seek_room(now, object, from),
            },
        }
    }

    /// Second step: a place.
    fn seek_room(&mut self, now: Time, object: ObjectId, from: Location) {
        let block = block_bytes(from.size_bytes).unwrap_or(u64::MAX);
        if block > self.capacity_bytes {
            let report = self.full_report(block);
            self.no_room_for(object, &report);
        } else if let Some(at) = self.own_space(from.size_bytes) {
            self.begin_pull(object, at);
        } else {
            let claim = self.add_claim(now, Claimant::Copy { object }, block);
            self.transfers.get_mut(&object).expect("a transfer seeks room").stage = Stage::AwaitingRoom { claim };
        }
    }

    /// Third step: the bytes.
    pub(super) fn begin_pull(&mut self, object: ObjectId, at: Location) {
        let transfer = self.transfers.get_mut(&object).expect("room was found for a transfer");
        let from = transfer.from;
        let Some(Link::Ready(connection)) = self.peers.get(&from.node).map(|peer| peer.link) else {
            unreachable!("a lost link ends its transfers");
        };
        transfer.stage = Stage::Receiving { connection, at, received: 0 };
        self.actions.push_back(Action::Pull { to: connection, object, from });
    }

    pub(super) fn peer_message(&mut self, now: Time, connection: ConnectionId, message: FromStore) -> Result<(), CloseReason> {
        if !self.links.contains_key(&connection) {
            return Ok(()); // closed a moment ago
        }
        match message {
            FromStore::Chunk { object, offset, bytes, last } => self.chunk(now, connection, object, offset, bytes, last),
            FromStore::PullFailed { object, reason } => self.pull_failed(now, connection, object, &reason),
            _ => Err(CloseReason::NotForThisRole),
        }
    }

    fn chunk(
        &mut self,
        now: Time,
        connection: ConnectionId,
        object: ObjectId,
        offset: u64,
        bytes: Vec<u8>,
        last: bool,
    ) -> Result<(), CloseReason> {
        let size_bytes = bytes.len() as u64;
        let bad = CloseReason::BadChunk { object, offset, size_bytes };
        let Some(transfer) = self.transfers.get_mut(&object) else { return Err(bad) };
        match &mut transfer.stage {
            Stage::Receiving { connection: link, at, received } if *link == connection => {
                let at = *at;
                let whole = size_bytes == at.size_bytes - *received;
                if offset != *received || size_bytes == 0 || size_bytes > at.size_bytes - *received || last != whole {
                    return Err(bad);
                }
                *received += size_bytes;
                self.actions.push_back(Action::Write { segment: at.segment, offset: at.offset + offset, bytes });
                if last {
                    self.arrived(object, at);
                }
                Ok(())
            }
            Stage::Discarding { connection: link } if *link == connection => {
                if last {
                    self.discarded(now, object);
                }
                Ok(())
            }
            Stage::AwaitingPeer | Stage::AwaitingRoom { .. } | Stage::Receiving { .. } | Stage::Discarding { .. } => Err(bad),
        }
    }

    /// The last chunk is here: from now on the copy is an object like any other.
    fn arrived(&mut self, object: ObjectId, at: Location) {
        let transfer = self.transfers.remove(&object).expect("its last chunk just came");
        self.fetched += 1;
        self.add_object(object, at);
        self.actions.push_back(Action::Tell(StoreToScheduler::Copied { object, at }));
        self.answer(object, transfer.waiters, Ok(at));
    }

    fn pull_failed(&mut self, now: Time, connection: ConnectionId, object: ObjectId, reason: &str) -> Result<(), CloseReason> {
        match self.transfers.get(&object).map(|transfer| transfer.stage) {
            Some(Stage::Receiving { connection: link, .. }) if link == connection => self.fail_transfer(object, reason),
            Some(Stage::Discarding { connection: link }) if link == connection => self.discarded(now, object),
            Some(Stage::AwaitingPeer | Stage::AwaitingRoom { .. } | Stage::Receiving { .. } | Stage::Discarding { .. }) | None => {
                return Err(CloseReason::BadChunk { object, offset: 0, size_bytes: 0 });
            }
        }
        Ok(())
    }

    /// What nobody wanted has come. Whoever asked for the object meanwhile gets a transfer of its own.
    fn discarded(&mut self, now: Time, object: ObjectId) {
        let Some(transfer) = self.transfers.get_mut(&object) else { return };
        if transfer.waiters.is_empty() {
            self.transfers.remove(&object);
        } else {
            transfer.stage = Stage::AwaitingPeer;
            let from = transfer.from;
            self.seek_peer(now, object, from);
        }
    }

    /// Ends a transfer of which no chunk will come.
    pub(super) fn fail_transfer(&mut self, object: ObjectId, reason: &str) {
        self.end_transfer(object, reason, NotFetched::Lost);
    }

    /// Ends a transfer for which there is no place.
    pub(super) fn no_room_for(&mut self, object: ObjectId, report: &str) {
        self.end_transfer(object, report, NotFetched::Full);
    }

    fn end_transfer(&mut self, object: ObjectId, reason: &str, kind: fn(String) -> NotFetched) {
        let Some(transfer) = self.transfers.remove(&object) else { return };
        match transfer.stage {
            Stage::AwaitingRoom { claim } => drop(self.remove_claim(claim)),
            Stage::Receiving { at, .. } => self.free_own_space(at),
            Stage::AwaitingPeer | Stage::Discarding { .. } => {}
        }
        let text = format!("object {object} could not be copied from node {}: {reason}", transfer.from.node);
        self.answer(object, transfer.waiters, Err(kind(text)));
    }

    /// Ends a transfer for those who wait, though chunks may still come. False if there is none.
    pub(super) fn abandon_transfer(&mut self, object: ObjectId, reason: &str) -> bool {
        let Some(transfer) = self.transfers.get_mut(&object) else { return false };
        match transfer.stage {
            Stage::Receiving { connection, at, .. } => {
                transfer.stage = Stage::Discarding { connection };
                let waiters = core::mem::take(&mut transfer.waiters);
                self.free_own_space(at);
                self.answer(object, waiters, Err(NotFetched::Lost(format!("object {object} could not be copied: {reason}"))));
            }
            Stage::Discarding { .. } => {
                let waiters = core::mem::take(&mut transfer.waiters);
                self.answer(object, waiters, Err(NotFetched::Lost(format!("object {object} could not be copied: {reason}"))));
            }
            Stage::AwaitingPeer | Stage::AwaitingRoom { .. } => self.fail_transfer(object, reason),
        }
        true
    }

    fn answer(&mut self, object: ObjectId, waiters: BTreeSet<ConnectionId>, outcome: Result<Location, NotFetched>) {
        for waiter in waiters {
            if let Some(client) = self.clients.get_mut(&waiter) {
                client.fetching.remove(&object);
                self.send(waiter, FromStore::Fetched { object, outcome: outcome.clone() });
            }
        }
    }

    // ---- the stores to pull from

    /// Where the other stores listen; replaces what was known.
    pub(super) fn set_peers(&mut self, now: Time, peers: Vec<(NodeId, String)>) {
        let mut new: BTreeMap<NodeId, String> = peers.into_iter().filter(|(node, _)| *node != self.node).collect();
        let changed: Vec<NodeId> =
            self.peers.iter().filter(|(node, peer)| new.get(node) != Some(&peer.path)).map(|(node, _)| *node).collect();
        for node in changed {
            if let Some(Peer { link: Link::Ready(connection), .. }) = self.peers.get(&node) {
                self.close(*connection, CloseReason::PeerMoved);
            } else {
                self.peer_lost(node, "its store has left the cluster or listens elsewhere now");
            }
            self.peers.remove(&node);
        }
        new.retain(|node, _| !self.peers.contains_key(node));
        for (node, path) in new {
            self.peers.insert(node, Peer { path, link: Link::Idle });
            for (object, from) in self.transfers_from(node) {
                self.seek_peer(now, object, from);
            }
        }
    }

    pub(super) fn peer_reached(&mut self, now: Time, node: NodeId, connection: ConnectionId) {
        match self.peers.get_mut(&node) {
            Some(peer) if peer.link == Link::Connecting => {
                peer.link = Link::Ready(connection);
                self.links.insert(connection, node);
                for (object, from) in self.transfers_from(node) {
                    self.seek_room(now, object, from);
                }
            }
            Some(_) | None => self.close(connection, CloseReason::PeerMoved),
        }
    }

    /// The store of that node cannot be reached, or not any more. The next fetch tries again.
    pub(super) fn peer_lost(&mut self, node: NodeId, reason: &str) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        if let Link::Ready(connection) = core::mem::replace(&mut peer.link, Link::Idle) {
            self.links.remove(&connection);
        }
        for (object, _) in self.transfers_from(node) {
            self.fail_transfer(object, reason);
        }
    }

    pub(super) fn peer_stayed_unknown(&mut self, node: NodeId) {
        if !self.peers.contains_key(&node) {
            for (object, _) in self.transfers_from(node) {
                self.fail_transfer(object, "this store knows no such node");
            }
        }
    }

    fn transfers_from(&self, node: NodeId) -> Vec<(ObjectId, Location)> {
        let here = self.transfers.iter().filter(|(_, transfer)| transfer.from.node == node);
        here.map(|(object, transfer)| (*object, transfer.from)).collect()
    }

    // ---- the store's own segments

    /// A place for a copy, in a new segment if need be and if the budget allows it.
    pub(super) fn own_space(&mut self, size_bytes: u64) -> Option<Location> {
        for (id, space) in &mut self.own {
            if let Some(offset) = space.allocate(size_bytes) {
                return Some(Location { node: self.node, segment: *id, offset, size_bytes });
            }
        }
        let least = block_bytes(size_bytes)?;
        let growth = [least.max(GROWTH_BYTES), least].into_iter().find(|growth| self.fits(*growth))?;
        let segment = SegmentId::of_store(self.node, self.next_own);
        self.next_own = self.next_own.checked_add(1)?;
        self.count_segment(segment, growth, Writer::Store);
        self.actions.push_back(Action::CreateSegment { segment, size_bytes: growth });
        let mut space = Space::new(growth);
        let offset = space.allocate(size_bytes).expect("the segment was made big enough");
        self.own.insert(segment, space);
        Some(Location { node: self.node, segment, offset, size_bytes })
    }

    /// An empty segment goes at once: making another costs microseconds, and memory held for nothing is worse.
    pub(super) fn free_own_space(&mut self, at: Location) {
        let space = self.own.get_mut(&at.segment).expect("copies lie in the store's own segments");
        space.free(at.offset, at.size_bytes);
        self.released = true;
        if space.is_empty() {
            self.own.remove(&at.segment);
            self.drop_segment(at.segment);
        }
    }

    pub(super) fn own_segment_failed(&mut self, segment: SegmentId, reason: &str) {
        let inside = |stage: &Stage| matches!(stage, Stage::Receiving { at, .. } if at.segment == segment);
        let lost: Vec<ObjectId> =
            self.transfers.iter().filter(|(_, transfer)| inside(&transfer.stage)).map(|(object, _)| *object).collect();
        for object in lost {
            self.abandon_transfer(object, reason);
        }
    }
}

/// Sending.
impl ObjectStore {
    pub(super) fn pull(
        &mut self,
        now: Time,
        connection: ConnectionId,
        object: ObjectId,
        from: Location,
    ) -> Result<(), CloseReason> {
        let peer = self.served.get_mut(&connection).expect("only peers pull");
        if peer.queue.len() + peer.awaiting.len() >= MOST_WAITING {
            self.refuse_pull(connection, object, "too many objects are waiting to be sent already");
        } else if self.objects.contains_key(&object) {
            self.enqueue(connection, object, from.size_bytes);
        } else if matches!(self.segments.get(&from.segment), Some(segment) if matches!(segment.writer, Writer::Client(_))) {
            // Its writer lives, so the announcement may still be in its socket.
            peer.awaiting.insert(object, from.size_bytes);
            self.awaited.entry(object).or_default().insert(connection);
            self.deadlines.insert((now.plus(LONGEST_UNSEALED), Deadline::Pull(object, connection)));
        } else {
            self.refuse_pull(connection, object, NOT_HERE);
        }
        Ok(())
    }

    /// The object is sealed: whoever waited for that is served.
    pub(super) fn serve_awaited(&mut self, object: ObjectId) {
        for connection in self.awaited.remove(&object).unwrap_or_default() {
            let peer = self.served.get_mut(&connection).expect("those who wait are connected");
            let size_bytes = peer.awaiting.remove(&object).expect("both sides know of the wait");
            self.enqueue(connection, object, size_bytes);
        }
    }

    /// The deadline may be one of an earlier wait for the same object; then this wait ends early, which is rare and no harm.
    pub(super) fn pull_expired(&mut self, object: ObjectId, connection: ConnectionId) {
        let Some(waiting) = self.awaited.get_mut(&object) else { return };
        if waiting.remove(&connection) {
            if waiting.is_empty() {
                self.awaited.remove(&object);
            }
            self.served.get_mut(&connection).expect("those who wait are connected").awaiting.remove(&object);
            self.refuse_pull(connection, object, NOT_HERE);
        }
    }

    /// After a peer's end.
    pub(super) fn stop_awaiting(&mut self, connection: ConnectionId, peer: ServedPeer) {
        for object in peer.awaiting.keys() {
            if let Some(waiting) = self.awaited.get_mut(object) {
                waiting.remove(&connection);
                if waiting.is_empty() {
                    self.awaited.remove(object);
                }
            }
        }
    }

    fn enqueue(&mut self, connection: ConnectionId, object: ObjectId, expected_bytes: u64) {
        let location = self.objects.get(&object).and_then(|places| places.iter().rfind(|place| place.size_bytes == expected_bytes));
        let Some(&location) = location else {
            return self.refuse_pull(connection, object, "it has another size there, or was freed");
        };
        let peer = self.served.get_mut(&connection).expect("only peers are served");
        peer.queue.push_back(Sending { object, location, sent: 0 });
        self.send_chunks(connection);
    }

    /// Sends what the window allows. Reading happens when the action is carried out, before any later event can free the object.
    fn send_chunks(&mut self, connection: ConnectionId) {
        let Some(peer) = self.served.get_mut(&connection) else { return };
        while peer.window > 0
            && let Some(sending) = peer.queue.front_mut()
        {
            let Sending { object, location, sent } = *sending;
            if !self.objects.get(&object).is_some_and(|places| places.contains(&location)) {
                peer.queue.pop_front();
                let reason = "it was freed while it was sent".into();
                let message = FromStore::PullFailed { object, reason };
                self.actions.push_back(Action::Send { to: connection, message, descriptor_of: None });
                continue;
            }
            let size_bytes = (location.size_bytes - sent).min(CHUNK_BYTES);
            let last = sent + size_bytes == location.size_bytes;
            sending.sent += size_bytes;
            peer.window -= 1;
            self.actions.push_back(Action::SendChunk { to: connection, object, location, offset: sent, size_bytes, last });
            if last {
                peer.queue.pop_front();
            }
        }
    }

    pub(super) fn chunks_left(&mut self, connection: ConnectionId) {
        if let Some(peer) = self.served.get_mut(&connection) {
            peer.window = WINDOW;
            self.send_chunks(connection);
        }
    }

    /// Later chunks of the object may be on their way already, and the receiver would not expect them: so the whole connection goes.
    pub(super) fn chunk_unreadable(&mut self, connection: ConnectionId, object: ObjectId, reason: String) {
        if self.served.contains_key(&connection) {
            self.close(connection, CloseReason::Unreadable { object, reason });
        }
    }

    fn refuse_pull(&mut self, connection: ConnectionId, object: ObjectId, reason: &str) {
        self.send(connection, FromStore::PullFailed { object, reason: reason.into() });
    }
}

/// Fits a control frame with room to spare; large enough that its system call does not count.
pub const CHUNK_BYTES: u64 = 512 << 10;

/// Chunks of one connection on their way out: 4 MiB, which keeps a socket busy while the loop serves others.
pub(super) const WINDOW: u32 = 8;

/// Own segments grow by at least this, so that a thousand small copies do not cost every reader a thousand mappings.
const GROWTH_BYTES: u64 = 8 << 20;

/// Fetches a client, or pulls a peer, may have open.
const MOST_WAITING: usize = 1 << 17;

/// How long the scheduler may take to tell us of a node that a client knows already.
const LONGEST_UNKNOWN: Duration = Duration::from_secs(2);

/// How long a sealed object's announcement may take to get here, once its location got to another node.
const LONGEST_UNSEALED: Duration = Duration::from_secs(1);

const NOT_HERE: &str = "it is not in that store: it was freed, or its writer ended before it was complete";
