# Keys whatever their value: DEL, EXISTS, RENAME, COPY, TYPE, KEYS, FLUSHALL and their kin.

test "keys are counted, found and deleted" {
    with_node ada {
        on ada mset a 1 b 2 c 3
        assert_equal 3 [on ada dbsize]
        assert_equal 2 [on ada exists a b missing]
        assert_equal 2 [on ada touch a b missing]
        assert_equal string [on ada type a]
        assert_equal none [on ada type missing]
        assert_equal 1 [on ada del a missing]
        assert_equal 2 [on ada unlink b c b]
        assert_equal 0 [on ada dbsize]
        assert_equal {null {}} [typed_on ada randomkey]
    }
}

test "RENAME moves the value and its deadline over whatever was there" {
    with_node ada {
        on ada set {{t}a} v ex 100
        on ada set {{t}b} old
        assert_equal OK [on ada rename {{t}a} {{t}b}]
        assert_equal v [on ada get {{t}b}]
        assert {[on ada ttl {{t}b}] > 90}
        assert_equal 0 [on ada exists {{t}a}]
        on ada set {{t}c} x
        assert_equal 0 [on ada renamenx {{t}b} {{t}c}]
        assert_equal 1 [on ada renamenx {{t}b} {{t}d}]
        assert_error "ERR no such key" { on ada rename {{t}missing} {{t}x} }
        assert_equal OK [on ada rename {{t}d} {{t}d}]
        assert_equal v [on ada get {{t}d}]
    }
}

test "COPY leaves the source alone" {
    with_node ada {
        on ada set {{t}a} v ex 100
        assert_equal 1 [on ada copy {{t}a} {{t}b}]
        assert_equal {v v} [on ada mget {{t}a} {{t}b}]
        assert {[on ada ttl {{t}b}] > 90}
        on ada set {{t}a} w
        assert_equal 0 [on ada copy {{t}a} {{t}b}]
        assert_equal 1 [on ada copy {{t}a} {{t}b} replace]
        assert_equal w [on ada get {{t}b}]
        assert_equal -1 [on ada ttl {{t}b}]
        assert_equal 0 [on ada copy {{t}missing} {{t}b} replace]
        assert_equal w [on ada get {{t}b}]
        assert_error "ERR source and destination objects are the same" { on ada copy {{t}a} {{t}a} }
    }
}

test "KEYS matches as shells do" {
    with_node ada {
        on ada mset user:1 a user:2 b user:10 c {we[ird} d {st*r} e "li\nne" f
        assert_equal {user:1 user:10 user:2} [lsort [on ada keys user:*]]
        assert_equal {user:1 user:2} [lsort [on ada keys user:?]]
        assert_equal {user:1 user:2} [lsort [on ada keys {user:[1-5]}]]
        assert_equal {user:2} [lsort [on ada keys {user:[^1]}]]
        assert_equal {st*r} [on ada keys {st\*r}]
        assert_equal {we[ird} [lindex [on ada keys {we\[ird}] 0]
        assert_equal 6 [llength [on ada keys *]]
        assert_equal {} [on ada keys nothing*]
    }
}

test "a hostile pattern costs a bounded number of steps" {
    with_node ada {
        on ada set [string repeat a 5000] v
        # With one more step for each way to match, it would not be answered before the client gives up.
        assert_equal {} [on ada keys [string repeat *a 2000]b]
    }
}

test "FLUSHALL and FLUSHDB empty the node, in the foreground or behind" {
    with_node ada {
        foreach words {{flushall} {flushdb} {flushall async} {flushdb sync}} {
            for {set i 0} {$i < 500} {incr i} { on ada set k:$i v ex 1000 }
            assert_equal 500 [on ada dbsize]
            assert_equal OK [on ada {*}$words]
            assert_equal 0 [on ada dbsize]
            assert_equal {} [on ada keys *]
            assert_equal {0 {}} [on ada scan 0 count 100000]
        }
        assert_error "ERR syntax error" { on ada flushall bogus }
    }
}

test "RANDOMKEY gives every key its turn" {
    with_node ada {
        for {set i 0} {$i < 10} {incr i} { on ada set k:$i v }
        for {set i 0} {$i < 1000} {incr i} { incr seen([on ada randomkey]) }
        assert_equal 10 [array size seen]
    }
}

test "a key may be empty, binary and long" {
    with_node ada {
        foreach key [list "" "\x00" "a\x00b" "\r\n" [string repeat k 100000] "\xff\xfe"] {
            assert_equal OK [on ada set $key v:$key]
            assert_equal v:$key [on ada get $key]
            assert_equal 1 [on ada exists $key]
        }
        assert_equal 6 [on ada dbsize]
        assert_equal 6 [llength [on ada keys *]]
    }
}

test "two hundred thousand keys are there, and gone after their deletion" {
    with_node ada {
        connect c ada
        set batch ""
        for {set i 1} {$i <= 200000} {incr i} {
            append batch [resp::encode set key:$i value:$i]
            if {$i % 10000 == 0} {
                resp::write c $batch
                for {set j 0} {$j < 10000} {incr j} { resp::read c }
                set batch ""
            }
        }
        assert_equal 200000 [on ada dbsize]
        for {set i 1} {$i <= 200000} {incr i 997} { assert_equal value:$i [on ada get key:$i] }
        set used [info_field ada used_memory]
        on ada flushall
        eventually { [info_field ada used_memory] < $used / 2 }
    }
}

# So many that the movers free them.
proc fill {node count} {
    for {set at 0} {$at < $count} {incr at 1000} {
        set pairs {}
        for {set i $at} {$i < $at + 1000} {incr i} { lappend pairs key:$i [string repeat v 50] }
        on $node mset {*}$pairs
    }
}

test "FLUSHALL gives the memory of all keys back, whether it says SYNC, ASYNC or nothing" {
    with_node ada {
        fill ada 20000
        on ada flushall
        eventually { [info_field ada lazyfree_pending_objects] == 0 }
        set before [info_field ada used_memory]
        foreach how {{} sync async} {
            on ada config resetstat
            fill ada 50000
            assert {[info_field ada used_memory] - $before > 50000 * 50}
            assert_equal OK [on ada flushall {*}$how]
            assert_equal 0 [on ada dbsize]
            eventually { [info_field ada lazyfree_pending_objects] == 0 }
            assert_equal 50000 [info_field ada lazyfreed_objects]
            eventually { [info_field ada used_memory] - $before < 50000 * 10 }
        }
    }
}

test "keys that are written after FLUSHALL are there while the former ones are freed" {
    with_node ada {
        fill ada 50000
        on ada multi
        on ada flushall
        on ada mset key:1 new other new
        assert_equal {OK OK} [on ada exec]
        assert_equal {new new} [on ada mget key:1 other]
        assert_equal 2 [on ada dbsize]
        eventually { [info_field ada lazyfree_pending_objects] == 0 }
        assert_equal {new new} [on ada mget key:1 other]
        fill ada 50000
        on ada flushall
    }
}

test "CLUSTER GETKEYSINSLOT names each key of a slot once, and no more than was asked for" {
    with_node ada {cluster-enabled yes} {
        for {set i 0} {$i < 3000} {incr i} { lappend pairs "{t}$i" v }
        on ada mset {*}$pairs other v
        foreach {max wanted} {0 0 1 1 10 10 2999 2999 3000 3000 3001 3000 9223372036854775807 3000} {
            set keys [on ada cluster getkeysinslot [slot_of t] $max]
            assert_equal $wanted [llength $keys]
            assert_equal $wanted [llength [lsort -unique $keys]]
            foreach key $keys { assert_match "{t}*" $key }
        }
        on ada multi
        on ada cluster getkeysinslot [slot_of t] 5000
        on ada cluster getkeysinslot [slot_of other] 5
        assert_equal {3000 1} [lmap keys [on ada exec] { llength $keys }]
    }
}
