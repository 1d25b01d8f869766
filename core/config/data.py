"""Configuration of the stage `data`."""

import math
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from triggerforge.config.base import Config
from triggerforge.errors import DataError, did_you_mean
from triggerforge.remote import files_of

Format = Literal[
    "auto",
    "generator",
    "nanoaod",
    "pfnano",
    "jetclass",
    "root",
    "toptag",
    "lhcjets",
    "lhcjets16",
    "energyflow",
    "lhco",
    "l1",
    "l1nano",
    "adc2021",
    "regions",
    "parquet",
]


class InputsConfig(Config):
    """What the network sees of an event."""

    kind: Literal["features", "constituents", "image", "l1_objects", "l1_regions"] = "features"
    """features: one number for each name; constituents: a list of particles with the names as
    columns; image: the pT of the constituents on a grid in (eta, phi) about the jet's axis;
    l1_objects: the 57 hardware integers of a crossing (MET, 4 e/gamma, 4 mu, 10 jets);
    l1_regions: its 18 x 14 map of calorimeter regions."""
    names: tuple[str, ...] = ()
    """Columns of the file, derived quantities (pt_rel, deta, log_pt, …; docs/data.md lists them) or
    expressions of them, such as "log(pt + 1)". Empty: the 16 high-level features of the LHC jet set
    for `features`; pt_rel, deta, dphi, valid for `constituents`. Not used for other kinds."""
    constituents: int = Field(default=16, ge=1, le=4096)
    """Particles of an event that the network sees; the rest is cut, missing ones are padded."""
    order: Literal["pt", "file"] = "pt"
    """Order of the particles before the cut: falling pT, or as the file has them."""
    pixels: int = Field(default=40, ge=2, le=1024)
    """Pixels along each side of the image."""
    half_width: float = Field(default=0.8, gt=0)
    """The image covers jet axis ± this much in eta and in phi."""
    rotate: bool = False
    """Turn the image so that the principal axis of its pT lies along phi."""


class PrecisionConfig(Config):
    """How the fixed-point format of each input is chosen from the training events."""

    width: int = Field(default=12, ge=1, le=24)
    """Bits of each input, sign included. Inputs that hold only small integers take fewer, and
    hardware integers of Level-1 no more than they have."""
    coverage: float = Field(default=0.999, gt=0.5, le=1)
    """Part of the values that must lie inside the range; the rest saturates."""
    center: bool | None = None
    """Subtract the mean (rounded to the input's grid) before the shift. Left out: only for
    `features`, so that a missing particle is zero before and after."""
    formats: dict[str, str] = Field(default_factory=dict)
    """Formats that you set yourself, by input: {deta: "ap_fixed<10,1,RND,SAT>"}. Such an input is
    neither centred nor shifted: the number in the file is the number in the hardware."""
    padding: dict[str, float] = Field(default_factory=dict)
    """What an input is where there is no particle, before the contract's offset and shift, by input:
    {"(pt - 10) / 5": -2}. A model that others trained wants what its training had. The format is made
    wide enough to hold it. Left out: 0 after the scaling. Only for `constituents`."""
    padding_scaled: dict[str, float] = Field(default_factory=dict)
    """The same after offset and shift: the number that the network sees."""


class MappingConfig(Config):
    """How a ROOT tree maps to events. Formats other than `root` come with one; what is given
    here takes the place of theirs, name by name."""

    tree: str | None = None
    """Name of the TTree or RNTuple, with its folders where it lies in some (jetntuple/Jets). Left out:
    the preset's, or the file's only one, or the one that is called Events, events, Delphes, …"""
    objects: str | None = None
    """Collection whose elements are the events of the network, such as Jet: `pt` then stands for
    the branch Jet_pt or Jet.pt, and an entry of the tree holds any number of events. Left out: one event
    for each entry."""
    columns: dict[str, str] | None = None
    """Names for expressions of branches, one number an event: {jet_pt: "pt * (1 - rawFactor)"}.
    Jagged branches of other collections go through sum, count, any, all, min, max, first."""
    constituents: dict[str, str] | None = None
    """Names for expressions of branches, one number a constituent; pt, eta, phi, mass, or px, py,
    pz, energy, and charge, pdgid serve for the derived quantities. With `objects` and without `links`:
    of lists of lists, one list for each element."""
    candidates: str | None = None
    """Collection that holds the particles where they are found through an index table."""
    links: str | None = None
    """The index table, such as FatJetPFCands: it has one branch that ends in jetIdx (FatJetPFCands_jetIdx)
    and one other that ends in Idx, the candidate's (FatJetPFCands_pFCandsIdx, FatJetPFCand_pfCandIdx)."""


class DataConfig(Config):
    """Which events go in, what of them, and how they are parted."""

    source: tuple[str, ...] = ()
    """Files, glob patterns or URLs (root://, https://), seen from the current folder. A file of that very
    name goes before a pattern. Left out: the generated events."""
    format: Format = "auto"
    """Layout of the files; `auto` finds out by looking into the first one."""
    inputs: InputsConfig = InputsConfig()
    """What the network sees."""
    classes: tuple[str, ...] = ()
    """Names of the classes in the order of the labels. Left out: all that the format has. A part of
    them: events of the others are left out. For files that number their classes without naming them
    (energyflow): all names, in the order of the numbers."""
    background: tuple[str, ...] = ()
    """Classes of ordinary events. Where given, the network has one output, how unlike them an event
    is. It learns from these classes alone, and input scales come from them alone: events of the other
    classes, the signals, are all in the test part. Left out: one output for each class."""
    label: str | dict[str, str] | None = None
    """The class of an event, where the format does not say: an expression that gives its number, or
    one condition for each class, {gluon: "partonFlavour == 21", …}; events that meet none are left
    out."""
    selection: str | None = None
    """Events to keep, such as "(jet_pt > 500) & (abs(jet_eta) < 2)"."""
    weights: str | None = None
    """Expression for the event's weight. Left out: `weight` of generated crossings (l1), else 1."""
    mapping: MappingConfig = MappingConfig()
    """For ROOT files and parquet tables: branches to inputs."""
    chunk: int = Field(default=10_000, ge=1)
    """Entries of a file in memory at once."""
    max_events: int | None = Field(default=None, ge=3)
    """Use so many of the selected events, drawn at random under the seed. Left out: all."""
    split: tuple[float, float, float] = (0.7, 0.1, 0.2)
    """Parts for training, validation and test."""
    together: str | None = None
    """Column whose equal values stay in one part, such as "event": jets of one collision resemble
    each other. Left out: `event` of generated files, the tree's entry where it holds several jets."""
    precision: PrecisionConfig = PrecisionConfig()
    """Fixed-point formats of the inputs."""
    observables: tuple[str, ...] | None = None
    """Quantities kept for plots. Left out: jet_pt, jet_eta, jet_mass where the file has them."""
    write_scores: Literal["root", "parquet", "none"] = "none"
    """At the end of the run, write the input files again with the scores appended."""

    def input_files(self) -> list[Path]:
        """The files of `source`, sorted within each pattern; none where it was left out.

        Raises DataError if a pattern matches nothing, a URL cannot be fetched, or a file is named
        twice; MissingToolError if the package for a URL is not installed.
        """
        files = [file for pattern in self.source for file in files_of(pattern)]
        _require_once(files)
        return files

    @field_validator("split")
    @classmethod
    def _parts_of_one(cls, split: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(split) <= 0 or not math.isclose(sum(split), 1, abs_tol=1e-6):
            raise ValueError(f"{list(split)} must be three positive parts that add up to 1")
        return split

    @field_validator("classes")
    @classmethod
    def _at_least_two(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if len(classes) == 1 or len(set(classes)) != len(classes):
            raise ValueError(f"{list(classes)} must be at least two different classes, or left out")
        return classes

    @model_validator(mode="after")
    def _background_is_a_part_of_the_classes(self) -> "DataConfig":
        if len(set(self.background)) != len(self.background):
            raise ValueError(f"background: {list(self.background)} names a class twice")
        for name in self.background if self.classes else ():
            if name not in self.classes:
                raise ValueError(
                    f"background: no class {name!r}; {did_you_mean(name, self.classes)}"
                )
        if self.background and set(self.background) == set(self.classes):
            raise ValueError("background: all classes are, and no signal is left to test on")
        return self

    @model_validator(mode="after")
    def _label_names_the_classes(self) -> "DataConfig":
        if isinstance(self.label, dict):
            if len(self.label) < 2:
                raise ValueError(f"label: {list(self.label)} must be at least two classes")
            for name in self.classes:
                if name not in self.label:
                    hint = did_you_mean(name, self.label)
                    raise ValueError(f"classes: {name!r} has no condition in label; {hint}")
        return self


def _require_once(files: list[Path]) -> None:
    """Events that are read twice would be trained on and tested on."""
    seen: dict[Path, Path] = {}
    for file in files:
        before = seen.setdefault(file.resolve(), file)
        if before is not file:
            raise DataError(f"data.source names {before} twice, again as {file}; leave one out")
