"""The market: per symbol, the arrays that the engine reads, and how they are built."""
