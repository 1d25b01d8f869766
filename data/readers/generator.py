"""The tree that `triggerforge generate` writes: `jets`, one jet an entry, class names in the file."""

import json
from pathlib import Path

import uproot

from triggerforge.config.data import DataConfig, MappingConfig
from triggerforge.data.generator.particles import Kind
from triggerforge.data.generator.schema import BRANCH_DOCS, PART_BRANCHES, TREE
from triggerforge.data.readers.base import READERS, Reader, reading
from triggerforge.data.readers.root import RootReader, merged
from triggerforge.data.readers.trees import LAYOUT, layout_of
from triggerforge.errors import DataError

MARK = "part_class"
"""a branch that tells this tree from others"""
_KINDS = {f"is_{kind.name.lower()}": f"part_class == {kind.value}" for kind in Kind}
_OWN = {name: f"part_{name}" for name in PART_BRANCHES if name != "class"}
MAPPING = MappingConfig(tree=TREE, constituents=_OWN | _KINDS)


@READERS.register("generator")
def open_generator(path: Path, config: DataConfig) -> Reader:
    """A reader of generated jets; raises DataError if the file does not name its classes."""
    with reading(path, LAYOUT), uproot.open(path) as file:
        if BRANCH_DOCS not in file:
            raise DataError(
                f"{path} holds no {BRANCH_DOCS!r} with the names of the classes; it was not written "
                "by `triggerforge generate` (set data.format: root and data.label)"
            )
        classes = tuple(str(c) for c in json.loads(str(file[BRANCH_DOCS]))["classes"])
    layout = layout_of(path, config.mapping.tree or TREE)
    mapping = merged(MAPPING, config.mapping, layout)
    label = "label" if layout.find("label") else None
    return RootReader(layout, mapping, "generator", classes, label)
