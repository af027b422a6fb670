# The names of a salted key, on one node: whatever is done to one of them is done to the key.

proc ask_many {key} {
    resp::write ada [string repeat [resp::encode get $key] 400]
    for {set i 0} {$i < 400} {incr i} { resp::read ada }
}

test "SALT tells the names of a key, itself first, and gives it as many as are asked for" {
    with_cluster {ada} {
        assert_equal star [on ada salt star]
        assert_equal {star star~1 star~2 star~3} [on ada salt star 4]
        assert_equal {star star~1 star~2 star~3} [on ada salt star]
        assert_equal {star star~1} [on ada salt star 2]
        assert_equal star [on ada salt star 1]
        assert_equal star [on ada salt star]
        assert_equal [list "{user:1}:tl" "{user:1~1}:tl"] [on ada salt "{user:1}:tl" 2]
        assert_equal 64 [llength [on ada salt many 64]]
        assert_equal 64 [llength [lsort -unique [on ada salt many]]]
    }
}

test "SALT refuses what it cannot do" {
    with_cluster {ada} {
        foreach n {0 65 -1} { assert_error "ERR value is out of range, value must between 1 and 64" { on ada salt star $n } }
        assert_error "ERR value is not an integer or out of range" { on ada salt star many }
        foreach words {{2 PLUS} {2 SUM SUM} {2 SUM x y}} { assert_error "ERR syntax error" { on ada salt star {*}$words } }
        assert_error "ERR SUM needs more than one name" { on ada salt star 1 SUM }
        assert_error "ERR A key of more than 512 bytes cannot be salted" { on ada salt [string repeat k 513] 2 }
        assert_equal 2 [llength [on ada salt [string repeat k 512] 2]]
        assert_error "ERR wrong number of arguments for 'salt' command" { on ada salt }
        assert_equal star [on ada salt star]
    }
}

test "without a cluster a key has one name, and no more" {
    with_node server {cluster-enabled no} {
        assert_equal star [on server salt star]
        assert_error "ERR This instance has cluster support disabled" { on server salt star 2 }
        assert_error "ERR This instance has cluster support disabled" { on server cluster salts }
        assert_equal OK [on server set star~1 v]
        assert_match "*salted_keys:0*" [on server info salting]
    }
}

test "whatever is done to a name is done to the key" {
    with_cluster {ada} {
        on ada salt star 3
        assert_equal OK [on ada set star~1 one]
        foreach key {star star~1 star~2} { assert_equal one [on ada get $key] }
        assert_equal 6 [on ada append star~2 two]
        assert_equal onetwo [on ada getrange star~1 0 -1]
        assert_equal 1 [on ada exists star~2]
        assert_equal 2 [on ada exists star star~1]
        assert_equal 1 [on ada expire star~1 100]
        assert { [on ada ttl star] > 90 && [on ada ttl star~2] > 90 }
        assert_equal 1 [on ada persist star~2]
        assert_equal string [on ada type star~1]
        assert_equal raw [on ada object encoding star~1]
        assert { [on ada memory usage star~2] == [on ada memory usage star] }
        assert_equal {onetwo onetwo} [on ada mget star~1 star]
        assert_equal onetwo [on ada getdel star~1]
        assert_equal 0 [on ada exists star]
        assert_equal 5 [on ada incrby star~1 5]
        assert_equal 6 [on ada incr star~2]
        assert_equal 6 [on ada get star]
        set payload [on ada dump star~1]
        assert_equal 1 [on ada del star~2]
        assert_equal OK [on ada restore star~1 0 $payload]
        assert_equal 6 [on ada get star]
        assert_equal 6 [on ada setrange star~1 5 x]
        assert_equal "6\0\0\0\0x" [on ada getrange star~2 0 -1]
        assert_equal 1 [on ada invalidate star~1]
        assert_equal {MISS {} {} {}} [on ada fetch star]
        lassign [on ada fetch star~1 lease 1000] state value version token
        assert_equal MISS $state
        assert_equal OK [on ada set star~2 v token $token ver 7]
        assert_equal {HIT v 7 {}} [on ada fetch star~1]
        assert_equal 1 [on ada unlink star~1]
        assert_equal 0 [on ada touch star~2 star]
        assert { [info_field ada salt_served] > 20 }
    }
}

test "names are in no listing of keys, and in no count of them" {
    with_cluster {ada} {
        on ada salt star 8
        on ada set star~3 v
        assert_equal 1 [on ada dbsize]
        assert_equal star [on ada keys *]
        assert_equal {0 star} [on ada scan 0 count 100000]
        assert_equal star [on ada randomkey]
        assert_equal 1 [on ada cluster countkeysinslot [slot_of star]]
        assert_equal 0 [on ada cluster countkeysinslot [slot_of star~3]]
        assert_equal {} [on ada cluster getkeysinslot [slot_of star~3] 10]
    }
}

test "a key that is written like a name is out of reach while there is such a name" {
    with_cluster {ada} {
        on ada set star~1 ordinary
        on ada set star base
        on ada config set salt-grace 0
        on ada salt star 2
        assert_equal base [on ada get star~1]
        assert_equal 2 [on ada dbsize]
        on ada salt star 1
        eventually { [on ada get star~1] eq "ordinary" }
        assert_equal base [on ada get star]
    }
}

test "transactions and watches are of the key" {
    with_cluster {ada} {
        on ada salt star 3
        connect other ada
        assert_equal OK [on ada multi]
        assert_equal QUEUED [on ada set star~1 v]
        assert_equal QUEUED [on ada incr star~2]
        assert_equal QUEUED [on ada get star]
        assert_match "OK {ERR value is not an integer*} v" [on ada exec]
        # Whoever watches a name sees what is done to another.
        on ada watch star~1
        resp::do other set star~2 w
        on ada multi
        on ada get star
        assert_equal {} [on ada exec]
        on ada watch star~1 star~2
        on ada multi
        on ada get star~1
        assert_equal w [on ada exec]
        # Keys that were no names yet when they were queued.
        on ada set late base
        on ada multi
        on ada get late~1
        on ada set late~1 [string repeat x 20000]
        on ada strlen late~1
        resp::do other salt late 2
        assert_equal {base OK 20000} [on ada exec]
        assert_equal 20000 [on ada strlen late]
        # Names and SALT itself in one.
        on ada multi
        on ada salt star 4
        on ada salt star~1
        assert_equal {{star star~1 star~2 star~3} {star star~1 star~2 star~3}} [on ada exec]
    }
}

test "big values come to the key under any of its names, whole or in pieces, queued or not" {
    with_cluster {ada} {
        on ada salt star 2
        set value [string repeat 0123456789 10000]
        assert_equal OK [on ada set star~1 $value]
        assert { [on ada get star] eq $value }
        assert { [on ada get star~1] eq $value }
        # In pieces: it is read into place.
        set value [string repeat abcdefghij 60000]
        set bytes [resp::encode set star~1 $value]
        connect slow ada
        for {set at 0} {$at < [string length $bytes]} {incr at 100000} {
            resp::write slow [string range $bytes $at [expr {$at + 99999}]]
            on ada ping
        }
        assert_equal OK [resp::plain [resp::read slow]]
        assert { [on ada get star] eq $value }
        assert_equal 1 [on ada dbsize]
        on ada multi
        on ada set star~1 [string range $value 0 99999]
        on ada getset star~1 [string range $value 0 49999]
        on ada exec
        assert_equal 50000 [on ada strlen star]
        set payload [on ada dump star]
        assert_equal OK [on ada restore star~1 0 $payload replace]
        assert_equal 50000 [on ada strlen star~1]
        assert_equal 1 [on ada dbsize]
    }
}

test "names that are given up lead to the key for salt-grace seconds" {
    with_cluster {ada} {
        on ada salt star 4
        on ada set star v
        on ada salt star 2
        assert_equal v [on ada get star~3]
        assert_equal OK [on ada set star~2 w]
        assert_equal w [on ada get star]
        assert_equal {star star~1} [on ada salt star~3]
        assert_equal 2 [llength [dict get [entry_of ada star] retired]]
        foreach retired [dict get [entry_of ada star] retired] {
            assert { [lindex $retired 1] > 3500000 && [lindex $retired 1] <= 3600000 }
        }
        assert_equal 2 [info_field ada salt_names_retired]
        on ada salt star 1
        assert_equal w [on ada get star~1]
        assert_equal 0 [info_field ada salted_keys]
        on ada config set salt-grace 0
        on ada salt other 2
        on ada set other v
        on ada salt other 1
        eventually { [on ada get other~1] eq "" }
        assert_equal v [on ada get other]
    }
}

test "CLUSTER SALTS shows every salted key, and INFO how many there are" {
    with_cluster {ada} {
        assert_equal {} [on ada cluster salts]
        on ada salt star 3
        on ada salt b:1 2 SUM
        set entry [entry_of ada star]
        assert_equal names [dict get $entry mode]
        assert_equal command [dict get $entry chosen-by]
        assert_equal [slot_of star] [dict get $entry slot]
        assert_equal [node_id ada] [dict get $entry home]
        assert_equal [list [list star~1 [slot_of star~1] [node_id ada]] [list star~2 [slot_of star~2] [node_id ada]]] \
            [dict get $entry names]
        assert_equal {} [dict get $entry retired]
        set epoch [dict get $entry epoch]
        on ada salt star 3
        assert_equal $epoch [dict get [entry_of ada star] epoch]
        on ada salt star 4
        assert { [dict get [entry_of ada star] epoch] > $epoch }
        assert_equal sum [dict get [entry_of ada b:1] mode]
        assert_equal {2 4} [list [info_field ada salted_keys] [info_field ada salt_names]]
        # A name in SUM mode is an alias as any other.
        assert_equal 5 [on ada incrby b:1~1 5]
        assert_equal 5 [on ada get b:1]
    }
}

test "a salted key is said to be, where somebody asks for such events" {
    with_cluster {ada} {
        on ada config set notify-keyspace-events EH
        connect listener ada
        resp::do listener subscribe __keyevent@0__:salted
        on ada salt star 2
        assert_equal {message __keyevent@0__:salted star} [resp::plain [resp::read listener]]
        on ada salt star 2
        on ada salt star 1
        assert_equal {message __keyevent@0__:salted star} [resp::plain [resp::read listener]]
        on ada salt other 2
        assert_equal {message __keyevent@0__:salted other} [resp::plain [resp::read listener]]
    }
}

test "HOTKEYS LIST shows how many names a hot key has" {
    with_cluster {ada} {
        on ada config set hotkey-threshold 500
        eventually { [ask_many star; llength [on ada hotkeys list]] == 1 }
        assert_equal 1 [dict get [lindex [on ada hotkeys list] 0] salt]
        on ada salt star 8
        eventually { [ask_many star~1; llength [on ada hotkeys list]] == 1 }
        assert_equal star [dict get [lindex [on ada hotkeys list] 0] key]
        assert_equal 8 [dict get [lindex [on ada hotkeys list] 0] salt]
    }
}

test "the separator is the operator's to choose, and stays with the names that were given" {
    with_cluster {ada} {
        on ada salt star 2
        foreach wrong {"" ab a 7 "{" "}" " "} { catch { on ada config set salt-separator $wrong } error; assert_match "*salt-separator*" $error }
        on ada config set salt-separator #
        assert_equal {other other#1} [on ada salt other 2]
        assert_equal {star star~1 star~2} [on ada salt star 3]
        on ada set other#1 v
        assert_equal v [on ada get other]
    }
}

test "no more than 1024 keys are salted, and a name is of one key only" {
    with_cluster {ada} {
        for {set i 0} {$i < 1024} {incr i} { resp::send ada salt key:$i 2 }
        for {set i 0} {$i < 1024} {incr i} { assert_equal 2 [llength [resp::plain [resp::read ada]]] }
        assert_error "ERR 1024 keys are salted already, and no more can be" { on ada salt one:more 2 }
        assert_equal 1024 [llength [on ada cluster salts]]
        assert_equal key:7 [on ada salt key:7 1]
    }
}
