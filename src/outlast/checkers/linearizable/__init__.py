"""Linearizability: one object, one order, within real time."""
