# How nodes say where they are: to each other on the bus, to clients in redirects, CLUSTER SLOTS, SHARDS and NODES. A redis-server in the same cluster
# is the measure.

# ada is ours, theo a redis-server; each has half of the slots.
proc with_both {body} {
    with_cluster {ada theo} [list @split yes @binaries {theo redis-server} cluster-node-timeout 1500] $body
}

# What a node says of the cluster, without what is of the moment or its own business.
proc said_of_cluster {observer} {
    set out [list slots [raw_on $observer cluster slots]]
    lappend out slots3 [in_resp3 $observer cluster slots]
    set shards {}
    foreach shard [on $observer cluster shards] {
        foreach node [dict get $shard nodes] { lappend shards [dict replace $node replication-offset 0 slots [dict get $shard slots]] }
    }
    lappend out shards [lsort $shards]
    set nodes {}
    foreach line [cluster_node_lines $observer] { lappend nodes [list [dict get $line id] [dict get $line address] [dict get $line slots]] }
    lappend out nodes [lsort $nodes]
    # Whose slots the asked ones are not: a redirect each.
    foreach slot {0 8191 8192 16383} { lappend moved [string map {"ERR " ""} [lindex [typed_on $observer get [key_in_slot $slot]] 1]] }
    lappend out moved $moved
    return $out
}

proc in_resp3 {observer args} {
    connect third $observer
    resp::hello3 third
    resp::ask third {*}$args
    set bytes [resp::raw third]
    resp::close third
    return $bytes
}

# Both see it as it is to be, and then say the same of it.
proc both_say_the_same {} {
    eventually { [dict get [said_of_cluster ada] nodes] eq [dict get [said_of_cluster theo] nodes] }
    set ours [said_of_cluster ada]
    set theirs [said_of_cluster theo]
    foreach what {slots slots3 shards nodes} { assert_equal [dict get $theirs $what] [dict get $ours $what] $what }
    # Each redirects where the other serves.
    foreach mine [dict get $ours moved] its [dict get $theirs moved] { assert {($mine eq "") != ($its eq "")} "$mine, $its" }
    return $ours
}

test "CLUSTER SLOTS, SHARDS and NODES name hosts as redis-server does, whichever endpoint is preferred and whoever has a name" {
    if {[server_is_redis]} { skip "a comparison with it" }
    with_both {
        set one 127.0.0.1:[node_port ada]
        set other 127.0.0.1:[node_port theo]
        foreach {hosts ada_as theo_as} {
            {} ? ?
            {ada ada.example.com} ada.example.com ?
            {theo theo-1.example.com} ada.example.com theo-1.example.com
            {ada ""} ? theo-1.example.com
        } {
            foreach {name host} $hosts { assert_equal OK [on $name config set cluster-announce-hostname $host] }
            foreach {name host} $hosts {
                foreach observer {ada theo} {
                    eventually { [dict get [seen_by $observer $name] address] eq "127.0.0.1:[node_port $name]@[expr {[node_port $name] + 10000}][expr {$host eq "" ? "" : ",$host"}]" }
                }
            }
            foreach {type to_ada to_theo} [list ip $one $other hostname $ada_as:[node_port ada] $theo_as:[node_port theo] unknown-endpoint :[node_port ada] :[node_port theo]] {
                foreach name {ada theo} { on $name config set cluster-preferred-endpoint-type $type }
                both_say_the_same
                assert_error "MOVED 16383 $to_theo" { on ada get [key_in_slot 16383] }
                assert_error "MOVED 0 $to_ada" { on theo get [key_in_slot 0] }
            }
        }
    }
}

test "ASK names the other side as MOVED does" {
    with_both {
        on theo config set cluster-announce-hostname theo.example.com
        eventually { [string match *,theo.example.com [dict get [seen_by ada theo] address]] }
        open_slot 0 ada theo
        foreach {type to} {ip 127.0.0.1 hostname theo.example.com unknown-endpoint ""} {
            on ada config set cluster-preferred-endpoint-type $type
            assert_error "ASK 0 $to:[node_port theo]" { on ada get [key_in_slot 0] }
        }
    }
}

test "a name that is no host name is refused, as by redis-server" {
    with_both {
        foreach host [list "a b" a_b "a\nb" "a,b" "a:1" "a/b" [string repeat a 256] "\x01" "ä"] {
            foreach name {ada theo} { assert_error "ERR *CONFIG SET failed*" { on $name config set cluster-announce-hostname $host } }
        }
        # What could not stand in a line of the state file would be passed over; a redis-server takes and sends it.
        foreach ip [list "a,b" "a b" "1.2.3.4\n5" "\[::1\]" "a@b" [string repeat 1 46]] {
            assert_error "ERR *CONFIG SET failed*argument must be an IP address*" { on ada config set cluster-announce-ip $ip }
        }
        foreach host [list A-1.b a. -a . [string repeat a 255]] {
            foreach name {ada theo} { assert_equal OK [on $name config set cluster-announce-hostname $host] $host }
        }
        both_say_the_same
        foreach type {IP host ""} {
            foreach name {ada theo} { catch { on $name config set cluster-preferred-endpoint-type $type } said($name) }
            assert_equal [string match OK $said(theo)] [string match OK $said(ada)] "'$type'"
        }
    }
}

# Carries bytes between a port and another for as long as the test runs.
proc forward {from to} { set ::forwards($from) [socket -server [list forward_accept $to] -myaddr 127.0.0.1 $from] }
proc forward_accept {to near host port} {
    if {[catch { socket 127.0.0.1 $to } far]} { close $near; return }
    foreach s [list $near $far] { fconfigure $s -translation binary -blocking 0 -buffering none }
    fileevent $near readable [list forward_carry $near $far]
    fileevent $far readable [list forward_carry $far $near]
}
proc forward_carry {from to} {
    if {[catch { read $from } bytes] || ($bytes eq "" && [eof $from]) || [catch { puts -nonewline $to $bytes }]} { catch { close $from }; catch { close $to } }
}
proc forwards_end {} {
    foreach from [array names ::forwards] { close $::forwards($from) }
    array unset ::forwards
}

test "an address, a port and a bus port that are announced are those that all others use" {
    with_cluster {ada theo bob} {@split yes @binaries {theo redis-server} bind {127.0.0.1 127.0.0.2} protected-mode no cluster-node-timeout 1500} {
        set port [free_port 2]
        set bus [expr {$port + 1}]
        forward $port [node_port ada]
        forward $bus [expr {[node_port ada] + 10000}]
        on ada config set cluster-announce-port $port cluster-announce-bus-port $bus
        foreach observer {ada theo bob} { eventually { [dict get [seen_by $observer ada] address] eq "127.0.0.1:$port@$bus" } }
        foreach observer {theo bob} {
            assert_error "MOVED 0 127.0.0.1:$port" { on $observer get [key_in_slot 0] }
            # They speak with it over there, and go on to.
            eventually { [dict get [seen_by $observer ada] link] eq "connected" }
        }
        wait_ms 2000
        cluster_wait_agreed {ada theo bob}
        foreach observer {theo bob} { assert_equal connected [dict get [seen_by $observer ada] link] }

        # Back to what is so, at another address of the machine.
        on ada config set cluster-announce-port 0 cluster-announce-bus-port 0 cluster-announce-ip 127.0.0.2
        set now "127.0.0.2:[node_port ada]@[expr {[node_port ada] + 10000}]"
        foreach observer {ada theo bob} { eventually { [dict get [seen_by $observer ada] address] eq $now && ($observer eq "ada" || [dict get [seen_by $observer ada] link] eq "connected") } }
        forwards_end
        foreach observer {theo bob} { assert_error "MOVED 0 127.0.0.2:[node_port ada]" { on $observer get [key_in_slot 0] } }
        # Whoever comes later hears of it there.
        node_start cleo $::cluster_options
        on cleo cluster meet 127.0.0.1 [node_port bob]
        eventually { [seen_by cleo ada] ne {} && [dict get [seen_by cleo ada] address] eq $now && [dict get [seen_by cleo ada] link] eq "connected" }
        # Not announced any more, it is found out anew.
        on ada config set cluster-announce-ip ""
        foreach observer {ada theo bob cleo} { eventually { [string match "127.0.0.*:[node_port ada]@[expr {[node_port ada] + 10000}]" [dict get [seen_by $observer ada] address]] } }
        cluster_wait_agreed {ada theo bob cleo}
    }
}

test "a node started again on another port is found there by the others, with its slots" {
    with_cluster {ada theo bob} {@split yes @binaries {theo redis-server}} {
        set slots [dict get [seen_by theo ada] slots]
        foreach observer {theo bob} { seen_by $observer ada }
        node_stop ada
        set ::node(ada,port) [free_port]
        node_restart ada
        foreach observer {ada theo bob} {
            eventually { [dict get [seen_by $observer ada] address] eq "127.0.0.1:[node_port ada]@[expr {[node_port ada] + 10000}]" }
        }
        cluster_wait_agreed {ada theo bob}
        assert_equal $slots [dict get [seen_by theo ada] slots]
        foreach observer {theo bob} { assert_error "MOVED 0 127.0.0.1:[node_port ada]" { on $observer get [key_in_slot 0] } }
        assert_equal OK [on ada set [key_in_slot 0] v]
    }
}

test "a redis-server started again on another port, or at another address, is found there by us" {
    with_cluster {ada theo bob} {@split yes @binaries {theo redis-server}} {
        node_stop theo
        set ::node(theo,port) [free_port]
        set ::node(theo,host) 127.0.0.3
        node_restart theo {bind-source-addr 127.0.0.3}
        foreach observer {ada bob} {
            eventually { [dict get [seen_by $observer theo] address] eq "127.0.0.3:[node_port theo]@[expr {[node_port theo] + 10000}]" }
            assert_error "MOVED * 127.0.0.3:[node_port theo]" { on $observer get [key_in_slot 8000] }
        }
        cluster_wait_agreed {ada theo bob}
    }
}
