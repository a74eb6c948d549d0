"""What managers show to the exporter: one file a system. A system without one has no manager to ask."""
