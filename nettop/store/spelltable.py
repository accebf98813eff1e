"""The table of spells: a row from the tick in which a spell began, brought up to date."""

from __future__ import annotations

import sqlite3

from msgspec import Struct

from nettop.spells import Spell
from nettop.store.schema import INSERT_SPELL
from nettop.store.tables import TickRows, spell_row

# While a spell holds, its row lags behind by no more than this.
GROWN_TIMES = 1.1
LATE_TICKS = 10
_UPDATE = (
    "UPDATE spells SET to_ns = :to_ns, to_seq = :to_seq, level = :level, who = :who, why = :why, "
    "worst = :worst, ticks = :ticks WHERE id = :id"
)


class _Written(Struct):
    """What the file says of a spell that holds."""

    id: int
    spell: Spell
    seq: int
    level: int
    worst: float | None


class SpellTable:
    """Writes inside the caller's transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._rows: dict[tuple[int, int], _Written] = {}

    def write(self, seq: int, rows: TickRows) -> None:
        """What began, went on and ended in a tick."""
        for spell in rows.ended:
            written = self._rows.pop(_key(spell), None)
            if written is not None:
                self._update(spell, written, seq, to_seq=seq)
        for spell in rows.standing:
            written = self._rows.get(_key(spell))
            if written is None:
                row = {**spell_row(spell, rows.host), "from_seq": seq, "to_seq": None}
                number = self._db.execute(INSERT_SPELL, row).lastrowid
                assert number is not None
                self._rows[_key(spell)] = _Written(number, spell, seq, spell.level, spell.worst)
            elif _differs(spell, written, seq):
                self._update(spell, written, seq, to_seq=None)

    def close(self, *, seq: int, wall_ns: int) -> None:
        """The recorder ends, at that tick: what holds is brought up to date and cut there."""
        for written in self._rows.values():
            self._update(written.spell, written, seq, to_seq=None)
        self.cut(self._db, seq=seq, wall_ns=wall_ns)

    def _update(self, spell: Spell, written: _Written, seq: int, to_seq: int | None) -> None:
        row = spell_row(spell, "")
        changed = {name: row[name] for name in ("to_ns", "level", "who", "why", "worst", "ticks")}
        self._db.execute(_UPDATE, {**changed, "to_seq": to_seq, "id": written.id})
        written.seq, written.level, written.worst = seq, spell.level, spell.worst

    @staticmethod
    def cut(db: sqlite3.Connection, *, seq: int, wall_ns: int) -> None:
        """Spells that held in the last tick of a recorder: what came later is not known."""
        db.execute(
            "UPDATE spells SET cut = 1, to_ns = ?, to_seq = ? WHERE to_seq IS NULL", (wall_ns, seq)
        )


def _key(spell: Spell) -> tuple[int, int]:
    return spell.cookie, spell.verdict


def _differs(spell: Spell, written: _Written, seq: int) -> bool:
    if spell.worst == written.worst and spell.level == written.level:
        return False
    grown = written.worst is None or (
        spell.worst is not None and spell.worst >= written.worst * GROWN_TIMES
    )
    return grown or spell.level != written.level or seq - written.seq >= LATE_TICKS
