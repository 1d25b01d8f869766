"""The command line. A verb imports its stage when it is called, not before: `-h` is instant."""

import argparse
import errno
import sys
from collections.abc import Sequence
from pathlib import Path

from triggerforge.errors import BudgetError, ParityError, TriggerForgeError

_VERBS = {
    "generate": "simulate collision events",
    "data": "read events and build the network's inputs",
    "train": "train the full-precision model",
    "compress": "quantise and prune it",
    "export": "write the ONNX files",
    "firmware": "write, compile and simulate the firmware",
    "benchmark": "compare every engine: the same bits, and how fast",
    "trigger": "rates, working points, turn-on, menu overlap (with a section `trigger`)",
    "report": "write report.html",
    "run": "all of them, in order",
}
_GATE_MISSED = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; gives back the exit status.

    0 when all went well, 1 for an error, 2 for a wrong command line, 3 when the run ended but
    parity failed or a budget was missed.
    """
    options = build_parser().parse_args(arguments)
    try:
        options.call(options)
    except (ParityError, BudgetError) as error:
        return _fail(error, _GATE_MISSED)
    except TriggerForgeError as error:
        return _fail(error, 1)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
            return _fail(f"the disk is full: {error}; make room, then run again to go on", 1)
        if error.filename is None:
            raise
        return _fail(f"{error}; give a folder that can be written (--runs, -o)", 1)
    except KeyboardInterrupt:
        return _fail("interrupted; run the same command again to go on", 130)
    return 0


def _fail(error: object, status: int) -> int:
    sys.stderr.write(f"triggerforge: error: {error}\n")
    return status


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; what it parses holds the function to `call`."""
    parser = argparse.ArgumentParser(
        prog="triggerforge",
        description="Machine learning for triggers: from collision events to verified firmware.",
    )
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for verb, purpose in _VERBS.items():
        _runs(_config_verb(verbs, verb, purpose, _run_stage))
    _config_verb(verbs, "config", "print the resolved configuration, commented", _show_config)
    check = verbs.add_parser("check", help="tools found, what is missing and how to get it")
    check.set_defaults(call=_check)
    score = verbs.add_parser("score", help="append a run's scores to a copy of an event file")
    score.add_argument("config", type=Path, help="the run's YAML file")
    score.add_argument("file", help="event file or URL, in the format of the run's input")
    score.add_argument("-o", "--output", type=Path, required=True, help="*.root or *.parquet")
    score.add_argument(
        "--engine",
        default="onnxruntime-quantized",
        metavar="ENGINE[,ENGINE…]",
        help="alir, hgq2, litert, native, native-int, onnxruntime, onnxruntime-quantized, openvino, "
        "torch, torch-compile; hls4ml, rtl build the firmware first; of several the first that can "
        "run here",
    )
    _common(score)
    _runs(score)
    score.set_defaults(call=_score)
    _rates_verb(verbs)
    return parser


def _rates_verb(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    purpose = "thresholds and efficiencies at a trigger rate"
    parser = verbs.add_parser("rates", help=purpose, description=purpose)
    parser.add_argument("run", type=Path, help="a run's folder, or its YAML file")
    parser.add_argument(
        "--target", action="append", default=[], metavar="RATE", help="1kHz, 500Hz, …; repeatable"
    )
    parser.add_argument("--threshold", type=float, help="the rate of this threshold instead")
    parser.add_argument("-o", "--output", type=Path, help="hand-over record: *.json or *.yaml")
    _common(parser)
    _runs(parser)
    parser.set_defaults(call=_rates)


def _config_verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    purpose: str,
    call: object,
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=purpose, description=purpose)
    parser.add_argument("config", type=Path, help="YAML file; see configs/")
    _common(parser)
    parser.set_defaults(call=call, verb=name)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. train.epochs=3"
    )
    parser.add_argument("--quick", action="store_true", help="the small size, for a first look")


def _runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder of all runs (runs/)"
    )


def _run_stage(options: argparse.Namespace) -> None:
    from triggerforge.config.load import load_config
    from triggerforge.pipeline import Run, execute
    from triggerforge.progress import say

    run = Run(load_config(options.config, options.set, options.quick), options.runs)
    stage = "report" if options.verb == "run" else options.verb
    execute(run, stage)
    if stage == "report":
        from triggerforge.report.ending import ending

        say(ending(run.folder.path))


def _show_config(options: argparse.Namespace) -> None:
    from triggerforge.config.load import load_config
    from triggerforge.config.show import as_yaml

    config = load_config(options.config, options.set, options.quick)
    sys.stdout.write(as_yaml(config) + "\n")


def _check(options: argparse.Namespace) -> None:
    from triggerforge.check import check

    check()


def _score(options: argparse.Namespace) -> None:
    from triggerforge.config.load import load_config
    from triggerforge.pipeline import Run, score
    from triggerforge.remote import file_of

    run = Run(load_config(options.config, options.set, options.quick), options.runs)
    score(run, file_of(options.file), options.output, *options.engine.split(","))


def _rates(options: argparse.Namespace) -> None:
    from triggerforge.errors import ConfigError
    from triggerforge.pipeline import Run, execute
    from triggerforge.trigger.command import rates_text

    folder: Path = options.run
    if folder.is_dir():
        if options.set or options.quick:
            raise ConfigError(f"{folder} is a run; --set and --quick go with a configuration")
    else:
        from triggerforge.config.load import load_config

        config = load_config(folder, options.set, options.quick)
        if config.trigger is None:
            raise ConfigError(
                f"{folder} has no section `trigger`; give one, at least trigger.background and "
                "trigger.score.output (docs/trigger.md)"
            )
        run = Run(config, options.runs)
        execute(run, "trigger")
        folder = run.folder.path
    sys.stdout.write(rates_text(folder, options.target, options.threshold, options.output) + "\n")
