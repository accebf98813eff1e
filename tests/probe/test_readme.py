"""The example of README runs as it stands."""

from __future__ import annotations

import re
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from nettop.stamps import Flight
from tests.probe.peers import free_port

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_example_of_stamps(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    port = free_port()
    assert "5300" in code
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.settimeout(5)

        def ask() -> None:
            for _ in range(20):
                time.sleep(0.05)
                try:
                    client.send(b"question")
                except ConnectionRefusedError:
                    continue
                return

        asking = threading.Thread(target=ask)
        asking.start()
        names: dict[str, Any] = {}
        exec(code.replace("5300", str(port)), names)
        asking.join()
        assert client.recv(100) == b"answer"
    names["sock"].close()
    said = capsys.readouterr().out
    assert re.fullmatch(r"in the queue for \d+ ns\n", said)
    flight = names["flight"]
    assert isinstance(flight, Flight)
    assert flight.clocks.before_ns > 0
