"""Causes: what explains the verdicts of sockets, by the evidence of a tick.

Values in, values out: no clock, nothing is read. `finder` takes the candidates of each tick and
says which causes hold; `rules` is the table of them; `scene` is what a rule may ask. The engine
judges by what was found the sweep that just ended and the next, so that rows, groups, totals and
files agree, live and replayed.
"""
