"""`nettop help hosts`: what -H needs, and what its numbers are."""

HOSTS = """\
nettop -H web-1,web-2              their sockets in one table, live
nettop -H @web 'level >= watch'    a host a line in the file web; # begins a comment
nettop -H web-1,web-2 --ndjson     the same as JSON, tick by tick
nettop -H c1,c2 --ssh 'docker exec -i'             or podman: containers from within
nettop -H 4711,4722 --ssh 'nsenter -n -t'          as root: their processes, no nettop in them
nettop -H pod-1 --ssh 'kubectl exec -i {} --'
nettop -H blue,red --ssh 'ip netns exec'
nettop record -H @web -o rec.nettop --keep 48h     rec-web-1.nettop, rec-web-2.nettop …
nettop why -H @web                 what is wrong, host by host
nettop watch -H @web 'level >= unwell' --for 10s   until it has held on one of them
nettop diff -H web-1,web-2 --by all                the same service on two hosts, side by side

On each host `nettop stream` is started, by ssh -T -o BatchMode=yes with your configuration: jump
hosts, users and keys are those of ssh. No port is opened and nothing stays there: the stream ends
with ssh. nettop has to be there and to be found; --remote 'sudo -n nettop' runs it as root, so that
it has processes and the BPF planes. What begins another program than ssh has to pass on its
standard input (docker exec -i). In a container nettop sees the sockets of its network namespace and
names its own processes alone; the BPF planes need CAP_BPF and CAP_PERFMON there. By nsenter this
host's nettop looks into the namespace of a process (docker inspect -f '{{.State.Pid}}' NAME).

Filter, sort key and --top are sent to the hosts, which send those rows alone, with the totals of
all their sockets. HOST is a column, a sort key, a grouping and a name in filters: host = web-*, or
on = 10.0.0.1 where that is how -H names it. What a host sends is checked and bounded, and its names
are as foreign as those of processes.

Each host's times are by its own clocks: no duration is made of two. The offset of its system clock
from this one's is measured every 2 s, with the half of that round trip, and 0.05 % of the time
since, as its ±.

A host that does not answer, is refused, says nothing for 5 s or ends is one line that says why. Its
rows go, it is tried again after 1 s, 2 s, 4 s, at most 60 s, and the others go on. Without a screen
the exit is 1 where none has ever answered. A host that this end is too slow for leaves out ticks,
and says how many. A socket that comes among the rows that are sent has rates one tick later.

The screen keeps what the hosts sent in the last 15 minutes (--lookback), at most 64 MB of all of
them together; the oldest goes first. [ ] { } J and L go through times of this machine's clock: each
host is at its last tick before, by the offset of its clock as it was measured then. One that was
not there has no rows, and P says why; { and } stop where one was lost or came back (under a filter,
one that has rows which pass it). A tick has the rows that were sent: those that filter, sort
key and --top of that time chose. Under another filter or order the line of the filter says of what
they are; nothing else is kept of that tick but the totals of all sockets.

record writes a file for each host, with its clocks and names, which replay, why and diff take like
any other. A filter is applied there: its file has the sockets that match, and the totals of all.
A host that is lost and comes back goes on in the same file, behind a gap. why and diff look at each
host for --for by its own clock; watch needs every tick of one host to match, and --then has that
host in NETTOP_HOST. serve, stream, replay, open, probe, clocks and doctor take no -H.
"""
