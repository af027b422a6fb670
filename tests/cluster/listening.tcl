# A node of a cluster that listens for clients elsewhere than where it began.

test "a node that changes its port is reached by the others as before, and they send clients to the new one" {
    if {[server_is_redis]} { skip "redis-server tells the others that its bus has moved as well, which it has not" }
    with_cluster {ada bob} {@split yes} {
        set new [free_port]
        set bus [expr {[node_port bob] + 10000}]
        set slot [lindex [split [lindex [slots_signature bob] end 0] -] 1]
        set key [key_in_slot $slot]
        assert_redirect MOVED bob { on ada get $key }
        assert_equal OK [on bob config set port $new]
        # The bus stays where it was; what the others are told of it, too.
        assert_match "*@$bus*" [dict get [seen_by bob bob] address]
        eventually { [catch { on ada get $key } error] && [string match "MOVED * 127.0.0.1:$new" $error] }
        assert_match "127.0.0.1:$new@$bus*" [dict get [seen_by ada bob] address]
        assert_match "*:$new@$bus*" [dict get [seen_by bob bob] address]
        # Over more than a node timeout nobody loses sight of it.
        wait_ms 2500
        assert_equal ok [field_of [on ada cluster info] cluster_state]
        assert_equal connected [dict get [seen_by ada bob] link]
        resp::open there 127.0.0.1 $new
        assert_equal OK [resp::do there set $key v]
    }
}
