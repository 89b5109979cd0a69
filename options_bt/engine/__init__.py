"""The engine room: one job spec and one market in, one outcome out."""
