"""How many cores this process may use."""

import os


def usable() -> int:
    """Cores that the system gives to this process, where it says so: Linux, not macOS or Windows;
    else those of the machine.

    >>> usable() >= 1
    True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
