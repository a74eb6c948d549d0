"""Who is told of failovers, alerts and verdicts, and how."""
