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
        eventually { [info_field ada used_memory] < 4000000 }
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
        assert {[on ada ttl a] == 100}
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
