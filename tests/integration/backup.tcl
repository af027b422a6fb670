# SYNC and PSYNC: all keys as a file of Redis's, for redis-cli --rdb and --cluster backup.

# Reads "$EOF:<mark>" and what stands before the mark's return; the server then closes.
proc read_backup {connection} {
    set head [resp::line $connection]
    if {![regexp {^\$EOF:([0-9a-f]{40})$} $head -> mark]} { fail "no head of a backup: $head" }
    assert {[resp::is_closed $connection 60000]}
    set bytes [resp::unread $connection]
    assert_equal $mark [string range $bytes end-39 end]
    return [string range $bytes 0 end-40]
}

# A redis-server that has loaded a file.
proc redis_with_file {name path} {
    file mkdir [file join [test_dir] $name-data]
    file copy -force $path [file join [test_dir] $name-data dump.rdb]
    node_start $name [list @binary redis-server dir [file join [test_dir] $name-data] dbfilename dump.rdb]
    eventually { [info_field $name loading] eq "0" }
}

test "redis-cli --rdb saves every key, and redis-server loads them" {
    with_node ada {enable-debug-command yes} {
        on ada debug populate 30000 key 30
        foreach {key value} [list 77 -5 "" empty empty "" n 2147483648 bin [binary format H* 00ff0d0a80]] { on ada set $key $value }
        foreach size {16383 16384 65535 65536 65537 3000000} { on ada set size$size [string repeat "x$size" [expr {$size / 6}]] }
        for {set i 0} {$i < 500} {incr i} { on ada pexpire key:$i [expr {1000000 + $i}] }
        on ada debug set-active-expire 0
        on ada set gone soon px 1
        wait_ms 20
        set path [file join [test_dir] backup.rdb]
        exec redis-cli -p [node_port ada] --rdb $path 2>@1
        assert_match "*RDB looks OK*" [exec redis-check-rdb $path]
        # Not that of a key whose time is over, either: who loads the file may be slow of clock.
        assert_equal -1 [string first soon [read_file $path]]
        redis_with_file redis $path
        assert_equal [expr {[on ada dbsize] - 1}] [on redis dbsize]
        assert_equal 0 [on ada exists gone]
        assert_equal [on ada debug digest] [on redis debug digest]
        foreach key {key:0 key:499 n} { assert {abs([on ada pexpiretime $key] - [on redis pexpiretime $key]) <= 1} }
        assert_equal 1 [info_field ada sync_full]
        assert_equal PONG [on ada ping]
    }
}

# A duplicate would make redis-server refuse the file, and a missing one would be missed.
test "a backup made while keys come and go has every key that stays, once" {
    with_node ada {
        connect writer ada
        connect backup ada
        # All in one slot, and more than sockets hold: the file is still being made when the keys change.
        set filler [string repeat x 2000]
        for {set i 0} {$i < 20000} {incr i} { resp::send writer set "{t}$i" $i.$filler }
        for {set i 0} {$i < 20000} {incr i} { resp::read writer }
        resp::write backup "SYNC\r\n"
        eventually { [regexp {omem=[1-9][^\n]*cmd=sync} [resp::do writer client list]] }
        for {set i 0} {$i < 20000} {incr i} {
            if {$i % 10} { resp::send writer del "{t}$i" }
        }
        for {set i 0} {$i < 20000} {incr i} {
            if {$i % 10} { resp::read writer }
        }
        for {set i 20000} {$i < 22000} {incr i} { resp::do writer set "{t}$i" new }
        set path [file join [test_dir] backup.rdb]
        write_file $path [read_backup backup]
        redis_with_file redis $path
        for {set i 0} {$i < 20000} {incr i 10} { assert_equal $i.$filler [on redis get "{t}$i"] }
        assert {[on redis dbsize] < 22000}
    }
}

test "a slot that is emptied while a backup reads it takes no other's keys along" {
    with_node ada {
        connect backup ada
        lassign [lsort -integer [list [slot_of a] [slot_of b]]] first
        lassign [expr {$first == [slot_of a] ? {a b} : {b a}}] first last
        set filler [string repeat x 2000]
        connect writer ada
        for {set i 0} {$i < 15000} {incr i} { resp::send writer set "{$first}$i" $filler }
        for {set i 0} {$i < 15000} {incr i} { resp::read writer }
        for {set i 0} {$i < 500} {incr i} { resp::do writer set "{$last}$i" value }
        resp::write backup "SYNC\r\n"
        eventually { [regexp {omem=[1-9][^\n]*cmd=sync} [resp::do writer client list]] }
        for {set i 0} {$i < 15000} {incr i} { resp::send writer del "{$first}$i" }
        for {set i 0} {$i < 15000} {incr i} { resp::read writer }
        assert_equal 500 [regexp -all "\\{$last\\}\\d+.value" [read_backup backup]]
    }
}

test "a backup that is not read costs little, and goes with its client" {
    with_node ada {
        set before [info_field ada used_memory]
        # Of one bucket, so that several are held at a time.
        for {set i 0} {$i < 30} {incr i} { on ada set "{b}$i" [string repeat x 2000000] }
        # It has the limits of a replica, not those of whoever asks for small things.
        on ada config set client-output-buffer-limit "normal 1000 0 0"
        connect slow ada
        set id [resp::do slow client id]
        resp::write slow "SYNC\r\n"
        eventually { [regexp "id=$id \[^\n]*omem=\[1-9]" [on ada client list]] }
        regexp "id=$id \[^\n]*tot-mem=(\\d+)" [on ada client list] -> memory
        assert {$memory < 1000000}
        # Its keys may go meanwhile.
        on ada flushall
        assert_equal PONG [on ada ping]
        resp::close slow
        eventually { ![regexp "id=$id " [on ada client list]] }
        # Nor are the values held for nobody.
        eventually { [info_field ada used_memory] < $before + 1000000 }
    }
}

test "what a client says before decides what it is sent" {
    with_node ada {
        on ada set key value
        connect functions ada
        assert_equal OK [resp::do functions replconf capa eof rdb-only 1]
        assert_equal OK [resp::do functions replconf rdb-filter-only functions]
        resp::write functions "SYNC\r\n"
        set file [read_backup functions]
        assert_match "REDIS0010*" $file
        assert {[string first value $file] < 0}
        # PSYNC tells first what a replica would go on from.
        connect psync ada
        resp::write psync [resp::encode psync ? -1]
        assert_equal "+FULLRESYNC [info_field ada master_replid] 0" [resp::line psync]
        assert {[string first value [read_backup psync]] > 0}
        # What comes after is not run.
        connect rest ada
        resp::write rest "SYNC\r\nFLUSHALL\r\n"
        read_backup rest
        assert_equal value [on ada get key]
    }
}

test "a replica that would follow is refused, and so is nonsense" {
    with_node ada {
        connect replica ada
        assert_equal OK [resp::do replica replconf listening-port 7000]
        assert_error "NOMASTERLINK This node has no replicas*" { resp::do replica psync ? -1 }
        assert_error "NOMASTERLINK This node has no replicas*" { resp::do replica sync }
        assert_error "ERR value is not an integer*" { resp::do replica psync ? x }
        assert_equal OK [resp::do replica replconf rdb-only 1]
        resp::write replica "SYNC\r\n"
        assert_match "REDIS0010*" [read_backup replica]
        connect other ada
        # An acknowledgement has no reply.
        resp::write other [resp::encode replconf ack 5][resp::encode ping]
        assert_equal PONG [resp::plain [resp::read other]]
        resp::do other multi
        assert_error "ERR Command not allowed inside a transaction" { resp::do other sync }
        # RESET forgets what was said.
        connect reset ada
        resp::do reset replconf listening-port 7000
        resp::do reset reset
        resp::write reset "SYNC\r\n"
        assert_match "REDIS0010*" [read_backup reset]
    }
}

test "a client that MONITORs and then asks for a backup gets nothing but the file" {
    with_node ada {enable-debug-command yes} {
        on ada debug populate 20000 key 200
        connect c ada
        assert_equal {simple OK} [resp::ask c monitor]
        resp::send c sync
        # It is still being sent when others go on.
        eventually { [regexp {omem=[1-9][^\n]*cmd=sync} [on ada client list]] }
        for {set i 0} {$i < 100} {incr i} { on ada echo marker }
        while {![string match "\$EOF:*" [set line [resp::line c]]]} { assert_match "+*" $line }
        assert {[resp::is_closed c 60000]}
        set bytes [resp::unread c]
        assert_equal [string range $line 5 end] [string range $bytes end-39 end]
        assert {[string first marker $bytes] < 0}
    }
}
