"""The cluster: batches on the workers of a Dask cluster, and how markets get to them."""
