"""The feed of a recording: the same engine, fed with samples instead of by a kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from nettop.derive import Deriver
from nettop.engine.handle import Engine
from nettop.enginefeed import EngineFeed
from nettop.errors import NettopError
from nettop.feed import BETWEEN_S, NotPolled, Sort
from nettop.model.types import Detail, Model, Row
from nettop.sample import Asked, Facts, Sample
from nettop.sources.cgroups import container_of
from nettop.sources.namesets import container_matches, path_matches
from nettop.text.clean import clean

if TYPE_CHECKING:
    from nettop.engine.handle import PackedRows
    from nettop.enginefeed import PackedRowSource
    from nettop.query.compile import Filter

_ALL_DETAILS = 0xFFFFFFFF
_SORTED_UPTO = 512
_NO_UID = 1 << 32  # one more than a record can hold


class RecordedNames:
    """The names that a recording has so far; a NameSets of filters too."""

    def __init__(self) -> None:
        self.facts = Facts()
        self.called: str | None = None  # the host, by filters; None: as it calls itself
        self._containers: dict[str, str | None] = {}

    def twin(self) -> RecordedNames:
        """The same for another feed."""
        made = RecordedNames()
        made.facts, made._containers = self.facts, self._containers
        made.called = self.called
        return made

    def user(self, uid: int) -> str | None:
        return _clean(self.facts.names.users.get(uid))

    def netns_name(self, inode: int) -> str | None:
        return _clean(self.facts.names.netns.get(inode))

    def device(self, netns: int, ifindex: int) -> str | None:
        return _clean(self.facts.names.devices.get(netns, {}).get(ifindex))

    def devices(self, name: str) -> list[tuple[int, int]]:
        spaces = self.facts.names.devices.items()
        return [(netns, i) for netns, names in spaces for i, dev in names.items() if dev == name]

    def cgroup(self, cgroup_id: int) -> str | None:
        return _clean(self.facts.names.cgroups.get(cgroup_id))

    def container(self, path: str) -> str | None:
        if path not in self._containers:
            self._containers[path] = _clean(container_of(path))
        return self._containers[path]

    def cgroup_ids(self, pattern: str) -> list[int]:
        wanted = pattern if pattern == "/" else pattern.rstrip("/")
        return [i for i, path in self.facts.names.cgroups.items() if path_matches(path, wanted)]

    def container_ids(self, pattern: str) -> list[int]:
        cgroups = self.facts.names.cgroups.items()
        return [i for i, path in cgroups if container_matches(path, pattern)]

    def netns_ids(self, pattern: str) -> list[int]:
        names = self.facts.names.netns
        return [inode for inode, name in names.items() if fnmatchcase(name, pattern)]

    def is_host(self, pattern: str) -> bool:
        return fnmatchcase((self.called or self.facts.host).lower(), pattern.lower())

    def uid(self, name: str) -> int | None:
        users = self.facts.names.users
        return next((uid for uid, user in users.items() if user == name), _NO_UID)


class ReplayFeed(NotPolled, EngineFeed):
    """Samples one by one; needs no privilege, no BPF and nothing of this host."""

    live = False
    filter_text: str | None = None
    level_now = False  # `level` in filters is that of the tick itself

    def __init__(
        self,
        samples: Iterator[Sample],
        *,
        title: str | None = None,
        filter_text: str | None = None,
        sort: Sort | None = None,
        called: str | None = None,
    ) -> None:
        """
        Args:
            filter_text: a filter, whose names are those of the recording.
            called: the host by filters; None: as it calls itself.

        Raises:
            FilterError: filter_text is wrong.
        """
        self.names = RecordedNames()
        self.names.called = called
        super().__init__(self._new_deriver())
        self._seq: int | None = None
        self.title, self.filter_text = title, filter_text
        self._samples = samples
        self._sort = sort or Sort()
        self._asked: Asked | None = None
        self._filter: Filter | None = None
        self._details = True  # every socket's
        self._set_filter_text()

    def _new_deriver(self) -> Deriver:
        names = self.names  # not this feed, which then could be freed with the engine at once
        return Deriver(Engine(tail=lambda: names.facts.tcp_info_tail), names)

    # --- time ---

    def tick(self, missed: int = 0) -> Model:
        """Takes the next sample.

        Raises:
            EOFError: there is none.
        """
        sample = next(self._samples, None)
        if sample is None:
            raise EOFError
        return self.take(sample)

    def take(self, sample: Sample) -> Model:
        """Takes this sample, the next one or the first of another start."""
        if self._seq is not None and sample.seq != self._seq + 1:
            # The recorder was started anew: cookies of another boot are other sockets.
            self._deriver = self._new_deriver()
            self._asked = self._filter = None
            self._set_filter_text()
        self._seq = sample.seq
        facts, engine = sample.facts, self._deriver.engine
        named, self.names.facts = self.names.facts.names != facts.names, facts
        if facts.asked != self._asked:
            self._configure(facts.asked)
        if named:  # which the filter may ask for
            self._set_filter_text()
        try:
            engine.take(sample.sections)
        except OSError as error:
            raise NettopError(f"a tick of the recording cannot be read: {error.strerror}") from None
        self._reorder()
        self._model = self._deriver.model(facts, mono_ns=sample.mono_ns, wall_ns=sample.wall_ns)
        self._histories.add(self._model, self._focus, engine)
        return self._model

    def _configure(self, asked: Asked) -> None:
        self._asked = asked
        c = self._deriver.engine.config
        try:
            c.tcp_states, c.udp, c.mptcp = asked.tcp_states, asked.udp, asked.mptcp
            c.family = asked.family
        except OverflowError:
            raise NettopError("a tick of the recording is damaged: what was polled") from None
        c.rows_all, c.listen_only = asked.rows_all, asked.listen_only
        c.detail_max = _ALL_DETAILS if self._details else 0
        self._deriver.engine.configure()

    def _set_filter_text(self) -> None:
        from nettop.query.compile import compile_filter

        text, now = self.filter_text, self.level_now
        compiled = compile_filter(text, self.names, level_now=now) if text else None
        if compiled == self._filter:
            return
        self._filter = compiled
        self._deriver.filtered = compiled is not None
        self._deriver.engine.set_filter(compiled)
        self._deriver.refiltered()

    def _reorder(self) -> None:
        sort = self._sort
        self._count = self._deriver.engine.order(
            sort.field, sort.descending, _SORTED_UPTO, keep=False
        )

    # --- what a reader asks ---

    def start(self, on_model: Callable[[], None]) -> None:
        on_model()

    def stop(self) -> None: ...

    close = stop

    def rows_all(
        self, *, with_detail: bool = True, everything: bool = False
    ) -> Iterator[tuple[Row, Detail | None]]:
        """Every matched socket in order; everything: whatever the filter."""
        with self._unfiltered(everything):
            yield from self._rows(with_detail)

    def packed_all(self, *, everything: bool = False) -> PackedRowSource:
        """The same with details, as C has them."""
        return self._packed_source(self._all_packed(everything))

    def packed_now(self, *, everything: bool = False) -> PackedRowSource:
        """As packed_all, all of one tick, though a thread takes samples meanwhile."""
        with self._changing:
            return self._packed_source(iter([*self._all_packed(everything)]))

    def _all_packed(self, everything: bool) -> Iterator[PackedRows]:
        with self._unfiltered(everything):
            yield from self._packed()

    @contextmanager
    def _unfiltered(self, everything: bool) -> Iterator[None]:
        """Without the filter, if everything is wanted."""
        if not everything or self._filter is None:
            yield
            return
        text, self.filter_text = self.filter_text, None
        try:
            with self._deriver.run_kept():
                self._set_filter_text()
                self._reorder()
                yield
        finally:
            self.filter_text = text
            with self._deriver.run_kept():
                self._set_filter_text()
                self._reorder()

    def set_filter(self, compiled: Filter | None) -> None:
        self.filter_text = compiled.text if compiled is not None else None
        self._reordered()
        self._set_filter_text()
        self._reorder()
        if self._model is not None:
            self._model = self._deriver.with_totals(self._model)

    def set_sort(self, sort: Sort) -> None:
        self._sort = sort
        self._reordered()
        self._reorder()

    def clear(self) -> None:
        self._histories.clear()
        self._deriver.clear()

    # A recording has what was selected, focused and polled when it was made.

    between_s = BETWEEN_S

    def between(self) -> None: ...

    def set_focus(self, cookies: Sequence[int]) -> None: ...


def _clean(name: str | None) -> str | None:
    return clean(name) if name is not None else None
