"""What ``holdfast bench`` runs, beside its peers."""
