"""The words of a row: owner, state, and the verdict's WHO and WHY."""

from __future__ import annotations

from nettop.model.types import (
    TCP_STATES,
    WHO_MAYBE,
    Flag,
    Level,
    Owner,
    Proto,
    Row,
    Verdict,
    Who,
)
from nettop.text.verdicts import verdict_words

SHORT_STATES = {
    "ESTABLISHED": "ESTB", "SYN_SENT": "SYNS", "SYN_RECV": "SYNR", "FIN_WAIT1": "FIN1",
    "FIN_WAIT2": "FIN2", "TIME_WAIT": "TIMW", "CLOSE": "CLSD", "CLOSE_WAIT": "CLSW",
    "LAST_ACK": "LACK", "LISTEN": "LSTN", "CLOSING": "CLSG", "NEW_SYN_RECV": "SYNR",
    "BOUND_INACTIVE": "BNDI",
}  # fmt: skip

OWNER_WORDS = {
    Owner.KERNEL: "(kernel)",
    Owner.ORPHAN: "(orphan)",
    Owner.NOT_ACCEPTED: "(not accepted)",
    Owner.NOT_FOUND: "(no holder found)",
    Owner.HIDDEN: "(hidden)",
}

LEVEL_WORDS = ("ok", "watch", "unwell")  # by Level
WHO_NAMES = ("app", "kern", "nic", "net", "peer", "?", "cpu")  # by Who


def who_name(number: int) -> str:
    """app, cpu, kern, nic, net, peer; `net?`: likely but not certain; ?: not known from here."""
    if number & WHO_MAYBE:
        return f"{WHO_NAMES[number & ~WHO_MAYBE]}?"
    return WHO_NAMES[number]


WHO_NUMBERS = {
    who_name(n): n for n in (*Who, *(who | WHO_MAYBE for who in Who if who != Who.UNKNOWN))
}


def owner_text(row: Row) -> str | None:
    """nginx/812, nginx/812+7 when shared, (orphan) or another reason; of a process that may not be
    looked into (user). None: the holder was not looked for yet."""
    proc = row.proc
    if proc.pid:
        return f"{proc.comm}/{proc.pid}" + (f"+{proc.more}" if proc.more else "")
    if proc.owner == Owner.HIDDEN and row.user:
        return f"({row.user})"
    return OWNER_WORDS.get(proc.owner)


def program_text(row: Row) -> str:
    """The same in a sentence: `a program of root`, `a program that is not known`."""
    owner = owner_text(row)
    if row.user and owner == f"({row.user})":
        return f"a program of {row.user}"
    return owner or "a program that is not known"


def proto_text(row: Row) -> str:
    return Proto(row.rec.proto).name.lower()


def state_text(row: Row) -> str:
    """Four letters: ESTB, LSTN, UDP …"""
    if row.rec.proto == Proto.UDP:
        return "UDP"
    return SHORT_STATES.get(TCP_STATES.get(row.rec.state, ""), str(row.rec.state))


def who_text(row: Row) -> str | None:
    """As who_name; None when nothing is unusual."""
    return who_name(row.rec.who) if row.rec.verdicts else None


def why_text(row: Row) -> str | None:
    """The worst verdict with its number; blank while fine.

    Without one: `was loss` while the level sinks, `not traced` where it is not known how late the
    socket is read.
    """
    rec = row.rec
    if rec.verdicts:
        bounded = not rec.flags & Flag.UNREAD_EXACT
        verdict = Verdict(rec.verdict)
        return verdict_words(
            verdict, rec.verdict_value, rec.because, bounded=bounded, least_us=rec.min_rtt_us
        )
    if rec.level > Level.OK:
        was = was_word(row)
        return f"was {was}" if was else "better now"
    return "not traced" if row.untraced else None


def was_word(row: Row) -> str | None:
    """What WHY began with before the level began to sink; None: a verdict holds, there was none, or
    it is not known."""
    rec = row.rec
    if rec.verdicts or rec.level <= Level.OK or not rec.verdict_since_s:
        return None
    # It is informational alone: something else made the level.
    if rec.verdict == Verdict.CWND:
        return None
    said = verdict_words(Verdict(rec.verdict), rec.verdict_value, rec.because)
    return said.split(" ", 1)[0]
