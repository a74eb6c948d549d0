"""A whole cluster under a seeded clock, network and disk; every run replays exactly from its seed."""
