# Who belongs to the cluster: whom an operator forgets stays forgotten, who is reset is somebody else, and no clock decides who is well.

# ada, bob and cleo are ours, theo a redis-server.
test "a forgotten node does not come back by hearsay, from nodes of either kind, but by MEET" {
    with_cluster {ada bob cleo theo} {@binaries {theo redis-server} cluster-node-timeout 2000} {
        # Nodes of our kind tell each other; a redis-server has to be told. It goes on and pings those who have forgotten it.
        set id [node_id cleo]
        on theo cluster forget $id
        on ada cluster forget $id
        eventually { [seen_by bob cleo] eq {} }
        # Over many messages of each to each, cleo's too, which still knows them all.
        set heard [field_of [on cleo cluster info] cluster_stats_messages_pong_received]
        set received [field_of [on theo cluster info] cluster_stats_messages_received]
        eventually { [field_of [on theo cluster info] cluster_stats_messages_received] > $received + 30 }
        assert {[field_of [on cleo cluster info] cluster_stats_messages_pong_received] > $heard}
        foreach observer {ada bob theo} {
            assert_equal {} [seen_by $observer cleo] "what $observer knows of it"
            assert_equal 3 [field_of [on $observer cluster info] cluster_known_nodes]
        }
        assert_equal OK [on ada cluster meet 127.0.0.1 [node_port cleo]]
        eventually { [seen_by ada cleo] ne {} && [dict get [seen_by ada cleo] link] eq "connected" && "handshake" ni [dict get [seen_by ada cleo] flags] }
    }
}

# theo refuses the one it was told to forget until its minute is over. It was told first, so it is the first whose minute would be.
test "a node that is met again is taken in by all nodes of our kind at once, although each of them was told to forget it" {
    with_cluster {ada bob cleo theo} {@binaries {theo redis-server} cluster-node-timeout 2000} {
        foreach observer {theo ada bob} { on $observer cluster forget [node_id cleo] }
        foreach observer {theo ada bob} { assert_equal {} [seen_by $observer cleo] "what $observer knows of it" }
        assert_equal OK [on ada cluster meet 127.0.0.1 [node_port cleo]]
        eventually { [seen_by ada cleo] ne {} && [seen_by bob cleo] ne {} && [dict get [seen_by bob cleo] link] eq "connected" }
        assert_equal {} [seen_by theo cleo]
        set received [field_of [on bob cluster info] cluster_stats_messages_received]
        eventually { [field_of [on bob cluster info] cluster_stats_messages_received] > $received + 30 }
        foreach observer {ada bob} { assert {[seen_by $observer cleo] ne {}} "$observer has forgotten it again" }
    }
}

test "FORGET takes the slots of who is forgotten, and the cluster says that nobody serves them" {
    with_cluster {ada bob theo} {@split yes @binaries {theo redis-server}} {
        foreach observer {ada theo} { on $observer cluster forget [node_id bob] }
        foreach observer {ada theo} {
            assert_equal nobody [owner_of_slot 8000 $observer]
            eventually { [field_of [on $observer cluster info] cluster_state] eq "fail" }
            assert_error "CLUSTERDOWN Hash slot not served" { on $observer get [key_in_slot 8000] }
        }
        assert_error "ERR Unknown node *" { on theo cluster forget [node_id bob] }
    }
}

test "a node that was reset HARD is a stranger at its address, and is taken in again under its new name" {
    with_cluster {ada theo bob} {@binaries {theo redis-server} cluster-node-timeout 2000} {
        set old [node_id bob]
        assert_equal OK [on bob cluster reset hard]
        unset ::node(bob,id)
        assert {[node_id bob] ne $old}
        assert_equal {0 0 1} [lmap field {cluster_my_epoch cluster_current_epoch cluster_known_nodes} { field_of [on bob cluster info] $field }]
        # Who looks for the old one finds somebody else there, and holds it for gone.
        foreach observer {ada theo} {
            eventually { [regexp "$old \[^\n\]*(noaddr|fail)" [on $observer cluster nodes]] }
            assert_equal OK [on $observer cluster forget $old]
        }
        on bob cluster meet 127.0.0.1 [node_port ada]
        cluster_wait_agreed {ada theo bob}
    }
}

test "a node that was reset SOFT keeps its name and its epoch, and is taken in again" {
    with_cluster {ada theo bob} {@binaries {theo redis-server}} {
        set before [lmap field {cluster_my_epoch cluster_current_epoch} { field_of [on bob cluster info] $field }]
        assert_equal OK [on bob cluster reset soft]
        assert_equal [node_id bob] [on bob cluster myid]
        assert_equal $before [lmap field {cluster_my_epoch cluster_current_epoch} { field_of [on bob cluster info] $field }]
        assert_equal {} [dict get [seen_by bob bob] slots]
        # The others know it still, and its pings are answered: it learns of them by a MEET from either side.
        on theo cluster meet 127.0.0.1 [node_port bob]
        on bob cluster meet 127.0.0.1 [node_port theo]
        cluster_wait_agreed {ada theo bob}
    }
}

test "clocks that jump by an hour, forwards and back, make nobody suspect anybody and expire nothing" {
    proc clock_hand {name} { return [file join [test_dir] hand-$name] }
    foreach name {ada bob theo} {
        set prefix [expr {$name eq "theo" ? {} : [wall_clock_by [clock_hand $name]]}]
        node_start $name [dict merge $::cluster_options [list cluster-node-timeout 2000 @prefix $prefix loglevel verbose @binary [expr {$name eq "theo" ? "redis-server" : [server_binary]}]]]
        node_id $name
    }
    on ada cluster addslotsrange 0 5000
    on bob cluster addslotsrange 5001 10000
    on theo cluster addslotsrange 10001 16383
    set epoch 0
    foreach name {ada bob theo} { on $name cluster set-config-epoch [incr epoch] }
    all_meet {ada bob theo}
    cluster_wait_agreed {ada bob theo}
    on ada set [key_in_slot 1] v ex 600
    on bob set [key_in_slot 6000] v px 600000
    foreach {who by_s} {ada 3600 ada -3600 bob 86400 ada 0} {
        write_file [clock_hand $who] $by_s
        assert {abs([lindex [on $who time] 0] - [clock seconds] - $by_s) <= 60} "the library does not work"
        # Longer than it takes to suspect somebody, by everybody's count of messages.
        foreach name {ada bob theo} { set sent($name) [field_of [on $name cluster info] cluster_stats_messages_received] }
        set until [expr {[clock milliseconds] + 2500}]
        while {[clock milliseconds] < $until} {
            foreach name {ada bob theo} {
                assert_equal ok [field_of [on $name cluster info] cluster_state] "$name, with $who's clock set by $by_s s"
                foreach line [cluster_node_lines $name] { assert {[lsearch -glob [dict get $line flags] fail*] < 0} "$name suspects, with $who's clock set by $by_s s" }
            }
            wait_ms 100
        }
        foreach name {ada bob theo} { assert {[field_of [on $name cluster info] cluster_stats_messages_received] > $sent($name)} }
        assert_equal v [on ada get [key_in_slot 1]]
        assert_equal v [on bob get [key_in_slot 6000]]
    }
    foreach name {ada bob} { assert_equal 0 [regexp -all {: suspected, silent for} [node_log $name]] $name }
}
