"""The engines of `triggerforge.export.runtime`, one file each."""
