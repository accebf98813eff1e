"""Other hosts: a stream of frames from each, and one feed of them all."""
