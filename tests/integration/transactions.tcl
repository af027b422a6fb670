# MULTI, EXEC, WATCH: all of it or nothing, and nobody in between.

test "queued commands run together and answer together" {
    with_node ada {
        assert_equal OK [on ada multi]
        assert_equal {simple QUEUED} [typed_on ada set a 1]
        assert_equal QUEUED [on ada incr a]
        assert_equal QUEUED [on ada get a]
        assert_equal {OK 2 2} [on ada exec]
        assert_equal 2 [on ada get a]
        on ada multi
        assert_equal {} [on ada exec]
    }
}

test "a command that fails while it runs leaves the others alone" {
    with_node ada {
        on ada set text abc
        on ada multi
        on ada set a 1
        on ada incr text
        on ada set b 2
        assert_equal {OK {ERR value is not an integer or out of range} OK} [on ada exec]
        assert_equal {1 2} [on ada mget a b]
    }
}

test "a command that cannot be queued ends the whole transaction" {
    with_node ada {
        foreach words {{get} {nosuchcommand x} {set a}} {
            on ada multi
            on ada set a 1
            assert_error "ERR *" { on ada {*}$words }
            assert_equal {error {EXECABORT Transaction discarded because of previous errors.}} [typed_on ada exec]
            assert_equal 0 [on ada exists a]
        }
    }
}

test "MULTI, EXEC, DISCARD and WATCH in the wrong place are refused" {
    with_node ada {
        assert_error "ERR EXEC without MULTI" { on ada exec }
        assert_error "ERR DISCARD without MULTI" { on ada discard }
        on ada multi
        assert_error "ERR MULTI calls can not be nested" { on ada multi }
        assert_error "ERR WATCH inside MULTI is not allowed" { on ada watch a }
        on ada set a 1
        assert_equal OK [on ada discard]
        assert_equal 0 [on ada exists a]
    }
}

test "EXEC is refused when a watched key has changed, whoever changed it and how" {
    with_node ada {
        connect other ada
        foreach change {{set key w} {del key} {append key x} {expire key 100} {persist gone} {flushall} {rename key2 key} {incr n} {getdel key} {setrange key 0 x}} {
            on ada flushall
            on ada mset key v key2 v2 n 1
            on ada set gone v ex 100
            on ada watch key n gone
            resp::do other {*}$change
            on ada multi
            on ada get key
            assert_equal {null {}} [typed_on ada exec] $change
        }
    }
}

test "EXEC runs when watched keys were only read, or were let go" {
    with_node ada {
        connect other ada
        on ada set key v
        on ada watch key missing
        resp::do other get key
        resp::do other set another v
        resp::do other del missing
        on ada multi
        on ada set key w
        assert_equal OK [on ada exec]
        on ada watch key
        resp::do other set key x
        on ada unwatch
        on ada multi
        on ada get key
        assert_equal x [on ada exec]
        # The end of a transaction lets go too.
        on ada watch key
        on ada multi
        on ada discard
        resp::do other set key y
        on ada multi
        on ada get key
        assert_equal y [on ada exec]
    }
}

test "a watched key that reaches its deadline counts as changed" {
    with_node ada {
        connect other ada
        # It must be watched before its deadline, and is: else with a later one.
        for {set ms 50} {1} {set ms [expr {$ms * 2}]} {
            on ada set key v px $ms
            on ada watch key
            if {[on ada pttl key] > 0} break
            assert {$ms < 100000}
            on ada unwatch
        }
        eventually { [resp::do other exists key] == 0 }
        on ada multi
        on ada get key
        assert_equal {null {}} [typed_on ada exec]
    }
}

test "a key that had expired before it was watched may be taken out of memory" {
    with_node ada {enable-debug-command yes} {
        on ada debug set-active-expire 0
        on ada set key v px 1
        wait_ms 20
        connect other ada
        on ada watch key
        assert_equal {} [resp::do other get key]
        on ada multi
        on ada set key new
        assert_equal OK [on ada exec]
        # One that somebody makes is a change, whatever becomes of it.
        on ada del key
        on ada watch key
        resp::do other set key v px 1
        wait_ms 20
        resp::do other get key
        on ada multi
        on ada set key mine
        assert_equal {null {}} [typed_on ada exec]
    }
}

test "transactions over one counter from eight clients lose no step" {
    with_node ada {
        on ada set n 0
        for {set c 0} {$c < 8} {incr c} { connect c$c ada }
        set done 0
        set round 0
        while {$done < 400} {
            incr round
            # All watch and read, then all try: of those that read the same number only one may get through.
            for {set c 0} {$c < 8} {incr c} { resp::send c$c watch n; resp::send c$c get n }
            for {set c 0} {$c < 8} {incr c} { resp::read c$c; set seen($c) [lindex [resp::read c$c] 1] }
            for {set c 0} {$c < 8} {incr c} {
                resp::send c$c multi
                resp::send c$c set n [expr {$seen($c) + 1}]
                resp::send c$c exec
            }
            set won 0
            for {set c 0} {$c < 8} {incr c} {
                resp::read c$c
                resp::read c$c
                if {[resp::read c$c] ne {null {}}} { incr won }
            }
            assert_equal 1 $won
            incr done $won
        }
        assert_equal 400 [on ada get n]
    }
}

test "readers never see half of a transaction" {
    with_node ada {
        on ada mset {{t}a} 0 {{t}b} 0
        connect writer ada
        connect reader ada
        for {set i 1} {$i <= 300} {incr i} {
            resp::write writer [resp::encode multi][resp::encode set {{t}a} $i][resp::encode set {{t}b} $i][resp::encode exec]
            lassign [resp::do reader mget {{t}a} {{t}b}] a b
            assert {$a == $b}
            for {set j 0} {$j < 4} {incr j} { resp::read writer }
        }
    }
}

test "a connection that goes away in MULTI leaves nothing behind" {
    with_node ada {
        connect c ada
        resp::do c watch k
        resp::do c multi
        resp::do c set k v
        resp::close c
        assert_equal 0 [on ada exists k]
        assert_equal OK [on ada set k w]
        assert_equal w [on ada get k]
    }
}

test "commands over all keys run inside a transaction" {
    with_node ada {
        on ada mset a 1 b 2
        on ada multi
        on ada dbsize
        on ada flushall
        on ada dbsize
        on ada set c 3
        on ada keys *
        assert_equal {2 OK 0 OK c} [on ada exec]
    }
}

test "an EXEC that is refused says so, and leaves no transaction behind" {
    with_node ada {requirepass secret} {
        connect stranger ada
        assert_error "EXECABORT Transaction discarded because of: NOAUTH Authentication required." { resp::do stranger exec }
        assert_error "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command" { resp::do stranger exec x }
        resp::do stranger auth secret
        assert_error "ERR EXEC without MULTI" { resp::do stranger exec }
        resp::do stranger multi
        resp::do stranger set k v
        assert_error "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command" { resp::do stranger exec x }
        assert_error "ERR EXEC without MULTI" { resp::do stranger exec }
        assert_equal 0 [resp::do stranger exists k]
    }
}

# The words of a command that is good enough to run, for every command that may stand in a transaction.
proc words_for {name arity} {
    array set good {
        config|set {config set timeout 100} config|get {config get *} info {info everything} auth {auth default wrong} debug {debug sleep 0.01}
        client|kill {client kill id 1000000} hello {hello 3 auth default wrong} acl|setuser {acl setuser default nopass} memory|usage {memory usage k}
        cluster|meet {cluster meet 127.0.0.1 1} client|pause {client pause 0}
    }
    if {[info exists good($name)]} { return $good($name) }
    concat [split $name |] [lrepeat [expr {abs($arity) - [llength [split $name |]]}] 1]
}

test "whatever stands in a transaction, its locks are given back before anything waits for the system" {
    # In a sanitizer build the node stops where a lock is held across a line of the log, a post to another thread, a change of the configuration.
    node_start ada {cluster-enabled yes requirepass secret logfile log io-threads 2}
    connect c ada
    resp::do c auth secret
    foreach name [resp::do c command list] {
        lassign [lindex [resp::do c command info $name] 0] - arity flags
        if {$name in {shutdown quit monitor reset multi exec discard watch client|reply debug} || "no_multi" in $flags} continue
        resp::send c multi
        resp::send c set k v
        resp::send c {*}[words_for $name $arity]
        resp::send c exec
        for {set i 0} {$i < 4} {incr i} { resp::read c }
        if {[string match cluster|* $name]} { foreach words {flushall {cluster reset} {cluster addslotsrange 0 16383}} { resp::ask c {*}$words } }
        if {[string match *subscribe $name]} { # it has become a subscriber, and PING answers otherwise
            connect c ada
            resp::ask c auth secret
        }
        assert_equal PONG [resp::do c ping] $name
        if {$name eq "hello"} { resp::do c hello 2 }
    }
    node_stop ada
}

test "an EXEC that sleeps, or writes a log that takes nothing, keeps nobody from its keys" {
    if {[server_is_redis]} { skip "redis-server runs one command at a time" }
    set pipe [file join [test_dir] log-pipe]
    exec mkfifo $pipe
    set reader [open $pipe {RDONLY NONBLOCK}]
    node_start ada [list cluster-enabled no io-threads 2 requirepass secret enable-debug-command yes logfile $pipe]
    # Two connections at each worker; two of them are kept waiting.
    foreach name {a b c d} { connect $name ada; resp::do $name auth secret; resp::do $name ping }
    set other b
    # The other has seen the change in the first half of the sleep. On a machine so slow that it has not, the next sleep is longer.
    for {set seconds 1} {1} {set seconds [expr {$seconds * 2}]} {
        resp::do a set k before
        set began [clock milliseconds]
        resp::write a "[resp::encode multi][resp::encode set k during][resp::encode debug sleep $seconds][resp::encode get k][resp::encode exec]"
        eventually { [resp::do $other get k] eq "during" }
        set took [expr {[clock milliseconds] - $began}]
        foreach expected {OK QUEUED QUEUED QUEUED} { assert_equal $expected [resp::plain [resp::read a]] }
        assert_equal {OK OK during} [resp::plain [resp::read a]]
        if {$took < $seconds * 500} break
        assert {$seconds < 32} "a sleep keeps others from its keys"
    }
    # Once the pipe is full the next line of the log waits until somebody reads.
    catch { exec dd if=/dev/zero of=$pipe bs=1024 count=1000 oflag=nonblock conv=notrunc 2>@1 }
    resp::write a "[resp::encode multi][resp::encode set k after][resp::encode auth wrong][resp::encode get k][resp::encode exec]"
    eventually { [resp::do $other get k] eq "after" }
    assert_equal "" [resp::unread a]
    exec cat $pipe >/dev/null &
    foreach expected {OK QUEUED QUEUED QUEUED} { assert_equal $expected [resp::plain [resp::read a]] }
    lassign [lindex [resp::read a] 1] set auth got
    assert_equal {error {WRONGPASS invalid username-password pair or user is disabled.}} $auth
    assert_equal {bulk after} $got
    node_stop ada
    close $reader
}

test "what EXEC runs after its locks keeps its order, and its protocol" {
    with_node ada {} {
        connect c ada
        resp::hello3 c
        resp::do c multi
        foreach words {{set key value} {config set requirepass secret} {auth secret} {acl getuser default} {config get maxmemory} {hello 2} {config get maxmemory}} {
            assert_equal QUEUED [resp::do c {*}$words]
        }
        set replies [lindex [resp::ask c exec] 1]
        assert_equal {{simple OK} {simple OK} {simple OK}} [lrange $replies 0 2]
        assert {![string match *nopass* [lindex $replies 3]]}
        assert_equal {map array} [list [lindex $replies 4 0] [lindex $replies 6 0]]
        on ada auth secret
        on ada multi
        foreach words {{get key} {client unpause} {client pause 200 write} } { assert_equal QUEUED [on ada {*}$words] }
        set began [clock milliseconds]
        on ada exec
        on ada set key other
        assert {[clock milliseconds] - $began >= 199} "it is not paused"
    }
}
