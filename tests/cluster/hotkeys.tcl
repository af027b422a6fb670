# Hot keys are a node's own: they go with the slot, and who is sent elsewhere heats nothing.

proc ask_many {name count args} {
    resp::write $name [string repeat [resp::encode {*}$args] $count]
    for {set i 0} {$i < $count} {incr i} { set last [resp::read $name] }
    return $last
}
proc hot_keys {name} { return [lmap hot [on $name hotkeys list] { dict get $hot key }] }

test "a hot key goes with its slot, and its new owner finds it by itself" {
    with_cluster {ada bob} {
        foreach name {ada bob} { on $name config set hotkey-threshold 500 notify-keyspace-events EH }
        connect listener ada
        resp::do listener subscribe __keyevent@0__:cold
        eventually { [ask_many ada 400 get star; hot_keys ada] eq "star" }
        give_slot [slot_of star] ada bob
        eventually { [hot_keys ada] eq "" }
        assert_equal {message __keyevent@0__:cold star} [resp::plain [resp::read listener]]
        eventually { [owner_of star ada] eq "bob" }
        set found [info_field ada hotkeys_found]
        assert_match "error {MOVED*}" [ask_many ada 4000 get star]
        assert_equal {} [hot_keys ada]
        assert_equal $found [info_field ada hotkeys_found]
        eventually { [ask_many bob 400 get star; hot_keys bob] eq "star" }
    }
}

test "a slot that is being imported has hot keys too, and they stay while it is" {
    with_cluster {ada bob} {
        on bob config set hotkey-threshold 500
        set slot [slot_of star]
        open_slot $slot ada bob
        proc ask_importer {} {
            resp::write bob [string repeat [resp::encode asking][resp::encode incr star] 400]
            for {set i 0} {$i < 800} {incr i} { resp::read bob }
        }
        eventually { [ask_importer; hot_keys bob] eq "star" }
        on bob cluster setslot $slot stable
        eventually { [hot_keys bob] eq "" }
    }
}

# A slot with its one key, as redis-cli --cluster reshard moves it.
proc carry_over {key from to} {
    set slot [slot_of $key]
    open_slot $slot $from $to
    assert_equal OK [on $from migrate [node_host $to] [node_port $to] $key 0 60000]
    hand_over $slot $from $to
}

test "what was read without the lock is not what a node gives when the slot has been elsewhere" {
    with_cluster {ada bob} {io-threads 2} {
        foreach name {ada bob} { on $name config set hotkey-threshold 200 }
        set slot [slot_of star]
        proc heat_without_lock {} {
            eventually {
                [set before [info_field ada hot_reads_lock_free]
                 ask_many ada 300 get star
                 info_field ada hot_reads_lock_free] > $before
            }
        }
        for {set round 0} {$round < 5} {incr round} {
            on ada set star here:$round
            heat_without_lock
            open_slot $slot ada bob
            assert_equal here:$round [on ada get star]
            assert_equal OK [on ada migrate [node_host bob] [node_port bob] star 0 60000]
            assert_redirect ASK bob { on ada get star }
            hand_over $slot ada bob
            assert_redirect MOVED bob { on ada get star }
            on bob set star there:$round
            carry_over star bob ada
            assert_equal [list bulk there:$round] [ask_many ada 30 get star]
        }
        # Taken by a later claim, with all that is in it.
        heat_without_lock
        on bob cluster setslot $slot importing [node_id ada]
        on bob cluster setslot $slot node [node_id bob]
        on bob set star taken
        eventually { [owner_of star ada] eq "bob" }
        assert_redirect MOVED bob { on ada get star }
        carry_over star bob ada
        assert_equal {bulk taken} [ask_many ada 30 get star]
    }
}
