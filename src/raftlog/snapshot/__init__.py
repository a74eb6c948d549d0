"""Snapshots: what they hold, where they are kept, how they get to another node or to a bucket."""
