"""Events in: readers, generator, hardware scales, and the data set that flows through."""
