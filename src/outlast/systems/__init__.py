"""Systems that can be put on hosts: databases, their managers, consensus stores."""
