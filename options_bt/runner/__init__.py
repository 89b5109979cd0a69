"""The runner room: a plan in, a run folder out, whatever happens to the workers."""
