# The process as its supervisor and its operator see it.

test "systemd is told when it is ready and when it stops" {
    set socket [file join [test_dir] notify-$::test_count]
    set heard [file join [test_dir] heard-$::test_count]
    set listener "import socket,sys\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\ns.bind(sys.argv\[1\])\nwhile 1:\n d=s.recv(4096)\n f=open(sys.argv\[2\],'ab');f.write(d);f.close()\n if b'STOPPING=1' in d: break\n"
    set chan [open |[list setpriv --pdeathsig KILL timeout 60 python3 -c $listener $socket $heard] r]
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
