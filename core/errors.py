"""What can go wrong, by name: each message holds the offending value, what is allowed, what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class TriggerForgeError(Exception):
    """Base of every error that triggerforge raises on purpose."""


class ConfigError(TriggerForgeError):
    """A configuration file, key or value is not acceptable."""


class DataError(TriggerForgeError):
    """An input file or the events in it cannot be used."""


class ModelError(TriggerForgeError):
    """A model does not fit its inputs, its file or the task."""


class UnsupportedOperationError(ModelError):
    """A model holds an operation that has no fixed-point form here."""


class LoweringError(ModelError):
    """The lowered form of a model does not give the model's numbers."""


class ArtifactError(TriggerForgeError):
    """A file that triggerforge wrote is damaged, incomplete or of an unknown version."""


class MissingToolError(TriggerForgeError):
    """An external tool or optional package is not installed."""


class ToolFailedError(TriggerForgeError):
    """An external tool ran and failed; the message holds the end of its log."""


class ParityError(TriggerForgeError):
    """Two engines gave different bits for the same input."""


class BudgetError(TriggerForgeError):
    """A stated budget (accuracy, EBOPs, latency, resources) was missed."""


class DiskFullError(TriggerForgeError):
    """There is no room to write what was asked for."""


class RateError(TriggerForgeError):
    """A rate or threshold was asked for that the sample or the hardware cannot give."""


class RegistryError(TriggerForgeError):
    """A name is registered twice, or is not registered."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Gives back `known` as a sentence for an error message, the nearest to `name` first."""
    choices = sorted(known)
    near = get_close_matches(name, choices, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    shown = ", ".join(choices[:40]) + (f", … ({len(choices)} in all)" if len(choices) > 40 else "")
    return f"{hint}known: {shown or 'none'}"
