"""Transactional consistency, after Adya and Elle: dependency graphs whose cycles are anomalies."""
