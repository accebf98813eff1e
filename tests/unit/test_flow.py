"""FLOW: a mean of some seconds, and which way it went."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from nettop.export.load import load_snapshot
from nettop.filefeed import FileFeed
from nettop.model.types import Flag
from nettop.text.columns import cell
from nettop.text.fields import FIELDS
from tests.export.make import make_detail, make_model, make_row, write_json
from tests.feeding import FedEngine as Engine
from tests.netlink import connection
from tests.unit.test_engine import row, sweep


@pytest.fixture
def engine() -> Engine:
    return Engine()


def test_the_arrow_is_of_the_same_intervals_as_the_number(engine: Engine) -> None:
    """Both outlast an interval in which nothing moved, and one that went the other way."""
    sent, received, flows = 0, 0, []
    for n, (more_sent, more_received) in enumerate(
        [(0, 0), (0, 6000), (0, 6000), (0, 0), (10, 0), *[(9000, 10)] * 6, (0, 0), *[(0, 0)] * 60]
    ):
        sent, received = sent + more_sent, received + more_received
        sweep(engine, 10 + n, connection(1, bytes_acked=sent, bytes_received=received))
        flows.append(cell(FIELDS["flow"], row(engine), None))
    assert [text[0] for text in flows[1:6]] == ["↓"] * 5, flows
    assert [text[0] for text in flows[9:12]] == ["↑"] * 3, flows
    assert flows[-1] == "0"
    assert not row(engine).flags & Flag.FLOW_RX


def test_a_file_of_before_says_it_by_the_rates_of_its_interval(tmp_path: Path) -> None:
    """It has no flow_received; one that has it is believed, whatever its last interval was."""
    flags = int(Flag.MATCH | Flag.RATES | Flag.INFO)
    some = make_row(1, flags=flags | Flag.FLOW_RX, flow_bytes_per_s=800.0, tx_bytes_per_s=9.0)
    out = io.BytesIO()
    write_json(out.write, make_model(1), [(some, make_detail(bytes(280)))], lambda row: [])
    tree = json.loads(out.getvalue())
    rates = tree["sockets"][0]["rates"]
    assert rates["flow_received"] is True
    for said, sent, arrow in (
        (True, 9.0, "↓"),
        (False, 0.0, "↑"),
        (None, 9.0, "↑"),
        (None, 0.0, "↓"),
    ):
        rates |= {"flow_received": said, "tx_bytes_per_s": sent, "rx_bytes_per_s": 1.0}
        if said is None:
            del rates["flow_received"]
        path = tmp_path / "x.json"
        path.write_text(json.dumps(tree))
        read = FileFeed(load_snapshot(str(path))).find(1)
        assert read is not None
        assert cell(FIELDS["flow"], read, None) == f"{arrow}6.4K"
