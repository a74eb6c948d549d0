"""The Raft-replicated log as a system under test: ``python -m raftlog`` on hosts of a lab."""
