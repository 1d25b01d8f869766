"""triggerforge: from collision events to verified trigger firmware."""

from importlib.metadata import version

from triggerforge.surroundings import settle

__version__ = version("triggerforge")
settle()
