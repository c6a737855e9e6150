"""Between users we are a boundary: no listener but private sockets, private files, no names to find, nothing to read in `ps`."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ray
from support import members, run_driver
from wire import DRIVER, STORE, STORE_CLIENT, WORKER, ZYGOTE, Peer, frame, hello, version_of


@pytest.fixture
def session(two_stores):
    """The session directory of a cluster that has done a little of everything."""
    ray.get([ray.remote(lambda: np.zeros(1 << 17)).remote() for _ in range(8)])
    ray.put(np.zeros(1 << 17))
    return Path(ray.cluster.session_dir())


def sockets_of(pid):
    found = set()
    for entry in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{entry}")
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


def test_nothing_listens_on_a_network(session):
    inodes = set().union(*(sockets_of(pid) for pid in [os.getpid(), *members().all]))
    assert len(inodes) > 10
    for table in ("tcp", "tcp6", "udp", "udp6", "raw"):
        path = Path(f"/proc/self/net/{table}")
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            assert line.split()[9] not in inodes, f"{table}: {line}"


def test_sockets_have_no_abstract_names(session):
    inodes = set().union(*(sockets_of(pid) for pid in members().all))
    for line in Path("/proc/self/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[6] in inodes and len(fields) > 7:
            assert fields[7].startswith(str(session)), line


def test_files_are_private(session):
    for directory in (session, session.parent):
        assert stat.S_IMODE(directory.lstat().st_mode) == 0o700
        assert directory.lstat().st_uid == os.getuid()
    found = list(session.rglob("*"))
    assert {"scheduler.sock", "objstore-0.sock", "objstore-1.sock", "lock"} <= {path.name for path in found}
    for path in found:
        assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, f"{path} {stat.filemode(path.lstat().st_mode)}"


def test_files_are_private_under_any_umask(tmp_path):
    code = """
    os.umask(0)
    ray.services.start_ray_local(num_workers=1)
    ray.get(ray.remote(lambda: 1).remote())
    for directory, _, names in os.walk(os.path.dirname(ray.cluster.session_dir())):
        for name in ["", *names]:
            print(oct(os.lstat(os.path.join(directory, name)).st_mode & 0o77))
    """
    code, out, errors = run_driver(code)
    assert (code, errors) == (0, "")
    assert set(out.split()) == {"0o0"}


def test_shared_memory_has_no_names(session):
    for pid in members().all:
        mapped = Path(f"/proc/{pid}/maps").read_text()
        assert "/dev/shm/" not in mapped
        held = [
            os.readlink(f"/proc/{pid}/fd/{entry}")
            for entry in os.listdir(f"/proc/{pid}/fd")
            if os.path.lexists(f"/proc/{pid}/fd/{entry}")
        ]
        assert not [target for target in held if target.startswith("/dev/shm/")]


def test_readers_cannot_map_objects_writable(two_workers):
    """The kernel enforces it: what another process wrote is sealed against any new writable mapping."""
    import mmap

    view = ray.get(ray.remote(lambda: np.zeros(1 << 20)).remote())
    assert len(view)

    @ray.remote
    def writable(pid):
        found = []
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            if "ray-objects" in line:
                found.append(line.split()[1])
        return found

    # Of a segment another process wrote there are only read-only mappings here.
    assert set(ray.get(writable.remote(os.getpid()))) == {"r--s"}
    for entry in os.listdir("/proc/self/fd"):
        target = os.readlink(f"/proc/self/fd/{entry}") if os.path.lexists(f"/proc/self/fd/{entry}") else ""
        if "ray-objects" in target:
            with pytest.raises((OSError, PermissionError)), open(f"/proc/self/fd/{entry}", "r+b") as file:
                mmap.mmap(file.fileno(), 4096)


def test_argument_lists_and_environments_hold_no_secret(session):
    """What would let another in is the right to open the socket, which the kernel checks; there is no word to steal. The cluster's
    number, which is part of every id, is in no argument list or environment either."""
    cluster = ray._core.identity()[2]
    needles = [f"{cluster:x}", str(cluster), cluster.to_bytes(8, "little").hex()]
    for pid in members().all:
        seen = Path(f"/proc/{pid}/cmdline").read_text() + Path(f"/proc/{pid}/environ").read_text()
        assert not [needle for needle in needles if needle in seen]
    assert not (session / "start").exists()


def test_daemons_cannot_be_looked_into(session):
    """Object bytes do not go into core dumps, and only root may read the store's memory."""
    for pid in members().objstores:
        assert Path(f"/proc/{pid}/mem").stat().st_uid == 0


CONNECT = """
import socket, sys
peer = socket.socket(socket.AF_UNIX)
try:
    peer.connect(sys.argv[1])
    peer.sendall(b"x")
    print("accepted" if peer.recv(1) else "closed unread")
except (PermissionError, BrokenPipeError, ConnectionResetError) as error:
    print(type(error).__name__)
"""


def as_nobody(*command):
    setpriv = shutil.which("setpriv")
    if os.getuid() != 0 or setpriv is None:
        pytest.skip("needs root and setpriv to become another user")
    out = subprocess.run(
        [setpriv, "--reuid", "65534", "--regid", "65534", "--clear-groups", *command], capture_output=True, text=True, check=False
    )
    return out.stdout.strip() or out.stderr


def python_for_all():
    """An interpreter that another user may run: ours may lie in a private directory."""
    for path in ("/usr/bin/python3", sys.executable):
        if os.path.exists(path) and as_nobody(path, "-c", "print(1)") == "1":
            return path
    pytest.skip("no interpreter that another user may run")


def test_another_user_cannot_even_see_the_sockets(session):
    python = python_for_all()
    for name in ("scheduler.sock", "objstore-0.sock"):
        assert as_nobody(python, "-c", CONNECT, str(session / name)) == "PermissionError"
    assert "Permission denied" in as_nobody("ls", str(session))


def test_another_user_is_refused_also_where_modes_fail(session):
    """The directory opened to everyone by mistake: the kernel's word on who connects still counts."""
    python = python_for_all()
    places = [session, session.parent, session.parent.parent]
    modes = [place.stat().st_mode for place in places]
    sockets = [session / "scheduler.sock", session / "objstore-0.sock"]
    try:
        for place in places:
            place.chmod(0o777)
        for path in sockets:
            path.chmod(0o777)
            assert as_nobody(python, "-c", CONNECT, str(path)) in ("closed unread", "BrokenPipeError", "ConnectionResetError")
    finally:
        for place, mode in zip(places, modes, strict=True):
            place.chmod(stat.S_IMODE(mode))
    assert ray.get(ray.remote(lambda: 1).remote()) == 1


def test_a_place_that_others_prepared_is_refused(tmp_path):
    """Somebody made our directory in /tmp first: as a link, open to all, or as a file."""
    ours = f"ray-{os.getuid()}"

    def start(base):
        environment = {"XDG_RUNTIME_DIR": "", "RAY_TMPDIR": str(base)}
        return run_driver("ray.init(num_cpus=1); ray.shutdown()", environment=environment)

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    for kind, make in (
        ("link", lambda path: path.symlink_to(elsewhere)),
        ("open", lambda path: (path.mkdir(), path.chmod(0o777))),
        ("file", lambda path: path.write_text("")),
    ):
        base = tmp_path / kind
        base.mkdir()
        make(base / ours)
        code, _, errors = start(base)
        assert code == 1, kind
        assert "RuntimeError: The cluster could not be started" in errors, kind
        assert str(base / ours) in errors, kind
    assert not list(elsewhere.iterdir())
    assert start(tmp_path)[0] == 0
    assert stat.S_IMODE((tmp_path / ours).stat().st_mode) == 0o700


def test_only_those_the_scheduler_started_may_be_its_stores_and_zygotes(session):
    """One of the same user is no enemy, but may be confused: a second store or zygote of a node would take the first's place."""
    path = session / "scheduler.sock"
    version = version_of(path)
    for role in ((ZYGOTE, 0), (ZYGOTE, 7), (STORE, 0, 1 << 30), (STORE, 9, 1 << 30), (WORKER, 999), (STORE_CLIENT, 1)):
        with Peer(path) as peer:
            peer.send(frame(hello(version, *role)))
            assert peer.is_closed(), role
    with Peer(path) as peer:
        peer.send(frame(hello(version, DRIVER, 1)))  # says it owns the cluster
        assert peer.receive()
    assert [row["alive"] for row in ray._core.cluster_info()["nodes"]] == [True, True]
    assert ray.get([ray.remote(lambda: 1).remote() for _ in range(8)]) == [1] * 8
