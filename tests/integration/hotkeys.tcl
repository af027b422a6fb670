# Keys that take more than their share: found while they do, listed, and forgotten when they no longer do.

# So many commands in one write; replies are read and thrown away.
proc many {name count args} {
    resp::write $name [string repeat [resp::encode {*}$args] $count]
    for {set i 0} {$i < $count} {incr i} { resp::read $name }
}

# Runs a command until its key is hot.
proc heat {name key args} {
    eventually { [many $name 400 {*}$args; is_hot $name $key] }
}

proc hot_list {name args} { return [resp::do $name hotkeys list {*}$args] }
proc hot_keys {name} { return [lmap hot [hot_list $name] { dict get $hot key }] }
proc is_hot {name key} { return [expr {$key in [hot_keys $name]}] }

test "a key that is asked for often is listed, and is no more when nobody asks" {
    with_node ada {
        on ada config set hotkey-threshold 500
        on ada set star value
        on ada set moon value
        assert_equal {} [on ada hotkeys list]
        on ada get moon
        heat ada star get star
        set hot [lindex [hot_list ada] 0]
        assert_equal {key db slot qps write-qps net-bytes-sec cpu-us-sec share-percent hot-since-ms salt} [dict keys $hot]
        assert_equal [list star 0 [slot_of star] 1] [lmap field {key db slot salt} { dict get $hot $field }]
        assert_equal 0 [dict get $hot write-qps]
        assert {[dict get $hot share-percent] >= 0 && [dict get $hot share-percent] <= 100}
        set since [dict get $hot hot-since-ms]
        assert {abs([clock milliseconds] - $since) < 60000}
        eventually { [hot_keys ada] eq "" }
        assert {[clock milliseconds] - $since >= 1000}
    }
}

test "HOTKEYS LIST is an array of maps in RESP3 and of flat arrays in RESP2" {
    with_node ada {
        on ada config set hotkey-threshold 500
        heat ada star incr star
        resp::send ada hotkeys list
        lassign [resp::read ada] type value
        assert_equal array $type
        assert_equal array [lindex $value 0 0]
        assert_equal 20 [llength [lindex $value 0 1]]
        resp::hello3 ada
        heat ada star incr star
        resp::send ada hotkeys list
        lassign [resp::read ada] type value
        assert_equal {array map} [list $type [lindex $value 0 0]]
    }
}

test "the hottest comes first, and COUNT is how many" {
    with_node ada {
        on ada config set hotkey-threshold 200 hotkey-window-ms 1000
        eventually {
            [many ada 300 get dim; many ada 3000 get bright; hot_keys ada] eq {bright dim}
        }
        eventually { [many ada 300 get dim; many ada 3000 get bright; llength [hot_list ada count 1]] == 1 }
        assert_equal bright [dict get [lindex [hot_list ada count 1] 0] key]
        assert {[llength [hot_list ada count 1000]] <= 2}
    }
}

test "writes, bytes and other commands count" {
    with_node ada {
        on ada config set hotkey-threshold 500
        foreach {key command} {
            by:incr {incr by:incr}
            by:missing {get by:missing}
            by:strlen {strlen by:strlen}
            by:del {del by:del}
            by:range {setrange by:range 0 x}
        } {
            heat ada $key {*}$command
        }
        eventually { [many ada 200 incr by:incr; set hot [lsearch -inline -index 1 [hot_list ada] by:incr]; expr {$hot ne "" && [dict get $hot write-qps] > 0}] }
        assert_equal [dict get $hot qps] [dict get $hot write-qps]
    }
}

test "a large value is hot by its bytes" {
    with_node ada {
        # Twenty reads in a second would not do, were it not for what they read.
        on ada config set hotkey-threshold 3000 hotkey-window-ms 1000
        on ada set film [string repeat x 200000]
        many ada 20 strlen film
        assert_equal {} [hot_keys ada]
        eventually { [many ada 20 get film; is_hot ada film] }
        eventually { [many ada 20 get film; expr {[set hot [hot_list ada]] ne "" && [dict get [lindex $hot 0] qps] > 0}] }
        assert {[dict get [lindex $hot 0] net-bytes-sec] >= 200000 * [dict get [lindex $hot 0] qps]}
    }
}

test "what takes long is hot by its time" {
    with_node ada {
        on ada config set hotkey-threshold 1000000
        on ada mset {{t}a} [string repeat ab 1000] {{t}b} [string repeat bc 1000]
        eventually { [on ada config set hotkey-threshold 2000; many ada 20 lcs {{t}a} {{t}b} len; is_hot ada {{t}a}] }
        set hot [lsearch -inline -index 1 [hot_list ada] {{t}a}]
        assert {[dict get $hot cpu-us-sec] > 20 * [dict get $hot qps]}
    }
}

test "the keys of a command share what it costs" {
    with_node ada {
        on ada config set hotkey-threshold 100 hotkey-window-ms 1000
        set keys [lmap i {0 1 2 3 4 5 6 7 8 9} { set i k:$i }]
        heat ada k:3 mget {*}$keys
        eventually { [many ada 400 mget {*}$keys; lsort [hot_keys ada]] eq [lsort $keys] }
        # A hundredth of 100 a second, and no tenth of a tenth.
        eventually { [hot_keys ada] eq "" }
        on ada config set hotkey-threshold 1000000
        many ada 400 mget {*}$keys
        assert_equal {} [hot_keys ada]
    }
}

test "a key counts wherever it stands in a command" {
    with_node ada {
        on ada config set hotkey-threshold 100 hotkey-window-ms 1000
        set keys {}
        # Each command names ninety-nine others than the one before; the key is the last of a hundred.
        eventually {
            [for {set n 0} {$n < 300} {incr n} {
                 set keys {}
                 for {set i 0} {$i < 99} {incr i} { lappend keys k:[expr {$n * 99 + $i}] }
                 for {set i 0} {$i < 60} {incr i} { lappend keys star }
                 resp::send ada exists {*}$keys
                 resp::read ada
             }
             hot_keys ada] eq "star"
        }
    }
}

test "commands of a transaction count, and those of one that was not run do not" {
    with_node ada {
        on ada config set hotkey-threshold 500
        proc a_transaction {} {
            resp::write ada [resp::encode multi][string repeat [resp::encode incr star] 200][resp::encode exec]
            for {set i 0} {$i < 202} {incr i} { resp::read ada }
        }
        eventually { [a_transaction; is_hot ada star] }
        for {set i 0} {$i < 20} {incr i} {
            resp::write ada [resp::encode multi][string repeat [resp::encode incr moon] 200][resp::encode discard]
            for {set j 0} {$j < 202} {incr j} { resp::read ada }
        }
        assert {![is_hot ada moon]}
    }
}

test "names are shown whatever bytes they are made of, and cut at 512" {
    with_node ada {
        on ada config set hotkey-threshold 100
        set name "a\x00\r\n\xff b"
        heat ada $name get $name
        set long [string repeat y 4000]
        heat ada [string repeat y 512] get $long
        # Two that begin alike are two.
        eventually { [many ada 400 get $long; many ada 400 get ${long}z; llength [lsearch -all [hot_keys ada] [string repeat y 512]]] == 2 }
    }
}

test "the threshold and the window change at run time, and a threshold of 0 looks for nothing" {
    with_node ada {
        assert_equal {hotkey-threshold 5000} [on ada config get hotkey-threshold]
        assert_equal {hotkey-window-ms 100} [on ada config get hotkey-window-ms]
        on ada config set hotkey-threshold 500
        heat ada star get star
        on ada config set hotkey-threshold 0
        eventually { [info_field ada hotkeys_now] == 0 }
        many ada 20000 get star
        assert_equal {} [hot_keys ada]
        on ada config set hotkey-threshold 1000000000 hotkey-window-ms 10000
        many ada 20000 get star
        assert_equal {} [hot_keys ada]
        on ada config set hotkey-threshold 500 hotkey-window-ms 50
        heat ada star get star
        foreach {name value} {hotkey-threshold -1 hotkey-threshold x hotkey-threshold 1000000001 hotkey-window-ms 9 hotkey-window-ms 10001} {
            assert_error "ERR CONFIG SET failed*" { on ada config set $name $value }
        }
    }
}

test "INFO counts what became hot and what cooled down" {
    with_node ada {
        assert_match "*# Hotkeys*hotkeys_now:0*" [on ada info]
        assert_equal 0 [info_field ada hotkeys_found]
        on ada config set hotkey-threshold 500
        heat ada star get star
        assert {[info_field ada hotkeys_found] >= 1}
        eventually { [info_field ada hotkeys_now] == 0 }
        assert_equal [info_field ada hotkeys_found] [info_field ada hotkeys_cooled]
        # More keys are hot than there is room for.
        on ada config set hotkey-threshold 20 hotkey-window-ms 1000
        eventually {
            [for {set i 0} {$i < 100} {incr i} { many ada 40 get k:$i }; expr {[info_field ada hotkeys_pushed_out] + [info_field ada hotkeys_missed]}] > 0
        }
        assert {[info_field ada hotkeys_now] <= 64}
    }
}

test "what is asked wrongly is refused" {
    with_node ada {
        assert_error "ERR syntax error" { on ada hotkeys list count }
        assert_error "ERR syntax error" { on ada hotkeys list most 1 }
        assert_error "ERR COUNT must be*" { on ada hotkeys list count 0 }
        assert_error "ERR COUNT must be*" { on ada hotkeys list count x }
        assert_error "ERR unknown subcommand*" { on ada hotkeys nonsense }
        assert_match "*LIST*" [on ada hotkeys help]
    }
}

test "workers that serve the same key find it once" {
    with_node ada {io-threads 4 hotkey-threshold 500} {
        on ada ping
        foreach name {b c d e} { connect $name ada }
        eventually {
            [foreach name {b c d e} { resp::write $name [string repeat [resp::encode incr star] 500] }
             foreach name {b c d e} { for {set i 0} {$i < 500} {incr i} { resp::read $name } }
             hot_keys ada] eq "star"
        }
        assert_equal 1 [info_field ada hotkeys_now]
    }
}
