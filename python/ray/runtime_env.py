"""Runtime environments: what a job's, a task's or an actor's processes have besides the driver's own surroundings.

`RuntimeEnv` checks a description. `prepare` turns a job's into what a worker can begin with: environment variables, a
working directory, places to import from. Packages are not installed: what `pip`, `uv` and `conda` ask for must be there.
"""

import os

_DEFAULT_TIMEOUT_S = 600
# What stands for "the processes run elsewhere", and fits with little else.
_CONTAINER_FIELDS = ("container", "image_uri")
_INSTALLERS = ("pip", "uv", "conda")


class RuntimeEnvConfig(dict):
    """How a runtime environment is set up.

    Args:
        setup_timeout_seconds (int): 0 is no time at all, and refused; -1 any.
        eager_install (bool): when the job begins, not with its first task.
        log_files (list[str] | None): accepted.

    Raises:
        TypeError, ValueError: a value is of the wrong type or out of range.
    """

    known_fields = frozenset(("setup_timeout_seconds", "eager_install", "log_files"))

    def __init__(self, setup_timeout_seconds=_DEFAULT_TIMEOUT_S, eager_install=True, log_files=None):
        if isinstance(setup_timeout_seconds, bool) or not isinstance(setup_timeout_seconds, int):
            raise TypeError(f"setup_timeout_seconds must be of type int, got {type(setup_timeout_seconds)}.")
        if setup_timeout_seconds < -1 or setup_timeout_seconds == 0:
            raise ValueError(f"setup_timeout_seconds must be greater than zero or equal to -1, got {setup_timeout_seconds}.")
        if not isinstance(eager_install, bool):
            raise TypeError(f"eager_install must be a boolean, got {type(eager_install)}.")
        if log_files is not None and not (isinstance(log_files, list) and all(isinstance(name, str) for name in log_files)):
            raise TypeError(f"log_files must be a list of strings or None, got {log_files!r}.")
        super().__init__(setup_timeout_seconds=setup_timeout_seconds, eager_install=eager_install, log_files=log_files or [])

    @classmethod
    def default_config(cls):
        return cls()

    @classmethod
    def parse_and_validate_runtime_env_config(cls, config):
        return config if isinstance(config, cls) else cls.from_dict(config)

    @classmethod
    def from_dict(cls, config):
        unknown = set(config) - cls.known_fields
        if unknown:
            _logger().warning("Fields of a runtime environment's config that nobody knows: %s", ", ".join(sorted(unknown)))
        return cls(**{name: value for name, value in config.items() if name in cls.known_fields})

    def to_dict(self):
        return dict(self)


class RuntimeEnv(dict):
    """What processes of a job, a task or an actor have; a dict of the fields given.

    Args:
        env_vars (dict[str, str] | None): environment variables. `${NAME}` stands for the value before.
        working_dir (str | Path | None): a directory, or an archive of one, that workers begin in.
        py_modules (list | None): packages (directories, wheels, or modules already imported) that workers can import.
        excludes (list[str] | None): what not to take along of `working_dir`, in the manner of .gitignore.
        pip, uv (list[str] | dict | str | None), conda (str | dict | None): packages that must be there.
        config (dict | RuntimeEnvConfig | None): how it is set up.
        others: kept.

    Raises:
        TypeError, ValueError: a field is of the wrong type, or two contradict each other.

    >>> ray.runtime_env.RuntimeEnv(env_vars={"MODE": "test"}, pip=["numpy"])["pip"]
    {'packages': ['numpy'], 'pip_check': False}
    """

    def __init__(self, *, _validate=True, **fields):
        given = {name: value for name, value in fields.items() if value is not None}
        super().__init__(given)
        if not _validate:
            return
        installers = [name for name in _INSTALLERS if given.get(name)]
        if len(installers) > 1:
            raise ValueError(
                f"The fields {' and '.join(repr(name) for name in installers)} of runtime_env cannot be specified at the same "
                "time. Name all packages in one of them."
            )
        for name in _CONTAINER_FIELDS:
            others = [other for other in given if other not in (name, "env_vars", "config")]
            if given.get(name) and others:
                raise ValueError(f"The '{name}' field of runtime_env cannot be used together with {', '.join(map(repr, others))}.")
        for name, check in _CHECKS.items():
            if name in given:
                checked = check(given[name])
                if checked is None:
                    del self[name]
                else:
                    self[name] = checked

    def to_dict(self):
        """dict: the fields, as plain values."""
        return {name: dict(value) if isinstance(value, RuntimeEnvConfig) else value for name, value in self.items()}

    def serialize(self):
        """str: the fields as JSON."""
        import json

        return json.dumps(self.to_dict(), sort_keys=True, default=_plain)

    @classmethod
    def deserialize(cls, text):
        import json

        return cls(_validate=False, **json.loads(text))

    def env_vars(self):
        return self.get("env_vars", {})

    def working_dir(self):
        return self.get("working_dir", "")

    def py_modules(self):
        return self.get("py_modules", [])

    def has_pip(self):
        return bool(self.get("pip"))

    def has_uv(self):
        return bool(self.get("uv"))

    def has_conda(self):
        return bool(self.get("conda"))

    def has_working_dir(self):
        return bool(self.get("working_dir"))

    def get_extension(self, name):
        return self.get(name)

    def set(self, name, value):
        self[name] = value

    def __reduce__(self):
        return _rebuild, (dict(self),)


def _rebuild(fields):
    return RuntimeEnv(_validate=False, **fields)


def _plain(value):
    """What JSON has no word for."""
    return getattr(value, "__name__", None) or str(value)


def as_runtime_env(value):
    """A `RuntimeEnv` of what was given: nothing, a dict, or one.

    Raises:
        TypeError: something else. ValueError: see `RuntimeEnv`.
    """
    if value is None:
        return RuntimeEnv()
    if isinstance(value, RuntimeEnv):
        return value
    if not isinstance(value, dict):
        raise TypeError(f"runtime_env must be dict or RuntimeEnv, but got: {type(value)}.")
    return RuntimeEnv(**value)


def merged(outer, inner, who):
    """Two descriptions of one job's environment as one.

    Raises:
        ValueError: both say something about the same field or variable, and RAY_OVERRIDE_JOB_RUNTIME_ENV is not 1.
    """
    clashes = sorted((outer.keys() & inner.keys()) - {"env_vars"})
    clashes += sorted(outer.env_vars().keys() & inner.env_vars().keys())
    if clashes and os.environ.get("RAY_OVERRIDE_JOB_RUNTIME_ENV") != "1":
        raise ValueError(
            f"Failed to merge the runtime environments of {who}: both say something about {', '.join(clashes)}. Say it once, or "
            "set RAY_OVERRIDE_JOB_RUNTIME_ENV=1 to let the latter win."
        )
    variables = {**outer.env_vars(), **inner.env_vars()}
    fields = {**outer, **inner, **({"env_vars": variables} if variables else {})}
    return RuntimeEnv(_validate=False, **fields)


# ---------------------------------------------------------------------------------------------------------------------
# Checks of the fields; each returns what is kept, None for nothing
# ---------------------------------------------------------------------------------------------------------------------


def _check_env_vars(variables):
    if not isinstance(variables, dict):
        raise TypeError(f"runtime_env['env_vars'] must be of type Dict[str, str], got {type(variables)}.")
    for name, value in variables.items():
        if not isinstance(name, str):
            raise TypeError(
                f"runtime_env['env_vars'] must be of type Dict[str, str], but the key {name!r} is of type {type(name)}."
            )
        if not isinstance(value, str):
            raise TypeError(
                f"runtime_env['env_vars'] must be of type Dict[str, str], but the value of {name!r}, {value!r}, is of type "
                f"{type(value)}."
            )
    return variables or None


def _check_working_dir(place):
    if not isinstance(place, (str, os.PathLike)):
        raise TypeError(f"`working_dir` must be a string or a path, got {type(place)}.")
    return os.fspath(place)


def _check_py_modules(modules):
    if not isinstance(modules, list):
        raise TypeError(f"`py_modules` must be a list of paths or modules, got {type(modules)}.")
    for module in modules:
        if not isinstance(module, (str, os.PathLike)) and not hasattr(module, "__path__"):
            raise TypeError(f"`py_modules` must be a list of paths or packages, got {module!r} in it.")
    return modules or None


def _check_excludes(patterns):
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
        raise TypeError(f"`excludes` must be a list of strings, got {patterns!r}.")
    return patterns or None


def _check_packages(tool):
    def check(given):
        if isinstance(given, str):
            given = _read_requirements(given)
        if isinstance(given, dict):
            packages, more = given.get("packages"), {name: value for name, value in given.items() if name != "packages"}
            if packages is None:
                raise ValueError(f"runtime_env['{tool}'] must include the field 'packages', got {given!r}.")
        else:
            packages, more = given, {}
        if isinstance(packages, str):
            packages = _read_requirements(packages)
        if not isinstance(packages, list) or not all(isinstance(package, str) for package in packages):
            raise TypeError(f"runtime_env['{tool}'] must be of type str, dict or List[str], got {given!r}.")
        return {"packages": list(dict.fromkeys(packages)), f"{tool}_check": False, **more} if packages else None

    return check


def _read_requirements(path):
    if not os.path.isfile(path):
        raise ValueError(f"{path} is not a valid file: a requirements file, or a list of packages, is wanted.")
    with open(path) as file:
        lines = [line.strip() for line in file]
    return [line for line in lines if line and not line.startswith("#")]


def _check_conda(given):
    if not isinstance(given, (str, dict)):
        raise TypeError(f"runtime_env['conda'] must be of type str or dict, got {type(given)}.")
    return given


def _check_hook(hook):
    if not callable(hook) and not isinstance(hook, str):
        raise TypeError(f"worker_process_setup_hook must be a function or its dotted name, got {type(hook)}.")
    return hook


def _check_config(config):
    if not isinstance(config, dict):
        raise TypeError(f"runtime_env['config'] must be of type dict or RuntimeEnvConfig, got {type(config)}.")
    return RuntimeEnvConfig.parse_and_validate_runtime_env_config(config)


_CHECKS = {
    "env_vars": _check_env_vars,
    "working_dir": _check_working_dir,
    "py_modules": _check_py_modules,
    "excludes": _check_excludes,
    "pip": _check_packages("pip"),
    "uv": _check_packages("uv"),
    "conda": _check_conda,
    "worker_process_setup_hook": _check_hook,
    "config": _check_config,
}


# ---------------------------------------------------------------------------------------------------------------------
# A job's environment, made
# ---------------------------------------------------------------------------------------------------------------------


class Prepared:
    """What the workers of a job begin with."""

    def __init__(self):
        #: Environment variables.
        self.environment = {}
        #: Where they run; None: where the driver runs.
        self.working_dir = None
        #: Where they import from, before the driver's own places.
        self.python_path = []
        #: A directory of ours that goes with the cluster, or None.
        self.directory = None

    def remove(self):
        if self.directory is not None:
            import shutil

            shutil.rmtree(self.directory, ignore_errors=True)

    def place(self, name):
        """A path of this name in a directory of ours."""
        if self.directory is None:
            import tempfile

            _remove_leftovers()
            self.directory = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")
        return os.path.join(self.directory, name)


_PREFIX = "raio-env-"
#: In a worker's environment: what it calls before its first task.
HOOK_VARIABLE = "RAIO_WORKER_SETUP_HOOK"


def prepare(environment):
    """Makes what a job's environment asks for.

    Args:
        environment (RuntimeEnv): which.

    Returns:
        Prepared

    Raises:
        ValueError: a directory or file is not there. RuntimeEnvSetupError: a package is not there.
    """
    prepared = Prepared()
    if not environment:
        return prepared
    try:
        _refuse_missing_packages(environment)
        for name, value in environment.env_vars().items():
            prepared.environment[name] = expanded(value, prepared.environment)
        if environment.get("working_dir"):
            prepared.working_dir = _take_directory(
                environment["working_dir"], prepared.place("working_dir"), environment.get("excludes", [])
            )
            prepared.python_path.append(prepared.working_dir)
        for module in environment.py_modules():
            _take_module(module, prepared)
        if environment.get("worker_process_setup_hook") is not None:
            prepared.environment[HOOK_VARIABLE] = _written_hook(environment["worker_process_setup_hook"])
    except BaseException:
        prepared.remove()
        raise
    return prepared


def expanded(value, variables=None):
    """A variable's value, with `${NAME}` replaced by what `NAME` is before."""
    import re

    known = {**os.environ, **(variables or {})}
    return re.sub(r"\$\{(\w+)\}", lambda found: known.get(found[1], ""), value)


def run_hook():
    """In a worker: calls what the job's environment says, if it says so. What it raises is printed, and changes nothing."""
    text = os.environ.get(HOOK_VARIABLE)
    if not text:
        return
    try:
        kind, _, name = text.partition(":")
        if kind == "pickle":
            import base64
            import pickle

            pickle.loads(base64.b64decode(name))()
        else:
            import importlib

            module, _, function = name.rpartition(".")
            getattr(importlib.import_module(module), function)()
    except Exception:  # noqa: BLE001 - user code; a worker that ended here would be started again for ever
        import traceback

        traceback.print_exc()


def _written_hook(hook):
    if isinstance(hook, str):
        return f"name:{hook}"
    import base64

    import cloudpickle

    return f"pickle:{base64.b64encode(cloudpickle.dumps(hook)).decode()}"


def _refuse_missing_packages(environment):
    """Raises when a package is not installed, or in another version than the one asked for with `==`."""
    import re
    from importlib import metadata

    asked = environment.get("pip") or environment.get("uv") or {}
    missing = []
    for requirement in asked.get("packages", ()):
        found = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*(?:==\s*([^\s;,]+))?", requirement)
        if found is None:
            missing.append(requirement)
            continue
        try:
            installed = metadata.version(found[1])
        except metadata.PackageNotFoundError:
            installed = None
        if installed is None or (found[2] and found[2] != installed):
            missing.append(requirement)
    conda = environment.get("conda")
    if isinstance(conda, dict) or (isinstance(conda, str) and conda != os.environ.get("CONDA_DEFAULT_ENV")):
        missing.append(f"conda environment {conda!r}")
    if missing:
        from ray.exceptions import RuntimeEnvSetupError

        raise RuntimeEnvSetupError(
            f"Not installed here: {', '.join(missing)}. Workers use the interpreter and the packages of the driver; nothing is "
            "installed for them. Install what is missing, and run the driver where it is."
        )


def _take_directory(given, target, excludes):
    """A copy of a directory, or of what is in an archive; returns its path."""
    import shutil

    source = given.removeprefix("file://")
    if "://" in source:
        raise ValueError(f"working_dir {given!r}: only local directories and archives (file://) can be used.")
    source = os.path.abspath(os.path.expanduser(source))
    if os.path.isdir(source):
        shutil.copytree(source, target, symlinks=True, ignore=_ignorer(source, excludes))
        return target
    if os.path.isfile(source) and source.endswith((".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2")):
        shutil.unpack_archive(source, target)
        inside = os.listdir(target)
        # An archive of a directory usually holds that one directory.
        only = os.path.join(target, inside[0]) if len(inside) == 1 else None
        return only if only is not None and os.path.isdir(only) else target
    raise ValueError(f"working_dir {given!r} is not a valid path: neither a directory nor an archive (.zip, .tar.gz) is there.")


def _take_module(module, prepared):
    """Lets workers import one package or file: a link of its name in a directory of ours, which holds nothing else."""
    path = next(iter(module.__path__)) if hasattr(module, "__path__") else os.fspath(module).removeprefix("file://")
    path = os.path.abspath(os.path.expanduser(path))
    if not os.path.exists(path):
        raise ValueError(f"py_modules: {path} does not exist.")
    if path.endswith(".whl"):
        prepared.python_path.append(path)  # a wheel of pure Python can be imported from as it is
        return
    place = prepared.place("modules")
    os.makedirs(place, exist_ok=True)
    os.symlink(path, os.path.join(place, os.path.basename(path)))
    if place not in prepared.python_path:
        prepared.python_path.append(place)


def _ignorer(root, excludes):
    """For `shutil.copytree`: names to leave out, by patterns in the manner of .gitignore."""
    from fnmatch import fnmatch

    patterns = [".git", ".venv", "venv", "__pycache__"]
    ignore_file = os.path.join(root, ".gitignore")
    if os.path.isfile(ignore_file) and os.environ.get("RAY_RUNTIME_ENV_IGNORE_GITIGNORE") != "1":
        patterns += _read_requirements(ignore_file)
    patterns += excludes

    def is_left_out(path):
        relative = os.path.relpath(path, root)
        left_out = False
        for pattern in patterns:
            keeps, pattern = pattern.startswith("!"), pattern.lstrip("!")
            if pattern.endswith("/") and not os.path.isdir(path):
                continue
            pattern = pattern.rstrip("/")
            anchored = "/" in pattern
            if fnmatch(relative if anchored else os.path.basename(path), pattern.lstrip("/")):
                left_out = not keeps
        return left_out

    return lambda directory, names: [name for name in names if is_left_out(os.path.join(directory, name))]


def _remove_leftovers():
    """Directories of drivers that were killed."""
    import shutil
    import tempfile

    place = tempfile.gettempdir()
    for name in os.listdir(place):
        pid = name.removeprefix(_PREFIX).partition("-")[0]
        path = os.path.join(place, name)
        if (
            name.startswith(_PREFIX)
            and pid.isdigit()
            and not os.path.exists(f"/proc/{pid}")
            and os.stat(path).st_uid == os.geteuid()
        ):
            shutil.rmtree(path, ignore_errors=True)


def _logger():
    import logging

    return logging.getLogger("ray")
