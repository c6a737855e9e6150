"""A debugger for remote functions: `ray.util.pdb.set_trace()`.

On a driver it is pdb on the terminal. A worker has no terminal: it waits at a Unix socket in a directory that only this user can
enter, and says on its standard error how to get there.
"""

import io
import os
import pdb
import socket
import sys
import tempfile


def set_trace(breakpoint_uuid=None):
    """Stops here and hands over to the debugger.

    On a worker, `python -m ray.util.rpdb PATH` in a terminal, with the path it prints, is the debugger's other end.
    """
    from ray import _core

    frame = sys._getframe().f_back
    is_worker = "ray.worker_main" in sys.modules and _core.is_connected()
    if not is_worker:
        pdb.Pdb().set_trace(frame)
        return
    _Remote().set_trace(frame)


class _Remote(pdb.Pdb):
    """pdb at the other end of a Unix socket."""

    def __init__(self):
        with tempfile.TemporaryDirectory(prefix="ray-pdb-") as place, socket.socket(socket.AF_UNIX) as listener:
            path = os.path.join(place, "socket")
            listener.bind(path)
            listener.listen(1)
            print(f"The debugger waits. To reach it, in a terminal: python -m ray.util.rpdb {path}", file=sys.stderr, flush=True)
            self._connection, _ = listener.accept()
        # Two streams: one for both would forget lines it has read ahead when it writes.
        lines, answers = (self._connection.makefile(mode, encoding="utf-8", newline="\n") for mode in "rw")
        super().__init__(stdin=lines, stdout=answers, nosigint=True)
        self.use_rawinput = False

    def set_continue(self):
        super().set_continue()
        self._end()

    def set_quit(self):
        super().set_quit()
        self._end()

    def _end(self):
        if not self.breaks:
            self.stdin.close()
            self.stdout.close()
            self._connection.close()


def attach(path, stdin=None, stdout=None):
    """Connects a terminal with a debugger that waits, until it ends.

    Args:
        path (str): what the worker printed.
        stdin, stdout: this process's by default.
    """
    import threading

    stdin, stdout = stdin or sys.stdin, stdout or sys.stdout
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)

        def send():
            for line in stdin:
                try:
                    connection.sendall(line.encode())
                except OSError:  # it has ended
                    return

        threading.Thread(target=send, daemon=True).start()
        decoder = io.IncrementalNewlineDecoder(None, translate=False)
        while data := connection.recv(4096):
            stdout.write(decoder.decode(data.decode(errors="replace")))
            stdout.flush()


if __name__ == "__main__":
    attach(sys.argv[1])
