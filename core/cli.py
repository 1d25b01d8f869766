"""The command line. A verb imports its stage when it is called, not before: `-h` is instant."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Never

from triggerforge.border import answer, tell
from triggerforge.errors import did_you_mean
from triggerforge.known_engines import KNOWN

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; gives back the exit status.

    0 when all went well, 1 for an error, 2 for a wrong command line, 3 when the run ended but
    parity failed or a budget was missed; 130 and above: a signal ended it (`triggerforge.border`).
    """

    def call() -> None:
        options = parse(arguments)
        options.call(options)

    return answer(call)


class _Parser(argparse.ArgumentParser):
    """A parser whose refusal of a word names the nearest that it knows."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, f"no {value!r}; {_nearest(value, action.choices)}")

    def refuse(self, word: str) -> Never:
        """Ends with status 2: `word` is none of the arguments."""
        known = [option for option in self._option_string_actions if option.startswith("--")]
        hint = (
            _nearest(word.partition("=")[0], known)
            if word.startswith("-")
            else "it is one too many"
        )
        self.error(f"unknown argument {word!r}; {hint}")


def _nearest(word: str, known: Any) -> str:
    return did_you_mean(word, map(str, known))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What a command line asks for; ends the process with status 2 where it is wrong."""
    options, unknown = build_parser().parse_known_args(arguments)
    if unknown:
        options.parser.refuse(unknown[0])
    return options


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; what it parses holds the function to `call`."""
    parser = _Parser(
        prog="triggerforge",
        description="Machine learning for triggers: from collision events to verified firmware.",
    )
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for verb, purpose in _VERBS.items():
        _runs(_config_verb(verbs, verb, purpose, _run_stage))
    _config_verb(verbs, "config", "print the resolved configuration, commented", _show_config)
    check = verbs.add_parser("check", help="tools found, what is missing and how to get it")
    check.set_defaults(call=_check)
    _score_verb(verbs)
    _rates_verb(verbs)
    _verify_verb(verbs)
    _inspect_verb(verbs)
    _init_verb(verbs)
    for made in verbs.choices.values():
        made.set_defaults(parser=made)
    return parser


def _score_verb(verbs: "argparse._SubParsersAction[_Parser]") -> None:
    score = verbs.add_parser("score", help="append a run's scores to a copy of an event file")
    score.add_argument("config", type=Path, help="the run's YAML file")
    score.add_argument("file", help="event file or URL, in the format of the run's input")
    score.add_argument("-o", "--output", type=Path, required=True, help="*.root or *.parquet")
    built = [name for name in KNOWN if KNOWN[name].stage == "firmware"]
    score.add_argument(
        "--engine",
        default="onnxruntime-quantized",
        metavar="ENGINE[,ENGINE…]",
        help=f"{', '.join(sorted(set(KNOWN) - set(built)))}; {', '.join(built)} build the firmware "
        "first; of several the first that can run here",
    )
    _common(score)
    _runs(score)
    score.set_defaults(call=_score)


def _verify_verb(verbs: "argparse._SubParsersAction[_Parser]") -> None:
    purpose = "look at every file of a run again: is it what was made?"
    verify = verbs.add_parser("verify", help=purpose, description=purpose)
    verify.add_argument("run", type=Path, help="a run's folder")
    verify.set_defaults(call=_verify)


def _inspect_verb(verbs: "argparse._SubParsersAction[_Parser]") -> None:
    purpose = "what an event file, a model file or a run holds, and a section that reads it"
    parser = verbs.add_parser("inspect", help=purpose, description=purpose)
    parser.add_argument("path", type=Path, help="a file, or a run's folder")
    _tree_options(parser)
    parser.set_defaults(call=_inspect)


def _init_verb(verbs: "argparse._SubParsersAction[_Parser]") -> None:
    purpose = "write a commented configuration that runs, for a file of events"
    parser = verbs.add_parser("init", help=purpose, description=purpose)
    parser.add_argument("path", type=Path, help="a file of events")
    parser.add_argument("-o", "--output", type=Path, help="*.yaml; left out: named as the file is")
    parser.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="CLASS=CONDITION",
        help="once for each class, such as 'gluon=partonFlavour == 21'",
    )
    _tree_options(parser)
    parser.set_defaults(call=_init)


def _tree_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tree", help="of a ROOT file: the tree, with its folder")
    parser.add_argument(
        "--objects",
        help="of a ROOT file: the collection whose elements are the events, such as Jet",
    )


def _rates_verb(verbs: "argparse._SubParsersAction[_Parser]") -> None:
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
    verbs: "argparse._SubParsersAction[_Parser]",
    name: str,
    purpose: str,
    call: object,
) -> _Parser:
    parser = verbs.add_parser(name, help=purpose, description=purpose)
    parser.add_argument("config", type=Path, help="YAML file; see configs/")
    _common(parser)
    parser.set_defaults(call=call, verb=name)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        type=_utf8,
        default=[],
        metavar="KEY=VALUE",
        help="e.g. train.epochs=3",
    )
    parser.add_argument("--quick", action="store_true", help="the small size, for a first look")


def _utf8(word: str) -> str:
    """A word of the command line as it was typed, whatever the locale took it for."""
    return os.fsencode(word).decode("utf-8", "replace")


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
    tell(as_yaml(config, ascii_only=not _writes_unicode()) + "\n")


def _writes_unicode() -> bool:
    """Whether standard output has all letters; a value that is spelled out would not read back."""
    return (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf")


def _verify(options: argparse.Namespace) -> None:
    from triggerforge.verify import verify

    tell(verify(options.run) + "\n")


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
    tell(rates_text(folder, options.target, options.threshold, options.output) + "\n")


def _inspect(options: argparse.Namespace) -> None:
    from triggerforge.inspection import inspect_path

    sys.stdout.write(inspect_path(options.path, options.tree, options.objects) + "\n")


def _init(options: argparse.Namespace) -> None:
    from triggerforge.progress import say
    from triggerforge.starter import default_output, write_starter

    output = options.output or default_output(options.path)
    write_starter(options.path, output, options.label, options.tree, options.objects)
    say(f"{output} is written; look at it, then: triggerforge run {output} --quick")
