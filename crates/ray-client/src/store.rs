//! Objects in shared memory: this process's own segments, which it alone writes, and the segments of others, which it maps to read.
//!
//! A value is written in three steps: [`Client::reserve`] finds room (asking the store for the budget of a new segment when the own ones are
//! full), the caller copies, [`Placed::seal`] tells the store. Room that is not sealed is given back when [`Placed`] is dropped. Reading
//! ([`Client::open`]) takes no round trip once the segment is mapped. A freed block comes back through [`FromStore::Freed`].

use crate::state::State;
use crate::wait::{Interrupt, WaitEnd};
use crate::{Client, Shared};
use hashbrown::HashMap;
use ray_io::{Connection, FrameError, ReadStatus};
use ray_protocol::control::{self, FromStore, Hello, NotFetched, Role, StoreStats, ToStore};
use ray_protocol::{ClientId, Location, MAX_FRAME_BYTES, ObjectId, PROTOCOL_VERSION, SegmentId};
use ray_shm::{OwnedSegment, ReadSegment, SegmentAllocator, SharedSlice};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

/// Why an object could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The budget does not allow it; the text says what fills the store.
    #[error("{0}")]
    Full(String),
    /// The bytes are gone or cannot be reached.
    #[error("{0}")]
    Lost(String),
    /// The wait for the store ended otherwise.
    #[error("waiting for the object store ended early")]
    Wait(WaitEnd),
}

/// The first segment; each further one doubles, up to [`LARGEST_GROWTH`], so that small programs stay small and large ones map little.
const FIRST_SEGMENT: u64 = 4 << 20;
const LARGEST_GROWTH: u64 = 256 << 20;
/// Objects from this size on get a segment of their own: it goes back to the system as a whole when the object is freed and not reused.
/// Its first pages are written faster than those of a segment others know already.
const OWN_SEGMENT: u64 = 4 << 20;
/// Segments are whole multiples of this.
const SEGMENT_STEP: u64 = 64 << 10;
/// The store is started together with us; this is how long it may take until it listens.
const STORE_START: Duration = Duration::from_secs(10);

/// What this process knows of its store. Behind the lock.
pub(crate) struct Segments {
    socket: PathBuf,
    connection: Option<Connection>,
    own: Vec<Own>,
    next_number: u32,
    next_size: u64,
    mapped: HashMap<SegmentId, Arc<ReadSegment>>,
    /// Answers that threads wait for.
    reserved: HashMap<SegmentId, Result<(), String>>,
    arrived: Answers<SegmentId, Option<Arc<ReadSegment>>>,
    fetched: Answers<ObjectId, Result<Location, NotFetched>>,
    stats: HashMap<u64, StoreStats>,
    /// Objects in own segments, each until it is freed. What this process frees itself is room again at once, and its pages are warm.
    written: HashMap<ObjectId, Location>,
    /// Places of objects that were written again by a later attempt at their task; the store frees them.
    outdated: Vec<(ObjectId, Location)>,
    /// Gathering, to leave together.
    sealed: Vec<(ObjectId, Location)>,
    freed: Vec<ObjectId>,
    /// The I/O thread was told that something gathers.
    pub(crate) io_knows: bool,
    lost: Option<String>,
}

/// Answers that several threads may wait for at once: the first asks, the last to have seen the answer takes it away.
struct Answers<K, V> {
    waited_for: HashMap<K, (u32, Option<V>)>,
}

impl<K, V> Default for Answers<K, V> {
    fn default() -> Self {
        Answers { waited_for: HashMap::new() }
    }
}

impl<K: Copy + Eq + std::hash::Hash, V: Clone> Answers<K, V> {
    /// One more thread waits; true when it is the one to ask.
    fn join(&mut self, key: K) -> bool {
        let (waiters, _) = self.waited_for.entry(key).or_insert((0, None));
        *waiters += 1;
        *waiters == 1
    }

    /// The answer has come. Nobody may be waiting any more.
    fn answer(&mut self, key: K, answer: V) {
        if let Some((_, slot)) = self.waited_for.get_mut(&key) {
            *slot = Some(answer);
        }
    }

    fn look(&self, key: K) -> Option<V> {
        self.waited_for.get(&key)?.1.clone()
    }

    fn leave(&mut self, key: K) {
        let Some((waiters, _)) = self.waited_for.get_mut(&key) else { return };
        *waiters -= 1;
        if *waiters == 0 {
            self.waited_for.remove(&key);
        }
    }
}

struct Own {
    id: SegmentId,
    segment: Arc<OwnedSegment>,
    space: SegmentAllocator,
}

/// Room for one object in an own segment, not sealed yet.
pub struct Placed {
    shared: Arc<Shared>,
    segment: Arc<OwnedSegment>,
    location: Location,
    sealed: bool,
}

impl Placed {
    /// The segment to write to, from [`offset`](Self::offset) on.
    pub fn segment(&self) -> &OwnedSegment {
        &self.segment
    }

    /// Offset of the room.
    pub fn offset(&self) -> usize {
        self.location.offset as usize
    }

    /// The object is complete: from now on it never changes, and others may read it.
    pub fn seal(mut self, object: ObjectId) -> Location {
        self.sealed = true;
        let mut state = self.shared.lock();
        state.segments.register(&self.segment, self.location.segment);
        state.segments.sealed(object, self.location);
        self.shared.act(&mut state);
        self.location
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        if !self.sealed {
            self.shared.lock().segments.recycle(self.location);
        }
    }
}

/// Keeps an object claimed as long as a view of its memory lives.
struct Pin {
    client: Client,
    object: ObjectId,
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.client.release(self.object);
    }
}

impl Segments {
    pub(crate) fn new(socket: String) -> Self {
        Segments {
            socket: PathBuf::from(socket),
            connection: None,
            own: Vec::new(),
            next_number: 0,
            next_size: FIRST_SEGMENT,
            mapped: HashMap::new(),
            reserved: HashMap::new(),
            arrived: Answers::default(),
            fetched: Answers::default(),
            stats: HashMap::new(),
            written: HashMap::new(),
            outdated: Vec::new(),
            sealed: Vec::new(),
            freed: Vec::new(),
            io_knows: false,
            lost: None,
        }
    }

    /// Lets go of the store and of all memory that no view shows.
    pub(crate) fn close(&mut self) {
        self.lost = Some(String::from("this process has left the cluster"));
        self.connection = None;
        self.own.clear();
        self.mapped.clear();
    }

    /// The error of whoever needs the store after it has ended.
    fn why_lost(&self) -> StoreError {
        let how = self.lost.as_deref().unwrap_or("the connection to it broke");
        StoreError::Lost(format!("the object store (objstore) of this node ended: {how}"))
    }

    pub(crate) fn connection(&mut self) -> Option<&mut Connection> {
        self.connection.as_mut()
    }

    fn sealed(&mut self, object: ObjectId, location: Location) {
        if let Some(earlier) = self.written.insert(object, location) {
            self.outdated.push((object, earlier));
        }
        self.sealed.push((object, location));
    }

    /// Nobody can refer to this object any more.
    pub(crate) fn free(&mut self, object: ObjectId) {
        if let Some(location) = self.written.remove(&object) {
            self.recycle(location);
            // What lived so shortly that the store was not told of it yet need not be told of at all.
            if let Some(at) = self.sealed.iter().rposition(|entry| *entry == (object, location)) {
                self.sealed.swap_remove(at);
                return;
            }
        }
        self.freed.push(object);
    }

    /// The store says that an object of an own segment is gone, by whomever it was freed.
    fn freed(&mut self, object: ObjectId, location: Location) {
        if self.written.get(&object) == Some(&location) {
            self.written.remove(&object);
            self.recycle(location);
        } else if let Some(at) = self.outdated.iter().position(|place| *place == (object, location)) {
            self.outdated.swap_remove(at);
            self.recycle(location);
        }
    }

    /// Whether something gathers that the I/O thread is to send.
    pub(crate) fn has_lazy(&self) -> bool {
        !self.sealed.is_empty() || !self.freed.is_empty()
    }

    fn allocate(&mut self, size_bytes: u64) -> Option<(SegmentId, Arc<OwnedSegment>, u64)> {
        self.own.iter_mut().find_map(|own| {
            let offset = own.space.allocate(size_bytes)?;
            Some((own.id, own.segment.clone(), offset))
        })
    }

    /// With its first object a segment becomes known to others, who can read it and nothing more.
    fn register(&mut self, segment: &OwnedSegment, id: SegmentId) {
        if !segment.is_open() {
            return;
        }
        match segment.close().and_then(|()| segment.fd().try_clone_to_owned()) {
            Ok(fd) => self.send(&ToStore::Register { segment: id }, vec![fd]),
            Err(error) => self.lost = Some(format!("a segment could not be handed to it: {error}")),
        }
    }

    fn recycle(&mut self, location: Location) {
        if let Some(own) = self.own.iter_mut().find(|own| own.id == location.segment) {
            own.space.free(location.offset);
        }
    }

    fn send(&mut self, message: &ToStore, fds: Vec<OwnedFd>) {
        if let Some(connection) = &mut self.connection
            && let Err(error) = connection.send(&control::encode(message), fds)
        {
            self.lost = Some(error.to_string());
        }
    }

    /// Sends what has gathered. Freed objects go first, because an object that follows may lie where they lay; the store remembers what is
    /// freed before it is sealed.
    fn send_gathered(&mut self) {
        if self.connection.is_none() {
            return;
        }
        // The store refuses frames above its limit.
        const PER_FRAME: usize = 10_000;
        let (sealed, freed) = (core::mem::take(&mut self.sealed), core::mem::take(&mut self.freed));
        for batch in freed.chunks(PER_FRAME) {
            self.send(&ToStore::Free(batch.to_vec()), Vec::new());
        }
        for batch in sealed.chunks(PER_FRAME) {
            self.send(&ToStore::Sealed(batch.to_vec()), Vec::new());
        }
    }

    /// Before others can hear of what was sealed, the store must: if this process is killed in between, memory in which the store knows
    /// of no object goes with it. Bytes in the socket outlive us. What does not fit the socket now is sent by the I/O thread.
    pub(crate) fn announce_sealed(&mut self) {
        if self.sealed.is_empty() {
            return;
        }
        self.send_gathered();
        if let Some(connection) = &mut self.connection {
            let _ = connection.flush(); // an error shows when it is read
        }
    }

    fn drop_empty(&mut self) {
        let (empty, used): (Vec<Own>, Vec<Own>) = self.own.drain(..).partition(|own| own.space.is_empty());
        self.own = used;
        for own in empty {
            self.send(&ToStore::Drop { segment: own.id }, Vec::new());
        }
    }
}

impl Client {
    /// Room for an object of this size in shared memory.
    pub fn reserve(&self, size_bytes: u64, interrupt: Interrupt<'_>) -> Result<Placed, StoreError> {
        let me = self.identity();
        loop {
            let mut state = self.shared.lock();
            if let Some((segment_id, segment, offset)) = state.segments.allocate(size_bytes) {
                let location = Location { node: me.node, segment: segment_id, offset, size_bytes };
                return Ok(Placed { shared: self.shared.clone(), segment, location, sealed: false });
            }
            let owned_by_one = size_bytes >= OWN_SEGMENT;
            let wanted = if owned_by_one { size_bytes } else { state.segments.next_size.max(size_bytes * 2) };
            drop(state);
            match self.add_segment(me.client, wanted, owned_by_one, interrupt) {
                // A generous segment did not fit the budget; perhaps an exact one does.
                Err(StoreError::Full(_)) if wanted > size_bytes.next_multiple_of(SEGMENT_STEP) => {
                    self.add_segment(me.client, size_bytes, true, interrupt)?;
                }
                other => other?,
            }
        }
    }

    /// The state, with a connection to the store. Waits until the store listens, and never with the lock held.
    fn reach_store(&self, interrupt: Interrupt<'_>) -> Result<MutexGuard<'_, State>, StoreError> {
        let until = Instant::now() + STORE_START;
        loop {
            let mut state = self.shared.lock();
            if state.segments.lost.is_some() {
                return Err(state.segments.why_lost());
            }
            let Err(error) = self.shared.connect_store(&mut state) else { return Ok(state) };
            if let Some(reason) = &state.ended {
                return Err(StoreError::Wait(WaitEnd::Ended(reason.clone())));
            }
            drop(state);
            if interrupt() {
                return Err(StoreError::Wait(WaitEnd::Interrupted));
            }
            if Instant::now() >= until {
                return Err(StoreError::Lost(format!("the object store (objstore) of this node cannot be reached: {error}")));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn add_segment(&self, me: ClientId, size_bytes: u64, owned_by_one: bool, interrupt: Interrupt<'_>) -> Result<(), StoreError> {
        let size_bytes = size_bytes.next_multiple_of(SEGMENT_STEP);
        let segment = {
            let mut state = self.reach_store(interrupt)?;
            let segment = SegmentId { writer: me, number: state.segments.next_number };
            state.segments.next_number += 1;
            state.segments.send_gathered(); // what was freed may be what makes room
            state.segments.send(&ToStore::Reserve { segment, size_bytes }, Vec::new());
            self.shared.flush_store(&mut state);
            segment
        };
        let mut answer = None;
        let end = self.shared.wait_for_reply(None, interrupt, &mut |state| {
            answer = answer.take().or_else(|| state.segments.reserved.remove(&segment));
            answer.is_some() || state.segments.lost.is_some()
        });
        match (end, answer) {
            (WaitEnd::Ready, Some(Ok(()))) => {}
            (WaitEnd::Ready, Some(Err(report))) => return Err(StoreError::Full(report)),
            (WaitEnd::Ready, None) => return Err(self.shared.lock().segments.why_lost()),
            (end, _) => return Err(StoreError::Wait(end)),
        }
        let made = OwnedSegment::create_open("ray-objects", size_bytes as usize);
        let mut state = self.shared.lock();
        match made {
            Ok(made) => {
                let space = SegmentAllocator::new(size_bytes);
                state.segments.own.push(Own { id: segment, segment: Arc::new(made), space });
                if !owned_by_one {
                    state.segments.next_size = (state.segments.next_size * 2).min(LARGEST_GROWTH);
                }
                Ok(())
            }
            Err(error) => {
                state.segments.send(&ToStore::Drop { segment }, Vec::new());
                Err(StoreError::Full(format!("the system gave no memory for {size_bytes} bytes: {error}")))
            }
        }
    }

    /// A read-only view of a stored object, which stays claimed as long as the view lives. Brings it from another node if need be.
    pub fn open(&self, object: ObjectId, location: Location, interrupt: Interrupt<'_>) -> Result<SharedSlice, StoreError> {
        let location = if location.node == self.identity().node { location } else { self.fetch(object, location, interrupt)? };
        let segment = self.map(location.segment, interrupt)?;
        let slice = segment
            .slice(location.offset, location.size_bytes)
            .map_err(|error| StoreError::Lost(format!("object {object} does not lie where it is said to: {error}")))?;
        self.retain(object);
        Ok(slice.with_pin(Arc::new(Pin { client: self.clone(), object })))
    }

    /// Has the store bring an object to this node.
    pub fn fetch(&self, object: ObjectId, from: Location, interrupt: Interrupt<'_>) -> Result<Location, StoreError> {
        {
            let mut state = self.reach_store(interrupt)?;
            // The scheduler hears of the copy from the store; a copy of what it does not know would be freed.
            state.announce_shared();
            if state.segments.fetched.join(object) {
                state.segments.send(&ToStore::Fetch { object, from }, Vec::new());
                self.shared.flush_store(&mut state);
            }
        }
        let end = self.shared.wait_for_reply(None, interrupt, &mut |state| {
            state.segments.fetched.look(object).is_some() || state.segments.lost.is_some()
        });
        let mut state = self.shared.lock();
        let outcome = state.segments.fetched.look(object);
        state.segments.fetched.leave(object);
        match (end, outcome) {
            (WaitEnd::Ready, Some(Ok(location))) => {
                state.process.localised(object, location);
                Ok(location)
            }
            (WaitEnd::Ready, Some(Err(NotFetched::Full(report)))) => Err(StoreError::Full(report)),
            (WaitEnd::Ready, Some(Err(NotFetched::Lost(reason)))) => Err(StoreError::Lost(reason)),
            (WaitEnd::Ready, None) => Err(state.segments.why_lost()),
            (end, _) => Err(StoreError::Wait(end)),
        }
    }

    fn map(&self, segment: SegmentId, interrupt: Interrupt<'_>) -> Result<Arc<ReadSegment>, StoreError> {
        {
            let state = self.shared.lock();
            if let Some(own) = state.segments.own.iter().find(|own| own.id == segment) {
                return Ok(own.segment.read_handle());
            }
            if let Some(mapped) = state.segments.mapped.get(&segment) {
                return Ok(mapped.clone());
            }
        }
        {
            let mut state = self.reach_store(interrupt)?;
            if state.segments.arrived.join(segment) {
                state.segments.send(&ToStore::Map { segment }, Vec::new());
                self.shared.flush_store(&mut state);
            }
        }
        let end = self.shared.wait_for_reply(None, interrupt, &mut |state| {
            state.segments.arrived.look(segment).is_some() || state.segments.lost.is_some()
        });
        let mut state = self.shared.lock();
        let arrived = state.segments.arrived.look(segment);
        state.segments.arrived.leave(segment);
        match (end, arrived) {
            (WaitEnd::Ready, Some(Some(mapped))) => Ok(mapped),
            (WaitEnd::Ready, Some(None)) => {
                Err(StoreError::Lost(String::from("its memory is gone: the store does not have the segment any more")))
            }
            (WaitEnd::Ready, None) => Err(state.segments.why_lost()),
            (end, _) => Err(StoreError::Wait(end)),
        }
    }

    /// The store's own count.
    pub fn store_stats(&self, interrupt: Interrupt<'_>) -> Result<StoreStats, StoreError> {
        let request = {
            let mut state = self.reach_store(interrupt)?;
            let request = state.new_request();
            self.shared.act(&mut state);
            state.flush_scheduler();
            state.segments.send_gathered();
            state.segments.send(&ToStore::Ask { request }, Vec::new());
            self.shared.flush_store(&mut state);
            request
        };
        let mut stats = None;
        let end = self.shared.wait_for_reply(None, interrupt, &mut |state| {
            stats = stats.take().or_else(|| state.segments.stats.remove(&request));
            stats.is_some() || state.segments.lost.is_some()
        });
        match (end, stats) {
            (WaitEnd::Ready, Some(stats)) => Ok(stats),
            (WaitEnd::Ready, None) => Err(self.shared.lock().segments.why_lost()),
            (end, _) => Err(StoreError::Wait(end)),
        }
    }
}

impl Shared {
    /// Connects to the store, if that has not been done. What the system said when it does not listen yet: it is started together with us.
    fn connect_store(&self, state: &mut State) -> Result<(), std::io::Error> {
        if state.segments.connection.is_some() {
            return Ok(());
        }
        let mut connection = Connection::connect(&state.segments.socket)?;
        connection.set_limit(MAX_FRAME_BYTES);
        let role = Role::StoreClient { client: self.identity.client };
        let hello = Hello { version: PROTOCOL_VERSION, pid: std::process::id() as i32, role };
        connection.send(&control::encode(&hello), Vec::new()).map_err(std::io::Error::other)?;
        state.segments.connection = Some(connection);
        self.bell.ring_io(); // which watches it from now on
        Ok(())
    }

    /// Writes what is queued for the store.
    pub(crate) fn flush_store(&self, state: &mut State) {
        if state.segments.has_lazy() && state.segments.lost.is_none() && self.connect_store(state).is_ok() {
            state.segments.send_gathered();
        }
        if let Some(connection) = &mut state.segments.connection
            && !connection.flush().unwrap_or(true)
        {
            self.bell.ring_io();
        }
    }

    /// Reads what the store sent. Called by the I/O thread.
    pub(crate) fn read_store(&self, state: &mut State) {
        let Some(connection) = &mut state.segments.connection else { return };
        let status = connection.receive();
        let mut frames = Vec::new();
        let mut broken = None;
        loop {
            match connection.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => {
                    broken = Some(error.to_string());
                    break;
                }
            }
        }
        for frame in frames {
            match control::decode::<FromStore>(&frame.payload) {
                Ok(message) => store_said(&mut state.segments, message, frame.fds),
                Err(error) => broken = Some(error.to_string()),
            }
        }
        match status {
            Ok(ReadStatus::Open) => {}
            Ok(ReadStatus::Closed) | Err(FrameError::Closed) => broken = Some(String::from("it closed the connection")),
            Err(error) => broken = Some(error.to_string()),
        }
        if let Some(reason) = broken {
            state.segments.lost = Some(reason);
            state.segments.connection = None;
        }
    }
}

fn store_said(segments: &mut Segments, message: FromStore, mut fds: Vec<OwnedFd>) {
    match message {
        FromStore::Reserved { segment } => {
            segments.reserved.insert(segment, Ok(()));
        }
        FromStore::Full { segment, report } => {
            segments.reserved.insert(segment, Err(report));
        }
        FromStore::Trim => segments.drop_empty(),
        FromStore::Freed(objects) => {
            for (object, location) in objects {
                segments.freed(object, location);
            }
        }
        FromStore::Segment { segment, size_bytes } => {
            let mapped = fds.pop().and_then(|fd| ReadSegment::map(fd, size_bytes as usize).ok());
            if let Some(mapped) = &mapped {
                segments.mapped.insert(segment, mapped.clone());
            }
            segments.arrived.answer(segment, mapped);
        }
        FromStore::SegmentGone { segment } => {
            segments.mapped.remove(&segment);
            segments.arrived.answer(segment, None);
        }
        FromStore::Fetched { object, outcome } => segments.fetched.answer(object, outcome),
        FromStore::Stats { request, stats } => {
            segments.stats.insert(request, stats);
        }
        FromStore::Welcome { .. } | FromStore::Chunk { .. } | FromStore::PullFailed { .. } => {}
    }
}
