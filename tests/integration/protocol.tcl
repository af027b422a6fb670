# The protocol: what a connection may say, in which pieces, and what ends it.

# Sends bytes on a fresh connection; gives all bytes that came back and whether the server closed.
proc exchange {name bytes} {
    connect probe $name
    catch { resp::write probe $bytes }
    set closed [resp::is_closed probe]
    return [list [resp::unread probe] $closed]
}

# The replies to these bytes followed by a PING whose answer shows that the connection is in step.
proc in_step {name bytes} {
    connect probe $name
    resp::write probe $bytes[resp::encode ping in-step]
    set out {}
    while 1 {
        lappend out [resp::read probe]
        if {[lindex $out end] eq {bulk in-step}} { return [lrange $out 0 end-1] }
    }
}

test "an inline command is words on a line, quoted where they need it" {
    with_node ada {
        assert_equal {{simple OK} {bulk hello}} [in_step ada "set key hello\r\nget key\r\n"]
        assert_equal {{bulk hello}} [in_step ada "get key\n"]
        assert_equal {{bulk hello}} [in_step ada "   get    key   \r\n"]
        assert_equal {{bulk {a b}}} [in_step ada "echo \"a b\"\r\n"]
        assert_equal [list [list bulk "a\nb\x01\"c"]] [in_step ada "echo \"a\\nb\\x01\\\"c\"\r\n"]
        assert_equal [list [list bulk {a\n'b}]] [in_step ada "echo 'a\\n\\'b'\r\n"]
        assert_equal {{bulk {}}} [in_step ada "echo \"\"\r\n"]
        assert_equal {} [in_step ada "\r\n\n   \r\n"]
    }
}

test "quotes that do not close end the connection" {
    with_node ada {
        foreach line {"echo \"abc\r\n" "echo 'abc\r\n" "echo \"a\"b\r\n" "echo 'a'b\r\n"} {
            lassign [exchange ada [subst -novariables -nocommands $line]] reply closed
            assert_equal "-ERR Protocol error: unbalanced quotes in request\r\n" $reply
            assert {$closed}
        }
    }
}

test "empty requests are passed over without a reply" {
    with_node ada {
        assert_equal {} [in_step ada "*0\r\n"]
        assert_equal {} [in_step ada "*-1\r\n"]
        assert_equal {{simple PONG}} [in_step ada "*0\r\n\r\n*1\r\n\$4\r\nPING\r\n*-10\r\n"]
        assert_equal {{bulk x}} [in_step ada "\r\n*2\r\n\$4\r\necho\r\n\$1\r\nx\r\n"]
    }
}

test "what breaks the protocol is named and ends the connection" {
    with_node ada {
        foreach {bytes error} [list \
            "*1\r\n:1\r\n"                  "expected '\$', got ':'" \
            "*1\r\nPING\r\n"                "expected '\$', got 'P'" \
            "*a\r\n"                        "invalid multibulk length" \
            "*\r\n"                         "invalid multibulk length" \
            "*2147483648\r\n"               "invalid multibulk length" \
            "*9223372036854775808\r\n"      "invalid multibulk length" \
            "*99999999999999999999\r\n"     "invalid multibulk length" \
            "*1\r\n\$-1\r\n"                "invalid bulk length" \
            "*1\r\n\$x\r\n"                 "invalid bulk length" \
            "*1\r\n\$\r\n"                  "invalid bulk length" \
            "*1\r\n\$9223372036854775807\r\n" "invalid bulk length" \
            "*1\r\n\$536870913\r\n"         "invalid bulk length" \
            "*1\r\n\$18446744073709551617\r\n" "invalid bulk length" \
        ] {
            lassign [exchange ada $bytes] reply closed
            assert_equal "-ERR Protocol error: $error\r\n" $reply [resp::printable $bytes]
            assert {$closed}
        }
        # What came before is answered first, what comes after is not run.
        lassign [exchange ada "[resp::encode set a 1]*1\r\n\$-5\r\n[resp::encode set a 2]"] reply closed
        assert_equal "+OK\r\n-ERR Protocol error: invalid bulk length\r\n" $reply
        assert_equal 1 [on ada get a]
    }
}

test "a line that never ends is refused at 64 KiB" {
    with_node ada {
        lassign [exchange ada [string repeat x 70000]] reply closed
        assert_equal "-ERR Protocol error: too big inline request\r\n" $reply
        assert {$closed}
        lassign [exchange ada "*[string repeat 1 70000]"] reply closed
        assert_equal "-ERR Protocol error: too big mbulk count string\r\n" $reply
        lassign [exchange ada "*1\r\n\$[string repeat 1 70000]"] reply closed
        assert_equal "-ERR Protocol error: too big bulk count string\r\n" $reply
    }
}

test "a request may be cut at every byte" {
    with_node ada {
        set request "[resp::encode set key "a\r\nvalue"][resp::encode get key]ping inline\r\n[resp::encode mget key missing]*0\r\n[resp::encode echo {}]"
        set expected "+OK\r\n\$8\r\na\r\nvalue\r\n\$6\r\ninline\r\n*2\r\n\$8\r\na\r\nvalue\r\n\$-1\r\n\$0\r\n\r\n"
        connect c ada
        proc read_until {c expected} {
            while {[string length [resp::unread $c]] < [string length $expected]} { resp::fill $c }
            set got [resp::unread $c]
            set ::resp::pos($c) [string length $::resp::buf($c)]
            return $got
        }
        for {set cut 1} {$cut < [string length $request]} {incr cut} {
            resp::write c [string range $request 0 [expr {$cut - 1}]]
            # A command in between on another connection lets the server read the first piece by itself.
            on ada ping
            resp::write c [string range $request $cut end]
            assert_equal $expected [read_until c $expected] "cut after $cut bytes"
        }
        foreach byte [split $request ""] {
            resp::write c $byte
            on ada ping
        }
        assert_equal $expected [read_until c $expected] "byte by byte"
    }
}

test "ten thousand pipelined commands are answered in their order" {
    with_node ada {
        connect c ada
        set batch ""
        for {set i 0} {$i < 10000} {incr i} {
            append batch [resp::encode set key:[expr {$i % 100}] $i] [resp::encode get key:[expr {$i % 100}]]
        }
        # Not all at once: neither side may wait for the other forever with both buffers full.
        fconfigure $::resp::chan(c) -blocking 0
        puts -nonewline $::resp::chan(c) $batch
        flush $::resp::chan(c)
        for {set i 0} {$i < 10000} {incr i} {
            assert_equal {simple OK} [resp::read c]
            assert_equal [list bulk $i] [resp::read c]
        }
    }
}

test "a client that writes and closes its half still gets its replies" {
    with_node ada {
        connect c ada
        resp::write c "[resp::encode set half closed][resp::encode get half]"
        chan close $::resp::chan(c) write
        assert_equal {simple OK} [resp::read c]
        assert_equal {bulk closed} [resp::read c]
    }
}

test "HELLO changes the protocol and says who answers" {
    with_node ada {
        connect c ada
        set fields [resp::plain [resp::ask c hello]]
        foreach field {server version proto id mode role modules} { assert {[dict exists $fields $field]} "no $field" }
        assert_equal redis [dict get $fields server]
        assert_equal 2 [dict get $fields proto]
        assert_equal map [lindex [resp::hello3 c] 0]
        assert_equal "_\r\n" [expr {[resp::ask c get missing] eq {null {}} ? [resp::raw c] : "?"}]
        resp::ask c config get maxclients
        assert_match "%1\r\n*" [resp::raw c]
        resp::send c hello 2
        set ::resp::version(c) 2
        assert_equal array [lindex [resp::read c] 0]
        resp::ask c get missing
        assert_equal "\$-1\r\n" [resp::raw c]
    }
}

test "HELLO refuses what it does not know and changes nothing then" {
    with_node ada {requirepass secret} {
        connect c ada
        foreach {words error} {
            {hello 1}                     "NOPROTO unsupported protocol version"
            {hello 4}                     "NOPROTO unsupported protocol version"
            {hello x}                     "ERR Protocol version is not an integer or out of range"
            {hello 3 auth default wrong}  "WRONGPASS invalid username-password pair or user is disabled."
            {hello 3 bogus}               "ERR Syntax error in HELLO option 'bogus'"
            {hello 3 auth default}        "ERR Syntax error in HELLO option 'auth'"
        } {
            assert_equal [list error $error] [resp::ask c {*}$words] $words
        }
        assert_match "NOAUTH HELLO must be called with the client already authenticated*" [lindex [resp::ask c hello 3] 1]
        assert_error "NOAUTH*" { resp::do c get key }
        set ::resp::version(c) 3
        assert_equal map [lindex [resp::ask c hello 3 auth default secret setname visitor] 0]
        assert_equal visitor [resp::do c client getname]
    }
}

test "a web browser's request is not run" {
    with_node ada {
        foreach request {
            "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 20\r\n\r\nset stolen yes\r\n"
            "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nset stolen yes\r\n"
            "post / HTTP/1.0\r\n\r\nset stolen yes\r\n"
            "host: x\r\nset stolen yes\r\n"
            "GET / HTTP/1.0\r\n\r\nset stolen yes\r\n"
            "POST /a b HTTP/1.0\r\n\r\nset stolen yes\r\n"
            "OPTIONS * HTTP/1.1\r\nset stolen yes\r\n"
        } {
            lassign [exchange ada $request] reply closed
            assert {$closed} "still open after [resp::printable $request]"
            assert_equal "" $reply [resp::printable $request]
            assert_equal 0 [on ada exists stolen]
        }
        eventually { [regexp -nocase {security attack|another protocol} [node_log ada]] }
    }
}

test "a TLS greeting on the plain port is not taken for commands" {
    with_node ada {
        lassign [exchange ada "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03[string repeat "\x00" 64]\r\nset stolen yes\r\n"] reply closed
        assert {$closed && $reply eq ""}
        # In two pieces, the first of which could be the start of an inline command.
        connect halves ada
        resp::write halves "\x16"
        on ada ping
        resp::write halves "\x03\x01\nset stolen yes\r\n"
        assert {[resp::is_closed halves] && [resp::unread halves] eq ""}
        assert_equal 0 [on ada exists stolen]
        assert_equal PONG [on ada ping]
    }
}

test "before the password little is read" {
    with_node ada {requirepass secret} {
        lassign [exchange ada "*11\r\n"] reply closed
        assert_equal "-ERR Protocol error: unauthenticated multibulk length\r\n" $reply
        assert {$closed}
        lassign [exchange ada "*2\r\n\$4\r\nAUTH\r\n\$16385\r\n"] reply closed
        assert_equal "-ERR Protocol error: unauthenticated bulk length\r\n" $reply
        assert {$closed}
        connect c ada
        assert_equal {error {NOAUTH Authentication required.}} [resp::ask c get x]
        assert_equal {error {NOAUTH Authentication required.}} [resp::ask c ping]
        assert_equal {simple OK} [resp::ask c auth secret]
        assert_equal {simple OK} [resp::ask c set big [string repeat x 100000]]
        assert_equal 100000 [resp::do c strlen big]
    }
}

test "no reply has a line end inside a line, whatever a client names" {
    with_node ada {
        connect c ada
        foreach words [list [list "fo\r\no" "ba\nr"] [list "config" "x\r\ny"] [list "client" "setname" "a\r\nb"] \
            [list "object" "he\nlp" "x"] [list "set" "k" "v" "b\r\nad"] [list "hello" "3" "o\r\nops"] [list "cluster" "\r\n"]] {
            # The strict parser refuses a reply that is not one line.
            assert_equal error [lindex [resp::ask c {*}$words] 0] $words
        }
        assert_equal PONG [resp::do c ping]
    }
}

test "a value of 64 MiB goes in and comes out" {
    with_node ada {
        set value [string repeat "0123456789abcdef" 4194304]
        assert_equal OK [on ada set big $value]
        assert_equal 67108864 [on ada strlen big]
        assert {[on ada get big] eq $value} "the value changed on its way"
        # Pipelined behind a small one, and read slowly.
        connect c ada
        resp::write c [resp::encode ping][resp::encode get big][resp::encode ping]
        wait_ms 200
        assert_equal {simple PONG} [resp::read c]
        assert_equal 67108864 [string length [lindex [resp::read c] 1]]
        assert_equal {simple PONG} [resp::read c]
    }
}

test "QUIT says OK and closes, and what follows it is not run" {
    with_node ada {
        lassign [exchange ada "[resp::encode quit][resp::encode set after quit]"] reply closed
        assert_equal "+OK\r\n" $reply
        assert {$closed}
        assert_equal 0 [on ada exists after]
    }
}

test "RESET brings a connection back to how it began" {
    with_node ada {
        connect c ada
        resp::hello3 c
        resp::do c client setname visitor
        resp::do c multi
        resp::send c reset
        set ::resp::version(c) 2
        assert_equal {simple RESET} [resp::read c]
        assert_equal {} [resp::do c client getname]
        assert_error "ERR EXEC without MULTI" { resp::do c exec }
    }
}
