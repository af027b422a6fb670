# A machine with one CPU: there the allocator has a single arena, and all threads meet in it.

test "threads that only free do so in the arena that all share" {
    node_start ada [dict merge $::cluster_options {io-threads 2 cluster-require-full-coverage no @prefix {env MALLOC_CONF=narenas:1}}]
    connect worker ada
    # A state whose text is a large allocation, made by one thread and freed by the state writer.
    set slots {}
    for {set slot 0} {$slot < 16384} {incr slot 2} { lappend slots $slot }
    on ada cluster addslots {*}$slots
    for {set i 0} {$i < 20} {incr i} { assert_equal OK [on ada cluster saveconfig] }
    # Values that are large allocations, made by the workers and freed by the movers, who take the slots with many.
    set tag [key_in_slot 2]
    set keys {}
    for {set i 0} {$i < 400} {incr i} { lappend keys "{$tag}$i" }
    for {set round 0} {$round < 3} {incr round} {
        foreach key $keys { resp::do worker set $key [string repeat v 40000] }
        on ada flushall
        eventually { [info_field ada lazyfree_pending_objects] == 0 }
    }
    assert_equal 1200 [info_field ada lazyfreed_objects]
    assert_equal PONG [on ada ping]
}
