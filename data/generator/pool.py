"""Chunks in a pool of processes; each is a file of its own, so that a killed run goes on."""

import io
import os
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, suppress
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path

import numpy as np

from triggerforge.data.generator.sample import Columns, Task
from triggerforge.errors import DataError, TriggerForgeError
from triggerforge.runfolder import write_atomic

SUFFIX = ".npz"


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
    others = set(active_children())
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_die_with_parent)
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
        # a worker that was starting while another died waits for work for ever, and shutdown for it
        for straggler in set(active_children()) - others:
            straggler.kill()
        raise TriggerForgeError(
            "a generator process was killed, often for want of memory; run again with fewer "
            "generate.workers: finished chunks are kept"
        ) from error
    finally:
        with suppress(OSError):  # as in `_submitted`
            pool.shutdown(cancel_futures=True)


def _submitted(
    pool: ProcessPoolExecutor, tasks: Sequence[Task], folder: Path
) -> dict[Future[None], Task]:
    try:
        return {pool.submit(_work, task, folder): task for task in tasks}
    except (OSError, ValueError) as error:
        # a pool that breaks meanwhile closes the pipes that `submit` writes to, or gives to a worker
        raise BrokenProcessPool(str(error)) from error


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
