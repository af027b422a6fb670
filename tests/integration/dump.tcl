# DUMP and RESTORE: values that go to redis-server and come from it, and what is refused. The payload's own bytes are tested in
# tests/unit/transfer; every error beside redis-server's in differential.tcl.

proc restore_fails {name payload args} {
    catch { on $name restore key 0 $payload {*}$args } message
    return $message
}

test "what one server dumps the other restores" {
    with_node ada {
        node_start redis {@binary redis-server}
        set values [list "" 0 -1 128 2147483648 3.5 text "with \r\n and \x00" [string repeat a 21] [string repeat abc 5000] [binary format H* fffe00c3]]
        # Of every size around where the form of the length changes; random bytes are not compressed, digits are.
        foreach size {63 64 16383 16384 70000 3000000} {
            set words {}
            for {set i 0} {$i <= $size / 8} {incr i} { lappend words [expr {10000000 + int(rand() * 1e7)}] }
            lappend values [string range [join $words ""] 0 $size-1]
        }
        foreach value $values {
            foreach {from to} {ada redis redis ada} {
                on $from set key $value
                assert_equal OK [on $to restore key 0 [on $from dump key] replace]
                assert_equal $value [on $to get key]
            }
            assert_equal [on redis object encoding key] [on ada object encoding key]
            on ada del key
            on redis del key
        }
        assert_equal {null} [lrange [resp::ask ada dump nothing] 0 0]
    }
}

test "a restored key lives as long as it was told" {
    with_node ada {
        on ada set key value
        set payload [on ada dump key]
        assert_equal OK [on ada restore key 0 $payload replace]
        assert_equal -1 [on ada pttl key]
        assert_equal OK [on ada restore key 100000 $payload replace]
        assert {[on ada pttl key] > 90000 && [on ada pttl key] <= 100000}
        set at [expr {[clock milliseconds] + 200000}]
        assert_equal OK [on ada restore key $at $payload replace absttl]
        assert {abs([on ada pexpiretime key] - $at) <= 1}
        # In the past already: it is not there, and what was is gone.
        assert_equal OK [on ada restore key 1000 $payload replace absttl]
        assert_equal 0 [on ada exists key]
        assert_equal OK [on ada restore key 20 $payload]
        eventually { [on ada exists key] == 0 }
    }
}

test "a key that is there stays, unless it is to be replaced" {
    with_node ada {
        on ada set key old
        set payload [on ada dump key]
        on ada set key new ex 100
        assert_error "BUSYKEY Target key name already exists." { on ada restore key 0 $payload }
        assert_equal new [on ada get key]
        # A bad payload costs nobody the old value.
        assert_match "*checksum are wrong" [restore_fails ada ${payload}x replace]
        assert_equal new [on ada get key]
        assert_equal OK [on ada restore key 0 $payload replace]
        assert_equal {old -1} [list [on ada get key] [on ada ttl key]]
    }
}

test "a type this node does not have is named" {
    with_node ada {
        node_start redis {@binary redis-server}
        foreach {type fill} {list {rpush key a} hash {hset key f v} set {sadd key a} "sorted set" {zadd key 1 a} stream {xadd key * f v}} {
            on redis del key
            on redis {*}$fill
            assert_equal "ERR Bad data format: a $type, and this node has only strings" [restore_fails ada [on redis dump key]]
        }
        assert_equal 0 [on ada dbsize]
    }
}

test "in a transaction payloads are read before it and told of in its place" {
    with_node ada {
        on ada set key [string repeat v 100000]
        set big [on ada dump key]
        on ada set key small
        set small [on ada dump key]
        on ada multi
        foreach words [list [list restore a 0 $big] [list restore b 0 broken] [list restore c 0 $small] {dump a} {get c} {dump c} [list restore a 0 $small]] {
            assert_equal QUEUED [on ada {*}$words]
        }
        assert_equal [list {simple OK} {error {ERR DUMP payload version or checksum are wrong}} {simple OK} [list bulk $big] {bulk small} [list bulk $small] \
            {error {BUSYKEY Target key name already exists.}}] [lindex [resp::ask ada exec] 1]
        # What was read for a transaction that does not run is freed (by a sanitizer's build noticed).
        on ada watch a
        on ada multi
        on ada restore d 0 $big
        connect other ada
        resp::do other set a changed
        assert_equal {} [on ada exec]
        on ada multi
        on ada restore d 0 $big
        on ada discard
        assert_equal 0 [on ada exists d]
    }
}

test "a restored key has the past it comes with" {
    # The end of a minute would take one from the count.
    with_node ada {maxmemory 100mb maxmemory-policy allkeys-lfu lfu-decay-time 0} {
        on ada set key value
        set payload [on ada dump key]
        foreach freq {0 1 100 255} {
            on ada restore key 0 $payload replace freq $freq
            assert_equal $freq [on ada object freq key]
        }
        # As in Redis, what the policy does not keep is passed over.
        assert_equal OK [on ada restore key 0 $payload replace idletime 100]
        on ada config set maxmemory-policy allkeys-lru
        assert_equal OK [on ada restore key 0 $payload replace idletime 0]
        assert {[on ada object idletime key] < 50}
    }
}

test "redis-server moves its keys here with MIGRATE" {
    with_node ada {requirepass secret} {
        on ada auth secret
        node_start redis {@binary redis-server}
        set values {}
        for {set i 0} {$i < 50} {incr i} {
            dict set values key:$i [string repeat "value $i " [expr {$i * $i}]]
            on redis set key:$i [dict get $values key:$i]
        }
        on redis pexpire key:7 100000
        on ada set key:3 "in the way"
        assert_match "*Target key name already exists*" [lindex [resp::ask redis migrate 127.0.0.1 [node_port ada] key:3 0 60000 auth secret] 1]
        assert_equal OK [on redis migrate 127.0.0.1 [node_port ada] "" 0 60000 copy replace auth secret keys {*}[dict keys $values]]
        assert_equal OK [on redis migrate 127.0.0.1 [node_port ada] "" 0 60000 replace auth secret keys {*}[dict keys $values]]
        assert_equal {0 50} [list [on redis dbsize] [on ada dbsize]]
        dict for {key value} $values { assert_equal $value [on ada get $key] }
        assert {[on ada pttl key:7] > 50000}
        assert_equal -1 [on ada pttl key:8]
    }
}

test "a payload that leads to far more than itself makes way for that" {
    with_node ada {maxmemory 20mb io-threads 1} {
        node_start redis {@binary redis-server}
        on redis set key [string repeat a 4000000]
        set payload [on redis dump key]
        assert {[string length $payload] < 100000}
        for {set i 0} {$i < 20000} {incr i} { on ada set small:$i [string repeat x 1000] }
        set worst 0
        for {set i 0} {$i < 12} {incr i} {
            on ada restore large:$i 0 $payload
            set used [info_field ada used_memory_data]
            if {$used > $worst} { set worst $used }
            assert_equal 4000000 [on ada strlen large:$i]
        }
        assert {$worst <= 20971520 * 1.02} "at worst $worst"
    }
}
