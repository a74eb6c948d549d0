"""etcd: the consensus store under Patroni, and a system of its own."""
