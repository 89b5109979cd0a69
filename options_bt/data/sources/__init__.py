"""Where option chains come from."""
