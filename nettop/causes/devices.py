"""By which devices sockets send, and what is known of these."""

from __future__ import annotations

from nettop.model.causes import Candidate
from nettop.model.evidence import NO_TICK, Device, HostTick, NextHop

CARRIER_STAYS_NS = 10 * 10**9  # so long a link that came back is a cause of what it left behind

DeviceKey = tuple[int, int]  # netns, ifindex


class Devices:
    """Kept from tick to tick."""

    def __init__(self) -> None:
        self._tick: HostTick = NO_TICK
        self._mono_ns = self._read_ns = 0
        self._carrier: dict[DeviceKey, int] = {}  # → when it last changed
        self._keys: dict[int, DeviceKey | None] = {}  # by cookie: what key_of said in this tick

    def enter(self, tick: HostTick, mono_ns: int) -> None:
        """The next tick."""
        self._tick, self._mono_ns, self._keys = tick, mono_ns, {}
        at = tick.now.read_ns.get("devices", 0)
        if at == self._read_ns:
            return
        self._read_ns = at
        for netns, devices in tick.moved.devices.items():
            for index, by in devices.items():
                if by.get("carrier_changes"):
                    self._carrier[netns, index] = mono_ns
        for key in [k for k, t in self._carrier.items() if mono_ns - t > CARRIER_STAYS_NS]:
            del self._carrier[key]

    def key_of(self, socket: Candidate) -> DeviceKey | None:
        """The device that the socket sends by; ifindex 0: there is no route; None: not known."""
        try:  # many rules ask for it
            return self._keys[socket.cookie]
        except KeyError:
            key = self._keys[socket.cookie] = self._key_of(socket)
            return key

    def _key_of(self, socket: Candidate) -> DeviceKey | None:
        if socket.ifindex:
            return socket.netns, socket.ifindex
        index = self._tick.now.routes.get(socket.netns, {}).get(socket.ends)
        return None if index is None else (socket.netns, index)

    def next_hop(self, socket: Candidate) -> NextHop | None:
        """None: it is answered, or not known."""
        return self._tick.now.next_hops.get(socket.netns, {}).get(socket.ends)

    def get(self, key: DeviceKey) -> Device | None:
        return self._tick.now.devices.get(key[0], {}).get(key[1])

    def name(self, key: DeviceKey) -> str:
        device = self.get(key)
        return device.name if device else f"device {key[1]}"

    def carrier_changed(self, key: DeviceKey) -> bool:
        """A short time ago."""
        at = self._carrier.get(key)
        return at is not None and self._mono_ns - at <= CARRIER_STAYS_NS
