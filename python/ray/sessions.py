"""The clusters that run on this machine, by their session directories, and the addresses they go by.

A cluster opens no port. Its address, "127.0.0.1:" and a number, looks as programs expect and stands for the session
directory, which is as good an address.
"""

import os

_HOST = "127.0.0.1"


def address_of(session):
    """The address of the cluster with this session directory."""
    return f"{_HOST}:{10_000 + int(os.path.basename(session), 16) % 50_000}"


def running():
    """The session directories of this user's clusters that live where the environment says, the youngest first."""
    place = _place()
    try:
        names = os.listdir(place)
    except OSError:
        return []
    found = [path for name in names if _is_alive(path := os.path.join(place, name))]
    return sorted(found, key=lambda path: os.stat(os.path.join(path, "lock")).st_mtime_ns, reverse=True)


def find(address):
    """The session directory of a running cluster.

    Args:
        address (str): "auto" for the youngest, its address, or its session directory.

    Raises:
        ConnectionError: there is none.
    """
    if not isinstance(address, str):
        raise TypeError(f"address must be a string, got {type(address)}.")
    if "://" in address:
        raise ConnectionError(
            f"No cluster at {address!r}: clusters of other machines cannot be joined. Leave address out to start one here."
        )
    if address.startswith("/") and _is_alive(address.rstrip("/")):
        return address.rstrip("/")
    sessions = running()
    if address == "auto":
        if not sessions:
            raise ConnectionError(
                "Could not find any running Ray instance. Please specify the one to connect to by passing its address, or set the "
                "environment variable RAY_ADDRESS. ray.init() without an address starts one."
            )
        return sessions[0]
    port = address.rpartition(":")[2]
    fitting = [session for session in sessions if address_of(session).rpartition(":")[2] == port]
    if len(fitting) == 1:
        return fitting[0]
    known = ", ".join(map(address_of, sessions)) or "none"
    raise ConnectionError(
        f"Could not find a running Ray instance at {address!r}. Those of this user on this machine: {known}. "
        "Leave the address out (and unset RAY_ADDRESS) to start one."
    )


def _place():
    """Where sessions are made, as `ray-io/src/session_dir.rs` finds it."""
    environ, name = os.environ, f"ray-{os.geteuid()}"
    if environ.get("RAY_TMPDIR"):
        return os.path.join(environ["RAY_TMPDIR"], name)
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime and os.path.isdir(os.path.join(runtime, "ray")):
        return os.path.join(runtime, "ray")
    return os.path.join(environ.get("TMPDIR") or "/tmp", name)


def _is_alive(session):
    """Whether the process that made the directory, which holds its lock, lives."""
    import fcntl

    if len(os.path.basename(session)) != 16:
        return False
    try:
        lock = os.open(os.path.join(session, "lock"), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(lock)
    return False
