"""What workers write: how it looks at the driver, lines told once, and what processes are called."""

import re

import pytest

import ray
from ray.output import Output
from support import Process, run_driver, wait_until


@pytest.fixture
def output(monkeypatch, capsys):
    """Makes an `Output` with these variables, and a clock."""

    def make(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        made = Output()
        made.lines = lambda: capsys.readouterr().out.splitlines()
        return made

    return make


def written(name, text):
    return f"\x02{name}\x03{text}\n"


class TestPrefix:
    def test_of_a_task_and_of_actors(self):
        code = """
            ray.init(num_cpus=1)
            @ray.remote
            def speak():
                print("out of a task")
                print("an error of a task", file=sys.stderr)
                return os.getpid()
            @ray.remote
            class Plain:
                def speak(self):
                    print("out of an actor")
                    return os.getpid()
            @ray.remote
            class Named:
                def __init__(self, name):
                    self.name = name
                    print("being made")
                def __repr__(self):
                    return f"Named({self.name})"
                def speak(self):
                    print("out of a named one")
                    return os.getpid()
            named = Named.remote("x")
            plain = Plain.remote()
            pids = ray.get([speak.remote(), plain.speak.remote(), named.speak.remote()])
            ray.shutdown()
            print(*pids)
        """
        status, out, errors = run_driver(code)
        assert status == 0
        *lines, pids = out.splitlines()
        task, plain, named = pids.split()
        assert sorted(lines) == sorted(
            [
                f"(speak pid={task}) out of a task",
                f"(Plain pid={plain}) out of an actor",
                f"(Named pid={named}) being made",
                f"(Named(x) pid={named}) out of a named one",
            ]
        )
        assert f"(speak pid={task}) an error of a task" in errors.splitlines()

    @pytest.mark.parametrize("how", ["log_to_driver=False", "RAY_LOG_TO_DRIVER"])
    def test_output_can_stay_away(self, how):
        code = f"""
            ray.init(num_cpus=1, {how if "=" in how else ""})
            @ray.remote
            def speak():
                print("in vain")
            ref = speak.remote()
            ref.future().result()  # starts the thread that would print
            ray.shutdown()
        """
        status, out, _ = run_driver(code, environment={"RAY_LOG_TO_DRIVER": "1" if "=" in how else "0"})
        assert (status, out) == (0, "")

    def test_a_repr_that_fails_harms_nobody(self):
        code = """
            ray.init(num_cpus=1)
            @ray.remote
            class Odd:
                def __repr__(self):
                    raise ValueError
                def speak(self):
                    print("still here")
            ray.get(Odd.remote().speak.remote())
        """
        status, out, _ = run_driver(code)
        assert status == 0
        assert re.fullmatch(r"\(Odd pid=\d+\) still here\n", out)


class TestLinesToldOnce:
    def test_alike_from_several_workers(self, output):
        shown = output()
        for pid in (1, 2, 3, 4):
            shown.show(pid, False, written("f", f"step {pid} of 9"))
        assert shown.lines() == ["(f pid=1) step 1 of 9"]
        shown.flush()
        (line,) = shown.lines()
        assert line.startswith(
            "(f pid=4) step 4 of 9 [repeated 3x across cluster] (Ray deduplicates logs by default. Set RAY_DEDUP_LOGS=0"
        )

    def test_the_hint_comes_once(self, output):
        shown = output()
        for text in ("one", "another"):
            for pid in (1, 2, 3):
                shown.show(pid, False, written("f", text))
        shown.flush()
        assert sum("RAY_DEDUP_LOGS" in line for line in shown.lines()) == 1

    def test_one_repetition_is_told_as_it_is(self, output):
        shown = output()
        shown.show(1, False, written("f", "hello"))
        shown.show(2, False, written("f", "hello"))
        shown.flush()
        assert shown.lines() == ["(f pid=1) hello", "(f pid=2) hello"]

    def test_a_worker_may_repeat_itself(self, output):
        shown = output()
        shown.show(1, False, written("f", "again\nagain\nagain"))
        assert shown.lines() == ["(f pid=1) again"] * 3

    def test_after_a_while(self, output, monkeypatch):
        now = [100.0]
        monkeypatch.setattr("ray.output.time.monotonic", lambda: now[0])
        shown = output(RAY_DEDUP_LOGS_AGG_WINDOW_S="5")
        for pid in (1, 2, 3):
            shown.show(pid, False, written("f", "hello"))
        shown.tick()
        assert shown.lines() == ["(f pid=1) hello"]
        now[0] += 6
        shown.tick()
        assert "[repeated 2x across cluster]" in shown.lines()[0]
        # It goes on counting; nothing came, and so it is forgotten.
        now[0] += 6
        shown.tick()
        shown.show(4, False, written("f", "hello"))
        assert shown.lines() == ["(f pid=4) hello"]

    def test_standard_error_is_another_matter(self, output, capsys):
        shown = output()
        shown.show(1, False, written("f", "hello"))
        shown.show(2, True, written("f", "hello"))
        captured = capsys.readouterr()
        assert (captured.out, captured.err) == ("(f pid=1) hello\n", "(f pid=2) hello\n")

    @pytest.mark.parametrize(
        ("variables", "expected"),
        [
            ({"RAY_DEDUP_LOGS": "0"}, 3),
            ({"RAY_DEDUP_LOGS_ALLOW_REGEX": "hel+o"}, 3),
            ({"RAY_DEDUP_LOGS_SKIP_REGEX": "hel+o"}, 0),
        ],
        ids=str,
    )
    def test_as_the_environment_says(self, output, variables, expected):
        shown = output(**variables)
        for pid in (1, 2, 3):
            shown.show(pid, False, written("f", "hello"))
        assert len(shown.lines()) == expected

    def test_without_a_prefix_and_in_colour(self, output):
        shown = output(RAY_DISABLE_WORKER_LOG_PREFIX="1")
        shown.show(1, False, written("f", "bare"))
        assert shown.lines() == ["bare"]
        shown = output(RAY_DISABLE_WORKER_LOG_PREFIX="0", RAY_COLOR_PREFIX="1")
        shown.show(1, False, written("f", "coloured"))
        assert re.fullmatch(r"\x1b\[\d+m\(f pid=1\)\x1b\[0m coloured", shown.lines()[0])

    def test_in_a_cluster(self):
        code = """
            ray.init(num_cpus=4)
            @ray.remote
            class Speaker:
                def speak(self):
                    print("all the same")
            speakers = [Speaker.remote() for _ in range(4)]
            ray.get([speaker.speak.remote() for speaker in speakers])
        """
        status, out, _ = run_driver(code)
        assert status == 0
        first, rest = out.splitlines()
        assert re.fullmatch(r"\(Speaker pid=\d+\) all the same", first)
        assert re.match(r"\(Speaker pid=\d+\) all the same \[repeated 3x across cluster\]", rest)


def test_what_processes_are_called(two_workers):
    import os

    @ray.remote
    def pid():
        return os.getpid()

    @ray.remote
    class Counter:
        def pid(self):
            return os.getpid()

    assert Process(ray.get(pid.remote())).command == ["ray::IDLE"]
    number = ray.get(Counter.remote().pid.remote())
    counter = Counter.remote()
    assert Process(ray.get(counter.pid.remote())).command == ["ray::Counter"]
    wait_until(lambda: not os.path.exists(f"/proc/{number}"))


def test_a_title_longer_than_the_room_is_cut():
    code = """
        from ray.process_title import set_title
        set_title("ray::" + "x" * 100_000)
        print(open("/proc/self/cmdline").read().rstrip("\\0")[:8], flush=True)
        set_title("ray::short")
        print(open("/proc/self/cmdline").read().rstrip("\\0"))
        print(os.environ["HOME"] == open("/proc/self/environ").read().split("HOME=")[1].split("\\0")[0])
    """
    status, out, _ = run_driver(code)
    assert (status, out) == (0, "ray::xxx\nray::short\nTrue\n")
