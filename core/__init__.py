"""triggerforge: from collision events to verified trigger firmware."""

from importlib.metadata import version

__version__ = version("triggerforge")
