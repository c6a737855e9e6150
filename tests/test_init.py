"""`ray.init`: what it accepts and refuses, which cluster it ends up in, what it returns, and doing it again."""

import collections.abc
import logging
import os
import re
import signal
import sys
import textwrap
import zipfile

import pytest

import ray
from ray._common.test_utils import run_string_as_driver
from support import Driver, run_driver


@pytest.fixture(autouse=True)
def _shutdown():
    yield
    ray.shutdown()


@ray.remote
def env(*names):
    return [os.environ.get(name) for name in names]


class TestKeywords:
    def test_unknown_ones(self):
        with pytest.raises(RuntimeError, match=r"Unknown keyword argument\(s\): nonsense"):
            ray.init(nonsense=1)
        assert not ray.is_initialized()

    @pytest.mark.parametrize("gone", ["storage", "allow_multiple"])
    def test_those_that_are_gone(self, gone):
        with pytest.raises(RuntimeError, match=gone):
            ray.init(**{gone: "x"})

    def test_those_that_change_nothing(self):
        ray.init(
            num_cpus=0,
            include_dashboard=False,
            dashboard_host="127.0.0.1",
            dashboard_port=0,
            _redis_password="",
            _metrics_export_port=1,
            _system_config={"a": 1},
            _node_ip_address="127.0.0.1",
            _enable_object_reconstruction=True,
        )
        assert ray.is_initialized()

    @pytest.mark.parametrize(
        ("keywords", "error"),
        [
            ({"_system_config": "x"}, TypeError),
            ({"namespace": ""}, ValueError),
            ({"namespace": 3}, TypeError),
            ({"resources": {"CPU": 1}}, ValueError),
            ({"resources": {"thing": -1}}, ValueError),
            ({"resources": {"thing": "many"}}, TypeError),
            ({"resources": ["thing"]}, TypeError),
            ({"labels": {"a": 1}}, ValueError),
            ({"num_cpus": -1}, ValueError),
            ({"object_store_memory": -1}, ValueError),
            ({"runtime_env": "x"}, TypeError),
            ({"runtime_env": {"env_vars": {"A": 1}}}, TypeError),
            ({"runtime_env": {"working_dir": "/no/such/place"}}, ValueError),
            ({"runtime_env": {"py_modules": ["/no/such/place"]}}, ValueError),
            ({"runtime_env": {"pip": ["no-such-package-there-is"]}}, ray.exceptions.RuntimeEnvSetupError),
            ({"job_config": 3}, TypeError),
            ({"_temp_dir": "relative"}, ValueError),
            ({"cgroup_path": "/x"}, ValueError),
            ({"start_ray_local": True, "scheduler_address": "127.0.0.1:1"}, ValueError),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_what_is_wrong_starts_nothing(self, keywords, error):
        with pytest.raises(error):
            ray.init(**keywords)
        assert not ray.is_initialized()

    def test_amounts(self):
        ray.init(num_cpus=3, num_gpus=2, resources={"thing": 1.5}, _memory=1000, object_store_memory=80 * 2**20)
        total = ray.cluster_resources()
        assert (total["CPU"], total["GPU"], total["thing"], total["memory"]) == (3.0, 2.0, 1.5, 1000.0)
        assert total["object_store_memory"] == 80 * 2**20

    def test_labels(self):
        ray.init(num_cpus=0, labels={"zone": "a"})
        assert ray.nodes()[0]["Labels"]["zone"] == "a"
        assert ray.get_runtime_context().get_node_labels()["zone"] == "a"

    def test_the_words_of_2016(self):
        ray.init(start_ray_local=True, num_workers=3, num_objstores=1, driver_mode=ray.SCRIPT_MODE)
        assert ray.cluster_resources()["CPU"] == 3.0

    def test_a_place_for_the_session(self, tmp_path):
        context = ray.init(num_cpus=0, _temp_dir=str(tmp_path / "made"))
        session = context.address_info["session_dir"]
        assert session.startswith(str(tmp_path / "made"))
        assert ray.get_runtime_context().get_temp_dir() == os.path.dirname(session)
        assert ray.get_runtime_context().get_session_name() == os.path.basename(session)
        ray.shutdown()
        assert not os.path.exists(session)

    def test_a_place_from_the_environment(self, tmp_path, monkeypatch):
        monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
        assert ray.init(num_cpus=0).address_info["session_dir"].startswith(str(tmp_path))


class TestTwice:
    def test_is_refused(self):
        ray.init(num_cpus=0)
        with pytest.raises(RuntimeError, match=r"Maybe you called ray.init twice by accident\?.*ignore_reinit_error=True"):
            ray.init(num_cpus=0)

    def test_may_be_allowed(self):
        first = ray.init(num_cpus=1)
        second = ray.init(num_cpus=5, ignore_reinit_error=True)
        assert ray.cluster_resources()["CPU"] == 1.0
        assert second.address_info["session_dir"] == first.address_info["session_dir"]

    def test_after_the_end(self):
        seen = set()
        for _ in range(3):
            context = ray.init(num_cpus=1)
            seen.add(context.address_info["session_dir"])
            ray.shutdown()
        assert len(seen) == 3

    def test_functions_classes_survive_and_references_do_not(self):
        @ray.remote
        def double(x):
            return 2 * x

        @ray.remote
        class Counter:
            def __init__(self):
                self.n = 0

            def up(self):
                self.n += 1
                return self.n

        for _ in range(2):
            ray.init(num_cpus=1)
            assert ray.get(double.remote(2)) == 4
            assert ray.get(double.options(num_cpus=0.5).remote(3)) == 6
            counter, ref = Counter.remote(), ray.put(1)
            assert ray.get(counter.up.remote()) == 1
            ray.shutdown()
            with pytest.raises(ValueError, match="stopped"):
                ray.get(ref)
            with pytest.raises(ray.exceptions.ActorHandleNotFoundError):
                counter.up.remote()


class TestContext:
    def test_tells_where_the_cluster_is(self):
        context = ray.init(num_cpus=1)
        assert context.python_version == ".".join(map(str, sys.version_info[:3]))
        assert context.ray_version == ray.__version__
        assert context.ray_commit == ray.__commit__
        assert context.dashboard_url is None
        info = context.address_info
        assert {
            "node_ip_address",
            "redis_address",
            "object_store_address",
            "raylet_socket_name",
            "webui_url",
            "session_dir",
        } <= set(info)
        assert {"metrics_export_port", "gcs_address", "address", "dashboard_agent_listen_port", "node_id"} <= set(info)
        assert re.fullmatch(r"127\.0\.0\.1:\d+", info["address"])
        assert info["gcs_address"] == ray.get_runtime_context().gcs_address == info["address"]
        assert info["node_id"] == ray.nodes()[0]["NodeID"]
        assert os.path.isdir(info["session_dir"])

    def test_is_a_mapping_of_old(self):
        context = ray.init(num_cpus=0)
        assert isinstance(context, collections.abc.Mapping)
        with pytest.warns(DeprecationWarning, match="address_info"):
            assert context["address"] == context.address_info["address"]
        assert set(context) == set(context.address_info)
        assert "RayContext(" in repr(context)
        assert ray.__version__ in context._repr_html_()

    def test_ends_the_cluster(self):
        with ray.init(num_cpus=0):
            assert ray.is_initialized()
        assert not ray.is_initialized()
        ray.init(num_cpus=0).disconnect()
        assert not ray.is_initialized()


JOINS = """
    import ray
    ray.init({address}namespace="ours")
    print(ray.get(ray.get_actor("keeper").value.remote()))
    @ray.remote
    def double(x):
        return 2 * x
    print(ray.get([double.remote(x) for x in range(3)]), ray.get_runtime_context().get_job_id())
    ray.get(ray.get_actor("keeper").keep.remote("from another"))
"""


@ray.remote
class Keeper:
    def __init__(self):
        self.kept = "first"

    def keep(self, value):
        self.kept = value

    def value(self):
        return self.kept


class TestJoining:
    @pytest.mark.parametrize("how", ["auto", "address", "session_dir", "environment"])
    def test_a_second_driver(self, how):
        context = ray.init(num_cpus=2, namespace="ours")
        keeper = Keeper.options(name="keeper").remote()
        address = {"auto": "'auto', ", "environment": ""}.get(how, f"{context.address_info.get(how)!r}, ")
        extra = {"RAY_ADDRESS": context.address_info["address"]} if how == "environment" else {}
        out = run_string_as_driver(textwrap.dedent(JOINS).format(address=address), {**os.environ, **extra})
        assert out == "first\n[0, 2, 4] 02000000\n"
        # It has left; the cluster is still there.
        assert ray.get(keeper.value.remote()) == "from another"
        assert ray.get(env.remote("NOBODY")) == [None]

    def test_with_amounts_is_refused(self):
        context = ray.init(num_cpus=1)
        address = context.address_info["address"]
        for keyword in ("num_cpus=1", "num_gpus=1", "resources={'a': 1}", "labels={'a': 'b'}", "object_store_memory=10**8"):
            code, _, errors = run_driver(f"ray.init({address!r}, {keyword})")
            assert code == 1
            assert "ValueError: When connecting to an existing cluster" in errors

    def test_names_are_of_their_own_driver(self):
        context = ray.init(num_cpus=1)
        keeper = Keeper.options(name="keeper").remote()
        ray.get(keeper.value.remote())
        code, _, errors = run_driver(f"ray.init({context.address_info['address']!r}); ray.get_actor('keeper')")
        assert code == 1
        assert "Failed to look up actor with name 'keeper'" in errors

    @pytest.mark.parametrize("address", ["auto", "127.0.0.1:6379", "/no/such/session", "ray://127.0.0.1:10001"])
    def test_what_is_not_there(self, address):
        with pytest.raises(ConnectionError):
            ray.init(address)
        assert not ray.is_initialized()

    def test_local_never_joins(self, monkeypatch):
        monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
        with pytest.raises(ConnectionError):
            ray.init()
        ray.init("local", num_cpus=0)
        assert ray.is_initialized()

    def test_a_driver_that_joined_ends_with_the_cluster(self):
        context = ray.init(num_cpus=1)
        code = """
            ray.init(sys.argv[1])
            ref = ray.remote(lambda: time.sleep(1000)).remote()
            print("waits", flush=True)
            ray.get(ref)
        """
        with Driver(code, context.address_info["address"]) as driver:
            assert driver.line() == "waits"
            ray.shutdown()
            status, _, errors = driver.end()
        assert status == 1
        assert "ClusterUnavailableError" in errors


class TestRuntimeEnv:
    def test_variables_reach_nested_tasks_and_actors(self):
        ray.init(num_cpus=2, runtime_env={"env_vars": {"A": "1", "B": "${HOME}/x"}})

        @ray.remote
        def outer():
            return ray.get(env.remote("A", "B"))

        @ray.remote
        class Actor:
            def look(self):
                return os.environ["A"]

        expected = ["1", f"{os.environ['HOME']}/x"]
        assert ray.get(env.remote("A", "B")) == ray.get(outer.remote()) == expected
        assert ray.get(Actor.remote().look.remote()) == "1"
        assert "A" not in os.environ

    def test_the_description_can_be_read(self):
        ray.init(num_cpus=1, runtime_env=ray.runtime_env.RuntimeEnv(env_vars={"A": "1"}))

        @ray.remote
        def look():
            return ray.get_runtime_context().runtime_env

        assert ray.get_runtime_context().runtime_env == {"env_vars": {"A": "1"}}
        found = ray.get(look.remote())
        assert isinstance(found, ray.runtime_env.RuntimeEnv)
        assert found.get("env_vars") == {"A": "1"}

    def test_a_working_directory(self, tmp_path):
        (tmp_path / "data.txt").write_text("here")
        (tmp_path / "helper_of_this_test.py").write_text("VALUE = 5")
        (tmp_path / "big.bin").write_text("left out")
        (tmp_path / ".gitignore").write_text("ignored/\n")
        (tmp_path / "ignored").mkdir()
        ray.init(num_cpus=1, runtime_env={"working_dir": str(tmp_path), "excludes": ["*.bin"]})

        @ray.remote
        def look():
            import helper_of_this_test

            with open("data.txt") as file:
                text = file.read()
            with open("written", "w") as file:
                file.write("x")
            return text, helper_of_this_test.VALUE, sorted(os.listdir())

        text, value, names = ray.get(look.remote())
        assert (text, value) == ("here", 5)
        assert [name for name in names if name != "__pycache__"] == [".gitignore", "data.txt", "helper_of_this_test.py", "written"]
        assert not (tmp_path / "written").exists()

    def test_a_working_directory_in_an_archive(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "dir.zip", "w") as archive:
            archive.writestr("top/data.txt", "zipped")
        ray.init(num_cpus=1, runtime_env={"working_dir": str(tmp_path / "dir.zip")})
        assert ray.get(ray.remote(lambda: open("data.txt").read()).remote()) == "zipped"

    def test_modules(self, tmp_path):
        (tmp_path / "package_of_this_test").mkdir()
        (tmp_path / "package_of_this_test" / "__init__.py").write_text("VALUE = 7")
        (tmp_path / "sibling_of_this_test.py").write_text("")
        ray.init(num_cpus=1, runtime_env={"py_modules": [str(tmp_path / "package_of_this_test")]})

        @ray.remote
        def look():
            import importlib.util

            import package_of_this_test

            return package_of_this_test.VALUE, importlib.util.find_spec("sibling_of_this_test")

        assert ray.get(look.remote()) == (7, None)

    def test_a_hook(self, tmp_path):
        path = str(tmp_path / "ran")

        def hook():
            with open(path, "a") as file:
                file.write("x")

        ray.init(num_cpus=1, runtime_env={"worker_process_setup_hook": hook})
        assert ray.get(ray.remote(lambda: open(path).read()).remote()).startswith("x")

    def test_packages_that_are_there(self):
        ray.init(num_cpus=0, runtime_env={"pip": ["cloudpickle"]})
        assert ray.get_runtime_context().runtime_env["pip"]["packages"] == ["cloudpickle"]

    def test_a_submitted_jobs_environment(self, monkeypatch):
        monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", '{"runtime_env": {"env_vars": {"A": "job", "B": "job"}}}')
        with pytest.raises(ValueError, match="both say something about A"):
            ray.init(num_cpus=1, runtime_env={"env_vars": {"A": "init"}})
        monkeypatch.setenv("RAY_OVERRIDE_JOB_RUNTIME_ENV", "1")
        ray.init(num_cpus=1, runtime_env={"env_vars": {"A": "init"}})
        assert ray.get(env.remote("A", "B")) == ["init", "job"]


class TestDescription:
    def test_is_a_dict(self):
        from ray.runtime_env import RuntimeEnv

        one = RuntimeEnv(env_vars={}, pip=["a", "b"], unknown=3)
        assert dict(one) == {"pip": {"packages": ["a", "b"], "pip_check": False}, "unknown": 3}
        assert RuntimeEnv.deserialize(one.serialize()) == one

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"env_vars": {"A": 1}}, TypeError),
            ({"env_vars": {1: "A"}}, TypeError),
            ({"env_vars": "A"}, TypeError),
            ({"pip": ["a"], "conda": "b"}, ValueError),
            ({"pip": ["a"], "uv": ["b"]}, ValueError),
            ({"pip": {"pip_check": True}}, ValueError),
            ({"pip": "/no/such/file.txt"}, ValueError),
            ({"pip": [1]}, TypeError),
            ({"image_uri": "x", "working_dir": "y"}, ValueError),
            ({"working_dir": 1}, TypeError),
            ({"py_modules": "x"}, TypeError),
            ({"excludes": "x"}, TypeError),
            ({"config": {"setup_timeout_seconds": 0}}, ValueError),
            ({"config": {"setup_timeout_seconds": "x"}}, TypeError),
            ({"config": 3}, TypeError),
        ],
        ids=str,
    )
    def test_refuses(self, fields, error):
        with pytest.raises(error):
            ray.runtime_env.RuntimeEnv(**fields)

    def test_config(self):
        config = ray.runtime_env.RuntimeEnv(config={"setup_timeout_seconds": -1})["config"]
        assert config == {"setup_timeout_seconds": -1, "eager_install": True, "log_files": []}


class TestJobConfig:
    def test_says_what_init_says(self):
        config = ray.job_config.JobConfig(runtime_env={"env_vars": {"A": "1"}}, ray_namespace="there", metadata={"k": "v"})
        ray.init(num_cpus=1, job_config=config)
        assert ray.get_runtime_context().namespace == "there"
        assert ray.get(env.remote("A")) == ["1"]

    def test_the_lifetime_of_actors(self):
        with pytest.raises(ValueError, match="lifetime"):
            ray.job_config.JobConfig(default_actor_lifetime="long")
        assert ray.job_config.JobConfig.from_json({"ray_namespace": "x"}).ray_namespace == "x"
        ray.init(num_cpus=1, job_config=ray.job_config.JobConfig(default_actor_lifetime="detached"))
        keeper = Keeper.options(name="keeper").remote()
        ray.get(keeper.keep.remote("still here"))
        del keeper
        assert ray.get(ray.get_actor("keeper").value.remote()) == "still here"


class TestLogging:
    def test_the_loggers_level_and_handler(self):
        logger = logging.getLogger("ray")
        ray.init(num_cpus=0, logging_level=logging.WARNING)
        assert logger.level == logging.WARNING
        assert logger.handlers
        ray.shutdown()
        ray.init(num_cpus=0, configure_logging=False)
        assert logger.handlers == []

    def test_a_format(self, capsys):
        ray.init(num_cpus=0, logging_format="<<%(message)s>>")
        logging.getLogger("ray").info("hello")
        assert capsys.readouterr().err == "<<hello>>\n"

    @pytest.mark.parametrize("encoding", ["TEXT", "JSON"])
    def test_one_form_everywhere(self, encoding):
        code = """
            import json, logging
            ray.init(num_cpus=1, logging_config=ray.LoggingConfig(encoding=sys.argv[1]))
            @ray.remote
            def speak():
                logging.getLogger().info("in a task", extra={"colour": "red"})
            ray.get(speak.remote())
            logging.getLogger("anything").info("in the driver")
            ray.shutdown()
        """
        status, _, errors = run_driver(code, encoding)
        assert status == 0
        worker = next(line for line in errors.splitlines() if "in a task" in line)
        driver = next(line for line in errors.splitlines() if "in the driver" in line)
        if encoding == "JSON":
            import json

            record = json.loads(worker.partition(") ")[2])
            assert (record["message"], record["levelname"], record["colour"], record["task_name"]) == (
                "in a task",
                "INFO",
                "red",
                "speak",
            )
            assert len(record["task_id"]) == 48
            assert json.loads(driver)["job_id"] == "01000000"
        else:
            assert "colour=red" in worker
            assert "job_id=01000000" in driver


class TestSignals:
    def test_sigterm_ends_the_driver_in_order(self):
        code = """
            import atexit
            atexit.register(lambda: print("said good-bye"))
            ray.init(num_cpus=1)
            print("ready", flush=True)
            time.sleep(1000)
        """
        with Driver(code) as driver:
            assert driver.line() == "ready"
            driver.send(signal.SIGTERM)
            status, out, _ = driver.end()
        assert status == signal.SIGTERM
        assert out == "said good-bye\n"

    def test_a_handler_of_the_programs_stays(self):
        def mine(number, frame):
            pass

        before = signal.signal(signal.SIGTERM, mine)
        try:
            ray.init(num_cpus=0)
            assert signal.getsignal(signal.SIGTERM) is mine
        finally:
            signal.signal(signal.SIGTERM, before)

    def test_a_forked_child_just_dies(self):
        code = """
            ray.init(num_cpus=0)
            child = os.fork()
            if child == 0:
                print("child", flush=True)
                time.sleep(1000)
            os.read(0, 1)
            os.kill(child, signal.SIGTERM)
            print(os.WTERMSIG(os.waitpid(child, 0)[1]))
        """
        with Driver(code) as driver:
            assert driver.line() == "child"
            driver.close_input()
            _, out, _ = driver.end()
        assert out == f"{int(signal.SIGTERM)}\n"
