"""Watching a lab with the tools that people have: an exporter, Prometheus, Alertmanager, dashboards."""
