# Active defragmentation: what is left after most of a node was deleted is moved together, so that memory comes back; clients notice nothing.

# Runs commands in batches; errors fail.
proc defrag_commands {commands} {
    set replies {}
    on ada ping
    for {set at 0} {$at < [llength $commands]} {incr at 500} {
        set batch [lrange $commands $at [expr {$at + 499}]]
        resp::write ada [join [lmap command $batch { resp::encode {*}$command }] ""]
        foreach command $batch { lappend replies [resp::plain [resp::read ada]] }
    }
    return $replies
}

# Which of the keys stay: one in six, and no regular sixth, as those would lie in pages of their own.
proc defrag_stays {number} { return [expr {($number * 7919 + $number / 97 * 31) % 6 == 0}] }
proc defrag_value {number} { return [string repeat [format %c [expr {97 + $number % 26}]] [expr {100 + $number % 3}]] }

proc defrag_fill {count} {
    for {set i 0} {$i < $count} {incr i} {
        set command [list set key:$i [defrag_value $i]]
        if {$i % 5 == 0} { lappend command ex 10000 }
        lappend sets $command
        if {![defrag_stays $i]} { lappend dels [list del key:$i] }
    }
    defrag_commands $sets
    defrag_commands $dels
}

proc defrag_check {count} {
    for {set i 0} {$i < $count} {incr i} {
        lappend numbers $i
        lappend gets [list get key:$i]
    }
    foreach number $numbers value [defrag_commands $gets] {
        set expected [expr {[defrag_stays $number] ? [defrag_value $number] : ""}]
        if {$value ne $expected} { assert_equal "$number: $expected" "$number: $value" }
    }
}

test "activedefrag brings memory back, and every value is as it was" {
    if {[server_is_redis]} { skip "redis-server of Debian stands on a jemalloc that cannot" }
    with_node ada {active-defrag-ignore-bytes 1mb active-defrag-cycle-max 75} {
        set count 60000
        defrag_fill $count
        set keys [on ada dbsize]
        set used [info_field ada used_memory]
        set holes [info_field ada allocator_frag_bytes]
        assert_equal 0 [info_field ada active_defrag_running]
        assert_equal 0 [info_field ada active_defrag_hits]
        set sanitized [expr {![string match jemalloc* [info_field ada mem_allocator]]}]
        if {!$sanitized} { assert {$holes > 4000000} "only $holes bytes of holes" }

        assert_equal OK [on ada config set activedefrag yes]
        # Clients go on meanwhile.
        if {$sanitized} {
            eventually { [defrag_check 2000] eq "" && [info_field ada active_defrag_key_hits] > [on ada dbsize] } 60000
        } else {
            eventually { [defrag_check 2000] eq "" && [info_field ada allocator_frag_bytes] < $holes / 2 } 60000
            eventually { [info_field ada active_defrag_running] == 0 }
            assert {[info_field ada allocator_frag_bytes] < $holes / 2}
            assert_equal 0 [info_field ada current_active_defrag_time]
            # Nothing is counted as allocated that was not before.
            assert {[info_field ada used_memory] < $used * 1.1}
        }
        assert {[info_field ada active_defrag_hits] >= [info_field ada active_defrag_key_hits]}
        assert {[info_field ada active_defrag_key_hits] > 0 && [info_field ada active_defrag_key_misses] > 0}
        assert_equal OK [on ada config set activedefrag no]
        eventually { [info_field ada active_defrag_running] == 0 }
        assert_equal $keys [on ada dbsize]
        defrag_check $count
        on ada config resetstat
        assert_equal 0 [info_field ada active_defrag_key_hits]
    }
}

test "without holes defragmentation does not run" {
    with_node ada {activedefrag yes active-defrag-ignore-bytes 10gb} {
        if {[server_is_redis]} { skip "its allocator cannot" }
        defrag_fill 5000
        # Measured ten times a second: by then more than once.
        eventually { [info_field ada uptime_in_seconds] >= 2 }
        assert_equal 0 [info_field ada active_defrag_running]
        assert_equal 0 [field_of [on ada info stats] active_defrag_misses]
        assert_equal 0 [field_of [on ada info stats] total_active_defrag_time]
    }
}

test "the limits of defragmentation are set as redis.conf has them" {
    if {[server_is_redis]} { skip "its allocator cannot" }
    with_node ada {
        foreach {name value} {activedefrag yes active-defrag-ignore-bytes 1048576 active-defrag-threshold-lower 5 active-defrag-threshold-upper 50
            active-defrag-cycle-min 2 active-defrag-cycle-max 30 active-defrag-max-scan-fields 500} {
            assert_equal OK [on ada config set $name $value]
            assert_equal [list $name $value] [on ada config get $name]
        }
        foreach {name value} {activedefrag perhaps active-defrag-ignore-bytes 0 active-defrag-threshold-lower 1001 active-defrag-cycle-min 0
            active-defrag-cycle-max 100} {
            assert_error "ERR CONFIG SET failed*" { on ada config set $name $value }
        }
    }
}
