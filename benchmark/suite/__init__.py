"""`make bench`: the float networks of this project in every engine, side by side in one run."""
