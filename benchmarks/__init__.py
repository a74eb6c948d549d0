"""What ``holdfast bench`` runs, beside its peers.

Each module has ``cases()``, which returns rows of {"case", "ours", "peer", "peer_name", "unit", "ratio"}.
"""
