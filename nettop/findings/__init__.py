"""What is wrong with a host over a look at it; sockets that share a cause are one finding.

Values in, findings out: `look` takes ticks of any feed, `group` makes findings of what was seen,
`host` says what the host's counters and the planes add. `plain`, `page` and `objects` write a
report as text, HTML and JSON.

A rule about causes goes into `group`: it says which cases are one, whom they blame and how loud
they are; each case brings the explanation that the detail screen has (nettop.text.explain).
"""
