"""The modes a process can be in, as today's API and the 2016 dialects number them. Use the names."""

SCRIPT_MODE = 0
WORKER_MODE = 1
# Two numbers mean one thing today and another in 2016.
SPILL_WORKER_MODE = SHELL_MODE = 2
RESTORE_WORKER_MODE = PYTHON_MODE = 3
SILENT_MODE = 4
LOCAL_MODE = PYTHON_MODE
