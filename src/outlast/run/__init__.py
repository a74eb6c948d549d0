"""Runs an experiment: the only place that starts tasks."""
