"""The run folder: what of a run lies on the disk."""
