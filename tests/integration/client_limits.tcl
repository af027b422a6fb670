# What clients may take of the node's memory: each of them, and all together; and that what is told of it is true.

proc client_field {name id field} {
    foreach line [split [on $name client list] \n] {
        if {[regexp "^id=$id " $line] && [regexp " $field=(\\S*)" " $line" -> value]} { return $value }
    }
    return ""
}

# The most that the process has had resident.
proc peak_bytes {name} {
    regexp {VmHWM:\s+(\d+) kB} [read_file /proc/[node_pid $name]/status] -> kilobytes
    return [expr {$kilobytes * 1024}]
}

# A client that holds so many bytes of an unfinished request.
proc connect_holding {connection name bytes} {
    connect $connection $name
    set id [resp::do $connection client id]
    resp::write $connection "*3\r\n\$3\r\nset\r\n\$3\r\nkey\r\n\$[expr {$bytes + 1}]\r\n[string repeat x $bytes]"
    eventually { [client_field $name $id qbuf] >= $bytes }
    return $id
}

test "the largest clients are disconnected when all take more than maxmemory-clients" {
    with_node ada {maxmemory-clients 8mb} {
        set small [connect_holding small ada 1000000]
        set large [connect_holding large ada 3000000]
        set medium [connect_holding medium ada 2000000]
        assert_equal 0 [info_field ada evicted_clients]
        set more [connect_holding more ada 2500000]
        eventually { [client_field ada $large id] eq "" }
        foreach id [list $small $medium $more] { assert_equal $id [client_field ada $id id] }
        assert_equal 1 [info_field ada evicted_clients]
        assert {[resp::is_closed large]}
        # What is left goes on.
        resp::write medium "x\r\n"
        assert_equal {simple OK} [resp::read medium]
        on ada config set maxmemory-clients 2mb
        eventually { [client_field ada $more id] eq "" }
        assert_equal $small [client_field ada $small id]
    }
}

test "clients that said CLIENT NO-EVICT are spared" {
    with_node ada {
        connect spared ada
        resp::do spared client no-evict on
        set spared [resp::do spared client id]
        resp::write spared "*3\r\n\$3\r\nset\r\n\$3\r\nkey\r\n\$4000000\r\n[string repeat x 3000000]"
        eventually { [client_field ada $spared qbuf] >= 3000000 }
        set other [connect_holding other ada 500000]
        on ada config set maxmemory-clients 4500000
        eventually { [client_field ada $other id] eq "" }
        assert_equal $spared [client_field ada $spared id]
        resp::write spared "[string repeat x 1000000]\r\n"
        assert_equal {simple OK} [resp::read spared]
    }
}

test "a share of a maxmemory that is not set is no limit" {
    with_node ada {maxmemory-clients 10%} {
        assert_equal {maxmemory-clients 10%} [on ada config get maxmemory-clients]
        set id [connect_holding c ada 3000000]
        resp::write c "x\r\n"
        assert_equal {simple OK} [resp::read c]
    }
}

test "a client over the soft limit is disconnected when its seconds have passed, one that reads is not" {
    with_node ada {client-output-buffer-limit "normal 0 1mb 4"} {
        assert_match "normal 0 1048576 4 slave *" [lindex [on ada config get client-output-buffer-limit] 1]
        on ada set key [string repeat x 7000000]
        connect deaf ada
        set deaf [resp::do deaf client id]
        connect reader ada
        set reader [resp::do reader client id]
        resp::send deaf get key
        eventually { [client_field ada $deaf omem] > 2000000 }
        for {set i 0} {$i < 3} {incr i} { assert_equal 7000000 [string length [resp::do reader get key]] }
        eventually { [client_field ada $deaf id] eq "" }
        assert_equal $reader [client_field ada $reader id]
    }
}

test "the default bounds what a client leaves unread" {
    with_node ada {
        assert_match "normal 1073741824 0 0 *" [lindex [on ada config get client-output-buffer-limit] 1]
    }
}

test "a reply beyond the hard limit is not made to its end, and what EXEC began happens all the same" {
    with_node ada {client-output-buffer-limit "normal 4mb 0 0" io-threads 1} {
        on ada set k [string repeat x 15000]
        on ada set big [string repeat x 2000000]
        set many [lrepeat 15000 k]
        set ways [dict create \
            mget [list [list mget {*}$many]] \
            exec [concat {multi} [lmap k $many { list get $k }] {{set done exec} exec}] \
            held [concat {multi} [lrepeat 5 {get big}] {{set done held} exec}] \
            "small ones" [concat {multi} [lrepeat 6000 command] {{set done "small ones"} exec}] \
            "after the locks" [concat {multi} [lrepeat 20000 {config get *}] {{set done "after the locks"} exec}]]
        resp::send ada command
        resp::read ada
        assert {6000 * [string length [resp::raw ada]] > 200000000}
        set before [peak_bytes ada]
        dict for {what commands} $ways {
            connect c ada
            resp::write c [join [lmap command $commands { resp::encode {*}$command }] ""]
            assert {[resp::is_closed c]} $what
            assert {[string length [resp::unread c]] < 1000000} "some of it was sent"
            incr closed
            eventually { [regexp -all {asked for more at once} [node_log ada]] == $closed }
            if {$what ne "mget"} { assert_equal $what [on ada get done] }
        }
        # (The sanitizers' allocator keeps back what was freed.)
        if {[string match jemalloc* [info_field ada mem_allocator]]} {
            assert {[peak_bytes ada] - $before < 100000000} "[peak_bytes ada], $before before"
        }
        # Who does not want to hear it costs nothing.
        connect c ada
        resp::send c client reply off
        resp::send c mget {*}$many
        resp::send c client reply on
        assert_equal {simple OK} [resp::read c]
        # And a little below it all is sent.
        assert_equal 200 [llength [on ada mget {*}[lrepeat 200 k]]]
        on ada config set client-output-buffer-limit "normal 0 0 0"
        assert_equal 1000 [llength [on ada mget {*}[lrange $many 1 1000]]]
    }
}

test "CLIENT LIST, INFO and MEMORY STATS tell what clients take" {
    with_node ada {
        set half [connect_holding half ada 3000000]
        assert {[client_field ada $half qbuf] >= 3000000 && [client_field ada $half qbuf] < 3000100}
        assert {[client_field ada $half tot-mem] >= 3000000}
        on ada set key [string repeat x 5000000]
        connect deaf ada
        set deaf [resp::do deaf client id]
        resp::send deaf mget key key
        eventually { [client_field ada $deaf oll] > 0 }
        assert {[client_field ada $deaf omem] > 5000000}
        assert {[client_field ada $deaf tot-mem] > [client_field ada $deaf omem]}
        assert_equal rw [client_field ada $deaf events]
        connect queue ada
        set queue [resp::do queue client id]
        resp::do queue multi
        resp::do queue set key [string repeat y 1000000]
        eventually { [client_field ada $queue multi-mem] > 1000000 }
        # An inline request that is not finished.
        connect inline ada
        set inline [resp::do inline client id]
        resp::write inline [string repeat z 10000]
        eventually { [client_field ada $inline qbuf] == 10000 }

        set sum 0
        foreach {- bytes} [regexp -all -inline {tot-mem=(\d+)} [on ada client list]] { incr sum $bytes }
        assert_equal $sum [info_field ada mem_clients_normal]
        assert_equal $sum [dict get [on ada memory stats] clients.normal]
        assert {[info_field ada client_recent_max_input_buffer] >= 3000000}
        assert {[info_field ada client_recent_max_output_buffer] > 5000000}
        foreach c {half deaf queue inline} { resp::close $c }
        eventually { [info_field ada mem_clients_normal] < 5000 }
    }
}

test "watched keys are memory of their client, until it watches them no more" {
    with_node ada {
        connect watcher ada
        set id [resp::do watcher client id]
        for {set i 0} {$i < 10} {incr i} { resp::do watcher watch [string repeat $i 100000] }
        resp::do watcher watch [string repeat 0 100000]
        eventually { [client_field ada $id multi-mem] >= 1000000 && [client_field ada $id tot-mem] >= 1000000 }
        assert {[client_field ada $id multi-mem] < 1010000}
        resp::do watcher unwatch
        eventually { [client_field ada $id multi-mem] == 0 }
    }
}

test "what a client queues in MULTI is bounded as what it sends is, however small the commands" {
    with_node ada {client-query-buffer-limit 1mb} {
        # Each counts with what it takes, which of a small one is more than its bytes.
        connect small ada
        set id [resp::do small client id]
        resp::do small multi
        resp::write small [string repeat [resp::encode ping] 5000]
        eventually { [client_field ada $id multi] == 5000 }
        assert {[client_field ada $id multi-mem] >= 5000 * 50}
        assert {[client_field ada $id tot-mem] >= [client_field ada $id multi-mem]}
        resp::write small [resp::encode discard]
        eventually { [client_field ada $id multi-mem] == 0 }

        connect large ada
        set id [resp::do large client id]
        resp::do large multi
        for {set i 0} {$i < 9} {incr i} { assert_equal QUEUED [resp::do large set k$i [string repeat x 100000]] }
        assert_equal [list [lrepeat 9 OK]] [list [resp::do large exec]]
        resp::do large multi
        catch { for {set i 0} {$i < 100} {incr i} { resp::write large [resp::encode set k$i [string repeat x 100000]] } }
        eventually { [client_field ada $id id] eq "" }
        assert_match "*queued and watched; closed*" [node_log ada]
        assert_equal PONG [on ada ping]
    }
}

test "names that clients give themselves, and what they load, are memory of theirs" {
    with_node ada {
        connect c ada
        set id [resp::do c client id]
        set before [client_field ada $id tot-mem]
        resp::do c client setname [string repeat n 100000]
        eventually { [client_field ada $id tot-mem] >= $before + 100000 }
        resp::do c client setinfo lib-name [string repeat l 100000]
        resp::do c client setinfo lib-ver [string repeat v 100000]
        eventually { [client_field ada $id tot-mem] >= $before + 300000 }
        resp::do c client setname x
        resp::do c client setinfo lib-name x
        resp::do c client setinfo lib-ver x
        eventually { [client_field ada $id tot-mem] < $before + 1000 }
        for {set i 0} {$i < 256} {incr i} { resp::do c fetch key:$i lease 60000 }
        eventually { [client_field ada $id tot-mem] >= $before + 256 * 24 }
        resp::close c
        eventually { [info_field ada mem_clients_normal] < 5000 }
        # So who takes too much by them goes as others do.
        connect named ada
        resp::do named client setname [string repeat n 1000000]
        resp::do named client setinfo lib-name [string repeat l 1000000]
        on ada config set maxmemory-clients 1mb
        assert {[resp::is_closed named]}
    }
}
