"""What a run says: findings, terminal, JSON, JUnit, HTML."""
