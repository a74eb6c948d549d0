"""The state machine: what committed entries make, on every node alike."""
