"""What operators use: health, status, metrics, membership; and a few registers for consistency checks."""
