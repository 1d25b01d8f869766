"""From a torch model to its quantised, pruned, bit-exact twin."""
