//! An object store's decisions: which segments may exist, which objects are alive, who must give memory back, and how an object
//! gets here from another node.
//!
//! The store never touches object bytes on behalf of its clients. A client writes objects into segments of its own and tells the store;
//! readers get the segment's descriptor and read by themselves. What the store owns is the *count*: every byte of every segment is
//! counted against the budget before it exists. Only copies of objects from other nodes lie in segments the store writes itself.
//!
//! A segment's life ([`budget`] and here):
//!
//! ```text
//!            fits                  descriptor              writer ends, objects left
//!  Reserve ────────▶ counted ─────────────────▶ registered ─────────────────────────▶ orphaned
//!     │                 │ writer ends,             │ writer drops it,                   │ last object freed
//!     │ too big         │ or drops it              │ or ends without objects            │
//!     ▼                 ▼                          ▼                                    ▼
//!  waits ≤ 200 ms,    gone                       gone                                 gone   (readers hear SegmentGone)
//!  then Full
//! ```
//!
//! Messages about one object come over several connections, which have no order among each other. So an object may be freed
//! before it is announced ([`EarlyFrees`]), its segment may be asked for before it is registered (the answer waits), and another
//! store may pull it before it is sealed (the pull waits, see [`transfer`]).
//!
//! Reliable invariants, checked by [`ObjectStore::validate`]: memory counted never exceeds the budget; an object lies in a registered
//! segment; an orphaned segment holds an object; at most one transfer per object runs.
//!
//! It must not know descriptors, mappings or sockets: the event loop in `ray-daemon` keeps those, under the ids used here.

mod budget;
mod early_frees;
mod reason;
mod space;
#[cfg(test)]
mod tests;
mod transfer;
mod validate;

use crate::Time;
use budget::{Claim, Claimant};
use early_frees::EarlyFrees;
use hashbrown::HashMap;
use ray_protocol::control::{FromStore, SchedulerToStore, StoreStats, StoreToScheduler, ToStore};
use ray_protocol::{ClientId, Location, NodeId, ObjectId, SegmentId};
use space::Space;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use transfer::{Peer, ServedPeer, Transfer};

pub use reason::CloseReason;
pub use transfer::CHUNK_BYTES;

/// One connection, numbered by the event loop and never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(pub u64);

/// What happened.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// A driver or worker said hello.
    ClientConnected {
        /// Its connection.
        connection: ConnectionId,
        /// Who it says it is.
        client: ClientId,
        /// Its process, for reports.
        pid: i32,
    },
    /// A tool that only asks said hello.
    ObserverConnected {
        /// Its connection.
        connection: ConnectionId,
    },
    /// Another store connected, to pull objects from here.
    PeerConnected {
        /// Its connection.
        connection: ConnectionId,
    },
    /// A message on one of the connections above.
    Message {
        /// Where it came from.
        connection: ConnectionId,
        /// What it says. For [`ToStore::Register`] see [`Event::SegmentArrived`].
        message: ToStore,
    },
    /// A [`ToStore::Register`] whose descriptor is a sealed segment. It becomes the store's with [`Action::KeepSegment`]; without that
    /// action it is to be closed.
    SegmentArrived {
        /// Where it came from.
        connection: ConnectionId,
        /// Its announced id.
        segment: SegmentId,
        /// Its real size.
        size_bytes: u64,
    },
    /// A connection ended; all it had sent was handled before.
    Disconnected {
        /// Which. One the store closed itself, or never heard of, is no harm.
        connection: ConnectionId,
    },
    /// A message from the scheduler.
    FromScheduler(SchedulerToStore),
    /// [`Action::ConnectPeer`] worked: the other store welcomed us.
    PeerReached {
        /// The other store's node.
        node: NodeId,
        /// The new connection.
        connection: ConnectionId,
    },
    /// [`Action::ConnectPeer`] did not work.
    PeerUnreachable {
        /// The other store's node.
        node: NodeId,
        /// Why.
        reason: String,
    },
    /// A message on a connection made by [`Action::ConnectPeer`].
    FromPeer {
        /// Which connection.
        connection: ConnectionId,
        /// What it says.
        message: FromStore,
    },
    /// All chunks sent so far to a store that pulls from here have left this process.
    ChunksLeft {
        /// Its connection.
        connection: ConnectionId,
    },
    /// [`Action::SendChunk`] could not be done.
    ChunkUnreadable {
        /// Where it should have gone.
        connection: ConnectionId,
        /// Of which object.
        object: ObjectId,
        /// Why.
        reason: String,
    },
    /// [`Action::CreateSegment`] could not be done.
    SegmentFailed {
        /// Which.
        segment: SegmentId,
        /// Why.
        reason: String,
    },
    /// The moment [`ObjectStore::next_timeout`] named has come.
    TimePassed,
}

/// What to do. Actions are carried out in order, all of them before the next event is handled.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// Send a message to a client, an observer or a store that pulls from here.
    Send {
        /// To whom.
        to: ConnectionId,
        /// What.
        message: FromStore,
        /// The segment whose descriptor goes with it.
        descriptor_of: Option<SegmentId>,
    },
    /// Send a message over a connection made by [`Action::ConnectPeer`].
    Pull {
        /// To whom.
        to: ConnectionId,
        /// The object wanted.
        object: ObjectId,
        /// Where it lies there.
        from: Location,
    },
    /// Read a piece of a sealed object and send it as [`FromStore::Chunk`].
    SendChunk {
        /// To whom.
        to: ConnectionId,
        /// Of which object.
        object: ObjectId,
        /// Where the whole object lies, in our memory and our own word for it.
        location: Location,
        /// Where in the object the piece begins.
        offset: u64,
        /// Its length.
        size_bytes: u64,
        /// Whether the object ends with it.
        last: bool,
    },
    /// Tell the scheduler.
    Tell(StoreToScheduler),
    /// Close a connection; there will be no word of it any more.
    Close {
        /// Which.
        connection: ConnectionId,
        /// Why, for the log.
        reason: CloseReason,
    },
    /// The process behind this connection has ended, though a copy of its socket may live on in a child of it. Handle what it sent,
    /// close the connection, and report [`Event::Disconnected`].
    Drain {
        /// Which.
        connection: ConnectionId,
    },
    /// Connect to another store; answered by [`Event::PeerReached`] or [`Event::PeerUnreachable`].
    ConnectPeer {
        /// The other store's node.
        node: NodeId,
        /// Where it listens.
        path: String,
    },
    /// The descriptor that came with the event being handled is this segment's.
    KeepSegment {
        /// Which.
        segment: SegmentId,
    },
    /// Make a segment of the store's own.
    CreateSegment {
        /// Its id.
        segment: SegmentId,
        /// Its size.
        size_bytes: u64,
    },
    /// Write into a segment of the store's own.
    Write {
        /// Which.
        segment: SegmentId,
        /// Where.
        offset: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// Close a segment's descriptor and mapping.
    DropSegment {
        /// Which.
        segment: SegmentId,
    },
}

/// One node's object store. Drive it as [`crate`] says: `handle`, then `poll_action` until it says none; `next_timeout` names the moment at
/// which it wants [`Event::TimePassed`].
#[derive(Debug)]
pub struct ObjectStore {
    node: NodeId,
    capacity_bytes: u64,
    /// Sizes of all segments, counted from Reserve on.
    reserved_bytes: u64,
    /// Sizes of all objects.
    used_bytes: u64,
    /// Copies completed since the start.
    fetched: u64,
    segments: BTreeMap<SegmentId, Segment>,
    /// Where each object lies. More than one place when two attempts at a task both got as far as sealing its result: readers of the
    /// first may exist, so both stay until the object is freed. The last is the one to hand out.
    objects: HashMap<ObjectId, Vec<Location>>,
    /// What each owner's objects come to, for reports.
    holdings: BTreeMap<ClientId, Holding>,
    clients: BTreeMap<ConnectionId, Client>,
    by_client: BTreeMap<ClientId, ConnectionId>,
    observers: BTreeSet<ConnectionId>,
    /// What the scheduler said of clients that are gone, until their last words have been read: their objects that others know.
    bequests: BTreeMap<ClientId, Vec<ObjectId>>,
    /// Clients that are gone, each with its objects that others know and that are not here: a worker may still seal a result of theirs.
    gone: BTreeMap<ClientId, BTreeSet<ObjectId>>,
    early_frees: EarlyFrees,

    /// Requests for memory that did not fit, in order of arrival.
    claims: BTreeMap<u64, Claim>,
    next_claim: u64,
    /// Memory or own space came back in this round: look at the claims.
    released: bool,

    /// Stores that pull from here.
    served: BTreeMap<ConnectionId, ServedPeer>,
    /// Pulls of objects not sealed yet.
    awaited: BTreeMap<ObjectId, BTreeSet<ConnectionId>>,
    /// Stores to pull from.
    peers: BTreeMap<NodeId, Peer>,
    /// Open connections to them.
    links: BTreeMap<ConnectionId, NodeId>,
    /// Objects on their way here.
    transfers: BTreeMap<ObjectId, Transfer>,
    /// The free space of the segments that hold copies.
    own: BTreeMap<SegmentId, Space>,
    next_own: u32,

    deadlines: BTreeSet<(Time, Deadline)>,
    /// What each writer is to hear at the end of this round: one message however many objects.
    freed: BTreeMap<ConnectionId, Vec<(ObjectId, Location)>>,
    /// Who is to be asked for empty segments at the end of this round.
    trims: BTreeSet<ConnectionId>,
    actions: VecDeque<Action>,
}

/// A connected driver or worker.
#[derive(Debug)]
struct Client {
    id: ClientId,
    pid: i32,
    /// Segments it writes, counted or registered.
    segments: BTreeSet<SegmentId>,
    /// Its requests that wait for memory: the claim's number by the segment's id.
    waiting: BTreeMap<SegmentId, u64>,
    /// Segments it mapped, or waits to map.
    reading: BTreeSet<SegmentId>,
    /// Transfers it waits for.
    fetching: BTreeSet<ObjectId>,
}

/// A segment, from the moment it is counted.
#[derive(Debug)]
struct Segment {
    size_bytes: u64,
    writer: Writer,
    /// Its descriptor is here.
    registered: bool,
    /// Sizes of its objects.
    live_bytes: u64,
    /// Number of its objects.
    live_objects: u64,
    /// Connections that asked for it: they have it if it is registered, and get it as soon as it is if not.
    readers: BTreeSet<ConnectionId>,
}

/// Who may put objects into a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Writer {
    /// The client of this connection.
    Client(ConnectionId),
    /// Nobody any more.
    Gone,
    /// This store: copies of objects from other nodes.
    Store,
}

/// The objects of one owner.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Holding {
    objects: u64,
    bytes: u64,
}

/// What ends at some moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Deadline {
    /// The wait of a claim.
    Claim(u64),
    /// The wait of a pull for its object to be sealed.
    Pull(ObjectId, ConnectionId),
    /// The wait for the scheduler to say where a node's store listens.
    UnknownPeer(NodeId),
}

impl ObjectStore {
    /// An empty store.
    pub fn new(node: NodeId, capacity_bytes: u64) -> Self {
        ObjectStore {
            node,
            capacity_bytes,
            reserved_bytes: 0,
            used_bytes: 0,
            fetched: 0,
            segments: BTreeMap::new(),
            objects: HashMap::new(),
            holdings: BTreeMap::new(),
            clients: BTreeMap::new(),
            by_client: BTreeMap::new(),
            observers: BTreeSet::new(),
            bequests: BTreeMap::new(),
            gone: BTreeMap::new(),
            early_frees: EarlyFrees::default(),
            claims: BTreeMap::new(),
            next_claim: 0,
            released: false,
            served: BTreeMap::new(),
            awaited: BTreeMap::new(),
            peers: BTreeMap::new(),
            links: BTreeMap::new(),
            transfers: BTreeMap::new(),
            own: BTreeMap::new(),
            next_own: 0,
            deadlines: BTreeSet::new(),
            freed: BTreeMap::new(),
            trims: BTreeSet::new(),
            actions: VecDeque::new(),
        }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Time, event: Event) {
        match event {
            Event::ClientConnected { connection, client, pid } => self.client_connected(connection, client, pid),
            Event::ObserverConnected { connection } => {
                self.observers.insert(connection);
                self.welcome(connection);
            }
            Event::PeerConnected { connection } => {
                self.served.insert(connection, ServedPeer::default());
                self.welcome(connection);
            }
            Event::Message { connection, message } => {
                let outcome = self.message(now, connection, message);
                self.close_if_broken(connection, outcome);
            }
            Event::SegmentArrived { connection, segment, size_bytes } => {
                let outcome = self.register(connection, segment, size_bytes);
                self.close_if_broken(connection, outcome);
            }
            Event::Disconnected { connection } => self.disconnected(connection, "the connection to its store ended"),
            Event::FromScheduler(message) => self.scheduler_message(now, message),
            Event::PeerReached { node, connection } => self.peer_reached(now, node, connection),
            Event::PeerUnreachable { node, reason } => self.peer_lost(node, &reason),
            Event::FromPeer { connection, message } => {
                let outcome = self.peer_message(now, connection, message);
                self.close_if_broken(connection, outcome);
            }
            Event::ChunksLeft { connection } => self.chunks_left(connection),
            Event::ChunkUnreadable { connection, object, reason } => self.chunk_unreadable(connection, object, reason),
            Event::SegmentFailed { segment, reason } => self.own_segment_failed(segment, &reason),
            Event::TimePassed => self.time_passed(now),
        }
        self.settle();
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to come back with [`Event::TimePassed`], if nothing happens before.
    pub fn next_timeout(&self) -> Option<Time> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// The store's count.
    pub fn stats(&self) -> StoreStats {
        StoreStats {
            capacity_bytes: self.capacity_bytes,
            reserved_bytes: self.reserved_bytes,
            used_bytes: self.used_bytes,
            objects: self.objects.len() as u64,
            segments: self.segments.len() as u64,
            fetched: self.fetched,
        }
    }

    // ---- connections

    fn client_connected(&mut self, connection: ConnectionId, client: ClientId, pid: i32) {
        // 0 is the scheduler, and the upper half belongs to stores: a client under such an id could pass its segments off as a store's.
        if client.0 == 0 || client.0 >= FIRST_STORE_ID {
            return self.close(connection, CloseReason::NoClientId { client });
        }
        if self.by_client.contains_key(&client) {
            return self.close(connection, CloseReason::SecondConnection { client });
        }
        self.by_client.insert(client, connection);
        let nothing = Client {
            id: client,
            pid,
            segments: BTreeSet::new(),
            waiting: BTreeMap::new(),
            reading: BTreeSet::new(),
            fetching: BTreeSet::new(),
        };
        self.clients.insert(connection, nothing);
        self.welcome(connection);
    }

    fn welcome(&mut self, connection: ConnectionId) {
        self.send(connection, FromStore::Welcome { node: self.node });
    }

    /// Forgets a connection, whatever it was.
    fn disconnected(&mut self, connection: ConnectionId, why: &str) {
        if let Some(client) = self.clients.remove(&connection) {
            let id = client.id;
            self.client_gone(connection, client);
            if let Some(shared) = self.bequests.remove(&id) {
                self.free_unshared(id, &shared);
            }
        } else if let Some(node) = self.links.get(&connection) {
            self.peer_lost(*node, why);
        } else if let Some(peer) = self.served.remove(&connection) {
            self.stop_awaiting(connection, peer);
        } else {
            self.observers.remove(&connection);
        }
    }

    /// What a client wrote and announced stays; what it only asked for, or never announced, goes.
    fn client_gone(&mut self, connection: ConnectionId, client: Client) {
        self.by_client.remove(&client.id);
        self.freed.remove(&connection);
        self.trims.remove(&connection);
        for claim in client.waiting.values() {
            self.remove_claim(*claim);
        }
        for id in &client.reading {
            if let Some(segment) = self.segments.get_mut(id) {
                segment.readers.remove(&connection);
            }
        }
        for object in &client.fetching {
            if let Some(transfer) = self.transfers.get_mut(object) {
                transfer.waiters.remove(&connection);
            }
        }
        for id in client.segments {
            let Some(segment) = self.segments.get_mut(&id) else { continue };
            segment.writer = Writer::Gone;
            if segment.live_objects == 0 {
                self.drop_segment(id);
            }
        }
    }

    fn close_if_broken(&mut self, connection: ConnectionId, outcome: Result<(), CloseReason>) {
        if let Err(reason) = outcome {
            self.close(connection, reason);
        }
    }

    fn close(&mut self, connection: ConnectionId, reason: CloseReason) {
        let why = format!("it was closed: {reason}");
        self.actions.push_back(Action::Close { connection, reason });
        self.disconnected(connection, &why);
    }

    // ---- messages

    fn message(&mut self, now: Time, connection: ConnectionId, message: ToStore) -> Result<(), CloseReason> {
        if self.clients.contains_key(&connection) {
            match message {
                ToStore::Reserve { segment, size_bytes } => self.reserve(now, connection, segment, size_bytes),
                ToStore::Register { segment } => Err(CloseReason::NoDescriptor { segment }),
                ToStore::Drop { segment } => self.drop_by_writer(connection, segment),
                ToStore::Sealed(objects) => self.sealed(connection, objects),
                ToStore::Free(objects) => self.free_by_client(now, connection, objects),
                ToStore::Map { segment } => self.map(connection, segment),
                ToStore::Fetch { object, from } => self.fetch(now, connection, object, from),
                ToStore::Pull { .. } => Err(CloseReason::NotForThisRole),
                ToStore::Ask { request } => self.ask(connection, request),
            }
        } else if self.served.contains_key(&connection) {
            match message {
                ToStore::Pull { object, from } => self.pull(now, connection, object, from),
                _ => Err(CloseReason::NotForThisRole),
            }
        } else if self.observers.contains(&connection) {
            match message {
                ToStore::Ask { request } => self.ask(connection, request),
                _ => Err(CloseReason::NotForThisRole),
            }
        } else {
            Ok(()) // closed a moment ago; the loop had the message already
        }
    }

    fn scheduler_message(&mut self, now: Time, message: SchedulerToStore) {
        match message {
            SchedulerToStore::Peers(peers) => self.set_peers(now, peers),
            SchedulerToStore::Free(objects) => {
                for object in objects {
                    self.free(now, object);
                }
            }
            SchedulerToStore::ClientGone { client, shared } => match self.by_client.get(&client) {
                // Its last words may still be on their way: a result it sealed just before it ended must not be lost.
                Some(connection) => {
                    self.actions.push_back(Action::Drain { connection: *connection });
                    self.bequests.insert(client, shared);
                }
                None => self.free_unshared(client, &shared),
            },
        }
    }

    /// Frees what a client that is gone owned and never told anybody of: nobody else could.
    fn free_unshared(&mut self, client: ClientId, shared: &[ObjectId]) {
        let shared: BTreeSet<&ObjectId> = shared.iter().collect();
        let own = self.objects.keys().filter(|object| object.owner() == client);
        let mut unshared: Vec<ObjectId> = own.filter(|object| !shared.contains(object)).copied().collect();
        unshared.sort_unstable(); // a seed replays exactly
        for object in unshared {
            self.forget(object);
        }
        let elsewhere = shared.into_iter().filter(|object| !self.objects.contains_key(*object)).copied().collect();
        self.gone.insert(client, elsewhere);
    }

    /// Whether the owner of an object ended before it was sealed, and had told nobody of it: nobody would ever free it.
    fn is_orphan(&self, object: ObjectId) -> bool {
        self.gone.get(&object.owner()).is_some_and(|shared| !shared.contains(&object))
    }

    fn register(&mut self, connection: ConnectionId, id: SegmentId, size_bytes: u64) -> Result<(), CloseReason> {
        let segment = self.written_by(connection, id)?;
        if segment.registered {
            return Err(CloseReason::SecondRegister { segment: id });
        }
        if segment.size_bytes != size_bytes {
            return Err(CloseReason::WrongSize { segment: id, reserved: segment.size_bytes, found: size_bytes });
        }
        segment.registered = true;
        let readers: Vec<ConnectionId> = segment.readers.iter().copied().collect();
        self.actions.push_back(Action::KeepSegment { segment: id });
        for reader in readers {
            self.send_segment(reader, id, size_bytes);
        }
        Ok(())
    }

    fn drop_by_writer(&mut self, connection: ConnectionId, id: SegmentId) -> Result<(), CloseReason> {
        if let Some(claim) = self.clients.get(&connection).and_then(|client| client.waiting.get(&id)) {
            self.remove_claim(*claim); // it does not want to wait any longer
            return Ok(());
        }
        let segment = self.written_by(connection, id)?;
        if segment.live_objects > 0 {
            return Err(CloseReason::DropOfLiveSegment { segment: id, objects: segment.live_objects });
        }
        self.drop_segment(id);
        Ok(())
    }

    fn sealed(&mut self, connection: ConnectionId, objects: Vec<(ObjectId, Location)>) -> Result<(), CloseReason> {
        for (object, location) in objects {
            let node = self.node;
            let bad = CloseReason::BadLocation { object, location };
            let segment = self.written_by(connection, location.segment)?;
            let end = location.offset.checked_add(location.size_bytes);
            let inside = end.is_some_and(|end| end <= segment.size_bytes);
            let fits = segment.live_bytes.checked_add(location.size_bytes).is_some_and(|live| live <= segment.size_bytes);
            // The last: entries in our table must not be cheaper for a client than the memory they cost us.
            let few = segment.live_objects < segment.size_bytes.div_ceil(SMALLEST_BLOCK_BYTES);
            if !segment.registered || location.node != node || location.size_bytes == 0 || !inside || !fits || !few {
                return Err(bad);
            }
            if self.objects.get(&object).is_some_and(|places| places.contains(&location)) {
                return Err(CloseReason::SealedTwice { object });
            }
            self.add_object(object, location);
            if self.early_frees.take(object) || self.is_orphan(object) {
                self.forget(object);
            }
            self.serve_awaited(object);
        }
        Ok(())
    }

    /// An object's owner frees it, or else who wrote it: a worker that finds the owner of its result gone.
    fn free_by_client(&mut self, now: Time, connection: ConnectionId, objects: Vec<ObjectId>) -> Result<(), CloseReason> {
        let Some(client) = self.clients.get(&connection).map(|client| client.id) else { return Ok(()) };
        for object in objects {
            if object.owner() == client {
                self.free(now, object);
                continue;
            }
            let Some(places) = self.objects.get(&object) else { continue }; // somebody else freed it first
            if !places.iter().any(|place| place.segment.writer == client) {
                return Err(CloseReason::FreeOfOthers { object });
            }
            self.free(now, object);
        }
        Ok(())
    }

    fn map(&mut self, connection: ConnectionId, id: SegmentId) -> Result<(), CloseReason> {
        let (Some(client), Some(segment)) = (self.clients.get_mut(&connection), self.segments.get_mut(&id)) else {
            self.send(connection, FromStore::SegmentGone { segment: id });
            return Ok(());
        };
        client.reading.insert(id);
        segment.readers.insert(connection);
        // The reader may have heard of the segment from its writer before we did; then the answer follows the descriptor.
        if segment.registered {
            let size_bytes = segment.size_bytes;
            self.send_segment(connection, id, size_bytes);
        }
        Ok(())
    }

    fn ask(&mut self, connection: ConnectionId, request: u64) -> Result<(), CloseReason> {
        let stats = self.stats();
        self.send(connection, FromStore::Stats { request, stats });
        Ok(())
    }

    // ---- objects and segments

    fn add_object(&mut self, object: ObjectId, location: Location) {
        let segment = self.segments.get_mut(&location.segment).expect("the caller found the segment");
        segment.live_bytes += location.size_bytes;
        segment.live_objects += 1;
        self.used_bytes += location.size_bytes;
        let holding = self.holdings.entry(object.owner()).or_default();
        holding.objects += 1;
        holding.bytes += location.size_bytes;
        self.objects.entry(object).or_default().push(location);
    }

    /// Nobody can refer to the object any more.
    fn free(&mut self, now: Time, object: ObjectId) {
        let was_here = self.forget(object);
        let was_coming = self.abandon_transfer(object, "it was freed while it was copied");
        if !was_here && !was_coming {
            self.early_frees.remember(now, object);
        }
    }

    /// Removes every place of an object; false if there was none.
    fn forget(&mut self, object: ObjectId) -> bool {
        let Some(places) = self.objects.remove(&object) else { return false };
        for location in places {
            self.release(object, location);
        }
        true
    }

    fn release(&mut self, object: ObjectId, location: Location) {
        self.used_bytes -= location.size_bytes;
        let owner = object.owner();
        let holding = self.holdings.get_mut(&owner).expect("every object is in its owner's holding");
        holding.objects -= 1;
        holding.bytes -= location.size_bytes;
        if holding.objects == 0 {
            self.holdings.remove(&owner);
        }
        let segment = self.segments.get_mut(&location.segment).expect("an object lies in a segment");
        segment.live_bytes -= location.size_bytes;
        segment.live_objects -= 1;
        let empty = segment.live_objects == 0;
        match segment.writer {
            Writer::Client(connection) => {
                self.freed.entry(connection).or_default().push((object, location));
                if empty && !self.claims.is_empty() {
                    self.trims.insert(connection);
                }
            }
            Writer::Gone if empty => self.drop_segment(location.segment),
            Writer::Gone => {}
            Writer::Store => self.free_own_space(location),
        }
    }

    /// The segment exists no longer: its memory is not counted any more, and whoever mapped it hears of it.
    fn drop_segment(&mut self, id: SegmentId) {
        let Some(segment) = self.segments.remove(&id) else { return };
        self.reserved_bytes -= segment.size_bytes;
        self.released = true;
        if let Writer::Client(connection) = segment.writer
            && let Some(client) = self.clients.get_mut(&connection)
        {
            client.segments.remove(&id);
        }
        for reader in segment.readers {
            if let Some(client) = self.clients.get_mut(&reader) {
                client.reading.remove(&id);
                self.send(reader, FromStore::SegmentGone { segment: id });
            }
        }
        if segment.registered {
            self.actions.push_back(Action::DropSegment { segment: id });
        }
    }

    /// A segment of which this connection is the writer.
    fn written_by(&mut self, connection: ConnectionId, id: SegmentId) -> Result<&mut Segment, CloseReason> {
        match self.segments.get_mut(&id) {
            Some(segment) if segment.writer == Writer::Client(connection) => Ok(segment),
            _ => Err(CloseReason::NotItsSegment { segment: id }),
        }
    }

    // ---- the end of a round

    fn settle(&mut self) {
        if core::mem::take(&mut self.released) {
            self.grant_claims();
        }
        // Freed goes before Trim: who is asked for empty segments must know by then which ones are.
        for (connection, blocks) in core::mem::take(&mut self.freed) {
            for part in blocks.chunks(FREED_PER_MESSAGE) {
                self.send(connection, FromStore::Freed(part.to_vec()));
            }
        }
        for connection in core::mem::take(&mut self.trims) {
            self.send(connection, FromStore::Trim);
        }
    }

    fn time_passed(&mut self, now: Time) {
        while let Some((at, deadline)) = self.deadlines.first().copied()
            && at <= now
        {
            self.deadlines.remove(&(at, deadline));
            match deadline {
                Deadline::Claim(claim) => self.claim_expired(claim),
                Deadline::Pull(object, connection) => self.pull_expired(object, connection),
                Deadline::UnknownPeer(node) => self.peer_stayed_unknown(node),
            }
        }
    }

    fn send(&mut self, to: ConnectionId, message: FromStore) {
        self.actions.push_back(Action::Send { to, message, descriptor_of: None });
    }

    fn send_segment(&mut self, to: ConnectionId, segment: SegmentId, size_bytes: u64) {
        let message = FromStore::Segment { segment, size_bytes };
        self.actions.push_back(Action::Send { to, message, descriptor_of: Some(segment) });
    }
}

/// Ids from here on are stores' ([`SegmentId::of_store`]).
const FIRST_STORE_ID: u32 = 1 << 31;

/// Blocks begin at cache lines, so a segment cannot hold more objects than it has of those.
const SMALLEST_BLOCK_BYTES: u64 = 64;

/// Keeps a [`FromStore::Freed`] message (at most 57 bytes an entry) well inside a frame.
const FREED_PER_MESSAGE: usize = 8192;
