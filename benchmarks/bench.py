"""Placeholder of the first benchmark."""
