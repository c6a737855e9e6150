//! Why the store closes a connection: nearly always something that a process in its right mind does not do.

use core::fmt;
use ray_protocol::{ClientId, Location, ObjectId, SegmentId};

/// Why a connection is closed. Only that connection suffers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// The id in its hello cannot be a client's.
    NoClientId {
        /// The id.
        client: ClientId,
    },
    /// The client is connected already.
    SecondConnection {
        /// The client.
        client: ClientId,
    },
    /// A message that others may send, but not such a peer.
    NotForThisRole,
    /// A segment to be reserved under an id that is taken, or another writer's.
    BadSegmentId {
        /// The id.
        segment: SegmentId,
    },
    /// No segment has such a size.
    BadSize {
        /// The segment, or the one an object is said to lie in.
        segment: SegmentId,
        /// The size.
        size_bytes: u64,
    },
    /// A segment that does not exist or that another process writes.
    NotItsSegment {
        /// The segment.
        segment: SegmentId,
    },
    /// Register without a segment.
    NoDescriptor {
        /// The segment.
        segment: SegmentId,
    },
    /// Register for the second time.
    SecondRegister {
        /// The segment.
        segment: SegmentId,
    },
    /// The segment is not as big as was reserved.
    WrongSize {
        /// The segment.
        segment: SegmentId,
        /// The size reserved.
        reserved: u64,
        /// The size found.
        found: u64,
    },
    /// A segment dropped with objects in it.
    DropOfLiveSegment {
        /// The segment.
        segment: SegmentId,
        /// The number of objects.
        objects: u64,
    },
    /// An object cannot lie there.
    BadLocation {
        /// The object.
        object: ObjectId,
        /// Where it is said to lie.
        location: Location,
    },
    /// The same object at the same place twice.
    SealedTwice {
        /// The object.
        object: ObjectId,
    },
    /// An object freed by one who neither owns nor wrote it.
    FreeOfOthers {
        /// The object.
        object: ObjectId,
    },
    /// A piece of an object that is not the next one, or was not asked for.
    BadChunk {
        /// The object.
        object: ObjectId,
        /// The offset the piece has.
        offset: u64,
        /// Its length.
        size_bytes: u64,
    },
    /// Not a fault of the peer: a piece of an object it asked for cannot be read.
    Unreadable {
        /// The object.
        object: ObjectId,
        /// Why.
        reason: String,
    },
    /// Not a fault: the scheduler gave another address for that store.
    PeerMoved,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |segment: &SegmentId| format!("segment {}/{}", segment.writer, segment.number);
        match self {
            Self::NoClientId { client } => write!(f, "{client} is no client's id"),
            Self::SecondConnection { client } => write!(f, "client {client} is connected already"),
            Self::NotForThisRole => f.write_str("it sent a message that its role does not send"),
            Self::BadSegmentId { segment } => write!(f, "it may not reserve {}", name(segment)),
            Self::BadSize { segment, size_bytes } => write!(f, "{} cannot have {size_bytes} bytes", name(segment)),
            Self::NotItsSegment { segment } => write!(f, "{} is not one it writes", name(segment)),
            Self::NoDescriptor { segment } => write!(f, "{} came without its descriptor", name(segment)),
            Self::SecondRegister { segment } => write!(f, "{} is registered already", name(segment)),
            Self::WrongSize { segment, reserved, found } => {
                write!(f, "{} has {found} bytes, but {reserved} were reserved", name(segment))
            }
            Self::DropOfLiveSegment { segment, objects } => {
                write!(f, "it dropped {}, which holds {objects} objects", name(segment))
            }
            Self::BadLocation { object, location } => {
                let Location { node, segment, offset, size_bytes } = location;
                write!(f, "object {object} cannot be {size_bytes} bytes at {offset} of {} on node {node}", name(segment))
            }
            Self::SealedTwice { object } => write!(f, "it sealed object {object} twice at one place"),
            Self::FreeOfOthers { object } => write!(f, "it freed object {object}, which it neither owns nor wrote"),
            Self::BadChunk { object, offset, size_bytes } => {
                write!(f, "it sent {size_bytes} bytes at {offset} of object {object}, which were not to be sent")
            }
            Self::Unreadable { object, reason } => write!(f, "object {object} cannot be read: {reason}"),
            Self::PeerMoved => f.write_str("the store of that node listens elsewhere now"),
        }
    }
}
