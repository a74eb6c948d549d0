"""Proves that a database cluster survives."""
