//! Directories that others tampered with, and owners that died.

use std::collections::HashMap;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;

/// A base directory of its own for each test, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ray-sd-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        Self(path)
    }

    fn create(&self, variable: &'static str) -> io::Result<SessionDir> {
        let variables = HashMap::from([(variable, self.0.clone().into_os_string())]);
        SessionDir::create_with(&|name| variables.get(name).cloned())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn shared_name() -> String {
    format!("ray-{}", rustix::process::geteuid().as_raw())
}

#[test]
fn a_session_is_private_and_where_the_environment_says() {
    let scratch = Scratch::new("place");
    for (variable, parent) in [("XDG_RUNTIME_DIR", "ray".to_owned()), ("RAY_TMPDIR", shared_name()), ("TMPDIR", shared_name())] {
        let session = scratch.create(variable).unwrap();
        assert_eq!(session.parent(), scratch.0.join(parent), "{variable}");
        assert_eq!((mode(session.path()), mode(session.parent())), (0o700, 0o700));
        assert_eq!(mode(&session.path().join("lock")), 0o600);
        assert!(is_session_name(&session.name));
        session.remove().unwrap();
    }
    // A runtime directory that others may read is not one.
    std::fs::set_permissions(&scratch.0, Permissions::from_mode(0o750)).unwrap();
    assert_eq!(place(&|name| (name == "XDG_RUNTIME_DIR").then(|| scratch.0.clone().into())).unwrap().0, Path::new("/tmp"));
    assert!(place(&|name| (name == "RAY_TMPDIR").then(|| "relative".into())).is_err());
    let long = |name: &str| (name == "TMPDIR").then(|| format!("/tmp/{}", "./".repeat(40)).into());
    assert_eq!(place(&long).unwrap().0, Path::new("/tmp"));
    assert!(LONGEST_BASE + "/ray-4294967295/0123456789abcdef/".len() + 20 <= 107);
}

#[test]
fn what_others_could_have_planted_is_refused_by_name() {
    let scratch = Scratch::new("planted");
    let planted = scratch.0.join(shared_name());
    let elsewhere = scratch.0.join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::set_permissions(&elsewhere, Permissions::from_mode(0o700)).unwrap();
    let refusal = || {
        let error = scratch.create("RAY_TMPDIR").unwrap_err();
        assert!(error.to_string().contains(planted.to_str().unwrap()), "{error}");
        assert!(remove_stale(&planted).is_err());
        error.to_string()
    };

    symlink(&elsewhere, &planted).unwrap();
    assert!(refusal().contains("symbolic link"));
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
    std::fs::remove_file(&planted).unwrap();

    std::fs::write(&planted, "").unwrap();
    assert!(refusal().contains("not a directory"));
    std::fs::remove_file(&planted).unwrap();

    std::fs::create_dir(&planted).unwrap();
    std::fs::set_permissions(&planted, Permissions::from_mode(0o711)).unwrap();
    assert!(refusal().contains("mode 711"));
    std::fs::set_permissions(&planted, Permissions::from_mode(0o700)).unwrap();

    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&planted, Some(65534), None).unwrap();
        assert!(refusal().contains("user 65534"));
    } else {
        println!("skipped in part: giving a directory away needs root");
    }
    let missing = Scratch(scratch.0.join("missing"));
    let error = missing.create("RAY_TMPDIR").unwrap_err();
    assert!(error.kind() == io::ErrorKind::NotFound && error.to_string().contains("missing"));
    assert_eq!(remove_stale(&scratch.0.join("missing/ray")).unwrap(), 0);
    assert_eq!(remove_stale(&scratch.0.join("ray")).unwrap(), 0);
}

#[test]
fn removing_takes_the_tree_and_follows_no_link() {
    let scratch = Scratch::new("remove");
    let outside = scratch.0.join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("precious"), "").unwrap();
    let session = scratch.create("RAY_TMPDIR").unwrap();
    let path = session.path().to_owned();
    std::fs::create_dir(path.join("logs")).unwrap();
    std::fs::write(path.join("logs/worker"), "text").unwrap();
    symlink(&outside, path.join("logs/link")).unwrap();
    symlink(outside.join("precious"), path.join("link")).unwrap();
    let _listener = crate::Listener::bind(&path.join("socket")).unwrap();
    session.remove().unwrap();
    assert!(!path.exists() && path.parent().unwrap().exists());
    assert!(outside.join("precious").exists());
}

#[test]
fn sessions_of_dead_owners_are_removed_and_others_left() {
    let scratch = Scratch::new("stale");
    let alive = scratch.create("RAY_TMPDIR").unwrap();
    let dead = scratch.create("RAY_TMPDIR").unwrap();
    let parent = alive.parent().to_owned();
    let dead_path = dead.path().to_owned();
    std::fs::write(dead_path.join("socket"), "").unwrap();
    drop(dead); // what SIGKILL does: the lock is freed, the files stay
    let newborn = parent.join("0123456789abcdef"); // killed before it made its lock
    rustix::fs::mkdir(&newborn, PRIVATE).unwrap();
    let unrelated = parent.join("0123456789ABCDEF");
    rustix::fs::mkdir(&unrelated, PRIVATE).unwrap();
    let link = parent.join("fedcba9876543210");
    symlink(&unrelated, &link).unwrap();

    assert_eq!(remove_stale(&parent).unwrap(), 2);
    assert!(!dead_path.exists() && !newborn.exists());
    assert!(alive.path().join("lock").exists() && unrelated.exists() && link.is_symlink());
    assert_eq!(remove_stale(&parent).unwrap(), 0);
    alive.remove().unwrap();
}

#[test]
fn many_sessions_may_come_and_go_at_once() {
    let scratch = Scratch::new("many");
    let parent = scratch.0.join(shared_name());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..20 {
                    let session = scratch.create("RAY_TMPDIR").unwrap();
                    remove_stale(&parent).unwrap();
                    assert!(session.path().join("lock").exists());
                    if round % 2 == 0 {
                        session.remove().unwrap();
                    }
                }
            });
        }
    });
    remove_stale(&parent).unwrap();
    assert_eq!(std::fs::read_dir(&parent).unwrap().count(), 0);
}
