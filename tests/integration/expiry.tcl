# Deadlines: a key is there until its own, and not after.

test "a key is gone at its deadline, for every command that looks" {
    with_node ada {
        on ada set key v px 60
        eventually { [on ada get key] eq "" }
        assert_equal 0 [on ada exists key]
        assert_equal none [on ada type key]
        assert_equal -2 [on ada ttl key]
        assert_equal {} [on ada keys *]
        assert_equal 0 [on ada strlen key]
        assert_equal OK [on ada set key new nx]
        on ada pexpire key 50
        eventually { [on ada exists key] == 0 }
        assert_equal 1 [on ada incr key]
        assert_equal -1 [on ada ttl key]
    }
}

test "keys that nobody asks for are removed soon after their deadline" {
    with_node ada {
        for {set i 0} {$i < 3000} {incr i} { on ada set k:$i v px 300 }
        on ada set stays v
        on ada set later v ex 1000
        eventually { [on ada dbsize] == 2 }
        assert {[info_field ada expired_keys] >= 3000}
        assert_match "keys=2,expires=1,*" [info_field ada db0]
    }
}

test "deadlines are set, read, moved and taken away" {
    with_node ada {
        on ada set key v
        assert_equal -1 [on ada ttl key]
        assert_equal -1 [on ada expiretime key]
        set before [clock milliseconds]
        assert_equal 1 [on ada expire key 100]
        # However long each of these takes.
        set ttl [on ada ttl key]
        set pttl [on ada pttl key]
        set at [on ada expiretime key]
        set took [expr {[clock milliseconds] - $before}]
        assert {$pttl <= 100000 && $pttl >= 100000 - $took}
        assert {$ttl <= 100 && $ttl >= 99 - $took / 1000}
        assert {$at * 1000 >= $before + 99000 && $at * 1000 <= $before + $took + 101000}
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

test "the memory of keys that nobody asks for comes back, and INFO says how late" {
    with_node ada {
        on ada set stays v
        on ada set later v ex 1000
        set before [info_field ada used_memory]
        set value [string repeat x 10000]
        for {set i 0} {$i < 2000} {incr i} { on ada set k:$i $value ex [expr {1000 + $i % 100}] }
        assert {[info_field ada used_memory] > $before + 15000000}
        assert_equal 1 [info_field ada keys_without_ttl]
        for {set i 0} {$i < 2000} {incr i} { on ada pexpire k:$i [expr {1 + $i % 100}] }
        eventually { [info_field ada used_memory] < $before + 3000000 }
        eventually { [on ada dbsize] == 2 }
        assert_equal 2000 [info_field ada expired_keys]
        set p50 [info_field ada expire_lag_p50_ms]
        set p99 [info_field ada expire_lag_p99_ms]
        assert {[string is integer -strict $p50] && [string is integer -strict $p99] && $p50 <= $p99} "$p50 $p99"
        on ada config resetstat
        assert_equal 0 [info_field ada expire_lag_p99_ms]
    }
}

test "INFO tells what is overdue, and how late the memory came that a reader gave back" {
    with_node ada {enable-debug-command yes} {
        on ada debug set-active-expire 0
        for {set i 0} {$i < 2000} {incr i} { on ada set k:$i v px 50 }
        for {set i 0} {$i < 1000} {incr i} { on ada set later:$i v ex 1000 }
        # An estimate from a sample.
        eventually { [info_field ada expired_backlog] >= 1000 }
        assert {[info_field ada expired_backlog] <= 3000}
        assert_equal 3000 [on ada dbsize]
        assert_equal "" [on ada get k:7]
        assert_equal 2999 [on ada dbsize]
        set lag [info_field ada expire_lag_p50_ms]
        assert {$lag > 0}
        on ada debug set-active-expire 1
        eventually { [on ada dbsize] == 1000 }
        eventually { [info_field ada expired_backlog] == 0 }
    }
}

test "the effort of expiry is set while the node runs" {
    with_node ada {
        on ada config set active-expire-effort 10
        assert_equal {active-expire-effort 10} [on ada config get active-expire-effort]
        catch { on ada config set active-expire-effort 11 } message
        assert_match "*active-expire-effort*" $message
        for {set i 0} {$i < 500} {incr i} { on ada set k:$i v px 100 }
        eventually { [on ada dbsize] == 0 }
    }
}

test "setting the clock by an hour, either way, expires nothing and keeps nothing" {
    set hand [file join [test_dir] wall_clock]
    foreach hours {1 -1} {
        with_node ada [list @prefix [wall_clock_by $hand]] {
            on ada set long v ex 1000
            on ada set short v px 1500
            set set_by [expr {$hours * 3600}]
            write_file $hand $set_by
            assert {abs([lindex [on ada time] 0] - [clock seconds] - $set_by) <= 60} "the library does not work"
            assert {[on ada ttl long] > 900 && [on ada ttl long] <= 1000}
            # Unix time is what the wall clock says when it is said.
            on ada set until v exat [expr {[clock seconds] + $set_by + 500}]
            assert {[on ada ttl until] > 400 && [on ada ttl until] <= 500}
            eventually { [on ada dbsize] == 2 }
            assert_equal v [on ada get long]
            write_file $hand 0
            wait_ms 200
            assert_equal v [on ada get until]
            assert {[on ada ttl long] > 900 && [on ada ttl long] <= 1000}
        }
    }
}
