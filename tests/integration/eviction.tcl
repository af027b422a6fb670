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
        # What a worker was about to evict may still go.
        set evicted [info_field ada evicted_keys]
        set before [on ada dbsize]
        for {set i 0} {$i < 1000} {incr i} { on ada set more:$i [string repeat x 1000] }
        set after [on ada dbsize]
        set more [expr {[info_field ada evicted_keys] - $evicted}]
        assert {$more < 100 && $after >= $before + 1000 - $more}
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

test "a large value makes way for itself before it is kept" {
    with_node ada {maxmemory 20mb io-threads 1} {
        set value [string repeat v 1048576]
        for {set i 0} {$i < 20000} {incr i} { on ada set small:$i [string repeat x 1000] }
        set worst 0
        for {set i 0} {$i < 40} {incr i} {
            on ada set large:$i $value
            set used [info_field ada used_memory_data]
            if {$used > $worst} { set worst $used }
            assert_equal 1048576 [on ada strlen large:$i]
        }
        assert {$worst <= 20971520 + 65536} "at worst $worst"
        # What could not fit anyway is taken as redis-server takes it, and costs nobody else his place before.
        on ada config set maxmemory 1mb
        eventually { [info_field ada used_memory_data] <= 1048576 * 1.02 }
        set before [info_field ada evicted_keys]
        on ada set huge [string repeat h 2000000]
        assert {[info_field ada evicted_keys] - $before <= 50} "the limit was met before"
    }
}

test "a large value that will be refused costs nobody else his place" {
    with_node ada {maxmemory 20mb io-threads 1} {
        set value [string repeat v 4000000]
        on ada set there $value
        set payload [on ada dump there]
        on ada set there small
        for {set i 0} {[info_field ada used_memory_data] < 18000000} {incr i 500} {
            for {set n 0} {$n < 500} {incr n} { on ada set small:[expr {$i + $n}] [string repeat x 1000] }
        }
        assert_equal 0 [info_field ada evicted_keys]
        assert_equal "" [on ada set there $value nx]
        assert_equal small [on ada set there $value nx get]
        assert_equal "" [on ada set missing $value xx]
        assert_equal "" [on ada set missing $value ifeq small]
        assert_equal "" [on ada set there $value ifeq other]
        assert_equal 0 [on ada setnx there $value]
        assert_error "ERR syntax error" { on ada set there $value nx xx }
        assert_error "BUSYKEY *" { on ada restore there 0 $payload }
        assert_equal 0 [info_field ada evicted_keys]
        assert_equal small [on ada get there]
        # Each of them that is kept has others go.
        foreach command {{set there VALUE ifeq small} {set new1 VALUE nx} {set new1 VALUE xx} {setnx new2 VALUE} {restore new3 0 PAYLOAD} {restore new3 0 PAYLOAD replace}} {
            set before [info_field ada evicted_keys]
            set full [expr {[info_field ada used_memory_data] + 4000000 > 20 * 1048576}]
            on ada {*}[lmap word $command { expr {$word eq "VALUE" ? $value : $word eq "PAYLOAD" ? $payload : $word} }]
            assert {[info_field ada used_memory_data] <= 20 * 1048576 + 65536} $command
            if {$full} { assert {[info_field ada evicted_keys] > $before} $command }
        }
        assert {[info_field ada evicted_keys] > 100}
    }
}

# Every reply of a script of commands, on one connection.
proc replies {client commands} {
    return [lmap command $commands {
        resp::send $client {*}$command
        list $command [resp::read $client]
    }]
}

test "what is refused without memory, and how, is as redis-server has it" {
    if {[auto_execok redis-server] eq ""} { skip "redis-server is not installed" }
    set setup {{config set maxmemory-policy noeviction} {config set maxmemory 0} {flushall} {mset k:1 aaaa k:2 bbbb k:3 cccc k:4 dddd n 5}
        {config set maxmemory 1}}
    set scripts {
        {{get k:1} {set a 1} {set k:1 x} {set k:1 x xx} {set a 1 nx} {setnx a 1} {setex a 10 1} {psetex a 10000 1} {getset k:2 v}
            {getex k:2 ex 100} {getdel k:2} {append k:1 x} {setrange k:1 0 a} {incr n} {decr n} {incrby n 2} {decrby n 1} {incrbyfloat n 2}
            {mset a 1 b 2} {msetnx a 1 b 2} {mget k:1 a} {strlen k:1} {getrange k:1 0 1} {expire k:3 100} {persist k:3} {rename k:3 k:5} {copy k:4 k:6}
            {touch k:1} {exists k:1} {type k:1} {unlink k:4} {del k:5} {dbsize} {set} {set a 1 ex 0} {nosuch} {config set maxmemory-samples 5} {ping}}
        {{multi} {set a 1} {exec}}
        {{multi} {get k:1} {exec}}
        {{multi} {del k:1} {discard} {get k:1}}
        {{multi} {watch k:1} {exec}}
        {{multi} {multi} {exec}}
        {{multi} {exec}}
        {{multi} {reset} {get k:1}}
        {{watch k:1} {unwatch} {multi} {unwatch} {exec}}
        {{config set maxmemory 0} {multi} {set a 1} {config set maxmemory 1} {exec} {get a} {config get maxmemory}}
        {{config set maxmemory 0} {set a 1} {multi} {get a} {exec}}
    }
    node_start theirs {@binary redis-server}
    node_start ours {cluster-enabled no io-threads 1}
    foreach name {theirs ours} { connect $name $name }
    foreach script $scripts {
        foreach name {theirs ours} { set got($name) [replies $name [concat $setup $script {{config set maxmemory 0}}]] }
        foreach theirs $got(theirs) ours $got(ours) { assert_equal $theirs $ours }
    }
}
