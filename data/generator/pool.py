"""Chunks in a pool of processes; each is a file of its own, so that a killed run goes on."""

import io
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from multiprocessing import (
    active_children,
    connection,
    current_process,
    parent_process,
)
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from triggerforge.border import undisturbed
from triggerforge.data.generator.sample import Columns, Task
from triggerforge.errors import DataError, TriggerForgeError
from triggerforge.runfolder import write_atomic

SUFFIX = ".npz"
_NO_GUARD = 77
"""status of a worker that runs the script that started it"""
_LAST_WORD_S = 1.0
"""for a worker that is gone, until the system says so"""


def make_chunks(tasks: Sequence[Task], folder: Path, workers: int) -> Generator[Task, None, None]:
    """Writes each task's columns to `folder`, in `workers` processes; yields tasks as they end.

    Chunks that are there already are not made again. Raises what a chunk raises, and
    TriggerForgeError if a worker process is killed.
    """
    missing = [task for task in tasks if not chunk_path(folder, task).exists()]
    missing_names = {task.name for task in missing}
    yield from (task for task in tasks if task.name not in missing_names)
    if workers == 1 or len(missing) <= 1:
        for task in missing:
            _work(task, folder)
            yield task
        return
    with closing(_in_processes(missing, folder, min(workers, len(missing)))) as done:
        yield from done


def chunk_path(folder: Path, task: Task) -> Path:
    """The file of a chunk."""
    return folder / f"{task.name}{SUFFIX}"


def read_chunk(path: Path) -> Columns:
    """The columns of a chunk's file."""
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}


def available_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _in_processes(tasks: Sequence[Task], folder: Path, workers: int) -> Generator[Task, None, None]:
    if getattr(current_process(), "_inheriting", False):
        os._exit(_NO_GUARD)  # a worker that begins, and runs the script that started it
    others = set(active_children())
    context = _Remembering()
    pool = ProcessPoolExecutor(workers, context, initializer=_die_with_parent)
    # all workers before the pool's own thread, as with fork: one that dies while the next is started
    # ends that thread in a traceback ("dictionary changed size"; Python 3.11)
    pool._safe_to_dynamically_spawn_children = False  # type: ignore[attr-defined]
    try:
        running = _submitted(pool, tasks, folder)
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
                yield running.pop(future)
    except BrokenProcessPool as error:
        raise TriggerForgeError(_what_broke(context.started)) from error
    finally:
        # nobody waits for the chunks that are being made when something went wrong: what is finished is
        # kept. A worker that was starting while another died would wait for work for ever
        for worker in {*context.started, *active_children()} - others if sys.exception() else ():
            if worker.pid:
                worker.kill()
        with suppress(OSError):  # as in `_submitted`
            pool.shutdown(cancel_futures=True)


def _submitted(
    pool: ProcessPoolExecutor,
    tasks: Sequence[Task],
    folder: Path,
) -> dict[Future[None], Task]:
    try:
        with undisturbed(), _deaf():  # a worker that is half started complains of its parent
            first = {pool.submit(_work, tasks[0], folder): tasks[0]}
        return first | {pool.submit(_work, task, folder): task for task in tasks[1:]}
    except (OSError, ValueError) as error:
        # a pool that breaks meanwhile closes the pipes that `submit` writes to, or gives to a worker
        raise BrokenProcessPool(str(error)) from error


class _Remembering(SpawnContext):
    """Keeps the processes that it starts: what one ended with is asked for when it is gone."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[BaseProcess] = []

    def Process(self, *arguments: Any, **more: Any) -> BaseProcess:  # type: ignore[override]
        process = super().Process(*arguments, **more)
        self.started.append(process)
        return process


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes that are started meanwhile do not hear of Ctrl-C: their parent ends them.

    They would print a traceback each, and their parent waits for nothing.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _what_broke(started: Iterable[BaseProcess]) -> str:
    """Why a worker is gone, by the status that it ended with."""
    begun = [worker for worker in started if worker.pid]
    gone = connection.wait([worker.sentinel for worker in begun], _LAST_WORD_S)
    for worker in begun:
        worker.join(_LAST_WORD_S if worker.sentinel in gone else 0)
    codes = [worker.exitcode for worker in begun]
    if _NO_GUARD in codes:
        return (
            "generate() was called from a script that each generator process runs too; put the call "
            'under `if __name__ == "__main__":`, or set generate.workers to 1'
        )
    if ended := sorted({code for code in codes if code and code > 0}):
        return (
            f"a generator process ended by itself (status {ended[0]}); what it printed says why. Run "
            "again: finished chunks are kept"
        )
    # the pool ends the others by SIGTERM
    numbers = {-code for code in codes if code}
    number = min(numbers - {signal.SIGTERM} or numbers or {signal.SIGKILL})
    word = signal.Signals(number).name
    hint = ", often for want of memory" if number == signal.SIGKILL else ""
    return (
        f"a generator process was killed ({word}){hint}; run again with fewer generate.workers: "
        "finished chunks are kept"
    )


def _work(task: Task, folder: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **task.make())  # type: ignore[arg-type]
    try:
        write_atomic(chunk_path(folder, task), buffer.getvalue())
    except OSError as error:
        raise DataError(
            f"cannot write chunk {task.name} to {folder}: {error.strerror}; "
            "mend that (make room, if the disk is full) and run again: finished chunks are kept"
        ) from error


def _die_with_parent() -> None:
    """Ends this worker when its parent is gone, even by kill -9."""
    parent = parent_process()
    if parent is not None:

        def watch() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()
