# Eviction: the limit is kept, the policies are what they are called, and where nothing may go writes are refused as redis-server does.

proc oom {} { return "OOM command not allowed when used memory > 'maxmemory'." }

# Writes keys of so many bytes until `until` holds.
proc fill {node prefix bytes until} {
    set value [string repeat x $bytes]
    for {set i 0} {![uplevel 1 [list expr $until]]} {incr i} {
        if {$i > 100000} { fail "never full" }
        on $node set $prefix:$i $value
    }
    return $i
}

test "the limit is kept, and what is in use stays" {
    with_node ada {maxmemory 2mb} {
        assert_equal allkeys-s3s [info_field ada maxmemory_policy]
        for {set i 0} {$i < 50} {incr i} { on ada set hot:$i [string repeat h 100] }
        for {set i 0} {$i < 12000} {incr i} {
            on ada set cold:$i [string repeat x 400]
            on ada get hot:[expr {$i % 50}]
        }
        assert {[info_field ada evicted_keys] > 5000}
        assert {[info_field ada used_memory_data] <= 2097152 * 1.02}
        assert {[info_field ada used_memory_data] > 2097152 * 0.9}
        for {set i 0} {$i < 50} {incr i} { assert_equal 100 [on ada strlen hot:$i] "hot:$i" }
        for {set i 0} {$i < 100} {incr i} { on ada get missing:$i }
        assert_match 0.99* [info_field ada keyspace_hit_ratio]
    }
}

test "a limit that is lowered is worked off without a write" {
    with_node ada {
        for {set i 0} {$i < 3000} {incr i} { on ada set key:$i [string repeat x 1000] }
        assert {[info_field ada used_memory_data] > 3000000}
        on ada config set maxmemory 1mb
        eventually { [info_field ada used_memory_data] <= 1048576 * 1.02 }
        assert {[on ada dbsize] > 500}
        on ada config set maxmemory 0
        set before [on ada dbsize]
        for {set i 0} {$i < 1000} {incr i} { on ada set more:$i [string repeat x 1000] }
        assert_equal [expr {$before + 1000}] [on ada dbsize]
    }
}

test "noeviction refuses what needs memory, and nothing else" {
    with_node ada {maxmemory 1mb maxmemory-policy noeviction io-threads 1} {
        catch { fill ada key 1000 {0} } error
        assert_match "*[oom]*" $error
        assert_error [oom] { on ada set another value }
        assert_error [oom] { on ada append key:0 x }
        assert_equal 1000 [on ada strlen key:0]
        assert_equal 1 [on ada expire key:0 100]
        assert_equal 0 [info_field ada evicted_keys]
        for {set i 0} {$i < 100} {incr i} { assert_equal 1 [on ada del key:$i] }
        assert_equal OK [on ada set another value]
    }
}

test "a transaction is refused as a whole where there is no memory" {
    with_node ada {maxmemory 1mb maxmemory-policy noeviction io-threads 1} {
        on ada multi
        on ada set inside value
        connect second ada
        catch { for {set i 0} {1} {incr i} { resp::do second set key:$i [string repeat x 1000] } }
        assert_error "EXECABORT Transaction discarded because of: [oom]" { on ada exec }
        assert_equal 0 [on ada exists inside]
        on ada multi
        assert_error [oom] { on ada get key:0 }
        assert_error "EXECABORT*previous errors." { on ada exec }
        resp::do second flushall
        on ada multi
        on ada set inside value
        assert_equal OK [on ada exec]
    }
}

test "volatile policies take only keys with a deadline, and refuse when there are none left" {
    foreach policy {volatile-s3s volatile-lru volatile-lfu volatile-random volatile-ttl} {
        with_node ada [list maxmemory 1mb maxmemory-policy $policy io-threads 1] {
            for {set i 0} {$i < 300} {incr i} { on ada set lasting:$i [string repeat x 1000] }
            for {set i 0} {$i < 1500} {incr i} { on ada set passing:$i [string repeat x 1000] ex [expr {1000 + $i}] }
            assert {[info_field ada evicted_keys] > 500} $policy
            for {set i 0} {$i < 300} {incr i} { assert_equal 1 [on ada exists lasting:$i] "$policy lasting:$i" }
            if {$policy eq "volatile-ttl"} { assert_equal 0 [on ada exists passing:0] }
            catch { fill ada more 1000 {0} } error
            assert_match "*[oom]*" $error
        }
    }
}

test "every policy keeps the limit" {
    foreach policy {allkeys-lru allkeys-lfu allkeys-random} {
        with_node ada [list maxmemory 1mb maxmemory-policy $policy io-threads 1] {
            for {set i 0} {$i < 3000} {incr i} { on ada set key:$i [string repeat x 1000] }
            assert {[info_field ada used_memory_data] <= 1048576 * 1.02} $policy
            assert {[on ada dbsize] > 700} $policy
        }
    }
}

test "OBJECT FREQ and IDLETIME answer where the policy counts that" {
    with_node ada {maxmemory-policy allkeys-lfu} {
        on ada set key value
        for {set i 0} {$i < 200} {incr i} { on ada get key }
        assert {[on ada object freq key] > 5}
        assert_error "ERR An LFU maxmemory policy is selected*" { on ada object idletime key }
        on ada config set maxmemory-policy allkeys-lru
        assert {[on ada object idletime key] >= 0}
        assert_error "ERR An LFU maxmemory policy is not selected*" { on ada object freq key }
    }
    # The end of a minute would take one from the count.
    with_node ada {maxmemory-policy allkeys-lfu lfu-decay-time 0} {
        on ada set key value
        on ada client no-touch on
        for {set i 0} {$i < 200} {incr i} { on ada get key }
        assert_equal 5 [on ada object freq key] "NO-TOUCH leaves no trace"
        for {set i 0} {$i < 200} {incr i} { on ada touch key }
        assert {[on ada object freq key] > 5} "but TOUCH does"
    }
}

test "a storm of writes of all sizes, on every worker, stays within the limit" {
    with_node ada {maxmemory 20mb io-threads 4} {
        set clients {}
        for {set i 0} {$i < 8} {incr i} { connect storm$i ada; lappend clients storm$i }
        set worst 0
        for {set round 0} {$round < 150} {incr round} {
            foreach client $clients {
                for {set i 0} {$i < 20} {incr i} {
                    set bytes [expr {int(pow(2, 4 + rand() * 12))}]
                    resp::send $client set key:[expr {int(rand() * 20000)}] [string repeat x $bytes]
                }
            }
            set used [info_field ada used_memory_data]
            if {$used > $worst} { set worst $used }
            foreach client $clients { for {set i 0} {$i < 20} {incr i} { assert_equal {simple OK} [resp::read $client] } }
        }
        assert {[info_field ada evicted_keys] > 1000}
        assert {$worst <= 20971520 * 1.02 + 4 * 65536} "at worst $worst"
    }
}
