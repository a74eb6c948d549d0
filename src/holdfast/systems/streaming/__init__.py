"""PostgreSQL streaming replication without a manager: Holdfast does what an operator would."""
