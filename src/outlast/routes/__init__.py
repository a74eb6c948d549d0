"""How clients find the primary: libpq's own list of hosts, HAProxy, PgBouncer, a system's own balancer."""
