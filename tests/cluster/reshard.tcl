# Slots that move with their keys, by the tool people have: redis-cli's cluster manager, unattended.

nodes_in_memory

# redis-cli --cluster with the first node's address after the verb; gives its output, throws where it fails. About slots that nobody serves it
# asks in spite of --cluster-yes.
proc manage {verb node args} {
    return [exec timeout 120 redis-cli --cluster $verb 127.0.0.1:[node_port $node] {*}$args --cluster-yes << "yes\nyes\nyes\n" 2>@1]
}

# Keys with values that tell which key they are of, spread over the slots; some with deadlines, some big, some in the same slot.
proc fill {names count} {
    set ::expected {}
    for {set i 0} {$i < $count} {incr i} { dict set ::expected key:$i "value of key:$i" }
    for {set i 0} {$i < $count / 10} {incr i} { dict set ::expected "{crowd}$i" "one of many $i" }
    dict set ::expected big [string repeat 0123456789abcdef 20000]
    dict set ::expected "" "the empty key's"
    dict for {key value} $::expected { on [owner_name $key] set $key $value }
    foreach key {key:3 key:33} { on [owner_name $key] pexpireat $key 4000000000000 }
}

# All keys are where they belong, whole, and nowhere else.
proc check_content {names} {
    map_owners [lindex $names 0]
    dict for {key value} $::expected { assert_equal $value [on [owner_name $key] get $key] "the value of '$key'" }
    foreach key {key:3 key:33} {
        if {[dict exists $::expected $key]} { assert_equal 4000000000000 [on [owner_name $key] pexpiretime $key] }
    }
    set total 0
    foreach name $names { incr total [on $name dbsize] }
    assert_equal [dict size $::expected] $total "keys in all"
}

proc slot_count {name} {
    map_owners
    return [llength [lsearch -all -exact $::owner_map $name]]
}

# No slot is open, all are served, everybody agrees.
proc check_whole {names} {
    cluster_wait_agreed $names
    set out [manage check [lindex $names 0]]
    assert_match "*All nodes agree about slots configuration*All 16384 slots covered*" $out
    assert {![string match *open* [string map {{Check for open slots} {}} $out]]}
}

test "reshard moves slots with their keys" {
    with_cluster {ada bob cleo} {@split yes} {
        unset -nocomplain ::owner_map
        fill {ada bob cleo} 1000
        set out [manage reshard ada --cluster-from [node_id ada],[node_id cleo] --cluster-to [node_id bob] --cluster-slots 400]
        check_whole {ada bob cleo}
        check_content {ada bob cleo}
        assert_equal 5861 [slot_count bob]
        set out [manage reshard cleo --cluster-from all --cluster-to [node_id ada] --cluster-slots 600 --cluster-pipeline 100 --cluster-timeout 5000]
        check_whole {ada bob cleo}
        check_content {ada bob cleo}
        assert_match "*[dict size $::expected] keys in 3 masters*" [manage info bob]
        # What was asked for is nothing that somebody should look at.
        foreach name {ada bob cleo} { assert_equal {} [regexp -all -inline -line {^\S+ .* # slots?[: ].*$} [node_log $name]] $name }
    }
}

test "rebalance spreads the slots, as weighed, over a node that was empty and takes them from one that is to be" {
    with_cluster {ada bob} {@split yes} {
        unset -nocomplain ::owner_map
        fill {ada bob} 500
        node_start cleo $::cluster_options
        manage add-node cleo 127.0.0.1:[node_port ada]
        cluster_wait_agreed {ada bob cleo}
        manage rebalance ada --cluster-use-empty-masters --cluster-threshold 1
        check_whole {ada bob cleo}
        check_content {ada bob cleo}
        foreach name {ada bob cleo} { assert {[slot_count $name] > 5300 && [slot_count $name] < 5600} }
        manage rebalance bob --cluster-weight [node_id ada]=2 [node_id bob]=1 [node_id cleo]=1
        check_whole {ada bob cleo}
        check_content {ada bob cleo}
        assert {abs([slot_count ada] - 8192) < 200}
        # Weighed with nothing it is empty, and may go.
        assert {[catch { manage del-node ada [node_id cleo] } out]}
        assert_match "*is not empty*" $out
        manage rebalance ada --cluster-weight [node_id cleo]=0
        check_content {ada bob cleo}
        assert_equal 0 [slot_count cleo]
        manage del-node ada [node_id cleo]
        eventually { [seen_by ada cleo] eq {} && [seen_by bob cleo] eq {} }
        check_whole {ada bob}
        check_content {ada bob}
    }
}

foreach ::source_kind {redis-server "a node without a cluster"} {
    test "import takes over the keys of $::source_kind" {
        with_cluster {ada bob} {@split yes} {
            unset -nocomplain ::owner_map
            set ::expected {}
            node_start source [expr {$::source_kind eq "redis-server" ? {@binary redis-server} : {}}]
            for {set i 0} {$i < 300} {incr i} {
                dict set ::expected key:$i "value of key:$i"
                on source set key:$i "value of key:$i"
            }
            foreach key {key:3 key:33} { on source pexpireat $key 4000000000000 }
            set from 127.0.0.1:[node_port source]
            manage import ada --cluster-from $from --cluster-copy
            # A redis-server sends what is left of a deadline.
            foreach key {key:3 key:33} {
                assert {abs([on [owner_name $key] pexpiretime $key] - 4000000000000) < 60000}
                on [owner_name $key] pexpireat $key 4000000000000
            }
            check_content {ada bob}
            assert_equal 300 [on source dbsize]
            on [owner_name key:7] set key:7 other
            manage import bob --cluster-from $from --cluster-replace
            assert_equal 0 [on source dbsize]
            foreach key {key:3 key:33} { on [owner_name $key] pexpireat $key 4000000000000 }
            check_content {ada bob}
        }
    }
}

test "add-node, call and set-timeout reach every node" {
    with_cluster {ada bob} {@split yes} {
        foreach name {cleo dan} { node_start $name $::cluster_options }
        manage add-node cleo 127.0.0.1:[node_port bob]
        cluster_wait_agreed {ada bob cleo}
        manage add-node dan 127.0.0.1:[node_port cleo]
        cluster_wait_agreed {ada bob cleo dan}
        set out [exec redis-cli --cluster call 127.0.0.1:[node_port dan] config set timeout 77 << "" 2>@1]
        foreach name {ada bob cleo dan} { assert_equal {timeout 77} [on $name config get timeout] }
        exec redis-cli --cluster set-timeout 127.0.0.1:[node_port cleo] 4000 << "" 2>@1
        foreach name {ada bob cleo dan} { assert_equal {cluster-node-timeout 4000} [on $name config get cluster-node-timeout] }
    }
}

# What redis-cli does one step at a time, cut off after each: CLUSTER SETSLOT ... IMPORTING, ... MIGRATING, MIGRATE of some keys, ... NODE at the target.
test "an interrupted reshard is finished by fix, wherever it was cut off" {
    with_cluster {ada bob cleo} {@split yes} {
        unset -nocomplain ::owner_map
        fill {ada bob cleo} 100
        set crowd [slot_of "{crowd}"]
        set from [owner_name "{crowd}"]
        set to [lindex [lsearch -all -inline -not -exact {ada bob cleo} $from] 0]
        for {set i 10} {$i < 60} {incr i} {
            dict set ::expected "{crowd}$i" "more of them $i"
            on $from set "{crowd}$i" "more of them $i"
        }
        foreach cut {importing migrating some all node} {
            map_owners
            set from [owner_name "{crowd}"]
            set to [lindex [lsearch -all -inline -not -exact {ada bob cleo} $from] 0]
            on $to cluster setslot $crowd importing [node_id $from]
            if {$cut ne "importing"} { on $from cluster setslot $crowd migrating [node_id $to] }
            if {$cut in {some all node}} {
                set keys [on $from cluster getkeysinslot $crowd [expr {$cut eq "some" ? 20 : 1000}]]
                assert_equal OK [on $from migrate 127.0.0.1 [node_port $to] "" 0 5000 keys {*}$keys]
            }
            if {$cut eq "node"} { on $to cluster setslot $crowd node [node_id $to] }
            catch { manage fix cleo } out
            check_whole {ada bob cleo}
            check_content {ada bob cleo}
        }
    }
}

test "redis-cli killed in the middle of a reshard leaves what fix finishes" {
    with_cluster {ada bob cleo} {@split yes} {
        unset -nocomplain ::owner_map
        fill {ada bob cleo} 500
        foreach {from to} {ada bob bob cleo cleo ada} {
            set before [slot_count $to]
            set tool [exec redis-cli --cluster reshard 127.0.0.1:[node_port ada] --cluster-from [node_id $from] --cluster-to [node_id $to] \
                --cluster-slots 4000 --cluster-yes << "" >/dev/null 2>@1 &]
            eventually { [slot_count $to] > $before + 50 }
            catch { exec kill -s KILL $tool }
            catch { manage fix ada --cluster-fix-with-unreachable-masters } out
            check_whole {ada bob cleo}
            check_content {ada bob cleo}
            assert {[slot_count $to] > $before}
        }
    }
}

test "fix gives slots that nobody serves to who has their keys" {
    with_cluster {ada bob} {@split yes cluster-require-full-coverage no} {
        unset -nocomplain ::owner_map
        fill {ada bob} 200
        set slot [slot_of key:1]
        foreach name {ada bob} { on $name cluster delslots $slot }
        catch { manage fix bob } out
        check_whole {ada bob}
        map_owners
        assert {[lindex $::owner_map $slot] in {ada bob}}
    }
}

# F4, F5: for as long as cluster-slot-move-timeout, within which whoever moves it may come back (open_slots.tcl).
test "a slot that was left open is served whole, and closing it by hand drops no key on either side" {
    with_cluster {ada bob} {
        set slot 100
        set tag [key_in_slot $slot]
        foreach i {1 2} { on ada set "{$tag}$i" $i }
        open_slot $slot ada bob
        assert_equal OK [on ada migrate 127.0.0.1 [node_port bob] "{$tag}1" 0 60000]
        # Whoever moved it is gone.
        proc read_all {} {
            upvar tag tag
            assert_redirect ASK bob { on ada get "{$tag}1" }
            on bob asking
            assert_equal 1 [on bob get "{$tag}1"]
            assert_equal 2 [on ada get "{$tag}2"]
        }
        read_all
        # Closed by hand it is its owner's alone; what has left is kept, and is there when it is opened again.
        foreach name {bob ada} { assert_equal OK [on $name cluster setslot $slot stable] }
        assert_equal "" [on ada get "{$tag}1"]
        assert_redirect MOVED ada { on bob get "{$tag}1" }
        assert_equal {1 1} [list [on ada dbsize] [on bob cluster countkeysinslot $slot]]
        open_slot $slot ada bob
        read_all
        manage fix ada
        cluster_wait_agreed {ada bob}
        set owner [owner_of_slot $slot ada]
        foreach i {1 2} { assert_equal $i [on $owner get "{$tag}$i"] }
    }
}

test "a key on its way out of a slot that migrates is served here until it is there" {
    with_cluster {ada bob} {
        set slot [slot_of "{t}"]
        set port [fake_start { return [expr {[lindex $words 0] ne "RESTORE-ASKING" ? "+OK\r\n" : ""}] }]
        on ada mset "{t}a" 1 "{t}b" 2 "{t}c" 3
        open_slot $slot ada bob
        connect mover ada
        resp::send mover migrate 127.0.0.1 $port "" 0 60000 keys "{t}a" "{t}b"
        eventually { [llength [lsearch -all [heard_names] restore-asking]] == 2 }
        # Those on their way are read here, the rest is written here, and what is not here is asked for there.
        assert_equal {1 2 3} [on ada mget "{t}a" "{t}b" "{t}c"]
        assert_equal OK [on ada set "{t}c" 4]
        assert_redirect ASK bob { on ada get "{t}d" }
        assert_redirect ASK bob { on ada set "{t}d" 1 }
        assert_error "TRYAGAIN *" { on ada mget "{t}a" "{t}d" }
        # Who would write, or finds the entry gone, is sent nowhere yet; and what is refused is refused at once.
        on ada flushall
        foreach {name words} {get {get A} set {set B 1} mget {mget A B} again {migrate 127.0.0.1 1 A 0 1000}} {
            connect $name ada
            resp::send $name {*}[lmap word $words { string map [list A "{t}a" B "{t}b"] $word }]
        }
        connect queue ada
        resp::do queue multi
        assert_equal QUEUED [resp::do queue get "{t}a"]
        resp::send queue exec
        wait_ms 200
        foreach name {get set mget again queue} { assert { ! [resp::is_closed $name 1] }; assert_equal "" [resp::unread $name] $name }
        # The slot may not be given away while a key is on its way: what comes to be written there would be written over.
        assert_error "ERR Can't assign hashslot $slot to a different node while I still hold keys for this hash slot." { on ada cluster setslot $slot node [node_id bob] }
        puts -nonewline [lindex $::fake_peers 0] +OK\r\n+OK\r\n
        assert_equal {simple OK} [resp::read mover]
        foreach name {get set mget queue} {
            set reply [resp::read $name]
            assert_match "ASK $slot 127.0.0.1:[node_port bob]" [lindex $reply 1]
        }
        assert_equal {simple NOKEY} [resp::read again]
        assert_equal OK [on ada cluster setslot $slot node [node_id bob]]
        fake_stop
    }
}

foreach ::pair {{ada bob} {bob ada}} {
    test "slots move between [lindex $::pair 0] and [lindex $::pair 1], one of them a redis-server" {
        with_cluster {ada bob} {@split yes @binaries {bob redis-server}} {
            unset -nocomplain ::owner_map
            fill {ada bob} 500
            lassign $::pair from to
            foreach {a b} [list $from $to $to $from] {
                manage reshard $a --cluster-from [node_id $a] --cluster-to [node_id $b] --cluster-slots 500 --cluster-pipeline 50
                check_whole {ada bob}
                map_owners
                foreach key {key:3 key:33} {
                    # A redis-server sends what is left of a deadline.
                    assert {abs([on [owner_name $key] pexpiretime $key] - 4000000000000) < 60000}
                    on [owner_name $key] pexpireat $key 4000000000000
                }
                check_content {ada bob}
            }
            # Nodes of either kind join through either, though one has functions and the other has not.
            node_start cleo $::cluster_options
            manage add-node cleo 127.0.0.1:[node_port bob]
            node_start dan [dict merge $::cluster_options {@binary redis-server}]
            eventually { [cluster_disagreement {ada bob cleo}] eq "" }
            manage add-node dan 127.0.0.1:[node_port ada]
            cluster_wait_agreed {ada bob cleo dan}
        }
    }
}

# --- Under load ---

# A command that follows redirects; gives its reply as {type value}.
proc follow {name args} {
    for {set tries 0} {$tries < 1000} {incr tries} {
        set reply [resp::ask $name {*}$args]
        if {[lindex $reply 0] ne "error"} { return $reply }
        if {[regexp {^(MOVED|ASK) \d+ \S+:(\d+)$} [lindex $reply 1] -> kind port]} {
            set name $::name_of_port($port)
            if {$kind eq "ASK"} { resp::do $name asking }
        } elseif {![string match TRYAGAIN* [lindex $reply 1]]} {
            return $reply
        } else {
            wait_ms 1
        }
    }
    fail "sent from one to the other for ever: $args"
}

test "while slots move back and forth no acknowledged write is lost" {
    with_cluster {ada bob cleo} {@split yes} {
        foreach name {ada bob cleo} { set ::name_of_port([node_port $name]) $name; connect $name $name }
        # Tags of the slots that reshard takes first.
        set tags {}
        for {set i 0} {[llength $tags] < 25} {incr i} { if {[slot_of $i] < 100} { lappend tags $i } }
        set keys {}
        foreach tag $tags { for {set i 0} {$i < 20} {incr i} { lappend keys "{$tag}:$i" } }
        foreach key $keys { set kept($key) 0; follow ada set $key 0 }
        set script [file join [test_dir] move.sh]
        set lines {}
        foreach {from to} {ada bob bob cleo cleo ada ada bob bob ada} {
            lappend lines "redis-cli --cluster reshard 127.0.0.1:[node_port ada] --cluster-from [node_id $from] --cluster-to [node_id $to] --cluster-slots 100 --cluster-yes --cluster-pipeline 7 </dev/null"
            # Right after a reshard they may not agree yet, and the next one would be refused.
            lappend lines "for i in 1 2 3 4 5 6 7 8 9 10; do redis-cli --cluster check 127.0.0.1:[node_port ada] </dev/null && break; sleep 0.3; done"
        }
        write_file $script [join $lines \n]\n
        set mover [exec sh $script > [file join [test_dir] move.log] 2>@1 &]
        set written 0
        while {[pid_is_alive $mover] || $written < 2000} {
            set key [lindex $keys [expr {int(rand() * [llength $keys])}]]
            switch [expr {int(rand() * 6)}] {
                0 { assert_equal [list bulk $kept($key)] [follow bob get $key] $key }
                1 {
                    assert_equal {integer 1} [follow cleo del $key] $key
                    assert_equal {null {}} [follow ada get $key] $key
                    assert_equal {simple OK} [follow ada set $key [set kept($key) 1]]
                }
                2 {
                    set other "[string range $key 0 [string first : $key]]0"
                    set value [incr written]
                    assert_equal {simple OK} [follow ada mset $key $value $other $value]
                    set kept($key) [set kept($other) $value]
                }
                3 { assert_equal [list integer [incr kept($key)]] [follow bob incr $key] $key }
                4 { set kept($key) [incr written]; assert_equal {simple OK} [follow cleo set $key $written px 1000000] }
                5 { set kept($key) [incr written]; assert_equal {simple OK} [follow ada set $key $written] }
            }
            incr written
        }
        set log [read_file [file join [test_dir] move.log]]
        assert {[llength [regexp -all -inline {Moving slot} $log]] == 1000} "moved [llength [regexp -all -inline {Moving slot} $log]]: [string range $log end-1500 end]"
        cluster_wait_agreed {ada bob cleo}
        foreach key $keys { assert_equal [list bulk $kept($key)] [follow ada get $key] $key }
        assert_equal [llength $keys] [expr {[on ada dbsize] + [on bob dbsize] + [on cleo dbsize]}]
    }
}
