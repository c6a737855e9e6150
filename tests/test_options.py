"""What options of tasks and methods do once they are given: retries, limits, environments, GPUs, processes used up."""

import os
import signal
import time

import pytest

import ray
from ray.exceptions import (
    ActorUnschedulableError,
    RayTaskError,
    TaskCancelledError,
    TaskTimeoutError,
    TaskUnschedulableError,
    WorkerCrashedError,
)
from support import attempts, is_alive, note_attempt, run_driver, wait_until

ME = "CUDA_VISIBLE_DEVICES"


@pytest.fixture(scope="module", autouse=True)
def a_cluster():
    ray.init(num_cpus=4, num_gpus=4, resources={"seat": 2})
    yield
    ray.shutdown()


@ray.remote
def process_of():
    return os.getpid()


class Expected(Exception):
    pass


class MoreSpecial(Expected):
    pass


def fail_until(path, attempt, error=Expected):
    note_attempt(path)
    if len(attempts(path)) < attempt:
        raise error("not yet")
    return len(attempts(path))


# -- retry_exceptions ------------------------------------------------------------------------------------------------------


class TestRetries:
    @pytest.mark.parametrize(
        "which", [True, [Expected], (KeyError, Expected), [Exception]], ids=["any", "listed", "in a tuple", "its base"]
    )
    def test_an_exception_that_is_named_is_tried_again(self, tmp_path, which):
        ref = ray.remote(fail_until).options(retry_exceptions=which, max_retries=3).remote(tmp_path / "n", 3)
        assert ray.get(ref) == 3

    def test_a_subclass_is_meant_too(self, tmp_path):
        f = ray.remote(retry_exceptions=[Expected], max_retries=-1)(fail_until)
        assert ray.get(f.remote(tmp_path / "n", 6, MoreSpecial)) == 6

    @pytest.mark.parametrize("which", [False, None, [], [KeyError], [MoreSpecial]])
    def test_others_are_not(self, tmp_path, which):
        f = ray.remote(retry_exceptions=which)(fail_until)
        with pytest.raises(Expected):
            ray.get(f.remote(tmp_path / "n", 2))
        assert len(attempts(tmp_path / "n")) == 1

    def test_the_last_exception_is_what_is_seen(self, tmp_path):
        @ray.remote(retry_exceptions=True, max_retries=2)
        def f():
            note_attempt(tmp_path / "n")
            raise Expected(f"attempt {len(attempts(tmp_path / 'n'))}")

        with pytest.raises(Expected, match="attempt 3"):
            ray.get(f.remote())
        assert len(attempts(tmp_path / "n")) == 3

    def test_without_retries_there_are_none(self, tmp_path):
        f = ray.remote(retry_exceptions=True, max_retries=0)(fail_until)
        with pytest.raises(Expected):
            ray.get(f.remote(tmp_path / "n", 2))
        assert len(attempts(tmp_path / "n")) == 1

    def test_deaths_and_exceptions_count_together(self, tmp_path):
        @ray.remote(retry_exceptions=[Expected], max_retries=2)
        def f():
            note_attempt(tmp_path / "n")
            if len(attempts(tmp_path / "n")) == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            raise Expected

        with pytest.raises(Expected):
            ray.get(f.remote())
        assert len(attempts(tmp_path / "n")) == 3

    def test_every_result_of_the_good_attempt_arrives(self, tmp_path):
        @ray.remote(retry_exceptions=True, num_returns=3)
        def f(inner):
            number = fail_until(tmp_path / "n", 3)
            return number, [inner[0]], bytes(100_000)

        inner = ray.put("inside")
        number, listed, large = ray.get(f.remote([inner]))
        assert number == 3
        assert ray.get(listed[0]) == "inside"
        assert len(large) == 100_000

    def test_large_arguments_are_there_again(self, tmp_path):
        @ray.remote(retry_exceptions=True)
        def f(data, ref):
            fail_until(tmp_path / "n", 3)
            return len(data) + len(ray.get(ref[0]))

        assert ray.get(f.remote(bytes(200_000), [ray.put(bytes(100_000))])) == 300_000

    def test_who_depends_on_it_gets_the_value(self, tmp_path):
        late = ray.remote(retry_exceptions=True)(fail_until).remote(tmp_path / "n", 2)
        assert ray.get(ray.remote(lambda n: n + 1).remote(late)) == 3

    def test_an_inherited_failure_is_not_tried_again(self, tmp_path):
        @ray.remote
        def broken():
            raise Expected

        @ray.remote(retry_exceptions=True)
        def f(x):
            note_attempt(tmp_path / "n")

        with pytest.raises(Expected):
            ray.get(f.remote(broken.remote()))
        assert not attempts(tmp_path / "n")

    def test_what_was_cancelled_is_not(self, tmp_path):
        @ray.remote(retry_exceptions=True, max_retries=-1)
        def f():
            note_attempt(tmp_path / "n")
            time.sleep(60)

        ref = f.remote()
        wait_until(lambda: attempts(tmp_path / "n"))
        ray.cancel(ref)
        with pytest.raises(TaskCancelledError):
            ray.get(ref)
        assert len(attempts(tmp_path / "n")) == 1

    def test_a_task_that_never_works_can_be_cancelled(self):
        @ray.remote(retry_exceptions=True, max_retries=-1)
        def f():
            raise Expected

        ref = f.remote()
        assert not ray.wait([ref], timeout=0.1)[0]
        ray.cancel(ref)
        with pytest.raises((TaskCancelledError, Expected)):
            ray.get(ref)

    def test_many_at_once(self, tmp_path):
        f = ray.remote(retry_exceptions=True, max_retries=2)(fail_until)
        refs = [f.remote(tmp_path / str(n), 1 + n % 3) for n in range(60)]
        assert ray.get(refs) == [1 + n % 3 for n in range(60)]


class TestRetriesOfCalls:
    @pytest.mark.parametrize("threads", [1, 4])
    def test_a_call_is_tried_again(self, tmp_path, threads):
        @ray.remote(max_concurrency=threads)
        class Flaky:
            @ray.method(max_task_retries=3, retry_exceptions=[Expected])
            def work(self, path, attempt):
                return fail_until(path, attempt)

            def plain(self, path, attempt):
                return fail_until(path, attempt)

        flaky = Flaky.remote()
        assert ray.get(flaky.work.remote(tmp_path / "1", 3)) == 3
        assert ray.get(flaky.plain.options(max_task_retries=-1, retry_exceptions=True).remote(tmp_path / "2", 9)) == 9
        with pytest.raises(Expected):
            ray.get(flaky.plain.remote(tmp_path / "3", 2))
        with pytest.raises(Expected):  # without retries there are none
            ray.get(flaky.plain.options(retry_exceptions=True).remote(tmp_path / "4", 2))
        with pytest.raises(Expected):
            ray.get(flaky.work.remote(tmp_path / "5", 9))
        assert len(attempts(tmp_path / "5")) == 4

    def test_on_an_event_loop(self, tmp_path):
        @ray.remote(max_task_retries=2)
        class Flaky:
            async def work(self, path, attempt):
                return fail_until(path, attempt)

        work = Flaky.remote().work.options(retry_exceptions=True)
        assert ray.get(work.remote(tmp_path / "1", 3)) == 3
        with pytest.raises(Expected):
            ray.get(work.remote(tmp_path / "2", 4))

    def test_the_actor_finishes_its_retries_when_its_last_handle_has_gone(self, tmp_path):
        @ray.remote
        class Flaky:
            def work(self, path, attempt):
                return fail_until(path, attempt)

        ref = Flaky.remote().work.options(max_task_retries=5, retry_exceptions=True).remote(tmp_path / "n", 4)
        assert ray.get(ref) == 4


# -- timeout ---------------------------------------------------------------------------------------------------------------


class TestTimeout:
    def test_a_task_that_takes_too_long_is_ended(self, tmp_path):
        @ray.remote(timeout=0.1)
        def sleeper():
            try:
                time.sleep(60)
            finally:
                note_attempt(tmp_path / "ended")

        with pytest.raises(TaskTimeoutError, match=r"sleeper\(\).*0\.1 s") as caught:
            ray.get(sleeper.remote())
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.timeout_s == pytest.approx(0.1)
        assert len(attempts(tmp_path / "ended")) == 1
        assert ray.get(process_of.remote())

    def test_one_that_does_not_listen_is_killed_with_what_it_started(self, tmp_path):
        @ray.remote(timeout=0.1)
        def stubborn():
            import subprocess

            child = subprocess.Popen(["sleep", "60"])
            note_attempt(tmp_path / "pids", f"{os.getpid()} {child.pid}")
            while True:
                try:
                    time.sleep(60)
                except KeyboardInterrupt:
                    pass

        behind = [process_of.remote() for _ in range(20)]
        with pytest.raises(TaskTimeoutError, match="stubborn"):
            ray.get(stubborn.remote())
        assert len(ray.get(behind)) == 20
        (line,) = attempts(tmp_path / "pids")
        for pid in line.split():
            wait_until(lambda pid=pid: not is_alive(int(pid)))

    def test_in_time_is_in_time(self):
        assert ray.get([process_of.options(timeout=30).remote() for _ in range(50)])

    def test_a_wait_for_others_counts(self):
        @ray.remote
        def never():
            time.sleep(60)

        @ray.remote
        def waits():
            ray.get(never.remote())

        with pytest.raises(TaskTimeoutError, match="waits"):
            ray.get(waits.options(timeout=0.1).remote())

    def test_waiting_in_the_queue_does_not(self):
        @ray.remote(num_cpus=4)
        def all_of_it(seconds):
            time.sleep(seconds)
            return "done"

        first = all_of_it.remote(0.5)
        assert ray.get(all_of_it.options(timeout=0.3).remote(0.01)) == "done"
        assert ray.get(first) == "done"

    @pytest.mark.parametrize("which", [True, [TaskTimeoutError], [TimeoutError]])
    def test_it_is_tried_again_when_that_is_asked_for(self, tmp_path, which):
        @ray.remote(timeout=0.3, retry_exceptions=which)
        def f():
            note_attempt(tmp_path / "n")
            if len(attempts(tmp_path / "n")) < 3:
                time.sleep(60)
            return "in time"

        assert ray.get(f.remote()) == "in time"

    @pytest.mark.parametrize("which", [False, [ValueError]])
    def test_and_else_it_is_not(self, tmp_path, which):
        @ray.remote(timeout=0.1, retry_exceptions=which)
        def f():
            note_attempt(tmp_path / "n")
            time.sleep(60)

        with pytest.raises(TaskTimeoutError):
            ray.get(f.remote())
        assert len(attempts(tmp_path / "n")) == 1

    def test_calls_of_actors(self):
        @ray.remote
        class Slow:
            @ray.method(timeout=0.2)
            def sleep(self, seconds):
                time.sleep(seconds)
                return seconds

        slow = Slow.remote()
        with pytest.raises(TaskTimeoutError, match=r"Slow\.sleep"):
            ray.get(slow.sleep.remote(60))
        assert ray.get(slow.sleep.remote(0.01)) == 0.01
        assert ray.get(slow.sleep.options(timeout=30).remote(0.5)) == 0.5

    def test_coroutines_of_actors(self):
        import asyncio

        @ray.remote
        class Slow:
            async def sleep(self, seconds):
                await asyncio.sleep(seconds)
                return seconds

        slow = Slow.remote()
        late, good = slow.sleep.options(timeout=0.1).remote(60), slow.sleep.remote(0.3)
        with pytest.raises(TaskTimeoutError):
            ray.get(late)
        assert ray.get(good) == 0.3

    def test_a_thread_of_an_actor_ends_with_its_process(self, tmp_path):
        @ray.remote(max_concurrency=2, max_restarts=1)
        class Slow:
            def sleep(self):
                while not ray.get_runtime_context().is_canceled():
                    time.sleep(60)

            def pid(self):
                return os.getpid()

        slow = Slow.remote()
        before = ray.get(slow.pid.remote())
        with pytest.raises(TaskTimeoutError):
            ray.get(slow.sleep.options(timeout=0.1).remote())
        wait_until(lambda: not is_alive(before))

    @pytest.mark.parametrize("wrong", [0, -1, float("inf"), float("nan")])
    def test_no_time_at_all_is_no_limit(self, wrong):
        with pytest.raises(ValueError, match="timeout"):
            process_of.options(timeout=wrong)


# -- max_calls -------------------------------------------------------------------------------------------------------------


class TestMaxCalls:
    def test_a_process_runs_a_function_so_often(self):
        @ray.remote(max_calls=3, num_cpus=4)
        def f():
            return os.getpid()

        pids = ray.get([f.remote() for _ in range(12)])
        assert max(pids.count(pid) for pid in pids) <= 3
        for pid in set(pids):
            wait_until(lambda pid=pid: not is_alive(pid))

    def test_nothing_is_lost(self):
        @ray.remote(max_calls=1)
        def f(n):
            return ray.put(n), bytes(50_000)

        results = ray.get([f.remote(n) for n in range(30)])
        assert ray.get([ref for ref, _ in results]) == list(range(30))
        assert all(len(data) == 50_000 for _, data in results)

    def test_the_process_waits_for_what_it_started(self):
        @ray.remote
        def child():
            time.sleep(0.3)
            return "child"

        @ray.remote(max_calls=1)
        def parent():
            return [child.remote()]

        (ref,) = ray.get(parent.remote())
        assert ray.get(ref) == "child"

    def test_others_use_the_process_before(self):
        @ray.remote(max_calls=1)
        def last():
            return os.getpid()

        used = set(ray.get([last.remote() for _ in range(6)]))
        assert len(used) == 6
        assert not used & set(ray.get([process_of.remote() for _ in range(30)]))

    def test_exceptions_are_calls_too(self):
        @ray.remote(max_calls=1)
        def f():
            raise Expected(os.getpid())

        pids = set()
        for _ in range(3):
            with pytest.raises(Expected) as caught:
                ray.get(f.remote())
            pids.add(caught.value.args)
        assert len(pids) == 3

    def test_no_word_of_it_in_the_output(self):
        code, out, err = run_driver(
            """
            ray.init(num_cpus=2)
            f = ray.remote(max_calls=1)(lambda: print("said"))
            ray.get([f.remote() for _ in range(10)])
            ray.shutdown()
            """,
            environment={"RAY_DEDUP_LOGS": "0"},
        )
        assert code == 0
        assert out.count("said") == 10
        assert not err

    def test_not_in_options(self):
        with pytest.raises(ValueError, match=r"Setting 'max_calls' is not supported in '\.options\(\)'"):
            process_of.options(max_calls=1)


# -- GPUs ------------------------------------------------------------------------------------------------------------------


@ray.remote(num_gpus=1)
def gpus_of(path=None, others=0):
    if path is not None:  # until so many are here
        note_attempt(path)
        while len(attempts(path)) < others:
            time.sleep(0.002)
    return ray.get_gpu_ids(), os.environ[ME], os.getpid()


class TestGpus:
    def test_whole_ones_are_not_shared(self, tmp_path):
        found = ray.get([gpus_of.remote(tmp_path / "n", 4) for _ in range(4)])
        assert sorted(ids[0] for ids, _, _ in found) == [0, 1, 2, 3]
        assert all(visible == str(ids[0]) for ids, visible, _ in found)

    def test_several(self, tmp_path):
        found = ray.get([gpus_of.options(num_gpus=2).remote(tmp_path / "n", 2) for _ in range(2)])
        assert sorted(number for ids, _, _ in found for number in ids) == [0, 1, 2, 3]
        assert all(visible == ",".join(map(str, ids)) for ids, visible, _ in found)

    def test_parts_share_one(self, tmp_path):
        found = ray.get([gpus_of.options(num_gpus=0.25, num_cpus=0).remote(tmp_path / "n", 4) for _ in range(4)])
        assert {tuple(ids) for ids, _, _ in found} == {(0,)}

    def test_each_task_has_a_process_of_its_own_by_default(self):
        assert len({pid for _, _, pid in ray.get([gpus_of.remote() for _ in range(6)])}) == 6
        again = ray.remote(num_gpus=1, max_calls=0)(lambda: os.getpid())
        assert len({ray.get(again.remote()) for _ in range(6)}) == 1

    def test_tasks_without_any_see_none(self):
        @ray.remote
        def without():
            return ray.get_gpu_ids(), os.environ[ME]

        ray.get([ray.remote(num_gpus=1, max_calls=0)(lambda: None).remote() for _ in range(8)])
        assert set(map(repr, ray.get([without.remote() for _ in range(8)]))) == {"([], '')"}

    def test_actors_have_theirs_for_life(self):
        @ray.remote(num_gpus=1)
        class Holder:
            def __init__(self):
                self.seen = os.environ[ME]

            def gpus(self):
                return ray.get_gpu_ids(), self.seen

        holders = [Holder.remote() for _ in range(3)]
        found = ray.get([holder.gpus.remote() for holder in holders])
        assert len({ids[0] for ids, _ in found}) == 3
        assert all([str(number) for number in ids] == [seen] for ids, seen in found)
        (left,), _, _ = ray.get(gpus_of.remote())
        assert left not in [ids[0] for ids, _ in found]

    def test_one_and_a_half_is_refused_when_it_is_submitted(self):
        f = ray.remote(num_gpus=1.5)(lambda: None)
        with pytest.raises(ValueError, match="whole numbers"):
            f.remote()

        class Holder:
            pass

        with pytest.raises(ValueError, match="whole numbers"):
            ray.remote(num_gpus=2.5)(Holder).remote()

    def test_a_task_that_waits_keeps_its_gpu(self, tmp_path):
        @ray.remote(num_gpus=3)
        def outer():
            return ray.get_gpu_ids(), ray.get(gpus_of.options(num_gpus=1).remote())[0]

        mine, other = ray.get(outer.remote())
        assert not set(mine) & set(other)

    def test_the_programs_own_choice_is_kept(self):
        code, out, err = run_driver(
            """
            ray.init(num_cpus=2, num_gpus=2)
            f = ray.remote(num_gpus=1)(lambda: (ray.get_gpu_ids(), os.environ["CUDA_VISIBLE_DEVICES"]))
            print(ray.get(f.remote()))
            print(ray.get(f.options(num_gpus=2).remote()))
            print(ray.get_gpu_ids())
            """,
            environment={ME: "3,GPU-5"},
        )
        assert code == 0, err
        assert out.splitlines() == ["(['3'], '3')", "(['3', 'GPU-5'], '3,GPU-5')", "[]"]

    def test_more_than_the_programs_own_choice_is_refused(self):
        code, _, err = run_driver("ray.init(num_cpus=1, num_gpus=2)", environment={ME: "3"})
        assert code == 1
        assert "CUDA_VISIBLE_DEVICES" in err
        assert "ValueError" in err

    def test_the_variable_can_be_left_alone(self):
        f = ray.remote(num_gpus=1)(lambda: (os.environ.get(ME), ray.get_gpu_ids()))
        leave = {"env_vars": {"RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1"}}
        visible, ids = ray.get(f.options(runtime_env=leave).remote())
        assert visible == os.environ.get(ME)
        assert len(ids) == 1


# -- environments ----------------------------------------------------------------------------------------------------------


@ray.remote
def variable(name):
    return os.environ.get(name)


def env(**variables):
    return {"env_vars": variables}


class TestEnvironments:
    def test_a_task_has_its_own(self):
        assert ray.get(variable.options(runtime_env=env(RAIO_A="1")).remote("RAIO_A")) == "1"
        assert ray.get([variable.remote("RAIO_A") for _ in range(20)]) == [None] * 20

    def test_also_after_it_failed(self):
        @ray.remote(num_cpus=4, runtime_env=env(RAIO_A="1"))
        def f():
            os.environ["RAIO_A"] = "changed"
            raise Expected

        for _ in range(3):
            with pytest.raises(Expected):
                ray.get(f.remote())
        assert ray.get([variable.remote("RAIO_A") for _ in range(20)]) == [None] * 20

    def test_its_children_inherit_it_key_by_key(self):
        @ray.remote(runtime_env=env(RAIO_A="outer", RAIO_B="outer"))
        def outer():
            inner = variable.options(runtime_env=env(RAIO_B="inner", RAIO_C="inner"))
            plain = [variable.remote(name) for name in ("RAIO_A", "RAIO_B", "RAIO_C")]
            return ray.get([*plain, *(inner.remote(name) for name in ("RAIO_A", "RAIO_B", "RAIO_C"))])

        assert ray.get(outer.remote()) == ["outer", "outer", None, "outer", "inner", "inner"]
        assert ray.get(variable.remote("RAIO_A")) is None

    def test_actors_inherit_it_and_hand_it_on(self):
        @ray.remote
        class Actor:
            def own(self, name):
                return os.environ.get(name)

            def childs(self, name):
                return ray.get(variable.remote(name))

        @ray.remote(runtime_env=env(RAIO_A="outer"))
        def outer():
            actor = Actor.options(runtime_env=env(RAIO_B="actor")).remote()
            return ray.get([call.remote(name) for call in (actor.own, actor.childs) for name in ("RAIO_A", "RAIO_B")])

        assert ray.get(outer.remote()) == ["outer", "actor", "outer", "actor"]

    def test_a_value_may_name_a_variable_of_the_worker(self):
        f = variable.options(runtime_env=env(RAIO_A="${PATH}:more:${RAIO_NONE}"))
        assert ray.get(f.remote("RAIO_A")) == os.environ["PATH"] + ":more:"

    @pytest.mark.parametrize("wrong", [{"A": 1}, {1: "A"}, [("A", "1")]])
    def test_strings_only(self, wrong):
        with pytest.raises(TypeError):
            variable.options(runtime_env={"env_vars": wrong})

    @pytest.mark.parametrize("wrong", [{"A=B": "1"}, {"": "1"}, {"A": "\0"}])
    def test_what_no_variable_can_be(self, wrong):
        with pytest.raises(ValueError, match="env_vars"):
            variable.options(runtime_env={"env_vars": wrong})

    @pytest.mark.parametrize("wrong", [{"working_dir": "."}, {"py_modules": ["/tmp"]}])
    def test_directories_are_for_the_whole_job(self, wrong):
        with pytest.raises(ValueError, match="not a valid URI"):
            variable.options(runtime_env=wrong)

    def test_the_number_of_threads_follows_the_cpus(self):
        threads = "OMP_NUM_THREADS"
        assert ray.get(variable.remote(threads)) == "1"
        for cpus, expected in [(0, "1"), (0.5, "1"), (1.5, "1"), (2, "2"), (3.9, "3")]:
            assert ray.get(variable.options(num_cpus=cpus).remote(threads)) == expected
        assert ray.get(variable.options(num_cpus=2, runtime_env=env(OMP_NUM_THREADS="7")).remote(threads)) == "7"

        @ray.remote
        class Actor:
            def threads(self):
                return os.environ[threads]

        assert ray.get(Actor.remote().threads.remote()) == "1"
        assert ray.get(Actor.options(num_cpus=2).remote().threads.remote()) == "2"

    def test_the_users_own_number_of_threads_is_kept(self):
        code, out, err = run_driver(
            """
            ray.init(num_cpus=2)
            print(ray.get(ray.remote(num_cpus=2)(lambda: os.environ["OMP_NUM_THREADS"]).remote()))
            """,
            environment={"OMP_NUM_THREADS": "5"},
        )
        assert (code, out) == (0, "5\n"), err


# -- names and amounts -----------------------------------------------------------------------------------------------------


class TestNames:
    def test_a_task_is_called_what_it_is_named(self):
        f = ray.remote(name="my task")(lambda: ray.get_runtime_context().get_task_name())
        assert ray.get(f.remote()) == "my task"
        assert ray.get(f.options(name="other").remote()) == "other"

    def test_in_errors(self):
        @ray.remote
        def plain():
            raise Expected

        with pytest.raises(RayTaskError, match=r"special.*pid="):
            ray.get(plain.options(name="special").remote())
        with pytest.raises(RayTaskError, match=r"plain\(\).*pid="):
            ray.get(plain.remote())

        @ray.remote(max_retries=0, name="dies")
        def die():
            os.kill(os.getpid(), signal.SIGKILL)

        with pytest.raises(WorkerCrashedError, match="dies"):
            ray.get(die.remote())

    def test_in_the_graph(self):
        ray.get([process_of.options(name="shown as this").remote(), process_of.remote()])
        names, rows, _ = ray._core.graph()
        assert [names[row[1]] for row in rows][-2:] == ["shown as this", "process_of"]

    def test_of_calls(self):
        @ray.remote
        class Actor:
            def name(self):
                return ray.get_runtime_context().get_task_name()

        actor = Actor.remote()
        assert ray.get(actor.name.remote()) == "Actor.name"
        assert ray.get(actor.name.options(name="renamed").remote()) == "renamed"


class TestAmounts:
    @pytest.mark.parametrize(
        ("chosen", "missing"),
        [
            ({"resources": {"chair": 1}}, "chair"),
            ({"resources": {"seat": 3}}, "seat"),
            ({"memory": 2**60}, "memory"),
            ({"num_gpus": 5}, "GPU"),
            ({"accelerator_type": "X9"}, "accelerator_type:X9"),
        ],
    )
    def test_what_no_node_has_is_named(self, chosen, missing):
        with pytest.raises(TaskUnschedulableError, match=missing):
            ray.get(process_of.options(**chosen).remote())

        @ray.remote
        class Actor:
            def f(self):
                pass

        with pytest.raises(ActorUnschedulableError, match=missing):
            ray.get(Actor.options(**chosen).remote().f.remote())

    def test_a_resource_is_held_while_a_task_runs(self, tmp_path):
        @ray.remote(resources={"seat": 1}, num_cpus=0)
        def sit():
            note_attempt(tmp_path / "n", "in")
            time.sleep(0.05)
            note_attempt(tmp_path / "n", "out")

        ray.get([sit.remote() for _ in range(6)])
        sitting = 0
        for line in attempts(tmp_path / "n"):
            sitting += 1 if line == "in" else -1
            assert sitting <= 2

    def test_what_nobody_uses_is_available(self):
        ray.get([process_of.remote() for _ in range(20)])
        ray.get(gpus_of.remote())
        wait_until(lambda: ray.available_resources().get("CPU") == 4.0)
        wait_until(lambda: ray.available_resources().get("GPU") == 4.0)

    def test_what_a_task_uses_is_not(self, tmp_path):
        @ray.remote(num_cpus=2, num_gpus=1, resources={"seat": 1.5})
        def busy():
            note_attempt(tmp_path / "began")
            while not (tmp_path / "end").exists():
                time.sleep(0.002)

        ref = busy.remote()
        wait_until(lambda: attempts(tmp_path / "began"))
        there = ray.available_resources()
        assert (there["CPU"], there["GPU"], there["seat"]) == (2.0, 3.0, 0.5)
        (tmp_path / "end").touch()
        ray.get(ref)


# -- what is refused -------------------------------------------------------------------------------------------------------


class TestRefused:
    def test_a_strategy_that_is_none_when_it_is_used(self):
        f = process_of.options(scheduling_strategy="SOMEWHERE")
        with pytest.raises(ValueError, match="Invalid scheduling_strategy value"):
            f.remote()
        assert ray.get([process_of.options(scheduling_strategy=name).remote() for name in ("DEFAULT", "SPREAD")])
        with pytest.raises(TypeError, match="scheduling_strategy"):
            process_of.options(scheduling_strategy=3)

    def test_a_strategy_beside_a_placement_group(self):
        with pytest.raises(ValueError, match="scheduling_strategy"):
            process_of.options(scheduling_strategy="SPREAD", placement_group=object())

    def test_a_bundle_of_no_group(self):
        with pytest.raises(ValueError, match="bundle index must be -1"):
            process_of.options(placement_group_bundle_index=1).remote()

    @pytest.mark.parametrize("wrong", [[ValueError, 3], ["ValueError"]])
    def test_no_classes(self, wrong):
        with pytest.raises(TypeError, match="retry_exceptions"):
            process_of.options(retry_exceptions=wrong)

    @pytest.mark.parametrize("wrong", [[KeyboardInterrupt], [int]])
    def test_no_exceptions(self, wrong):
        with pytest.raises(ValueError, match="retry_exceptions"):
            process_of.options(retry_exceptions=wrong)

    @pytest.mark.parametrize("name", ["max_retries", "max_restarts", "max_task_retries"])
    def test_counts_below_what_means_without_end(self, name):
        decorated = (lambda: None) if name == "max_retries" else type("Actor", (), {})
        with pytest.raises(ValueError, match=rf"The keyword '{name}' only accepts None, 0, -1"):
            ray.remote(**{name: -2})(decorated)

    @pytest.mark.parametrize("wrong", [(), (3,), ("f",)])
    def test_the_decorator_itself(self, wrong):
        with pytest.raises(AssertionError, match=r"@ray\.remote"):
            ray.remote(*wrong)

    def test_options_of_a_wrapper(self):
        wrapper = process_of.options(num_cpus=1)
        assert not hasattr(wrapper, "options")
        assert ray.get(wrapper.remote())
