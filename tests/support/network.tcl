# network.tcl: nodes in network namespaces of their own, on a wire that can be cut (support/wire.c).
#
# A file of such tests begins with
#     if {[network_elsewhere]} return
# which runs it once more in a network namespace of its own, so that this process is on the wire as well and the machine's network is neither seen nor
# changed. Each test begins with network_start, which skips it where namespaces are not to be had. Namespaces have no names: each lives as long as a
# process in it, and all of those end with this one.
#
#     network_start {ada bob cleo}     a namespace for each; `network_options ada` are node_start's options for it
#     cut {ada bob} {cleo}             nothing goes from the first to the second, nor back
#     cut_one_way {ada} {bob cleo}     nothing goes from the first to the second
#     disturb {ada bob} LOSS DELAY_MS  among these so many per cent are lost, and the rest is late
#     heal                             all is well again

set ::network_names {}
set ::network_holders {}
set ::network_wire ""

# Why there can be none, or "".
proc network_missing {} {
    foreach tool {unshare nsenter ip cc setpriv} { if {[auto_execok $tool] eq ""} { return "there is no $tool" } }
    if {[catch { exec unshare --net true } why]} { return "no network namespaces: [lindex [split $why \n] 0]" }
    if {[catch { close [open /dev/net/tun r+] } why]} { return "no TUN devices: $why" }
    return ""
}

# True where the file has been run, in a namespace of its own: nothing is left to do here.
proc network_elsewhere {} {
    if {[info exists ::env(TEST_OWN_NETWORK)]} {
        exec ip link set lo up
        return 0
    }
    # Where it cannot be, each test says so for itself.
    if {[network_missing] ne ""} { return 0 }
    set command [list env TEST_OWN_NETWORK=1 setpriv --pdeathsig TERM unshare --net [info nameofexecutable] \
        [file join $::root tests support harness.tcl] [info script] $::testing::only]
    set chan [open |[concat $command [list 2>@1]] r]
    set result ""
    while {[gets $chan line] >= 0} {
        if {[regexp {^RESULT (\d+) (\d+) (\d+)$} $line -> passed failed skipped]} { set result $line } else { puts $line }
    }
    catch { close $chan } why
    if {$result eq ""} {
        incr ::testing::failed
        puts "  FAILED  [info script] ended early: $why"
        return 1
    }
    foreach count {passed failed skipped} { incr ::testing::$count [set $count] }
    return 1
}

proc network_start {names} {
    if {![info exists ::env(TEST_OWN_NETWORK)]} { skip "NOT TESTED: [network_missing]" }
    network_end
    set wire [file join [test_dir] wire]
    if {![file exists $wire]} { exec cc -O1 -D_GNU_SOURCE -o $wire [file join $::root tests support wire.c] }
    set ::network_names $names
    set ::network_holders [lmap name $names { open |[list setpriv --pdeathsig KILL unshare --net sleep 100000] r }]
    foreach holder $::network_holders {
        eventually { [string trim [read_file /proc/[pid $holder]/comm]] eq "sleep" }
    }
    set ::network_wire [open |[list setpriv --pdeathsig KILL $wire {*}[lmap holder $::network_holders { pid $holder }] [pid] 2>@stderr] r+]
    fconfigure $::network_wire -buffering line
    wire_say up
    set end 0
    foreach holder [concat $::network_holders self] {
        set space [expr {$holder eq "self" ? {} : [list nsenter --net=/proc/[pid $holder]/ns/net]}]
        exec {*}$space sh -c "ip link set lo up && ip addr add 10.78.0.[incr end]/24 dev wire0 && ip link set wire0 up"
    }
}

proc network_options {name} {
    set at [lsearch -exact $::network_names $name]
    return [list @host 10.78.0.[expr {$at + 1}] @prefix [list nsenter --net=/proc/[pid [lindex $::network_holders $at]]/ns/net] protected-mode no]
}

proc wire_say {line} {
    puts $::network_wire $line
    gets $::network_wire answer
    if {$answer ne "ok"} { fail "the wire: $answer" }
}

proc wire_rule {from to loss delay_ms} {
    set ends [lmap name [list $from $to] { expr {[lsearch -exact $::network_names $name] + 1} }]
    wire_say "rule $ends $loss $delay_ms"
}
proc cut_one_way {from to} { foreach a $from { foreach b $to { if {$a ne $b} { wire_rule $a $b 100 0 } } } }
proc cut {some others} { cut_one_way $some $others; cut_one_way $others $some }
proc disturb {names loss delay_ms} { foreach a $names { foreach b $names { if {$a ne $b} { wire_rule $a $b $loss $delay_ms } } } }
proc heal {} { wire_say heal }

proc network_end {} {
    catch { close $::network_wire }
    foreach holder $::network_holders {
        catch { exec kill -s KILL [pid $holder] }
        catch { close $holder }
    }
    set ::network_wire ""
    set ::network_holders {}
    set ::network_names {}
}
