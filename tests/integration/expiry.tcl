# Deadlines: a key is there until its own, and not after.

test "a key is gone at its deadline, for every command that looks" {
    with_node ada {
        on ada set key v px 60
        eventually { [on ada get key] eq "" } 2000
        assert_equal 0 [on ada exists key]
        assert_equal none [on ada type key]
        assert_equal -2 [on ada ttl key]
        assert_equal {} [on ada keys *]
        assert_equal 0 [on ada strlen key]
        assert_equal OK [on ada set key new nx]
        on ada pexpire key 50
        eventually { [on ada exists key] == 0 } 2000
        assert_equal 1 [on ada incr key]
        assert_equal -1 [on ada ttl key]
    }
}

test "keys that nobody asks for are removed soon after their deadline" {
    with_node ada {
        for {set i 0} {$i < 3000} {incr i} { on ada set k:$i v px 300 }
        on ada set stays v
        on ada set later v ex 1000
        eventually { [on ada dbsize] == 2 } 5000
        assert {[info_field ada expired_keys] >= 3000}
        assert_match "keys=2,expires=1,*" [info_field ada db0]
    }
}

test "deadlines are set, read, moved and taken away" {
    with_node ada {
        on ada set key v
        assert_equal -1 [on ada ttl key]
        assert_equal -1 [on ada expiretime key]
        assert_equal 1 [on ada expire key 100]
        assert {[on ada ttl key] in {99 100}}
        assert {[on ada pttl key] > 99000 && [on ada pttl key] <= 100000}
        set at [on ada expiretime key]
        assert {abs($at - [clock seconds] - 100) <= 1}
        assert {[on ada pexpiretime key] / 1000 in [list $at [expr {$at - 1}]]}
        assert_equal 1 [on ada expireat key [expr {[clock seconds] + 500}]]
        assert {[on ada ttl key] > 490}
        assert_equal 1 [on ada pexpireat key [expr {([clock seconds] + 900) * 1000}]]
        assert {[on ada ttl key] > 890}
        assert_equal 1 [on ada persist key]
        assert_equal 0 [on ada persist key]
        assert_equal -1 [on ada ttl key]
        assert_equal 0 [on ada expire missing 100]
        assert_equal -2 [on ada ttl missing]
        assert_equal -2 [on ada pexpiretime missing]
    }
}

test "a deadline in the past deletes at once" {
    with_node ada {
        foreach words {{expire key 0} {expire key -1} {pexpire key -1000} {expireat key 1} {pexpireat key 0}} {
            on ada set key v
            assert_equal 1 [on ada {*}$words] $words
            assert_equal 0 [on ada exists key] $words
        }
        on ada set key v
        on ada set key v exat 1
        assert_equal 0 [on ada exists key]
    }
}

test "EXPIRE's conditions decide whether it is done" {
    with_node ada {
        on ada set key v
        assert_equal 0 [on ada expire key 100 xx]
        assert_equal 0 [on ada expire key 100 gt]
        assert_equal 1 [on ada expire key 100 nx]
        assert_equal 0 [on ada expire key 200 nx]
        assert_equal 0 [on ada expire key 50 gt]
        assert_equal 1 [on ada expire key 200 gt]
        assert_equal 0 [on ada expire key 300 lt]
        assert_equal 1 [on ada expire key 50 lt]
        assert_equal 1 [on ada expire key 70 xx]
        on ada persist key
        assert_equal 1 [on ada expire key 300 lt]
        assert_error "ERR NX and XX, GT or LT options at the same time are not compatible" { on ada expire key 1 nx xx }
        assert_error "ERR GT and LT options at the same time are not compatible" { on ada expire key 1 gt lt }
        assert_error "ERR Unsupported option bogus" { on ada expire key 1 bogus }
    }
}

test "a deadline too far away for the clock is refused" {
    with_node ada {
        on ada set key v
        foreach words {
            {expire key 9223372036854775807} {pexpire key 9223372036854775807} {expireat key 9223372036854775807}
            {expire key -9223372036854775808} {set key v ex 9223372036854775807} {set key v ex 0} {set key v px -1}
            {setex key 0 v} {psetex key -5 v} {setex key 9223372036854775807 v} {getex key ex 0} {getex key px 9223372036854775807}
        } {
            assert_error "ERR invalid expire time in '[lindex $words 0]' command" { on ada {*}$words }
        }
        assert_equal v [on ada get key]
        assert_equal -1 [on ada ttl key]
        assert_equal 1 [on ada pexpireat key 9223372036854775807]
        assert_equal 1 [on ada exists key]
    }
}

test "a thousand deadlines are each kept to the moment" {
    with_node ada {
        set now [clock milliseconds]
        for {set i 0} {$i < 1000} {incr i} { on ada set k:$i v pxat [expr {$now + 1500 + $i}] }
        set broken 0
        while {[clock milliseconds] < $now + 2700} {
            set i [expr {int(rand() * 1000)}]
            set before [clock milliseconds]
            set there [on ada exists k:$i]
            set after [clock milliseconds]
            # Gone too early, or still there after its time; 2 ms for two clocks read at different moments.
            if {!$there && $after < $now + 1500 + $i - 2} { incr broken }
            if {$there && $before > $now + 1500 + $i + 2} { incr broken }
        }
        assert_equal 0 $broken
    }
}
