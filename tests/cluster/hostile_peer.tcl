# A member of the cluster that says what no node would: the bus asks nobody for a password, so whatever a peer sends is input.

# --- A peer in the test's own hands ---

# A packet of the bus. The rest of the words are fields: sender ip port cport flags epoch primary gossip (a list of entries) extensions (a list) data.
proc bus_packet {type args} {
    array set f [list sender $::peer_id ip "" port [expr {$::peer_port}] cport [expr {$::peer_port + 10000}] flags 0x11 epoch 0 primary "" slots "" gossip {} extensions {} data ""]
    array set f $args
    set body "[join $f(gossip) {}][join $f(extensions) {}]$f(data)"
    return [binary format "a4ISSSSWWWa40a2048a40a46Sa30SSSca3a*" RCmb [expr {2256 + [string length $body]}] 1 $f(port) $type [llength $f(gossip)] \
        $f(epoch) $f(epoch) 0 $f(sender) $f(slots) $f(primary) $f(ip) [llength $f(extensions)] "" 0 $f(cport) $f(flags) 0 "\x04" $body]
}
proc bus_gossip {id ip port flags} { return [binary format a40IIa46SSSSS $id 0 [clock seconds] $ip $port [expr {$port + 10000}] $flags 0 0] }
proc bus_extension {type data} {
    set padded [expr {([string length $data] + 7) / 8 * 8}]
    return [binary format ISSa$padded [expr {8 + $padded}] $type 0 $data]
}

# Answers every PING and MEET that comes to it, in the words it is in the habit of, and counts what it hears. (A name that is not said again with
# every PING and PONG is taken back by it.)
proc peer_accept {s host port} {
    fconfigure $s -translation binary -blocking 0 -buffering none
    set ::peer_buf($s) ""
    fileevent $s readable [list peer_read $s]
}
proc peer_read {s} {
    if {[catch { read $s } bytes] || ($bytes eq "" && [eof $s])} { close $s; return }
    append ::peer_buf($s) $bytes
    while {[string length $::peer_buf($s)] >= 8} {
        binary scan $::peer_buf($s) @4Iu len
        if {[string length $::peer_buf($s)] < $len} return
        binary scan $::peer_buf($s) @12S type
        set ::peer_buf($s) [string range $::peer_buf($s) $len end]
        if {$type == 1 && $s eq $::peer} { incr ::peer_answered }
        if {$type in {0 2}} { catch { puts -nonewline $s [bus_packet 1 {*}$::peer_habit] } }
    }
}

# Becomes a member that the node knows.
proc peer_join {name} {
    set ::peer_id [string repeat ab12 10]
    set ::peer_port [free_port]
    set ::peer_answered 0
    set ::peer_habit {}
    set ::peer_listener [socket -server peer_accept -myaddr 127.0.0.1 [expr {$::peer_port + 10000}]]
    peer_connect $name
    puts -nonewline $::peer [bus_packet 2]
    eventually { $::peer_answered == 1 }
    eventually { [string match "*$::peer_id 127.0.0.1:$::peer_port@*connected*" [on $name cluster nodes]] && ![string match *handshake* [on $name cluster nodes]] }
}
proc peer_connect {name} {
    set ::peer [socket 127.0.0.1 [expr {[node_port $name] + 10000}]]
    peer_accept $::peer "" ""
}
# Says something, and has it read: a PING behind it is answered on the same connection. `answered` says whether itself will be.
proc peer_say {name packet answered} {
    set until [expr {$::peer_answered + 1 + $answered}]
    puts -nonewline $::peer $packet[bus_packet 0 {*}$::peer_habit]
    eventually { $::peer_answered >= $until }
}
proc peer_takes_the_habit {name words} {
    set ::peer_habit $words
    peer_say $name "" 0
}
proc peer_end {} {
    catch { close $::peer }
    catch { close $::peer_listener }
}

# Nothing that others sent can begin a line, end a field or colour a terminal.
proc only_plain_text {what text} {
    if {[regexp {[^ -~\n\t]} $text bad]} { fail "$what holds [resp::printable $bad]: [resp::printable $text 2000]" }
}
proc plain_lines_of_nodes {name} {
    only_plain_text "CLUSTER NODES" [on $name cluster nodes]
    foreach line [split [string trimright [on $name cluster nodes] \n] \n] {
        if {![regexp {^[0-9a-z]{40} [-0-9a-zA-Z.:_%]*:\d+@\d+(,[-0-9a-zA-Z.]*)? [a-z,?]+ (-|[0-9a-z]{40}) \d+ \d+ \d+ (dis)?connected( .*)?$} $line]} { fail "a line like no other: [resp::printable $line]" }
    }
}

set ::nasty [list "a\nb" "a\rb" "a b" "a,b" "a:b" "a\x00b" "\x1b\[31mred" "\xff\xfe" "%s%n" "../../x" "a\tb" "\x7f" [string repeat X 300] " "]

test "whatever a peer calls itself and others, only what an id, an address or a host name is made of is kept, shown, logged or saved" {
    if {[server_is_redis]} { skip "ours only" }
    node_start ada [dict merge $::cluster_options {loglevel debug}]
    on ada cluster addslotsrange 0 16383
    peer_join ada
    # A name that is one is taken: what is refused below is refused for what it is.
    peer_takes_the_habit ada [list extensions [list [bus_extension 0 "good-name.example\x00"]]]
    eventually { [string match "*,good-name.example *" [on ada cluster nodes]] }
    peer_say ada [bus_packet 0 gossip [list [bus_gossip [string repeat cd34 10] 10.9.8.7 7777 1]]] 1
    eventually { [string match "*[string repeat cd34 10] 10.9.8.7:7777@17777 *" [on ada cluster nodes]] }
    set known [field_of [on ada cluster info] cluster_known_nodes]

    foreach text $::nasty {
        set id [string range "$text[string repeat ef56 10]" 0 39]
        # Names are read where they are heard, and have to be said again and again.
        foreach extensions [list \
            [list [bus_extension 0 "$text\x00"]] [list [bus_extension 0 $text]] [list [bus_extension 2 "$id[binary format W 60]"]] \
            [list [bus_extension 1 "$text\x00"] [bus_extension 3 $id] [bus_extension 4 "$text\x00"]] \
        ] {
            peer_takes_the_habit ada [list extensions $extensions]
            plain_lines_of_nodes ada
        }
        peer_takes_the_habit ada {}
        # These are dropped, answered or not: only that nothing comes of them is asked.
        foreach packet [list [bus_packet 0 ip "127.0.0.1$text"] [bus_packet 0 ip $text] [bus_packet 0 primary $id flags 0x12] \
            [bus_packet 0 gossip [list [bus_gossip $id 10.9.8.6 7778 1]]] \
            [bus_packet 0 gossip [list [bus_gossip [string repeat fa78 10] $text 7779 1]]] \
            [bus_packet 0 gossip [list [bus_gossip [string repeat cd34 10] $text 7777 9]]] \
            [bus_packet 2 sender $id] [bus_packet 0 sender $id] [bus_packet 3 data $id] \
            [bus_packet 7 data "[binary format W 99]$id[string repeat \xff 2048]"]] {
            peer_say ada $packet 0
        }
        assert_equal PONG [on ada ping]
        plain_lines_of_nodes ada
    }
    # Of all these ids none became a node.
    assert {![regexp {ef56ef56} [on ada cluster nodes]]} "a node of a name that is none"
    assert {[field_of [on ada cluster info] cluster_known_nodes] <= $known + 2} "$known nodes were known, [field_of [on ada cluster info] cluster_known_nodes] are"
    foreach words {{cluster slots} {cluster shards} {cluster links} {cluster info} {info everything}} {
        only_plain_text $words [string map {\r\n \n} [raw_on ada {*}$words]]
    }
    assert_equal {0-16383} [dict get [seen_by ada ada] slots]
    on ada cluster saveconfig
    foreach file [glob -directory [node_dir ada] nodes.conf*] { only_plain_text $file [read_file $file] }
    only_plain_text "the log" [node_log ada]
    # And it is read again as it was written.
    peer_end
    set before [lsort [lmap line [cluster_node_lines ada] { list [dict get $line id] [dict get $line address] }]]
    node_stop ada
    node_restart ada
    assert_equal $before [lsort [lmap line [cluster_node_lines ada] { list [dict get $line id] [dict get $line address] }]]
}
