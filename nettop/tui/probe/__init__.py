"""The live screen of `nettop probe`."""
