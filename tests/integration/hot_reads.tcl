# GETs of a hot key that are answered without its slot's lock: nobody may be able to tell, but by INFO.

proc lock_free {} { return [info_field ada hot_reads_lock_free] }

# So many commands in one write; returns the replies.
proc many {name count args} {
    resp::write $name [string repeat [resp::encode {*}$args] $count]
    set replies {}
    for {set i 0} {$i < $count} {incr i} { lappend replies [resp::plain [resp::read $name]] }
    return $replies
}

# Reads a key until that needs no lock. What it found at last.
proc heat {key} {
    eventually {
        [set before [lock_free]
         set found [many ada 200 get $key]
         lock_free] > $before
    }
    return [lindex $found end]
}

set ::readers {b c d e}
proc with_readers {options body} {
    uplevel 1 [list with_node ada [list hotkey-threshold 200 {*}$options] "
        on ada ping
        foreach name \$::readers { connect \$name ada }
        $body"]
}

foreach threads {1 2 4} {
    test "GETs of a hot key need no lock, whoever asks, and count as ever ($threads workers)" [string map [list @threads $threads] {
        with_readers {io-threads @threads cluster-enabled yes} {
            on ada cluster addslotsrange 0 16383
            eventually { [field_of [on ada cluster info] cluster_state] eq "ok" }
            on ada set star bright
            assert_equal 0 [lock_free]
            heat star
            set before [info_field ada keyspace_hits]
            on ada config resetstat
            foreach name $::readers { resp::write $name [string repeat [resp::encode get star] 500] }
            foreach name $::readers {
                for {set i 0} {$i < 500} {incr i} { assert_equal bright [resp::plain [resp::read $name]] }
            }
            assert {[lock_free] > 0}
            assert_equal 2000 [info_field ada keyspace_hits]
            assert_match "cmdstat_get:calls=2000,*" [lsearch -inline [split [on ada info commandstats] \n] cmdstat_get*]
            # Of the slot they are when somebody has added them up.
            eventually { [dict get [lindex [resp::do ada cluster slot-stats slotsrange [slot_of star] [slot_of star]] 0 1] hits] == $before + 2000 }
            eventually { [many ada 200 get star; set hot [lindex [resp::do ada hotkeys list] 0]; expr {$hot ne "" && [dict get $hot qps] > 0}] }
        }
    }]
}

test "whatever changes a hot key, the next read of any client finds it" {
    with_readers {io-threads 4 enable-debug-command yes} {
        on ada set other elsewhere
        foreach {write expected} {
            {set star dim}                          dim
            {set star bright!}                      bright!
            {append star !}                         bright!
            {setrange star 0 B}                     Bright
            {set star x px 100000}                  x
            {getset star y}                         y
            {mset star z other o}                   z
            {setex star 1000 w}                     w
            {del star}                              ""
            {unlink star}                           ""
            {getdel star}                           ""
            {rename star gone}                      ""
            {rename other star}                     o
            {copy other star replace}               o
            {expire star -1}                        ""
            {pexpireat star 1}                      ""
            {getex star exat 1}                     ""
            {invalidate star}                       ""
            {flushall}                              ""
            {flushdb async}                         ""
            {delifeq star bright}                   ""
            exec                                    second
        } {
            on ada set star bright
            on ada set other o
            assert_equal bright [heat star]
            if {$write eq "exec"} {
                on ada multi
                on ada get star
                on ada set star first
                on ada get star
                on ada set star second
                assert_equal {bright OK first OK} [on ada exec]
            } else {
                on ada {*}$write
            }
            foreach name $::readers { assert_equal $expected [resp::do $name get star] "after $write" }
        }
        # A number, where it is.
        on ada set star 1000
        assert_equal 1000 [heat star]
        foreach {write expected} {{incr star} 1001 {decrby star 2} 999 {incrbyfloat star 0.5} 999.5} {
            on ada {*}$write
            foreach name $::readers { assert_equal $expected [resp::do $name get star] }
            heat star
        }
    }
}

foreach threads {2 4} {
    test "what was acknowledged is what is read from then on, while others read ($threads workers)" [string map [list @threads $threads] {
        with_readers {io-threads @threads} {
            on ada set star 0
            heat star
            set before [lock_free]
            for {set n 1} {$n <= 300} {incr n} {
                foreach name $::readers { resp::write $name [string repeat [resp::encode get star] 60] }
                switch [expr {$n % 4}] {
                    0 { on ada set star $n }
                    1 { on ada incr star }
                    2 { on ada multi; on ada set star $n; on ada exec }
                    3 { on ada del star; on ada setnx star $n }
                }
                # Asked for when it was acknowledged.
                foreach name $::readers { resp::send $name get star }
                foreach name $::readers {
                    set last 0
                    for {set i 0} {$i < 60} {incr i} {
                        set found [resp::plain [resp::read $name]]
                        if {$found eq ""} { set found $n } ;# deleted: as new as can be
                        assert {$found >= $n - 1 && $found >= $last} "$found after $last, while $n was written"
                        set last $found
                    }
                    assert_equal $n [resp::plain [resp::read $name]]
                }
            }
            assert {[lock_free] > $before} "nothing was read without the lock"
        }
    }]
}

test "a hot key is gone at its deadline" {
    with_readers {io-threads 2} {
        on ada set star bright px 3000
        set ends [expr {[clock milliseconds] + 3000}]
        heat star
        eventually { [lindex [many b 100 get star] end] eq "" }
        assert {[clock milliseconds] >= $ends}
        assert_equal 0 [on ada exists star]
        assert_equal 1 [info_field ada expired_keys]
    }
}

test "a hot value that is to be refreshed is withheld from one GET" {
    with_readers {io-threads 2} {
        on ada policy set s: ttl 1000 guard yes
        on ada set s:star bright
        assert_equal bright [heat s:star]
        # In effect with the reply, though the value is as it was. A part of its life has passed for sure.
        wait_ms 1100
        assert_equal bright [heat s:star]
        on ada policy set s: refresh 1 ttl 20
        on ada expire s:star 20
        set withheld 0
        eventually { [foreach found [many b 100 get s:star] { incr withheld [expr {$found eq ""}] }; set withheld] == 1 }
        foreach found [many b 100 get s:star] { assert_equal bright $found }
    }
}

test "who leaves no trace, who watches and who wants no replies has it as ever" {
    with_readers {io-threads 2} {
        on ada set star bright
        heat star
        assert_equal OK [resp::do b client no-touch on]
        assert_equal bright [lindex [many b 300 get star] end]
        connect m ada
        resp::do m monitor
        assert_equal bright [resp::do c get star]
        assert_match {*"get" "star"*} [resp::plain [resp::read m]]
        resp::close m
        resp::write d [resp::encode client reply off][string repeat [resp::encode get star] 50][resp::encode client reply on]
        assert_equal OK [resp::plain [resp::read d]]
        resp::do e watch star
        assert_equal bright [resp::do e get star]
        on ada set star dim
        resp::do e multi
        resp::do e get star
        assert_equal "" [resp::do e exec]
        resp::hello3 e
        heat star
        assert_equal dim [resp::do e get star]
    }
}

test "a key that is read without the lock stays hot" {
    with_readers {io-threads 2} {
        on ada config set hotkey-threshold 2000
        on ada set star bright
        heat star
        # For as long as it takes to be taken for cold, and again. (Where the test stands still itself it is cold by right.)
        eventually {
            [many ada 500 get star
             set hot [lindex [resp::do ada hotkeys list] 0]
             set until [expr {[clock milliseconds] + 2500}]
             while {[clock milliseconds] < $until} { many ada 500 get star }
             set still [lindex [resp::do ada hotkeys list] 0]
             expr {$hot ne "" && $still ne "" && [dict get $hot hot-since-ms] == [dict get $still hot-since-ms]}]
        }
    }
}

test "while the cluster is down no hot key is answered" {
    with_readers {io-threads 2 cluster-enabled yes} {
        on ada cluster addslotsrange 0 16383
        eventually { [field_of [on ada cluster info] cluster_state] eq "ok" }
        on ada set star bright
        set missing [expr {[slot_of star] ^ 1}]
        for {set round 0} {$round < 10} {incr round} {
            assert_equal bright [heat star]
            set before [lock_free]
            # At once: some milliseconds later somebody takes the lock and finds it out in any case.
            resp::write ada "[resp::encode get star][resp::encode cluster delslots $missing][string repeat [resp::encode get star] 20]"
            resp::read ada
            assert_equal OK [resp::plain [resp::read ada]]
            for {set i 0} {$i < 20} {incr i} { assert_match {error {CLUSTERDOWN *}} [resp::read ada] }
            foreach name $::readers { assert_match {error {CLUSTERDOWN *}} [resp::ask $name get star] }
            assert {[lock_free] <= $before + 1}
            on ada cluster addslots $missing
            eventually { [field_of [on ada cluster info] cluster_state] eq "ok" }
        }
    }
}

test "what a transaction sets on its way is read by nobody" {
    with_readers {io-threads 4} {
        on ada set star outside
        set filler {}
        for {set i 0} {$i < 200} {incr i} { lappend filler filler:$i x }
        set filler [string repeat [resp::encode mset {*}$filler] 100]
        for {set round 0} {$round < 10} {incr round} {
            heat star
            resp::write ada "[resp::encode multi][resp::encode set star within][string repeat [resp::encode get star] 100]$filler[resp::encode set star outside]"
            for {set i 0} {$i < 203} {incr i} { resp::read ada }
            # It takes some milliseconds. Who comes meanwhile waits for it, or is told what was before.
            resp::send ada exec
            foreach name $::readers {
                wait_ms 1
                resp::send $name get star
            }
            foreach name $::readers { assert_equal outside [resp::plain [resp::read $name]] }
            assert_equal within [lindex [resp::plain [resp::read ada]] 1]
        }
    }
}

test "a large value, and one that is written as often as it is read, keep to the lock" {
    with_readers {io-threads 2} {
        on ada set star [string repeat x 5000]
        for {set i 0} {$i < 20} {incr i} { many ada 100 get star }
        assert {"star" in [lmap hot [resp::do ada hotkeys list] { dict get $hot key }]}
        assert_equal 0 [lock_free]
        for {set i 0} {$i < 1000} {incr i} {
            on ada set moon $i
            assert_equal $i [on ada get moon]
        }
        assert_equal {0 0} [list [lock_free] [info_field ada hot_values_published]]
    }
}

test "a switch has all reads take the lock" {
    with_readers {io-threads 2} {
        assert_equal {hotkey-lock-free-reads yes} [on ada config get hotkey-lock-free-reads]
        on ada set star bright
        heat star
        on ada config set hotkey-lock-free-reads no
        set before [lock_free]
        assert_equal bright [lindex [many ada 1000 get star] end]
        assert_equal $before [lock_free]
        on ada config set hotkey-lock-free-reads yes
        heat star
        # What nobody reads any more is forgotten.
        eventually { [info_field ada hotkeys_now] == 0 }
        eventually { [info_field ada hot_values_withdrawn] == [info_field ada hot_values_published] }
    }
}

test "a key that is read without the lock is not evicted for it" {
    with_readers {io-threads 2 maxmemory-policy allkeys-lru} {
        on ada set star bright
        heat star
        on ada config set maxmemory [expr {[info_field ada used_memory_data] + 2000000}]
        set filler [string repeat x 1000]
        for {set n 0} {[info_field ada evicted_keys] < 6000} {incr n} {
            resp::write b ""
            for {set i 0} {$i < 100} {incr i} { resp::write b [resp::encode set filler:[expr {$n * 100 + $i}] $filler] }
            for {set i 0} {$i < 100} {incr i} { resp::read b }
            foreach found [many ada 100 get star] { assert_equal bright $found }
        }
        assert {[lock_free] > 1000}
    }
}
