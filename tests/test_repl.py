"""A person at a prompt, a program read from standard input, and `python -c`."""

import os
import re
import subprocess
import sys

import pexpect
import pytest

from support import ours, wait_until

PROMPT = ">>> "


class Repl:
    """A Python prompt in a terminal."""

    def __init__(self):
        environment = {**os.environ, "PYTHON_BASIC_REPL": "1", "TERM": "dumb"}  # 3.13's own editor redraws each line
        self.child = pexpect.spawn(sys.executable, ["-q"], env=environment, encoding="utf-8", echo=False, timeout=20)
        self.child.expect_exact(PROMPT)

    def type(self, *lines):
        """Types lines, an empty one at the end of a block; gives what was printed until the next prompt."""
        for line in lines:
            self.child.sendline(line)
            self.child.expect([r"(?m)^>>> ", r"(?m)^\.\.\. "])
        return self.child.before.replace("\r\n", "\n")

    def end(self):
        self.child.sendeof()
        self.child.expect(pexpect.EOF)
        self.child.close()
        return self.child.exitstatus


@pytest.fixture
def repl():
    repl = Repl()
    yield repl
    repl.child.close(force=True)


DEFINE = ("import ray, time", "ray.services.start_ray_local(num_workers=2)")
DOUBLE = ("@ray.remote([int], [int])", "def double(n):", "  return 2 * n", "")


def test_a_session(repl):
    assert repl.type(*DEFINE) == ""
    repl.type(*DOUBLE)
    assert re.fullmatch(r"<ray\.ObjRef at 0x[0-9a-f]+>\n", repl.type("double.remote(4)"))
    assert repl.type("ray.get(double.remote(4))") == "8\n"
    assert "TypeError: Argument 0 ('n') for function __main__.double has type str" in repl.type("double.remote('x')")
    assert repl.type("ray.get(double.remote(5))") == "10\n"
    assert repl.end() == 0
    wait_until(lambda: not ours())


def test_functions_and_classes_defined_again(repl):
    repl.type(*DEFINE)
    repl.type(*DOUBLE)
    assert repl.type("ray.get(double.remote(4))") == "8\n"
    repl.type("@ray.remote", "def double(n):", "  return Twice(n)", "")
    repl.type("class Twice:", "  def __init__(self, n): self.n = n", "  def __repr__(self): return f'twice {self.n}'", "")
    assert repl.type("ray.get(double.remote(4))") == "twice 4\n"
    repl.type("class Twice:", "  def __init__(self, n): self.n = n", "  def __repr__(self): return f'two times {self.n}'", "")
    repl.type("@ray.remote", "def double(n):", "  return Twice(n)", "")
    assert repl.type("ray.get(double.remote(4))") == "two times 4\n"
    assert repl.end() == 0


def test_control_c_ends_the_wait_and_nothing_else(repl):
    repl.type(*DEFINE)
    repl.type("@ray.remote", "def late():", "  time.sleep(3600)", "")
    repl.type(*DOUBLE)
    repl.type("ref = late.remote()", "double_ref = double.remote(1)", "ray.get(double_ref)")
    for wait in ("ray.get(ref)", "ray.wait([ref])", "ray.get([double_ref, ref])"):
        repl.child.sendline(f"print('waiting'); {wait}")
        repl.child.expect_exact("waiting")
        repl.child.sendintr()
        repl.child.expect(r"(?m)^>>> ")
        assert repl.child.before.rstrip().endswith("KeyboardInterrupt")
        assert repl.type("ray.get(double.remote(4))") == "8\n"
    assert repl.type("ray.get(ref, timeout=0)").rstrip().splitlines()[-1].startswith("ray.exceptions.GetTimeoutError")
    assert repl.end() == 0
    wait_until(lambda: not ours())


def test_what_tasks_print_appears_at_the_prompt(repl):
    repl.type(*DEFINE)
    repl.type("@ray.remote", "def speak():", "  print('hello')", "")
    repl.child.sendline("ray.get(speak.remote())")
    repl.child.expect(r"\(speak pid=\d+\) hello")
    assert repl.end() == 0


def test_the_cluster_is_stopped_and_started_again(repl):
    repl.type(*DEFINE)
    repl.type(*DOUBLE)
    for _ in range(2):
        assert repl.type("ray.get(double.remote(4))") == "8\n"
        assert repl.type("ray.shutdown()") == ""
        repl.type("ray.services.start_ray_local(num_workers=1)")
    assert repl.end() == 0


PROGRAM = """
import ray
ray.init(num_cpus=2)

@ray.remote
def double(n):
    return 2 * n

class Local:
    n = 3

print(ray.get(double.remote(ray.get(ray.put(Local)).n)))
"""


@pytest.mark.parametrize("flags", [(), ("-X", "dev"), ("-W", "error"), ("-O",), ("-s", "-P")])
def test_python_dash_c(flags):
    done = subprocess.run([sys.executable, *flags, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "6\n", "")


def test_a_program_read_from_standard_input():
    done = subprocess.run([sys.executable, "-"], input=PROGRAM, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "6\n", "")


def test_a_module_run_with_dash_m(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM + "from helper import triple\nprint(ray.get(ray.remote(triple).remote(2)))")
    (tmp_path / "helper.py").write_text("def triple(n):\n    return 3 * n\n")
    done = subprocess.run([sys.executable, "-m", "program"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "6\n6\n", "")


def test_a_script_that_changes_its_directory(tmp_path):
    call = "import helper\nprint(ray.get(ray.remote(helper.f).remote()))"
    (tmp_path / "program.py").write_text("import os\nos.chdir('/')\n" + PROGRAM + call)
    (tmp_path / "helper.py").write_text("class Value:\n    n = 1\n\ndef f():\n    return Value().n\n")
    done = subprocess.run([sys.executable, "program.py"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "6\n1\n", "")


def test_a_program_that_ends_with_an_error_leaves_nothing():
    done = subprocess.run([sys.executable, "-c", PROGRAM + "1 / 0"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("ZeroDivisionError: division by zero")
    wait_until(lambda: not ours())
