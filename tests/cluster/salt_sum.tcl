# Salted sums: what is added under any name, on whatever node, is in the total once, whatever happens meanwhile.

proc all_of {field} { return [expr [join [lmap node $::nodes { salting $node $field }] +]] }
proc node_at {port} { foreach node $::nodes { if {[node_port $node] == $port} { return $node } } }
proc names_at {names node} { return [lmap name $names { if {[owner_of $name] ne $node} continue; set name }] }

# A command on a name, as by a client that follows redirects. ::at is what it remembers of who has which name.
proc follow {command name args} {
    for {set tries 0} {$tries < 100} {incr tries} {
        if {![info exists ::at($name)]} { set ::at($name) [owner_of $name] }
        if {![catch { on $::at($name) $command $name {*}$args } got]} { return $got }
        if {[regexp {^MOVED \d+ \S+:(\d+)$} $got -> port]} {
            set ::at($name) [node_at $port]
        } elseif {[regexp {^ASK \d+ \S+:(\d+)$} $got -> port]} {
            set node [node_at $port]
            on $node asking
            if {![catch { on $node $command $name {*}$args } got]} { return $got }
            if {![regexp {^(ASK|MOVED|TRYAGAIN|CLUSTERDOWN) } $got]} { error $got }
        } elseif {![regexp {^(TRYAGAIN|CLUSTERDOWN) } $got]} {
            error $got
        }
        wait_ms 5
    }
    error "led around in circles: $got"
}

# Adds; ::sum is all that was acknowledged.
proc add {name {delta 1}} {
    set got [follow incrby $name $delta]
    incr ::sum $delta
    return $got
}

# Does every node that has a name take what is added to it?
proc all_take {names} {
    foreach name $names {
        if {[catch { on [owner_of $name] incr $name }]} { return 0 }
        incr ::sum
    }
    return 1
}

# Adds much under all names, and reads later what was acknowledged: meanwhile something may happen.
proc burst {names {count 30}} {
    set ::bursts {}
    foreach name $names {
        set node [owner_of $name]
        if {![resp::is_open burst:$node]} { connect burst:$node $node }
        resp::write burst:$node [string repeat [resp::encode incr $name] $count]
        lappend ::bursts $node $count
    }
}
proc gather {} {
    foreach {node count} $::bursts {
        for {set i 0} {$i < $count} {incr i} { if {[lindex [resp::read burst:$node] 0] eq "integer"} { incr ::sum } }
    }
    set ::bursts {}
}

# All that was added is in the total, and nothing else: under each name.
proc assert_sum {key names {start 0}} {
    eventually { [follow get $key] eq $start + $::sum }
    foreach name $names { eventually { [follow get $name] eq $start + $::sum } }
    assert_equal 0 [all_of salt_sums_pending]
}

# A cluster with a sum: sets home, key and names in the caller.
proc with_sum {factor options body} {
    set ::nodes {ada bob carol}
    array unset ::at
    cluster_start $::nodes [dict merge {@split yes} $options]
    upvar 1 home home key key names names
    set home ada
    set key [key_in_slot [expr {[first_slot_of $home] + 23}] "visits:$::test_count:"]
    set ::sum 0
    set names [on $home salt $key $factor sum]
    assert_equal $factor [llength $names]
    eventually { [all_take $names] }
    set code [catch { uplevel 1 $body } result return_options]
    if {$code == 0} { foreach name $::nodes { if {[node_is_alive $name]} { node_stop $name } } }
    return -options $return_options $result
}

test "what is added under any name is taken where the name is, and is in the total once" {
    with_sum 6 {} {
        assert_sum $key $names
        set added [all_of salt_sums_added]
        set expected 0
        for {set i 0} {$i < 20} {incr i} {
            foreach name $names {
                set node [owner_of $name]
                if {[catch { on $node incrby $name [expr {$i - 3}] } got]} { add $name [expr {$i - 3}]; continue }
                incr ::sum [expr {$i - 3}]
                if {$node ne $home && $i != 3} { incr expected }
            }
        }
        assert {$expected > 0}
        foreach {command delta} {incr 1 decr -1 {incrby 7} 7 {decrby 9} -9} {
            foreach name $names {
                set got [follow [lindex $command 0] $name {*}[lrange $command 1 end]]
                incr ::sum $delta
                assert {[string is integer -strict $got]}
            }
        }
        assert {[all_of salt_sums_added] >= $added + $expected}
        assert_sum $key $names
        assert {[salting ada salt_folds_applied] > 0 && [all_of salt_folds_sent] > 0}
        foreach field {salt_sums_discarded salt_sums_lost salt_folds_discarded salt_folds_overflowed} { assert_equal 0 [all_of $field] $field }
        set folded 0
        foreach node {bob carol} {
            set entry [entry_of $node $key]
            assert_equal sum [dict get $entry mode]
            assert_equal {0 0} [list [dict get $entry sum-pending] [dict get $entry sum-sent]]
            assert {[dict get $entry sum-added] > 0}
            incr folded [dict get $entry sum-folded]
            assert_equal 0 [on $node dbsize]
        }
        assert {$folded != 0}
        # It is read there, too.
        foreach name $names { eventually { ![catch { on [owner_of $name] get $name } got] && $got eq $::sum } }
        assert {[all_of salt_sums_told] > 0}
        foreach helper [dict get [entry_of ada $key] helpers] { assert_equal {linked copy} [lrange $helper 1 2] }
    }
}

test "a sum begins at any of its names, under the policy of its key" {
    with_sum 6 {} {
        foreach node $::nodes { on $node policy set visits: ttl 500 max-ttl 1000 }
        on $home del $key
        set ::sum 0
        set name [lindex [names_at $names bob] 0]
        eventually { [catch { on bob get $name } got] && [string match "ASK [slot_of $name] *" $got] }
        assert_equal "" [follow get $name]
        set taken [salting bob salt_sums_added]
        eventually { [catch { on bob incrby $name 5 } got] == 0 && [incr ::sum 5] }
        assert_equal [expr {$taken + 1}] [salting bob salt_sums_added]
        assert_sum $key $names
        set ttl [on $home ttl $key]
        assert {$ttl > 0 && $ttl <= 500} "ttl $ttl"
        foreach node {bob carol} { assert_equal 0 [on $node dbsize] }
    }
}

test "what sets or deletes a sum is seen under all names when it is acknowledged, and older additions are gone" {
    with_sum 6 {} {
        for {set i 1} {$i <= 20} {incr i} {
            if {$i % 4 == 0} { eventually { [all_take $names] } }
            burst $names 5
            gather
            set value [expr {$i * 1000000}]
            assert_equal OK [on $home set $key $value]
            foreach name $names { assert_equal $value [follow get $name] $name }
        }
        set ::sum 0
        eventually { [all_take $names] }
        assert_sum $key $names $value
        burst $names 5
        gather
        assert_equal 1 [on $home del $key]
        foreach name $names { assert_equal "" [follow get $name] $name }
        set ::sum 0
        eventually { [all_take $names] }
        assert_sum $key $names
        # One that expires goes as it does, also where the first to find that is one that adds.
        set name [lindex [names_at $names bob] 0]
        for {set i 0} {$i < 20} {incr i} {
            on $home set $key 1000000 px 100
            while {[on $home incr $key] >= 1000000} { catch { on bob get $name } }
            if {![catch { on bob get $name } got]} { assert {$got < 1000000} }
        }
        on $home set $key 0
        set ::sum 0
        eventually { [all_take $names] }
        assert_sum $key $names
        # And begins anew.
        on $home pexpire $key 1
        eventually { [follow get [lindex $names 1]] eq "" }
        foreach name $names { eventually { [follow get $name] eq "" } }
        set ::sum 0
        eventually { [all_take $names] }
        assert_sum $key $names
    }
}

test "what leaves the number as it is discards nothing: deadlines, and additions in transactions" {
    with_sum 6 {} {
        assert_sum $key $names
        set discarded [all_of salt_sums_discarded]
        for {set i 0} {$i < 20} {incr i} {
            burst $names 10
            foreach change [list [list expire $key 1000] [list persist $key] [list pexpire $key 1000000] [list getex $key ex 900]] { on $home {*}$change }
            on $home multi
            on $home incr $key
            on $home incrby $key 4
            on $home expire $key 800
            incr ::sum 5
            assert_equal 1 [lindex [on $home exec] 2]
            gather
        }
        assert_sum $key $names
        assert_equal $discarded [all_of salt_sums_discarded]
        assert {[on $home ttl $key] > 0}
        eventually { [all_take $names] }
        assert_sum $key $names
        assert {[on $home ttl $key] > 0}
    }
}

test "within a transaction a name is home's, and so is what is no addition" {
    with_sum 6 {} {
        set name [lindex [names_at $names bob] 0]
        on bob multi
        assert_error "MOVED [slot_of $name] *:[node_port ada]" { on bob incr $name }
        on bob discard
        foreach command [list [list set $name 1] [list append $name 1] [list ttl $name] [list strlen $name] [list incrbyfloat $name 1] [list incrby $name nonsense] \
                             [list incrby $name 0] [list decrby $name -9223372036854775808] [list getdel $name]] {
            assert_error "ASK [slot_of $name] *:[node_port ada]" { on bob {*}$command }
        }
        assert_error "ERR wrong number of arguments for 'incr' command" { on bob incr }
        on ada asking
        assert_error "ERR value is not an integer or out of range" { on ada incrby $name nonsense }
    }
}

test "a value that is no number, or has no room, is for home to refuse" {
    with_sum 6 {} {
        set name [lindex [names_at $names bob] 0]
        on $home set $key text
        assert_error "ASK *" { on bob incr $name }
        assert_error "ERR value is not an integer or out of range" { follow incr $name }
        assert_equal text [follow get $name]
        # The sum of what is known would overflow, at either end.
        foreach {start delta} {9223372036854775800 10 -9223372036854775800 -10} {
            on $home set $key $start
            eventually { ![catch { on bob get $name } got] && $got eq $start }
            assert_error "ERR increment or decrement would overflow" { follow incrby $name $delta }
            assert_equal $start [follow get $name]
        }
    }
}

test "additions that together overflow at home are counted, and told of in the log" {
    with_sum 6 {} {
        set name [lindex [names_at $names bob] 0]
        set start [expr {(1 << 63) - 10}]
        # Whoever comes first has the room: bob's 6 or home's.
        for {set round 0} {$round < 200 && [salting ada salt_folds_overflowed] == 0} {incr round} {
            on $home set $key $start
            eventually { ![catch { on bob get $name } got] && $got eq $start }
            set before [salting ada salt_folds_overflowed]
            connect direct ada
            if {[catch { on bob incrby $name 6 }]} continue
            set failed [catch { resp::do direct incrby $key 6 }]
            eventually { [salting bob salt_sums_pending] == 0 }
            assert_equal [expr {$start + 6}] [on $home get $key]
            assert_equal [expr {!$failed}] [expr {[salting ada salt_folds_overflowed] - $before}]
        }
        assert_equal 1 [salting ada salt_folds_overflowed]
        assert_match "*6 that other nodes had added to a sum would have made it overflow*" [node_log ada]
        # It goes on from what home has.
        eventually { ![catch { on bob incrby $name -1 }] }
        eventually { [on $home get $key] eq $start + 5 }
    }
}

test "what home may not write waits at the helper, which takes no more" {
    with_sum 6 {maxmemory-policy noeviction} {
        set name [lindex [names_at $names bob] 0]
        foreach {hinder help} {{config set maxmemory 1} {config set maxmemory 0} {client pause 1000000 write} {client unpause}} {
            eventually { [all_take $names] }
            burst [concat [names_at $names bob] [names_at $names carol]] 3
            on $home {*}$hinder
            gather
            eventually { [catch { on bob incr $name } got] || ![incr ::sum] }
            assert_match "ASK *" $got
            wait_ms 100
            on $home {*}$help
            assert_sum $key $names
        }
        foreach field {salt_sums_discarded salt_sums_lost} { assert_equal 0 [all_of $field] $field }
    }
}

test "a sum is told of as home has it: events, the slow log, commands that were run" {
    with_sum 6 {notify-keyspace-events KEA} {
        set name [lindex [names_at $names bob] 0]
        assert_sum $key $names
        connect listener ada
        resp::do listener subscribe __keyspace@0__:$key
        connect other bob
        resp::do other subscribe __keyspace@0__:$key
        on bob config set slowlog-log-slower-than 0
        on bob slowlog reset
        on bob config resetstat
        eventually { ![catch { on bob incrby $name 3 }] }
        assert_equal [list message __keyspace@0__:$key incrby] [resp::plain [resp::read listener]]
        assert {[lsearch -exact [lmap entry [on bob slowlog get 10] { lindex $entry 3 }] [list incrby $key 3]] >= 0}
        assert_match "*cmdstat_incrby:calls=*" [on bob info commandstats]
        # It happened at home, and there only.
        assert_equal "" [resp::unread other]
    }
}

test "a helper that is killed takes along what it took within a twentieth of a second at most" {
    with_sum 6 {cluster-require-full-coverage no} {
        set name [lindex [names_at $names bob] 0]
        assert_sum $key $names
        connect c bob
        set taken {}
        set ends [expr {[clock milliseconds] + 300}]
        while {[clock milliseconds] < $ends || [llength $taken] < 300} {
            set asked [clock microseconds]
            if {![catch { resp::do c incr $name }]} { lappend taken [list $asked [clock microseconds]] }
        }
        node_kill bob
        # What it had sent arrives; then home has heard that it is gone.
        eventually { [salting ada salt_helpers] == 1 }
        set lost [expr {$::sum + [llength $taken] - [on ada get $key]}]
        # The last addition was not before it was asked for, and no other that was not sent is older than that by more than 50 ms.
        set since [expr {[lindex $taken end 0] - 51000}]
        set at_most [llength [lmap one $taken { if {[lindex $one 1] < $since} continue; set one }]]
        assert {$lost >= 0 && $lost <= $at_most}
        assert {$at_most < [llength $taken]}
        set ::sum [on ada get $key]
        set ::nodes {ada carol}
        set there [concat [names_at $names ada] [names_at $names carol]]
        foreach one $there { add $one 10 }
        assert_sum $key $there
        # Back again it is a helper as any other.
        node_start bob [dict merge $::cluster_options [list @port [node_port bob] @dir [node_dir bob]]]
        set ::nodes {ada bob carol}
        eventually { [all_take $names] }
        assert_sum $key $names
    }
}

test "a helper that is shut down brings home what it has" {
    with_sum 6 {cluster-require-full-coverage no} {
        for {set round 0} {$round < 3} {incr round} {
            eventually { [all_take $names] }
            assert_sum $key $names
            burst [names_at $names bob] 200
            # Its last answers have come when the signal goes: what it took is a few milliseconds old.
            gather
            resp::close burst:bob
            node_stop bob
            eventually { [salting ada salt_helpers] == 1 }
            assert_equal $::sum [on ada get $key]
            node_start bob [dict merge $::cluster_options [list @port [node_port bob] @dir [node_dir bob]]]
            array unset ::at
        }
    }
}

test "a link that is closed loses nothing and counts nothing twice" {
    with_sum 6 {} {
        for {set i 0} {$i < 30} {incr i} {
            if {$i % 5 == 0} { eventually { [all_take $names] } }
            burst $names 20
            foreach id [helper_clients $home] { on $home client kill id $id }
            gather
        }
        assert_sum $key $names
        assert_equal 0 [all_of salt_sums_lost]
        assert_equal 0 [all_of salt_sums_discarded]
    }
}

test "who stands still loses nothing, and a helper whose home does answers for it no more" {
    with_sum 6 {} {
        set name [lindex [names_at $names bob] 0]
        for {set round 0} {$round < 3} {incr round} {
            eventually { [all_take $names] }
            burst $names 20
            node_signal bob STOP
            wait_ms 400
            node_signal bob CONT
            gather
            assert_sum $key $names
            eventually { [all_take $names] }
            node_signal ada STOP
            eventually { [catch { on bob incr $name } got] || ![incr ::sum] }
            assert_match "ASK *" $got
            assert_error "ASK *" { on bob get $name }
            node_signal ada CONT
            assert_sum $key $names
        }
        assert_equal 0 [all_of salt_sums_lost]
        assert_equal 0 [all_of salt_sums_discarded]
    }
}

test "fewer names, other names, or none: what was added under them is in the sum" {
    with_sum 8 {} {
        set all $names
        foreach change {{2 sum} {6 sum} {1} {5 sum} {4} {3 sum} {1}} {
            # While the nodes hear of it, one after the other, they are added to.
            connect changer $home
            resp::send changer salt $key {*}$change
            for {set i 0} {$i < 30} {incr i} {
                burst $all 5
                gather
                wait_ms 10
            }
            set names [resp::plain [resp::read changer]]
            assert_equal [lindex $change 0] [llength $names]
            foreach name $names { if {$name ni $all} { lappend all $name } }
            # One that is a name no more leads to the key for an hour; one that its node has not heard of yet is a key of its own.
            foreach name $names { eventually { [follow get $name] eq [follow get $key] } }
            foreach name $all { add $name 3 }
            assert_sum $key $names
            if {[lindex $change 1] eq "sum"} { eventually { [all_take $names] } }
        }
        assert_equal 0 [all_of salt_sums_lost]
        assert_equal 0 [all_of salt_sums_discarded]
        foreach node {bob carol} { assert_equal 0 [on $node dbsize] }
    }
}

test "the slot of a sum may move, there and back, and nothing of it is lost" {
    with_sum 6 {} {
        set slot [slot_of $key]
        foreach {from to} {ada bob bob carol carol ada} {
            eventually { [all_take $names] }
            burst $names 20
            open_slot $slot $from $to
            assert_equal OK [on $from migrate [node_host $to] [node_port $to] $key 0 60000]
            gather
            burst $names 20
            hand_over $slot $from $to
            gather
            foreach name $names { add $name 2 }
            eventually { [owner_of_slot $slot ada] eq $to && [owner_of_slot $slot bob] eq $to && [owner_of_slot $slot carol] eq $to }
            array unset ::at
            assert_sum $key $names
        }
        assert_equal 0 [all_of salt_sums_lost]
        assert_equal 0 [all_of salt_sums_discarded]
    }
}

test "while its slot is on the way a sum is added to where it is" {
    with_sum 6 {} {
        set slot [slot_of $key]
        burst $names 20
        open_slot $slot ada bob
        gather
        # All of it is folded while the key is here, and nothing more is taken elsewhere.
        eventually { [all_of salt_sums_pending] == 0 }
        assert_equal $::sum [on ada get $key]
        foreach name $names { add $name 2 }
        assert_equal $::sum [on ada get $key]
        on ada cluster setslot $slot stable
        on bob cluster setslot $slot stable
        eventually { [all_take $names] }
        assert_sum $key $names
        assert_equal 0 [all_of salt_sums_lost]
    }
}

test "the slot of a name may move, and what was added there is in the sum" {
    with_sum 6 {} {
        set name [lindex [names_at $names bob] 0]
        foreach {from to} {bob carol carol bob bob ada ada bob} {
            burst $names 20
            give_slot [slot_of $name] $from $to
            gather
            array unset ::at
            eventually { [owner_of $name ada] eq $to && [owner_of $name bob] eq $to && [owner_of $name carol] eq $to }
            foreach one $names { add $one 2 }
            assert_sum $key $names
            eventually { [all_take [on $home salt $key]] }
        }
        assert_equal 0 [all_of salt_sums_lost]
        assert_equal 0 [all_of salt_sums_discarded]
    }
}
