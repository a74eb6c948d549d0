"""Kafka's protocol, as real clients speak it."""
