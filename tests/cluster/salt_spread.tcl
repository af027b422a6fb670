# salt-spread yes: clients that know nothing of names are led to all nodes that have a copy of a salted key, each a few at most, and never round in circles.

set ::all {ada bob cleo dan}

proc port_name {port} {
    foreach name $::all { if {[node_port $name] == $port} { return $name } }
    return nobody
}
proc is_spread {name key} {
    set entry [entry_of $name $key]
    return [expr {$entry ne "" && [dict get $entry spread]}]
}
proc all_have_copies {key} {
    foreach helper [dict get [entry_of ada $key] helpers] { if {[lrange $helper 1 2] ne {linked copy}} { return no } }
    return yes
}

# A command on a connection, with what it is answered: a value, or {ASK name} or {MOVED name}. A redirect is of the slot given.
proc said {connection slot args} {
    catch { resp::do $connection {*}$args } reply
    if {![regexp {^(ASK|MOVED) (\d+) \S*:(\d+)$} $reply -> kind of port]} { return $reply }
    assert_equal $slot $of
    return [list $kind [port_name $port]]
}

# What comes next on a connection, an error or not.
proc heard {connection} {
    catch { resp::plain [resp::read $connection] } reply
    return $reply
}

# CLUSTER SLOTS on a connection as who is said to have this slot. What is wrong with the reply as such fails.
proc told_by_slots {connection slot} {
    set next 0
    set found nobody
    foreach range [resp::do $connection cluster slots] {
        lassign $range from to node
        assert_equal $next $from "ranges follow each other"
        assert {$to >= $from}
        set next [expr {$to + 1}]
        if {$slot >= $from && $slot <= $to} { set found [port_name [lindex $node 1]] }
    }
    assert_equal 16384 $next "all slots are told"
    return $found
}
proc told_by_shards {connection slot} {
    set found nobody
    array set seen {}
    foreach shard [resp::do $connection cluster shards] {
        set slots [dict get $shard slots]
        assert_equal [lsort -integer $slots] $slots
        foreach {from to} $slots {
            for {set i $from} {$i <= $to} {incr i} {
                assert {![info exists seen($i)]}
                set seen($i) 1
            }
            if {$slot >= $from && $slot <= $to} { set found [port_name [dict get [lindex [dict get $shard nodes] 0] port]] }
        }
    }
    assert_equal 16384 [array size seen]
    return $found
}

# Is no connection to a node told this one, of thirty?
proc never_named {slot node name} {
    for {set i 0} {$i < 30} {incr i} {
        connect named $node
        set first ""
        foreach range [resp::do named cluster slots] {
            if {[lindex $range 0] <= $slot && [lindex $range 1] >= $slot} { set first [port_name [lindex $range 2 1]] }
        }
        if {$first eq $name} { return no }
    }
    return yes
}

# A client that knows no names, as cluster clients are: it goes where it is sent, with ASKING where it is asked to. Returns {hops value}. Its
# connections stay.
proc client_do {client node args} {
    for {set hops 0} {$hops < 10} {incr hops} {
        set connection $client-$node
        if {![info exists ::client_connections($connection)]} {
            connect $connection $node
            set ::client_connections($connection) 1
        }
        if {[info exists kind] && $kind eq "ASK"} { resp::do $connection asking }
        catch { resp::do $connection {*}$args } reply
        if {![regexp {^(ASK|MOVED) \d+ \S*:(\d+)$} $reply -> kind port]} { return [list $hops $reply] }
        set node [port_name $port]
    }
    fail "$client goes round in circles with $args"
}

# A cluster with a key that is spread, at ada: sets key and slot in the caller.
proc with_spread {options body} {
    catch { unset ::client_connections }
    with_cluster $::all [dict merge {@split yes salt-spread yes} $options] {
        uplevel 1 {
            set slot [expr {[first_slot_of ada] + 11}]
            set key [key_in_slot $slot star]
        }
        upvar 1 key key slot slot
        on ada set $key v
        on ada salt $key 8
        # From the first that is led away on they are served where they are led to.
        set ::sent_back {}
        eventually { [led_from ada $key $slot] }
        assert_equal {} $::sent_back "knows of nothing yet"
        wait_spread $key $slot
        uplevel 1 $body
    }
}

# Everybody knows and acts by it: helpers answer, and home leads.
proc wait_spread {key slot {home ada} {without {}}} {
    foreach node $::all {
        if {$node in $without} continue
        eventually { [is_spread $node $key] && [salting $node salt_spread_slots] >= 1 }
        if {$node ne $home} { eventually { ![catch { on $node get $key }] } }
    }
    eventually { [led_from $home $key $slot] }
}
# Are fresh connections led away? Those that are must not be sent back for good.
proc led_from {home key slot} {
    for {set i 0} {$i < 20} {incr i} {
        connect led $home
        lassign [said led $slot get $key] kind node
        if {$kind ne "MOVED"} continue
        connect there $node
        if {[lindex [said there $slot get $key] 0] eq "MOVED"} { lappend ::sent_back $node }
        return yes
    }
    return no
}

test "each connection is told one of the nodes that have a spread key, and NODES tells its owner" {
    with_spread {} {
        set nodes [slots_signature ada]
        foreach node $::all {
            for {set i 0} {$i < 24} {incr i} {
                connect c $node
                set name [told_by_slots c $slot]
                assert {$name in $::all}
                incr told($name)
                # Asked again, or otherwise, the same is said.
                assert_equal $name [told_by_slots c $slot]
                assert_equal $name [told_by_shards c $slot]
                foreach other [list [expr {$slot + 1}] 16383] { assert_equal [owner_of_slot $other] [told_by_slots c $other] }
                resp::hello3 c
                assert_equal $name [told_by_slots c $slot]
            }
            assert_equal $nodes [slots_signature $node]
        }
        assert_equal [lsort $::all] [lsort [array names told]]
        # What manages clusters sees what it always saw.
        set check [exec redis-cli --cluster check [node_host bob]:[node_port bob] 2>@1]
        assert_match {*All nodes agree about slots configuration*} $check
        assert_match {*All 16384 slots covered*} $check
        # Home decides, and takes it back.
        on ada config set salt-spread no
        foreach node $::all {
            eventually { ![is_spread $node $key] && [salting $node salt_spread_slots] == 0 }
            for {set i 0} {$i < 8} {incr i} {
                connect c $node
                assert_equal ada [told_by_slots c $slot]
            }
        }
        connect c bob
        assert_equal {MOVED ada} [said c $slot get $key]
    }
}

test "a connection that reads at home is led to a copy once, and then served" {
    with_spread {} {
        set other "{$key}:other"
        assert_equal $slot [slot_of $other]
        on ada set $other w
        set before [salting ada salt_spread_told]
        set moved 0
        # Whose helper has lost its lease on a machine that stands still is served at home.
        for {set i 0} {$i < 40 || ($moved <= 10 && $i < 1000)} {incr i} {
            connect c ada
            # Only a read of this key, by itself, leads away.
            assert_equal OK [said c $slot set $key v]
            eventually { [all_have_copies $key] }
            assert_equal w [said c $slot get $other]
            assert_equal {v w} [said c $slot mget $key $other]
            assert_equal OK [said c $slot multi]
            assert_equal QUEUED [said c $slot get $key]
            assert_equal v [said c $slot exec]
            assert_equal OK [said c $slot watch $key]
            assert_equal v [said c $slot get $key]
            assert_equal OK [said c $slot unwatch]
            resp::do c asking
            assert_equal v [said c $slot get $key]
            set told [told_by_slots c $slot]
            if {$i % 2} { resp::do c readonly }
            if {$i % 3 == 0} { resp::hello3 c }
            # In a pipeline, the first.
            resp::write c [resp::encode get $key][resp::encode strlen $key][resp::encode get $other][resp::encode get $key]
            set first [heard c]
            assert_equal {1 w v} [list [heard c] [heard c] [heard c]]
            if {[regexp {^MOVED (\d+) \S*:(\d+)$} $first -> of port]} {
                incr moved
                assert_equal $slot $of
                assert {[port_name $port] ne "ada"}
                assert_equal $told [port_name $port] "as CLUSTER SLOTS says"
                # There it is served; where a lease is over for a moment, home is asked, but nobody is sent back for good.
                connect there [port_name $port]
                assert {[said there $slot get $key] in {v {ASK ada}}}
                eventually { [said there $slot get $key] eq "v" }
            } else {
                assert_equal v $first
                assert_equal ada $told
            }
            for {set k 0} {$k < 5} {incr k} { assert_equal v [said c $slot get $key] }
        }
        assert {$moved > 10}
        assert_equal $moved [expr {[salting ada salt_spread_told] - $before}]
        # Another epoch, and once more.
        connect c ada
        said c $slot get $key
        for {set round 0} {$round < 3} {incr round} {
            set epoch [dict get [entry_of ada $key] epoch]
            on ada salt $key [expr {$round % 2 ? 8 : 7}]
            assert {[dict get [entry_of ada $key] epoch] > $epoch}
            eventually { [led_from ada $key $slot] }
            said c $slot get $key
            for {set k 0} {$k < 5} {incr k} { assert_equal v [said c $slot get $key] }
        }
    }
}

test "who has names of a spread key answers reads of it, and sends all else in its slot home" {
    with_spread {} {
        set other "{$key}:other"
        on ada set $other w
        foreach node {bob cleo dan} {
            eventually { ![catch { on $node get $key }] }
            set before [salting $node salt_spread_reads]
            foreach protocol {2 3} {
                connect c $node
                if {$protocol == 3} { resp::hello3 c }
                assert_equal v [said c $slot get $key]
                resp::do c readonly
                assert_equal v [said c $slot get $key]
                assert_equal 1 [said c $slot strlen $key]
                assert_equal 1 [said c $slot exists $key]
                assert_equal string [said c $slot type $key]
                foreach command [list [list set $key x] [list ttl $key] [list getex $key ex 10] [list del $key] [list incr $key] [list get $other] \
                                     [list set $other x] [list mget $key $other] [list get "{$key}:none"] [list restore $other 0 x]] {
                    assert_equal {ASK ada} [said c $slot {*}$command] $command
                }
                assert_match "CROSSSLOT *" [said c $slot mget $key elsewhere]
                # What asks for a node rather than for a command is sent home for good.
                assert_equal {MOVED ada} [said c $slot watch $key]
                assert_equal {MOVED ada} [said c $slot spublish $key hello]
                assert_equal OK [said c $slot multi]
                assert_equal {MOVED ada} [said c $slot get $key]
                assert_equal {MOVED ada} [said c $slot set $key x]
                assert_match "EXECABORT *" [said c $slot exec]
                # Other slots as ever.
                assert_equal {MOVED ada} [said c [expr {$slot + 1}] get [key_in_slot [expr {$slot + 1}] star]]
                # In a pipeline, each as it would be alone.
                resp::write c [resp::encode get $key][resp::encode set $key x][resp::encode get $key]
                assert_equal v [heard c]
                assert_match "ASK $slot *" [heard c]
                assert_equal v [heard c]
            }
            assert {[salting $node salt_spread_reads] >= $before + 14}
            assert_equal 0 [on $node dbsize]
        }
        assert_equal {v w} [on ada mget $key $other]
    }
}

test "once a write of a spread key is acknowledged no node tells an older value" {
    with_spread {} {
        for {set i 0} {$i < 100} {incr i} {
            set node [lindex $::all [expr {$i % 4}]]
            assert_equal OK [lindex [client_do writer $node set $key v$i] 1]
            foreach node $::all { assert_equal v$i [lindex [client_do reader $node get $key] 1] $node }
        }
        assert_equal 1 [lindex [client_do writer cleo del $key] 1]
        foreach node $::all { assert_equal "" [lindex [client_do reader $node get $key] 1] }
    }
}

test "nobody is sent more than twice, whatever he asks for and wherever he begins" {
    with_spread {} {
        set n 0
        foreach round {copies none} {
            foreach begin $::all {
                for {set i 0} {$i < 6} {incr i} {
                    set client $begin-[incr n]
                    foreach command [list [list get $key] [list set "{$key}:other" w] [list get "{$key}:other"] [list get $key] [list strlen $key]] {
                        lassign [client_do $client $begin {*}$command] hops value
                        assert {$hops <= 2} "$command from $begin: $hops"
                        assert {![regexp {^[A-Z]+ } $value]} $value
                    }
                    # And then, where he was sent, at once or by way of home.
                    assert {[lindex [client_do $client $begin get $key] 0] <= 1}
                }
            }
            # Without a value there is no copy, so all are sent home.
            on ada del $key
        }
        on ada set $key w
        foreach begin $::all { assert_equal w [exec redis-cli -c -h [node_host $begin] -p [node_port $begin] get $key 2>@1] }
        foreach begin $::all { assert_equal OK [exec redis-cli -c -h [node_host $begin] -p [node_port $begin] set $key x 2>@1] }
        foreach begin $::all { assert_equal x [exec redis-cli -c -h [node_host $begin] -p [node_port $begin] get $key 2>@1] }
    }
}

test "while its slot moves nobody is led away, and the new home goes on" {
    with_spread {} {
        open_slot $slot ada dan
        for {set i 0} {$i < 30} {incr i} {
            connect c$i ada
            assert_equal v [said c$i $slot get $key]
            assert_equal ada [told_by_slots c$i $slot]
        }
        # That is not what they are told once for.
        on ada cluster setslot $slot stable
        eventually {
            [for {set i 0; set led no} {$i < 30} {incr i} { if {[lindex [said c$i $slot get $key] 0] eq "MOVED"} { set led yes } }
             set led]
        }
        on ada cluster setslot $slot migrating [node_id dan]
        foreach begin $::all { assert_equal v [lindex [client_do early $begin get $key] 1] }
        assert_equal OK [on ada migrate [node_host dan] [node_port dan] $key 0 30000]
        connect c ada
        assert_equal {ASK dan} [said c $slot get $key]
        foreach begin $::all {
            lassign [client_do late $begin get $key] hops value
            assert_equal v $value
            assert {$hops <= 3} "$begin: $hops"
            assert_equal OK [lindex [client_do late $begin set $key v] 1]
        }
        hand_over $slot ada dan
        foreach node $::all { eventually { [owner_of_slot $slot $node] eq "dan" } }
        foreach begin $::all { assert_equal v [lindex [client_do after $begin get $key] 1] }
        wait_spread $key $slot dan
        catch { unset told }
        foreach node $::all {
            for {set i 0} {$i < 24} {incr i} {
                connect c $node
                incr told([told_by_slots c $slot])
            }
        }
        assert_equal [lsort $::all] [lsort [array names told]]
        foreach begin $::all {
            assert_equal v [lindex [client_do last $begin get $key] 1]
            assert_equal OK [lindex [client_do last $begin set $key v] 1]
        }
    }
}

test "a node that is gone is told to nobody" {
    with_spread {cluster-require-full-coverage no} {
        set epoch [dict get [entry_of cleo $key] epoch]
        # Nobody chooses other names while home stands still: it is by themselves that the others leave out who has failed.
        node_signal ada STOP
        node_kill bob
        eventually { [never_named $slot cleo bob] }
        assert_equal $epoch [dict get [entry_of cleo $key] epoch]
        node_signal ada CONT
        foreach node {ada cleo dan} { eventually { [field_of [on $node cluster info] cluster_state] eq "ok" } }
        # Home notices when its copy is not good any more, the others when they take it for failed.
        eventually { [never_named $slot ada bob] }
        foreach node {cleo dan} { eventually { [never_named $slot $node bob] } }
        for {set i 0} {$i < 20} {incr i} {
            connect c ada
            assert {[said c $slot get $key] ne {MOVED bob}}
        }
        foreach begin {ada cleo dan} { assert_equal v [lindex [client_do gone $begin get $key] 1] }
        foreach node {ada cleo dan} { on $node cluster forget [node_id bob] }
        foreach node {ada cleo dan} {
            assert {[never_named $slot $node nobody]}
            assert_equal v [lindex [client_do forgotten $node get $key] 1]
        }
        assert_equal OK [on ada set $key w]
        foreach begin {ada cleo dan} { assert_equal w [lindex [client_do gone $begin get $key] 1] }
    }
}

test "a key that is written much is not spread, until it is not" {
    with_spread {} {
        connect c ada
        said c $slot get $key
        set epoch [dict get [entry_of ada $key] epoch]
        eventually {
            [for {set i 0} {$i < 100} {incr i} { said c $slot [lindex {get set} [expr {$i % 20 == 0}]] $key {*}[expr {$i % 20 == 0 ? "v" : ""}] }
             expr {![is_spread ada $key]}]
        }
        assert {[dict get [entry_of ada $key] epoch] > $epoch}
        foreach node $::all { eventually { ![is_spread $node $key] && [salting $node salt_spread_slots] == 0 } }
        connect d bob
        eventually { [said d $slot get $key] eq {MOVED ada} }
        # Reads are counted wherever they are answered: half of them at names.
        eventually {
            [for {set i 0} {$i < 100} {incr i} { said c $slot get $key }
             expr {[is_spread ada $key]}]
        }
        wait_spread $key $slot
        # One write in a hundred and twenty reads, of which home sees none, takes nothing back, however long it takes to look three times.
        set epoch [dict get [entry_of ada $key] epoch]
        connect e bob
        set reads [string repeat [resp::encode get $key] 120]
        set until [expr {[clock milliseconds] + 6000}]
        while {[clock milliseconds] < $until} {
            assert_equal OK [said c $slot set $key v]
            eventually { [said e $slot get $key] eq "v" }
            resp::write e $reads
            for {set i 0} {$i < 120} {incr i} { heard e }
        }
        assert_equal $epoch [dict get [entry_of ada $key] epoch]
        # What no copy answers is no read of that kind, however much of it there is.
        set requests "[string repeat [resp::encode set $key v] 20][string repeat [resp::encode ttl $key] 1500]"
        eventually {
            [resp::write c $requests
             for {set i 0} {$i < 1520} {incr i} { heard c }
             expr {![is_spread ada $key]}]
        }
    }
}

test "a sum is never spread, and neither is a value too long for a copy" {
    with_spread {} {
        set sum [key_in_slot [expr {$slot + 1}] star]
        set long [key_in_slot [expr {$slot + 2}] star]
        set later [key_in_slot [expr {$slot + 3}] star]
        on ada set $sum 1
        on ada set $long [string repeat x 4300000]
        on ada set $later v
        on ada salt $sum 4 sum
        on ada salt $long 4
        set epochs [list [dict get [entry_of ada $sum] epoch] [dict get [entry_of ada $long] epoch]]
        on ada salt $later 4
        wait_spread $later [expr {$slot + 3}]
        assert {![is_spread ada $sum] && ![is_spread ada $long]}
        assert_equal $epochs [list [dict get [entry_of ada $sum] epoch] [dict get [entry_of ada $long] epoch]]
        for {set i 0} {$i < 20} {incr i} {
            connect c ada
            assert_equal 1 [said c [expr {$slot + 1}] get $sum]
            assert_equal ada [told_by_slots c [expr {$slot + 1}]]
        }
        # It is one for as long as it is short.
        on ada set $later [string repeat x 4300000]
        foreach node $::all { eventually { ![is_spread $node $later] } }
        assert {[is_spread ada $key]}
    }
}

test "without salt-spread a salted key's slot is its owner's alone" {
    with_cluster $::all {@split yes} {
        set slot [expr {[first_slot_of ada] + 11}]
        set key [key_in_slot $slot star]
        on ada set $key v
        set names [on ada salt $key 8]
        foreach name [lrange $names 1 end] { eventually { ![catch { on [owner_of $name] get $name }] } }
        foreach node $::all {
            assert {![is_spread $node $key]}
            for {set i 0} {$i < 10} {incr i} {
                connect c $node
                assert_equal ada [told_by_slots c $slot]
                assert_equal [expr {$node eq "ada" ? "v" : {MOVED ada}}] [said c $slot get $key]
            }
        }
    }
}
