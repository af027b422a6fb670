# Values of 16 KiB and more: written to the socket from where they are kept, and read from it into place. Whatever happens to the key
# meanwhile, a reply is the value that was there when the command ran.

# A value whose every part tells where it belongs.
proc big_value {len {seed ""}} {
    set piece ""
    for {set i 0} {[string length $piece] < 10000} {incr i} { append piece "$seed$i." }
    return [string range [string repeat $piece [expr {$len / [string length $piece] + 1}]] 0 [expr {$len - 1}]]
}

# Asks for big values without reading them until some of them wait in the node; gives how many were asked for.
proc ask_without_reading {connection key times} {
    resp::write $connection [string repeat [resp::encode get $key] $times]
}

proc client_field {name id field} {
    foreach line [split [on $name client list] \n] {
        if {[regexp "^id=$id " $line] && [regexp " $field=(\\S*)" $line -> value]} { return $value }
    }
    return ""
}

foreach {what changes after} {
    deleted     {del key}                   {null {}}
    overwritten {set key short}             {bulk short}
    appended-to {append key more}           appended
    written     {setrange key 0 XXXX}       written
    expired     {pexpire key 1}             {null {}}
    flushed     {flushall}                  {null {}}
    renamed     {rename key other}          {null {}}
    swapped     {getset key short}          {bulk short}
} {
    test "a reply being written is not changed when its key is $what" [string map [list @changes $changes @after $after] {
        with_node ada {
            set value [big_value 4000000]
            on ada set key $value
            connect slow ada
            set id [resp::do slow client id]
            ask_without_reading slow key 2
            eventually { [client_field ada $id omem] > 1000000 }
            on ada {*}{@changes}
            set after {@after}
            if {$after eq "appended"} { set after [list bulk ${value}more] }
            if {$after eq "written"} { set after [list bulk XXXX[string range $value 4 end]] }
            eventually { [typed_on ada get key] eq $after }
            assert {[resp::read slow] eq [list bulk $value]}
            # The second had been held as well: two fit into what a client may be behind.
            assert {[resp::read slow] eq [list bulk $value]}
            assert_equal PONG [resp::do slow ping]
            eventually { [client_field ada $id omem] == 0 }
        }
    }]
}

test "a client that goes while a value is written to it gives the value back" {
    with_node ada {
        set value [big_value 4000000]
        set before [info_field ada used_memory]
        on ada set key $value
        on ada memory purge
        for {set i 0} {$i < 10} {incr i} {
            connect gone ada
            set id [resp::do gone client id]
            ask_without_reading gone key 2
            eventually { [client_field ada $id omem] > 1000000 }
            if {$i % 2} { resp::close gone } else { on ada client kill id $id }
            eventually { [client_field ada $id id] eq "" }
        }
        on ada del key
        eventually { [info_field ada used_memory] < $before + 2000000 }
    }
}

test "big values are replied by every command that gives values" {
    with_node ada {
        set value [big_value 100000]
        set other [big_value 20000 z]
        on ada mset a $value b $other c small
        assert {[on ada mget a nope b c a] eq [list $value {} $other small $value]}
        assert {[on ada getrange a 10 90009] eq [string range $value 10 90009]}
        assert {[on ada getrange a 10 19] eq [string range $value 10 19]}
        assert {[on ada getex a ex 100] eq $value}
        assert {[on ada ttl a] > 50 && [on ada ttl a] <= 100}
        assert {[on ada getex a persist] eq $value}
        assert_equal -1 [on ada ttl a]
        assert {[on ada getex a pxat 300000000000000] eq $value}
        assert {[on ada get a] eq $value}
        assert {[on ada set a $other get] eq $value}
        assert {[on ada getset a $value] eq $other}
        assert {[on ada getdel a] eq $value}
        assert_equal 0 [on ada exists a]
        on ada multi
        on ada get b
        on ada append b x
        on ada get b
        on ada mget b c
        assert {[on ada exec] eq [list $other 20001 ${other}x [list ${other}x small]]}
    }
}

test "no big reply is left over where replies are switched off" {
    with_node ada {
        set value [big_value 100000]
        on ada set key $value
        connect c ada
        resp::write c [resp::encode client reply skip][resp::encode mget key key][resp::encode get key]
        assert {[resp::read c] eq [list bulk $value]}
        resp::write c [resp::encode client reply off][resp::encode get key][resp::encode get key][resp::encode client reply on]
        assert_equal {simple OK} [resp::read c]
        resp::write c [resp::encode get key][resp::encode ping]
        assert {[resp::read c] eq [list bulk $value]}
        assert_equal {simple PONG} [resp::read c]
    }
}

test "a client that does not read waits for its replies, and what waits is bounded" {
    with_node ada {
        set value [big_value 100000]
        on ada set key $value
        connect deaf ada
        set id [resp::do deaf client id]
        ask_without_reading deaf key 1000
        eventually { [client_field ada $id omem] > 1000000 }
        assert_equal PONG [on ada ping]
        # Eight megabytes, and the one reply that went beyond.
        assert {[client_field ada $id omem] <= 10000000}
        assert {[info_field ada used_memory] < 20000000}
        # It was not cut off: when it reads, it gets all of it.
        for {set i 0} {$i < 1000} {incr i} {
            if {[resp::read deaf] ne [list bulk $value]} { fail "reply $i is another" }
        }
        assert_equal PONG [resp::do deaf ping]
    }
}

test "a client that sends all its requests before it reads is not stuck" {
    with_node ada {
        set value [big_value 100000]
        on ada set key $value
        connect c ada
        # More requests than fit into sockets, each with more replies than fit.
        set request [resp::encode echo [string repeat e 20000]][resp::encode get key]
        for {set i 0} {$i < 20} {incr i} { resp::write c [string repeat $request 20] }
        for {set i 0} {$i < 400} {incr i} {
            if {[lindex [resp::read c] 0] ne "bulk" || [resp::read c] ne [list bulk $value]} { fail "reply $i is another" }
        }
        assert_equal PONG [resp::do c ping]
    }
}

test "a peer that has ended its side gets the replies it asked for" {
    with_node ada {
        set value [big_value 1000000]
        on ada set key $value
        connect half ada
        ask_without_reading half key 40
        chan close $::resp::chan(half) write
        for {set i 0} {$i < 40} {incr i} {
            if {[resp::read half] ne [list bulk $value]} { fail "reply $i is another" }
        }
        assert {[resp::is_closed half]}
    }
}

# --- Read into place ---

test "a big value arrives whole however its request is cut" {
    with_node ada {
        set value [big_value 200000]
        set request [resp::encode set key $value ex 100][resp::encode strlen key][resp::encode get key]
        set cuts {100 1000 65536 65537 131072}
        for {set i 1} {$i < 45} {incr i} { lappend cuts $i }
        for {set i 0} {$i < 80} {incr i} { lappend cuts [expr {200000 - 5 + $i}] }
        connect c ada
        foreach cut $cuts {
            resp::write c [string range $request 0 [expr {$cut - 1}]]
            on ada ping
            resp::write c [string range $request $cut end]
            assert_equal {{simple OK} {integer 200000}} [list [resp::read c] [resp::read c]] "cut at $cut"
            if {[resp::read c] ne [list bulk $value]} { fail "another value when cut at $cut" }
        }
        assert {[on ada ttl key] > 50 && [on ada ttl key] <= 100}
    }
}

test "a big value that comes in small pieces is not run before its end" {
    with_node ada {
        set value [big_value 40000]
        on ada set key before
        connect c ada
        set id [resp::do c client id]
        set request [resp::encode set key $value]
        for {set at 0} {$at < [string length $request]} {incr at 500} {
            assert_equal before [on ada get key]
            resp::write c [string range $request $at [expr {$at + 499}]]
        }
        assert_equal {simple OK} [resp::read c]
        assert {[on ada get key] eq $value}
        assert_equal 0 [client_field ada $id qbuf]
    }
}

# Sends all but the end of a command and waits until the node has it.
proc send_most {connection name args} {
    set id [resp::do $connection client id]
    set request [resp::encode {*}$args]
    set ::rest [string range $request end-9 end]
    resp::write $connection [string range $request 0 end-10]
    set sent [expr {[string length $request] - 60}]
    eventually { [client_field $name $id qbuf] > $sent - 100 }
    return $id
}

test "what a big value is kept under may change while it comes" {
    with_node ada {
        set value [big_value 300000]
        connect c ada
        foreach meanwhile {{set key other} {del key} {flushall} {append key more} {ping}} {
            send_most c ada set key $value
            on ada {*}$meanwhile
            resp::write c $::rest
            assert_equal {simple OK} [resp::read c]
            assert {[on ada get key] eq $value}
        }
    }
}

test "every way to keep a big value keeps it, and every way not to leaves nothing behind" {
    with_node ada {
        set value [big_value 500000]
        connect c ada
        set before [info_field ada used_memory]
        foreach {command args} {
            set {key @}               setnx {key @}               setex {key 100 @}        psetex {key 100000 @}
            getset {key @}            set {key @ keepttl}         set {key @ px 100000 nx} set {key @ pxat 300000000000000}
            mset {key @}              append {key @}
        } {
            on ada del key
            set args [lmap arg $args { expr {$arg eq "@" ? $value : $arg} }]
            send_most c ada $command {*}$args
            resp::write c $::rest
            assert {[lindex [resp::read c] 0] ne "error"}
            assert {[on ada get key] eq $value} $command
        }
        on ada set key small
        foreach {args type} {
            {set key @ nx}             null      {setnx key @}          integer    {set key @ px 0}      error
            {set key @ nonsense}       error     {setex key @ 10}       error      {setex key x @}       error
            {nosuch key @}             error     {get @}                null       {set nope @ xx}       null
            {set key @ ifeq other}     null      {getset key @ more}    error      {echo @}              bulk
        } {
            set args [lmap arg $args { expr {$arg eq "@" ? $value : $arg} }]
            send_most c ada {*}$args
            resp::write c $::rest
            assert_equal $type [lindex [resp::read c] 0] [lindex $args 0]
            assert_equal small [on ada get key]
        }
        # A deadline that has passed already deletes.
        send_most c ada set key $value pxat 1
        resp::write c $::rest
        assert_equal {simple OK} [resp::read c]
        assert_equal 0 [on ada exists key]
        eventually { [info_field ada used_memory] < $before + 2500000 }
    }
}

test "big values are queued, run and discarded by transactions" {
    with_node ada {
        set value [big_value 400000]
        connect c ada
        set before [info_field ada used_memory]
        resp::do c multi
        set request [resp::encode set key $value]
        resp::write c [string range $request 0 300000]
        on ada ping
        resp::write c [string range $request 300001 end]
        assert_equal {simple QUEUED} [resp::read c]
        assert_equal {simple QUEUED} [resp::ask c append key more]
        assert_equal {simple QUEUED} [resp::ask c set other [big_value 30000]]
        assert_equal {simple QUEUED} [resp::ask c get key]
        assert_equal 0 [on ada exists key]
        assert {[resp::do c exec] eq [list OK 400004 OK ${value}more]}
        assert {[on ada get key] eq "${value}more"}
        assert {[on ada get other] eq [big_value 30000]}
        foreach end {discard exec} {
            on ada set key before
            resp::do c watch key
            resp::do c multi
            resp::do c set key $value
            on ada set key meanwhile
            resp::do c $end
            assert_equal meanwhile [on ada get key]
        }
        resp::do c multi
        resp::do c set key $value
        resp::write c [string range $request 0 300000]
        on ada ping
        resp::close c
        on ada flushall
        eventually { [info_field ada used_memory] < $before + 1000000 }
    }
}

test "a client that goes, or breaks the protocol, in the middle of a big value leaves nothing behind" {
    with_node ada {
        set value [big_value 3000000]
        set before [info_field ada used_memory]
        for {set i 0} {$i < 8} {incr i} {
            connect c ada
            set id [send_most c ada set key$i $value]
            switch [expr {$i % 4}] {
                0 { resp::close c }
                1 { on ada client kill id $id }
                2 {
                    resp::write c "0123456789"
                    assert_equal {error {ERR Protocol error: expected CRLF after bulk string}} [resp::read c]
                }
                3 { chan close $::resp::chan(c) write }
            }
            eventually { [client_field ada $id id] eq "" }
        }
        assert_equal 0 [on ada dbsize]
        eventually { [info_field ada used_memory] < $before + 2000000 }
    }
}

test "MONITOR and the slow log see a value that was read into place" {
    with_node ada {slowlog-log-slower-than 0} {
        set value [big_value 100000]
        connect watcher ada
        resp::do watcher monitor
        connect c ada
        send_most c ada set key $value
        resp::write c $::rest
        assert_equal {simple OK} [resp::read c]
        while {![string match {*"set" "key"*} [set line [lindex [resp::read watcher] 1]]]} {}
        assert {[string match "*\"$value\"" $line]}
        set seen ""
        foreach entry [on ada slowlog get 20] {
            if {[lindex $entry 3 0] eq "set"} { set seen [lindex $entry 3 2] }
        }
        assert_equal "[string range $value 0 127]... (99872 more bytes)" $seen
    }
}

test "a big value that came while the node was paused is kept when it goes on" {
    with_node ada {
        set value [big_value 300000]
        connect c ada
        connect d ada
        set id [send_most c ada set key $value]
        on ada client pause 60000 write
        resp::write c "$::rest[resp::encode ping]"
        # One that came whole waits as well.
        resp::write d [resp::encode set other [string range $value 0 19999]][resp::encode ping]
        eventually { [string match *b* [client_field ada $id flags]] }
        assert_equal 0 [on ada exists key other]
        on ada client unpause
        assert_equal {{simple OK} {simple PONG}} [list [resp::read c] [resp::read c]]
        assert_equal {{simple OK} {simple PONG}} [list [resp::read d] [resp::read d]]
        assert {[on ada get key] eq $value}
        assert {[on ada get other] eq [string range $value 0 19999]}
    }
}

test "announcing big values takes no memory beyond its bound, and hinders nobody" {
    with_node ada {
        set before [info_field ada used_memory]
        for {set i 0} {$i < 40} {incr i} {
            connect liar$i ada
            resp::write liar$i "*3\r\n\$3\r\nset\r\n\$4\r\nlies\r\n\$50000000\r\n[string repeat x 1000]"
        }
        eventually { [regexp -all {qbuf=1[0-9]{3} } [on ada client list]] == 40 }
        assert {[info_field ada used_memory] < 290000000}
        assert {[info_field ada used_memory_rss] < 100000000}
        set value [big_value 2000000]
        assert_equal OK [on ada set key $value]
        assert {[on ada get key] eq $value}
        for {set i 0} {$i < 40} {incr i} { resp::close liar$i }
        eventually { [info_field ada used_memory] < $before + 3000000 }
        # The bound is free again.
        connect c ada
        set id [send_most c ada set key $value]
        assert {[client_field ada $id qbuf-free] < 1000000}
        resp::write c $::rest
        assert_equal {simple OK} [resp::read c]
    }
}

test "who has not logged in gets no entry for an announced value" {
    with_node ada {requirepass secret} {
        on ada auth secret
        set before [info_field ada used_memory]
        for {set i 0} {$i < 50} {incr i} {
            connect stranger$i ada
            resp::write stranger$i "*3\r\n\$3\r\nset\r\n\$3\r\nkey\r\n\$16384\r\n[string repeat x 100]"
        }
        eventually { [regexp -all {qbuf=1[0-9]{2} } [on ada client list]] == 50 }
        assert {[info_field ada used_memory] < $before + 50 * 16384}
        for {set i 0} {$i < 50} {incr i} {
            resp::write stranger$i "[string repeat x 16284]\r\n"
            assert_equal {error {NOAUTH Authentication required.}} [resp::read stranger$i]
        }
        assert_equal 0 [on ada dbsize]
    }
}

# --- Copied, with nobody waiting ---

# How many big values a command puts together without its slots' locks, and with them.
proc built_by {args} {
    set before [list [info_field ada big_values_built_unlocked] [info_field ada big_values_built_locked]]
    set ::built_reply [on ada {*}$args]
    list [expr {[info_field ada big_values_built_unlocked] - [lindex $before 0]}] \
        [expr {[info_field ada big_values_built_locked] - [lindex $before 1]}]
}

test "what copies a big value does so without the lock of its slot" {
    with_node ada {
        set value [big_value 300000]
        set other [big_value 20000 z]
        assert_equal {2 0} [built_by mset "{t}a" $value "{t}small" s "{t}b" $other]
        assert {[on ada mget "{t}a" "{t}small" "{t}b"] eq [list $value s $other]}
        assert_equal {0 0} [built_by mset "{t}small" s "{t}more" [string repeat x 16000]]
        assert_equal {2 0} [built_by msetnx "{t}c" $other "{t}d" $value]
        assert_equal {0 0} [built_by msetnx "{t}c" $value "{t}e" $value]
        assert_equal 0 $::built_reply
        assert {[on ada mget "{t}c" "{t}d" "{t}e"] eq [list $other $value {}]}
        on ada pexpireat "{t}a" 4000000000000
        assert_equal {1 0} [built_by copy "{t}a" "{t}copy"]
        assert {[on ada get "{t}copy"] eq $value}
        assert_equal 4000000000000 [on ada pexpiretime "{t}copy"]
        assert_equal {0 0} [built_by copy "{t}a" "{t}copy"]
        assert_equal 0 $::built_reply
        assert_equal {1 0} [built_by copy "{t}b" "{t}copy" replace]
        assert {[on ada get "{t}copy"] eq $other}
        assert_equal -1 [on ada ttl "{t}copy"]
        assert_equal {1 0} [built_by rename "{t}a" "{t}renamed"]
        assert {[on ada mget "{t}a" "{t}renamed"] eq [list {} $value]}
        assert_equal 4000000000000 [on ada pexpiretime "{t}renamed"]
        assert_equal {0 0} [built_by renamenx "{t}renamed" "{t}b"]
        assert_equal {1 0} [built_by renamenx "{t}renamed" "{t}a"]
        assert {[on ada get "{t}a"] eq $value}
        assert_equal {1 0} [built_by append "{t}fresh" $value]
        assert {[on ada get "{t}fresh"] eq $value}
        assert_equal {1 0} [built_by append "{t}small" $value]
        assert {[on ada get "{t}small"] eq "s$value"}
        assert_equal {1 0} [built_by append "{t}a" $value]
        assert {[on ada get "{t}a"] eq "$value$value"}
        assert_equal 4000000000000 [on ada pexpiretime "{t}a"]
        assert_equal {1 0} [built_by setrange "{t}far" 200000 end]
        assert {[on ada get "{t}far"] eq "[string repeat \0 200000]end"}
        on ada set "{t}s" 0123456789
        assert_equal {1 0} [built_by setrange "{t}s" 100000 end]
        assert {[on ada get "{t}s"] eq "0123456789[string repeat \0 99990]end"}
        on ada setex "{t}s" 1000 0123456789
        assert_equal {1 0} [built_by setrange "{t}s" 2 $value]
        assert {[on ada get "{t}s"] eq "01$value"}
        assert {[on ada ttl "{t}s"] > 900}
        assert_equal {1 0} [built_by setrange "{t}b" 400000 end]
        assert {[on ada get "{t}b"] eq "$other[string repeat \0 380000]end"}
        # From here to there in what is there already.
        assert_equal {0 0} [built_by setrange "{t}b" 100 XYZ]
        assert {[on ada getrange "{t}b" 99 104] eq "[string index $other 99]XYZ[string range $other 103 104]"}
        # The commands of a transaction happen together.
        connect c ada
        resp::do c multi
        resp::do c copy "{t}a" "{t}z"
        set before [list [info_field ada big_values_built_unlocked] [info_field ada big_values_built_locked]]
        assert_equal 1 [resp::do c exec]
        assert_equal [list [lindex $before 0] [expr {[lindex $before 1] + 1}]] \
            [list [info_field ada big_values_built_unlocked] [info_field ada big_values_built_locked]]
        assert {[on ada get "{t}z"] eq "$value$value"}
    }
}

test "a value that grows piece by piece is not copied for each piece" {
    with_node ada {
        set piece [big_value 1000]
        on ada set key [big_value 20000]
        set before [info_field ada big_values_built_unlocked]
        for {set i 0} {$i < 4000} {incr i} { on ada append key $piece }
        assert_equal 4020000 [on ada strlen key]
        # Each time it has grown by a fifth, at most; a sanitizer's allocator leaves no room at all.
        set built [expr {[info_field ada big_values_built_unlocked] - $before}]
        assert {$built <= ([string match *jemalloc* [info_field ada mem_allocator]] ? 40 : 4000)}
        assert_equal 0 [info_field ada big_values_built_locked]
        assert {[on ada getrange key 20000 -1] eq [string repeat $piece 4000]}
    }
}

test "copies of a value that others are changing are of one moment" {
    with_node ada {io-threads 2} {
        # Each version of the value is one letter throughout.
        on ada set "{t}key" [string repeat a 400000]
        foreach client {writer copier} { connect $client ada }
        for {set i 0} {$i < 200} {incr i} {
            set letter [string index abcdefghij [expr {$i % 10}]]
            resp::write writer [resp::encode set "{t}key" [string repeat $letter 400000]][resp::encode append "{t}key" $letter][resp::encode pexpire "{t}key" 100000]
            resp::write copier [resp::encode copy "{t}key" "{t}copy" replace][resp::encode get "{t}copy"][resp::encode rename "{t}copy" "{t}other"]
            assert_equal {{simple OK} {integer 400001} {integer 1}} [list [resp::read writer] [resp::read writer] [resp::read writer]]
            assert_equal {integer 1} [resp::read copier]
            set got [lindex [resp::read copier] 1]
            assert {[string length $got] in {400000 400001}}
            assert {[string trimleft $got [string index $got 0]] eq ""}
            assert_equal {simple OK} [resp::read copier]
        }
    }
}
