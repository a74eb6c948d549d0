"""A node: the core, a disk and a network, in one event loop and one writer thread."""
