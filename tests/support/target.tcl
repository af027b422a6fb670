# target.tcl: where MIGRATE sends keys to, in the test's own hands.

# A stand-in for a target: tells ::heard what it was asked, and answers what the script says. The script is run for each request, with its words in
# `words` and the socket in `peer`; it returns the reply's bytes, or "" for none.
proc fake_start {script} {
    set ::fake_script $script
    set ::heard {}
    set ::fake_buf {}
    set ::fake_peers {}
    set ::fake [socket -server fake_accept -myaddr 127.0.0.1 0]
    return [lindex [fconfigure $::fake -sockname] 2]
}

proc fake_accept {peer host port} {
    fconfigure $peer -translation binary -blocking 0 -buffering none
    lappend ::fake_peers $peer
    dict set ::fake_buf $peer ""
    fileevent $peer readable [list fake_read $peer]
}

proc fake_read {peer} {
    set bytes [read $peer]
    if {$bytes eq "" && [eof $peer]} { fake_drop $peer; return }
    dict append ::fake_buf $peer $bytes
    while {[dict exists $::fake_buf $peer] && [set words [fake_request $peer]] ne {}} {
        lappend ::heard $words
        set reply [apply [list {words peer} $::fake_script] $words $peer]
        if {$reply ne "" && [dict exists $::fake_buf $peer]} { catch { puts -nonewline $peer $reply } }
    }
}

# Takes a whole request out of what has come, or {}.
proc fake_request {peer} {
    set buf [dict get $::fake_buf $peer]
    if {![regexp {^\*(\d+)\r\n} $buf head count]} { return {} }
    set at [string length $head]
    set words {}
    for {set i 0} {$i < $count} {incr i} {
        if {![regexp -start $at {\A\$(\d+)\r\n} $buf head len]} { return {} }
        incr at [string length $head]
        if {[string length $buf] < $at + $len + 2} { return {} }
        lappend words [string range $buf $at [expr {$at + $len - 1}]]
        incr at [expr {$len + 2}]
    }
    dict set ::fake_buf $peer [string range $buf $at end]
    return $words
}

proc fake_drop {peer} {
    catch { close $peer }
    set ::fake_peers [lsearch -all -inline -not -exact $::fake_peers $peer]
    dict unset ::fake_buf $peer
}

proc fake_stop {} {
    catch { close $::fake }
    foreach peer $::fake_peers { fake_drop $peer }
}

# The commands it heard, without arguments.
proc heard_names {} { return [lmap words $::heard { string tolower [lindex $words 0] }] }

# A way to a node that the test can cut. ::way_mode: pass, or lose_replies (the target hears, and is not heard), or lose_all.
proc way_start {to} {
    set ::way_mode pass
    set ::way_to [node_port $to]
    set ::ways {}
    set ::way_bytes 0
    set ::way [socket -server way_accept -myaddr 127.0.0.1 0]
    return [lindex [fconfigure $::way -sockname] 2]
}
proc way_accept {near host port} {
    if {[catch { socket 127.0.0.1 $::way_to } far]} { close $near; return }
    foreach s [list $near $far] { fconfigure $s -translation binary -blocking 0 -buffering none }
    fileevent $near readable [list way_carry $near $far there]
    fileevent $far readable [list way_carry $far $near back]
    lappend ::ways [list $near $far]
}
proc way_carry {from to direction} {
    if {[catch { read $from } bytes] || ($bytes eq "" && [eof $from])} { catch { close $from }; catch { close $to }; return }
    if {$direction eq "there"} { incr ::way_bytes [string length $bytes] }
    if {$::way_mode eq "lose_all" || ($::way_mode eq "lose_replies" && $direction eq "back")} return
    catch { puts -nonewline $to $bytes }
}
proc way_cut {} {
    foreach pair $::ways { foreach s $pair { catch { close $s } } }
    set ::ways {}
}
proc way_stop {} { catch { close $::way }; way_cut }
