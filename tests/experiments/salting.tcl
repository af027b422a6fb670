# Salted keys: what several nodes serve under several names.

source [file join [file dirname [info script]] run_cases.tcl]

test "a salted key is read alike on each of its nodes" { experiment saltload }
test "no name is older than what was acknowledged, whatever happens to nodes" { experiment saltwrites }
test "nobody notices that a key has more names, or fewer" { experiment saltnames }
test "a sum on four nodes is exact, and a helper that dies takes little of it along" { experiment saltsum }
