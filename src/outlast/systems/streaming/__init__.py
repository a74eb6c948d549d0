"""PostgreSQL streaming replication without a manager: Outlast does what an operator would."""
