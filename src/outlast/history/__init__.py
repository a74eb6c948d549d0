"""What happened in a run: every client operation, every fault, every observation, the final read."""
