//! Memory before it is taken: who may make a segment, who waits for room, and what a full store tells the user.
//!
//! A request that does not fit waits a moment: other processes may hold empty segments they can drop (they are asked to, `Trim`), and
//! frees may be on their way. Requests that fit are not held up by bigger ones that wait.

use super::{CloseReason, ConnectionId, Deadline, ObjectStore, Segment, Writer};
use crate::Time;
use core::time::Duration;
use ray_protocol::control::FromStore;
use ray_protocol::{ClientId, ObjectId, SegmentId};
use std::collections::BTreeSet;
use std::fmt::Write;

/// A request that waits for memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) claimant: Claimant,
    pub(super) size_bytes: u64,
    pub(super) deadline: Time,
}

/// Who waits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Claimant {
    /// A client, to make a segment.
    Segment { connection: ConnectionId, segment: SegmentId },
    /// A transfer, to put its object somewhere.
    Copy { object: ObjectId },
}

impl ObjectStore {
    pub(super) fn reserve(
        &mut self,
        now: Time,
        connection: ConnectionId,
        id: SegmentId,
        size_bytes: u64,
    ) -> Result<(), CloseReason> {
        let Some(client) = self.clients.get(&connection) else { return Ok(()) };
        if id.writer != client.id || client.waiting.contains_key(&id) || self.segments.contains_key(&id) {
            return Err(CloseReason::BadSegmentId { segment: id });
        }
        if size_bytes == 0 || size_bytes > LARGEST_SEGMENT_BYTES {
            return Err(CloseReason::BadSize { segment: id, size_bytes });
        }
        if client.segments.len() + client.waiting.len() >= MOST_SEGMENTS {
            let report = format!(
                "this process has {MOST_SEGMENTS} segments in the object store already; drop references it no longer needs"
            );
            self.send(connection, FromStore::Full { segment: id, report });
        } else if self.fits(size_bytes) {
            self.grant_segment(connection, id, size_bytes);
        } else if size_bytes > self.capacity_bytes {
            let report = self.full_report(size_bytes);
            self.send(connection, FromStore::Full { segment: id, report });
        } else {
            let claim = self.add_claim(now, Claimant::Segment { connection, segment: id }, size_bytes);
            self.clients.get_mut(&connection).expect("found above").waiting.insert(id, claim);
        }
        Ok(())
    }

    pub(super) fn fits(&self, size_bytes: u64) -> bool {
        self.reserved_bytes.checked_add(size_bytes).is_some_and(|all| all <= self.capacity_bytes)
    }

    /// Counts a segment that fits.
    pub(super) fn count_segment(&mut self, id: SegmentId, size_bytes: u64, writer: Writer) {
        self.reserved_bytes += size_bytes;
        let registered = writer == Writer::Store;
        let segment = Segment { size_bytes, writer, registered, live_bytes: 0, live_objects: 0, readers: BTreeSet::new() };
        self.segments.insert(id, segment);
    }

    fn grant_segment(&mut self, connection: ConnectionId, id: SegmentId, size_bytes: u64) {
        self.count_segment(id, size_bytes, Writer::Client(connection));
        self.clients.get_mut(&connection).expect("only clients are granted segments").segments.insert(id);
        self.send(connection, FromStore::Reserved { segment: id });
    }

    // ---- claims

    /// Lets someone wait, and asks for every empty segment there is.
    pub(super) fn add_claim(&mut self, now: Time, claimant: Claimant, size_bytes: u64) -> u64 {
        let number = self.next_claim;
        self.next_claim += 1;
        let deadline = now.plus(LONGEST_CLAIM);
        self.claims.insert(number, Claim { claimant, size_bytes, deadline });
        self.deadlines.insert((deadline, Deadline::Claim(number)));
        for segment in self.segments.values() {
            if let Writer::Client(writer) = segment.writer
                && segment.registered
                && segment.live_objects == 0
            {
                self.trims.insert(writer);
            }
        }
        number
    }

    pub(super) fn remove_claim(&mut self, number: u64) -> Option<Claim> {
        let claim = self.claims.remove(&number)?;
        self.deadlines.remove(&(claim.deadline, Deadline::Claim(number)));
        if let Claimant::Segment { connection, segment } = claim.claimant
            && let Some(client) = self.clients.get_mut(&connection)
        {
            client.waiting.remove(&segment);
        }
        Some(claim)
    }

    /// Memory came back: whoever fits now goes ahead, in order of arrival.
    pub(super) fn grant_claims(&mut self) {
        let waiting: Vec<(u64, Claim)> = self.claims.iter().map(|(number, claim)| (*number, *claim)).collect();
        for (number, claim) in waiting {
            match claim.claimant {
                Claimant::Segment { connection, segment } => {
                    if self.fits(claim.size_bytes) {
                        self.remove_claim(number);
                        self.grant_segment(connection, segment, claim.size_bytes);
                    }
                }
                Claimant::Copy { object } => {
                    let size_bytes = self.transfers[&object].from.size_bytes;
                    if let Some(at) = self.own_space(size_bytes) {
                        self.remove_claim(number);
                        self.begin_pull(object, at);
                    }
                }
            }
        }
    }

    pub(super) fn claim_expired(&mut self, number: u64) {
        let Some(claim) = self.remove_claim(number) else { return };
        let report = self.full_report(claim.size_bytes);
        match claim.claimant {
            Claimant::Segment { connection, segment } => self.send(connection, FromStore::Full { segment, report }),
            Claimant::Copy { object } => self.no_room_for(object, &report),
        }
    }

    // ---- words

    /// What there is, what fills it, and what to try.
    pub(super) fn full_report(&self, wanted_bytes: u64) -> String {
        let mut report = format!(
            "the object store of node {} is full: {} more were asked for, and {} of its {} are free.\n{} live objects fill {}; {} more are \
             kept by processes for their next objects.",
            self.node,
            Bytes(wanted_bytes),
            Bytes(self.capacity_bytes - self.reserved_bytes),
            Bytes(self.capacity_bytes),
            self.objects.len(),
            Bytes(self.used_bytes),
            Bytes(self.reserved_bytes - self.used_bytes),
        );
        let mut holdings: Vec<_> = self.holdings.iter().map(|(owner, holding)| (*owner, *holding)).collect();
        holdings.sort_by_key(|(owner, holding)| (core::cmp::Reverse(holding.bytes), *owner));
        for (owner, holding) in holdings.iter().take(OWNERS_NAMED) {
            let noun = if holding.objects == 1 { "object" } else { "objects" };
            let _ = write!(report, "\n  {} holds {} {noun}, {}", self.owner_name(*owner), holding.objects, Bytes(holding.bytes));
        }
        if holdings.len() > OWNERS_NAMED {
            let (objects, bytes) = holdings[OWNERS_NAMED..].iter().fold((0, 0), |(n, b), (_, h)| (n + h.objects, b + h.bytes));
            let _ = write!(report, "\n  {} others hold {objects} objects, {}", holdings.len() - OWNERS_NAMED, Bytes(bytes));
        }
        report.push_str(if wanted_bytes > self.capacity_bytes {
            "\nIt can never hold that much: start the cluster with a larger object store, or split the object."
        } else {
            "\nDrop references to objects that are no longer needed (`del ref`), or start the cluster with a larger object store."
        });
        report
    }

    fn owner_name(&self, owner: ClientId) -> String {
        match self.by_client.get(&owner).and_then(|connection| self.clients.get(connection)) {
            Some(client) => format!("process {} (client {owner})", client.pid),
            None => format!("client {owner}, which has ended or lives on another node,"),
        }
    }
}

/// A number of bytes for people.
struct Bytes(u64);

impl core::fmt::Display for Bytes {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let units = ["KiB", "MiB", "GiB", "TiB"];
        let Some(largest) = (1..=units.len()).rev().find(|power| self.0 >> (10 * power) > 0) else {
            return write!(f, "{} bytes", self.0);
        };
        write!(f, "{:.1} {}", self.0 as f64 / (1u64 << (10 * largest)) as f64, units[largest - 1])
    }
}

/// How long a request that does not fit waits for others to give memory back: long enough for a round trip to a busy process, short
/// enough that a user does not wonder before the error comes.
const LONGEST_CLAIM: Duration = Duration::from_millis(200);

/// What a process can map at all.
pub(super) const LARGEST_SEGMENT_BYTES: u64 = 1 << 47;

/// Each costs a descriptor and a mapping here. An honest client grows its segments, so it stays far below.
const MOST_SEGMENTS: usize = 4096;

/// Owners named in a report; the rest are summed up.
const OWNERS_NAMED: usize = 5;
