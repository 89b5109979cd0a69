"""The fixtures of the command line's tests."""

from tests.cli.terminal import command

__all__ = ["command"]
