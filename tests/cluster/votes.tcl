# Votes for the replicas of redis-servers: with us as two of three primaries no replica of theirs is elected without one of ours.

# ada and bob are ours; theo is a redis-server primary, and rex its replica, in sync.
proc with_their_replica {options body} {
    cluster_start {ada bob theo} [dict merge {@split yes @binaries {theo redis-server} cluster-node-timeout 1500} $options]
    # A replica has its data at once, rather than after the five seconds in which others might want them too.
    on theo config set repl-diskless-sync-delay 0
    node_start rex [dict merge $::cluster_options {@binary redis-server cluster-node-timeout 1500 repl-diskless-sync-delay 0}]
    on rex cluster meet 127.0.0.1 [node_port ada]
    eventually { [catch { on rex cluster replicate [node_id theo] }] == 0 }
    foreach name {ada bob} { eventually { "slave" in [dict get [seen_by $name rex] flags] && [dict get [seen_by $name rex] primary] eq [node_id theo] } }
    eventually { [info_field rex master_link_status] eq "up" }
    uplevel 1 $body
    foreach name {ada bob theo rex} { catch { node_stop $name } }
}

test "a redis-server's replica is elected by our votes, and all agree that it has the slots" {
    with_their_replica {} {
        set range [dict get [seen_by ada theo] slots]
        set key [key_in_slot 16000]
        assert_equal OK [on theo set $key v]
        eventually { [catch { on rex readonly; on rex get $key } value] == 0 && $value eq "v" }
        node_kill theo
        foreach name {ada bob rex} {
            eventually { [owner_of_slot 16000 $name] eq "rex" && [dict get [seen_by $name rex] slots] eq $range }
            eventually { [field_of [on $name cluster info] cluster_state] eq "ok" }
        }
        assert {[string match "*my vote in epoch * is for [node_id rex]*" [node_log ada][node_log bob]]}
        # Both, since two of three make a majority; more often where an election had to be repeated.
        foreach name {ada bob} { assert {[field_of [on $name cluster info] cluster_stats_messages_auth-ack_sent] >= 1} }
        assert_redirect MOVED rex { on ada get $key }
        assert_equal v [on rex get $key]
        # It comes back as the replica of its successor.
        node_restart theo
        foreach name {ada bob} { eventually { "slave" in [dict get [seen_by $name theo] flags] && [dict get [seen_by $name theo] primary] eq [node_id rex] } }
    }
}

test "CLUSTER FAILOVER on a redis-server's replica has our votes" {
    with_their_replica {} {
        assert_equal OK [on rex cluster failover]
        foreach name {ada bob rex theo} { eventually { [owner_of_slot 16000 $name] eq "rex" } }
        foreach name {ada bob} { eventually { "slave" in [dict get [seen_by $name theo] flags] } }
    }
}

test "a node whose state cannot be saved votes for nobody, and says so" {
    if {[server_is_redis]} { skip "redis-server ends when it cannot save its state" }
    with_their_replica {} {
        foreach name {ada bob} {
            disk_fills $name
            catch { on $name cluster saveconfig }
        }
        node_kill theo
        foreach name {ada bob} {
            eventually { [field_of [on $name cluster info] cluster_state_save_status] eq "err" }
            eventually { [string match "*no vote for [node_id rex]*cannot be saved*" [node_log $name]] || [string match "*votes for nobody*" [node_log $name]] }
        }
        eventually { [field_of [on ada cluster info] cluster_stats_messages_auth-req_received] ne "" }
        foreach name {ada bob} {
            assert_equal "" [field_of [on $name cluster info] cluster_stats_messages_auth-ack_sent]
            assert_equal {} [dict get [seen_by $name rex] slots]
        }
        # With room on the disk the next election succeeds.
        foreach name {ada bob} { disk_is_free_again $name }
        foreach name {ada bob} { eventually { [owner_of_slot 16000 $name] eq "rex" } }
    }
}
