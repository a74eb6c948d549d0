"""Schemas with data that a cluster may be given when it comes up: a clinic's, a shop's, a test suite's."""
