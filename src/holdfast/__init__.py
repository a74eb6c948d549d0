"""Proves that a database cluster survives."""

__version__ = "0.1.0"
