"""The control API, in three routers: labs; drills with their jobs and runs; and the session."""
