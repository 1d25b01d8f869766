"""From scores to a trigger: rates in kHz, working points, menu overlap, turn-on, drift."""
