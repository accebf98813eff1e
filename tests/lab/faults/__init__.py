"""Known faults in network namespaces, recorded at both ends and scored by replay.

python -m tests.lab.faults: see __main__. A view is one socket, or a set, as one end sees it: whose
fault is it from there? truth has what is known of a scenario, judge compares it with what nettop
says of the ticks, kept holds the recordings as test data.
"""
