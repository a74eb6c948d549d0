"""Alerts fired for real, each by its cause, and how late they came."""
