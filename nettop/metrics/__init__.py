"""What nettop serve counts: groups of sockets, their series, and how they are written."""
