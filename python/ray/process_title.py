"""What a process is called in `ps`: "ray::IDLE", "ray::Counter".

The command line that the system shows lies in the process's own memory, and may be written over. A worker is the fork of
a process with a long one, so there is always room.
"""

import os


def set_title(title):
    """Calls this process so, as far as there is room. Where the system does not allow it, nothing happens."""
    try:
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        begin, end = int(fields[_ARG_START]), int(fields[_ARG_END])
        room = end - begin
        if room < 2:
            return
        text = os.fsencode(title).replace(b"\0", b"")[: room - 2]
        # A last byte other than 0 tells the kernel that what it shows ends at the first 0.
        memory = os.open("/proc/self/mem", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(memory, text.ljust(room - 1, b"\0") + b"\x01", begin)
        finally:
            os.close(memory)
    except (OSError, IndexError, ValueError):
        return  # a sandbox without /proc


# Places in /proc/self/stat, counted from the field after the name.
_ARG_START, _ARG_END = 45, 46
