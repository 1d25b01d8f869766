"""What Pythia is asked for: soft collisions, hard ones in pTHat bins, W and Z, and the signals.

The strata of inelastic collisions do not overlap: `soft` is SoftQCD:inelastic without the events
whose hardest scattering has pTHat >= 20 GeV, and those come from HardQCD:all in bins. There Pythia's
two descriptions of one spectrum join, as its manual has it ("QCD Processes", on combining soft and
hard). W and Z are not in either. The four signals of the ADC2021 set are those of arXiv 2107.02157.
"""

from dataclasses import dataclass
from itertools import pairwise

from triggerforge.data.generator.l1.suep import SUEP_SETTINGS

PTHAT_EDGES = (20.0, 30.0, 50.0, 80.0, 120.0, 170.0, 250.0, 400.0)
"""[GeV]; the last bin is open"""


@dataclass(frozen=True)
class Process:
    """One kind of collision."""

    name: str
    pythia: tuple[str, ...]
    pthat_max: float | None = None
    """events at or above are left out, whatever Pythia was asked for [GeV]"""
    hook: str | None = None
    """"suep": the scalar of the hard process decays into a soft bomb"""

    def settings(self, energy: float, seed: int, extra: tuple[str, ...]) -> tuple[str, ...]:
        """Pythia settings at `energy` [GeV]; `seed` is 1..900,000,000; `extra` come last."""
        start = (f"Beams:eCM = {energy}", "Random:setSeed = on", f"Random:seed = {seed}")
        return (*start, *self.pythia, *extra)


def _bin(low: float, high: float | None) -> Process:
    upper = f"{high:g}" if high else "inf"
    limits = (f"PhaseSpace:pTHatMin = {low}", f"PhaseSpace:pTHatMax = {high or -1}")
    return Process(f"hard{low:g}to{upper}", ("HardQCD:all = on", *limits))


SOFT = Process("soft", ("SoftQCD:inelastic = on",), pthat_max=PTHAT_EDGES[0])
_WEAK = ("WeakSingleBoson:ffbar2W = on", "WeakSingleBoson:ffbar2gmZ = on", "23:mMin = 50")
STRATA = (
    SOFT,
    *(_bin(low, high) for low, high in pairwise(PTHAT_EDGES)),
    _bin(PTHAT_EDGES[-1], None),
    Process("WZ", _WEAK),
)
"""of inelastic collisions, from soft to rare; a crossing belongs to its last one"""
SHARES = (0.35, 0.20, 0.15, 0.08, 0.06, 0.04, 0.04, 0.03, 0.02, 0.03)
"""of the simulated background crossings, by stratum: at pile-up 60 no crossing weighs much more than
those of the soft stratum, and the rates of the tail are as well known as those of the bulk"""

_BSM = "Higgs:useBSM = on"
_DARK_MASSES = tuple(
    f"{particle}:m0 = {mass}"
    for particle, mass in (
        *((4900101, 5), (4900111, 5), (4900211, 5)),
        *((4900113, 10), (4900213, 10)),
    )
)

SIGNALS = (
    # a pseudoscalar of 50 GeV to two off-shell Z, each to two leptons
    Process(
        "A_4l",
        (
            *(_BSM, "HiggsBSM:gg2A3 = on", "36:m0 = 50", "36:mMin = 49", "36:mMax = 51"),
            *("36:onMode = off", "36:addChannel = 1 1.0 100 23 23", "23:mMin = 1"),
            *("23:onMode = off", "23:onIfAny = 11 13 15"),
        ),
    ),
    # pairs of scalar leptoquarks of 80 GeV
    Process(
        "LQ_btau",
        (
            *("LeptoQuark:gg2LQLQbar = on", "LeptoQuark:qqbar2LQLQbar = on", "42:m0 = 80"),
            *("42:mMin = 50", "42:mMax = 110", "42:0:products = 5 15"),
        ),
    ),
    # a scalar of 60 GeV, made as the standard model's Higgs boson of that mass would be
    Process(
        "h0_tautau",
        (
            *("HiggsSM:gg2H = on", "25:m0 = 60", "25:onMode = off"),
            "25:onIfMatch = 15 -15",
        ),
    ),
    # a charged scalar of 60 GeV
    Process(
        "hpm_taunu",
        (
            *(_BSM, "HiggsBSM:ffbar2H+- = on", "37:m0 = 60", "37:mMin = 40", "37:mMax = 80"),
            *("37:onMode = off", "37:onIfAny = 15"),
        ),
    ),
    # Pythia has no standard-model HH: a scalar of 400 GeV stands for the peak of its mass spectrum
    Process(
        "HH_4b",
        (
            *(_BSM, "HiggsBSM:gg2H2 = on", "35:m0 = 400", "35:mMin = 300", "35:mMax = 600"),
            *("HiggsH2:coup2H1H1 = 1", "35:onMode = off", "35:onIfMatch = 25 25"),
            *("25:m0 = 125", "25:onMode = off", "25:onIfMatch = 5 -5"),
        ),
    ),
    Process("ttbar", ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on")),
    Process("SUEP", SUEP_SETTINGS, hook="suep"),
    # a Z' of 1 TeV to dark quarks of SU(3); the dark mesons decay promptly to quarks
    Process(
        "dark_shower",
        (
            *("HiddenValley:ffbar2Zv = on", "4900023:m0 = 1000", "4900023:mWidth = 10"),
            *("4900023:onMode = off", "4900023:onIfAny = 4900101", "HiddenValley:Ngauge = 3"),
            *("HiddenValley:alphaOrder = 1", "HiddenValley:Lambda = 5"),
            *("HiddenValley:pTminFSR = 5.5", "HiddenValley:FSR = on"),
            *("HiddenValley:fragment = on", *_DARK_MASSES),
            *("4900111:0:all = on 1.0 91 3 -3", "4900113:0:all = on 1.0 91 1 -1"),
        ),
    ),
)
