# Solo: a fresh node is a cluster of one that answers for every slot, until it meets others or is given slots.

proc solo_node {} {
    if {[server_is_redis]} { skip "ours only" }
    node_start ada $::cluster_options
}

test "the first SET on a fresh node works, and so do keys of several slots" {
    solo_node
    assert_equal OK [on ada set foo 1]
    assert_equal OK [on ada mset foo 1 bar 2 hello 3]
    assert_equal {1 2 3} [on ada mget foo bar hello]
    assert_equal 3 [on ada del foo bar hello]
    assert_equal ok [field_of [on ada cluster info] cluster_state]
    assert_equal 1 [info_field ada cluster_enabled]
    on ada multi
    on ada set foo 1
    on ada set bar 2
    assert_equal {OK OK} [on ada exec]
}

test "a fresh node shows itself as the owner of all slots" {
    solo_node
    set slots [on ada cluster slots]
    assert_equal 1 [llength $slots]
    assert_equal {0 16383} [lrange [lindex $slots 0] 0 1]
    assert_equal 16384 [field_of [on ada cluster info] cluster_slots_assigned]
    assert_equal {0-16383} [dict get [lindex [cluster_node_lines ada] 0] slots]
    assert_equal {0 16383} [dict get [lindex [on ada cluster shards] 0] slots]
    assert_equal OK [exec redis-cli -c -p [node_port ada] set anything v]
}

# The slots of the first line of an answer to CLUSTER NODES.
proc slots_named {answer} { lrange [lindex [split $answer "\n"] 0] 8 end }

# What `redis-cli --cluster create` reads in a node's own line it adds to what it gives that node.
test "whoever opens with INFO and CLUSTER NODES, as the cluster manager does, reads of no slots that nobody gave" {
    solo_node
    on ada config set requirepass secret
    foreach {opening slots} {
        {{auth secret} {info} {cluster nodes}} {}
        {{hello 2 auth default secret} {info} {cluster nodes}} {}
        {{auth secret} {info} {cluster nodes} {cluster nodes}} 0-16383
        {{auth secret} {info} {cluster nodes} {info} {cluster nodes}} {}
        {{auth secret} {cluster nodes}} 0-16383
        {{auth secret} {ping} {info} {cluster nodes}} 0-16383
        {{auth secret} {get foo} {info} {cluster nodes}} 0-16383
        {{auth secret} {info} {get foo} {cluster nodes}} 0-16383
        {{auth secret} {client setinfo lib-name some} {info} {cluster nodes}} 0-16383
        {{auth secret} {info} {multi} {cluster nodes} {exec}} 0-16383
    } {
        connect manager ada
        foreach command $opening {
            set answer [resp::do manager {*}$command]
        }
        resp::close manager
        if {[lindex $opening end] eq "exec"} { set answer [lindex $answer 0] }
        assert_equal [list $opening $slots] [list $opening [slots_named $answer]]
    }
}

test "being given slots ends it" {
    solo_node
    on ada cluster addslots 0 1 2
    assert_equal {0-2} [dict get [lindex [cluster_node_lines ada] 0] slots]
    assert_error "CLUSTERDOWN*" { on ada set foo 1 }
}

test "a node that is met has no slots unless it has keys" {
    solo_node
    node_start bob $::cluster_options
    node_start cleo $::cluster_options
    assert_equal OK [on cleo set foo kept]
    on ada cluster addslotsrange 0 100
    on ada cluster meet 127.0.0.1 [node_port bob]
    eventually { [field_of [on bob cluster info] cluster_known_nodes] == 2 }
    eventually { [dict get [seen_by ada bob] slots] eq {} && [dict get [seen_by bob bob] slots] eq {} }
    on ada cluster meet 127.0.0.1 [node_port cleo]
    eventually { [owner_of_slot [slot_of foo] ada] eq "cleo" && [owner_of_slot [slot_of foo] cleo] eq "cleo" }
    assert_equal {12182} [dict get [seen_by ada cleo] slots]
}

test "solo outlives a restart, and so does its end" {
    solo_node
    set id [on ada cluster myid]
    node_stop ada
    node_restart ada
    assert_equal $id [on ada cluster myid]
    assert_equal OK [on ada set foo 1]
    on ada cluster set-config-epoch 3
    assert_error "CLUSTERDOWN*" { on ada set foo 1 }
    node_stop ada
    node_restart ada
    assert_error "CLUSTERDOWN*" { on ada set foo 1 }
}

# Slots in which a node has keys although it does not serve them.
proc stray_slots {name} {
    foreach range [dict get [lindex [cluster_node_lines $name] 0] slots] {
        lassign [split $range -] from to
        for {set slot $from} {$slot <= ($to eq "" ? $from : $to)} {incr slot} { set own($slot) 1 }
    }
    connect count $name
    for {set slot 0} {$slot < 16384} {incr slot} { append commands [resp::encode cluster countkeysinslot $slot] }
    resp::write count $commands
    set strays {}
    for {set slot 0} {$slot < 16384} {incr slot} {
        if {[lindex [resp::read count] 1] > 0 && ![info exists own($slot)]} { lappend strays $slot }
    }
    resp::close count
    return $strays
}

test "keys written in the moment a node stops being alone are in slots it serves" {
    if {[server_is_redis]} { skip "redis-server is never solo" }
    foreach name {ada bob} { node_start $name [dict merge $::cluster_options {io-threads 4}] }
    # It ends by itself with the first redirect.
    exec redis-benchmark -p [node_port ada] -t set -r 1000000 -n 100000000 -c 20 -P 8 -q >/dev/null 2>/dev/null &
    eventually { [on ada dbsize] > 3000 }
    on bob cluster meet 127.0.0.1 [node_port ada]
    eventually { [field_of [on ada cluster info] cluster_known_nodes] == 2 }
    eventually { [stray_slots ada] eq {} }
}

test "a node that stops being alone serves the slots of its keys without a pause" {
    if {[server_is_redis]} { skip "redis-server is never solo" }
    foreach name {ada bob} { node_start $name [dict merge $::cluster_options {io-threads 4 cluster-require-full-coverage no}] }
    connect writer ada
    for {set i 0} {$i < 2000} {incr i} { append sets [resp::encode set [format key:%012d $i] v] }
    resp::write writer $sets
    for {set i 0} {$i < 2000} {incr i} { assert_equal {simple OK} [resp::read writer] }
    # It ends at the first error, and says which.
    set out [file join [node_dir ada] reads]
    exec redis-benchmark -p [node_port ada] -t get -r 2000 -n 100000000 -c 20 -P 8 -q >$out 2>@1 &
    eventually { [info_field ada keyspace_hits] > 1000 }
    on bob cluster meet 127.0.0.1 [node_port ada]
    eventually { [field_of [on ada cluster info] cluster_known_nodes] == 2 }
    set hits [info_field ada keyspace_hits]
    eventually { [info_field ada keyspace_hits] > $hits + 1000 || [string match -nocase *error* [read_file $out]] }
    assert {![string match -nocase *error* [read_file $out]]} [read_file $out]
    node_kill ada
}

test "CLUSTER SLOT-STATS tells what is in a slot and how it was used" {
    solo_node
    set slot [slot_of foo]
    on ada set foo [string repeat x 1000]
    on ada set "{foo}2" y px 1
    eventually { [on ada exists "{foo}2"] == 0 && [on ada dbsize] == 1 }
    on ada set bar z
    set before [lindex [on ada cluster slot-stats slotsrange $slot $slot] 0 1]
    on ada get foo
    on ada get foo
    on ada get "{foo}3"
    set rows [on ada cluster slot-stats slotsrange $slot $slot]
    assert_equal 1 [llength $rows]
    lassign [lindex $rows 0] id stats
    assert_equal $slot $id
    assert_equal {key-count memory-bytes hits misses expired evicted} [dict keys $stats]
    assert_equal 1 [dict get $stats key-count]
    assert {[dict get $stats memory-bytes] >= 1000}
    assert_equal {2 1} [lmap name {hits misses} { expr {[dict get $stats $name] - [dict get $before $name]} }]
    assert_equal 1 [dict get $stats expired]
    assert_equal {0 1 2} [lmap row [on ada cluster slot-stats slotsrange 0 2] { lindex $row 0 }]
    assert_equal {16383} [lmap row [on ada cluster slot-stats slotsrange 16383 16383] { lindex $row 0 }]
}

test "CLUSTER SLOT-STATS orders slots by any of its numbers" {
    solo_node
    foreach {key count} {foo 3 bar 2 hello 2} {
        for {set i 0} {$i < $count} {incr i} { on ada set "{$key}$i" v }
    }
    set by_keys [on ada cluster slot-stats orderby key-count limit 4]
    # Equal ones by the number of the slot: bar is 5061, hello 866, foo 12182; the first of the empty ones is 0.
    assert_equal {12182 866 5061 0} [lmap row $by_keys { lindex $row 0 }]
    assert_equal {3 2 2 0} [lmap row $by_keys { dict get [lindex $row 1] key-count }]
    assert_equal $by_keys [on ada cluster slot-stats ORDERBY KEY-COUNT DESC LIMIT 4]
    assert_equal {0 1} [lmap row [on ada cluster slot-stats orderby key-count asc limit 2] { lindex $row 0 }]
    assert_equal 12182 [lindex [on ada cluster slot-stats orderby memory-bytes limit 1] 0 0]
}

test "CLUSTER SLOT-STATS shows the slots of this node only, and refuses what it cannot read" {
    solo_node
    on ada cluster addslotsrange 10 12
    assert_equal {10 11 12} [lmap row [on ada cluster slot-stats slotsrange 0 16383] { lindex $row 0 }]
    assert_equal {12 11 10} [lsort -integer -decreasing [lmap row [on ada cluster slot-stats orderby hits] { lindex $row 0 }]]
    assert_equal {} [on ada cluster slot-stats slotsrange 13 14]
    assert_error "ERR Invalid or out of range slot" { on ada cluster slot-stats slotsrange 0 16384 }
    assert_error "ERR Start slot number 2 is greater than end slot number 1" { on ada cluster slot-stats slotsrange 2 1 }
    assert_error "ERR Unrecognized sort metric for ORDERBY." { on ada cluster slot-stats orderby cpu-usec }
    foreach limit {0 16385} {
        assert_error "ERR Limit has to lie in between 1 and 16384*" { on ada cluster slot-stats orderby hits limit $limit }
    }
    foreach words {{slotsrange 1} {slotsrange 1 2 3} {orderby hits limit} {orderby hits asc desc} {orderby hits limit 1 limit 2} {range 1 2}} {
        assert_error "ERR syntax error" { on ada cluster slot-stats {*}$words }
    }
}
