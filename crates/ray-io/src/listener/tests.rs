//! Who gets in.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::*;
use crate::{FrameError, Interest, Poller};

/// A directory of its own for each test, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ray-io-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn wait_for(listener: &Listener) {
    let poller = Poller::new().unwrap();
    poller.add(listener.as_fd(), 0, Interest::READ).unwrap();
    let mut events = Vec::new();
    poller.wait(&mut events, Some(Duration::from_secs(20))).unwrap();
    assert_eq!(events.len(), 1, "nobody connected");
}

#[test]
fn our_own_user_is_let_in() {
    let scratch = Scratch::new("ours");
    let path = scratch.0.join("socket");
    let listener = Listener::bind(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(listener.accept().unwrap().is_none());
    let mut client = Connection::connect(&path).unwrap();
    let mut server = listener.accept().unwrap().unwrap();
    client.send_blocking(b"hello", Vec::new()).unwrap();
    assert_eq!(server.receive_blocking(None).unwrap().payload, b"hello");
    assert_eq!((listener.refused(), listener.shed()), (0, 0));
    let error = Listener::bind(&path).unwrap_err().to_string();
    assert!(error.contains("socket: "), "{error}");
    drop(listener);
    assert!(path.exists());
    let error = Connection::connect(&path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn paths_longer_than_an_address_work() {
    let scratch = Scratch::new("long");
    let directory = scratch.0.join("d".repeat(150));
    std::fs::create_dir(&directory).unwrap();
    let path = directory.join("socket");
    let listener = Listener::bind(&path).unwrap();
    let _client = Connection::connect(&path).unwrap();
    assert!(listener.accept().unwrap().is_some());
    let error = Listener::bind(&directory.join("s".repeat(120))).unwrap_err().to_string();
    assert!(error.contains("sss"), "{error}");
}

#[test]
fn an_inherited_listener_is_taken_over() {
    let scratch = Scratch::new("inherited");
    let path = scratch.0.join("socket");
    let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let listener = Listener::from_fd(socket.into()).unwrap();
    assert!(listener.accept().unwrap().is_none()); // nonblocking now
    let _client = Connection::connect(&path).unwrap();
    assert!(listener.accept().unwrap().is_some());
}

#[test]
fn other_users_are_turned_away_unread_and_not_connected_to() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: becoming another user needs root");
        return;
    }
    let scratch = Scratch::new("others");
    let open = Permissions::from_mode(0o777);
    std::fs::set_permissions(&scratch.0, open.clone()).unwrap();
    let path = scratch.0.join("socket");
    let listener = Listener::bind(&path).unwrap();
    std::fs::set_permissions(&path, open).unwrap(); // the first line of defence has failed
    let stranger = |program: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--clear-groups", PYTHON, "-c", program]);
        command.arg(&scratch.0).stdout(std::process::Stdio::piped());
        command.spawn()
    };
    let client = stranger(
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1] + '/socket')\n\
         try: s.send(b'\\0' * 5); print('read', s.recv(1))\n\
         except OSError as error: print('closed', error)",
    );
    let Ok(client) = client else {
        println!("skipped: no setpriv on this machine");
        return;
    };
    wait_for(&listener);
    assert!(listener.accept().unwrap().is_none());
    assert_eq!(listener.refused(), 1);
    let said = String::from_utf8(client.wait_with_output().unwrap().stdout).unwrap();
    assert!(said.starts_with("closed") || said.starts_with("read b''"), "{said}");

    let mut server = stranger(
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1] + '/theirs')\n\
         s.listen(); print(flush=True); s.accept()[0].recv(1)",
    )
    .unwrap();
    io::Read::read_exact(server.stdout.as_mut().unwrap(), &mut [0]).unwrap();
    let error = Connection::connect(&scratch.0.join("theirs")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("65534"), "{error}");
    server.wait().unwrap();
}

#[test]
fn a_peer_that_says_nothing_costs_nobody_a_wait() {
    let scratch = Scratch::new("silent");
    let path = scratch.0.join("socket");
    let listener = Listener::bind(&path).unwrap();
    let _client = Connection::connect(&path).unwrap();
    let mut server = listener.accept().unwrap().unwrap();
    assert_eq!(server.receive().unwrap(), crate::ReadStatus::Open);
    let error = server.receive_blocking(Some(Duration::ZERO)).unwrap_err();
    assert!(matches!(error, FrameError::TimedOut));
}

/// Not the `python3` of the path: that may lie in a home directory closed to others.
const PYTHON: &str = "/usr/bin/python3";
