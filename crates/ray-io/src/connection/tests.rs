//! Frames over real sockets.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use super::*;
use crate::frame::DEFAULT_LIMIT;

/// A file that says `text`, to be told apart after travelling.
fn file(text: &str) -> OwnedFd {
    let fd = rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    File::from(fd.try_clone().unwrap()).write_all(text.as_bytes()).unwrap();
    fd
}

fn text(fd: OwnedFd) -> String {
    let (mut file, mut text) = (File::from(fd), String::new());
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

/// A connection whose other end is a plain socket, for bytes that our own sender would not make.
fn raw() -> (UnixStream, Connection) {
    let (one, other) = UnixStream::pair().unwrap();
    (one, Connection::new(other.into()).unwrap())
}

/// How many descriptors of this process are memory files called `name`. (Tests run beside each other,
/// so a count of all descriptors says nothing.)
fn open_copies(name: &str) -> usize {
    let fds = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let targets = fds.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with(&format!("/memfd:{name} "))).count()
}

#[test]
fn descriptors_arrive_with_their_own_frame_when_frames_are_coalesced() {
    let (mut one, mut other) = Connection::pair().unwrap();
    let mut expected = Vec::new();
    for number in 0..40_usize {
        let count = [0, 2, 0, 0, 1, 8][number % 6];
        let names: Vec<String> = (0..count).map(|index| format!("{number}.{index}")).collect();
        one.send(&vec![number as u8; number], names.iter().map(|name| file(name)).collect()).unwrap();
        expected.push((number, names));
    }
    assert!(one.flush().unwrap());
    assert_eq!((one.wants_write(), one.queued_bytes()), (false, 0));
    for (number, names) in expected {
        let frame = other.receive_blocking(None).unwrap();
        assert_eq!(frame.payload, vec![number as u8; number]);
        for fd in &frame.fds {
            assert!(rustix::io::fcntl_getfd(fd).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        }
        assert_eq!(frame.fds.into_iter().map(text).collect::<Vec<_>>(), names);
    }
}

#[test]
fn small_frames_leave_in_one_write_and_long_ones_in_many() {
    let (mut one, mut other) = Connection::pair().unwrap();
    other.set_limit(64 << 20);
    let long: Vec<u8> = (0..20_000_000_u32).map(|number| number as u8).collect();
    for _ in 0..3 {
        one.send(b"small", Vec::new()).unwrap();
    }
    one.send(&long, vec![file("long")]).unwrap();
    one.send(b"after", Vec::new()).unwrap();
    assert!(!one.flush().unwrap(), "twenty megabytes fit in no socket buffer");
    assert!(one.wants_write() && one.queued_bytes() > 1_000_000);
    std::thread::scope(|scope| {
        scope.spawn(|| one.send_blocking(b"end", Vec::new()).unwrap());
        for _ in 0..3 {
            assert_eq!(other.receive_blocking(None).unwrap().payload, b"small");
        }
        let frame = other.receive_blocking(None).unwrap();
        assert!(frame.payload == long);
        assert_eq!(text(frame.fds.into_iter().next().unwrap()), "long");
        assert_eq!(other.receive_blocking(None).unwrap().payload, b"after");
        assert_eq!(other.receive_blocking(None).unwrap().payload, b"end");
    });
}

#[test]
fn frames_remain_readable_after_the_peer_closed() {
    let (mut one, mut other) = Connection::pair().unwrap();
    one.send_blocking(b"last words", Vec::new()).unwrap();
    one.send_blocking(b"", Vec::new()).unwrap();
    other.send_blocking(b"never read: the end is a reset", Vec::new()).unwrap();
    drop(one);
    while other.receive().unwrap() == ReadStatus::Open {}
    assert_eq!(other.next_frame().unwrap().unwrap().payload, b"last words");
    assert_eq!(other.receive_blocking(None).unwrap().payload, b"");
    assert!(other.next_frame().unwrap().is_none());
    assert_eq!(other.receive().unwrap(), ReadStatus::Closed);
    assert!(matches!(other.receive_blocking(None), Err(FrameError::Closed)));
    let error = other.send_blocking(b"x", Vec::new()).unwrap_err(); // and no SIGPIPE
    assert!(matches!(error, FrameError::Io(error) if error.kind() == io::ErrorKind::BrokenPipe));
}

#[test]
fn over_limit_is_refused_on_the_socket_too() {
    let (mut one, mut other) = Connection::pair().unwrap();
    one.send(&vec![0; DEFAULT_LIMIT + 1], Vec::new()).unwrap();
    one.flush().unwrap();
    assert!(matches!(other.receive_blocking(None), Err(FrameError::TooLong { .. })));
}

#[test]
fn one_call_reads_a_bounded_amount() {
    let (mut peer, mut other) = raw();
    peer.set_nonblocking(true).unwrap();
    while peer.write(&[0; 5000]).is_ok() {} // thousands of empty frames
    other.receive().unwrap();
    let mut frames = 0;
    while other.next_frame().unwrap().is_some() {
        frames += 1;
    }
    assert!(frames > 1000 && frames <= (DEFAULT_LIMIT + 5) / 5, "{frames}");
}

#[test]
fn a_flood_of_descriptors_is_held_to_a_bound_and_nothing_leaks() {
    let (peer, mut other) = raw();
    let name = "flood";
    let fd = rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let eight: Vec<OwnedFd> = (0..8).map(|_| fd.try_clone().unwrap()).collect();
    let ours = open_copies(name);
    // Frames of no bytes and eight descriptors each.
    for _ in 0..30 {
        send_some(peer.as_fd(), &[0, 0, 0, 0, 8], &eight).unwrap();
    }
    let mut frames = 0;
    while frames < 30 {
        other.receive().unwrap();
        assert!(open_copies(name) <= ours + 64);
        while other.next_frame().unwrap().is_some() {
            frames += 1;
        }
        assert_eq!(open_copies(name), ours);
    }
    // A header that lies, over the real kernel path.
    send_some(peer.as_fd(), &[0, 0, 0, 0, 2], &eight[..1]).unwrap();
    let error = other.receive().unwrap_err();
    assert!(matches!(error, FrameError::MissingFds { claimed: 2, arrived: 1 }), "{error}");
    assert_eq!(open_copies(name), ours);
}

#[test]
fn more_descriptors_than_allowed_with_one_write_are_refused() {
    let (peer, mut other) = raw();
    let null = file("");
    let mut memory = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(20))];
    let mut control = SendAncillaryBuffer::new(&mut memory);
    let many = [null.as_fd(); 20];
    assert!(control.push(SendAncillaryMessage::ScmRights(&many)));
    let bytes = [IoSlice::new(&[0, 0, 0, 0, 8])];
    rustix::net::sendmsg(&peer, &bytes, &mut control, SendFlags::empty()).unwrap();
    assert!(matches!(other.receive(), Err(FrameError::LostFds)));
}

#[test]
fn waiting_ends_at_the_timeout_or_when_the_caller_says() {
    let (mut one, mut other) = Connection::pair().unwrap();
    let short = Some(Duration::from_millis(5));
    assert!(matches!(other.receive_blocking(short), Err(FrameError::TimedOut)));
    let error = other.receive_blocking_with(None, &mut || false).unwrap_err();
    assert!(matches!(error, FrameError::Io(error) if error.kind() == io::ErrorKind::Interrupted));
    // Nobody reads: the write waits, and can be told to stop.
    let error = one.send_blocking_with(&vec![0; 1 << 20], Vec::new(), &mut || false).unwrap_err();
    assert!(matches!(error, FrameError::Io(error) if error.kind() == io::ErrorKind::Interrupted));
    assert!(one.wants_write());
}

#[test]
fn the_kernel_says_who_the_peer_is() {
    let (one, _other) = Connection::pair().unwrap();
    assert_eq!(one.peer_uid().unwrap(), rustix::process::geteuid().as_raw());
    assert_eq!(one.peer_pid().unwrap(), std::process::id() as i32);
    assert!(one.as_fd().as_raw_fd() > 2);
}
