"""A Raft-replicated message log that speaks Kafka's protocol."""
