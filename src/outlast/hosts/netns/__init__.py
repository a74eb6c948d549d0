"""A lab as one tree of processes in namespaces of its own: nothing to install, nothing left behind."""
