# How a cluster comes to be: by redis-cli --cluster, by CLUSTER commands, by --dev-cluster; and how a node comes back.

proc start_fresh {names {options {}}} {
    foreach name $names { node_start $name [dict merge $::cluster_options $options] }
}

test "redis-cli --cluster create makes one of three fresh nodes, check finds nothing wrong" {
    start_fresh {ada bob cleo}
    set addresses [lmap name {ada bob cleo} { string cat 127.0.0.1: [node_port $name] }]
    set out [exec redis-cli --cluster create {*}$addresses --cluster-yes << "" 2>@1]
    assert_match "*All 16384 slots covered*" $out
    cluster_wait_agreed {ada bob cleo}
    assert_equal {0-5460} [dict get [seen_by bob ada] slots]
    assert_equal {5461-10922} [dict get [seen_by cleo bob] slots]
    assert_equal {10923-16383} [dict get [seen_by ada cleo] slots]
    set out [exec redis-cli --cluster check [lindex $addresses 1] << "" 2>@1]
    assert_match "*All nodes agree about slots configuration*All 16384 slots covered*" $out
    set out [exec redis-cli --cluster info [lindex $addresses 2] << "" 2>@1]
    assert_match "*0 keys in 3 masters*" $out
    set out [exec redis-cli --cluster call [lindex $addresses 0] config set timeout 77 << "" 2>@1]
    foreach name {ada bob cleo} { assert_equal {timeout 77} [on $name config get timeout] }
    set out [exec redis-cli --cluster set-timeout [lindex $addresses 0] 4000 << "" 2>@1]
    foreach name {ada bob cleo} { assert_equal {cluster-node-timeout 4000} [on $name config get cluster-node-timeout] }
    # The three are unlike each other, and each epoch is somebody's alone.
    set epochs [lmap name {ada bob cleo} { field_of [on $name cluster info] cluster_my_epoch }]
    assert_equal 3 [llength [lsort -unique $epochs]]
}

test "redis-cli --cluster create refuses nodes that have keys or a cluster already" {
    start_fresh {ada bob cleo}
    if {![server_is_redis]} { assert_equal OK [on ada set key v] }
    set addresses [lmap name {ada bob cleo} { string cat 127.0.0.1: [node_port $name] }]
    if {![server_is_redis]} {
        assert {[catch {exec redis-cli --cluster create {*}$addresses --cluster-yes << "" 2>@1} out]}
        assert_match "*is not empty*" $out
        on ada flushall
    }
    exec redis-cli --cluster create {*}$addresses --cluster-yes << "" 2>@1
    assert {[catch {exec redis-cli --cluster create {*}$addresses --cluster-yes << "" 2>@1} out]}
    assert_match "*is not empty*" $out
}

test "redis-cli --cluster add-node brings a fourth node in, del-node takes it out" {
    with_cluster {ada bob} {
        node_start dan $::cluster_options
        exec redis-cli --cluster add-node 127.0.0.1:[node_port dan] 127.0.0.1:[node_port ada] << "" 2>@1
        cluster_wait_agreed {ada bob dan}
        assert_equal {} [dict get [seen_by ada dan] slots]
        exec redis-cli --cluster del-node 127.0.0.1:[node_port ada] [node_id dan] << "" 2>@1
        eventually { [seen_by ada dan] eq {} && [seen_by bob dan] eq {} }
    }
}

test "slots that nobody has make the cluster fail, and their owner makes it well" {
    start_fresh {ada bob}
    on ada cluster addslotsrange 0 8000
    on bob cluster addslotsrange 8001 16382
    on ada cluster set-config-epoch 1
    on bob cluster set-config-epoch 2
    on ada cluster meet 127.0.0.1 [node_port bob]
    eventually { [field_of [on ada cluster info] cluster_slots_assigned] == 16383 && [field_of [on bob cluster info] cluster_slots_assigned] == 16383 }
    assert_equal fail [field_of [on ada cluster info] cluster_state]
    assert_error "CLUSTERDOWN Hash slot not served" { on ada get [key_in_slot 16383] }
    assert_error "CLUSTERDOWN The cluster is down" { on ada get [key_in_slot 1] }
    on ada config set cluster-require-full-coverage no
    eventually { [field_of [on ada cluster info] cluster_state] eq "ok" }
    assert_equal {null {}} [typed_on ada get [key_in_slot 1]]
    assert_error "CLUSTERDOWN Hash slot not served" { on ada get [key_in_slot 16383] }
    on ada config set cluster-require-full-coverage yes
    on ada cluster addslots 16383
    cluster_wait_agreed {ada bob}
    assert_equal {null {}} [typed_on ada get [key_in_slot 16383]]
}

test "CLUSTER MEET, ADDSLOTS, DELSLOTS and SET-CONFIG-EPOCH refuse what is wrong" {
    start_fresh {ada}
    on ada cluster addslots 1 2 3
    assert_error "ERR Slot 2 is already busy" { on ada cluster addslots 4 2 }
    assert_error "ERR Slot 5 specified multiple times" { on ada cluster addslots 5 5 }
    assert_error "ERR Invalid or out of range slot" { on ada cluster addslots 16384 }
    assert_error "ERR Invalid or out of range slot" { on ada cluster addslots -1 }
    assert_error "ERR Invalid or out of range slot" { on ada cluster addslots x }
    assert_error "ERR start slot number 9 is greater than end slot number 8" { on ada cluster addslotsrange 9 8 }
    assert_error "ERR wrong number of arguments for 'cluster|addslotsrange' command" { on ada cluster addslotsrange 9 }
    assert_error "ERR Slot 9 is already unassigned" { on ada cluster delslots 9 }
    assert_error "ERR Invalid node address specified: nowhere:7000" { on ada cluster meet nowhere 7000 }
    assert_error "ERR Invalid *" { on ada cluster meet 127.0.0.1 0 }
    assert_error "ERR Invalid * port specified: x" { on ada cluster meet 127.0.0.1 x }
    assert_error "ERR Invalid config epoch specified: -1" { on ada cluster set-config-epoch -1 }
    assert_equal OK [on ada cluster set-config-epoch 5]
    assert_error "ERR *" { on ada cluster set-config-epoch 6 }
    assert_error "ERR Unknown node *" { on ada cluster forget [string repeat 0 40] }
    assert_error "ERR I tried hard but I can't forget myself..." { on ada cluster forget [on ada cluster myid] }
    assert_equal {1-3} [dict get [lindex [cluster_node_lines ada] 0] slots]
    assert_equal OK [on ada cluster delslots 2]
    assert_equal {1 3} [dict get [lindex [cluster_node_lines ada] 0] slots]
    assert_equal OK [on ada cluster flushslots]
    assert_equal {} [dict get [lindex [cluster_node_lines ada] 0] slots]
}

test "a node that was killed comes back as who it was, with its slots" {
    with_cluster {ada bob cleo} {@split yes cluster-node-timeout 1500} {
        set id [node_id bob]
        set slots [dict get [seen_by ada bob] slots]
        node_kill bob
        eventually { "fail?" in [dict get [seen_by ada bob] flags] || "fail" in [dict get [seen_by ada bob] flags] }
        node_restart bob
        assert_equal $id [on bob cluster myid]
        cluster_wait_agreed {ada bob cleo}
        assert_equal $slots [dict get [seen_by bob bob] slots]
        assert_equal {} [on [owner_of user:1] get user:1]
    }
}

test "a whole cluster that was killed comes back whole" {
    with_cluster {ada bob cleo} {@split yes cluster-node-timeout 1500} {
        set before [slots_signature ada]
        set epochs [lmap name {ada bob cleo} { field_of [on $name cluster info] cluster_my_epoch }]
        foreach name {ada bob cleo} { node_kill $name }
        foreach name {ada bob cleo} { node_restart $name }
        cluster_wait_agreed {ada bob cleo}
        assert_equal $before [slots_signature ada]
        assert_equal $epochs [lmap name {ada bob cleo} { field_of [on $name cluster info] cluster_my_epoch }]
    }
}

test "a stopped node is suspected, then failed, and well again when it goes on" {
    with_cluster {ada bob cleo} {@split yes cluster-node-timeout 1500} {
        node_signal bob STOP
        eventually { "fail?" in [dict get [seen_by ada bob] flags] || "fail" in [dict get [seen_by ada bob] flags] }
        # Two of three primaries agree that it is gone.
        eventually { "fail" in [dict get [seen_by ada bob] flags] && "fail" in [dict get [seen_by cleo bob] flags] }
        eventually { [field_of [on ada cluster info] cluster_state] eq "fail" }
        assert_error "CLUSTERDOWN*" { on ada get [key_in_slot 1] }
        node_signal bob CONT
        cluster_wait_agreed {ada bob cleo}
        assert {"fail" ni [dict get [seen_by ada bob] flags]}
    }
}

test "a damaged state file is refused with a word, not guessed at" {
    if {[server_is_redis]} { skip "redis-server has one generation of it" }
    start_fresh {ada}
    on ada cluster addslots 1 2 3
    on ada cluster set-config-epoch 7
    on ada cluster saveconfig
    set id [on ada cluster myid]
    set dir [node_dir ada]
    node_stop ada
    set files [glob -directory $dir nodes.conf*]
    set whole {}
    foreach file $files { dict set whole $file [read_file $file] }
    # Every generation damaged: a bit flipped in the middle, the end cut off, emptied, garbage.
    foreach damage {flip cut garbage} {
        foreach file $files {
            set text [dict get $whole $file]
            if {$text eq ""} continue
            set middle [expr {[string length $text] / 2}]
            switch -exact -- $damage {
                flip { set text [string replace $text $middle $middle [format %c [expr {[scan [string index $text $middle] %c] ^ 1}]]] }
                cut { set text [string range $text 0 $middle] }
                garbage { set text "\x00\xff nonsense\n" }
            }
            write_file $file $text
        }
        node_start ada [dict merge $::cluster_options [list @dir $dir @ready no]]
        set ::node(ada,expect) ended
        eventually { ![node_is_alive ada] }
        assert {[node_wait_end ada] ne "exit 0"} "it started from a damaged file ($damage)"
        assert_match "*nodes.conf*" [lindex [lindex $::node_past end] 1]
    }
    # As it was: as it was.
    foreach file $files { write_file $file [dict get $whole $file] }
    node_start ada [dict merge $::cluster_options [list @dir $dir]]
    assert_equal $id [on ada cluster myid]
    assert_equal {1-3} [dict get [lindex [cluster_node_lines ada] 0] slots]
    assert_equal 7 [field_of [on ada cluster info] cluster_my_epoch]
}

test "one damaged generation of the state file does no harm" {
    if {[server_is_redis]} { skip "redis-server has one generation of it" }
    start_fresh {ada}
    on ada cluster addslots 1 2 3
    on ada cluster saveconfig
    on ada cluster addslots 4
    on ada cluster saveconfig
    set id [on ada cluster myid]
    set dir [node_dir ada]
    node_stop ada
    set text [read_file $dir/nodes.conf]
    write_file $dir/nodes.conf [string range $text 0 [expr {[string length $text] / 2}]]
    node_start ada [dict merge $::cluster_options [list @dir $dir]]
    assert_equal $id [on ada cluster myid]
    assert_match "*nodes.conf*" [node_log ada]
}

test "two nodes cannot share one state file" {
    start_fresh {ada}
    set dir [node_dir ada]
    node_start twin [dict merge $::cluster_options [list @dir $dir @ready no]]
    set ::node(twin,expect) ended
    eventually { ![node_is_alive twin] }
    assert {[node_wait_end twin] ne "exit 0"}
    assert_equal PONG [on ada ping]
}

test "CLUSTER RESET makes a stranger of a node, HARD with a new name" {
    with_cluster {ada bob} {
        assert_equal OK [on bob cluster reset soft]
        assert_equal [node_id bob] [on bob cluster myid]
        assert_equal 1 [field_of [on bob cluster info] cluster_known_nodes]
        on ada cluster forget [node_id bob]
        set id [node_id bob]
        assert_equal OK [on bob cluster reset hard]
        assert {[on bob cluster myid] ne $id}
        assert_equal 0 [field_of [on bob cluster info] cluster_current_epoch]
        assert_error "ERR *" { on bob cluster reset bogus }
        on ada set key v
        assert_error "ERR CLUSTER RESET can't be called with master nodes containing keys" { on ada cluster reset }
    }
}

test "--dev-cluster starts a covered cluster and ends it whole" {
    if {[server_is_redis]} { skip "ours only" }
    set dir [file join [test_dir] dev]
    file mkdir $dir
    set port [free_port 3]
    set chan [open "|sh -c {cd $dir && exec setpriv --pdeathsig TERM [file normalize [server_binary]] --dev-cluster 3 --port $port >log 2>&1}" w]
    try {
        eventually { [catch {exec redis-cli -p $port cluster info} info] == 0 && [field_of $info cluster_state] eq "ok" && [field_of $info cluster_known_nodes] == 3 }
        eventually { [catch {exec redis-cli --cluster check 127.0.0.1:[expr {$port + 2}] << "" 2>@1}] == 0 }
        set out [exec redis-cli --cluster check 127.0.0.1:[expr {$port + 2}] << "" 2>@1]
        assert_match "*All 16384 slots covered*" $out
        for {set i 0} {$i < 30} {incr i} { assert_equal OK [exec redis-cli -c -p $port set k:$i $i] }
        for {set i 0} {$i < 30} {incr i} { assert_equal $i [exec redis-cli -c -p [expr {$port + 1}] get k:$i] }
        assert_match "*3 OK, 0 ERR*" [exec redis-cli --cluster set-timeout 127.0.0.1:$port 20000 << "" 2>@1]
    } on error {message options} {
        puts [read_file $dir/log]
        return -options $options $message
    } finally {
        catch { exec kill [pid $chan] }
        catch { close $chan }
    }
    eventually { [port_is_free $port] && [port_is_free [expr {$port + 1}]] && [port_is_free [expr {$port + 2}]] }
}
