# Where a node listens, changed while it runs: clients stay, what is refused changes nothing, and what is written starts again.

# Whether a node answers at an address.
proc answers {port {host 127.0.0.1}} {
    if {[catch {resp::open probe $host $port}]} { return 0 }
    set code [catch {resp::do probe ping} answer]
    resp::close probe
    expr {$code == 0 && $answer eq "PONG"}
}

# Addresses that this node listens on, without the cluster bus's: {0100007F:6379 ...} as the kernel has them.
proc listens {name {but_port 0}} {
    set sockets {}
    foreach fd [glob -nocomplain /proc/[node_pid $name]/fd/*] {
        if {![catch {file readlink $fd} target] && [regexp {socket:\[(\d+)\]} $target - inode]} { lappend sockets $inode }
    }
    set out {}
    foreach line [lrange [split [string trim [read_file /proc/net/tcp]] \n] 1 end] {
        lassign [lindex $line 1] address
        scan [lindex [split $address :] 1] %x port
        if {[lindex $line 9] in $sockets && [lindex $line 3] eq "0A" && $port != $but_port} { lappend out [lindex [split $address :] 0]:$port }
    }
    lsort $out
}

# A port that somebody else listens on.
proc taken_port {} {
    set ::taken_socket [socket -server {apply {{args} {}}} -myaddr 127.0.0.1 0]
    lindex [fconfigure $::taken_socket -sockname] 2
}

set ::refused_port "ERR CONFIG SET failed (possibly related to argument 'port') - "
set ::refused_bind "ERR CONFIG SET failed (possibly related to argument 'bind') - "

test "a port that is changed is listened on at once, the former one no more, and clients stay" {
    with_node ada {cluster-enabled no} {
        set old [node_port ada]
        set new [free_port]
        connect before ada
        resp::do before set k v
        assert_equal OK [resp::do before config set port $new]
        assert [answers $new]
        assert [expr {![answers $old]}]
        assert_equal v [resp::do before get k]
        assert_equal "port $new" [resp::do before config get port]
        assert_equal $new [field_of [resp::do before info server] tcp_port]
        eventually { [listens ada] eq [list 0100007F:$new] }
        # The same again is no change, and back is as good as there.
        foreach port [list $new $old $new $old] {
            assert_equal OK [resp::do before config set port $port]
            assert [answers $port]
        }
        assert_equal v [resp::do before get k]
        eventually { [listens ada] eq [list 0100007F:$old] }
        assert_equal OK [resp::do before config set port 0]
        assert [expr {![answers $old]}]
        eventually { [listens ada] eq {} }
        assert_equal OK [resp::do before config set port $old]
        assert [answers $old]
    }
}

test "addresses come and go, those that stay are not interrupted, and a wildcard may take the place of one of its own" {
    with_node ada {cluster-enabled no} {
        set port [node_port ada]
        connect before ada
        foreach {bind expected} [list \
            "127.0.0.1 127.0.0.2" [list 0100007F:$port 0200007F:$port] \
            "127.0.0.2 -10.99.99.99" [list 0200007F:$port] \
            "*" [list 00000000:$port] \
            "127.0.0.1" [list 0100007F:$port] \
            "-10.99.99.99" {} \
            "127.0.0.3 127.0.0.1" [list 0100007F:$port 0300007F:$port] \
            "" {} \
            "127.0.0.1" [list 0100007F:$port]] {
            assert_equal OK [resp::do before config set bind $bind]
            assert_equal [list bind $bind] [resp::do before config get bind]
            foreach {host address} {127.0.0.1 0100007F 127.0.0.2 0200007F 127.0.0.3 0300007F} {
                assert_equal [expr {"$address:$port" in $expected || "00000000:$port" in $expected}] [answers $port $host] "$host with bind '$bind'"
            }
            eventually { [listens ada] eq $expected }
        }
        # Whoever else wants the port finds it taken, then as before.
        assert_error "*address already in use*" { socket -server {apply {{args} {}}} -myaddr 127.0.0.1 $port }
    }
}

test "a change of where to listen that is refused leaves everything as it was" {
    with_node ada {cluster-enabled no} {
        set port [node_port ada]
        set free [free_port]
        set taken [taken_port]
        connect before ada
        set sixteen {}
        for {set i 1} {$i <= 16} {incr i} { lappend sixteen 127.0.0.$i }
        foreach {words error} [list \
            {port 70000} "${::refused_port}argument must be between 0 and 65535 inclusive" \
            {port -1} "${::refused_port}argument must be between 0 and 65535 inclusive" \
            {port x} "${::refused_port}argument couldn't be parsed into an integer" \
            {port ""} "${::refused_port}argument couldn't be parsed into an integer" \
            [list port $taken] "${::refused_port}Unable to listen on this port. Check server logs." \
            {bind 10.99.99.99} "${::refused_bind}Failed to bind to specified addresses." \
            {bind "127.0.0.2 10.99.99.99"} "${::refused_bind}Failed to bind to specified addresses." \
            {bind "no address"} "${::refused_bind}Failed to bind to specified addresses." \
            {bind "127.0.0.1 127.0.0.1"} "${::refused_bind}Failed to bind to specified addresses." \
            [list bind "$sixteen 127.0.0.17"] "${::refused_bind}Too many bind addresses specified." \
            [list port $free bind 10.99.99.99] "${::refused_port}Unable to listen on this port. Check server logs." \
            [list bind 10.99.99.99 port $free] "${::refused_bind}Failed to bind to specified addresses." \
            [list port $free maxclients junk] "ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument couldn't be parsed into an integer" \
            [list port $free port $free] "${::refused_port}duplicate parameter"] {
            assert_equal [list error $error] [resp::ask before config set {*}$words] $words
            assert_equal "port $port" [resp::do before config get port]
            assert_equal "bind 127.0.0.1" [resp::do before config get bind]
            assert [answers $port]
            assert [expr {![answers $free]}]
        }
        eventually { [listens ada] eq [list 0100007F:$port] }
        assert_match "*Could not create server TCP listening socket 127.0.0.1:$taken: bind: Address already in use*" [node_log ada]
        close $::taken_socket
        assert_equal OK [resp::do before config set bind $sixteen]
        eventually { [llength [listens ada]] == 16 }
        # A part of the change that is refused by the system takes the new port back, too. (redis-server keeps a client waiting here.)
        if {![server_is_redis]} {
            assert_error "*maxclients*" { resp::do before config set port $free maxclients 2147483647 }
            assert_equal "port $port" [resp::do before config get port]
            assert [answers $port]
            assert [expr {![answers $free]}]
        }
    }
}

test "where a node was told to listen is written by CONFIG REWRITE and is where it listens after a new start" {
    set dir [file join [test_dir] $::test_count listening]
    file mkdir $dir
    set port [free_port]
    set new [free_port]
    write_file $dir/redis.conf "# mine\nport $port\nbind 127.0.0.1\ndir $dir\ncluster-enabled no\nsave \"\"\n"
    node_start ada [list @dir $dir @port $port @keep_config yes]
    assert_equal OK [on ada config set port $new bind "127.0.0.1 127.0.0.2"]
    assert_equal OK [on ada config rewrite]
    assert_match "# mine\nport $new\nbind 127.0.0.1 127.0.0.2\n*" [read_file $dir/redis.conf]
    node_stop ada
    node_start ada [list @dir $dir @port $new @keep_config yes]
    assert [answers $new 127.0.0.2]
    assert_equal [list 0100007F:$new 0200007F:$new] [listens ada]
}

test "clients that come while the port changes back and forth are served or turned away, never left waiting" {
    with_node ada {cluster-enabled no io-threads 2} {
        set ports [list [node_port ada] [free_port]]
        connect before ada
        for {set i 1} {$i <= 60} {incr i} {
            set port [lindex $ports [expr {$i % 2}]]
            resp::send before config set port $port
            catch { resp::open early$i 127.0.0.1 $port }
            assert_equal {simple OK} [resp::read before]
            resp::open late$i 127.0.0.1 $port
            assert_equal PONG [resp::do late$i ping]
            if {[resp::is_open early$i]} { catch { resp::do early$i ping } answer; assert {![string match timeout:* $answer]} }
            resp::close late$i
            resp::close early$i
        }
        # What was opened is closed again: nothing is left of sixty changes.
        eventually { [listens ada] eq [list 0100007F:$port] }
    }
}

test "what a node of a cluster would not start with again is not taken" {
    with_node ada {cluster-enabled yes} {
        if {[server_is_redis]} { skip "redis-server takes it, and does not start with what it has written" }
        assert_error "*'port') - port 60000 leaves no room for the cluster bus*" { on ada config set port 60000 }
        assert_equal "port [node_port ada]" [on ada config get port]
        assert [answers [node_port ada]]
    }
}
