"""The parts of a data set: drawn under a seed, saved as one HDF5 file."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from triggerforge.data.contract import InputContract
from triggerforge.data.dataset import Dataset, Splits
from triggerforge.data.generator.seeds import derived_seed
from triggerforge.data.storage import Hdf5Output, whole_file
from triggerforge.errors import ArtifactError, TriggerForgeError

SPLITS_FILE = "splits.h5"
PARTS = ("train", "validation", "test")
Indices = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""those of the events for training, validation and test"""
_VERSION = 3


def split_indices(
    together: NDArray[np.int64],
    parts: tuple[float, float, float],
    seed: int,
    limit: int | None = None,
) -> Indices:
    """Disjoint random indices of N events for training, validation and test.

    Events with equal rows of `together` (N, k) land in the same part. The same seed gives the same
    indices. `limit`: so many events in all.
    """
    _, group = np.unique(together, axis=0, return_inverse=True)
    # a stream of its own: the same permutation again would undo one that made the file
    rng = np.random.default_rng(derived_seed(seed, "split"))
    rank = rng.permutation(int(group.max()) + 1)[group]
    order = np.argsort(rank, kind="stable")[:limit]
    due = [round(len(order) * parts[0]), round(len(order) * (parts[0] + parts[1]))]
    ranks = rank[order]
    # each cut moves back to the start of its group
    first, second = np.searchsorted(ranks, [ranks[min(cut, len(ranks) - 1)] for cut in due])
    return order[:first], order[first:second], order[second:]


def tested_only(indices: Indices, signal: NDArray[np.bool_]) -> Indices:
    """The same, with every event where `signal` (N,) holds moved to the test part."""
    train, validation, test = indices
    moved = [part[signal[part]] for part in (train, validation)]
    return train[~signal[train]], validation[~signal[validation]], np.concatenate([test, *moved])


def save_splits(splits: Splits, folder: Path) -> Path:
    """Writes folder/splits.h5 whole or not at all; gives back its path.

    Raises DataError if the disk is full.
    """
    path = folder / SPLITS_FILE
    with whole_file(path) as temporary, closing(Hdf5Output(temporary)) as output:
        file = output.file
        file.attrs["version"] = _VERSION
        file.attrs["classes"] = json.dumps(list(splits.classes))
        file.attrs["background"] = json.dumps(list(splits.background))
        file.attrs["contract"] = json.dumps(splits.contract.to_dict())
        for name in PARTS:
            _write(file.create_group(name), getattr(splits, name))
    return path


def load_splits(folder: Path) -> Splits:
    """The splits of a finished `data` stage.

    Raises ArtifactError if the file is missing, damaged or of another version.
    """
    path = folder / SPLITS_FILE
    try:
        with h5py.File(path, "r") as file:
            if file.attrs["version"] != _VERSION:
                raise ArtifactError(
                    f"{path}: version {file.attrs['version']}, this is {_VERSION}; run `data` again"
                )
            contract = InputContract.from_dict(json.loads(file.attrs["contract"]))
            classes = tuple(json.loads(file.attrs["classes"]))
            background = tuple(json.loads(file.attrs["background"]))
            train, validation, test = (_read(file[name], contract, classes) for name in PARTS)
    except ArtifactError:
        raise
    except (OSError, KeyError, TypeError, ValueError, TriggerForgeError) as error:
        raise ArtifactError(f"{path}: {error}; run the stage `data` again") from error
    return Splits(train, validation, test, background)


def _write(group: h5py.Group, part: Dataset) -> None:
    arrays: dict[str, NDArray[Any]] = {"x": part.x, "y": part.y, "weight": part.weight}
    if part.mask is not None:
        arrays["mask"] = part.mask
    arrays |= {f"observables/{name}": column for name, column in part.observables.items()}
    for name, array in arrays.items():
        # compressed lightly: images and padding are mostly zeros
        options = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        group.create_dataset(name, data=array, **(options if array.size else {}))


def _read(group: h5py.Group, contract: InputContract, classes: tuple[str, ...]) -> Dataset:
    return Dataset(
        x=group["x"][:],
        y=group["y"][:],
        weight=group["weight"][:],
        contract=contract,
        classes=classes,
        mask=group["mask"][:] if "mask" in group else None,
        observables={n: group["observables"][n][:] for n in group.get("observables", ())},
    )
