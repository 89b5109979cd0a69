"""Where batches run: the contract of an executor, and those of this machine."""
