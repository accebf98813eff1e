"""nettop watch: waits until a condition has held, keeps what was there, and calls a command."""
