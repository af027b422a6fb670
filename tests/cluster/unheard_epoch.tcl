# Slots that move between us and a redis-server while one of the two has not heard which epoch the other has.
#
# An epoch is taken without asking anybody: who takes a slot takes the next one after those it has heard of. Where its former owner has a higher one that
# has not come yet, the slot goes back with the next heartbeat of that owner, and the keys that were moved are gone. Two redis-servers do that.

if {[network_elsewhere]} return

# ada and theo, a redis-server, with half of the slots each.
proc with_ada_and_theo {ada_epoch theo_epoch body} {
    network_start {ada theo}
    foreach {name more} {ada {} theo {@binary redis-server}} {
        node_start $name [dict merge $::cluster_options {cluster-node-timeout 30000} [network_options $name] $more]
        node_id $name
    }
    on ada cluster addslotsrange 0 8191
    on theo cluster addslotsrange 8192 16383
    on ada cluster set-config-epoch $ada_epoch
    on theo cluster set-config-epoch $theo_epoch
    on theo cluster meet [node_host ada] [node_port ada]
    cluster_wait_agreed {ada theo}
    uplevel 1 $body
    foreach name {ada theo} { node_stop $name }
    network_end
}

test "what was moved here from a redis-server whose epoch had not come yet stays here, with its keys" {
    if {[server_is_redis]} { skip "a redis-server gives it back, and drops the keys" }
    with_ada_and_theo 2 1 {
        set slot 9000
        set key [key_in_slot $slot]
        cut_one_way theo ada
        assert_match "BUMPED 3*" [on theo cluster bumpepoch]
        open_slot $slot theo ada
        connect asking ada
        assert_equal OK [resp::do asking asking]
        assert_equal OK [resp::do asking set $key moved]
        assert_equal OK [on ada cluster setslot $slot node [node_id ada]]
        heal
        # Heard, it is outbid.
        eventually { [dict get [seen_by ada theo] epoch] == 3 && [field_of [on ada cluster info] cluster_my_epoch] == 4 }
        eventually { [owner_of_slot $slot theo] eq "ada" }
        assert_equal OK [on theo cluster setslot $slot node [node_id ada]]
        cluster_wait_agreed {ada theo}
        assert_equal ada [owner_of_slot $slot theo]
        assert_equal moved [on ada get $key]
    }
}

# The operator goes on to ada a little later, and ada's heartbeat comes between.
test "what was moved to a redis-server that had not heard our epoch stays there, with its keys" {
    if {[server_is_redis]} { skip "a redis-server takes it back, and the keys are gone" }
    with_ada_and_theo 1 2 {
        set slot 500
        set key [key_in_slot $slot]
        open_slot $slot ada theo
        cut_one_way ada theo
        assert_match "BUMPED 3*" [on ada cluster bumpepoch]
        connect asking theo
        assert_equal OK [resp::do asking asking]
        assert_equal OK [resp::do asking set $key moved]
        assert_equal OK [on theo cluster setslot $slot node [node_id theo]]
        assert_equal 2 [field_of [on theo cluster info] cluster_my_epoch]
        eventually { [owner_of_slot $slot ada] eq "theo" }
        heal
        eventually { [dict get [seen_by theo ada] epoch] == 3 }
        assert_equal theo [owner_of_slot $slot theo]
        assert_equal moved [on theo get $key]
        assert_equal OK [on ada cluster setslot $slot node [node_id theo]]
        cluster_wait_agreed {ada theo}
        assert_equal moved [on theo get $key]
    }
}

# All that ada says to theo takes three seconds. Whether she has claimed the slot with the new epoch before it begins to leave, or takes it while the slot leaves: what she
# has said is on its way when theo takes the slot, and comes later.
foreach ::taken {before meanwhile} {
    test "what was moved to a redis-server stays there, with its keys, though a heartbeat of ours was on its way (an epoch taken $::taken)" {
        if {[server_is_redis]} { skip "a redis-server takes it back, and the keys are gone" }
        with_ada_and_theo 1 2 {
            set slot 500
            set key [key_in_slot $slot]
            if {$::taken eq "before"} {
                wire_rule ada theo 0 3000
                assert_match "BUMPED 3*" [on ada cluster bumpepoch]
                set sent [field_of [on ada cluster info] cluster_stats_messages_sent]
                eventually { [field_of [on ada cluster info] cluster_stats_messages_sent] > $sent }
            }
            on theo cluster setslot $slot importing [node_id ada]
            on ada cluster setslot $slot migrating [node_id theo]
            if {$::taken eq "meanwhile"} {
                wire_rule ada theo 0 3000
                assert_match "BUMPED 3*" [on ada cluster bumpepoch]
                set sent [field_of [on ada cluster info] cluster_stats_messages_sent]
                eventually { [field_of [on ada cluster info] cluster_stats_messages_sent] > $sent }
            }
            connect asking theo
            assert_equal OK [resp::do asking asking]
            assert_equal OK [resp::do asking set $key moved]
            assert_equal OK [on theo cluster setslot $slot node [node_id theo]]
            eventually { [owner_of_slot $slot ada] eq "theo" }
            # By then all that she had said before has come.
            eventually { [dict get [seen_by theo ada] epoch] == 3 }
            heal
            assert_equal theo [owner_of_slot $slot theo]
            assert_equal moved [on theo get $key]
            assert_equal OK [on ada cluster setslot $slot node [node_id theo]]
            cluster_wait_agreed {ada theo}
            assert_equal moved [on theo get $key]
        }
    }
}
