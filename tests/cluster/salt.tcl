# Names of a salted key are read through every node: who has a name's slot sends to the key's home, and home takes any name for the key.

# The names of a key but itself as a node knows them; with the nodes that have them.
proc names_at {name key} {
    set entry [entry_of $name $key]
    if {$entry eq ""} { return {} }
    return [lmap named [dict get $entry names] { lindex $named 0 }]
}
proc owners_at {name key} { return [lmap named [dict get [entry_of $name $key] names] { name_of_id [lindex $named 2] }] }
# Gives a key names: when that is answered all the nodes know them.
proc salt {nodes home key n} {
    set names [on $home salt $key $n]
    assert { [all_know $nodes $key [lrange $names 1 end]] } "not all know the names of $key"
    return $names
}
proc all_know {nodes key names} {
    foreach node $nodes { if {[names_at $node $key] ne $names} { return no } }
    return yes
}
proc name_at {home key owner} {
    foreach name [names_at $home $key] at [owners_at $home $key] { if {$at eq $owner} { return $name } }
    fail "$owner has no name of $key"
}
proc key_of {owner {from 0}} {
    for {set i $from} {1} {incr i} { if {[owner_of star:$i] eq $owner} { return star:$i } }
}
proc address {name} { return "[node_host $name]:[node_port $name]" }
proc follow {name args} { return [exec redis-cli -c -h [node_host $name] -p [node_port $name] {*}$args 2>@1] }

test "each node has as many names of a key as any other" {
    with_cluster {ada bob cleo dan} {@split yes} {
        set names [salt {ada bob cleo dan} [owner_of star] star 8]
        foreach name $names { incr at([owner_of $name]) }
        assert_equal {2 2 2 2} [lmap node {ada bob cleo dan} { set at($node) }]
        # Home alone is asked.
        foreach node {ada bob cleo dan} {
            if {$node eq [owner_of star]} continue
            assert_error "MOVED [slot_of star] *" { on $node salt star }
            assert_error "MOVED [slot_of star] *" { on $node salt star 2 }
        }
        assert_equal $names [split [follow ada salt star] \n]
        assert_equal $names [split [follow bob salt [lindex $names end]] \n]
    }
}

test "who has a name's slot sends to the key's home, and home takes the name" {
    with_cluster {ada bob cleo} {@split yes} {
        set key [key_of ada]
        salt {ada bob cleo} ada $key 6
        on ada set $key v
        set name [name_at ada $key bob]
        set slot [slot_of $name]
        assert_error "ASK $slot [address ada]" { on bob getex $name }
        assert_error "ASK $slot [address ada]" { on bob set $name w }
        assert_equal v [on ada get $name]
        on ada asking
        assert_equal v [on ada get $name]
        assert_error "MOVED $slot [address bob]" { on cleo get $name }
        # Within a transaction nobody asks.
        on bob multi
        assert_error "MOVED $slot [address ada]" { on bob get $name }
        assert_error "EXECABORT *" { on bob exec }
        on ada multi
        assert_equal QUEUED [on ada set $name w]
        assert_equal QUEUED [on ada get $key]
        assert_equal {OK w} [on ada exec]
        # Several keys: each name is the key.
        set other [name_at ada $key cleo]
        assert_equal {w w w} [on ada mget $name $other $key]
        assert_error "CROSSSLOT *" { on ada mget $name elsewhere }
        assert_error "ASK $slot [address ada]" { on bob unlink $name $other }
        assert_error "CROSSSLOT *" { on bob mget $name elsewhere }
        assert_equal 2 [on ada exists $name $other]
        assert { [info_field bob salt_sent_home] >= 3 && [info_field ada salt_served] >= 4 }
        foreach node {bob cleo} { assert_equal 0 [on $node dbsize] }
        # Any other number is an ordinary key.
        set i 1
        while {[owner_of $key~$i] ne "bob" || "$key~$i" in [names_at ada $key]} { incr i }
        assert_equal OK [on bob set $key~$i mine]
        assert_equal mine [on bob get $key~$i]
    }
}

test "a name is told when the nodes know it, and not before" {
    with_cluster {ada bob cleo} {@split yes} {
        set key [key_of ada]
        foreach node {ada bob} { on $node config set notify-keyspace-events EH }
        set first [salt {ada bob cleo} ada $key 2]
        connect listener ada
        connect other ada
        connect setter ada
        resp::do listener subscribe __keyevent@0__:salted
        # One that stands still has not heard of them yet.
        node_signal cleo STOP
        resp::send setter salt $key 9
        resp::send setter ping
        eventually { [llength [names_at ada $key]] == 8 }
        assert_equal $first [resp::do other salt $key]
        node_signal cleo CONT
        set names [resp::plain [resp::read setter]]
        assert_equal 9 [llength $names]
        assert_equal PONG [resp::plain [resp::read setter]]
        assert_equal [list message __keyevent@0__:salted $key] [resp::plain [resp::read listener]]
        assert_equal $names [on ada salt $key]
        # Fewer are no secret, and who asked before the answer is answered with what is there.
        node_signal cleo STOP
        assert_equal [lrange $names 0 0] [on ada salt $key 1]
        resp::send setter salt $key 3
        eventually { [llength [names_at ada $key]] == 2 }
        assert_equal $key [resp::do other salt $key]
        # It is not waited for for ever.
        assert_equal 3 [llength [resp::plain [resp::read setter]]]
        node_signal cleo CONT
    }
}

test "a new name is told as soon as its node has the value, or after a while" {
    with_cluster {ada bob cleo} {@split yes} {
        proc told {how} { return [field_of [on ada info salting] salt_told_$how] }
        # A key of its own each time: who has had names of it before may not have heard of the new ones when it has a copy.
        set tried 0
        eventually {
            [set key [key_of ada [expr {[incr tried] * 1000}]]
             on ada set $key v
             set names [on ada salt $key 6]
             foreach name [lrange $names 1 end] {
                 if {[catch { on [owner_of $name] get $name } got]} { assert_match "ASK *" $got } else { assert_equal v $got }
             }
             told with_copies] > 0
        }
        assert_equal $tried [expr {[told with_copies] + [told by_time]}]
        set with_copies [told with_copies]
        assert_equal 12 [llength [on ada salt $key 12]]
        assert_equal [list $with_copies [expr {$tried + 1}]] [list [told with_copies] [expr {$with_copies + [told by_time]}]]
        # Nor may it where it has names that were given up.
        on ada salt $key 1
        assert_equal 4 [llength [on ada salt $key 4]]
        assert_equal $with_copies [told with_copies]
        # One that cannot be read anywhere is told all the same.
        node_signal cleo STOP
        assert_equal 6 [llength [on ada salt [key_of ada 900000] 6]]
        node_signal cleo CONT
        assert_equal $with_copies [told with_copies]
    }
}

test "redis-cli follows every name from every node, whatever it does" {
    with_cluster {ada bob cleo} {@split yes} {
        set names [salt {ada bob cleo} [owner_of star] star 6]
        set i 0
        foreach node {ada bob cleo} {
            foreach name $names {
                assert_equal OK [follow $node set $name [incr i]]
                foreach other $names { assert_equal $i [follow $node get $other] }
                assert_equal [incr i] [follow $node incr $name]
                assert_equal 1 [follow $node expire $name 100]
                assert { [follow $node ttl star] > 90 }
                assert_equal 1 [follow $node del $name]
                assert_equal 0 [follow $node exists star]
            }
        }
        assert_equal {0 0 0} [lmap node {ada bob cleo} { on $node dbsize }]
    }
}

test "while the key's slot moves its names go where it goes" {
    with_cluster {ada bob cleo} {@split yes} {
        set key [key_of ada]
        set names [salt {ada bob cleo} ada $key 6]
        set slot [slot_of $key]
        set name [name_at ada $key cleo]
        on ada set $key v
        open_slot $slot ada bob
        assert_equal v [on ada get $name]
        assert_error "MOVED $slot *" { on bob get $key }
        # The salted key itself, by its name or by one of its names, leaves as any other.
        assert_equal OK [on ada migrate [node_host bob] [node_port bob] [name_at ada $key ada] 0 30000]
        assert_error "ASK $slot [address bob]" { on ada get $key }
        assert_error "ASK $slot [address bob]" { on ada getex $name }
        assert_error "ASK [slot_of $name] [address ada]" { on cleo getex $name }
        on bob asking
        assert_equal v [on bob get $name]
        on bob asking
        assert_equal OK [on bob set $name w]
        foreach node {ada bob cleo} { assert_equal w [follow $node get $name] }
        hand_over $slot ada bob
        eventually { [owner_of $key cleo] eq "bob" }
        foreach node {ada bob cleo} { foreach each $names { assert_equal w [follow $node get $each] } }
        assert_error "ASK [slot_of $name] [address bob]" { on cleo getex $name }
        assert_equal $names [on bob salt $key]
        assert_error "MOVED *" { on ada salt $key }
        # The new home is who changes it.
        on bob salt $key 2
        eventually { [llength [names_at cleo $key]] == 1 && [llength [names_at ada $key]] == 1 }
        foreach each $names { assert_equal w [follow cleo get $each] }
    }
}

test "while a name's slot moves it leads home from either end" {
    with_cluster {ada bob cleo} {@split yes} {
        set key [key_of ada]
        salt {ada bob cleo} ada $key 6
        on ada set $key v
        set name [name_at ada $key bob]
        set slot [slot_of $name]
        open_slot $slot bob cleo
        assert_error "ASK $slot [address ada]" { on bob getex $name }
        assert_error "MOVED $slot [address bob]" { on cleo get $name }
        on cleo asking
        assert_error "ASK $slot [address ada]" { on cleo getex $name }
        hand_over $slot bob cleo
        eventually { [owner_of_slot $slot ada] eq "cleo" }
        assert_error "ASK $slot [address ada]" { on cleo getex $name }
        assert_error "MOVED $slot [address cleo]" { on bob get $name }
        foreach node {ada bob cleo} { assert_equal v [follow $node get $name] }
    }
}

# What a helper with a map of before leads to: it sends names with ASK to who was home then.
test "who was home, and gets the slot again, makes no second key of a name" {
    with_cluster {ada bob cleo dan} {@split yes cluster-node-timeout 60000} {
        set key [key_of ada]
        salt {ada bob cleo dan} ada $key 8
        set slot [slot_of $key]
        set name [name_at ada $key dan]
        on ada set $key v
        # It does not hear of it.
        node_signal dan STOP
        foreach {from to} {ada bob bob cleo} {
            open_slot $slot $from $to
            assert_equal OK [on $from migrate [node_host $to] [node_port $to] $key 0 30000]
            hand_over $slot $from $to
        }
        eventually { [owner_of $key ada] eq "cleo" && [owner_of $key bob] eq "cleo" }
        # It is home no more: its guests go on to who is.
        foreach former {ada bob} {
            on $former asking
            assert_error "ASK [slot_of $name] [address cleo]" { on $former get $name }
            assert_error "MOVED [slot_of $name] [address dan]" { on $former get $name }
        }
        open_slot $slot cleo bob
        foreach command [list [list get $name] [list set $name w] [list incr $name] [list del $name] [list exists $name]] {
            on bob asking
            assert_error "TRYAGAIN *" { on bob {*}$command }
        }
        assert_equal OK [on cleo set $name w]
        assert_equal OK [on cleo migrate [node_host bob] [node_port bob] $key 0 30000]
        on bob asking
        assert_equal w [on bob get $name]
        on bob cluster setslot $slot stable
        on cleo cluster setslot $slot stable
        node_signal dan CONT
        eventually { [owner_of $key dan] eq "cleo" }
        # Who never was home is sent guests by its source only.
        open_slot $slot cleo dan
        on dan asking
        assert_equal "" [on dan get $name]
        on dan asking
        assert_equal OK [on dan set $name x]
        # A key of which the source has said so itself is born as ever.
        on bob cluster setslot $slot importing [node_id cleo]
        on bob asking
        assert_equal 1 [on bob del $key]
        on bob asking
        assert_equal OK [on bob set $key y]
        # And one of which a name was said, when all have known for a while whose the slot is: nobody is sent round until the slot has moved.
        assert_equal OK [on bob asking]
        assert_equal 1 [on bob del $key]
        eventually { [on bob asking] eq "OK" && [on bob exists $name] == 0 }
        on bob asking
        assert_equal "" [on bob get $name]
        on bob asking
        assert_equal 1 [on bob incr $name]
    }
}

# It may be written there, by who was sent there with one of its names.
test "a salted key that another node may have by now is not read here any more" {
    with_cluster {ada bob} {@split yes} {
        set port [fake_start { return [expr {[string match RESTORE* [lindex $words 0]] ? "" : "+OK\r\n"}] }]
        set key [key_of ada]
        set names [salt {ada bob} ada $key 4]
        on ada set $key v
        connect mover ada
        resp::write mover [resp::encode migrate 127.0.0.1 $port $key 0 60000]
        eventually { [lsearch -glob [heard_names] restore*] >= 0 }
        foreach {reader words} [list r1 [list get $key] r2 [list strlen [name_at ada $key ada]] r3 [list mget $key]] {
            connect $reader ada
            resp::write $reader [resp::encode {*}$words][resp::encode echo next]
        }
        wait_ms 300
        foreach reader {r1 r2 r3} { assert_equal "" [resp::unread $reader] $reader }
        puts -nonewline [lindex $::fake_peers 0] +OK\r\n
        assert_equal {simple OK} [resp::read mover]
        foreach {reader reply} {r1 {null {}} r2 {integer 0} r3 {array {{null {}}}}} {
            assert_equal $reply [resp::read $reader] $reader
            assert_equal {bulk next} [resp::read $reader]
        }
        fake_stop
    }
}

test "names are chosen anew when slots have moved, and those that were lead home still" {
    with_cluster {ada bob cleo} {@split yes} {
        set key [key_of ada]
        set names [salt {ada bob cleo} ada $key 6]
        on ada set $key v
        # Both of bob's go to cleo: she has four then.
        foreach name [names_at ada $key] { if {[owner_of $name] eq "bob"} { give_slot [slot_of $name] bob cleo } }
        eventually { [llength [dict get [entry_of cleo $key] retired]] > 0 && [lsort [owners_at cleo $key]] eq {ada bob bob cleo cleo} }
        eventually { [lrange [on ada salt $key] 1 end] eq [names_at ada $key] }
        set now [on ada salt $key]
        assert_equal 6 [llength $now]
        eventually { [all_know {ada bob cleo} $key [lrange $now 1 end]] }
        foreach node {ada bob cleo} { foreach each [concat $names $now] { assert_equal v [follow $node get $each] } }
        # Of one name too many nothing is made.
        set epoch [dict get [entry_of ada $key] epoch]
        give_slot [slot_of [name_at ada $key bob]] bob cleo
        eventually { [lsort [owners_at ada $key]] eq {ada bob cleo cleo cleo} }
        wait_ms 3500
        assert_equal $epoch [dict get [entry_of ada $key] epoch]
    }
}

test "salted keys outlive their nodes' restarts, all at once too" {
    with_cluster {ada bob cleo} {@split yes} {
        set key [key_of bob]
        set names [salt {ada bob cleo} bob $key 6]
        set fewer [on bob salt $key 3]
        eventually { [all_know {ada bob cleo} $key [lrange $fewer 1 end]] }
        set before [entry_of ada $key]
        foreach node {ada bob cleo} { node_kill $node }
        foreach node {ada bob cleo} { node_restart $node }
        cluster_wait_agreed {ada bob cleo}
        foreach node {ada bob cleo} {
            set after [entry_of $node $key]
            foreach field {key slot home mode epoch names} { assert_equal [dict get $before $field] [dict get $after $field] }
            assert_equal [llength [dict get $before retired]] [llength [dict get $after retired]]
        }
        on bob set $key v
        foreach node {ada bob cleo} { foreach each [concat $names $fewer] { assert_equal v [follow $node get $each] } }
        wait_ms 3500
        assert_equal [dict get $before epoch] [dict get [entry_of bob $key] epoch] "nothing is chosen anew because nodes come back one by one"
    }
}

test "a key that goes to a redis-server has no names any more, rather than names that lead in circles" {
    with_cluster {ada bob eve} {@split yes @binaries {eve redis-server}} {
        set key [key_of ada]
        set stays [key_of bob]
        set names [on ada salt $key 6]
        # Those that were given up lead nowhere either.
        set fewer [on ada salt $key 4]
        set kept [on bob salt $stays 4]
        foreach name $names { assert { [owner_of $name] ne "eve" } }
        on ada set $key v
        set name [name_at ada $key bob]
        assert_equal v [follow bob get $name]
        set slot [slot_of $key]
        open_slot $slot ada eve
        assert_equal OK [on ada migrate [node_host eve] [node_port eve] $key 0 30000]
        foreach node {eve ada bob} { on $node cluster setslot $slot node [node_id eve] }
        eventually { [owner_of $key ada] eq "eve" && [owner_of $key bob] eq "eve" }
        eventually { [names_at ada $key] eq {} && [names_at bob $key] eq {} }
        assert_equal v [follow bob get $key]
        foreach each [lrange $names 1 end] { eventually { [follow ada get $each] eq "" } }
        assert_equal {OK mine v} [list [on bob set $name mine] [on bob get $name] [on eve get $key]]
        assert_equal [lrange $kept 1 end] [names_at ada $stays]
        # Back again it is a key without names until somebody gives it some.
        open_slot $slot eve ada
        assert_equal OK [on eve migrate [node_host ada] [node_port ada] $key 0 30000]
        foreach node {ada eve bob} { on $node cluster setslot $slot node [node_id ada] }
        eventually { [owner_of $key bob] eq "ada" }
        assert_equal [list $key] [on ada salt $key]
        assert_equal mine [on bob get $name]
        assert_equal 4 [llength [on ada salt $key 4]]
        assert_equal v [follow bob get $name]
    }
}

test "who joins later is told, and gets names when it gets slots" {
    with_cluster {ada bob} {@split yes} {
        for {set i 0} {[slot_of star:$i] < 4000 || [owner_of star:$i] ne "ada"} {incr i} {}
        set key star:$i
        set names [salt {ada bob} ada $key 6]
        on ada set $key v
        node_start cleo $::cluster_options
        node_id cleo
        on cleo cluster meet [node_host ada] [node_port ada]
        eventually { [names_at cleo $key] eq [lrange $names 1 end] }
        cluster_wait_agreed {ada bob cleo}
        assert_error "MOVED *" { on cleo get [lindex $names 1] }
        exec redis-cli --cluster reshard [address ada] --cluster-from [node_id ada] --cluster-to [node_id cleo] \
            --cluster-slots 200 --cluster-yes --cluster-pipeline 100 >/dev/null 2>@1
        eventually { [llength [lsearch -all [owners_at ada $key] cleo]] == 2 }
        foreach each [concat $names [on ada salt $key]] { assert_equal v [follow cleo get $each] }
        node_stop cleo
    }
}

test "a redis-server among us minds nothing, and has no names" {
    with_cluster {ada bob redis} {@split yes @binaries {redis redis-server}} {
        set key [key_of ada]
        set names [salt {ada bob} ada $key 8]
        foreach name $names { assert { [owner_of $name] in {ada bob} } }
        on ada set $key v
        foreach node {ada bob redis} { foreach name $names { assert_equal v [follow $node get $name] } }
        foreach name $names { assert_equal OK [follow redis set $name $name] }
        assert_equal 0 [on redis dbsize]
    }
}

test "a policy gives a hot key names as it gets hotter, and no more than it says" {
    with_cluster {ada bob} {@split yes hotkey-threshold 200} {
        set key [key_of ada]
        proc heat {key} {
            resp::write ada [string repeat [resp::encode get $key] 500]
            for {set i 0} {$i < 500} {incr i} { resp::read ada }
        }
        for {set i 0} {$i < 20} {incr i} { heat $key; wait_ms 50 }
        assert_equal $key [on ada salt $key]
        on ada policy set star: salt 4
        eventually { [heat $key; llength [on ada salt $key]] == 4 }
        assert_equal policy [dict get [entry_of ada $key] chosen-by]
        for {set i 0} {$i < 60} {incr i} { heat $key; wait_ms 50 }
        assert_equal 4 [llength [on ada salt $key]]
        eventually { [llength [names_at bob $key]] == 3 }
        # A lower bound holds at once; what somebody has asked for is left alone.
        on ada policy set star: salt 2
        eventually { [llength [on ada salt $key]] == 2 }
        on ada salt $key 6
        for {set i 0} {$i < 20} {incr i} { heat $key; wait_ms 50 }
        assert_equal 6 [llength [on ada salt $key]]
        assert_equal command [dict get [entry_of ada $key] chosen-by]
    }
}
