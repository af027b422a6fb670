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
