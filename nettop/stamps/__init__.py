"""SO_TIMESTAMPING on your own sockets: how long was each message stuck, and where.

    from nettop.stamps import StampedSocket

    sock = StampedSocket(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    message = sock.recv()
    message.queue_wait_ns          # time in the socket's queue before this recv()
    sent = sock.send(b"answer", message.address)
    for stamp in sock.stamps():    # stamp.key == sent.key: SCHED, SND, ACK
        ...

Everything here is Linux's; see Documentation/networking/timestamping.rst of the kernel.
"""

from nettop.model.stamps import ERROR_TEXTS, Stamp, StampError, StampType
from nettop.stamps.flights import Flight, Flights
from nettop.stamps.socket import Flag, Message, SentMessage, StampedSocket

__all__ = [
    "ERROR_TEXTS",
    "Flag",
    "Flight",
    "Flights",
    "Message",
    "SentMessage",
    "Stamp",
    "StampError",
    "StampType",
    "StampedSocket",
]
