# MIGRATE: keys that become another node's. The target is a redis-server, a node of ours, or one that answers what the test wants.

# "IOERR ..." or what was replied.
proc migrate {from to key args} {
    set reply [resp::ask $from migrate 127.0.0.1 [node_port $to] $key 0 60000 {*}$args]
    return [lindex $reply 1]
}

proc migrate_to_port {from port key args} {
    return [lindex [resp::ask $from migrate 127.0.0.1 $port $key 0 {*}$args] 1]
}

test "keys go to a redis-server and come back, whole" {
    with_node ada {
        node_start redis {@binary redis-server}
        set values {}
        foreach {key value} [list "" empty a "" "with \r\n \x00\xff" binary n 12345 m -7 long [string repeat "long " 2000] big [string repeat 0123456789abcdef 200000]] {
            dict set values $key $value
        }
        for {set i 0} {$i < 1000} {incr i} { dict set values key:$i [string repeat "value $i " [expr {$i % 50}]] }
        dict for {key value} $values { on ada set $key $value }
        on ada expire key:7 1000
        set at [on ada pexpiretime key:7]
        assert_equal OK [migrate ada redis ""]
        assert_equal empty [on redis get ""]
        assert_equal OK [migrate ada redis "" keys {*}[lrange [dict keys $values] 1 end]]
        # It is let go of some time after the last use.
        assert_equal 1 [info_field ada migrate_cached_sockets]
        assert_equal 0 [on ada dbsize]
        dict for {key value} $values { assert_equal $value [on redis get $key] $key }
        # A deadline is a moment, not what is left of it.
        assert_equal $at [on redis pexpiretime key:7]
        assert_equal -1 [on redis pexpiretime key:8]
        assert_equal OK [migrate redis ada "" keys {*}[dict keys $values]]
        dict for {key value} $values { assert_equal $value [on ada get $key] $key }
        assert_equal 0 [on redis dbsize]
    }
}

test "COPY leaves the key, REPLACE takes the place of another" {
    with_node ada {
        node_start bob
        on ada mset a 1 b 2 c 3
        assert_equal NOKEY [migrate ada bob nothing]
        assert_equal NOKEY [migrate ada bob "" keys x y]
        assert_equal NOKEY [migrate ada bob "" keys]
        assert_equal NOKEY [migrate ada bob "" copy]
        assert_equal OK [migrate ada bob a copy]
        assert_equal {1 1} [list [on ada get a] [on bob get a]]
        on bob set a other
        assert_equal "ERR Target instance replied with error: BUSYKEY Target key name already exists." [migrate ada bob a]
        assert_equal {1 other} [list [on ada get a] [on bob get a]]
        # One is refused, the others go.
        assert_equal "ERR Target instance replied with error: BUSYKEY Target key name already exists." [migrate ada bob "" keys b a x c]
        assert_equal {{} 1 {}} [on ada mget b a c]
        assert_equal {2 other 3} [on bob mget b a c]
        assert_equal OK [migrate ada bob a copy replace]
        assert_equal {1 1} [list [on ada get a] [on bob get a]]
        assert_equal OK [migrate ada bob a replace]
        assert_equal {0 3} [list [on ada dbsize] [on bob dbsize]]
        # Named twice, gone once.
        assert_equal OK [migrate bob ada "" keys a a b b]
        assert_equal {2 1} [list [on ada dbsize] [on bob dbsize]]
    }
}

test "the password is for the target" {
    with_node ada {
        node_start redis {@binary redis-server requirepass secret}
        on redis auth secret
        on redis acl setuser mover on >moved ~* +@all
        on ada mset a 1 b 2
        assert_match "*NOAUTH Authentication required." [migrate ada redis a]
        assert_match "ERR Target instance replied with error: WRONGPASS *" [migrate ada redis a auth wrong]
        assert_match "*WRONGPASS *" [migrate ada redis a auth2 mover wrong]
        assert_equal OK [migrate ada redis a auth secret]
        # What another has said to be let in lets in nobody else.
        assert_match "*NOAUTH Authentication required." [migrate ada redis b]
        assert_match "*WRONGPASS *" [migrate ada redis b auth secreT]
        assert_match "*WRONGPASS *" [migrate ada redis b auth2 default secreT]
        assert_equal OK [migrate ada redis b auth2 mover moved]
        assert_equal {1 2} [on redis mget a b]
        # A password that nobody asked for: the key must not be on both sides.
        node_start bare {@binary redis-server}
        on ada set c 3
        assert_match "*AUTH <password> called without any password configured*" [migrate ada bare c auth secret]
        assert_equal {3 {}} [list [on ada get c] [on bare get c]]
    }
}

test "passwords stay out of the slow log and of MONITOR" {
    with_node ada {slowlog-log-slower-than 0} {
        on ada set a 1
        connect watcher ada
        resp::do watcher monitor
        migrate_to_port ada 1 a 1000 auth hush keys
        migrate_to_port ada 1 a 1000 auth2 me hush
        on ada ping end
        set seen ""
        while {![string match "*\"end\"*" $seen]} { append seen [resp::read watcher] }
        assert_match "*migrate*" $seen
        assert {![string match *hush* $seen]}
        assert {![string match *hush* [on ada slowlog get 10]]}
    }
}

test "a target that is not there" {
    with_node ada {
        on ada set a 1
        set port [free_port]
        assert_equal "IOERR error or timeout writing to target instance" [migrate_to_port ada $port a 5000]
        assert_equal "IOERR error or timeout writing to target instance" [migrate_to_port ada nonsense a 5000]
        assert_equal "IOERR error or timeout writing to target instance" [migrate_to_port ada 99999 a 5000]
        assert_equal "IOERR error or timeout connecting to the client" [lindex [resp::ask ada migrate "" $port a 0 5000] 1]
        assert_equal "IOERR error or timeout connecting to the client" [lindex [resp::ask ada migrate "no such\x00host" $port a 0 5000] 1]
        # Itself: it would wait for what it has begun.
        assert_equal "IOERR error or timeout reading to target instance" [migrate_to_port ada [node_port ada] a 5000]
        assert_equal "IOERR error or timeout reading to target instance" [migrate_to_port ada [node_port ada] a 5000 replace]
        assert_equal 1 [on ada get a]
        # Also where it looks like another: that it has the key says nothing then.
        set port [way_start ada]
        assert_equal "IOERR error or timeout reading to target instance" [migrate_to_port ada $port a 300]
        assert_equal 1 [on ada get a]
        assert_equal OK [on ada set a 2]
        way_stop
        assert_equal 2 [on ada get a]
    }
}

test "on the wire it is what a target of the field knows" {
    with_node ada {
        set port [fake_start { return +OK\r\n }]
        on ada mset a 1 b [string repeat b 100]
        on ada pexpireat b 4000000000000
        set payloads [list [on ada dump a] [on ada dump b]]
        assert_equal OK [migrate_to_port ada $port "" 5000 auth2 me secret keys a b]
        lassign $payloads a b
        assert_equal [list {AUTH me secret} {SELECT 0} [list RESTORE a 0 $a] [list RESTORE b 4000000000000 $b ABSTTL]] $::heard
        # The next ones need not say it again, but for another database.
        set ::heard {}
        on ada set a 1
        assert_equal OK [migrate_to_port ada $port a 5000 auth2 me secret replace]
        on ada set a 1
        assert_equal OK [lindex [resp::ask ada migrate 127.0.0.1 $port a 3 5000 auth2 me secret] 1]
        assert_equal [list [list RESTORE a 0 $a REPLACE] {SELECT 3} [list RESTORE a 0 $a]] $::heard
        fake_stop
    }
    # A node of a cluster says so, since the target may be importing the slot.
    with_node ada {cluster-enabled yes} {
        set port [fake_start { return +OK\r\n }]
        on ada set a 1
        assert_equal OK [migrate_to_port ada $port a 5000]
        assert_equal {select restore-asking} [heard_names]
        fake_stop
    }
}

test "while a key is on its way it is read here, and who writes to it waits" {
    with_node ada {io-threads 1} {
        set port [fake_start { return [expr {[lindex $words 0] ne "RESTORE" ? "+OK\r\n" : ""}] }]
        proc key {n} { return "{t}$n" }
        for {set i 0} {$i < 10} {incr i} { on ada set [key $i] $i }
        set payload [on ada dump [key 7]]
        connect mover ada
        resp::write mover [resp::encode migrate 127.0.0.1 $port "" 0 60000 keys {*}[lmap i {0 1 2 3 4 5 6 8 9} { key $i }]][resp::encode ping after]
        eventually { [llength [heard_names]] == 10 }
        # It blocks neither its worker nor other keys of the slot.
        assert_equal OK [on ada set [key 7] changed]
        assert_equal {0 1 changed} [on ada mget [key 0] [key 1] [key 7]]
        assert_equal 2 [on ada exists [key 0] [key 5]]
        on ada multi
        on ada get [key 0]
        assert_equal 0 [on ada exec]
        set waiting [list append [list append [key 0] x] del [list del [key 1]] rename [list rename [key 2] [key 11]] getdel [list getdel [key 3]] \
            big [list set [key 4] [string repeat x 100000] nx get] migrate [list migrate 127.0.0.1 $port [key 5] 0 60000] mset [list mset [key 10] 1 [key 6] 2] \
            whole [list set [key 8] [string repeat y 20000]] restore [list restore [key 9] 0 $payload]]
        dict for {name words} $waiting {
            connect $name ada
            # Cut in the middle of its value, so that it is read into its place.
            set bytes [resp::encode {*}$words]
            resp::write $name [string range $bytes 0 60000]
            if {$name eq "big"} { wait_ms 50 }
            resp::write $name [string range $bytes 60001 end][resp::encode echo next]
        }
        wait_ms 300
        foreach name [concat mover [dict keys $waiting]] {
            assert { ! [resp::is_closed $name 1] }
            assert_equal "" [resp::unread $name] $name
        }
        assert_equal {0 1 2 3 4 5 6} [on ada mget {*}[lmap i {0 1 2 3 4 5 6} { key $i }]]
        set commands [info_field ada total_commands_processed]
        puts -nonewline [lindex $::fake_peers 0] [string repeat +OK\r\n 9]
        # Each finds its key gone, and is answered in the order of its pipeline.
        assert_equal {{simple OK} {bulk after}} [list [resp::read mover] [resp::read mover]]
        foreach {name reply} [list append {integer 1} del {integer 0} rename {error {ERR no such key}} getdel {null {}} big {null {}} migrate {simple NOKEY} mset {simple OK} whole {simple OK} restore {simple OK}] {
            assert_equal $reply [resp::read $name] $name
            assert_equal {bulk next} [resp::read $name] $name
        }
        assert_equal {x {} {} {}} [on ada mget {*}[lmap i {0 1 2 3} { key $i }]]
        assert_equal [list [string repeat x 100000] {} 2] [on ada mget {*}[lmap i {4 5 6} { key $i }]]
        assert_equal [list [string repeat y 20000] 7] [on ada mget [key 8] [key 9]]
        # Who waited was counted once.
        assert_equal [expr {$commands + 23}] [info_field ada total_commands_processed]
        fake_stop
    }
}

test "a transaction that writes to a key on its way waits as a whole" {
    with_node ada {io-threads 1} {
        set port [fake_start { return [expr {[lindex $words 0] ne "RESTORE" ? "+OK\r\n" : ""}] }]
        on ada mset a 1 b 2
        connect mover ada
        resp::send mover migrate 127.0.0.1 $port a 0 60000
        eventually { "restore" in [heard_names] }
        connect inside ada
        resp::do inside multi
        resp::do inside incr b
        resp::do inside append a x
        resp::send inside exec
        wait_ms 150
        assert_equal 2 [on ada get b]
        puts -nonewline [lindex $::fake_peers 0] "-ERR not today\r\n"
        assert_equal {error {ERR Target instance replied with error: ERR not today}} [resp::read mover]
        assert_equal {array {{integer 3} {integer 2}}} [resp::read inside]
        assert_equal 1x [on ada get a]
        fake_stop
    }
}

test "the client may go meanwhile, and the node may end" {
    with_node ada {io-threads 1} {
        set port [fake_start { return [expr {[lindex $words 0] ne "RESTORE" ? "+OK\r\n" : ""}] }]
        on ada mset a 1 b 2
        connect mover ada
        resp::send mover migrate 127.0.0.1 $port a 0 60000
        eventually { "restore" in [heard_names] }
        resp::close mover
        on ada client kill type normal skipme yes
        eventually { [info_field ada connected_clients] == 1 }
        puts -nonewline [lindex $::fake_peers 0] +OK\r\n
        eventually { [on ada exists a] == 0 }
        # It ends with a key on its way, and with a client that waits for it.
        connect mover ada
        resp::send mover migrate 127.0.0.1 $port b 0 60000
        eventually { [llength [lsearch -all [heard_names] restore]] == 2 }
        connect writer ada
        resp::send writer set b 3
        wait_ms 50
        node_stop ada
        fake_stop
    }
}

test "a reply that is not wanted is not sent" {
    with_node ada {
        node_start bob
        on ada mset a 1 b 2
        connect quiet ada
        resp::write quiet [resp::encode client reply skip][resp::encode migrate 127.0.0.1 [node_port bob] a 0 60000][resp::encode ping]
        assert_equal {simple PONG} [resp::read quiet]
        assert_equal 1 [on bob exists a]
    }
}

test "MIGRATE in a transaction is refused, and only it" {
    with_node ada {
        node_start bob
        on ada set a 1
        on ada multi
        on ada set b 2
        on ada migrate 127.0.0.1 [node_port bob] a 0 1000
        assert_match {OK {ERR MIGRATE waits for another node*}} [on ada exec]
        assert_equal {1 2} [on ada mget a b]
    }
}

# Listens, and never says a word.
proc silent_start {} {
    set listening [socket -server {apply {{peer args} { lappend ::silent_peers $peer }}} -myaddr 127.0.0.1 0]
    lappend ::silent_peers $listening
    return [lindex [fconfigure $listening -sockname] 2]
}
proc silent_stop {} {
    foreach peer $::silent_peers { catch { close $peer } }
    set ::silent_peers {}
}

test "targets that do not answer hold up only what goes to them" {
    with_node ada {
        node_start bob
        set ::silent_peers {}
        set waiting 0
        set ports {}
        # Many targets; and one of which more is asked than is asked of one target at a time.
        for {set i 0} {$i < 10} {incr i} { lappend ports [silent_start] }
        foreach port [concat $ports [lrepeat 12 [lindex $ports 0]]] {
            on ada set silent:$waiting v
            connect mover:$waiting ada
            resp::send mover:$waiting migrate 127.0.0.1 $port silent:$waiting 0 60000
            incr waiting
        }
        eventually { [llength $::silent_peers] >= 20 }
        for {set i 0} {$i < 50} {incr i} {
            on ada set k:$i v
            assert_equal OK [migrate ada bob k:$i]
        }
        assert_equal 50 [on bob dbsize]
        for {set i 0} {$i < $waiting} {incr i} { assert_equal "" [resp::unread mover:$i] }
        silent_stop
        for {set i 0} {$i < $waiting} {incr i} { assert_match "IOERR *" [lindex [resp::read mover:$i] 1] }
        assert_equal $waiting [on ada dbsize]
    }
}

test "what goes to one target begins in the order it was asked for" {
    with_node ada {io-threads 1} {
        set port [fake_start { return [expr {[lindex $words 0] ne "RESTORE" ? "+OK\r\n" : ""}] }]
        for {set i 0} {$i < 10} {incr i} {
            on ada set k:$i v
            connect mover:$i ada
            resp::do mover:$i ping ;# it is with its worker, and asks before the next one does
            resp::send mover:$i migrate 127.0.0.1 $port k:$i 0 60000
        }
        proc restored {} { return [lmap words [lsearch -all -inline -index 0 $::heard RESTORE] { lindex $words 1 }] }
        eventually { [llength [restored]] == 4 }
        assert_equal {k:0 k:1 k:2 k:3} [lsort [restored]]
        foreach peer $::fake_peers { puts -nonewline $peer +OK\r\n }
        assert_equal {simple OK} [resp::read mover:0]
        eventually { [llength [restored]] >= 8 }
        assert_equal {k:4 k:5 k:6 k:7} [lsort [lrange [restored] 4 7]]
        fake_stop
    }
}

test "a name that takes long to look up costs no more than the timeout" {
    if {[server_is_redis] || ([info exists ::env(SAN)] && $::env(SAN) ne "")} { skip "names are looked up by a preloaded library" }
    set library [file join [test_dir] slow_names.so]
    set known [file join [test_dir] slow_names]
    exec cc -shared -fPIC -O1 -D_GNU_SOURCE -o $library [file join $::root tests support slow_names.c] -ldl
    with_node ada [list @prefix [list env LD_PRELOAD=$library SLOW_NAMES_FILE=$known]] {
        node_start bob
        proc ask_slow {from to} {
            for {set i $from} {$i < $to} {incr i} {
                on ada set k:$i v
                connect mover:$i ada
                resp::send mover:$i migrate bob:$i.slow [node_port bob] k:$i 0 500
            }
            for {set i $from} {$i < $to} {incr i} {
                assert_equal {error {IOERR error or timeout connecting to the client}} [resp::read mover:$i]
            }
        }
        ask_slow 0 10
        assert_equal OK [migrate ada bob k:0]
        assert_equal OK [lindex [resp::ask ada migrate localhost [node_port bob] k:1 0 60000] 1]
        # By now more than may be asked for at a time.
        ask_slow 10 20
        assert_equal OK [migrate ada bob k:10]
        connect mover ada
        resp::send mover migrate bob.slow [node_port bob] k:2 0 60000
        write_file $known ""
        assert_equal {simple OK} [resp::read mover]
        assert_equal {4 16} [list [on bob dbsize] [on ada dbsize]]
        file delete $known
        # One who still asks keeps no node from ending.
        resp::send mover migrate bob.slow [node_port bob] k:3 0 60000
        wait_ms 50
    }
}

test "a name that takes long is asked for once, whoever waits for it, and hinders no other" {
    if {[server_is_redis] || ([info exists ::env(SAN)] && $::env(SAN) ne "")} { skip "names are looked up by a preloaded library" }
    set library [file join [test_dir] slow_names.so]
    set known [file join [test_dir] slow_names]
    exec cc -shared -fPIC -O1 -D_GNU_SOURCE -o $library [file join $::root tests support slow_names.c] -ldl
    with_node ada [list @prefix [list env LD_PRELOAD=$library SLOW_NAMES_FILE=$known]] {
        node_start bob
        # More than may be asked for at a time, of one name: each is for a port of its own, or they would wait for each other.
        for {set i 0} {$i < 20} {incr i} {
            on ada set k:$i v
            connect mover:$i ada
            resp::do mover:$i ping
            resp::send mover:$i migrate same.slow [expr {$i == 0 ? [node_port bob] : $i}] k:$i 0 60000
        }
        on ada set k v
        assert_equal OK [lindex [resp::ask ada migrate localhost [node_port bob] k 0 60000] 1]
        write_file $known ""
        assert_equal {simple OK} [resp::read mover:0]
        for {set i 1} {$i < 20} {incr i} { assert_match "*IOERR*" [resp::read mover:$i] }
        assert_equal {2 19} [list [on bob dbsize] [on ada dbsize]]
        file delete $known
    }
}

test "MIGRATE takes as long as it takes, in its counts and in the slow log" {
    with_node ada {io-threads 1 slowlog-log-slower-than 200000 latency-monitor-threshold 200} {
        set port [fake_start { return [expr {[lindex $words 0] ne "RESTORE" ? "+OK\r\n" : ""}] }]
        on ada mset a 1 b 2
        connect mover ada
        resp::send mover migrate 127.0.0.1 $port a 0 60000 auth hush
        eventually { "restore" in [heard_names] }
        wait_ms 300
        assert_equal "" [info_field ada cmdstat_migrate]
        assert_equal {} [on ada slowlog get]
        puts -nonewline [lindex $::fake_peers 0] "-ERR not today\r\n"
        assert_match "error *" [resp::read mover]
        assert {[regexp {^calls=1,usec=(\d+),usec_per_call=[\d.]+,rejected_calls=0,failed_calls=1$} [info_field ada cmdstat_migrate] - us]}
        assert {$us >= 300000}
        set entry [lindex [on ada slowlog get] 0]
        assert {abs([lindex $entry 2] - $us) <= 1}
        assert_equal [list migrate 127.0.0.1 $port a 0 60000 auth (redacted)] [lindex $entry 3]
        assert_equal command [lindex [on ada latency latest] 0 0]
        # Where the client has gone it has been done all the same.
        resp::send mover migrate 127.0.0.1 $port b 0 60000
        eventually { [llength [lsearch -all [heard_names] restore]] == 2 }
        resp::close mover
        on ada client kill type normal skipme yes
        puts -nonewline [lindex $::fake_peers end] +OK\r\n
        eventually { [string match "calls=2,*failed_calls=1" [info_field ada cmdstat_migrate]] }
        assert_equal 0 [on ada exists b]
        # What was never sent is counted, too, and took no time to speak of.
        assert_equal NOKEY [migrate_to_port ada $port nothing 1000]
        assert_match "calls=3,*" [info_field ada cmdstat_migrate]
        fake_stop
    }
}

# --- When the link breaks ---

foreach ::far {redis-server ours} {
    test "when the answer is lost the key is where it was received ($::far)" {
        with_node ada {
            node_start bob [expr {$::far eq "ours" ? {} : {@binary redis-server}}]
            set port [way_start bob]
            on ada mset a 1 b 2 c 3 d 4
            assert_equal OK [migrate_to_port ada $port d 60000]
            set ::way_mode lose_replies
            connect mover ada
            resp::send mover migrate 127.0.0.1 $port "" 0 60000 keys a b c
            eventually { [on bob exists a b c] == 3 }
            assert_equal {1 2 3} [on ada mget a b c]
            set ::way_mode pass
            way_cut
            # The target is asked, and says that it has them.
            assert_equal {simple OK} [resp::read mover]
            assert_equal {0 4} [list [on ada dbsize] [on bob dbsize]]
            way_stop
        }
    }

    test "when the question is lost the key stays ($::far)" {
        with_node ada {
            node_start bob [expr {$::far eq "ours" ? {} : {@binary redis-server}}]
            set port [way_start bob]
            on ada mset a 1 b 2 c 3 d 4
            assert_equal OK [migrate_to_port ada $port d 60000]
            on bob set c 9
            set ::way_mode lose_all
            set ::way_bytes 0
            connect mover ada
            resp::send mover migrate 127.0.0.1 $port "" 0 60000 keys a b c
            eventually { $::way_bytes > 100 }
            set ::way_mode pass
            way_cut
            assert_equal {error {IOERR error or timeout reading to target instance}} [resp::read mover]
            assert_equal {1 2 3} [on ada mget a b c]
            assert_equal {{} {} 9} [on bob mget a b c]
            assert_equal OK [on ada set a 5]
            assert_equal OK [migrate_to_port ada $port "" 60000 replace keys a b c]
            assert_equal {5 2 3} [on bob mget a b c]
            way_stop
        }
    }
}

test "before a target is asked what it has, it has closed the connection that more might come by" {
    with_node ada {
        set ::fake_kills 0
        set port [fake_start {
            switch [lindex $words 0] {
                RESTORE { lappend ::fake_names [lindex [fconfigure $peer -peername] 2]; fake_drop $peer; return "" }
                CLIENT { return [expr {[incr ::fake_kills] < 3 ? ":1\r\n" : ":0\r\n"}] }
                INFO { return "\$0\r\n\r\n" }
                DUMP { return "\$-1\r\n" }
                default { return +OK\r\n }
            }
        }]
        on ada set a 1
        set ::fake_names {}
        assert_equal "IOERR error or timeout reading to target instance" [migrate_to_port ada $port a 5000]
        set kill [list CLIENT KILL ADDR 127.0.0.1:[lindex $::fake_names 0]]
        assert_equal [list $kill $kill $kill {INFO server} ASKING {DUMP a}] [lrange $::heard end-5 end]
        assert_equal 1 [on ada get a]
        fake_stop
    }
}

test "a target that lets nobody in is asked again, until it says what it has" {
    with_node ada {
        set ::fake_door open
        set port [fake_start {
            switch [lindex $words 0] {
                RESTORE { set ::fake_door closed; fake_drop $peer; return "" }
                SELECT { return [expr {$::fake_door eq "open" ? "+OK\r\n" : "-ERR max number of clients reached\r\n"}] }
                DUMP { return "\$-1\r\n" }
                INFO { return "\$0\r\n\r\n" }
                default { return :0\r\n }
            }
        }]
        on ada set a 1
        assert_equal "IOERR error or timeout reading to target instance" [migrate_to_port ada $port a 300]
        assert_equal 1 [on ada get a]
        connect writer ada
        resp::send writer set a 2
        wait_ms 200
        assert_equal "" [resp::unread writer]
        assert_equal 1 [on ada get a]
        set ::fake_door open
        assert_equal {simple OK} [resp::read writer]
        assert_match "*DUMP a" [lindex $::heard end]
        fake_stop
    }
}

test "a key that may have arrived waits until the target was asked" {
    with_node ada {
        node_start redis {@binary redis-server}
        on ada mset a 1 b 2 c 3
        assert_equal OK [migrate ada redis a]
        node_signal redis STOP
        # Sent, and not answered: the client is told, and the key is read here; a writer waits.
        assert_equal {error {IOERR error or timeout reading to target instance}} [resp::ask ada migrate 127.0.0.1 [node_port redis] b 0 3000]
        assert_equal 2 [on ada get b]
        connect writer ada
        resp::send writer set b written xx
        wait_ms 200
        assert_equal "" [resp::unread writer]
        node_signal redis CONT
        # Whichever it was, there is one b, and what was said to the writer is true.
        set reply [resp::read writer]
        set here [on ada exists b]
        set there [on redis exists b]
        assert {$here + $there == 1}
        if {$here} {
            assert_equal {simple OK} $reply
            assert_equal written [on ada get b]
        } else {
            assert_equal null [lindex $reply 0]
            assert_equal 2 [on redis get b]
        }
        # One who was stopped before anything was sent to him was sent nothing.
        assert_equal OK [migrate ada redis c copy]
    }
}

test "a target that cannot tell just now what it has is asked again" {
    with_node ada {
        on ada mset a 1 b 2
        # It takes the keys, breaks off, and is then in no state to say so, once for each of them.
        set ::has [dict create a [on ada dump a]]
        set ::put_off {"CLUSTERDOWN The cluster is down" "LOADING Redis is loading the dataset in memory" "TRYAGAIN later"}
        set port [fake_start {
            switch [lindex $words 0] {
                RESTORE - RESTORE-ASKING { fake_drop $peer; return "" }
                CLIENT { return ":0\r\n" }
                INFO { return "\$4\r\nnone\r\n" }
                DUMP {
                    if {$::put_off ne {}} {
                        set ::put_off [lassign $::put_off error]
                        return "-$error\r\n"
                    }
                    if {![dict exists $::has [lindex $words 1]]} { return "\$-1\r\n" }
                    set payload [dict get $::has [lindex $words 1]]
                    return "\$[string length $payload]\r\n$payload\r\n"
                }
            }
            return "+OK\r\n"
        }]
        assert_match "IOERR error or timeout * to target instance" [migrate_to_port ada $port "" 30000 keys a b]
        assert_equal {} $::put_off
        # The one arrived and the other did not: each is at one place.
        assert_equal {{} 2} [on ada mget a b]
        fake_stop
    }
}

test "a target that is killed in the middle leaves the keys here" {
    with_node ada {
        node_start redis {@binary redis-server}
        on ada mset a 1 b 2
        assert_equal OK [migrate ada redis a]
        node_signal redis STOP
        connect mover ada
        resp::send mover migrate 127.0.0.1 [node_port redis] b 0 60000
        wait_ms 200
        node_kill redis
        # "writing" where it had not come to that by then.
        assert_match "IOERR error or timeout * to target instance" [lindex [resp::read mover] 1]
        assert_equal 2 [on ada get b]
        assert_equal OK [on ada set b 3]
    }
}

test "what a target may answer is bounded" {
    with_node ada {
        set port [fake_start {
            if {[lindex $words 0] eq "SELECT"} { return +OK\r\n }
            return "-ERR [string repeat x 100000]\r\n"
        }]
        on ada set a 1
        assert_equal "IOERR error or timeout reading to target instance" [migrate_to_port ada $port a 30000]
        fake_stop
        set port [fake_start { return "?what\r\n" }]
        assert_equal "IOERR error or timeout reading to target instance" [migrate_to_port ada $port a 30000]
        fake_stop
        # An array, which is no answer, of whatever length it says it is.
        set port [fake_start {
            switch [lindex $words 0] { RESTORE { return "*1\r\n+OK\r\n" } CLIENT { return ":0\r\n" } DUMP { return "\$-1\r\n" } }
            return "+OK\r\n"
        }]
        assert_equal "IOERR error or timeout reading to target instance" [migrate_to_port ada $port a 30000]
        fake_stop
        set port [fake_start { return [expr {[lindex $words 0] eq "SELECT" ? "+OK\r\n" : "-ERR [string repeat y 5000]\r\n"}] }]
        assert_match "ERR Target instance replied with error: ERR yyyy*" [migrate_to_port ada $port a 30000]
        fake_stop
        assert_equal 1 [on ada get a]
    }
}

test "what INVALIDATE TAG drops does not arrive elsewhere all the same" {
    with_node ada {io-threads 2 enable-debug-command yes} {
        # The target takes its time, so that what is sent while the slot is gone through is on its way then.
        set port [fake_start {
            if {[lindex $words 0] eq "RESTORE"} { lappend ::sent [lindex $words 1]; after 10 }
            return "+OK\r\n"
        }]
        foreach c {one two} { connect $c ada }
        for {set round 0} {$round < 6} {incr round} {
            set ::sent {}
            on ada debug populate 60000 "{t}"
            set keys {}
            for {set i 0} {$i < 20} {incr i} { lappend keys "{t}:[expr {$i * 3000}]" }
            resp::send one invalidate "{t}" tag
            resp::send two migrate 127.0.0.1 $port "" 0 30000 replace keys {*}$keys
            set dropped [lindex [resp::read one] 1]
            resp::read two
            assert_equal 0 [on ada dbsize]
            assert_equal 60000 [expr {$dropped + [llength $::sent]}] "$dropped were dropped, and [llength $::sent] sent"
        }
        fake_stop
    }
}

test "a key that expires or is thrown out on its way is nobody's to write to until it has arrived" {
    with_node ada {
        set port [fake_start { return [expr {[lindex $words 0] ne "RESTORE" ? "+OK\r\n" : ""}] }]
        on ada mset a 1 b 2
        # Not so soon that it could be over before it is sent.
        on ada pexpire a 3000
        connect mover ada
        resp::send mover migrate 127.0.0.1 $port "" 0 60000 keys a b
        eventually { [llength [lsearch -all [heard_names] restore]] == 2 }
        eventually { [on ada dbsize] == 1 }
        on ada flushall
        foreach {name words} {one {get a} two {set b new} three {exists b}} {
            connect $name ada
            resp::send $name {*}$words
        }
        wait_ms 150
        foreach name {one two three} { assert { ! [resp::is_closed $name 1] }; assert_equal "" [resp::unread $name] }
        puts -nonewline [lindex $::fake_peers 0] +OK\r\n+OK\r\n
        assert_equal {simple OK} [resp::read mover]
        assert_equal null [lindex [resp::read one] 0]
        assert_equal {simple OK} [resp::read two]
        assert_equal integer [lindex [resp::read three] 0]
        assert_equal new [on ada get b]
        fake_stop
    }
}

# --- Deadlines ---

# Where a key is, and that it is there once; "" where it is nowhere.
proc whereabouts {key} {
    set at {}
    foreach node {ada bob} { if {[on $node exists $key]} { lappend at $node } }
    return $at
}

test "a deadline is the same moment however often its key moves, and what is over arrives nowhere" {
    set seed [expr {[info exists ::env(MIGRATE_SEED)] ? $::env(MIGRATE_SEED) : int(rand() * 1000000000)}]
    puts "          MIGRATE_SEED=$seed"
    with_node ada {
        node_start bob
        expr {srand($seed)}
        set began [clock milliseconds]
        # None, far ones, the last there can be, and some that come while the keys are on their way to and fro.
        set deadlines {}
        for {set i 0} {$i < 200} {incr i} {
            set at [lindex [list -1 [expr {$began + 1000000 + int(rand() * 1e12)}] 9223372036854775806 [expr {$began + 500 + int(rand() * 3000)}]] [expr {$i % 4}]]
            dict set deadlines key:$i $at
            set node [lindex {ada bob} [expr {int(rand() * 2)}]]
            if {$at < 0} { on $node set key:$i $i } else { on $node set key:$i $i pxat $at }
        }
        set last [expr {$began + 3600}]
        while {[clock milliseconds] < $last} {
            set from [lindex {ada bob} [expr {int(rand() * 2)}]]
            set to [expr {$from eq "ada" ? "bob" : "ada"}]
            set keys {}
            for {set i 0} {$i < 20} {incr i} { lappend keys key:[expr {int(rand() * 200)}] }
            set reply [migrate $from $to "" keys {*}[lsort -unique $keys]]
            assert {$reply in {OK NOKEY}} $reply
            set key [lindex $keys 0]
            set at [dict get $deadlines $key]
            set before [clock milliseconds]
            set where [whereabouts $key]
            set told [expr {[llength $where] == 1 ? [on $where pexpiretime $key] : "no time"}]
            # Its own deadline may have come while it was asked for.
            if {$at < 0 || [clock milliseconds] < $at - 50} {
                assert_equal $at $told "$key, at $where"
            } elseif {$before > $at} {
                assert_equal {} $where "$key, due at $at, at $before"
            }
        }
        dict for {key at} $deadlines {
            set where [whereabouts $key]
            if {$at >= 0 && $at < $last} { assert_equal {} $where $key; continue }
            assert {[llength $where] == 1} "$key: $where"
            assert_equal $at [on $where pexpiretime $key] $key
            assert_equal [string range $key 4 end] [on $where get $key]
        }
    }
}
