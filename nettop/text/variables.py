"""The variables that a command of nettop watch finds in its environment."""

from __future__ import annotations

# Each variable that a command finds, and what it holds; all are set, to nothing where not known.
VARIABLES = {
    "NETTOP_EXPR": "the condition",
    "NETTOP_HOST": "name of this host, or the host as -H has it",
    "NETTOP_SINCE": "when it began to hold, in UTC: 2026-11-28T14:02:30.5Z",
    "NETTOP_HELD_S": "for how long, seconds",
    "NETTOP_SOCKETS": "how many sockets held as long; the loudest is:",
    "NETTOP_PROC": "process and pid as in the table: nginx/812",
    "NETTOP_COMM": "name of the process",
    "NETTOP_PID": "pid",
    "NETTOP_PROTO": "tcp, udp or mptcp",
    "NETTOP_LOCAL": "local address and port",
    "NETTOP_REMOTE": "remote address and port",
    "NETTOP_NETNS": "network namespace, by name or inode",
    "NETTOP_CGROUP": "cgroup v2 path",
    "NETTOP_CONTAINER": "container, pod or service",
    "NETTOP_COOKIE": "SO_COOKIE: the socket's name in the kernel",
    "NETTOP_LEVEL": "ok, watch or unwell",
    "NETTOP_WHO": "whose fault its worst verdict is",
    "NETTOP_WHY": "that verdict in words, with its number: loss 2.1%",
    "NETTOP_VERDICT": "its name, as in filters and JSON",
    "NETTOP_VALUE": "its number; peer_window of 101: the window is shut",
    "NETTOP_UNIT": "the unit of that number",
    "NETTOP_FILE": "the snapshot, or the recording, which still grows",
}
