"""The stage `data`: from files to training, validation and test events with one input contract."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.config.data import DataConfig
from triggerforge.data.contract import InputContract
from triggerforge.data.dataset import Dataset, Splits, of_classes
from triggerforge.data.features import InputBuilder
from triggerforge.data.scaling import Column, derive_contract
from triggerforge.data.source import Batch, Count, EventSource
from triggerforge.data.splits import PARTS, load_splits, save_splits, split_indices, tested_only
from triggerforge.data.spool import Spool
from triggerforge.data.storage import writing
from triggerforge.errors import DataError, did_you_mean
from triggerforge.progress import progress
from triggerforge.result import write_record

__all__ = ["load", "load_splits"]

_SPOOL_FILE = ".events.partial.h5"


def load(
    config: DataConfig,
    generated: Path | None,
    seed: int,
    folder: Path,
    contract: InputContract | None = None,
) -> Splits:
    """Reads `config.source`, or the `generated` file, into folder/splits.h5, and writes the record.

    The inputs are scaled by `contract`, that of a finished model; left out: one that is derived from
    the training events (those of `config.background`, where it is given).

    Raises DataError if there is no source, a file cannot be used, values are NaN or infinite, no
    event is left after the selection, a class is missing, or the inputs are not the contract's.
    """
    if not config.source and generated is None:
        raise DataError("no events: set data.source, or give a section `generate`")
    files = config.input_files() if config.source else [generated or Path()]
    with closing(Spool(folder / _SPOOL_FILE)) as spool:
        with writing(spool.path):
            sources, count = _read(config, files, spool)
        classes = sources[0].classes
        _check_left(count, classes, files)
        together = spool.take("together", np.arange(spool.events))
        indices = split_indices(together, config.split, seed, config.max_events)
        _check_background(config.background, classes)
        if config.background:
            label = spool.take("label", np.arange(spool.events))
            indices = tested_only(indices, ~of_classes(label, classes, config.background))
        splits = _splits(config, sources[0].builder, classes, spool, indices, contract)
    _check_classes(splits)
    save_splits(splits, folder)
    write_record(folder, data=_record(files, sources[0], count, splits))
    return splits


@dataclass
class _Bad:
    """Values that are NaN or infinite, over all files."""

    total: int = 0
    first: str = ""

    def look(self, source: EventSource, batch: Batch) -> None:
        columns: dict[str, NDArray[Any]] = {"inputs": batch.inputs.raw, "weight": batch.weight}
        columns |= batch.observables
        for name, values in columns.items():
            bad = ~np.isfinite(values)
            if not bad.any():
                continue
            at = np.argwhere(bad)[0]
            what = source.builder.names[at[-1]] if name == "inputs" else name
            self.first = self.first or f"{what!r} of event {batch.place[at[0]]} in {source.path}"
            self.total += int(bad.sum())

    def check(self) -> None:
        if self.total:
            raise DataError(
                f"{self.total} values of the selected events are NaN or infinite, the first is "
                f"{self.first}; leave these events out with data.selection or mend the file"
            )


def _read(config: DataConfig, files: list[Path], spool: Spool) -> tuple[list[EventSource], Count]:
    sources = [EventSource(path, config) for path in files]
    for source in sources[1:]:
        if source.classes != sources[0].classes or source.observables != sources[0].observables:
            raise DataError(
                f"{source.path} has classes {list(source.classes)} and observables "
                f"{list(source.observables)}, {files[0]} has {list(sources[0].classes)} and "
                f"{list(sources[0].observables)}; read them in runs of their own, or set "
                "data.classes and data.observables"
            )
    count, bad = Count(), _Bad()
    with progress("read events", len(files)) as meter:
        for done, source in enumerate(sources):
            for batch in source.batches(count):
                bad.look(source, batch)
                spool.add(batch, done)
                meter(done, f"{spool.events} events")
            meter(done + 1, f"{spool.events} events")
    bad.check()
    return sources, count


def _check_left(count: Count, classes: tuple[str, ...], files: list[Path]) -> None:
    if not sum(count.kept.values()):
        raise DataError(
            f"no event is left of {count.read} in {len(files)} files (the first: {files[0]}): "
            f"{count.deselected} failed data.selection, {count.unlabelled} are of no class in "
            f"{list(classes)}; loosen the selection or the classes"
        )
    absent = [name for name in classes if not count.kept[name]]
    if absent:
        raise DataError(
            f"no event of class {', '.join(map(repr, absent))} among {sum(count.kept.values())} "
            f"selected ones ({count.kept}); add files of that class, or leave it out of data.classes"
        )


def _check_background(background: tuple[str, ...], classes: tuple[str, ...]) -> None:
    for name in background:
        if name not in classes:
            raise DataError(f"data.background: no class {name!r}; {did_you_mean(name, classes)}")
    if set(background) == set(classes):
        raise DataError(
            f"data.background names all classes {list(classes)}, and no signal is left to test on"
        )


def _check_classes(splits: Splits) -> None:
    for name in PARTS:
        part: Dataset = getattr(splits, name)
        counts = np.bincount(part.y, minlength=len(splits.classes))
        due = splits.background if splits.background and name != "test" else splits.classes
        absent = next(
            (c for c, n in zip(splits.classes, counts, strict=True) if not n and c in due), ""
        )
        if absent:
            raise DataError(
                f"the {name} part has no event of class {absent!r} among its {len(part)}; use more "
                "events or a larger part (data.max_events, data.split)"
            )


def _splits(
    config: DataConfig,
    builder: InputBuilder,
    classes: tuple[str, ...],
    spool: Spool,
    indices: tuple[NDArray[np.int64], ...],
    contract: InputContract | None,
) -> Splits:
    if contract is not None:
        require_inputs(builder, contract)
        _require_its_own_padding(config, contract)
    parts = []
    for index in indices:
        mask = spool.take("mask", index) if spool.has_mask else None
        if contract is None:
            columns = _columns(spool, index)
            contract = derive_contract(builder, columns, mask, config.precision)
        parts.append(
            Dataset(
                x=_inputs(spool, index, contract, mask),
                y=spool.take("label", index),
                weight=spool.take("weight", index),
                contract=contract,
                classes=classes,
                mask=mask,
                observables={n: spool.take(f"observables/{n}", index) for n in spool.observables},
            )
        )
    train, validation, test = parts
    return Splits(train, validation, test, config.background)


def _require_its_own_padding(config: DataConfig, contract: InputContract) -> None:
    """A finished model says itself what a missing particle is."""
    named = {**config.precision.padding, **config.precision.padding_scaled}
    for feature in contract.features:
        if feature.name in named:
            raise DataError(
                f"data.precision.padding of {feature.name!r}: the model's own contract has "
                f"{feature.padding:g} (after scaling); leave it out"
            )


def require_inputs(builder: InputBuilder, contract: InputContract) -> None:
    """Raises DataError unless `data.inputs` are those that `contract` names."""
    if builder.names != contract.names or builder.shape != contract.shape:
        raise DataError(
            f"data.inputs give {list(builder.names)} in shape {builder.shape}, the network was made "
            f"for {list(contract.names)} in shape {contract.shape}; use the configuration of its run"
        )


def normalized(
    contract: InputContract, raw: NDArray[np.float64], mask: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    """Network inputs x (N, *shape) from physical values, padding in the place of missing particles."""
    x = contract.normalize(raw)
    if mask is not None:
        x[~mask] = np.array([f.padding for f in contract.features], np.float32)
    return x


def _columns(spool: Spool, index: NDArray[np.int64]) -> Column:
    """One input of the events at a time: all of them in float64 would be twice what is kept."""
    return lambda i: spool.take("raw", index, lambda raw, _: raw[..., i])


def _inputs(
    spool: Spool,
    index: NDArray[np.int64],
    contract: InputContract,
    mask: NDArray[np.bool_] | None,
) -> NDArray[np.float32]:
    def made(raw: NDArray[Any], places: NDArray[np.int64]) -> NDArray[np.float32]:
        return normalized(contract, raw, None if mask is None else mask[places])

    return spool.take("raw", index, made)


def _record(files: list[Path], source: EventSource, count: Count, splits: Splits) -> dict[str, Any]:
    parts: dict[str, Dataset] = {name: getattr(splits, name) for name in PARTS}
    return {
        "source": [str(f) for f in files],
        "format": source.reader.format,
        "events": {name: len(part) for name, part in parts.items()},
        "classes": list(splits.classes),
        "background": list(splits.background),
        "per_class": {
            name: dict(
                zip(
                    splits.classes,
                    np.bincount(part.y, minlength=len(splits.classes)).tolist(),
                    strict=True,
                )
            )
            for name, part in parts.items()
        },
        "read": count.read,
        "selected": sum(count.kept.values()),
        "selection_efficiency": 1 - count.deselected / count.read,
        "inputs": {
            "kind": source.builder.config.kind,
            "shape": list(splits.contract.shape),
            "formats": {f.name: str(f.format) for f in splits.contract.features},
        },
    }
