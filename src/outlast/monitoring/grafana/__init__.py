"""Grafana dashboards: what they show (``catalogue``), the JSON made of that, and the files that a Grafana reads."""
