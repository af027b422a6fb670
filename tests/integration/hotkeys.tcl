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
        assert {[regexp {^[0-9.]{1,8}$} [dict get $hot share-percent]]} "four digits: $hot"
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

test "so is one that is written, though its bytes are read to their place" {
    with_node ada {
        # Ten thousand units in ten seconds, and 196 for each write, of which a window sees at least half.
        on ada config set hotkey-threshold 1000 hotkey-window-ms 10000
        many ada 400 set moon [string repeat x 200]
        many ada 120 set film [string repeat x 200000]
        assert_equal film [hot_keys ada]
    }
}

test "what takes long is hot by its time" {
    with_node ada {
        # Ten thousand units in ten seconds: no number of commands that is sent here, and four of them at least by their time.
        on ada config set hotkey-threshold 1000 hotkey-window-ms 10000
        on ada mset {{t}a} [string repeat ab 1000] {{t}b} [string repeat bc 1000]
        eventually { [many ada 20 lcs {{t}a} {{t}b} len; set hot [lsearch -inline -index 1 [hot_list ada] {{t}a}]] ne "" }
        assert_equal {{{t}a} {{t}b}} [lsort [hot_keys ada]]
        eventually { [many ada 20 lcs {{t}a} {{t}b} len; set hot [lsearch -inline -index 1 [hot_list ada] {{t}a}]
                      expr {$hot ne "" && [dict get $hot qps] > 0}] }
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

proc session {name} {
    set reply [resp::do $name hotkeys get]
    assert_equal 1 [llength $reply]
    return [lindex $reply 0]
}

test "a session tells which keys cost most, in the form of Redis 8.6" {
    with_node ada {
        assert_equal "" [on ada hotkeys get]
        assert_equal null [lindex [typed_on ada hotkeys get] 0]
        many ada 100 get before
        assert_equal OK [on ada hotkeys start metrics 2 cpu net]
        many ada 300 set large [string repeat x 2000]
        many ada 100 get small
        on ada mset {{t}a} [string repeat ab 1500] {{t}b} [string repeat bc 1500]
        many ada 5 lcs {{t}a} {{t}b} len
        set found [session ada]
        assert_equal [list {*}{tracking-active sample-ratio selected-slots all-commands-all-slots-us net-bytes-all-commands-all-slots
            collection-start-time-unix-ms collection-duration-ms total-cpu-time-user-ms total-cpu-time-sys-ms total-net-bytes
            by-cpu-time-us by-net-bytes}] [lmap {field value} $found { set field }]
        assert_equal {1 1 {{0 16383}}} [lmap field {tracking-active sample-ratio selected-slots} { dict get $found $field }]
        set by_net [dict get $found by-net-bytes]
        assert_equal {large {{t}a} {{t}b}} [lsort [lmap {key bytes} [lrange $by_net 0 5] { set key }]]
        assert {[dict get $by_net large] >= 600000 && [dict get $by_net large] < 620000}
        assert {![dict exists $by_net before]}
        assert {[lindex [dict get $found by-cpu-time-us] 0] in {{{t}a} {{t}b}}}
        assert {[dict get $found total-net-bytes] >= [dict get $by_net large]}
        assert {[dict get $found all-commands-all-slots-us] >= [lindex [dict get $found by-cpu-time-us] 1]}
        assert {abs([clock milliseconds] - [dict get $found collection-start-time-unix-ms]) < 60000}
        assert_equal OK [on ada hotkeys stop]
        set ended [session ada]
        many ada 100 get small
        assert_equal 0 [dict get $ended tracking-active]
        assert_equal $ended [session ada]
        assert_equal OK [on ada hotkeys reset]
        assert_equal "" [on ada hotkeys get]
        # A map in RESP3, in the array.
        on ada hotkeys start metrics 1 net
        resp::hello3 ada
        on ada get small
        resp::send ada hotkeys get
        lassign [resp::read ada] type value
        assert_equal {array map} [list $type [lindex $value 0 0]]
        resp::send ada hotkeys reset
        assert_equal error [lindex [resp::read ada] 0]
        on ada hotkeys stop
        on ada hotkeys reset
        assert_equal null [lindex [typed_on ada hotkeys get] 0]
    }
}

test "a session has the metrics, the number of keys, the time and the slots that were asked for" {
    with_node ada {cluster-enabled yes} {
        on ada hotkeys start metrics 1 cpu count 1 sample 2
        for {set i 0} {$i < 20} {incr i} { many ada 20 get k:$i }
        set found [session ada]
        assert {![dict exists $found by-net-bytes] && ![dict exists $found total-net-bytes]}
        assert {[llength [dict get $found by-cpu-time-us]] <= 2}
        assert_equal 2 [dict get $found sample-ratio]
        on ada hotkeys stop

        # Commands with keys elsewhere, and without any, count among all commands only.
        set slot [slot_of star]
        on ada hotkeys start metrics 1 net sample 1 slots 3 $slot 0 1
        many ada 10 set star [string repeat x 100]
        many ada 10 set moon [string repeat x 100]
        set found [session ada]
        assert_equal [lsort [list {0 1} [list $slot $slot]]] [lsort [dict get $found selected-slots]]
        assert_equal star [lindex [dict get $found by-net-bytes] 0]
        assert_equal 2 [llength [dict get $found by-net-bytes]]
        assert {[dict get $found net-bytes-all-commands-selected-slots] < [dict get $found net-bytes-all-commands-all-slots]}
        assert_equal [lindex [dict get $found by-net-bytes] 1] [dict get $found net-bytes-all-commands-selected-slots]
        assert {![dict exists $found sampled-commands-selected-slots-us]}
        on ada hotkeys stop
        on ada hotkeys start metrics 1 net sample 3 slots 1 $slot
        many ada 300 get star
        set found [session ada]
        assert {[dict get $found net-bytes-sampled-commands-selected-slots] < [dict get $found net-bytes-all-commands-selected-slots]}
        on ada hotkeys stop

        on ada hotkeys start metrics 1 net duration 1
        many ada 10 get star
        eventually { [dict get [session ada] tracking-active] == 0 }
        assert_equal 1000 [dict get [session ada] collection-duration-ms]
        assert_error "ERR*no hotkey tracking*" { on ada hotkeys stop }
    }
}

test "what a session is asked wrongly is refused" {
    with_node ada {
        foreach {words error} {
            {start} "ERR*METRICS*required*"
            {start count 5} "ERR*METRICS*required*"
            {start metrics} "ERR*METRICS*"
            {start metrics 0} "ERR*METRICS*"
            {start metrics x cpu} "ERR*METRICS*"
            {start metrics 2 cpu} "ERR*METRICS count*"
            {start metrics 1 cpu net} "ERR*METRICS count*"
            {start metrics 2 cpu cpu} "ERR*METRICS*"
            {start metrics 1 disk} "ERR*METRICS*"
            {start metrics 1 cpu metrics 1 net} "ERR syntax error"
            {start metrics 1 cpu count 0} "ERR*COUNT*"
            {start metrics 1 cpu count 65} "ERR*COUNT*"
            {start metrics 1 cpu count} "ERR*COUNT*"
            {start metrics 1 cpu duration -1} "ERR*DURATION*"
            {start metrics 1 cpu sample 0} "ERR*SAMPLE*"
            {start metrics 1 cpu nonsense 1} "ERR syntax error"
            {start metrics 1 cpu slots 1 0} "ERR*SLOTS*cluster*"
            {stop} "ERR*no hotkey tracking*"
            {stop now} "ERR wrong number*"
            {get all} "ERR wrong number*"
        } { assert_error $error { on ada hotkeys {*}$words } }
        assert_equal OK [on ada hotkeys reset]
        on ada hotkeys start metrics 1 cpu
        assert_error "ERR*already*" { on ada hotkeys start metrics 1 cpu }
        assert_error "ERR*stop tracking first*" { on ada hotkeys reset }
    }
    with_node bob {cluster-enabled yes} {
        foreach {words error} {
            {slots} "ERR*SLOTS*"
            {slots 0} "ERR*SLOTS*"
            {slots 2 1} "ERR*SLOTS*"
            {slots 1 16384} "ERR*slot*"
            {slots 1 -1} "ERR*slot*"
            {slots 2 5 5} "ERR*multiple times*"
            {slots 1 5 slots 1 6} "ERR*SLOTS*"
        } { assert_error $error { on bob hotkeys start metrics 1 cpu {*}$words } }
        on bob cluster addslots 1
        assert_error "ERR*not served*" { on bob hotkeys start metrics 1 cpu slots 1 7 }
    }
}

test "a session may begin and end within a transaction, whose commands count once" {
    with_node ada {
        on ada hotkeys start metrics 1 net
        resp::write ada [resp::encode multi][string repeat [resp::encode set star [string repeat x 1000]] 10][resp::encode hotkeys get][resp::encode exec]
        for {set i 0} {$i < 12} {incr i} { resp::read ada }
        resp::read ada
        set found [session ada]
        assert {[dict get $found by-net-bytes star] >= 10000 && [dict get $found by-net-bytes star] < 11000}
        assert {[dict get $found total-net-bytes] < 15000}
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

test "who asked for class H is told what became hot and what is cold again" {
    with_node ada {
        on ada config set hotkey-threshold 500
        connect listener ada
        resp::do listener psubscribe __key*__:*
        heat ada quiet get quiet
        on ada config set notify-keyspace-events KEH
        heat ada star get star
        set told {}
        while {[llength $told] < 2} { lappend told [lrange [resp::plain [resp::read listener]] 2 3] }
        assert_equal {{__keyspace@0__:star hot} {__keyevent@0__:hot star}} $told
        # Neither asks anybody for anything any more.
        set told {}
        while {{__keyspace@0__:star cold} ni $told} { lappend told [lrange [resp::plain [resp::read listener]] 2 3] }
        assert {{__keyevent@0__:cold quiet} in $told || {__keyspace@0__:quiet cold} in $told}
        # A name that is cut is cut in both.
        set long [string repeat y 4000]
        eventually { [many ada 400 get $long; is_hot ada [string repeat y 512]] }
        while {[lindex $told end] ne "__keyevent@0__:cold [string repeat y 512]"} { lappend told [lrange [resp::plain [resp::read listener]] 2 3] }
        assert {"__keyevent@0__:hot [string repeat y 512]" in $told}
    }
}
