"""Every float engine on the six networks, in one run: python -m triggerforge.benchmark.suite [-o FOLDER]

Prints the tables and writes result.json, bench.md, bench.png and bench.pdf. Ends with status 1 for an
error, 3 if an engine gives wrong numbers; such a one is reported and not timed.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from triggerforge.benchmark.suite.networks import NETWORKS
from triggerforge.benchmark.suite.plot import write_plots
from triggerforge.benchmark.suite.run import Record, float_engines, run_suite
from triggerforge.benchmark.suite.sizes import QUICK, Sizes
from triggerforge.benchmark.suite.tables import headlines, sheets
from triggerforge.border import answer
from triggerforge.errors import TriggerForgeError
from triggerforge.progress import say
from triggerforge.runfolder import write_atomic

_WRONG = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: gives back its exit status."""
    options = _options(arguments)
    sizes = QUICK if options.quick else Sizes()
    given = {"calls": options.calls, "seconds": options.seconds}
    sizes = replace(sizes, **{key: value for key, value in given.items() if value is not None})
    try:
        record = run_suite(
            options.output, options.networks, options.engines or float_engines(), sizes
        )
        _write(record, options.output)
    except TriggerForgeError as error:
        say(f"error: {error}")
        return 1
    except OSError as error:
        if error.filename is None:
            raise
        say(f"error: {error}; give a folder that can be written (-o)")
        return 1
    wrong = [
        engine
        for network in record["suite"]["networks"].values()
        for engine, checked in network["engines"].items()
        if checked["wrong"]
    ]
    return _WRONG if wrong else 0


def _write(record: Record, folder: Path) -> None:
    tables, lines = sheets(record), headlines(record)
    sys.stdout.write("\n".join([*lines, ""]))
    sys.stdout.write("".join(f"\n{sheet.text()}\n" for sheet in tables))
    listed = "\n".join(f"- {line}" for line in lines)
    parts = ["# make bench", listed, *(sheet.markdown() for sheet in tables)]
    write_atomic(folder / "bench.md", "\n\n".join(parts) + "\n")
    for path in write_plots(record, folder):
        say(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m triggerforge.benchmark.suite",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/bench"), help="runs/bench")
    parser.add_argument(
        "--networks", nargs="+", default=list(NETWORKS), metavar="NAME", help=", ".join(NETWORKS)
    )
    parser.add_argument(
        "--engines", nargs="+", metavar="NAME", help=f"left out: {', '.join(float_engines())}"
    )
    parser.add_argument("--calls", type=_calls, help="at batch 1 and most beyond (20,000)")
    parser.add_argument("--seconds", type=_seconds, help="most for batch 1 of a network (240)")
    parser.add_argument("--quick", action="store_true", help="the small size, for a first look")
    return parser.parse_args(arguments)


def _calls(text: str) -> int:
    number = int(text.replace(",", ""))
    if number < 10:
        raise argparse.ArgumentTypeError(f"{number} calls are no statistics; give 10 or more")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no time to measure; give more than 0 seconds")
    return number


if __name__ == "__main__":
    sys.exit(answer(main, "triggerforge.benchmark.suite"))
