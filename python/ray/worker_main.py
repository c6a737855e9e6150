"""What a worker process does: joins the cluster, runs tasks until it ends. The loop is native; this module is what it calls."""

import io
import os
import signal
import sys

from ray import _core, cluster, exceptions, task_setting

#: Stands before output of another function than the output before it; the driver reads it and prints the function's name.
NAME_MARK = "\x02{}\x03"
#: What stands before the output of an actor, whichever of its methods writes.
output_name = None
#: Whether this process is a worker.
is_worker = False


def main(session, spawn, environment):
    """Runs tasks until the cluster ends; never returns."""
    global is_worker
    code, is_worker = 0, True
    try:
        task_setting.settle_worker(environment.items())
        sys.stdin = open(os.devnull)  # for the life of the process
        sys.stdout = _Output(1)
        sys.stderr = _Output(2)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the zygote's handler is not ours
        signal.signal(signal.SIGINT, _interrupted)
        cluster._join(session, "worker", spawn)
        cluster._session_of_worker = session
        os.register_at_fork(after_in_child=cluster._forget_in_child)
        _core.inherit_environment(list(environment.items()))
        _prepare()
        _core.run_worker()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:  # noqa: BLE001 - the last thing between an error and the end of the process
        import traceback

        traceback.print_exception(error)
        code = 1
    finally:
        try:
            import atexit

            from ray import actor_worker

            actor_worker.say_goodbye()
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _prepare():
    """Does what the job asks of every worker, before its first task."""
    from ray import logging_config, process_title, runtime_env

    process_title.set_title("ray::IDLE")
    if logging_config.VARIABLE in os.environ:
        logging_config.apply_from_environment()
    if runtime_env.HOOK_VARIABLE in os.environ:
        runtime_env.run_hook()


def _interrupted(number, frame):
    """SIGINT comes when the running task was cancelled or its time is over; one that comes late concerns nobody."""
    if _core.is_interrupted():
        raise KeyboardInterrupt


class _Output(io.TextIOWrapper):
    """Standard output or error of a worker: marks whose output it is, a line at a time."""

    def __init__(self, descriptor):
        super().__init__(
            os.fdopen(descriptor, "wb", closefd=False), encoding="utf-8", errors="backslashreplace", line_buffering=True
        )
        self._marked = None
        self._at_line_start = True

    def write(self, text):
        if text:
            name = output_name or _core.current_function_name()
            if self._at_line_start and name != self._marked:
                super().write(NAME_MARK.format(name or ""))
                self._marked = name
            self._at_line_start = text.endswith("\n")
            if not self._at_line_start:
                _core.note_unfinished_output()
        return super().write(text)

    def finish_line(self):
        """Ends a line that was begun, and sends it: nothing runs here that would go on with it. Drivers are shown whole lines."""
        if not self._at_line_start:
            self.write("\n")
        self.flush()


def finish_output():
    """Sends what tasks wrote and did not end with a line. Called when this process has nothing to do."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, _Output):
            stream.finish_line()


def load_function(blob):
    """A function as the native loop wants it: (callable, name, typed, result classes or None, argument check, result split, check
    of an item it yields or None)."""
    import pickle

    function, signature = pickle.loads(blob)
    plain = signature.return_plain
    if not signature.typed:
        return function, signature.short_name, False, [None], _no_check, signature.split_results, None
    classes = None if plain is None else [None if entry is object else entry for entry in plain]

    def split(value, num_returns):
        results = signature.split_results(value, num_returns)
        signature.check_results(results, _declared_type)
        return results

    check_item = None if signature.item_form is None else signature.check_item
    return function, signature.short_name, True, classes, signature.check_arguments, split, check_item


def _declared_type(value):
    from ray.remote_function import _declared_type

    return _declared_type(value)


def _no_check(args, kwargs):
    pass


def dump_failure(error, function_name):
    """An exception of a task as bytes; never fails."""
    wrapped = exceptions.make_task_error(error, function_name, pid=os.getpid(), ip="127.0.0.1", tb=error.__traceback__)
    return exceptions.dump_error(wrapped)
