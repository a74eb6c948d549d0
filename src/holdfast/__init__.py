"""Proves that a database cluster survives."""

from importlib.metadata import version

__version__ = version("holdfast")
