//! The invariants of the store, spelled out.

use super::budget::Claimant;
use super::transfer::{Link, Stage, WINDOW};
use super::{ConnectionId, Deadline, Holding, ObjectStore, Writer};
use ray_protocol::{ClientId, SegmentId};
use std::collections::{BTreeMap, BTreeSet};

impl ObjectStore {
    /// Walks every cross-link and panics at the first that does not hold. For tests and simulation, after each event.
    pub fn validate(&self) {
        self.validate_objects();
        self.validate_segments();
        self.validate_clients();
        self.validate_claims();
        self.validate_transfers();
        self.early_frees.validate();
        assert!(self.freed.is_empty() && self.trims.is_empty() && !self.released, "a round is finished");
    }

    fn validate_objects(&self) {
        let mut live: BTreeMap<SegmentId, (u64, u64)> = BTreeMap::new();
        let mut holdings: BTreeMap<ClientId, Holding> = BTreeMap::new();
        for (object, places) in &self.objects {
            assert!(!places.is_empty());
            for place in places {
                assert_eq!(place.node, self.node);
                let segment = &self.segments[&place.segment];
                assert!(segment.registered, "an object lies in a registered segment");
                assert!(place.size_bytes > 0 && place.offset.checked_add(place.size_bytes).unwrap() <= segment.size_bytes);
                let (bytes, objects) = live.entry(place.segment).or_default();
                *bytes += place.size_bytes;
                *objects += 1;
                let holding = holdings.entry(object.owner()).or_default();
                holding.objects += 1;
                holding.bytes += place.size_bytes;
            }
        }
        assert_eq!(self.used_bytes, live.values().map(|(bytes, _)| bytes).sum::<u64>());
        assert_eq!(self.holdings, holdings);
        for (id, segment) in &self.segments {
            assert_eq!((segment.live_bytes, segment.live_objects), live.remove(id).unwrap_or_default());
            assert!(segment.live_bytes <= segment.size_bytes);
        }
        assert!(live.is_empty());
    }

    fn validate_segments(&self) {
        assert_eq!(self.reserved_bytes, self.segments.values().map(|segment| segment.size_bytes).sum::<u64>());
        assert!(self.reserved_bytes <= self.capacity_bytes, "what is counted stays in the budget");
        for (id, segment) in &self.segments {
            match segment.writer {
                Writer::Client(connection) => assert!(self.clients[&connection].segments.contains(id)),
                Writer::Gone => assert!(segment.registered && segment.live_objects > 0, "an orphan holds an object"),
                Writer::Store => assert!(segment.registered && self.own.contains_key(id)),
            }
            for reader in &segment.readers {
                assert!(self.clients[reader].reading.contains(id));
            }
        }
        for (id, space) in &self.own {
            assert_eq!(self.segments[id].writer, Writer::Store);
            assert!(!space.is_empty(), "an empty segment goes at once");
            let copies = self.objects.values().flatten();
            let coming = self.transfers.values().filter_map(|transfer| match &transfer.stage {
                Stage::Receiving { at, .. } => Some(at),
                Stage::AwaitingPeer | Stage::AwaitingRoom { .. } | Stage::Discarding { .. } => None,
            });
            let blocks = copies.chain(coming).filter(|place| place.segment == *id).map(|place| (place.offset, place.size_bytes));
            space.validate(&blocks.collect::<Vec<_>>());
        }
    }

    fn validate_clients(&self) {
        assert_eq!(self.clients.len(), self.by_client.len());
        for (connection, client) in &self.clients {
            assert_eq!(self.by_client[&client.id], *connection);
            for id in &client.segments {
                assert_eq!(self.segments[id].writer, Writer::Client(*connection));
                assert_eq!(id.writer, client.id);
            }
            for id in &client.reading {
                assert!(self.segments[id].readers.contains(connection));
            }
            for (id, claim) in &client.waiting {
                assert!(matches!(self.claims[claim].claimant,
                    Claimant::Segment { connection: c, segment } if c == *connection && segment == *id));
            }
            for object in &client.fetching {
                assert!(self.transfers[object].waiters.contains(connection));
            }
        }
        let mut connections = BTreeSet::new();
        let all = self.clients.keys().chain(&self.observers).chain(self.served.keys()).chain(self.links.keys());
        assert!(all.copied().all(|connection: ConnectionId| connections.insert(connection)), "a connection is one thing only");
    }

    fn validate_claims(&self) {
        for (number, claim) in &self.claims {
            assert!(self.deadlines.contains(&(claim.deadline, Deadline::Claim(*number))), "nobody waits for ever");
            assert!(claim.size_bytes <= self.capacity_bytes && !self.fits(claim.size_bytes), "nobody waits who fits");
            match claim.claimant {
                Claimant::Segment { connection, segment } => assert_eq!(self.clients[&connection].waiting[&segment], *number),
                Claimant::Copy { object } => {
                    assert!(matches!(self.transfers[&object].stage, Stage::AwaitingRoom { claim } if claim == *number));
                }
            }
        }
        for (_, deadline) in &self.deadlines {
            if let Deadline::Claim(number) = deadline {
                assert!(self.claims.contains_key(number));
            }
        }
    }

    fn validate_transfers(&self) {
        for (connection, node) in &self.links {
            assert_eq!(self.peers[node].link, Link::Ready(*connection));
        }
        for peer in self.peers.values() {
            if let Link::Ready(connection) = peer.link {
                assert!(self.links.contains_key(&connection));
            }
        }
        for (object, transfer) in &self.transfers {
            let link = self.peers.get(&transfer.from.node).map(|peer| peer.link);
            match transfer.stage {
                Stage::AwaitingPeer => assert!(matches!(link, None | Some(Link::Connecting))),
                Stage::AwaitingRoom { claim } => {
                    assert!(self.claims.contains_key(&claim) && matches!(link, Some(Link::Ready(_))));
                }
                Stage::Receiving { connection, at, received } => {
                    assert_eq!(link, Some(Link::Ready(connection)));
                    assert!(received < at.size_bytes);
                }
                Stage::Discarding { connection } => assert_eq!(link, Some(Link::Ready(connection))),
            }
            for waiter in &transfer.waiters {
                assert!(self.clients[waiter].fetching.contains(object));
            }
        }
        for (object, waiting) in &self.awaited {
            assert!(!waiting.is_empty());
            for connection in waiting {
                assert!(self.served[connection].awaiting.contains_key(object));
                let waits = |deadline: &Deadline| *deadline == Deadline::Pull(*object, *connection);
                assert!(self.deadlines.iter().any(|(_, deadline)| waits(deadline)), "nobody waits for ever");
            }
        }
        for (connection, peer) in &self.served {
            assert!(peer.awaiting.keys().all(|object| self.awaited[object].contains(connection)));
            assert!(peer.stalled_only_by_window(), "whoever may send does");
            assert!(peer.window_left() <= WINDOW);
        }
    }
}
