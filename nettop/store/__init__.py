"""Recordings: samples as frames, and the file that holds them."""
