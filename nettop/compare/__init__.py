"""nettop diff: two snapshots or stretches of recordings, group by group.

bands       how far a number may be from what was counted: pure statistics
numbers     what is compared, and from when on a change matters
tally       what one side counted, by group and block of time
verdict     both sides: worse, better, same, cannot tell; the chance of a false one
expression  what --fail takes, and whether it holds; outcome: the exit code
gather      ticks of a feed into tallies
options     the command line; out, keys, topic: text, JSON, help
"""
