# Configuration: the file, the command line, CONFIG GET, SET and REWRITE.

# Starts the server with these arguments and gives {exit-status output}; for starts that end by themselves.
proc run_server {args} {
    set code [catch {exec timeout 60 [server_binary] {*}$args << "" 2>@1} output options]
    set status 0
    if {$code} {
        set error [dict get $options -errorcode]
        set status [expr {[lindex $error 0] eq "CHILDSTATUS" ? [lindex $error 2] : "signal"}]
        regsub {\nchild process exited abnormally$} $output "" output
    }
    return [list $status $output]
}

proc temporary {text} {
    set path [file join [test_dir] conf-[incr ::temporary_count].conf]
    write_file $path $text
    return $path
}

test "CONFIG GET shows what the file said, by name and by pattern" {
    with_node ada {client-query-buffer-limit 100mb cluster-preferred-endpoint-type hostname timeout 300 slowlog-max-len 64} {
        assert_equal {client-query-buffer-limit 104857600} [on ada config get client-query-buffer-limit]
        assert_equal hostname [lindex [on ada config get CLUSTER-preferred-ENDPOINT-TYPE] 1]
        assert_equal {timeout 300} [on ada config get timeout]
        set got [on ada config get client-query* slowlog-max-len client-query-buffer-limit]
        assert_equal 64 [dict get $got slowlog-max-len]
        assert_equal 104857600 [dict get $got client-query-buffer-limit]
        assert {[llength $got] % 2 == 0}
        assert_equal [llength [dict keys $got]] [expr {[llength $got] / 2}] "each name once"
        assert_equal {} [on ada config get nothing*]
        assert {[llength [on ada config get *]] > 100}
    }
}

test "CONFIG SET takes several pairs, all or none" {
    with_node ada {
        assert_equal OK [on ada config set client-query-buffer-limit 200mb timeout 10]
        assert_equal 209715200 [dict get [on ada config get client-query-buffer-limit] client-query-buffer-limit]
        assert_error "ERR CONFIG SET failed (possibly related to argument 'client-query-buffer-limit') - argument must be a memory value" {
            on ada config set timeout 20 client-query-buffer-limit lots
        }
        assert_equal 10 [dict get [on ada config get timeout] timeout]
        assert_error "ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'" { on ada config set nosuch 1 }
        assert_error "ERR *duplicate parameter*" { on ada config set timeout 1 timeout 2 }
        assert_error "ERR *immutable*" { on ada config set port 7 io-threads 3 }
        assert_error "ERR wrong number of arguments for 'config|set' command" { on ada config set timeout }
        foreach junk {"" x -1 99999999999999999999 1.5 "1 2"} {
            assert_error "ERR *" { on ada config set timeout $junk }
        }
        assert_equal {timeout 10} [on ada config get timeout]
    }
}

test "every option that takes its own value by CONFIG SET keeps it" {
    with_node ada {
        set all [lsort -stride 2 [on ada config get *]]
        set refused {}
        foreach {name value} $all {
            if {[catch {on ada config set $name $value} message]} {
                # Fixed at the start, protected, or tied to the process; never "not a value".
                if {![string match "*immutable*" $message] && ![string match "*protected*" $message]} { lappend refused "$name: $message" }
            }
        }
        assert_equal {} $refused
        assert_equal $all [lsort -stride 2 [on ada config get *]]
    }
}

test "every option outlives junk" {
    with_node ada {
        set all [on ada config get *]
        foreach {name value} $all {
            if {$name in {port bind logfile dir unixsocket tls-port requirepass masterauth}} continue
            foreach junk [list "" -1 18446744073709551616 "a b" [string repeat x 10000] "\x00" "\r\n" nan] {
                catch { on ada config set $name $junk }
            }
        }
        assert_equal PONG [on ada ping]
        assert_equal PONG [on ada ping]
    }
}

test "CONFIG REWRITE keeps comments and order and writes what has changed" {
    set dir [file join [test_dir] $::test_count rewrite]
    file mkdir $dir
    set port [free_port]
    write_file $dir/redis.conf "# A comment of ours\nport $port\nbind 127.0.0.1\ndir $dir\nsave \"\"\n\n# The limit\nclient-query-buffer-limit 10mb\ntimeout 5\n"
    node_start ada [list @dir $dir @port $port @keep_config yes]
    on ada config set client-query-buffer-limit 20mb requirepass "a \"quoted\" secret" slowlog-max-len 77
    on ada auth "a \"quoted\" secret"
    assert_equal OK [on ada config rewrite]
    set text [read_file $dir/redis.conf]
    assert {[string first "# A comment of ours\nport $port" $text] == 0}
    assert {[regexp {# The limit\nclient-query-buffer-limit (20mb|20971520)\ntimeout 5\n} $text]} $text
    assert_match "*slowlog-max-len 77*" $text
    set before [lsort -stride 2 [on ada config get *]]
    node_stop ada
    node_start ada [list @dir $dir @port $port @keep_config yes]
    on ada auth "a \"quoted\" secret"
    assert_equal $before [lsort -stride 2 [on ada config get *]]
    if {[server_is_redis]} return
    # Writing it again changes nothing.
    on ada config rewrite
    assert_equal $text [read_file $dir/redis.conf]
}

test "CONFIG REWRITE without a file says so" {
    set port [free_port]
    node_start ada [list @port $port @ready no @keep_config yes @dir [file join [test_dir] $::test_count] @binary [server_binary]]
    catch { node_stop ada }
    set chan [open "|setpriv --pdeathsig KILL [server_binary] --port $port --bind 127.0.0.1 --dir [test_dir] >/dev/null 2>@1" w]
    eventually { ![catch {resp::open c 127.0.0.1 $port}] }
    assert_equal {error {ERR The server is running without a config file}} [resp::ask c config rewrite]
    exec kill [pid $chan]
    catch { close $chan }
}

test "CONFIG RESETSTAT begins to count anew" {
    with_node ada {
        on ada get missing
        assert {[info_field ada keyspace_misses] >= 1}
        assert_equal OK [on ada config resetstat]
        assert_equal 0 [info_field ada keyspace_misses]
        assert {[info_field ada total_commands_processed] < 5}
    }
}

test "what the file says wrong stops the start with its line" {
    foreach {text pattern} {
        "port 7\nmaxmemori 1gb\n"       "*at line 2*>>> 'maxmemori 1gb'*"
        "client-query-buffer-limit lots\n" "*at line 1*>>> 'client-query-buffer-limit lots'*argument must be a memory value*"
        "timeout -1\n"                  "*at line 1*"
        "port 70000\n"                  "*at line 1*"
        "maxmemory-policy bogus\n"      "*at line 1*"
        "requirepass \"open\n"          "*at line 1*nbalanced*"
        "port\n"                        "*at line 1*"
        "include /nowhere/at/all.conf\n" "*/nowhere/at/all.conf*"
    } {
        lassign [run_server [temporary [subst -novariables -nocommands $text]]] status output
        assert_equal 1 $status $text
        assert_match $pattern $output
        if {![string match include* $text]} { assert_match "*FATAL CONFIG FILE ERROR*" $output }
    }
    if {![server_is_redis]} {
        lassign [run_server [temporary "maxmemori 1gb\n"]] status output
        assert_match "*maxmemory*" $output
    }
    lassign [run_server /nowhere/at/all.conf] status output
    assert_equal 1 $status
    assert_match "*/nowhere/at/all.conf*" $output
}

test "the command line says the same as the file, and later words win" {
    set included [temporary "timeout 21\nslowlog-max-len 33\n"]
    with_node ada [list include $included @args {--timeout 22 --client-query-buffer-limit 3mb --loglevel verbose --save ""}] {
        assert_equal {timeout 22} [on ada config get timeout]
        assert_equal {slowlog-max-len 33} [on ada config get slowlog-max-len]
        assert_equal {client-query-buffer-limit 3145728} [on ada config get client-query-buffer-limit]
    }
    lassign [run_server --nosuchoption 1] status output
    assert_equal 1 $status
    assert_match "*nosuchoption*" $output
}

test "a configuration may come from standard input, behind the words of the command line" {
    set port [free_port]
    set chan [open "|[list setpriv --pdeathsig KILL [server_binary] --port $port --timeout 7 - >/dev/null 2>@1]" w]
    puts $chan "bind 127.0.0.1\ntimeout 8\nslowlog-max-len 44\nsave \"\"\ncluster-enabled no\ndir [test_dir]"
    flush $chan
    # It begins when its input has ended, and not before; closing would wait for its own end.
    wait_ms 50
    assert {[catch {resp::open c 127.0.0.1 $port}]}
    set pid [pid $chan]
    fconfigure $chan -blocking 0
    close $chan
    set code [catch {
        eventually { ![catch {resp::open c 127.0.0.1 $port}] }
        assert_equal 44 [lindex [resp::do c config get slowlog-max-len] 1]
        if {![server_is_redis]} { assert_equal 7 [lindex [resp::do c config get timeout] 1] }
        assert_match {ERR The server is running without a config file} [lindex [resp::ask c config rewrite] 1]
    } message options]
    exec kill $pid
    if {$code} { return -options $options $message }
    if {[server_is_redis]} return
    catch { exec timeout 60 [server_binary] --test-config - << "timeout 1\nport x\n" 2>@1 } output
    assert_match "*'standard input', at line 2*>>> 'port x'*" $output
}

test "include takes patterns, reads what they match in the order of names, and nothing where nothing does" {
    set dir [file join [test_dir] included-$::test_count]
    file mkdir $dir
    write_file $dir/20-second.conf "timeout 20\nslowlog-max-len 21\n"
    write_file $dir/10-first.conf "timeout 10\nslowlog-max-len 11\nmaxclients 77\n"
    write_file $dir/30-other.txt "timeout 30\n"
    with_node ada [list timeout 5 include "$dir/*.conf $dir/none-*.conf"] {
        assert_equal {timeout 20} [on ada config get timeout]
        assert_equal {slowlog-max-len 21} [on ada config get slowlog-max-len]
        assert_equal {maxclients 77} [on ada config get maxclients]
    }
    # What is wrong is named by the file it stands in; a file that includes itself comes to an end.
    write_file $dir/40-wrong.conf "\ntimeout soon\n"
    lassign [run_server [temporary "include $dir/4*.conf\n"]] status output
    assert_equal 1 $status
    assert_match "*40-wrong.conf', at line 2*>>> 'timeout soon'*" $output
    if {[server_is_redis]} return
    write_file $dir/50-self.conf "include $dir/50-self.conf\n"
    lassign [run_server [temporary "include $dir/50-self.conf\n"]] status output
    assert_equal 1 $status
    assert_match "*50-self.conf', at line 1*nested too deeply*" $output
}

test "--version, --help and --test-config answer and end" {
    lassign [run_server --version] status output
    assert_equal 0 $status
    assert {[regexp {v=\d+\.\d+\.\d+ } $output]} $output
    lassign [run_server -v] status output
    assert_equal 0 $status
    lassign [run_server --help] status output
    assert_match "*Usage:*" $output
    if {[server_is_redis]} { return }
    assert_equal 0 $status
    lassign [run_server [temporary "timeout 10\n"] --test-config] status output
    assert_equal 0 $status $output
    lassign [run_server [temporary "timeout 1x\n"] --test-config] status output
    assert_equal 1 $status
}

test "a taken port stops the start and is named" {
    with_node ada {
        lassign [run_server --port [node_port ada] --bind 127.0.0.1] status output
        assert_equal 1 $status
        assert_match "*[node_port ada]*" $output
        assert_match "*in use*" $output
    }
}

test "a start that fails leaves the pid file and the unix socket of the node that runs" {
    set path [file join [test_dir] taken-[pid]]
    with_node ada [list pidfile $path.pid unixsocket $path.socket] {
        foreach more {{} {--cluster-enabled yes}} {
            lassign [run_server --port [node_port ada] --bind 127.0.0.1 --pidfile $path.pid --unixsocket $path.socket --dir [test_dir] {*}$more] status
            assert_equal 1 $status
            assert_equal [node_pid ada] [string trim [read_file $path.pid]]
            assert_equal PONG [exec redis-cli -s $path.socket ping]
        }
    }
    assert {![file exists $path.pid] && ![file exists $path.socket]}
}

test "the configuration that comes with the server is one it takes" {
    if {[server_is_redis]} { skip "ours only" }
    if {![file exists $::root/redis-shard.conf]} { fail "no redis-shard.conf" }
    lassign [run_server $::root/redis-shard.conf --test-config] status output
    assert_equal 0 $status $output
}

test "a CONFIG SET that is refused leaves the node in the folder it was in" {
    with_node ada {enable-protected-configs yes} {
        set dir [node_dir ada]
        file mkdir $dir/inner
        assert_equal OK [on ada config set dir $dir]
        assert_equal OK [on ada config set dir inner]
        assert_equal "dir $dir/inner" [on ada config get dir]
        file mkdir $dir/inner/deeper
        assert_error "*maxclients*" { on ada config set dir deeper maxclients 2147483647 }
        assert_equal "dir $dir/inner" [on ada config get dir]
    }
}
