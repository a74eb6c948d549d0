"""The page from which a cluster is watched and broken, and the API under it. It does what the command line does."""
