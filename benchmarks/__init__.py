"""What ``outlast bench`` runs, beside its peers. Each bench is a module with ``cases() -> list[Case]``."""
