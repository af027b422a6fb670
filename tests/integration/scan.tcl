# SCAN: what is there from the first call to the last is seen.

# All keys that a whole iteration gives, repeated ones too.
proc scan_all {name args} {
    set cursor 0
    set keys {}
    set calls 0
    while 1 {
        lassign [on $name scan $cursor {*}$args] cursor some
        lappend keys {*}$some
        if {$cursor == 0} { return $keys }
        if {[incr calls] > 200000} { fail "SCAN does not end" }
    }
}

test "an iteration sees every key" {
    with_node ada {
        assert_equal {} [scan_all ada]
        set expected {}
        for {set i 0} {$i < 2000} {incr i} { on ada set key:$i v; lappend expected key:$i }
        foreach count {1 10 100 1000 1000000} {
            if {$count == 1} { set got [scan_all ada count 100 match *] } else { set got [scan_all ada count $count] }
            assert_equal [lsort $expected] [lsort -unique $got] "COUNT $count"
        }
    }
}

test "MATCH and TYPE choose" {
    with_node ada {
        for {set i 0} {$i < 200} {incr i} { on ada set user:$i v; on ada set other:$i v }
        set got [lsort -unique [scan_all ada match user:1? count 1000]]
        assert_equal 10 [llength $got]
        assert_equal 400 [llength [lsort -unique [scan_all ada type string count 1000]]]
        assert_equal {} [scan_all ada type list count 1000]
        assert_equal {} [scan_all ada match nothing* count 1000]
    }
}

test "keys that stay are seen while others come, go and expire" {
    with_node ada {
        set seed [clock milliseconds]
        puts "          seed $seed"
        expr {srand($seed)}
        for {set i 0} {$i < 1000} {incr i} { on ada set stays:$i v }
        for {set round 0} {$round < 3} {incr round} {
            array unset seen
            set cursor 0
            set n 0
            while 1 {
                lassign [on ada scan $cursor count 50] cursor some
                foreach key $some { set seen($key) 1 }
                if {$cursor == 0} break
                # Enough of them that tables grow and shrink meanwhile.
                if {[incr n] % 5 == 0} {
                    connect churn ada
                    set batch ""
                    for {set i 0} {$i < 200} {incr i} {
                        set key comes:[expr {int(rand() * 20000)}]
                        append batch [expr {$round % 2 == 0 ? [resp::encode set $key v px [expr {1 + int(rand() * 5000)}]] : [resp::encode del $key]}]
                    }
                    resp::write churn $batch
                    for {set i 0} {$i < 200} {incr i} { resp::read churn }
                }
            }
            for {set i 0} {$i < 1000} {incr i} { assert {[info exists seen(stays:$i)]} "stays:$i was not seen in round $round" }
        }
    }
}

test "a cursor is any number, and what is not one is refused" {
    with_node ada {
        on ada set k v
        foreach cursor {1 17 16384 4294967296 18446744073709551615 123456789012345} {
            assert_equal 2 [llength [on ada scan $cursor]]
        }
        foreach cursor {x " 1" 1x 99999999999999999999} {
            assert_error "ERR invalid cursor" { on ada scan $cursor }
        }
        assert_error "ERR syntax error" { on ada scan 0 count 0 }
        assert_error "ERR syntax error" { on ada scan 0 count -1 }
        assert_error "ERR value is not an integer or out of range" { on ada scan 0 count x }
        assert_error "ERR syntax error" { on ada scan 0 match }
        assert_error "ERR syntax error" { on ada scan 0 bogus x }
    }
}

test "redis-cli --scan lists every key" {
    with_node ada {
        for {set i 0} {$i < 300} {incr i} { on ada set key:$i v }
        assert_equal 300 [llength [lsort -unique [split [cli ada --scan] \n]]]
    }
}
