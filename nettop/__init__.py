"""nettop: top for the kernel's network path.

This file is the map: it imports nothing, so that every start stays cheap.

Rooms
    cli            reads the command line, opens a feed, chooses a screen or plain output
    options        argv to Options; optionvalues, ssargs; probe, watch, serve have their own
    config/        config.toml, NETTOP_ variables and the view that was saved
    commands/      record, replay, why, stream, the topics of nettop help, the man page, completion
    manyhosts      -H with record, watch, why and diff
    headless       tables, JSON, CSV and snapshots without a screen; doctor: what works here
    sources/       what is read: /proc and system calls (namespaces, names, counters, evidence of
                   causes), and a module per plane that loads it, reads it each tick and says why
                   it is off
    engine/        the only importer of the compiled helper (native/): handle, records, frames
    sample         Sample and Facts: a tick's raw input
    collect        Collector: sweeps this host, makes samples
    poller         LiveFeed: the thread that polls; enginefeed: what it shares with replay
    derive         Deriver: the model of a tick from what the engine took
    heldrows       HeldRows: what the screen shows, while a long sweep replaces it
    replay         ReplayFeed: the same engine fed by a recording
    filefeed       the feed of an opened snapshot
    feed           the protocol of all feeds
    causes/        what explains verdicts, by the evidence of a tick: the table of rules
    spells         each verdict of a socket from when it began to hold until it ended
    findings/      what a look came to: cases that share a cause, as text, HTML and JSON
    changes        ticks in which something changed; lookback: what the screen keeps of ticks
    past           PastFeed: a replay that goes to any tick, forward and back; warm: its engines
    stretches      FILE@FROM..TO and the ticks that it means
    store/         frames, the recording file, and the last minutes as frames in memory
    model/         pure values: rows, records, histograms, tcp_info; no words
    text/          every word of output: fields, verdicts, units, cells, tables, keys, usage,
                   explanations, cleaning of foreign text
    hosts/         other hosts: streams of their frames, one feed of them all, each one's ticks, and
                   looking back on them together
    compare/       nettop diff: what both sides counted, its error, and what is said of it
    metrics/       what nettop serve counts of groups of sockets, and how it is written
    serve/         nettop serve: the server that Prometheus reads
    query/         filters: grammar, tree, program for the helper
    export/        JSON, CSV, SVG, text; reading a snapshot back
    clocks/        PHCs against the system clock: nettop clocks
    probe/         nettop probe and reflect; stamps/: SO_TIMESTAMPING for any program
    watch/         nettop watch: waits until a condition has held, writes, calls a command
    tui/           screens; the only importer of textual and rich. Keys: text/keys has them
    privilege      giving up capabilities; users: names of users; refusal: what an errno lacks;
                   ending: signals and undoing
    data/          what is put in place elsewhere: units of nettop record and serve, a dashboard and
                   rules for Prometheus, scripts of shells
    groups, history, times, errors

Import contracts (pyproject.toml, lint-imports) fix the layers; nothing imports towards the screen.

Data flow
    kernel -> fetch (native: netlink, BPF maps, /proc) -> sections -> engine (nt_apply: tables,
    rates, percentiles, verdicts) -> Deriver -> Model and Rows -> screen | export

    A section is raw bytes of one source. The fetch part of a plane makes the system calls and
    hands the engine sections; the engine's state between intervals comes from sections alone.
    Recording: the same sections and Facts become a Sample, a Sample becomes a frame, frames go
    into one SQLite file. Replay: frames back to Samples, which the same engine takes; what it
    shows follows from them, so no privilege, BPF or clock is needed.

Threads
    main            the screen's event loop, or the headless loop; draws, asks the feed
    nettop-poller   LiveFeed: sweeps, ends intervals, publishes models
    nettop-ending   waits for signals; undoes what was set in the kernel when another thread hangs
    nettop-past     Timeline: seeks with a second feed, while the one that is shown answers
    nettop-warm     WarmTicks: reads the ticks around the one that is shown
    nettop-parquet  ParquetTable: writes the file, so that no signal cuts a tick
    nettop-host     one per host of -H: starts its stream, reads it, tries again
    nettop-send     a stream: writes frames, so that a slow reader holds up no poll; -reader,
                    -control: whether it is still there, and what it asks for
    nettop-serve    answers scrapers of nettop serve with the last tick; without capabilities
    nettop-then     starts the command of watch --then, without capabilities, and waits for it
    users           asks a directory service for names, so that nothing else waits for it
    further ones    nettop-phc and the watch of clocks; prober; an undo with a time limit

Locks
    LiveFeed._wake       condition: options changed, the feed ended
    EngineFeed._changing one tick at a time is replaced, and none while the screen draws or
                         rows are copied
    PastFeed._moving     one move at a time; before _changing, never inside
    LiveFeed._exporting  one export at a time; an end waits for it shortly
    native               each plane has its lock, the engine has one. Order: the plane's
                         (w->lock) before the engine's (e->lock), never the other way. The helper
                         releases the GIL in calls, so the lock order holds without it.

Glossary (used literally, in code and texts)
    sample       a tick's raw input of one host: sections and facts, nothing derived
    section      raw bytes of one source inside a sample (a dump, counters, a plane's records)
    frame        a sample as bytes: packed against the frame before
    key frame    a frame that needs none before it: replay can begin there
    tick         one poll with its model: what is drawn, written or recorded together
    interval     the time between two ticks: rates and percentiles are of the last one
    run          from the start, or the last clear, until now: distributions over many intervals
    delivery     data that became readable at once; the unit that RX queue wait counts
    stage        a part of a send's time: copy, sndbuf, tcp, qdisc, nic, ack, total
    source       what is read: sock_diag, /proc, a BPF program, a clock; its status has a reason
    plane        a source with its state and switch: diag, procs, wait, split, stages, path, events,
                 stamps, clocks
    focus        the sockets on the screen: they get fine percentiles
    bound        a value that the truth is not below (>=) or not outside of
    uncertainty  the +- of a converted time: the truth is expected inside, not guaranteed
    owner        the process that holds a socket, or the reason why none is known
    cookie       SO_COOKIE: the identity of a socket, unique until reboot
    host evidence  what a host says beside its sockets (counters, devices, qdiscs, CPU given):
                 raw in the facts, with the time of each read; what moved is derived
    level        ok, watch or unwell: the loudest verdict, sinking 10 s after it ended
    usual        the running median of a flow's own intervals before; unusual: far above it
    sibling      another peer of the same service: that this host calls at the same port
    cause        what explains a verdict: found on this host, with evidence, and named by WHO
    verdict      one named thing that is wrong with a socket, with its number
    spell        one verdict of one socket, from the tick in which it began to hold to its end
    look         the ticks that nettop why takes, of this host or of a recording
    case         the worst verdict of one socket in a look
    finding      cases that share a cause
    WHO          whose fault a verdict is: app, cpu, kern, nic, net, peer; ? not known
"""

__version__ = "0.1.0"
