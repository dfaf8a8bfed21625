"""Data sets: one file each, all read into the shapes of `labelled.py`."""
