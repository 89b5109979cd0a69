"""The analysis room: reads a run folder, never the engine."""
