"""Pgpool-II before a primary and its standbys: it spreads reads, checks health and fails over.

client ─▶ pgpool ─▶ servers            pgpool's failover command ─▶ an agent on each node ─▶ PostgreSQL
"""
