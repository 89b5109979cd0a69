"""The engine: one job spec and one market in, one outcome out."""
