"""One file a fault: what it does, its proof that it bit, and how it is undone."""
