"""nettop serve: what nettop counts, for Prometheus."""
