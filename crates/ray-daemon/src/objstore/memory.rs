//! The segments' descriptors and mappings, under the ids the state machine knows them by.

use ray_protocol::{Location, SegmentId};
use ray_shm::{OwnedSegment, ReadSegment, ShmError};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// All segments this process holds.
#[derive(Debug, Default)]
pub(super) struct Memory {
    segments: BTreeMap<SegmentId, Held>,
}

#[derive(Debug)]
enum Held {
    Client(ClientSegment),
    Own(OwnedSegment),
}

/// A segment another process writes: to be handed on, and to be read from when another node wants an object.
#[derive(Debug)]
pub(super) struct ClientSegment {
    fd: OwnedFd,
    map: Arc<ReadSegment>,
}

impl ClientSegment {
    /// Checks that the descriptor is a segment whose size can never change. What it says of its contents is not looked at.
    pub(super) fn new(fd: OwnedFd) -> Result<Self, String> {
        let words = |error: ShmError| error.to_string();
        let stat = rustix::fs::fstat(&fd).map_err(|errno| errno.to_string())?;
        let size_bytes = usize::try_from(stat.st_size).map_err(|error| error.to_string())?;
        let copy = fd.try_clone().map_err(|error| error.to_string())?;
        // A mapping costs the kernel a few hundred bytes whatever its size, and makes sure now that the segment can be read later.
        let map = ReadSegment::map(copy, size_bytes).map_err(words)?;
        Ok(ClientSegment { fd, map })
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.map.len() as u64
    }
}

impl Memory {
    pub(super) fn keep(&mut self, id: SegmentId, segment: ClientSegment) {
        self.segments.insert(id, Held::Client(segment));
    }

    pub(super) fn create(&mut self, id: SegmentId, size_bytes: u64) -> io::Result<()> {
        let len = usize::try_from(size_bytes).map_err(io::Error::other)?;
        let segment = OwnedSegment::create(&format!("objstore-{}", id.number), len)?;
        self.segments.insert(id, Held::Own(segment));
        Ok(())
    }

    pub(super) fn drop_segment(&mut self, id: SegmentId) {
        self.segments.remove(&id); // not there if it could not be created
    }

    /// A descriptor to send away.
    pub(super) fn descriptor(&self, id: SegmentId) -> io::Result<OwnedFd> {
        match self.segments.get(&id) {
            Some(Held::Client(segment)) => segment.fd.as_fd(),
            Some(Held::Own(segment)) => segment.fd(),
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        .try_clone_to_owned()
    }

    /// Writes a piece of a copy. A segment that could not be created swallows it; the transfer has failed already.
    pub(super) fn write(&self, id: SegmentId, offset: u64, bytes: &[u8]) {
        if let Some(Held::Own(segment)) = self.segments.get(&id) {
            segment.write(offset as usize, bytes); // checked against the segment's size, which is a usize, by the state machine
        }
    }

    /// A piece of a sealed object.
    pub(super) fn read(&self, location: Location, offset: u64, size_bytes: u64) -> Result<Vec<u8>, String> {
        let map = match self.segments.get(&location.segment) {
            Some(Held::Client(segment)) => segment.map.clone(),
            Some(Held::Own(segment)) => segment.read_handle(),
            None => return Err(String::from("its segment is gone")),
        };
        let mut bytes = Vec::new();
        let start = location.offset.checked_add(offset).and_then(|start| usize::try_from(start).ok());
        let inside = match (start, usize::try_from(size_bytes)) {
            (Some(start), Ok(len)) => map.append_to(start, len, &mut bytes),
            _ => false,
        };
        if inside { Ok(bytes) } else { Err(String::from("it does not lie in its segment")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ray_protocol::{ClientId, NodeId};

    #[test]
    fn what_is_written_is_read_and_bounds_hold() {
        let mut memory = Memory::default();
        let (own, clients) = (SegmentId::of_store(NodeId(0), 0), SegmentId { writer: ClientId(1), number: 1 });
        memory.create(own, 10_000).unwrap();
        memory.write(own, 9_000, b"hello");
        let fd = memory.descriptor(own).unwrap();
        memory.keep(clients, ClientSegment::new(fd).unwrap());
        for segment in [own, clients] {
            let place = |offset, size_bytes| Location { node: NodeId(0), segment, offset, size_bytes };
            assert_eq!(memory.read(place(8_900, 1000), 100, 5).unwrap(), b"hello");
            assert!(memory.read(place(8_900, 1000), 1100, 5).is_err());
            assert!(memory.read(place(u64::MAX, 1000), 1, 5).is_err());
            memory.drop_segment(segment);
            assert!(memory.read(place(0, 10), 0, 5).is_err());
        }
        assert!(memory.create(own, u64::MAX).is_err());
        memory.write(own, 0, b"lost");
    }

    #[test]
    fn only_sealed_segments_are_taken() {
        let file = rustix::fs::memfd_create("unsealed", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        rustix::fs::ftruncate(&file, 4096).unwrap();
        assert!(ClientSegment::new(file).unwrap_err().contains("sealed"));
        let (pipe, _) = rustix::pipe::pipe().unwrap();
        assert!(ClientSegment::new(pipe).is_err());
    }
}
