"""Bunch crossings at Level-1: towers, pile-up overlay, trigger objects, weights."""
