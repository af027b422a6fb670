# The server as a process: INFO, COMMAND, SLOWLOG, MONITOR, passwords, signals, sockets, limits.

test "INFO has the fields that tools read" {
    with_node ada {
        on ada set key v
        on ada get key
        on ada get missing
        set info [on ada info everything]
        foreach field {
            redis_version redis_mode os arch_bits process_id run_id tcp_port uptime_in_seconds uptime_in_days config_file
            connected_clients blocked_clients maxclients
            used_memory used_memory_human used_memory_rss used_memory_peak maxmemory maxmemory_policy mem_fragmentation_ratio total_system_memory mem_allocator
            loading rdb_bgsave_in_progress aof_enabled aof_rewrite_in_progress
            total_connections_received total_commands_processed instantaneous_ops_per_sec total_net_input_bytes total_net_output_bytes
            instantaneous_input_kbps instantaneous_output_kbps rejected_connections expired_keys evicted_keys keyspace_hits keyspace_misses
            pubsub_channels pubsub_patterns latest_fork_usec total_error_replies
            role connected_slaves master_replid master_repl_offset
            used_cpu_sys used_cpu_user used_cpu_sys_main_thread used_cpu_user_main_thread cluster_enabled db0 cmdstat_get cmdstat_set latency_percentiles_usec_get
        } {
            assert {[field_of $info $field] ne ""  || $field in {config_file}} "no $field"
        }
        assert_equal [node_port ada] [field_of $info tcp_port]
        assert_equal [node_pid ada] [field_of $info process_id]
        assert_equal 1 [field_of $info keyspace_hits]
        assert_equal 1 [field_of $info keyspace_misses]
        assert_match "keys=1,expires=0,avg_ttl=*" [field_of $info db0]
        assert_match "calls=2,usec=*,usec_per_call=*,rejected_calls=0,failed_calls=0" [field_of $info cmdstat_get]
        assert_equal 0 [field_of $info cluster_enabled]
        foreach line [split $info \n] {
            assert {[regexp {^(# [A-Za-z_]+|[a-z0-9_|:.-]+:.*|)\r?$} $line] || $line eq ""} "not a line of INFO: $line"
        }
        # Sections are chosen by name; without keys there is no db0.
        assert_equal "" [field_of [on ada info server] used_memory]
        assert_match "# Memory*" [on ada info memory]
        on ada flushall
        assert_equal "" [info_field ada db0]
    }
}

test "INFO has every field that redis-server has, in the section where it has it" {
    proc fields {info} {
        set fields {}
        foreach line [split $info \n] {
            if {[regexp {^# (\S+)} $line -> section]} continue
            if {[regexp {^([a-z0-9_]+):} $line -> field] && ![regexp {^(cmdstat|errorstat|latency_percentiles)_} $field]} { lappend fields $section/$field }
        }
        return $fields
    }
    with_node ada {cluster-enabled yes} {
        node_start bob {@binary redis-server cluster-enabled yes}
        set ours [fields [on ada info everything]]
        foreach field [fields [on bob info everything]] { assert {$field in $ours} "no $field" }
        node_stop bob
    }
}

test "errors are counted by their code" {
    with_node ada {
        catch { on ada nosuchcommand }
        catch { on ada incr }
        on ada set text x
        catch { on ada incr text }
        assert_equal count=3 [info_field ada errorstat_ERR]
        assert {[info_field ada total_error_replies] >= 3}
        assert_match "*rejected_calls=1,failed_calls=1" [info_field ada cmdstat_incr]
    }
}

test "COMMAND describes every command it runs" {
    with_node ada {
        set all [on ada command]
        assert_equal [on ada command count] [llength $all]
        assert {[llength $all] >= 60}
        foreach command $all {
            lassign $command name arity flags first last step categories
            assert {[string is integer -strict $arity] && $arity != 0} $name
            assert {[llength $command] == 10} "$name has [llength $command] parts"
            assert {[llength $categories] >= 1} "$name is in no category"
            # Too few arguments are refused by name.
            if {$arity < -1 || $arity > 1} {
                assert_error "ERR wrong number of arguments for '$name' command" { on ada $name }
            }
        }
        assert_equal [lsort [lsearch -all -inline -not [on ada command list] *|*]] [lsort [lmap command $all { lindex $command 0 }]]
        assert_equal {get 2} [lrange [lindex [on ada command info get] 0] 0 1]
        assert_equal {{}} [on ada command info nosuchcommand]
        assert_equal {a b} [on ada command getkeys mset a 1 b 2]
        assert_error "ERR The command has no key arguments" { on ada command getkeys ping x }
        assert_error "ERR Invalid command specified" { on ada command getkeys nosuchcommand a }
        set docs [dict get [on ada command docs get] get]
        assert {[dict get $docs summary] ne "" && [dict get $docs since] ne ""}
    }
}

test "unknown commands are answered with what was asked" {
    with_node ada {
        assert_equal {error {ERR unknown command 'nosuch', with args beginning with: 'a' 'b c' }} [typed_on ada nosuch a "b c"]
        assert_equal {error {ERR unknown command 'nosuch', with args beginning with: }} [typed_on ada nosuch]
        assert_equal {error {ERR unknown subcommand 'bogus'. Try CLIENT HELP.}} [typed_on ada client bogus]
        assert_match "ERR unknown command 'xxxxx*" [lindex [typed_on ada [string repeat x 100000] [string repeat y 100000]] 1]
        assert {[string length [resp::raw ada]] < 1000}
        assert {[llength [on ada client help]] > 5}
    }
}

test "slow commands are kept in the slow log, cut and without passwords" {
    with_node ada {slowlog-log-slower-than 0 slowlog-max-len 10} {
        on ada slowlog reset
        on ada set key [string repeat x 1000]
        on ada del {*}[lrange [split [string repeat "k " 100] " "] 0 49]
        catch { on ada auth somebody secretword }
        on ada config set requirepass ""
        set log [on ada slowlog get -1]
        foreach entry $log {
            lassign $entry id at usec args addr name
            assert_equal 6 [llength $entry]
            assert {abs($at - [clock seconds]) < 300 && $usec >= 0}
            assert_match "127.0.0.1:*" $addr
            assert {[string first secretword $entry] < 0} "a password is in the slow log"
            if {[lindex $args 0] eq "set"} { assert_match "*... (872 more bytes)" [lindex $args 2] }
            if {[lindex $args 0] eq "del"} { assert_equal 32 [llength $args] }
        }
        for {set i 0} {$i < 30} {incr i} { on ada get key }
        assert_equal 10 [on ada slowlog len]
        assert_equal 3 [llength [on ada slowlog get 3]]
        assert_equal OK [on ada slowlog reset]
        assert {[on ada slowlog len] <= 1}
        assert_error "ERR count should be greater than or equal to -1" { on ada slowlog get -2 }
    }
}

test "MONITOR shows what is run, but no password" {
    with_node ada {
        connect m ada
        assert_equal {simple OK} [resp::ask m monitor]
        connect c ada
        resp::do c set key "va\"l\n\x01"
        catch { resp::do c auth somebody secretword }
        catch { resp::do c hello 2 auth somebody secretword }
        catch { resp::do c config set requirepass "" }
        resp::do c ping
        set lines ""
        while {![string match {*"ping"*} $lines]} { append lines [lindex [resp::read m] 1] \n }
        assert_match {*[[]0 127.0.0.1:*] "set" "key" "va\\"l\\n\\x01"*} $lines
        assert {[string first secretword $lines] < 0} "MONITOR shows a password"
        resp::do m reset
        assert_equal {simple PONG} [resp::ask m ping]
    }
}

test "what MONITOR shows waits for a busy worker within bounds" {
    if {[info exists ::env(SAN)] && $::env(SAN) ne ""} { skip "a sanitizer's build quotes the lines too slowly to fill 32 MiB while a worker sleeps" }
    with_node ada {io-threads 2 enable-debug-command yes} {
        # Connections are spread evenly: the first and the third share a worker.
        connect watcher ada
        connect writer ada
        connect sleeper ada
        resp::do watcher monitor
        set text [string repeat m 1000000]
        # On a busy machine, or a slow build, the sleep may be over before so much is sent: then a longer one.
        for {set round 0} {$round < 7 && [string first "monitors more than its worker keeps up with" [node_log ada]] < 0} {incr round} {
            # CLIENT LIST shows the last command: another one first, so that it is this sleep that is seen to have begun.
            resp::do sleeper ping
            resp::send sleeper debug sleep [expr {1 << $round}]
            eventually { [string first "cmd=debug" [resp::do writer client list]] >= 0 }
            for {set i 0} {$i < 40} {incr i} { resp::do writer echo $text }
            resp::read sleeper
        }
        eventually { [string first "flags=O" [resp::do writer client list]] < 0 }
        assert_equal PONG [resp::plain [resp::ask writer ping]]
        assert {[string first "monitors more than its worker keeps up with" [node_log ada]] >= 0}
    }
}

test "with a password nothing but AUTH is served before it" {
    with_node ada {requirepass {"se cret"}} {
        foreach command {{get x} {set x y} {info} {config get *} {client list} {multi} {command} {flushall}} {
            assert_error "NOAUTH *" { on ada {*}$command }
        }
        assert_error "WRONGPASS invalid username-password pair or user is disabled." { on ada auth wrong }
        assert_error "WRONGPASS *" { on ada auth nobody "se cret" }
        assert_error "NOAUTH *" { on ada get x }
        assert_equal OK [on ada auth "se cret"]
        assert_equal OK [on ada set x y]
        on ada config set requirepass other
        connect c ada
        assert_error "WRONGPASS *" { resp::do c auth "se cret" }
        assert_equal OK [resp::do c auth default other]
        on ada config set requirepass ""
        connect d ada
        assert_equal y [resp::do d get x]
        assert_error "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?" {
            resp::do d auth something
        }
    }
}

test "protected mode turns away strangers, and only them" {
    # An address of this machine that is not the loopback, where it has one.
    set address ""
    catch { set address [lindex [exec hostname -I] 0] }
    if {$address eq "" || [string match *:* $address]} { skip "this machine has no other IPv4 address" }
    with_node ada [list bind "127.0.0.1 $address"] {
        assert_equal PONG [on ada ping]
        # Bound to a named address by the user: since he said so, protection is by password only if he leaves it on.
        set s [resp::open stranger $address [node_port ada]]
        assert_match "DENIED*protected mode*" [lindex [resp::read stranger] 1]
        assert {[resp::is_closed stranger]}
        on ada config set protected-mode no
        resp::open stranger $address [node_port ada]
        assert_equal {simple PONG} [resp::ask stranger ping]
        resp::close stranger
        on ada config set protected-mode yes requirepass secret
        resp::open stranger $address [node_port ada]
        assert_error "NOAUTH*" { resp::do stranger ping }
    }
}

test "a unix socket serves too, with the mode it was given" {
    set path [file join [test_dir] sock-[pid]]
    with_node ada [list unixsocket $path unixsocketperm 700] {
        assert_equal 0700 [string range [file attributes $path -permissions] end-3 end]
        assert_equal OK [exec redis-cli -s $path set key v]
        assert_equal v [on ada get key]
        assert_match "*addr=$path:0*" [exec redis-cli -s $path client info]
    }
    assert {![file exists $path]} "the socket file is left behind"
}

test "SIGTERM and SIGINT end it cleanly, SHUTDOWN too" {
    foreach signal {TERM INT} {
        node_start ada
        on ada set key v
        node_signal ada $signal
        assert_equal "exit 0" [node_wait_end ada]
    }
    foreach words {{shutdown} {shutdown nosave} {shutdown now}} {
        node_start ada
        resp::open c 127.0.0.1 [node_port ada]
        resp::send c {*}$words
        set ::node(ada,expect) ended
        assert_equal "exit 0" [node_wait_end ada]
        resp::close c
    }
    with_node ada {
        assert_error "ERR syntax error" { on ada shutdown bogus }
        assert_error "ERR*" { on ada shutdown abort }
    }
}

test "it ends with five hundred clients and half a request from each" {
    with_node ada {
        for {set i 0} {$i < 500} {incr i} {
            connect h$i ada
            resp::write h$i "*3\r\n\$3\r\nset\r\n\$1\r\nk\r\n\$1000\r\nhalf"
        }
        node_signal ada TERM
        assert_equal "exit 0" [node_wait_end ada]
    }
}

test "running out of file descriptors is survived" {
    with_node ada {@prefix {prlimit --nofile=120:120} maxclients 5000} {
        set open {}
        for {set i 0} {$i < 300} {incr i} {
            if {[catch {connect e$i ada}]} break
            lappend open e$i
        }
        wait_ms 300
        foreach c $open { resp::close $c }
        eventually { ![catch {connect again ada; resp::do again ping} reply] && $reply eq "PONG" }
        assert_equal PONG [on ada ping]
    }
}

test "it keeps serving while the log cannot be written" {
    with_node ada {logfile /dev/full} {
        assert_equal OK [on ada set a b]
        catch { on ada config set loglevel debug }
        assert_equal b [on ada get a]
    }
}

test "a port of one's own is used on IPv6 as well" {
    if {[catch {socket -server {} -myaddr ::1 0} s]} { skip "no IPv6 here" }
    close $s
    with_node ada {bind "127.0.0.1 ::1"} {
        resp::open six ::1 [node_port ada]
        assert_equal {simple PONG} [resp::ask six ping]
        assert_match "*laddr=\\\[::1\\\]:*" [resp::do six client info]
    }
}

test "TIME, ECHO, LOLWUT and other small talk" {
    with_node ada {
        set before [clock seconds]
        lassign [on ada time] seconds microseconds
        assert {$seconds >= $before - 1 && $seconds <= [clock seconds] + 1 && $microseconds < 1000000}
        assert_equal "a b" [on ada echo "a b"]
        assert_equal PONG [on ada ping]
        assert_equal hi [on ada ping hi]
        assert_error "ERR wrong number of arguments for 'ping' command" { on ada ping a b }
        assert_equal OK [on ada select 0]
        assert_error "ERR DB index is out of range" { on ada select 99 }
        assert_error "ERR *" { on ada select x }
        assert_equal {master 0 {}} [on ada role]
    }
}

test "the memory it says it uses follows what is in it" {
    with_node ada {
        set empty [info_field ada used_memory]
        set value [string repeat x 10000]
        for {set i 0} {$i < 1000} {incr i} { on ada set k:$i $value }
        set full [info_field ada used_memory]
        assert {$full - $empty > 9000000 && $full - $empty < 20000000} "[expr {$full - $empty}] bytes for 10 MB"
        assert {[on ada memory usage k:1] > 10000 && [on ada memory usage k:1] < 13000}
        on ada flushall
        eventually { [info_field ada used_memory] - $empty < 3000000 }
        assert {[info_field ada used_memory_peak] >= $full}
    }
}

test "eight writers on shared keys leave a whole state" {
    with_node ada {
        for {set c 0} {$c < 8} {incr c} { connect w$c ada }
        for {set round 0} {$round < 20} {incr round} {
            for {set c 0} {$c < 8} {incr c} {
                set batch ""
                for {set i 0} {$i < 100} {incr i} {
                    append batch [resp::encode incr shared][resp::encode append log x][resp::encode set k[expr {$i % 10}] $c]
                }
                resp::write w$c $batch
            }
            for {set c 0} {$c < 8} {incr c} { for {set i 0} {$i < 300} {incr i} { resp::read w$c } }
        }
        assert_equal 16000 [on ada get shared]
        assert_equal 16000 [on ada strlen log]
    }
}

test "LATENCY shows the slow moments that latency-monitor-threshold asks for" {
    with_node ada {enable-debug-command yes} {
        on ada debug sleep 0.02
        assert_equal {} [on ada latency latest]
        assert_match "*latency-monitor-threshold*" [on ada latency doctor]
        on ada config set latency-monitor-threshold 10
        on ada debug sleep 0.02
        on ada debug sleep 0.03
        # On a busy machine any command may take so long: from here on none is noted.
        on ada config set latency-monitor-threshold 0
        lassign [lindex [on ada latency latest] 0] name when last worst
        assert_equal command $name
        assert {abs([clock seconds] - $when) < 60 && $worst >= 30 && $last <= $worst}
        set history [on ada latency history command]
        assert_equal [list $when $last] [lindex $history end]
        assert_equal {} [on ada latency history expire-cycle]
        assert_equal {} [on ada latency history bogus]
        assert_match "command - high * ms, low * ms (all time high $worst ms)\n*ago\n" [on ada latency graph command]
        assert_match "1. command: *" [on ada latency doctor]
        assert_error "ERR No samples available for event 'bogus'" { on ada latency graph bogus }
        assert_equal 0 [on ada latency reset expire-cycle bogus]
        assert_equal 1 [on ada latency reset expire-cycle command]
        assert_equal {} [on ada latency latest]
        on ada config set latency-monitor-threshold 10
        on ada debug sleep 0.02
        on ada config set latency-monitor-threshold 0
        assert_equal 1 [on ada latency reset]
        assert_equal {} [on ada latency history command]
    }
}
