//! Any stream, cut anywhere: the same frames as whole, or a refusal, and never more memory than allowed.

use super::*;

fn null() -> OwnedFd {
    std::fs::File::open("/dev/null").unwrap().into()
}

fn header(length: u32, fds: u8) -> Vec<u8> {
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.push(fds);
    bytes
}

/// Feeds all bytes as one read each time there is room, collecting payloads as they become whole.
fn feed(incoming: &mut Incoming, mut bytes: &[u8], out: &mut Vec<Vec<u8>>) -> Result<(), FrameError> {
    while !bytes.is_empty() {
        let space = incoming.space();
        let count = space.len().min(bytes.len());
        assert!(count > 0, "no room though all whole frames were taken");
        space[..count].copy_from_slice(&bytes[..count]);
        incoming.arrived(count, Vec::new())?;
        bytes = &bytes[count..];
        while let Some(frame) = incoming.next()? {
            out.push(frame.payload.to_vec());
        }
    }
    Ok(())
}

/// xorshift: tests must repeat.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> usize {
        (self.next() % bound) as usize
    }
}

#[test]
fn a_stream_cut_at_every_byte_gives_the_same_frames() {
    let frames: Vec<Vec<u8>> = vec![b"".to_vec(), b"one".to_vec(), vec![7; 300], b"last".to_vec()];
    let mut outgoing = Outgoing::new();
    for frame in &frames {
        outgoing.push(frame, Vec::new()).unwrap();
    }
    let stream = outgoing.chunk().0.to_vec();
    for cut in 0..=stream.len() {
        let (mut incoming, mut got) = (Incoming::new(), Vec::new());
        feed(&mut incoming, &stream[..cut], &mut got).unwrap();
        feed(&mut incoming, &stream[cut..], &mut got).unwrap();
        assert_eq!(got, frames, "cut at {cut}");
    }
    let (mut incoming, mut got) = (Incoming::new(), Vec::new());
    for byte in &stream {
        feed(&mut incoming, &[*byte], &mut got).unwrap();
    }
    assert_eq!(got, frames);
}

#[test]
fn lengths_above_the_limit_are_refused_before_memory_is_found() {
    for length in [DEFAULT_LIMIT as u32 + 1, 1 << 31, u32::MAX] {
        let mut incoming = Incoming::new();
        let error = feed(&mut incoming, &header(length, 0), &mut Vec::new()).unwrap_err();
        assert!(matches!(error, FrameError::TooLong { limit: DEFAULT_LIMIT, .. }), "{error}");
        assert!(incoming.allocated() <= DEFAULT_LIMIT + HEADER);
    }
    // And below it, memory follows what arrives, not what is announced.
    let mut incoming = Incoming::new();
    incoming.set_limit(1 << 31);
    feed(&mut incoming, &header(1 << 31, 0), &mut Vec::new()).unwrap();
    incoming.space();
    assert!(incoming.allocated() <= FIRST_STEP);
    let arrived = 3 << 20;
    feed(&mut incoming, &vec![0; arrived], &mut Vec::new()).unwrap();
    assert!(incoming.allocated() <= arrived + LAST_STEP + HEADER);
}

#[test]
fn a_frame_of_exactly_the_limit_passes_and_its_memory_is_given_back() {
    let mut incoming = Incoming::new();
    for limit in [1, DEFAULT_LIMIT, 5 << 20] {
        incoming.set_limit(limit);
        let mut stream = header(limit as u32, 0);
        stream.resize(HEADER + limit, 9);
        let mut got = Vec::new();
        feed(&mut incoming, &stream, &mut got).unwrap();
        assert_eq!(got, [&stream[HEADER..]]);
    }
    incoming.space();
    assert!(incoming.allocated() <= KEEP);
}

#[test]
fn the_limit_may_be_raised_between_two_frames_of_one_read() {
    let mut stream = header(2, 0);
    stream.extend(b"hi");
    stream.extend(header(20_000, 0));
    let mut incoming = Incoming::new();
    incoming.space()[..stream.len()].copy_from_slice(&stream);
    incoming.arrived(stream.len(), Vec::new()).unwrap();
    assert_eq!(incoming.next().unwrap().unwrap().payload, b"hi");
    incoming.set_limit(30_000);
    assert!(incoming.next().unwrap().is_none());
}

#[test]
fn descriptors_behind_a_slow_payload_are_closed() {
    let mut incoming = Incoming::new();
    feed(&mut incoming, &header(1000, 0), &mut Vec::new()).unwrap();
    for _ in 0..900 {
        incoming.space()[0] = 0;
        incoming.arrived(1, vec![null(), null()]).unwrap();
        assert_eq!(incoming.held_fds, 0);
    }
}

#[test]
fn descriptors_must_come_with_the_first_byte_of_their_frame() {
    let stream = header(0, 2);
    // With the first byte, header split after it: fine, and a third descriptor is surplus.
    let mut incoming = Incoming::new();
    incoming.space()[..1].copy_from_slice(&stream[..1]);
    incoming.arrived(1, vec![null(), null(), null()]).unwrap();
    incoming.space()[..4].copy_from_slice(&stream[1..]);
    incoming.arrived(4, Vec::new()).unwrap();
    assert_eq!(incoming.next().unwrap().unwrap().fds.len(), 2);
    assert_eq!(incoming.held_fds, 0);
    // Too few, too late, none at all.
    for (first, second) in [(1, 0), (0, 2), (0, 0)] {
        let mut incoming = Incoming::new();
        incoming.space()[..1].copy_from_slice(&stream[..1]);
        incoming.arrived(1, (0..first).map(|_| null()).collect()).unwrap();
        incoming.space()[..4].copy_from_slice(&stream[1..]);
        let error = incoming.arrived(4, (0..second).map(|_| null()).collect()).unwrap_err();
        assert!(matches!(error, FrameError::MissingFds { claimed: 2, .. }), "{error}");
    }
    let error = feed(&mut Incoming::new(), &header(0, 9), &mut Vec::new()).unwrap_err();
    assert!(matches!(error, FrameError::TooManyFds { count: 9 }));
}

#[test]
fn random_and_mutated_streams_never_panic_or_take_more_than_the_limit() {
    let mut random = Random(0x5eed_0ff4_a3e5);
    let mut refused = 0;
    for case in 0..100_000 {
        let mut stream: Vec<u8> = if case % 2 == 0 {
            let length = random.below(64);
            (0..length).map(|_| random.next() as u8).collect()
        } else {
            // Good frames with a few bytes changed: gets past the first header more often.
            let mut stream = Vec::new();
            for _ in 0..random.below(4) + 1 {
                let length = random.below(40) as u32;
                stream.extend(header(length, random.below(10) as u8 / 8));
                stream.extend((0..length).map(|_| random.next() as u8));
            }
            for _ in 0..random.below(3) {
                let at = random.below(stream.len() as u64);
                stream[at] = random.next() as u8;
            }
            stream
        };
        if case % 1000 == 0 {
            stream.resize(3 * DEFAULT_LIMIT, 0); // endless empty frames
        }
        let limit = [0, 1, 33, DEFAULT_LIMIT][random.below(4)];
        let mut incoming = Incoming::new();
        incoming.set_limit(limit);
        let mut rest = &stream[..];
        let result = (|| {
            while !rest.is_empty() {
                let piece = random.below(rest.len() as u64) + 1;
                let space = incoming.space();
                let piece = piece.min(space.len());
                assert!(piece > 0);
                space[..piece].copy_from_slice(&rest[..piece]);
                rest = &rest[piece..];
                let fds = if random.below(50) == 0 { random.below(10) } else { 0 };
                incoming.arrived(piece, (0..fds).map(|_| null()).collect())?;
                while incoming.next()?.is_some() {}
            }
            Ok::<(), FrameError>(())
        })();
        refused += usize::from(result.is_err());
        assert!(incoming.allocated() <= limit + HEADER, "case {case}");
        assert!(incoming.held_fds <= 2 * MAX_FDS, "case {case}");
    }
    assert!((1000..100_000).contains(&refused), "{refused}"); // else the streams test nothing
}

#[test]
fn one_write_never_runs_into_the_next_frame_with_descriptors() {
    let mut outgoing = Outgoing::new();
    outgoing.push(b"a", Vec::new()).unwrap();
    outgoing.push(b"b", vec![null()]).unwrap();
    outgoing.push(b"c", Vec::new()).unwrap();
    outgoing.push(b"d", vec![null(), null()]).unwrap();
    let lengths = |outgoing: &Outgoing| {
        let (bytes, fds) = outgoing.chunk();
        (bytes.len(), fds.len())
    };
    assert_eq!(lengths(&outgoing), (6, 0));
    outgoing.sent(4);
    assert_eq!(lengths(&outgoing), (2, 0));
    outgoing.sent(2);
    assert_eq!(lengths(&outgoing), (12, 1));
    outgoing.sent(1); // the descriptors went with the first byte
    assert_eq!(lengths(&outgoing), (11, 0));
    outgoing.sent(11);
    assert_eq!(lengths(&outgoing), (6, 2));
    outgoing.sent(6);
    assert_eq!((outgoing.len(), lengths(&outgoing)), (0, (0, 0)));
    assert!(outgoing.sets.is_empty());
    let nine = (0..9).map(|_| null()).collect();
    assert!(matches!(outgoing.push(b"", nine), Err(FrameError::TooManyFds { count: 9 })));
}
