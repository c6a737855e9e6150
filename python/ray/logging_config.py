"""Logs in one form in the driver and in all workers: `ray.init(logging_config=ray.LoggingConfig(...))`."""

import os

#: In the environment of workers.
VARIABLE = "RAIO_LOGGING_CONFIG"
#: Attributes of a record that are always written.
_STANDARD = ("asctime", "levelname", "message", "filename", "lineno", "process")
# What the records of the standard library have: everything else in one was given as `extra`.
_OF_RECORDS = frozenset(
    "args asctime created exc_info exc_text filename funcName levelname levelno lineno message module msecs msg name pathname "
    "process processName relativeCreated stack_info taskName thread threadName".split()
)


class LoggingConfig:
    """How the root logger writes, here and in the workers.

    Args:
        encoding (str): "TEXT" or "JSON".
        log_level (str): the least important level that is written.
        additional_log_standard_attrs (list[str]): further attributes of `logging.LogRecord` to write.

    Raises:
        ValueError: another encoding, or attributes that records do not have.

    >>> ray.LoggingConfig(encoding="JSON", log_level="WARNING").encoding
    'JSON'
    """

    def __init__(self, encoding="TEXT", log_level="INFO", additional_log_standard_attrs=()):
        if encoding not in ("TEXT", "JSON"):
            raise ValueError(f"Invalid encoding type: {encoding}. Valid encoding types are: ['JSON', 'TEXT'].")
        unknown = sorted(set(additional_log_standard_attrs) - _OF_RECORDS)
        if unknown:
            raise ValueError(f"Unknown standard attributes of log records: {', '.join(unknown)}.")
        self.encoding = encoding
        self.log_level = log_level
        self.additional_log_standard_attrs = list(additional_log_standard_attrs)

    def apply(self):
        """Sets up the root logger of this process."""
        import logging

        root = logging.getLogger()
        root.setLevel(self.log_level)
        for handler in [handler for handler in root.handlers if getattr(handler, "_of_ray", False)]:
            root.removeHandler(handler)
        handler = logging.StreamHandler()
        handler._of_ray = True
        handler.setFormatter(_formatter(self))
        root.addHandler(handler)
        logging.getLogger("ray").setLevel(self.log_level)

    def for_workers(self):
        """dict[str, str]: environment variables that tell a worker."""
        import json

        return {VARIABLE: json.dumps([self.encoding, self.log_level, self.additional_log_standard_attrs])}

    def __eq__(self, other):
        return isinstance(other, LoggingConfig) and vars(other) == vars(self)

    __hash__ = None  # type: ignore[assignment]  # it can be changed

    def __repr__(self):
        return f"LoggingConfig(encoding={self.encoding!r}, log_level={self.log_level!r})"


def apply_from_environment():
    """In a worker: does what the driver asked for, if it did."""
    text = os.environ.get(VARIABLE)
    if text:
        import json

        LoggingConfig(*json.loads(text)).apply()


def _formatter(config):
    import logging

    class Formatter(logging.Formatter):
        def format(self, record):
            record.message = record.getMessage()
            record.asctime = self.formatTime(record)
            fields = {name: getattr(record, name) for name in (*_STANDARD, *config.additional_log_standard_attrs)}
            fields.update(_whereabouts())
            fields.update({name: value for name, value in vars(record).items() if name not in _OF_RECORDS})
            if record.exc_info:
                fields["exc_text"] = self.formatException(record.exc_info)
            if config.encoding == "JSON":
                import json

                fields["timestamp_ns"] = int(record.created * 1e9)
                return json.dumps(fields, default=str)
            begin = f"{record.asctime}\t{record.levelname} {record.filename}:{record.lineno} -- {record.message} "
            rest = {name: value for name, value in fields.items() if name not in (*_STANDARD[:5], "exc_text")}
            text = begin + " ".join(f"{name}={value}" for name, value in rest.items())
            return text + (f"\n{fields['exc_text']}" if "exc_text" in fields else "")

    return Formatter()


def _whereabouts():
    """Who writes: job, node, worker, and the task and actor if there are."""
    from ray import _core

    if not _core.is_connected():
        return {}
    from ray.runtime_context import RuntimeContext

    here = RuntimeContext()
    found = {
        "job_id": here.get_job_id(),
        "worker_id": here.get_worker_id(),
        "node_id": here.get_node_id(),
        "task_id": here._running_task_id(),
        "task_name": here.get_task_name(),
        "actor_id": here.get_actor_id(),
        "actor_name": here.get_actor_name(),
    }
    return {name: value for name, value in found.items() if value}
