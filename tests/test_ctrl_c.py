"""Ctrl-C in a terminal: the driver gets KeyboardInterrupt wherever it is, the cluster works on, and the next one ends it all."""

import os
import signal
import sys
import textwrap

import pexpect
import pytest

from support import ours, wait_until

#: What interrupted programs share. Each loops until it is interrupted, says so, and shows that the cluster still works.
BEGIN = """
import asyncio, sys, time, ray
ray.init(num_cpus=2)

@ray.remote
def sleep(seconds):
    time.sleep(seconds)

@ray.remote
def double(x):
    return 2 * x

@ray.remote
class Counter:
    def __init__(self):
        self.n = 0
    def add(self):
        self.n += 1
        return self.n
    def sleep(self, seconds):
        time.sleep(seconds)

@ray.remote
class Async:
    async def sleep(self, seconds):
        await asyncio.sleep(seconds)

def say(what):
    print(what, flush=True)

counter = Counter.remote()
assert ray.get([double.remote(1), counter.add.remote()]) == [2, 1]
refs = []
"""

END = """
assert ray.get([double.remote(i) for i in range(100)]) == [2 * i for i in range(100)]
assert ray.get(Counter.remote().add.remote()) == 1
say("works on")
"""

#: By name: what runs when Ctrl-C comes.
PLACES = {
    "get": "say('here'); ray.get(sleep.remote(3600))",
    "get of many": "say('here'); ray.get([double.remote(1), sleep.remote(3600), double.remote(2)])",
    "get with a time limit": "say('here'); ray.get(sleep.remote(3600), timeout=3600)",
    "wait": "say('here'); ray.wait([sleep.remote(3600)])",
    "as_completed": "say('here'); list(ray.as_completed([double.remote(1), sleep.remote(3600)]))",
    "a loop of submissions": """
        while True:
            refs.append(double.remote(1))
            if len(refs) == 1000: say('here')
            del refs[5000:]
        """,
    "a loop of calls": """
        while True:
            refs.append(counter.add.remote())
            if len(refs) == 1000: say('here')
            del refs[5000:]
        """,
    "a loop of gets": """
        while True:
            refs.append(ray.get(double.remote(1)))
            if len(refs) == 100: say('here')
        """,
    "a loop of puts": """
        while True:
            refs.append(ray.put(bytes(100_000)))
            if len(refs) == 100: say('here')
            del refs[200:]
        """,
    "an actor's call": "say('here'); ray.get(counter.sleep.remote(3600))",
    "the making of named actors": """
        for i in range(10**6):
            Counter.options(name=str(i)).remote()
            if i == 10: say('here')
        """,
    "await": """
        async def main():
            say('here')
            await sleep.remote(3600)
        asyncio.run(main())
        """,
    "await of an async actor": """
        async def main():
            say('here')
            await Async.remote().sleep.remote(3600)
        asyncio.run(main())
        """,
    "a future": "say('here'); sleep.remote(3600).future().result()",
}


class Terminal:
    """A program with a terminal of its own."""

    def __init__(self, *arguments):
        self.child = pexpect.spawn(sys.executable, list(arguments), env=os.environ, encoding="utf-8", echo=False, timeout=30)

    def press(self):
        """Ctrl-C, as the terminal driver sends it: to every process in the foreground."""
        self.child.sendintr()

    def end(self):
        """Waits for its end: (exit code or None, signal or None, the rest of the output)."""
        self.child.expect(pexpect.EOF)
        rest = self.child.before
        self.child.close()
        return self.child.exitstatus, self.child.signalstatus, rest


@pytest.fixture
def terminal():
    opened = []

    def start(code):
        opened.append(Terminal("-c", textwrap.dedent(code)))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.child.close(force=True)
    wait_until(lambda: not ours())


@pytest.mark.parametrize("place", PLACES)
def test_the_cluster_works_on(terminal, place):
    inside = textwrap.indent(textwrap.dedent(PLACES[place]), "    ")
    program = terminal(f"{BEGIN}\ntry:\n{inside}\nexcept KeyboardInterrupt:\n    say('interrupted')\nrefs = []\n{END}")
    program.child.expect_exact("here")
    program.press()
    program.child.expect_exact("interrupted")
    program.child.expect_exact("works on")
    code, number, rest = program.end()
    assert (code, number) == (0, None), rest
    assert "Traceback" not in rest


def test_the_second_ends_it(terminal):
    program = terminal(
        f"{BEGIN}\ntry:\n    say('here'); ray.get(sleep.remote(3600))\nexcept KeyboardInterrupt:\n    say('interrupted')\n"
        "say('again'); ray.get(counter.sleep.remote(3600))"
    )
    program.child.expect_exact("here")
    program.press()
    program.child.expect_exact("again")
    program.press()
    code, number, rest = program.end()
    assert code == 130 or number == signal.SIGINT
    assert rest.count("KeyboardInterrupt") == 1
    assert "ray/worker_main.py" not in rest  # no worker was interrupted


def test_many_in_a_row(terminal):
    program = terminal(
        f"""{BEGIN}
for turn in range(5):
    try:
        say(f"turn {{turn}}")
        ray.get([sleep.remote(3600), counter.sleep.remote(0)])
    except KeyboardInterrupt:
        pass
ray.kill(counter)
ray.shutdown()
ray.init(num_cpus=2)
{END}"""
    )
    for turn in range(5):
        program.child.expect_exact(f"turn {turn}")
        program.press()
    program.child.expect_exact("works on")
    assert program.end()[:2] == (0, None)


def test_workers_do_not_hear_it(terminal):
    """The terminal sends the signal to a whole group of processes: no task may be interrupted by it."""
    program = terminal(
        f"""{BEGIN}
@ray.remote
def steady(path):
    for _ in range(20):
        time.sleep(0.05)
    return "undisturbed"
ref = steady.remote(None)
for turn in range(3):
    try:
        say("here")
        time.sleep(3600)
    except KeyboardInterrupt:
        pass
say(ray.get(ref))
{END}"""
    )
    for _ in range(3):
        program.child.expect_exact("here")
        program.press()
    program.child.expect_exact("undisturbed")
    program.child.expect_exact("works on")
    assert program.end()[:2] == (0, None)
