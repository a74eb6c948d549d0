"""PostgreSQL under Patroni with etcd."""
