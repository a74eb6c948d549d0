"""Labs and hosts: isolated machines on one machine."""
