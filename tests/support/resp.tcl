# resp.tcl: a strict RESP2 and RESP3 client.
#
# It checks what a lenient client lets pass: every line ends in CRLF and holds no other CR or LF, integers are canonical,
# a bulk is followed by CRLF, RESP3's types never come on a RESP2 connection and RESP2's nulls never on a RESP3 one. It
# keeps the raw bytes of each reply, so that two servers can be compared byte by byte.
#
#     resp::open name host port         a connection; the name is the caller's
#     resp::send name get k             writes a command as an array of bulks
#     resp::read name                   {type value}, e.g. {bulk hello} {array {{integer 1} {null {}}}}
#     resp::raw name                    the bytes of the reply that was read last
#     resp::plain reply                 the value a test wants: a Tcl string or list; an error is thrown
#     resp::do name get k               send, read, plain

namespace eval resp {
    variable chan; array set chan {}
    variable buf; array set buf {}
    variable pos; array set pos {}
    variable version; array set version {}
    variable timeout_ms 60000
    variable woken 0
    variable start; array set start {}
    variable last; array set last {}
}

# Opens a TCP connection ("host port") or fails. Binary; written when a whole request is there.
proc resp::open {name host port} {
    variable chan
    set s [socket $host $port]
    # One write for a request: Tcl sockets have Nagle's algorithm on, and a second small write would wait 40 ms.
    fconfigure $s -translation binary -buffering full -buffersize 1000000 -blocking 0
    set chan($name) $s
    reset_state $name
    return $name
}

proc resp::reset_state {name} {
    variable buf; variable pos; variable version; variable start; variable last
    set buf($name) ""
    set pos($name) 0
    set start($name) 0
    set version($name) 2
    set last($name) ""
}

proc resp::close {name} {
    variable chan
    if {[info exists chan($name)]} {
        catch {::close $chan($name)}
        unset chan($name)
    }
}

proc resp::is_open {name} {
    variable chan
    return [info exists chan($name)]
}

# The bytes of a command as clients send it.
proc resp::encode {args} {
    set out "*[llength $args]\r\n"
    foreach arg $args {
        append out "\$[string length $arg]\r\n$arg\r\n"
    }
    # Characters are bytes here: one above 255 is a mistake in the test, better seen than sent cut.
    return $out
}

# Writes bytes as they are. Blocking for the write only, so that a big request is not kept in Tcl's own buffers.
proc resp::write {name bytes} {
    variable chan
    fconfigure $chan($name) -blocking 1
    puts -nonewline $chan($name) $bytes
    flush $chan($name)
    fconfigure $chan($name) -blocking 0
}

proc resp::send {name args} {
    write $name [encode {*}$args]
}

# Waits for more bytes; an error "closed" at the end of the stream, "timeout" when none come.
proc resp::fill {name} {
    variable chan; variable buf; variable pos; variable timeout_ms; variable woken; variable start
    set s $chan($name)
    if {$start($name) > 65536} {
        # What was consumed is dropped in big steps: dropping it after each reply would copy the rest each time.
        set buf($name) [string range $buf($name) $start($name) end]
        incr pos($name) -$start($name)
        set start($name) 0
    }
    set more [::read $s]
    if {$more eq "" && ![eof $s]} {
        set id [after $timeout_ms {set ::resp::woken timeout}]
        fileevent $s readable {set ::resp::woken readable}
        vwait ::resp::woken
        after cancel $id
        fileevent $s readable {}
        if {$woken eq "timeout"} { error "timeout: no reply within $timeout_ms ms" "" {RESP TIMEOUT} }
        set more [::read $s]
    }
    if {$more eq "" && [eof $s]} { error "closed: the server closed the connection" "" {RESP CLOSED} }
    append buf($name) $more
}

proc resp::line {name} {
    variable buf; variable pos
    # A search in the whole buffer would turn all of it from bytes into text, each time: search in a window.
    set window 64
    while 1 {
        set text [string range $buf($name) $pos($name) [expr {$pos($name) + $window - 1}]]
        set end [string first "\r\n" $text]
        if {$end >= 0} break
        if {[string length $text] < $window} { fill $name } else { set window [expr {$window * 4}] }
    }
    set text [string range $text 0 [expr {$end - 1}]]
    incr pos($name) [expr {$end + 2}]
    if {[string first "\r" $text] >= 0 || [string first "\n" $text] >= 0} {
        broken "a bare CR or LF inside a line: [printable $text]"
    }
    return $text
}

proc resp::take {name len} {
    variable buf; variable pos
    while {[string length $buf($name)] < $pos($name) + $len + 2} { fill $name }
    set bytes [string range $buf($name) $pos($name) [expr {$pos($name) + $len - 1}]]
    set tail [string range $buf($name) [expr {$pos($name) + $len}] [expr {$pos($name) + $len + 1}]]
    if {$tail ne "\r\n"} { broken "a bulk that does not end in CRLF" }
    incr pos($name) [expr {$len + 2}]
    return $bytes
}

proc resp::broken {why} {
    error "broken RESP: $why" "" {RESP BROKEN}
}

# Bytes for a message: control characters as escapes, cut at a bearable length.
proc resp::printable {bytes {max 400}} {
    set out ""
    foreach c [split [string range $bytes 0 [expr {$max - 1}]] ""] {
        scan $c %c code
        switch -exact -- $c {
            "\r" { append out "\\r" }
            "\n" { append out "\\n" }
            "\t" { append out "\\t" }
            default {
                if {$code < 32 || $code > 126} { append out [format "\\x%02x" $code] } else { append out $c }
            }
        }
    }
    if {[string length $bytes] > $max} { append out "...([string length $bytes] bytes)" }
    return $out
}

proc resp::integer_of {text} {
    if {![regexp {^(0|-?[1-9][0-9]*)$} $text]} { broken "not a canonical integer: [printable $text]" }
    return $text
}

proc resp::length_of {text} {
    if {![regexp {^(0|[1-9][0-9]*)$} $text]} { broken "not a length: [printable $text]" }
    return $text
}

proc resp::only3 {name type} {
    variable version
    if {$version($name) != 3} { broken "RESP3 type '$type' on a RESP2 connection" }
}

proc resp::items {name count} {
    set out {}
    for {set i 0} {$i < $count} {incr i} { lappend out [value $name] }
    return $out
}

proc resp::value {name} {
    variable version
    set head [line $name]
    set type [string index $head 0]
    set rest [string range $head 1 end]
    switch -exact -- $type {
        "+" { return [list simple $rest] }
        "-" {
            if {$rest eq ""} { broken "an empty error" }
            return [list error $rest]
        }
        ":" { return [list integer [integer_of $rest]] }
        "\$" {
            if {$rest eq "-1"} {
                if {$version($name) == 3} { broken "RESP2's null on a RESP3 connection" }
                return {null {}}
            }
            return [list bulk [take $name [length_of $rest]]]
        }
        "*" {
            if {$rest eq "-1"} {
                if {$version($name) == 3} { broken "RESP2's null array on a RESP3 connection" }
                return {null {}}
            }
            return [list array [items $name [length_of $rest]]]
        }
        "_" {
            only3 $name _
            if {$rest ne ""} { broken "bytes after _" }
            return {null {}}
        }
        "%" { only3 $name %; return [list map [items $name [expr {2 * [length_of $rest]}]]] }
        "~" { only3 $name ~; return [list set [items $name [length_of $rest]]] }
        ">" { only3 $name >; return [list push [items $name [length_of $rest]]] }
        "#" {
            only3 $name "#"
            if {$rest ni {t f}} { broken "not a boolean: $rest" }
            return [list boolean $rest]
        }
        "," {
            only3 $name ,
            if {![string is double -strict $rest] && $rest ni {inf -inf nan}} { broken "not a double: $rest" }
            return [list double $rest]
        }
        "(" { only3 $name "("; return [list bignum [integer_of $rest]] }
        "=" {
            only3 $name =
            set text [take $name [length_of $rest]]
            if {![regexp {^...:} $text]} { broken "a verbatim string without its format" }
            return [list verbatim [string range $text 4 end]]
        }
        default { broken "unknown type byte in [printable $head]" }
    }
}

# Reads one reply. A RESP3 push is a reply of its own.
proc resp::read {name} {
    variable buf; variable pos; variable start; variable last
    set start($name) $pos($name)
    set reply [value $name]
    set last($name) [string range $buf($name) $start($name) [expr {$pos($name) - 1}]]
    set start($name) $pos($name)
    return $reply
}

proc resp::raw {name} {
    variable last
    return $last($name)
}

# True once the server has closed; bytes that came before are kept unread.
proc resp::is_closed {name {wait_ms 60000}} {
    variable timeout_ms
    set saved $timeout_ms
    set timeout_ms $wait_ms
    try {
        while 1 { fill $name }
    } trap {RESP CLOSED} {} {
        return 1
    } trap {RESP TIMEOUT} {} {
        return 0
    } on error {} {
        return 1
    } finally {
        set timeout_ms $saved
    }
}

# Bytes that have come and were not read as a reply.
proc resp::unread {name} {
    variable buf; variable pos
    return [string range $buf($name) $pos($name) end]
}

proc resp::plain {reply} {
    lassign $reply type value
    switch -exact -- $type {
        error { return -code error -errorcode [list REDIS [lindex [split $value] 0]] $value }
        array - map - set - push {
            set out {}
            foreach item $value {
                # An error inside an array (EXEC) is data.
                if {[lindex $item 0] eq "error"} { lappend out [lindex $item 1] } else { lappend out [plain $item] }
            }
            return $out
        }
        default { return $value }
    }
}

proc resp::do {name args} {
    send $name {*}$args
    return [plain [read $name]]
}

# Like do, but gives {type value}, errors too.
proc resp::ask {name args} {
    send $name {*}$args
    return [read $name]
}

# Switches the connection to RESP3.
proc resp::hello3 {name} {
    variable version
    send $name hello 3
    set version($name) 3
    return [read $name]
}
