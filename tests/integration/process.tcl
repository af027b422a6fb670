# The process as its supervisor and its operator see it.

test "systemd is told when it is ready and when it stops" {
    set socket [file join [test_dir] notify-$::test_count]
    set heard [file join [test_dir] heard-$::test_count]
    set listener "import socket,sys\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\ns.bind(sys.argv\[1\])\nwhile 1:\n d=s.recv(4096)\n f=open(sys.argv\[2\],'ab');f.write(d);f.close()\n if b'STOPPING=1' in d: break\n"
    set chan [open |[list setpriv --pdeathsig KILL timeout 600 python3 -c $listener $socket $heard] r]
    eventually { [file exists $socket] }
    node_start ada [list supervised systemd @prefix [list env NOTIFY_SOCKET=$socket]]
    eventually { [file exists $heard] && [string match "*READY=1*" [read_file $heard]] }
    assert {[string first STOPPING [read_file $heard]] < 0}
    assert_equal systemd [info_field ada process_supervised]
    node_stop ada
    eventually { [string match "*READY=1*STOPPING=1*" [read_file $heard]] }
    close $chan
}

test "a crash is reported with its stack and the build it happened in" {
    if {[info exists ::env(SAN)] && $::env(SAN) ne ""} { skip "a sanitizer reports crashes itself" }
    node_start ada
    assert_equal no [info_field ada process_supervised]
    set build [lindex [regexp -inline {build=([0-9a-f]+)} [exec [server_binary] --version]] 1]
    set ::node(ada,expect) ended
    node_signal ada SEGV
    set how [node_wait_end ada]
    assert_match "signal SIGSEGV" $how
    set log [lindex $::node_past end 1]
    assert_match "*crashed by signal 11*Build id: $build*STACK TRACE*redis-shard*REPORT END*" $log
}

test "SIGHUP opens the log again where somebody has moved it away" {
    with_node ada {logfile moved.log} {
        set path [file join [node_dir ada] moved.log]
        eventually { [file exists $path] && [string match "*Ready to accept*" [read_file $path]] }
        file rename $path $path.1
        node_signal ada HUP
        eventually { [file exists $path] && [string match "*opened again*" [read_file $path]] }
        assert_equal PONG [on ada ping]
    }
}

test "what supervises it is found out where nobody says" {
    # Nobody.
    node_start ada {supervised auto}
    assert_equal auto [lindex [on ada config get supervised] 1]
    node_stop ada
    # systemd.
    set socket [file join [test_dir] auto-$::test_count]
    set heard [file join [test_dir] auto-heard-$::test_count]
    set listener "import socket,sys\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\ns.bind(sys.argv\[1\])\nopen(sys.argv\[2\],'wb').write(s.recv(4096))\n"
    set chan [open |[list setpriv --pdeathsig KILL timeout 600 python3 -c $listener $socket $heard] r]
    eventually { [file exists $socket] }
    node_start ada [list supervised auto @prefix [list env NOTIFY_SOCKET=$socket]]
    eventually { [file exists $heard] && [string match "*READY=1*" [read_file $heard]] }
    close $chan
    node_stop ada
    # upstart, which is told by stopping.
    node_start ada [list supervised auto @ready no @prefix [list env -u NOTIFY_SOCKET UPSTART_JOB=shard]]
    eventually { [regexp {\) T} [read_file /proc/[node_pid ada]/stat]] }
    node_signal ada CONT
    assert_equal PONG [on ada ping]
}

# A process that is not a child of ours is ended by its pid, whatever happens in the body.
proc with_stranger {pid body} {
    set code [catch {uplevel 1 $body} result options]
    if {[pid_is_alive $pid]} { exec kill -s KILL $pid }
    return -options $options $result
}

test "in the background it is its own session, says its pid in a file of its own, and takes the file away" {
    set dir [file join [test_dir] background-$::test_count]
    file mkdir $dir
    set port [free_port]
    write_file $dir/conf "port $port\nbind 127.0.0.1\ndir $dir\ncluster-enabled no\ndaemonize yes\npidfile $dir/pid\nlogfile $dir/log\n"
    # Standard output is closed by the child, or this would wait for it.
    exec timeout 60 sh -c {umask 0; exec "$@"} sh [server_binary] $dir/conf
    eventually { [file exists $dir/pid] && [regexp {^\d+\n$} [read_file $dir/pid]] }
    set pid [string trim [read_file $dir/pid]]
    with_stranger $pid {
        eventually { ![catch {resp::open far 127.0.0.1 $port}] }
        assert_equal {simple PONG} [resp::ask far ping]
        assert_equal $pid [field_of [resp::do far info server] process_id]
        # The fields after the name: state, parent, process group, session, terminal.
        regexp {\) \S+ (\d+) (\d+) (\d+) (-?\d+)} [read_file /proc/$pid/stat] - parent group session terminal
        assert {$session != [lindex [split [exec cut -d " " -f 6 /proc/[pid]/stat]] 0] && $terminal == 0}
        assert_equal /dev/null [file readlink /proc/$pid/fd/1]
        foreach file {pid log} {
            assert_equal 0600 [string range [file attributes $dir/$file -permissions] end-3 end] "the mode of the $file file"
        }
        exec kill -s TERM $pid
        eventually { ![pid_is_alive $pid] }
    }
    assert {![file exists $dir/pid]} "the pid file is left behind"
}

# What ps shows: the words of the command line, and nothing behind them.
proc title_of {pid} {
    return [string trimright [string map {\x00 " "} [read_file /proc/$pid/cmdline]]]
}

test "ps shows where it listens and whether it is of a cluster, or the command line" {
    node_start ada
    eventually { [title_of [node_pid ada]] eq "redis-shard 127.0.0.1:[node_port ada]" }
    # Longer than its arguments, and the environment is what it was to whoever asks in the process.
    node_start bob [list cluster-enabled yes bind "127.0.0.1 -::1" @prefix [list env LONG=[string repeat x 100] TZ=UTC]]
    eventually { [title_of [node_pid bob]] eq "redis-shard 127.0.0.1:[node_port bob] \[cluster]" }
    assert_match "*bob/redis.conf" [field_of [on bob info server] config_file]
    node_start carl {set-proc-title no}
    assert_match "*redis-shard*/carl/redis.conf" [title_of [node_pid carl]]
}
