# What a node meets in bad times: ten thousand connections, no descriptors left, clients that read slowly or not at all. Content, memory and
# liveness are judged, never speed. SOAK_SECONDS says for how long the mixed clients go on (`make soak`: hours).

set ::load [file join $::root build/soak/load]

proc sanitized {} { return [expr {[info exists ::env(SAN)] && $::env(SAN) ne ""}] }

proc load_client {name args} {
    return [exec $::load [node_port $name] {*}$args 2>@1]
}

proc resident_bytes {name} {
    regexp {VmRSS:\s+(\d+) kB} [read_file /proc/[node_pid $name]/status] - kib
    return [expr {$kib * 1024}]
}

# Resident memory when what is free was given back and nothing changes any more.
proc settled_bytes {name} {
    set before -1
    while 1 {
        on $name memory purge
        set bytes [resident_bytes $name]
        if {abs($bytes - $before) < 65536} { return $bytes }
        set before $bytes
        wait_ms 200
    }
}

proc open_idle {name count} {
    set chan [open |[list setpriv --pdeathsig KILL $::load [node_port $name] idle $count] r+]
    set said [gets $chan]
    if {$said ne "connected"} {
        close $chan
        if {[string match "too few*" $said]} { skip "$count connections need as many descriptors: $said" }
        fail $said
    }
    return $chan
}

test "ten thousand connections are served, and an idle one takes at most 1 KiB" {
    with_node ada {maxclients 11000} {
        if {[lindex [on ada config get maxclients] 1] < 11000} { skip "the system allows too few descriptors for 10 000 connections" }
        # What the first clients make, such as buffers of the workers, is not to be counted.
        close [open_idle ada 100]
        eventually { [info_field ada connected_clients] == 1 }
        set before [settled_bytes ada]
        set chan [open_idle ada 10000]
        assert_equal 10001 [info_field ada connected_clients]
        set each [expr {([settled_bytes ada] - $before) / 10000}]
        puts "          an idle connection takes $each bytes"
        if {![sanitized]} { assert {$each <= 1024} }
        assert_equal OK [on ada set key [string repeat x 100000]]
        connect another ada
        assert_equal [string repeat x 100000] [resp::do another get key]
        close $chan
        eventually { [info_field ada connected_clients] == 2 } 60000
        assert {[info_field ada mem_clients_normal] < 3000}
    }
}

test "a node without descriptors serves those it has, and others when there are some again" {
    with_node ada {
        on ada ping
        connect old ada
        assert_equal PONG [resp::do old ping]
        set used [llength [glob /proc/[node_pid ada]/fd/*]]
        # Room for ten more.
        exec prlimit --pid [node_pid ada] --nofile=[expr {$used + 10}]:20000
        for {set i 0} {$i < 30} {incr i} { connect many$i ada }
        eventually { [info_field ada connected_clients] >= 8 }
        assert_equal PONG [resp::do old ping]
        for {set i 0} {$i < 20} {incr i} {
            assert_equal OK [resp::do old set key $i]
            wait_ms 20
        }
        exec prlimit --pid [node_pid ada] --nofile=20000:20000
        for {set i 0} {$i < 30} {incr i} { assert_equal PONG [resp::do many$i ping] }
        assert_match "*cannot accept*" [node_log ada]
    }
}

test "clients of all bad kinds harm neither the others, nor the data, nor the memory" {
    set seconds [expr {[info exists ::env(SOAK_SECONDS)] && $::env(SOAK_SECONDS) ne "" ? $::env(SOAK_SECONDS) : 60}]
    with_node ada {maxclients 5000} {
        load_client ada fill
        set data [info_field ada used_memory]
        set chan [open |[list setpriv --pdeathsig KILL $::load [node_port ada] mix $seconds 2>@1] r]
        fconfigure $chan -blocking 0
        set most 0
        set most_used 0
        set said ""
        while {![eof $chan]} {
            append said [read $chan]
            set resident [resident_bytes ada]
            if {$resident > $most} { set most $resident }
            set used [info_field ada used_memory]
            if {$used > $most_used} { set most_used $used }
            # The node answers, whatever else goes on.
            assert_equal PONG [on ada ping]
            wait_ms 200
        }
        fconfigure $chan -blocking 1
        if {[catch {close $chan} message]} { fail "$said$message" }
        puts "          [string trim $said]"
        puts "          at most [expr {$most_used / 1000000}] MB used, [expr {$most / 1000000}] MB resident"
        # Data, 16 that do not read with 8 MiB and a value each, 16 slow ones with 4 values each, what clients have begun to send; and pages.
        if {![sanitized]} { assert {$most < 700000000} }
        eventually { [info_field ada connected_clients] == 1 } 60000
        eventually { [info_field ada mem_clients_normal] < 3000 }
        # New versions are as large as the old.
        eventually { [info_field ada used_memory] < $data + 4000000 }
        assert_equal 64 [on ada dbsize]
        load_client ada fill
    }
}
