"""The write-ahead log on disk: what survives a crash, and how it is read back."""
