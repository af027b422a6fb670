# Policies are the cluster's: whoever is told of one tells the others of our kind, and nobody else.

proc policies_of {names} { return [lsort -unique [lmap name $names { on $name policy list }]] }
proc all_have {names policies} { return [expr {[policies_of $names] eq [list $policies]}] }

test "a policy that one node is given holds on all, and the last that was given wins" {
    with_cluster {ada bob cleo} {@split yes} {
        on bob policy set user: ttl 100 guard yes
        eventually { [all_have {ada bob cleo} {user: {ttl 100 guard yes}}] }
        on cleo policy set user: ttl 200
        eventually { [all_have {ada bob cleo} {user: {ttl 200 guard yes}}] }
        on ada policy set "" max-ttl 1000
        eventually { [all_have {ada bob cleo} {{} {max-ttl 1000} user: {ttl 200 guard yes}}] }
        foreach name {ada bob cleo} {
            assert_equal {max-ttl-ms 1000000} [on $name config get max-ttl-ms]
        }
        on bob policy del user:
        eventually { [all_have {ada bob cleo} {{} {max-ttl 1000}}] }
        foreach name {ada bob cleo} { eventually { [dict get [on $name policy get ""] swept-percent] == 100 } }
    }
}

test "keys of all nodes come under a policy that one of them is given" {
    with_cluster {ada bob cleo} {@split yes} {
        foreach {slot owner} {100 ada 8000 bob 16000 cleo} { on $owner set [key_in_slot $slot user] v }
        on ada policy set "" ttl 100
        foreach {slot owner} {100 ada 8000 bob 16000 cleo} { eventually { [on $owner ttl [key_in_slot $slot user]] > 0 } }
        foreach name {ada bob cleo} { eventually { [info_field $name keys_without_ttl] == 0 } }
    }
}

test "whoever joins later, or comes back, is told" {
    with_cluster {ada bob} {@split yes} {
        on ada policy set user: ttl 100
        eventually { [all_have {ada bob} {user: {ttl 100}}] }
        node_start cleo $::cluster_options
        on cleo cluster meet [node_host ada] [node_port ada]
        eventually { [all_have {ada bob cleo} {user: {ttl 100}}] }
        # While he is away.
        node_kill bob
        on ada policy set user: ttl 300
        eventually { [all_have {ada cleo} {user: {ttl 300}}] }
        on cleo policy set video: ttl 5
        eventually { [all_have {ada cleo} {user: {ttl 300} video: {ttl 5}}] }
        node_restart bob
        connect bob2 bob
        eventually { [resp::do bob2 policy list] eq {user: {ttl 300} video: {ttl 5}} }
        node_stop cleo
    }
}

test "a node that stood still takes over what was set meanwhile, and says nothing against it" {
    with_cluster {ada bob cleo} {@split yes} {
        on ada policy set user: ttl 100
        eventually { [all_have {ada bob cleo} {user: {ttl 100}}] }
        node_signal cleo STOP
        on ada policy set user: ttl 200
        eventually { [all_have {ada bob} {user: {ttl 200}}] }
        on bob policy set video: ttl 5
        eventually { [all_have {ada bob} {user: {ttl 200} video: {ttl 5}}] }
        node_signal cleo CONT
        eventually { [all_have {ada bob cleo} {user: {ttl 200} video: {ttl 5}}] }
    }
}

test "a value that moves to another node is as old there as it was" {
    with_cluster {ada bob} {@split yes} {
        on bob policy set "" max-ttl 1000
        eventually { [all_have {ada bob} {{} {max-ttl 1000}}] }
        set slot 16000
        set key [key_in_slot $slot]
        on bob set $key v ex 500
        wait_ms 2200
        open_slot $slot bob ada
        assert_equal OK [on bob migrate [node_host ada] [node_port ada] $key 0 30000]
        foreach name {ada bob} { on $name cluster setslot $slot node [node_id ada] }
        assert {[on ada ttl $key] <= 498}
        assert_equal 1 [on ada expire $key 5000]
        assert {[on ada pttl $key] <= 998000 && [on ada pttl $key] > 900000}
    }
}

test "of what is set on several nodes at once all survive, and of one prefix the same on all" {
    with_cluster {ada bob cleo} {@split yes} {
        set nodes {ada bob cleo}
        for {set round 0} {$round < 10} {incr round} {
            foreach name $nodes {
                resp::send $name policy set $name:$round: ttl [expr {100 + $round}]
                resp::send $name policy set race: ttl [expr {100 + 10 * $round + [lsearch $nodes $name]}]
            }
            foreach name $nodes {
                assert_equal {{simple OK} {simple OK}} [list [resp::read $name] [resp::read $name]]
            }
        }
        eventually { [llength [policies_of $nodes]] == 1 }
        set policies [on ada policy list]
        foreach name $nodes {
            for {set round 0} {$round < 10} {incr round} {
                assert_equal [list ttl [expr {100 + $round}]] [dict get $policies $name:$round:]
            }
        }
        assert_equal 31 [dict size $policies]
        assert {[dict get $policies race:] in {{ttl 190} {ttl 191} {ttl 192}}}
        # The last word is the last, wherever it is said, also that there is none any more.
        foreach name $nodes {
            on $name policy del race:
            foreach other $nodes { eventually { ![dict exists [on $other policy list] race:] } }
            on $name policy set race: guard yes
            foreach other $nodes { eventually { [dict exists [on $other policy list] race:] } }
        }
    }
}

test "what was deleted while a node was away is not brought back by it, and what it was given is not lost" {
    with_cluster {ada bob} {@split yes} {
        on ada policy set gone: ttl 100
        on ada policy set stays: ttl 100
        eventually { [all_have {ada bob} {gone: {ttl 100} stays: {ttl 100}}] }
        node_signal bob STOP
        on ada policy del gone:
        node_stop ada
        node_signal bob CONT
        on bob policy set new: ttl 5
        on bob policy set stays: ttl 200
        node_restart ada
        connect ada2 ada
        eventually { [resp::do ada2 policy list] eq {new: {ttl 5} stays: {ttl 200}} }
        eventually { [on bob policy list] eq {new: {ttl 5} stays: {ttl 200}} }
    }
}

test "a node that is started with directives overrides nothing that the cluster has" {
    set directives {policy {user: ttl 100} default-ttl-ms 7000}
    with_cluster {ada bob} [list @split yes {*}$directives] {
        eventually { [all_have {ada bob} {{} {ttl 7} user: {ttl 100}}] }
        on ada policy set user: ttl 300
        on ada policy del ""
        eventually { [all_have {ada bob} {user: {ttl 300}}] }
        node_start cleo [list {*}$::cluster_options {*}$directives]
        assert_equal {{} {ttl 7} user: {ttl 100}} [on cleo policy list]
        on cleo cluster meet [node_host ada] [node_port ada]
        eventually { [all_have {ada bob cleo} {user: {ttl 300}}] }
        node_stop cleo
    }
}

test "a redis-server among us neither hears of policies nor minds them" {
    if {[auto_execok redis-server] eq ""} { skip "redis-server is not installed" }
    with_cluster {ada bob cleo} {@split yes @binaries {bob redis-server} cluster-node-timeout 5000} {
        set before [field_of [on bob cluster info] cluster_stats_messages_module_received]
        on ada policy set user: ttl 100
        eventually { [all_have {ada cleo} {user: {ttl 100}}] }
        on cleo policy set user: ttl 300
        eventually { [all_have {ada cleo} {user: {ttl 300}}] }
        assert_equal $before [field_of [on bob cluster info] cluster_stats_messages_module_received]
        assert_equal "" [cluster_disagreement {ada bob cleo}]
        assert {![regexp -nocase {module|unknown (packet|message)} [node_log bob]]} [node_log bob]
        # A key that comes from there comes under the policy here, and keeps what it has to live.
        set slot 8000
        set long [key_in_slot $slot user:long]
        set forever [key_in_slot $slot user:forever]
        on bob set $long v ex 200
        on bob set $forever v
        open_slot $slot bob ada
        on bob migrate [node_host ada] [node_port ada] "" 0 30000 keys $long $forever
        foreach name {ada cleo bob} { on $name cluster setslot $slot node [node_id ada] }
        assert {[on ada ttl $long] > 150 && [on ada ttl $long] <= 200}
        assert {[on ada ttl $forever] > 250 && [on ada ttl $forever] <= 300}
    }
}
