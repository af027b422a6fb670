# Six nodes on a network that is cut apart, and processes that are killed and stopped, while clients write.

if {[network_elsewhere]} return

set ::six {ada bob cleo dan eve fay}
set ::timeout_ms 2000
set ::agree_ms 5000   ;# after healing

# A cluster of six, each with a sixth of the slots and a writer of its own, whose keys are in one slot of that node.
proc with_six {body} {
    network_start $::six
    foreach name $::six {
        node_start $name [dict merge $::cluster_options [list cluster-node-timeout $::timeout_ms cluster-require-full-coverage no] [network_options $name]]
        node_id $name
    }
    set i 0
    foreach name $::six {
        on $name cluster addslotsrange [expr {16384 * $i / 6}] [expr {16384 * ($i + 1) / 6 - 1}]
        on $name cluster set-config-epoch [incr i]
    }
    all_meet $::six
    cluster_wait_agreed $::six
    set ::owners [slots_signature ada]
    foreach name $::six { writer_start $name }
    writers_go_on $::six
    eval $body
    foreach name $::six { writer_end $name }
    foreach name $::six { node_stop $name }
    network_end
}

proc writer_start {name} {
    set slot [expr {16384 * [lsearch -exact $::six $name] / 6 + 7}]
    traffic_start w:$name [list [node_host $name]:[node_port $name]] \
        [list role write keys 20 tag [key_in_slot $slot] timeout_ms 1000 losses yes refusals {"CLUSTERDOWN *"}]
}

# What was acknowledged is there, and nobody was sent elsewhere: slots do not change hands.
proc writer_end {name} {
    traffic_stop w:$name
    traffic_was_well w:$name
    assert_equal 0 $::traffic(w:$name,redirects) "redirects from $name"
    traffic_check_content w:$name [list on $name]
}

# Each node's writer has been answered since.
proc writers_go_on {names} {
    foreach name $names { set before($name) $::traffic(w:$name,done) }
    foreach name $names { eventually { $::traffic(w:$name,done) > $before($name) + 5 } }
}

proc state_of {name} { return [field_of [on $name cluster info] cluster_state] }
proc flags_of {observer name} { return [dict get [seen_by $observer $name] flags] }
proc has_failed {observer name} { expr {"fail" in [flags_of $observer $name]} }
proc is_suspect {observer name} { expr {"fail" in [flags_of $observer $name] || "fail?" in [flags_of $observer $name]} }

# What they disagree about after all: also who is well.
proc six_disagree {} {
    set what [cluster_disagreement $::six]
    if {$what ne ""} { return $what }
    foreach observer $::six {
        foreach line [cluster_node_lines $observer] {
            if {[lsearch -glob [dict get $line flags] fail*] >= 0} { return "$observer takes [name_of_id [dict get $line id]] for failed" }
        }
    }
    return ""
}

# They agree, in time, that every slot has the one owner it had.
proc agree_again {what {began ""}} {
    if {$began eq ""} { set began [clock milliseconds] }
    eventually { [six_disagree] eq "" } [expr {$began + $::agree_ms - [clock milliseconds]}]
    puts "          $what: all agreed [expr {[clock milliseconds] - $began}] ms after it was healed"
    assert_equal $::owners [slots_signature ada]
    set owned 0
    foreach range $::owners {
        lassign [split [lindex $range 0] -] from to
        incr owned [expr {$to - $from + 1}]
    }
    assert_equal 16384 $owned
    writers_go_on $::six
}

test "cut in two, the smaller part stops and the larger goes on; healed, all agree, and the smaller waits before it serves" {
    with_six {
        cut {ada bob} {cleo dan eve fay}
        foreach name {ada bob} { eventually { [state_of $name] eq "fail" } }
        foreach name {cleo dan eve fay} { eventually { [has_failed $name ada] && [has_failed $name bob] } }
        foreach name {cleo dan eve fay} { assert_equal ok [state_of $name] }
        writers_go_on {cleo dan eve fay}
        foreach name {ada bob} {
            eventually { [dict size $::traffic(w:$name,refused)] > 0 }
            assert_error "CLUSTERDOWN *" { on $name get [key_in_slot [expr {16384 * [lsearch -exact $::six $name] / 6 + 7}]] }
            assert {![has_failed $name cleo]} "two of six cannot tell that another has failed"
        }
        set began [clock milliseconds]
        heal
        eventually { [state_of ada] eq "ok" }
        # At least most of a node timeout; a slow machine makes it more.
        assert {[clock milliseconds] - $began > $::timeout_ms / 2} "it served again without waiting"
        agree_again "two of six cut off" $began
    }
}

test "cut one way, and into a ring, six nodes agree again when it is healed" {
    with_six {
        # ada hears the others, and is not heard.
        cut_one_way ada [lrange $::six 1 end]
        foreach name [lrange $::six 1 end] { eventually { [has_failed $name ada] } }
        writers_go_on [lrange $::six 1 end]
        heal
        agree_again "one that was not heard"

        # Each reaches its two neighbours only: three of six, which is no majority.
        for {set i 0} {$i < 6} {incr i} {
            for {set j 0} {$j < 6} {incr j} {
                if {$i != $j && ($i + 1) % 6 != $j && ($j + 1) % 6 != $i} { cut_one_way [lindex $::six $i] [lindex $::six $j] }
            }
        }
        foreach name $::six { eventually { [state_of $name] eq "fail" } }
        heal
        agree_again "a ring"
    }
}

test "killed and stopped, nodes come back into a cluster that agrees, and the others lose nothing" {
    with_six {
        # A killed node's keys are gone with it: it has no replica.
        writer_end bob
        node_kill bob
        node_signal eve STOP
        foreach name {ada cleo dan fay} { eventually { [has_failed $name bob] && [has_failed $name eve] } }
        writers_go_on {ada cleo dan fay}
        node_signal eve CONT
        node_restart bob
        writer_start bob
        agree_again "one killed and one stopped"
    }
}

test "where packets are lost and late nobody is taken for failed, and writes go on" {
    with_six {
        disturb $::six 5 30
        writers_go_on $::six
        set received [field_of [on ada cluster info] cluster_stats_messages_received]
        eventually { [field_of [on ada cluster info] cluster_stats_messages_received] > $received + 50 }
        # A suspicion may come where the same packet is lost again and again; a majority's does not.
        foreach name $::six { foreach other $::six { assert {![has_failed $name $other]} } }
        # Slots given away meanwhile are where they were given.
        foreach {slot from to} {100 ada bob 101 ada cleo 16000 fay ada} { give_slot $slot $from $to }
        foreach name $::six { eventually { [owner_of_slot 100 $name] eq "bob" && [owner_of_slot 101 $name] eq "cleo" && [owner_of_slot 16000 $name] eq "ada" } }
        foreach {slot from to} {100 bob ada 101 cleo ada 16000 ada fay} { give_slot $slot $from $to }
        foreach name $::six { eventually { [slots_signature $name] eq $::owners } }
        heal
        agree_again "five per cent lost, 30 ms late"
    }
}

# For longer runs: PARTITION_ROUNDS=n of whatever comes.
if {[info exists ::env(PARTITION_ROUNDS)]} {
    test "whatever happens to the network, six nodes agree again when it is healed ($::env(PARTITION_ROUNDS) rounds)" {
        with_six {
            for {set round 1} {$round <= $::env(PARTITION_ROUNDS)} {incr round} {
                set what {}
                foreach a $::six {
                    foreach b $::six {
                        if {$a eq $b} continue
                        switch [expr {int(rand() * 6)}] {
                            0 { wire_rule $a $b 100 0; lappend what "$a-$b cut" }
                            1 { wire_rule $a $b [expr {int(rand() * 30)}] [expr {int(rand() * 200)}] }
                        }
                    }
                }
                set stopped [lindex $::six [expr {int(rand() * 12)}]]
                if {$stopped ne ""} { node_signal $stopped STOP; lappend what "$stopped stopped" }
                wait_ms [expr {int(rand() * 4 * $::timeout_ms)}]
                if {$stopped ne ""} { node_signal $stopped CONT }
                heal
                agree_again "round $round ([join $what {, }])"
                foreach name $::six {
                    assert_equal {} $::traffic(w:$name,wrong)
                    assert_equal 0 $::traffic(w:$name,redirects)
                }
            }
        }
    }
}
network_end
