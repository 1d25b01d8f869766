"""The networks that triggerforge brings along, one file each."""
