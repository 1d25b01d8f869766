"""Level-1 trigger objects: hardware scales, the layout of the 57 inputs, and encoding."""
