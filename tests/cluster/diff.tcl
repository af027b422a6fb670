# CLUSTER DIFF: which node believes something else about which slots, and since when.

# Its reply as a dict, where differences are a list of dicts that name nodes by their names here.
proc diff_of {name} {
    set reply [on $name cluster diff]
    set differences {}
    foreach one [dict get $reply differences] {
        foreach field {node here there} {
            if {[dict get $one $field] ne ""} { dict set one $field [name_of_id [dict get $one $field]] }
        }
        lappend differences $one
    }
    dict set reply differences $differences
    dict set reply unknown [lmap id [dict get $reply unknown] { name_of_id $id }]
    return $reply
}

# Whose a slot is there and here, as one node's CLUSTER DIFF says of another, or "".
proc difference {observer node slot} {
    foreach one [dict get [diff_of $observer] differences] {
        lassign [dict get $one slots] first last
        if {[dict get $one node] eq $node && $slot >= $first && $slot <= $last} {
            return [list here [dict get $one here] there [dict get $one there] told [dict get $one told]]
        }
    }
    return ""
}

# A slot of bob's is given to cleo on ada alone, while cleo cannot say that she does not have it.
proc disagree_about {slot} {
    node_signal cleo STOP
    on ada cluster setslot $slot node [node_id cleo]
}

test "nodes that agree are counted, and there is nothing else to tell" {
    with_cluster {ada bob cleo} {@split yes} {
        foreach name {ada bob cleo} {
            eventually { [diff_of $name] eq {agreed 2 unknown {} differences {}} }
        }
    }
}

test "both sides of a disagreement name the slots, both owners and the time, and it ends when they agree" {
    with_cluster {ada bob cleo} {@split yes cluster-node-timeout 30000} {
        set slot 8000
        assert_equal bob [owner_of_slot $slot ada]
        eventually { [diff_of ada] eq {agreed 2 unknown {} differences {}} }
        set before [clock milliseconds]
        disagree_about $slot
        eventually { [difference ada bob $slot] eq {here cleo there bob told view} }
        eventually { [difference bob ada $slot] eq {here bob there cleo told view} }
        set one [lindex [dict get [diff_of ada] differences] 0]
        assert_equal [list $slot $slot] [dict get $one slots]
        assert {[dict get $one since] >= $before - 1000 && [dict get $one since] <= [clock milliseconds]} "since [dict get $one since]"
        set since [dict get [lindex [dict get [diff_of bob] differences] 0] since]
        wait_ms 300
        assert_equal $since [dict get [lindex [dict get [diff_of bob] differences] 0] since]

        node_signal cleo CONT
        foreach name {ada bob cleo} {
            eventually { [diff_of $name] eq {agreed 2 unknown {} differences {}} }
        }
        assert_equal bob [owner_of_slot $slot ada]
    }
}

test "a node that is silent is unknown" {
    with_cluster {ada bob cleo} {@split yes cluster-node-timeout 1500} {
        node_signal cleo STOP
        eventually { [dict get [diff_of ada] unknown] eq {cleo} && [dict get [diff_of ada] agreed] == 1 }
        node_signal cleo CONT
        eventually { [diff_of ada] eq {agreed 2 unknown {} differences {}} }
    }
}

test "of a redis-server its own claims are compared" {
    with_cluster {ada bob cleo} {@split yes @binaries {bob redis-server} cluster-node-timeout 30000} {
        eventually { [diff_of ada] eq {agreed 2 unknown {} differences {}} }
        disagree_about 8000
        eventually { [difference ada bob 8000] eq {here cleo there bob told claims} }
        node_signal cleo CONT
        eventually { [diff_of ada] eq {agreed 2 unknown {} differences {}} }
    }
}

test "in RESP3 it is a map" {
    node_start ada $::cluster_options
    connect c ada
    resp::hello3 c
    assert_equal {map {{bulk agreed} {integer 0} {bulk unknown} {array {}} {bulk differences} {array {}}}} [resp::ask c cluster diff]
}
