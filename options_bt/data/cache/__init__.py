"""The Parquet cache of what was pulled."""
