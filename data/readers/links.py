"""Index tables: which candidates of an entry are constituents of which of its jets.

PFNano's JetPFCands_jetIdx, JetPFCands_pFCandsIdx; NanoAODv15's FatJetPFCand_jetIdx,
FatJetPFCand_pfCandIdx; FatJetSVs_jetIdx, FatJetSVs_sVIdx for secondary vertices.
"""

from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from triggerforge.data.readers.trees import Layout, counts_of
from triggerforge.errors import DataError

_PARENT = "jetidx"
_INDEX = "idx"


def link_columns(layout: Layout, links: str) -> tuple[str, str]:
    """The columns of the table `links` with the jet's number and with the candidate's.

    Raises DataError unless it has one column …jetIdx and one other …Idx.
    """
    members = layout.members(links)
    parents = [n for short, n in members.items() if short.lower().endswith(_PARENT)]
    picks = [n for short, n in members.items() if short.lower().endswith(_INDEX)]
    picks = [n for n in picks if n not in parents]
    if len(parents) != 1 or len(picks) != 1:
        raise DataError(
            f"{layout.path}: mapping.links {links!r} has the columns {sorted(members)}; an index "
            "table has one that ends in jetIdx and one other that ends in Idx"
        )
    return parents[0], picks[0]


def linked(
    table: tuple[str, str],
    jets: Any,
    picks: Any,
    per_entry: NDArray[np.int64],
    in_entry: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(m,) index of each constituent among the chunk's candidates, (n,) counts.

    `jets` and `picks` are the lists of the index table, `per_entry` (entries,) the number of jets and
    `in_entry` that of candidates. Links to a negative number are none. Raises DataError, with the file
    and the name of the `table`, if a link points behind the end.
    """
    entry = np.repeat(np.arange(len(per_entry)), counts_of(jets))
    jet, pick = _indices(table, jets), _indices(table, picks)
    if len(jet) != len(pick):
        raise DataError(f"{table[0]}: {table[1]!r} has two columns of different list lengths")
    valid = (jet >= 0) & (pick >= 0)
    entry, jet, pick = entry[valid], jet[valid], pick[valid]
    outside = (jet >= per_entry[entry]) | (pick >= in_entry[entry])
    if outside.any():
        raise DataError(
            f"{table[0]}: {int(outside.sum())} links of {table[1]!r} point behind the end of the jets or "
            "candidates; choose the links and candidates that belong to mapping.objects"
        )
    jet += _starts(per_entry)[entry]
    pick += _starts(in_entry)[entry]
    order = np.argsort(jet, kind="stable")
    counts = np.bincount(jet, minlength=int(per_entry.sum())).astype(np.int64)
    return pick[order], counts


def _indices(table: tuple[str, str], lists: Any) -> NDArray[np.int64]:
    """(m,) all numbers of a column; what is beyond int64 stays too large for any list."""
    flat = np.asarray(ak.to_numpy(ak.flatten(lists, axis=1)))
    if flat.dtype.kind not in "iu":
        raise DataError(f"{table[0]}: {table[1]!r} holds {flat.dtype}; an index table has integers")
    if flat.dtype.kind == "u":
        flat = np.minimum(flat.astype(np.uint64), np.uint64(2**63 - 1))
    return np.asarray(flat, np.int64)


def _starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of the first element of each list in the flat array."""
    return np.cumsum(counts) - counts
