"""Locks that survive a fork.

Flows in:  nothing.
Flows out: `fork_safe_lock()`.
"""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager
from typing import Any


def fork_safe_lock() -> AbstractContextManager[Any]:
    """A lock that no thread holds in a forked child: forking waits for it. For module state: it is never freed."""
    lock = threading.RLock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
    return lock
