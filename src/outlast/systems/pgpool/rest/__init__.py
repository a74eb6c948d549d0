"""The REST API of a balancer: a program on its host that acts on the real Pgpool-II and looks at the servers after.

HTTP ─▶ app (routes, tokens, errors) ─▶ balancer (what may be done, and was it) ─▶ PCP, and an agent on each server
"""
