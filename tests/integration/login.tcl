# Passwords: who guesses waits, everybody else does not; and whoever does not log in is not kept.

# How long the wrong password waits for its answer, in milliseconds.
proc guess {connection args} {
    set began [clock milliseconds]
    assert_match "WRONGPASS*" [lindex [resp::ask $connection {*}$args] 1]
    return [expr {[clock milliseconds] - $began}]
}

test "a wrong password waits, longer each time, over all connections of an address" {
    with_node ada {requirepass secret io-threads 1} {
        connect friend ada
        resp::do friend auth secret
        for {set i 0} {$i < 6} {incr i} {
            connect g$i ada
            # By AUTH and by HELLO, with a wrong name and a wrong password.
            set words [lindex {{auth wrong} {auth default wrong} {auth nobody secret} {hello 3 auth default wrong}} [expr {$i % 4}]]
            set ::resp::version(g$i) [expr {[lindex $words 0] eq "hello" ? 3 : 2}]
            set took($i) [guess g$i {*}$words]
        }
        # 5, 10, 20, 40, 80, 160, 320, 640: never earlier than that.
        assert {$took(4) >= 70} "the fifth waited $took(4) ms"
        assert {$took(5) >= 150} "the sixth waited $took(5) ms"
        # While one waits, the only worker serves the others, and nothing that follows overtakes the answer.
        connect slow ada
        set began [clock milliseconds]
        resp::write slow "[resp::encode auth wrong][resp::encode auth wrong][resp::encode get a][resp::encode auth secret][resp::encode ping]"
        resp::send friend set a b
        assert_equal {simple OK} [resp::read friend]
        assert_equal "" [resp::unread slow]
        for {set i 0} {$i < 100} {incr i} { assert_equal b [resp::do friend get a] }
        assert_match "WRONGPASS*" [lindex [resp::read slow] 1]
        # Guesses sent together wait one after the other: 320 ms and 640.
        assert_match "WRONGPASS*" [lindex [resp::read slow] 1]
        assert {[clock milliseconds] - $began >= 950}
        assert_match "NOAUTH*" [lindex [resp::read slow] 1]
        assert_equal {simple OK} [resp::read slow]
        assert_equal {simple PONG} [resp::read slow]
        # The right one was a new start: what would have waited for half a minute, at five seconds each, waits for 5 ms, then 10, 20...
        set began [clock milliseconds]
        connect again ada
        for {set i 0} {$i < 8} {incr i} { guess again auth wrong }
        assert {[clock milliseconds] - $began < 30000} "no new start"
        assert_equal 16 [regexp -all {a wrong password from 127.0.0.1:\d+} [node_log ada]]
        assert {[string first "secret" [node_log ada]] < 0}
    }
}

test "what follows a wrong password in one write is answered before the connection is closed" {
    with_node ada {requirepass secret} {
        connect leaver ada
        resp::write leaver "[resp::encode auth wrong][resp::encode quit]"
        assert_match "WRONGPASS*" [lindex [resp::read leaver] 1]
        assert_equal {simple OK} [resp::read leaver]
        assert {[resp::is_closed leaver]}
        connect confused ada
        resp::write confused "[resp::encode auth wrong]*1\r\n@"
        assert_match "WRONGPASS*" [lindex [resp::read confused] 1]
        assert_match "ERR Protocol error: expected '\$'*" [lindex [resp::read confused] 1]
        assert {[resp::is_closed confused]}
    }
}

test "a client that waits for its refusal can be killed, can leave, and does not keep the node from ending" {
    with_node ada {requirepass secret} {
        on ada auth secret
        # Until the delay is long enough to be seen.
        connect warm ada
        for {set i 0} {$i < 8} {incr i} { guess warm auth wrong }
        foreach c {killed left kept} {
            connect $c ada
            resp::write $c "[resp::encode client setname $c][resp::encode auth wrong][resp::encode ping]"
        }
        # Each of them has been read, and holds its answer back.
        eventually { [regexp -all {a wrong password from} [node_log ada]] == 11 }
        assert {[resp::unread killed] eq "" && [resp::unread kept] eq ""}
        foreach line [split [string trim [on ada client list]] \n] {
            if {[regexp {^id=(\d+) .*:(\d+) laddr} $line -> id port] && $port == [lindex [fconfigure $::resp::chan(killed) -sockname] 2]} {
                assert_equal 1 [on ada client kill id $id]
            }
        }
        assert {[resp::is_closed killed]}
        resp::close left
        assert_equal PONG [on ada ping]
        node_stop ada
        assert {[resp::is_closed kept]}
    }
}

test "where no password is asked for nobody waits for a wrong one" {
    with_node ada {
        set began [clock milliseconds]
        for {set i 0} {$i < 30} {incr i} { assert_match "WRONGPASS*" [lindex [typed_on ada auth nobody wrong] 1] }
        # Thirty guesses would take more than a minute and a half.
        assert {[clock milliseconds] - $began < 90000}
    }
}

test "whoever has not logged in after ten seconds is disconnected, and nobody else" {
    with_node ada {requirepass secret} {
        set began [clock milliseconds]
        connect stranger ada
        connect babbler ada
        connect member ada
        resp::do member auth secret
        # Talking is not logging in.
        while {[clock milliseconds] - $began < 60000} {
            if {[catch {resp::ask babbler get x}]} break
            wait_ms 200
        }
        set took [expr {[clock milliseconds] - $began}]
        assert {$took > 9000 && $took < 60000} "disconnected after $took ms"
        assert {[resp::is_closed stranger]}
        assert_equal PONG [resp::do member ping]
        # RESET logs out: the ten seconds begin then, and not when the connection did.
        assert_equal RESET [resp::do member reset]
        wait_ms 1500
        assert_equal OK [resp::do member auth secret]
        assert_equal PONG [resp::do member ping]
    }
}

test "a stranger who does not read his answers is disconnected, and costs a kilobyte" {
    with_node ada {requirepass secret} {
        connect friend ada
        resp::do friend auth secret
        connect deaf ada
        # More answers than the system keeps for one who does not read.
        set request [string repeat [resp::encode get a] 20000]
        set sent 0
        fconfigure $::resp::chan(deaf) -blocking 0
        while {$sent < 60 && ![catch { puts -nonewline $::resp::chan(deaf) $request; flush $::resp::chan(deaf) }]} {
            incr sent
            wait_ms 5
            if {[field_of [resp::do friend info clients] connected_clients] == 1} break
        }
        eventually { [field_of [resp::do friend info clients] connected_clients] == 1 }
        # Not for what he sent meanwhile, which has a limit of its own.
        assert {[string first "bytes of one request" [node_log ada]] < 0}
        assert_equal PONG [resp::do friend ping]
    }
}
