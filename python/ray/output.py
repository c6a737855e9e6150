"""What workers write, as it appears at the driver: each line after its source, lines that many write alike told once.

A line that another worker has just written is kept back and counted; the count comes a few seconds later. A worker that
repeats itself is taken at its word. Numbers make no difference: lines that differ only in words with digits are alike.
"""

import os
import re
import sys
import time

_WORD_WITH_DIGITS = re.compile(r"\S*\d\S*")
_HINT = " (Ray deduplicates logs by default. Set RAY_DEDUP_LOGS=0 to disable log deduplication.)"
# Colours of prefixes, by process, with RAY_COLOR_PREFIX=1.
_COLOURS = (35, 36, 33, 32, 34)


class Output:
    """Prints lines; one for a process's time in a cluster."""

    def __init__(self):
        environ = os.environ
        self._names = {}  # (pid, is standard error) -> the function or actor that writes there
        self._seen = {}  # what a line says -> _Repeated, the longest silent first
        self._dedups = environ.get("RAY_DEDUP_LOGS", "1") != "0"
        self._window_s = float(environ.get("RAY_DEDUP_LOGS_AGG_WINDOW_S", "5"))
        self._always = _pattern("RAY_DEDUP_LOGS_ALLOW_REGEX")
        self._never = _pattern("RAY_DEDUP_LOGS_SKIP_REGEX")
        self._coloured = environ.get("RAY_COLOR_PREFIX", "0") == "1"
        self._plain = environ.get("RAY_DISABLE_WORKER_LOG_PREFIX", "0") == "1"
        self._all_to_stderr = environ.get("RAY_LOG_TO_STDERR", "0") == "1"
        self._hinted = False

    def show(self, pid, is_stderr, text):
        """Prints whole lines of a process, as far as they are to be printed now."""
        source = (pid, is_stderr)
        lines = []
        for line in text.removesuffix("\n").split("\n"):
            while line.startswith("\x02") and "\x03" in line:
                name, line = line[1:].split("\x03", 1)
                self._names[source] = name
            prefix = self._prefix(self._names.get(source) or "worker", pid)
            if not self._dedups or self._is_news(pid, prefix, line, is_stderr):
                lines.append(f"{prefix}{line}\n")
        self._write(is_stderr, lines)

    def tick(self):
        """To be called now and then: tells of the lines kept back for long enough."""
        if self._seen:
            self._tell(time.monotonic() - self._window_s)

    def flush(self):
        """Tells of all lines kept back."""
        self._tell(float("inf"))

    def _prefix(self, name, pid):
        if self._plain:
            return ""
        if self._coloured:
            return f"\x1b[{_COLOURS[pid % len(_COLOURS)]}m({name} pid={pid})\x1b[0m "
        return f"({name} pid={pid}) "

    def _is_news(self, pid, prefix, line, is_stderr):
        """Whether a line is to be printed now; counts it otherwise."""
        if self._never is not None and self._never.search(line):
            return False
        if not line or (self._always is not None and self._always.search(line)):
            return True
        key = (_WORD_WITH_DIGITS.sub("", line), is_stderr)
        repeated = self._seen.get(key)
        if repeated is None:
            self._seen[key] = _Repeated(pid)
            return True
        repeated.sources.add(pid)
        if len(repeated.sources) == 1:
            return True
        repeated.count += 1
        repeated.prefix, repeated.line = prefix, line
        return False

    def _tell(self, before):
        while self._seen:
            key = next(iter(self._seen))
            repeated = self._seen[key]
            if repeated.since > before:
                return
            del self._seen[key]
            if repeated.count > 1:
                hint = "" if self._hinted else _HINT
                self._hinted = True
                suffix = f" [repeated {repeated.count}x across cluster]{hint}"
                self._write(key[1], [f"{repeated.prefix}{repeated.line}{suffix}\n"])
                if before != float("inf"):
                    self._seen[key] = repeated.renewed()
            elif repeated.count == 1:
                self._write(key[1], [f"{repeated.prefix}{repeated.line}\n"])

    def _write(self, is_stderr, lines):
        if lines:
            stream = sys.stderr if is_stderr or self._all_to_stderr else sys.stdout
            stream.write("".join(lines))
            stream.flush()


class _Repeated:
    """A line that has been printed, and how often others have written it since."""

    __slots__ = ("count", "line", "prefix", "since", "sources")

    def __init__(self, pid):
        self.since = time.monotonic()
        self.count = 0
        self.sources = {pid}
        self.prefix = self.line = ""

    def renewed(self):
        self.since, self.count = time.monotonic(), 0
        return self


def _pattern(variable):
    text = os.environ.get(variable)
    return re.compile(text) if text else None
