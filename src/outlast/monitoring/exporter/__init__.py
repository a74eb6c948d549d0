"""The exporter: a program on a host of the lab that asks every node once a second and answers Prometheus."""
