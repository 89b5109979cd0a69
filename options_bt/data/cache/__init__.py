"""The Parquet cache of pulled data."""
