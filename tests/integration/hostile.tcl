# What a node withstands from whoever reaches its port: numbers, patterns, many strangers; and what it tells nobody.

set ::numbers [list 0 1 -1 -0 +1 01 2147483647 2147483648 -2147483648 -2147483649 4294967295 4294967296 9223372036854775806 \
    9223372036854775807 9223372036854775808 -9223372036854775807 -9223372036854775808 -9223372036854775809 18446744073709551615 \
    18446744073709551616 99999999999999999999 1e400 -1e400 1e-400 nan inf -inf 0x10 1. .5 " 1" "1 " ""]

# Every command as its words and its arity, but for those that end the connection or the node, or wait, or answer with a stream or for each
# argument.
proc commands_of {connection {but {}}} {
    set out {}
    foreach name [lsort [resp::do $connection command list]] {
        set info [lindex [resp::do $connection command info $name] 0]
        if {$name in {shutdown quit monitor sync psync reset multi client|reply client|pause client|kill debug config|rewrite config|set} || $name in $but} continue
        if {[string match debug|* $name] || [string match *subscribe $name] || "blocking" in [lindex $info 2]} continue
        lappend out [split $name |] [expr {abs([lindex $info 1])}]
    }
    return $out
}

test "whatever number stands where in a command, it is answered, and no memory is taken for it" {
    with_node ada {cluster-enabled yes} {
        connect c ada
        resp::do c set text abc
        resp::do c set number 10
        foreach {words arity} [commands_of c] {
            set batch ""
            set count 0
            for {set argc [expr {$arity - [llength $words]}]} {$argc <= $arity + 2} {incr argc} {
                for {set place 0} {$place < $argc} {incr place} {
                    foreach number $::numbers {
                        set arguments [lrange {number 1 text 1 0 1 0 1} 0 $argc-1]
                        lset arguments $place $number
                        append batch [resp::encode {*}$words {*}$arguments]
                        incr count
                    }
                }
            }
            if {[lindex $words 0] in {auth hello}} continue
            resp::write c $batch[resp::encode echo in-step]
            for {set i 0} {$i < $count} {incr i} { resp::read c }
            assert_equal {bulk in-step} [resp::read c] $words
        }
        assert {[info_field ada used_memory_peak] < 150000000} "it took [info_field ada used_memory_peak] bytes"
    }
}

test "patterns cost steps, not recursion, wherever they are matched" {
    with_node ada {
        on ada set [string repeat a 300] v
        foreach pattern [list "[string repeat *a 30000]\x01" [string repeat {[a-} 20000] [string repeat {[^[} 20000] [string repeat ? 65536] \
            "[string repeat * 65536]\x01" [string repeat \\ 65535] "\[[string repeat a-z 20000]"] {
            assert_equal {} [on ada keys $pattern]
            assert_equal {} [lindex [on ada scan 0 match $pattern count 10] 1]
            assert_equal {} [on ada config get $pattern]
            assert_equal {} [on ada command list filterby pattern $pattern]
        }
        assert_equal 1 [llength [on ada keys [string repeat a* 150]]]
    }
}

test "all who have not logged in together are kept so much of, and whoever has is served" {
    with_node ada {requirepass secret} {
        connect friend ada
        resp::do friend auth secret
        set before [field_of [resp::do friend info memory] used_memory]
        # Nine arguments of the longest that a stranger may send, and of the tenth the beginning: 160 KB that are no request yet.
        set argument "\$16384\r\n[string repeat x 16384]\r\n"
        set request "*10\r\n[string repeat $argument 9]\$16384\r\n[string repeat x 16000]"
        set strangers {}
        for {set i 0} {$i < 480} {incr i} {
            connect stranger$i ada
            lappend strangers stranger$i
            # One that is already one too many is closed while it writes.
            catch { resp::write stranger$i $request }
        }
        eventually { [string match "*bytes of one request; closed*" [node_log ada]] }
        assert_equal PONG [resp::do friend ping]
        set taken [expr {[field_of [resp::do friend info memory] used_memory] - $before}]
        assert {$taken > 10000000 && $taken < 80000000} "strangers take $taken bytes"
        foreach stranger $strangers { resp::close $stranger }
        eventually { [field_of [resp::do friend info memory] used_memory] - $before < 5000000 }
    }
}

test "who has not logged in is kept a megabyte of, also of a request that began when nobody had to" {
    with_node ada {requirepass secret client-query-buffer-limit 1gb} {
        connect friend ada
        resp::do friend auth secret
        # Who is too slow is disconnected for that, so it is tried again.
        for {set tries 0} {$tries < 5 && ![string match "* bytes of one request; closed*" [node_log ada]]} {incr tries} {
            connect stranger ada
            assert_match "NOAUTH*" [lindex [resp::ask stranger ping] 1]
            resp::do friend config set requirepass ""
            # Not a value that a command keeps: that would have its place elsewhere.
            resp::write stranger "*2\r\n\$4\r\nECHO\r\n\$4194304\r\n[string repeat x 2097152]"
            eventually { [regexp {qbuf=2\d{6} } [resp::do friend client list]] }
            resp::do friend config set requirepass secret
            resp::write stranger x
            assert {[resp::is_closed stranger]}
        }
        assert_match "*sent 2097??? bytes of one request; closed*" [node_log ada]
        assert_equal PONG [resp::do friend ping]
    }
}

test "before the password no answer is much longer than its request, and nothing listens for datagrams" {
    with_node ada {requirepass secret cluster-enabled yes} {
        connect friend ada
        resp::do friend auth secret
        connect stranger ada
        foreach {words arity} [commands_of friend auth] {
            foreach arguments {{} {a} {a b c}} {
                set request [resp::encode {*}$words {*}$arguments]
                resp::write stranger $request
                assert_equal error [lindex [resp::read stranger] 0] $words
                set answer [string length [resp::raw stranger]]
                assert {$answer <= 3 * [string length $request] + 200} "$words: [string length $request] bytes are answered by $answer"
            }
        }
        # A name that is not there is told in part, however long it is.
        resp::write stranger [resp::encode [string repeat n 10000] [string repeat a 10000]]
        resp::read stranger
        assert {[string length [resp::raw stranger]] < 1000}
        set ours {}
        foreach fd [glob -nocomplain /proc/[node_pid ada]/fd/*] {
            if {![catch {file readlink $fd} target] && [regexp {socket:\[(\d+)\]} $target - inode]} { lappend ours $inode }
        }
        assert {$ours ne {}}
        foreach table {udp udp6} {
            if {![file exists /proc/net/$table]} continue
            foreach line [lrange [split [string trim [read_file /proc/net/$table]] \n] 1 end] { assert {[lindex $line 9] ni $ours} }
        }
    }
}

test "a password is in no log, not in MONITOR, SLOWLOG, ACL LOG, CLIENT LIST, and not in the report of a crash" {
    set crash [expr {![info exists ::env(SAN)] || $::env(SAN) eq ""}]
    node_start ada {loglevel debug slowlog-log-slower-than 0 slowlog-max-len 1000 latency-monitor-threshold 1}
    connect watcher ada
    assert_equal {simple OK} [resp::ask watcher monitor]
    connect c ada
    set said {
        {config set requirepass hush-1} {auth hush-1} {auth default hush-1} {hello 2 auth default hush-1}
        {auth hush-wrong-1} {auth default hush-wrong-2} {auth nobody hush-wrong-3} {hello 2 auth default hush-wrong-4}
        {hello 2 auth default hush-wrong-5 bogus} {hello 2 auth default hush-1 auth default hush-1} {hello 2 setname auth auth default hush-1} {auth a b hush-wrong-6} {config set requirepass hush-2 requirepass hush-3}
        {config set nosuch 1 requirepass hush-4} {config set requirepass hush-5 port hush} {config set masterauth hush-6}
        {config set tls-key-file-pass hush-7} {acl setuser default >hush-8} {acl setuser default >hush-9 bogus}
        {acl setuser other >hush-10} {config set timeout 0 requirepass hush-11} {auth hush-11}
    }
    foreach words $said { catch { resp::ask c {*}$words } }
    # In a transaction too.
    foreach words {multi {config set requirepass hush-12} {acl setuser default >hush-13} exec {auth hush-12} {auth hush-13}} { catch { resp::ask c {*}$words } }
    resp::do c ping last
    set shown ""
    while {![string match {*"ping" "last"*} $shown]} { append shown [lindex [resp::read watcher] 1] \n }
    assert_match {*"ping"*} $shown
    foreach question {{slowlog get -1} {acl log} {client list} {info everything} {latency latest}} {
        set answer [resp::do c {*}$question]
        assert {$answer ne "" || [lindex $question 0] eq "latency"}
        append shown $answer \n
    }
    # What there is to see is seen: the test would not notice an empty log.
    assert_match "*ping*last*" [resp::do c slowlog get -1]
    assert_match "*AUTH*" [string toupper [resp::do c acl log]]
    assert_match "*wrong password*" [node_log ada]
    append shown [node_log ada]
    if {$crash} {
        set ::node(ada,expect) ended
        node_signal ada SEGV
        node_wait_end ada
        set report [lindex $::node_past end 1]
        assert_match "*REPORT END*" $report
        append shown $report
    }
    assert {[string first hush $shown] < 0} [string range $shown [expr {[string first hush $shown] - 200}] [expr {[string first hush $shown] + 50}]]
}

test "whatever CONFIG SET took is there again after CONFIG REWRITE and a new start" {
    set dir [file join [test_dir] $::test_count rewrite]
    file mkdir $dir
    set port [free_port]
    write_file $dir/redis.conf "port $port\nbind 127.0.0.1\ndir $dir\ncluster-enabled no\n"
    node_start ada [list @dir $dir @port $port @keep_config yes]
    set former [on ada config get *]
    set values [list 17 3 yes no 12345678 2mb 50 "a b" "\"q'\\ \n\x01\xff" allkeys-lru 127.0.0.1 nosave "0 100 200" KEA host.example verbose "normal 2gb 0 0"]
    set new [free_port]
    # Where it listens is tried with what others on this machine do not listen on.
    set values_of(port) [list 70000 -1 x "" 1.5 $new]
    set values_of(bind) [list "" "a b" 10.99.99.99 "127.0.0.1 127.0.0.1" "-10.99.99.99" "\"\"" "\n" 127.0.0.2 "127.0.0.1 127.0.0.3"]
    # A limit of a few bytes is one that this connection is over.
    set values_of(maxmemory-clients) {-1 x 101% 1.5% "" 12345678}
    set taken 0
    foreach {name value} $former {
        # The next node would be started elsewhere.
        if {$name eq "dir"} continue
        foreach value [expr {[info exists values_of($name)] ? $values_of($name) : $values}] {
            if {![catch {on ada config set $name $value}]} { incr taken }
        }
    }
    assert {$taken > 170} "only $taken values were taken"
    assert_equal "bind {127.0.0.1 127.0.0.3} port $new" [on ada config get port bind]
    set password [lindex [on ada config get requirepass] 1]
    assert_equal "normal 2gb 0 0" $password
    assert_equal OK [on ada config set client-output-buffer-limit "normal 2gb 1gb 7"]
    assert_equal OK [on ada config rewrite]
    set all [lsort -stride 2 [on ada config get *]]
    set changed 0
    foreach {name value} $all { if {[dict get $former $name] ne $value} { incr changed } }
    assert {$changed > 60} "only $changed directives have changed"
    node_stop ada
    node_start ada [list @dir $dir @port $new @keep_config yes]
    on ada auth $password
    foreach {name value} [lsort -stride 2 [on ada config get *]] { assert_equal [dict get $all $name] $value $name }
}
