# harness.tcl FILE [ONLY]: runs one file of tests in a process of its own; the last line says what came of it.
#
# tests/run starts it, so that a file that breaks the interpreter or leaves something behind harms no other.

package require Tcl 8.6
set support [file dirname [file normalize [info script]]]
foreach part {resp assert eventually node cluster salting target traffic network} { source [file join $support $part.tcl] }

lassign $argv file ::testing::only
fconfigure stdout -buffering line
set code [catch {source $file} message options]
if {$code} {
    incr ::testing::failed
    puts "  FAILED  [file tail $file] could not be run: $message"
    puts [dict get $options -errorinfo]
    nodes_show_logs
}
harness_end
puts "RESULT $::testing::passed $::testing::failed $::testing::skipped"
