# Moves of slots that nobody goes on with: between nodes of our kind they end by themselves (F4), and leave no keys where nobody can read them (F5).
#
# cluster-slot-move-timeout is short here, so that they end soon; where a test looks at what is before that, it is long first.

nodes_in_memory
set ::soon 500
set ::never 100000000

proc reshard_start {from to slots args} {
    return [exec redis-cli --cluster reshard 127.0.0.1:[node_port $from] --cluster-from [node_id $from] --cluster-to [node_id $to] \
        --cluster-slots $slots --cluster-yes {*}$args << "" >/dev/null 2>@1 &]
}

# All nodes name each slot's one owner, and none stands open.
proc is_closed {names} {
    if {[cluster_disagreement $names] ne ""} { return 0 }
    foreach name $names {
        if {[dict get [seen_by $name $name] open] ne {}} { return 0 }
    }
    return 1
}
proc wait_closed {names} { eventually { [is_closed $names] } 120000 }

# From now on.
proc timeout {names ms} { foreach name $names { on $name config set cluster-slot-move-timeout $ms } }

# count keys of one slot at its owner, with values that tell which key they are of, and a deadline for some.
proc fill_slot {node tag count} {
    for {set i 0} {$i < $count} {incr i} { on $node set "{$tag}$i" "value $i" }
    on $node pexpireat "{$tag}1" 4000000000000
}

# They are all at the owner, whole, and nowhere else.
proc check_slot {names tag count} {
    set owner [owner_of "{$tag}" [lindex $names 0]]
    for {set i 0} {$i < $count} {incr i} { assert_equal "value $i" [on $owner get "{$tag}$i"] "{$tag}$i at $owner" }
    assert_equal 4000000000000 [on $owner pexpiretime "{$tag}1"]
    foreach name $names { assert_equal [expr {$name eq $owner ? $count : 0}] [on $name cluster countkeysinslot [slot_of "{$tag}"]] "keys at $name" }
    return $owner
}

proc setslot {node tag args} { return [on $node cluster setslot [slot_of "{$tag}"] {*}$args] }
proc open_move {tag from to} { open_slot [slot_of "{$tag}"] $from $to }
proc migrate_some {tag from to count} {
    set keys [on $from cluster getkeysinslot [slot_of "{$tag}"] $count]
    assert_equal OK [on $from migrate 127.0.0.1 [node_port $to] "" 0 60000 keys {*}$keys]
}

# What redis-cli does one step at a time, cut off after each: as in reshard.tcl, where fix finishes it.
test "F4: a reshard that was cut off anywhere is finished by the nodes themselves" {
    with_cluster {ada bob} [list @split yes cluster-slot-move-timeout $::never] {
        set tag t
        set from [owner_of "{$tag}"]
        set to [expr {$from eq "ada" ? "bob" : "ada"}]
        fill_slot $from $tag 300
        foreach cut {importing migrating some all node} {
            timeout {ada bob} $::never
            setslot $to $tag importing [node_id $from]
            if {$cut ne "importing"} { setslot $from $tag migrating [node_id $to] }
            if {$cut in {some all node}} { migrate_some $tag $from $to [expr {$cut eq "some" ? 20 : 1000}] }
            if {$cut eq "node"} { setslot $to $tag node [node_id $to] }
            timeout {ada bob} $::soon
            wait_closed {ada bob}
            set owner [check_slot {ada bob} $tag 300]
            # Where nothing has left yet it stays; else it goes where it was to go.
            assert_equal [expr {$cut eq "importing" ? $from : $to}] $owner $cut
            if {$owner eq $to} { lassign [list $to $from] from to }
        }
        assert {[info_field ada cluster_open_slots_finished] + [info_field bob cluster_open_slots_finished] >= 3}
        assert {[info_field ada cluster_open_slots_closed] + [info_field bob cluster_open_slots_closed] >= 1}
        assert_equal 0 [info_field ada cluster_slots_open]
    }
}

test "F4: redis-cli killed in the middle of a reshard leaves what the nodes finish, under writes, with no key lost" {
    # Longer than one of its steps takes on a slow machine.
    with_cluster {ada bob cleo} [list @split yes cluster-slot-move-timeout 1000] {
        foreach name {ada bob cleo} { for {set i 0} {$i < 700} {incr i} { catch { on $name set key:$i "value of key:$i" } } }
        traffic_start w [lmap name {ada bob cleo} { string cat 127.0.0.1: [node_port $name] }] {role write keys 200}
        foreach {from to} {ada bob bob cleo cleo ada} {
            set slots [dict get [seen_by $to $to] slots]
            set tool [reshard_start $from $to 3000]
            eventually { [dict get [seen_by $to $to] slots] ne $slots }
            wait_ms [expr {int(rand() * 300)}]
            catch { exec kill -s KILL $tool }
            wait_closed {ada bob cleo}
        }
        traffic_stop w
        traffic_was_well w
        map_owners
        for {set i 0} {$i < 700} {incr i} { assert_equal "value of key:$i" [on [owner_name key:$i] get key:$i] }
        traffic_check_content w {apply {{args} { on [owner_name [lindex $args 1]] {*}$args }}}
    }
}

# A node is killed while a slot with a hundred keys stands open between it and another, and comes back, empty; then the time is over. Sets slot, from, to and, as
# they were before, moved and left: the keys at the target and those at the source.
proc with_killed {victim body} {
    with_cluster {ada bob cleo} [list @split yes cluster-slot-move-timeout $::never] {
        set tag t
        set slot [slot_of "{$tag}"]
        set from [owner_of "{$tag}"]
        set to [lindex [lsearch -all -inline -not -exact {ada bob cleo} $from] 0]
        fill_slot $from $tag 100
        open_move $tag $from $to
        migrate_some $tag $from $to 60
        set moved [lsort [on $to cluster getkeysinslot $slot 1000]]
        set left [lsort [on $from cluster getkeysinslot $slot 1000]]
        set killed [set $victim]
        on $killed cluster saveconfig
        node_kill $killed
        node_restart $killed [list cluster-slot-move-timeout $::never]
        cluster_wait_agreed {ada bob cleo}
        assert_equal [list [expr {$victim eq "from" ? "\[$slot->-[node_id $to]\]" : "\[$slot-<-[node_id $from]\]"}]] [dict get [seen_by $killed $killed] open]
        timeout {ada bob cleo} $::soon
        wait_closed {ada bob cleo}
        assert_equal $to [owner_of "{$tag}"]
        eval $body
    }
}

test "F4: a source that was killed and comes back, empty, hands over the slot that it had opened" {
    with_killed from {
        # What had left is there; what had not is lost with its node's memory.
        assert_equal $moved [lsort [on $to cluster getkeysinslot $slot 1000]]
        foreach key $moved { assert_match "value *" [on $to get $key] }
    }
}

test "F4: a target that was killed and comes back, empty, is sent the rest" {
    with_killed to { assert_equal $left [lsort [on $to cluster getkeysinslot $slot 1000]] }
}

test "F4: a target that knows nothing of the move is not waited for, and nothing has left" {
    with_cluster {ada bob} [list cluster-slot-move-timeout $::never] {
        fill_slot ada t 30
        # The other way round than the tools do it: as if bob had crashed before its part was on disk.
        setslot ada t migrating [node_id bob]
        assert_redirect ASK bob { on ada get "{t}new" }
        timeout {ada bob} $::soon
        wait_closed {ada bob}
        assert_equal ada [check_slot {ada bob} t 30]
        assert_equal OK [on ada set "{t}new" v]
        assert_equal 1 [info_field ada cluster_open_slots_closed]
    }
}

test "F4: a target that was closed by hand with keys of the slot gets the rest: they are newer than none" {
    with_cluster {ada bob} [list cluster-slot-move-timeout $::never] {
        fill_slot ada t 50
        open_move t ada bob
        migrate_some t ada bob 20
        # Born there.
        on bob asking
        on bob set "{t}new" v
        setslot bob t stable
        timeout {ada bob} $::soon
        wait_closed {ada bob}
        assert_equal bob [owner_of "{t}"]
        assert_equal v [on bob getdel "{t}new"]
        assert_equal bob [check_slot {ada bob} t 50]
    }
}

# The source was told before the target, which then was not: nobody claims the slot. The target takes it, or the source hears first that the target does not
# have it, takes it back, and is sent the keys.
test "F4: a slot that its source was told to be the target's, and the target was not, is somebody's, with its keys" {
    with_cluster {ada bob} [list cluster-slot-move-timeout $::never] {
        fill_slot ada t 20
        open_move t ada bob
        migrate_some t ada bob 1000
        setslot ada t node [node_id bob]
        timeout {ada bob} $::soon
        wait_closed {ada bob}
        check_slot {ada bob} t 20
        assert_equal OK [on [owner_of "{t}" ada] set "{t}" v]
    }
}

test "F4: a target that has failed for good is given up, and the slot served whole again" {
    with_cluster {ada bob cleo dan} [list cluster-slot-move-timeout $::never cluster-require-full-coverage no cluster-node-timeout 1500] {
        # Who agrees that bob has failed are those with slots.
        foreach {name slot} {cleo 1 dan 2} { give_slot $slot ada $name }
        cluster_wait_agreed {ada bob cleo dan}
        open_move t ada bob
        on ada cluster saveconfig
        assert_redirect ASK bob { on ada get "{t}1" }
        node_kill bob
        timeout {ada} $::soon
        eventually { [dict get [seen_by ada ada] open] eq {} } 120000
        assert_equal OK [on ada set "{t}1" v]
        node_restart bob [list cluster-slot-move-timeout $::soon]
        wait_closed {ada bob cleo dan}
        assert_equal ada [owner_of "{t}"]
        assert_equal v [on ada get "{t}1"]
    }
}

test "F5: keys that came to a node from a slot whose move was given up go back, or away where the owner has them" {
    with_cluster {ada bob} [list cluster-slot-move-timeout $::never] {
        fill_slot ada t 250
        open_move t ada bob
        migrate_some t ada bob 240
        # Given up by hand at the source alone. What is written there since is newer.
        setslot ada t stable
        foreach key [lrange [on bob cluster getkeysinslot [slot_of "{t}"] 1000] 0 4] { lappend newer $key; on ada set $key new }
        timeout {ada bob} $::soon
        wait_closed {ada bob}
        assert_equal ada [owner_of "{t}"]
        foreach key $newer {
            assert_equal new [on ada get $key]
            regexp {\}(\d+)$} $key -> i
            on ada set $key "value $i"
            if {$i == 1} { on ada pexpireat $key 4000000000000 }
        }
        assert_equal ada [check_slot {ada bob} t 250]
        assert_equal {235 5} [list [info_field bob cluster_open_slots_keys_returned] [info_field bob cluster_open_slots_keys_dropped]]
    }
}

test "F5: keys of a slot that was closed by hand on both sides do not lie where nobody can read them for ever" {
    with_cluster {ada bob} [list cluster-slot-move-timeout $::never] {
        fill_slot ada t 50
        open_move t ada bob
        migrate_some t ada bob 20
        foreach name {bob ada} { setslot $name t stable }
        assert_equal 20 [on bob cluster countkeysinslot [slot_of "{t}"]]
        timeout {ada bob} $::soon
        eventually { [on bob cluster countkeysinslot [slot_of "{t}"]] == 0 }
        wait_closed {ada bob}
        assert_equal ada [check_slot {ada bob} t 50]
    }
}

test "F4: whoever works on a slot is not disturbed: its time begins with each SETSLOT and each MIGRATE" {
    with_cluster {ada bob} [list cluster-slot-move-timeout 3000] {
        fill_slot ada t 100
        open_move t ada bob
        # Longer than the time in all, a key now and then.
        set began [clock milliseconds]
        for {set i 0} {[clock milliseconds] - $began < 4500} {incr i} {
            migrate_some t ada bob 1
            assert_equal [expr {99 - $i}] [on ada cluster countkeysinslot [slot_of "{t}"]]
            wait_ms 500
        }
        # And whoever ends it has ended it.
        foreach name {bob ada} { setslot $name t stable }
        assert_equal 0 [info_field ada cluster_open_slots_keys_sent]
        assert_equal "0 0" [list [info_field ada cluster_open_slots_finished] [info_field bob cluster_open_slots_finished]]
    }
}

test "F4: a slot is not touched while a MIGRATE of it is under way, however long that takes" {
    with_cluster {ada bob} [list cluster-slot-move-timeout $::never] {
        fill_slot ada t 60
        set port [fake_start { return [expr {[lindex $words 0] ne "RESTORE-ASKING" ? "+OK\r\n" : ""}] }]
        open_move t ada bob
        connect mover ada
        resp::send mover migrate 127.0.0.1 $port "" 0 60000 keys "{t}59"
        eventually { [llength [lsearch -all [heard_names] restore-asking]] == 1 }
        timeout {ada bob} 500
        wait_ms 1500
        assert_equal {1 60 0} [list [info_field ada cluster_slots_open] [on ada cluster countkeysinslot [slot_of "{t}"]] [info_field ada cluster_open_slots_failures]]
        # Whom it goes to does not want it.
        puts -nonewline [lindex $::fake_peers 0] "-ERR no\r\n"
        assert_equal error [lindex [resp::read mover] 0]
        wait_closed {ada bob}
        assert_equal bob [check_slot {ada bob} t 60]
        fake_stop
    }
}

test "F4: of a key that is on both sides the source's value counts, which is the one that was served" {
    with_cluster {ada bob} [list cluster-slot-move-timeout $::never] {
        fill_slot ada t 20
        open_move t ada bob
        assert_equal OK [on ada migrate 127.0.0.1 [node_port bob] "" 0 60000 copy keys "{t}3" "{t}4"]
        on ada set "{t}3" newer
        timeout {ada bob} $::soon
        wait_closed {ada bob}
        assert_equal newer [on bob get "{t}3"]
        on bob set "{t}3" "value 3"
        assert_equal bob [check_slot {ada bob} t 20]
    }
}

test "F4: with a timeout of 0 a slot stays open" {
    with_cluster {ada bob} [list cluster-slot-move-timeout 0] {
        fill_slot ada t 10
        open_move t ada bob
        wait_ms 1500
        assert_equal {1 1} [list [info_field ada cluster_slots_open] [info_field bob cluster_slots_open]]
        assert_equal 10 [on ada cluster countkeysinslot [slot_of "{t}"]]
        timeout {ada bob} 500
        wait_closed {ada bob}
        assert_equal bob [check_slot {ada bob} t 10]
    }
}

test "F4: it is finished with a password, too, and where that is not known the log says so" {
    with_cluster {ada bob} [list cluster-slot-move-timeout $::never] {
        fill_slot ada t 30
        open_move t ada bob
        connect bob:known bob
        on bob:known config set requirepass secret
        on bob:known auth secret
        on ada config set cluster-slot-move-timeout 500
        eventually { [info_field ada cluster_open_slots_failures] > 0 }
        assert_match "*slot [slot_of "{t}"]: left open, its move to [node_id bob] cannot be ended yet*NOAUTH*" [node_log ada]
        assert_equal 30 [on ada cluster countkeysinslot [slot_of "{t}"]]
        on ada config set masterauth secret
        eventually { [dict get [seen_by ada ada] open] eq {} && [dict get [seen_by bob:known bob] open] eq {} }
        eventually { [on bob:known get "{t}1"] eq "value 1" }
        assert_equal 30 [on bob:known dbsize]
    }
}

foreach ::pair {{ada bob} {bob ada}} {
    test "beside a Redis node a slot stays open until somebody closes it ([lindex $::pair 0] is its source)" {
        lassign $::pair from to
        with_cluster {ada bob} [list @split yes @binaries {bob redis-server}] {
            on ada config set cluster-slot-move-timeout 500
            set slot [expr {$from eq "ada" ? 1 : 16000}]
            on $from set [key_in_slot $slot] v
            open_slot $slot $from $to
            wait_ms 1500
            foreach name {ada bob} { assert_equal 1 [llength [dict get [seen_by $name $name] open]] }
            foreach name {ada bob} { on $name cluster setslot $slot stable }
        }
    }
}
