# Clients as they are, with salt-spread yes: each library reads one salted key, of which it does not know that it is salted. The nodes count what came of it.
#
#     SPREAD_SECONDS=10    how long each reads (default: until it has had its reads)
#     SPREAD_REPORT=file   where a line of figures for each is added

source [file join [file dirname [info script]] clients_cases.tcl]
set ::clients_name "reads that are spread"
set ::spread_nodes {ada bob cleo dan}
# As many as it takes for them to be spread: of each a quarter stays where it was, by chance.
set ::spread_clients 40
set ::spread_seconds [expr {[info exists ::env(SPREAD_SECONDS)] ? $::env(SPREAD_SECONDS) : 0}]
# So many by each client at least: then those that are led elsewhere only by and by do not count for much.
set ::spread_reads 80

proc salting_sum {field} {
    set sum 0
    foreach node $::spread_nodes { incr sum [field_of [on $node info salting] $field] }
    return $sum
}
proc errors_given {code} {
    set sum 0
    foreach node $::spread_nodes {
        if {[regexp {count=(\d+)} [field_of [on $node info errorstats] errorstat_$code] - count]} { incr sum $count }
    }
    return $sum
}
proc connections_made {} {
    set sum 0
    foreach node $::spread_nodes { incr sum [info_field $node total_connections_received] }
    return $sum
}
proc epochs_of {key} {
    foreach entry [on ada cluster salts] { if {[dict get $entry key] eq $key} { return [dict get $entry epoch] } }
}

# Runs a reader and tells what came of it: reads commands errors stale moved ask connections helped.
proc spread_read {client command key} {
    array set before [list moved [errors_given MOVED] ask [errors_given ASK] connections [connections_made] helped [salting_sum salt_spread_reads]]
    set output [exec -ignorestderr timeout 300 {*}$command $client [node_port ada] $key $::spread_seconds $::spread_reads $::spread_clients </dev/null 2>@1]
    set said [lindex [split [string trim $output] \n] end]
    if {![regexp {^reads \d+ commands \d+ errors \d+ stale \d+$} $said]} { fail $output }
    if {[dict get $said errors] > 0} { fail "$client: $output" }
    dict set said moved [expr {[errors_given MOVED] - $before(moved)}]
    dict set said ask [expr {[errors_given ASK] - $before(ask)}]
    dict set said connections [expr {[connections_made] - $before(connections)}]
    dict set said helped [expr {[salting_sum salt_spread_reads] - $before(helped)}]
    return $said
}

proc spread_report {client said} {
    if {![info exists ::env(SPREAD_REPORT)]} return
    set chan [open $::env(SPREAD_REPORT) a]
    dict with said {
        puts $chan "| $client | $reads | $errors | [format %.1f [expr {100.0 * $helped / $reads}]] % | $moved | $connections | $ask | $stale |"
    }
    close $chan
}

# A cluster with a key that is spread, in the slots of ada.
proc with_spread_key {body} {
    with_cluster $::spread_nodes {@split yes salt-spread yes} {
        set key [key_in_slot 77 hot]
        on ada set $key 0
        on ada salt $key 8
        foreach node $::spread_nodes {
            eventually { [field_of [on $node info salting] salt_spread_slots] == 1 }
            if {$node ne "ada"} { eventually { ![catch { on $node get $key }] } }
        }
        eventually { [ada_leads $key] }
        uplevel 1 [list set key $key]
        uplevel 1 $body
    }
}
proc ada_leads {key} {
    for {set i 0} {$i < 20} {incr i} {
        connect led ada
        catch { resp::do led get $key } reply
        if {[string match "MOVED *" $reply]} { return yes }
    }
    return no
}

proc spread_test {client command} {
    test "$client is led to the nodes that have a copy, without an error" [string map [list @client $client @command $command] {
        with_spread_key {
            set epoch [epochs_of $key]
            set said [spread_read {@client} {@command} $key]
            spread_report {@client} $said
            assert_equal $epoch [epochs_of $key] "one epoch all the while"
            dict with said {
                assert_equal 0 $stale
                assert { $moved <= $connections } "$moved times MOVED on $connections connections"
                assert { 2 * $helped >= $reads } "$helped of $reads reads were answered by copies"
                # What is not read, and reads while a write is under way: no more.
                assert { $ask <= $commands / 10 } "$ask times ASK for $commands commands"
            }
        }
    }]
}

spread_test redis-py [list /usr/bin/python3 [file join $::clients_dir spread_reads.py]]

set hiredis_reader [file join [test_dir] spread_reads]
exec cc -O1 -o $hiredis_reader [file join $::clients_dir spread_reads.c] -lhiredis 2>@1
spread_test hiredis [list $hiredis_reader]

if {[file exists [file join $::clients_dir node_modules .installed]]} {
    foreach client {ioredis5 ioredis6 node-redis-resp2 node-redis-resp3} {
        spread_test $client [list node [file join $::clients_dir spread_reads.js]]
    }
} else {
    test "the Node clients are led to the nodes that have a copy" { skip "they are not installed: tests/run clients node" }
}

# It knows no map: each process begins where it is told to, and goes where it is sent.
test "redis-cli -c is led to a copy, and back for what is written" {
    with_spread_key {
        set before [errors_given MOVED]
        set connections [connections_made]
        set helped [salting_sum salt_spread_reads]
        set count 0
        foreach node $::spread_nodes {
            set script "get $key\nget $key\nset $key [incr count]\nget $key\nget $key\nget $key\nget {$key}:other\nget $key\nget $key\n"
            for {set i 0} {$i < 5} {incr i} {
                set output [exec redis-cli -c -h [node_host $node] -p [node_port $node] << $script 2>@1]
                assert { ![string match "*ERR*" $output] } $output
                assert_equal $count [lindex [split [string trim $output] \n] end]
            }
        }
        set moved [expr {[errors_given MOVED] - $before}]
        set connections [expr {[connections_made] - $connections}]
        set helped [expr {[salting_sum salt_spread_reads] - $helped}]
        assert { $moved <= $connections } "$moved times MOVED on $connections connections"
        assert { $helped > 0 }
        if {[info exists ::env(SPREAD_REPORT)]} {
            spread_report redis-cli [dict create reads 140 errors 0 helped $helped moved $moved connections $connections ask [errors_given ASK] stale 0]
        }
    }
}
