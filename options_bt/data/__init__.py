"""Data: sources of quotes, the Parquet cache, and the market that the engine reads."""
