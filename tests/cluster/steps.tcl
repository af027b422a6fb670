# A slot on the move, one step at a time: where clients are sent after each, who has it when a node dies at it, and what an import leaves behind.

# Where a client gets that begins at a node: {answer {node node ...}}. It fails where it is sent round.
proc walk {start words} {
    set at $start
    set path [list $start]
    set asking 0
    while 1 {
        if {$asking} { on $at asking }
        lassign [typed_on $at {*}$words] type value
        if {$type ne "error"} { return [list $value $path] }
        if {![regexp {^(MOVED|ASK) \d+ \S+:(\d+)$} $value -> kind port]} { return [list $value $path] }
        foreach name $::node_names { if {[node_port $name] == $port} { set at $name } }
        set asking [expr {$kind eq "ASK"}]
        lappend path "$kind $at"
        # By MOVED to a node that has sent it on, or by ASK to one that has been asked already: it would go on for ever.
        if {[llength $path] > 4 || [llength [lsearch -all -exact $path "$kind $at"]] > 1} { fail "sent round: $words by $path" }
    }
}

# From every node, for a key that is there, one that has gone to the other side, one that never was, and for two of them at once.
proc nobody_is_sent_round {slot_tag at_step} {
    foreach start $::node_names {
        foreach {command name expected} {get first first get second second get none "" strlen second 6} {
            set words [list $command "{$slot_tag}$name"]
            lassign [walk $start $words] value path
            assert_equal $expected $value "$at_step: $words by $path"
        }
        lassign [walk $start [list mget "{$slot_tag}first" "{$slot_tag}second"]] value path
        assert {[string match TRYAGAIN* $value] || $value eq {{bulk first} {bulk second}}} "$at_step: MGET: $value by $path"
    }
}

foreach ::pair {{ada bob} {ada theo} {theo ada}} {
    test "at no step of a move from [lindex $::pair 0] to [lindex $::pair 1] is a client sent round in a ring" {
        lassign $::pair from to
        with_cluster {ada bob theo} {@split yes @binaries {theo redis-server}} {
            # One of its slots; keys in it.
            set slot [expr {[first_slot_of $from] + 11}]
            set tag [key_in_slot $slot]
            set target [list cluster setslot $slot]
            # And the way back, which begins before all have heard of the way there.
            foreach {from to} [list $from $to $to $from] {
                eventually { [owner_of_slot $slot $from] eq $from && [owner_of_slot $slot $to] eq $from }
                foreach name {first second} { on $from set "{$tag}$name" $name }
                nobody_is_sent_round $tag "before"
                on $to cluster setslot $slot importing [node_id $from]
                nobody_is_sent_round $tag "imported by $to"
                on $from cluster setslot $slot migrating [node_id $to]
                nobody_is_sent_round $tag "migrated by $from"
                assert_equal OK [on $from migrate 127.0.0.1 [node_port $to] "" 0 5000 keys "{$tag}second"]
                nobody_is_sent_round $tag "half of it there"
                assert_equal OK [on $from migrate 127.0.0.1 [node_port $to] "" 0 5000 keys "{$tag}first"]
                nobody_is_sent_round $tag "all of it there"
                on $to cluster setslot $slot node [node_id $to]
                nobody_is_sent_round $tag "given to $to, at $to"
                on $from cluster setslot $slot node [node_id $to]
                nobody_is_sent_round $tag "given to $to, at $from too"
            }
            eventually { [owner_of_slot $slot ada] eq $to && [owner_of_slot $slot bob] eq $to && [owner_of_slot $slot theo] eq $to }
            nobody_is_sent_round $tag "known to all"
        }
    }
}

# Every slot has one owner for all, and this one is not open any more: a node that dies has lost its keys, and nothing else.
proc one_owner_each {names} {
    cluster_wait_agreed $names
    set owned 0
    foreach range [slots_signature [lindex $names 0]] {
        lassign [split [lindex $range 0] -] from to
        incr owned [expr {$to eq "" ? 1 : $to - $from + 1}]
    }
    assert_equal 16384 $owned
}

foreach ::victim {from to} {
    test "when the node that a slot moves $::victim dies at a step of it, every slot has one owner, and fix closes it with the other's keys" {
        with_cluster {ada bob cleo} {@split yes cluster-node-timeout 1500} {
            set slot 8
            set tag [key_in_slot $slot]
            foreach step {importing migrating some node} {
                set from [owner_of_slot $slot]
                set to [expr {$from eq "ada" ? "bob" : "ada"}]
                set victim [set $::victim]
                set other [expr {$victim eq $from ? $to : $from}]
                for {set i 0} {$i < 20} {incr i} { on $from set "{$tag}$i" $i }
                on $to cluster setslot $slot importing [node_id $from]
                if {$step ne "importing"} { on $from cluster setslot $slot migrating [node_id $to] }
                if {$step in {some node}} {
                    set keys [on $from cluster getkeysinslot $slot [expr {$step eq "some" ? 10 : 100}]]
                    assert_equal OK [on $from migrate 127.0.0.1 [node_port $to] "" 0 5000 keys {*}$keys]
                }
                if {$step eq "node"} { on $to cluster setslot $slot node [node_id $to] }
                set kept [on $other cluster getkeysinslot $slot 100]
                node_kill $victim
                node_restart $victim
                one_owner_each {ada bob cleo}
                # The open slot is as it was, if it was saved, and fix sees it then.
                catch { exec timeout 60 redis-cli --cluster fix 127.0.0.1:[node_port cleo] --cluster-yes << "" 2>@1 } out
                one_owner_each {ada bob cleo}
                foreach name {ada bob cleo} { foreach line [cluster_node_lines $name] { assert_equal {} [dict get $line open] "$step: $out" } }
                set owner [owner_of_slot $slot]
                foreach key $kept {
                    lassign [walk cleo [list get $key]] value path
                    assert_equal $key "{$tag}$value" "$step, by $path"
                }
                foreach name {ada bob} { on $name flushall }
            }
        }
    }
}

test "keys that an aborted import left behind are counted, answer nobody, and are brought back by an import the other way" {
    with_cluster {ada bob} {
        set slot [slot_of "{m}"]
        for {set i 0} {$i < 10} {incr i} { on ada set "{m}$i" $i }
        open_slot $slot ada bob
        assert_equal OK [on ada migrate 127.0.0.1 [node_port bob] "" 0 5000 keys "{m}0" "{m}1"]
        foreach name {ada bob} { on $name cluster setslot $slot stable }
        assert_equal 2 [on bob cluster countkeysinslot $slot]
        assert_redirect MOVED ada { on bob get "{m}0" }
        on bob asking
        assert_redirect MOVED ada { on bob get "{m}0" }
        assert_equal {null {}} [typed_on ada get "{m}0"]
        # What redis-cli does with keys on the wrong side.
        on bob cluster setslot $slot importing [node_id ada]
        assert_equal OK [on bob migrate 127.0.0.1 [node_port ada] "" 0 5000 keys {*}[on bob cluster getkeysinslot $slot 10]]
        on bob cluster setslot $slot stable
        assert_equal {0 10} [list [on bob dbsize] [on ada dbsize]]
        for {set i 0} {$i < 10} {incr i} { assert_equal $i [on ada get "{m}$i"] }
    }
}

# Behind a reply that waits a command may lie for longer than it takes a slot to come, to go, and to come again: what its client was told is of before.
test "a command that was asked for in an import, and runs in the next, does not find that the key is nowhere" {
    with_cluster {ada bob} {@split yes enable-debug-command yes} {
        set slot [lindex [split [lindex [dict get [seen_by ada ada] slots] 0] -] 0]
        set key [key_in_slot $slot]
        on ada set $key v
        set payload [on ada dump $key]
        # The source has sent it on.
        on bob cluster setslot $slot importing [node_id ada]
        on ada cluster setslot $slot migrating [node_id bob]
        assert_equal OK [on ada migrate [node_host bob] [node_port bob] $key 0 30000]
        assert_error "ASK $slot *" { on ada get $key }
        foreach {name words} [list reader [list get $key] writer [list set "{$key}other" w]] {
            connect $name bob
            resp::write $name [resp::encode debug withhold][resp::encode asking][resp::encode {*}$words]
        }
        connect mover bob
        resp::write mover [resp::encode debug withhold][resp::encode restore-asking "{$key}moved" 0 $payload]
        eventually { [regexp -all {cmd=debug} [on bob client list]] == 3 }
        on bob cluster setslot $slot node [node_id bob]
        on ada cluster setslot $slot node [node_id bob]
        on ada cluster setslot $slot importing [node_id bob]
        on bob cluster setslot $slot migrating [node_id ada]
        assert_equal OK [on bob migrate [node_host ada] [node_port ada] $key 0 30000]
        on ada cluster setslot $slot node [node_id ada]
        on bob cluster setslot $slot node [node_id ada]
        on bob cluster setslot $slot importing [node_id ada]
        on ada cluster setslot $slot migrating [node_id bob]
        assert_equal 3 [on bob debug release]
        foreach name {reader writer} {
            foreach reply {OK OK} { assert_equal $reply [resp::plain [resp::read $name]] }
            assert_error "TRYAGAIN *" { resp::plain [resp::read $name] }
        }
        # What its source sends it is no hearsay.
        foreach reply {OK OK} { assert_equal $reply [resp::plain [resp::read mover]] }
        assert_equal [list "{$key}moved"] [on bob cluster getkeysinslot $slot 10]
        assert_equal v [on ada get $key]
        # Whoever comes now is answered as ever, and so are they when what they send has not waited.
        on bob asking
        assert_equal "" [on bob get "{$key}none"]
        foreach name {reader writer} {
            eventually { [resp::do $name asking] eq "OK" && [resp::do $name get "{$key}none"] eq "" }
            assert_equal OK [resp::do $name asking]
            assert_equal OK [resp::do $name set "{$key}$name" x]
        }
    }
}
