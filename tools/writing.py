"""Files that are written at once or not at all, and folders in which one process works at a time."""

# Standard library only, and readable by an older Python: `tools.environment` refuses that one in words.
from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if os.name == "nt":
    import msvcrt
else:
    import fcntl


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to, which takes the place of another once all is written; its folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write(path: Path, text: str) -> None:
    """Write a text at once or not at all, with the same bytes on every system."""
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)


@contextmanager
def alone(lock: Path, sentence: str) -> Iterator[int]:
    """Hold a lock file; while another process holds it, say the sentence and wait.

    Yield its descriptor: a child that inherits it goes on holding the lock if this process is killed. The system frees
    the lock of dead processes, so none is ever left over.
    """
    with lock.open("a") as file:
        waiting = False
        while not _taken(file.fileno()):
            if not waiting:
                print(sentence, flush=True)
            waiting = True
            time.sleep(0.2)
        yield file.fileno()


def _taken(descriptor: int) -> bool:
    try:
        if os.name == "nt":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
