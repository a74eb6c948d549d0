"""One PostgreSQL server, whoever manages it."""
