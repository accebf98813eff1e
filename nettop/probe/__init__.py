"""`nettop probe` and `nettop reflect`: paced messages of our own, stamped on their way."""
