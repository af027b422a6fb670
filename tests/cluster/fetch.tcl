# FETCH where slots move: tokens are good on one node only, who waits is sent on, versions come along.

set ::long 60000
proc token_of {reply} { return [lindex $reply 3] }
proc eventually_waiting {node count} { eventually { [info_field $node blocked_clients] == $count } }

test "who waits for a key of a slot that leaves is sent to where it is" {
    with_cluster {ada bob} {
        set key [key_in_slot 100]
        set token [token_of [on ada fetch $key lease $::long]]
        foreach c {first second} {
            connect $c ada
            resp::send $c fetch $key lease $::long wait $::long
        }
        connect third ada
        resp::send third fetch [key_in_slot 200] wait $::long
        eventually_waiting ada 3
        give_slot 100 ada bob
        foreach c {first second} { assert_redirect MOVED bob { resp::plain [resp::read $c] } }
        eventually_waiting ada 1
        assert_redirect MOVED bob { on ada set $key stale token $token }
        # Back again: what was given out before is good no more, whatever happened meanwhile.
        cluster_wait_agreed {ada bob}
        set at_bob [token_of [on bob fetch $key lease $::long]]
        assert_equal "" [on bob set $key stale token $token]
        give_slot 100 bob ada
        assert_equal "" [on ada set $key stale token $token]
        assert_equal "" [on ada set $key stale token $at_bob]
        assert_equal OK [on ada set $key v token [token_of [on ada fetch $key lease $::long]]]
        on ada set [key_in_slot 200] w
        assert_equal {HIT w {} {}} [resp::plain [resp::read third]]
    }
}

test "a client that waits in a slot that begins to leave is told ASK" {
    with_cluster {ada bob} {
        set key [key_in_slot 100]
        connect c ada
        resp::send c fetch $key wait $::long
        eventually_waiting ada 1
        open_slot 100 ada bob
        assert_redirect ASK bob { resp::plain [resp::read c] }
    }
}

test "versions, births and freshness come along with their keys, and fills are held a while" {
    with_cluster {ada bob} {floor-ttl 50000} {
        set key [key_in_slot 100]
        set stale [key_in_slot 100 other]
        set big [key_in_slot 100 big]
        on ada set $key seven ver 7 ex 1000
        on ada set $stale old ver 3 fresh 100000
        on ada invalidate $stale stale
        on ada set $big [string repeat x 100000] ver 9 fresh 100000
        open_slot 100 ada bob
        assert_equal OK [on ada migrate 127.0.0.1 [node_port bob] "" 0 5000 keys $key $stale $big]
        hand_over 100 ada bob
        assert_equal {HIT seven 7 {}} [on bob fetch $key]
        assert {[on bob ttl $key] > 900}
        assert_equal {STALE old 3 {}} [on bob fetch $stale]
        assert_equal {HIT 9} [lreplace [lrange [on bob fetch $big] 0 2] 1 1]
        assert_equal "" [on bob set $key six ver 6]
        # Which floors there were nobody says: until they would have run out, fills are kept no longer than that.
        set fresh [key_in_slot 100 fresh]
        assert_equal OK [on bob set $fresh v ver 1 ex 1000]
        set pttl [on bob pttl $fresh]
        assert {$pttl > 0 && $pttl <= 50000}
        on bob set [key_in_slot 100 plain] v
        assert_equal -1 [on bob ttl [key_in_slot 100 plain]]
    }
}

test "a Redis node is sent nothing that it does not know" {
    if {[auto_execok redis-server] eq ""} { skip "redis-server is not installed" }
    with_cluster {ada red} {@binaries {red redis-server}} {
        set key [key_in_slot 100]
        on ada set $key seven ver 7 fresh 1000
        open_slot 100 ada red
        assert_equal OK [on ada migrate 127.0.0.1 [node_port red] $key 0 5000]
        hand_over 100 ada red
        assert_equal seven [on red get $key]
    }
}
