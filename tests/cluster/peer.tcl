# Living with redis-server 7.0.15 in one cluster: both sides agree about who is who.

test "a redis-server joins us by MEET and both sides agree" {
    with_cluster {ada bob redis} {@split yes @binaries {redis redis-server}} {
        foreach observer {ada bob redis} {
            foreach name {ada bob redis} {
                set line [seen_by $observer $name]
                assert {"master" in [dict get $line flags]}
                assert_equal connected [dict get $line link]
            }
        }
        for {set i 0} {$i < 60} {incr i} {
            set owner [owner_of k:$i]
            assert_equal OK [on $owner set k:$i $i]
            foreach other {ada bob redis} {
                if {$other ne $owner} { assert_redirect MOVED $owner { on $other get k:$i } }
            }
        }
        assert_match "*All nodes agree about slots configuration*All 16384 slots covered*" \
            [exec redis-cli --cluster check 127.0.0.1:[node_port redis] << "" 2>@1]
    }
}

test "we join a cluster of redis-servers, and a slot changes hands between the two kinds" {
    with_cluster {redis other ada} {@binaries {redis redis-server other redis-server}} {
        give_slot 866 redis ada
        eventually { [owner_of_slot 866 redis] eq "ada" && [owner_of_slot 866 other] eq "ada" && [owner_of_slot 866 ada] eq "ada" }
        assert_equal OK [on ada set hello world]
        assert_redirect MOVED ada { on other get hello }
        on ada del hello
        give_slot 866 ada other
        eventually { [owner_of_slot 866 redis] eq "other" && [owner_of_slot 866 ada] eq "other" }
        assert_redirect MOVED other { on ada get hello }
    }
}

test "a stopped redis-server is failed by us and a redis-server together" {
    with_cluster {ada redis gone} {@split yes @binaries {redis redis-server gone redis-server} cluster-node-timeout 1500} {
        node_signal gone STOP
        eventually { "fail" in [dict get [seen_by ada gone] flags] && "fail" in [dict get [seen_by redis gone] flags] }
        node_signal gone CONT
        cluster_wait_agreed {ada redis gone}
    }
}

test "redis-servers see our failure and our return" {
    with_cluster {redis other ada} {@split yes @binaries {redis redis-server other redis-server} cluster-node-timeout 1500} {
        node_kill ada
        eventually { "fail" in [dict get [seen_by redis ada] flags] && "fail" in [dict get [seen_by other ada] flags] }
        node_restart ada
        cluster_wait_agreed {redis other ada}
    }
}

test "a MEET of a port where no node is does no harm" {
    with_cluster {ada bob} {
        assert_equal OK [on ada cluster meet 127.0.0.1 [free_port]]
        # A listener that is no cluster node.
        set s [socket -server {apply {{s args} {}}} -myaddr 127.0.0.1 0]
        set port [lindex [fconfigure $s -sockname] 2]
        on ada cluster meet 127.0.0.1 [expr {$port - 1}] $port
        wait_ms 500
        assert_equal ok [field_of [on ada cluster info] cluster_state]
        close $s
        eventually { [field_of [on ada cluster info] cluster_known_nodes] == 2 }
        assert_equal 2 [field_of [on bob cluster info] cluster_known_nodes]
    }
}

test "bytes that are no message do no harm on the bus port" {
    with_cluster {ada bob} {
        set port [expr {[node_port ada] + 10000}]
        set before [slots_signature ada]
        foreach bytes [list "GET / HTTP/1.1\r\n\r\n" [resp::encode flushall] [string repeat "\x00" 5000] \
            "RCmb[string repeat \xff 3000]" "RCmb\x00\x00\x08\x00[string repeat \x00 2040]" "RCmb\x00\x00\x00\x01" "RCmb\x7f\xff\xff\xff" "R"] {
            set s [socket 127.0.0.1 $port]
            fconfigure $s -translation binary -buffering none
            catch { puts -nonewline $s $bytes; flush $s }
            wait_ms 50
            catch { close $s }
        }
        assert_equal PONG [on ada ping]
        assert_equal $before [slots_signature ada]
        cluster_wait_agreed {ada bob}
    }
}

# What redis-server logs of a packet that it cannot read, or finds strange.
set ::complaint {unknown (packet|extension|message|type)|invalid .*packet|bad message|proper padding|exceeds total packet|unrecognized}

test "redis-servers have nothing to say against our packets, of whatever type" {
    with_cluster {redis other ada bob} {@split yes @binaries {redis redis-server other redis-server} cluster-node-timeout 1500} {
        foreach name {ada bob} { on $name config set cluster-announce-hostname $name.example.com }
        eventually { [string match "*ada.example.com*" [on redis cluster nodes]] && [string match "*bob.example.com*" [on other cluster nodes]] }
        foreach name {redis other} { assert_equal OK [on $name config set loglevel debug] }
        # PUBLISH; a slot with a newer epoch, and who comes back and has not heard of it is told by UPDATE; FAIL; FORGET, which nodes of
        # our kind tell each other of; what those have all the same of.
        on ada publish channel message
        on ada policy set p: ttl 100
        set slot [lindex [split [lindex [dict get [seen_by ada other] slots] 0] -] 0]
        node_signal other STOP
        eventually { "fail" in [dict get [seen_by ada other] flags] && "fail" in [dict get [seen_by redis other] flags] }
        on ada cluster setslot $slot importing [node_id other]
        on ada cluster setslot $slot node [node_id ada]
        node_signal other CONT
        cluster_wait_agreed {redis other ada bob}
        assert_equal ada [owner_of_slot $slot other]
        node_kill bob
        eventually { "fail" in [dict get [seen_by redis bob] flags] && "fail" in [dict get [seen_by ada bob] flags] }
        node_restart bob
        cluster_wait_agreed {redis other ada bob}
        set counts [on ada cluster info]
        foreach type {ping pong publish module} { assert {[field_of $counts cluster_stats_messages_${type}_sent] > 0} $type }
        foreach name {redis other} {
            if {[regexp -nocase -line ".*($::complaint).*" [node_log $name] line]} { fail "$name says: $line" }
        }
    }
}

test "CLUSTER LINKS shows a connection to each node and one from it, and COUNT-FAILURE-REPORTS who says that one is gone" {
    with_cluster {ada bob theo} {@split yes @binaries {theo redis-server} cluster-node-timeout 1500} {
        foreach name {ada theo} {
            # Each of the others twice.
            set expected {}
            foreach other {ada bob theo} { if {$other ne $name} { lappend expected "from [node_id $other]" "to [node_id $other]" } }
            eventually { [lsort [lmap link [on $name cluster links] { format "%s %s" [dict get $link direction] [dict get $link node] }]] eq [lsort $expected] }
            foreach link [on $name cluster links] {
                assert_equal {direction node create-time events send-buffer-allocated send-buffer-used} [dict keys $link]
                assert {abs([clock milliseconds] - [dict get $link create-time]) < 3600000} $link
            }
            assert_equal 0 [on $name cluster count-failure-reports [node_id bob]]
        }
        node_signal bob STOP
        # ada is told of by theo, and theo by ada.
        eventually { [on ada cluster count-failure-reports [node_id bob]] == 1 && [on theo cluster count-failure-reports [node_id bob]] == 1 }
        node_signal bob CONT
        cluster_wait_agreed {ada bob theo}
        eventually { [on ada cluster count-failure-reports [node_id bob]] == 0 && [on theo cluster count-failure-reports [node_id bob]] == 0 }
    }
}
