"""What tests and benchmarks share: clusters of processes on loopback, scenarios, conformance to etcd-io/raft."""
