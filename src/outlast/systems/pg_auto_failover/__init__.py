"""PostgreSQL under pg_auto_failover: a monitor that decides, and a keeper beside each server that obeys."""
