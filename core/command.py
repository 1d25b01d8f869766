"""Calls of external tools: the whole log is kept, an error shows the errors in it, or its end."""

import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from triggerforge.border import undisturbed
from triggerforge.errors import ToolFailedError
from triggerforge.tools import Tool

_TAIL_LINES = 30
_SHOWN_ERRORS = 5
_ERROR = re.compile(r"\berror\b\S*:", re.IGNORECASE)
"""how g++, Verilator, yosys and Vitis mark theirs"""


class ToolTimeoutError(ToolFailedError):
    """An external tool was stopped because it took too long."""


def run_tool(
    tool: Tool,
    arguments: Sequence[str],
    folder: Path,
    log: str,
    timeout_s: float | None = None,
    output: str | None = None,
) -> None:
    """Runs `tool` in `folder`; what it says goes to `folder/log`.

    With `output`, its standard output is a result and goes to that file in `folder`.

    Raises ToolFailedError, with what the log says of errors, if it fails or crashes; ToolTimeoutError if it
    takes longer than `timeout_s`.
    """
    path = folder / log
    process: subprocess.Popen[bytes] | None = None
    with path.open("w") as said, (folder / output if output else path).open("w") as result:
        try:
            with undisturbed():  # a tool that begins is one that is ended
                process = subprocess.Popen(
                    [*tool.command, *arguments],
                    cwd=folder,
                    env=os.environ | tool.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=result,
                    stderr=said if output else subprocess.STDOUT,
                    start_new_session=True,
                )
            status = process.wait(timeout_s)
        except OSError as error:
            raise ToolFailedError(f"{tool.name} does not start: {error}") from error
        except subprocess.TimeoutExpired as error:
            raise ToolTimeoutError(
                f"{tool.name} took longer than {timeout_s:g} s and was stopped; "
                "allow it more time or make the design smaller"
            ) from error
        finally:
            if process is not None:
                _end(process)
    if status != 0:
        raise ToolFailedError(f"{tool.name} ended with status {status}; {_told(path)}")


def _told(path: Path) -> str:
    """The first errors of a log; its end where none is marked as one."""
    lines = path.read_text(errors="replace").splitlines()
    errors = [line for line in lines if _ERROR.search(line)]
    if not errors:
        return f"the end of its log:\n{log_tail(path)}"
    more = f", the first {_SHOWN_ERRORS} of {len(errors)}" if len(errors) > _SHOWN_ERRORS else ""
    return "\n".join([f"errors in its log{more}:", *errors[:_SHOWN_ERRORS]])


def log_tail(path: Path) -> str:
    """The last lines of a log file."""
    lines = path.read_text(errors="replace").splitlines()
    return "\n".join(lines[-_TAIL_LINES:]) or "(the log is empty)"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stops the tool and what it started; also when the caller is interrupted."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
