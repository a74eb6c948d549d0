"""A cluster from its start to its removal, observed, operated and examined."""
