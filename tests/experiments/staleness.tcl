# No stale read: what a cache in front of a database is not to do.

source [file join [file dirname [info script]] run_cases.tcl]

test "no read sees less than was acknowledged before it began" { experiment staleness }
test "nor does any while slots move to another node and back" { experiment moves }
test "nor does any of clients that know GET, SET and DEL only, where fills are guarded" { experiment guard }
