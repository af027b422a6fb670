# node.tcl: servers with names, on free ports of 127.0.0.1, that die with the test.
#
# Each node is a child of this process with a parent-death signal, has a directory of its own, and its log is shown when
# the test fails. A node that crashes, or that ends with a sanitizer's report, fails the test it ran in.

set ::root [file normalize [file join [file dirname [info script]] .. ..]]
array set ::node {}   ;# name,pid name,host name,port name,dir name,chan name,binary name,expect
set ::node_names {}
set ::node_past {}    ;# {name log-text} of nodes that have ended in this test
set ::test_dir ""
set ::test_count 0   ;# each test has directories of its own

# The server under test: SERVER_BINARY, or the one that make builds.
proc server_binary {} {
    if {[info exists ::env(SERVER_BINARY)] && $::env(SERVER_BINARY) ne ""} {
        if {[string first / $::env(SERVER_BINARY)] < 0} { return $::env(SERVER_BINARY) }
        return [file normalize $::env(SERVER_BINARY)]
    }
    return [file join $::root redis-shard]
}

# For files in which thousands of slots move, each on its new node's disk before the next: the directories of their nodes are in memory, where there is
# such a place, for disks are not what is tested there.
proc nodes_in_memory {} {
    if {![info exists ::env(TMPDIR)] && [file writable /dev/shm]} { set ::env(TMPDIR) /dev/shm }
}

# True when redis-server itself runs in our place, which is how the tests are tested.
proc server_is_redis {} {
    return [string match *redis-server* [server_binary]]
}

# A directory for this run's nodes, removed at its end.
proc test_dir {} {
    if {$::test_dir eq ""} {
        set base [expr {[info exists ::env(TMPDIR)] ? $::env(TMPDIR) : "/tmp"}]
        set ::test_dir [file join $base redis-shard-test-[pid]]
        file delete -force $::test_dir
        file mkdir $::test_dir
    }
    return $::test_dir
}

# The first of so many ports in a row that are free and whose bus ports (10000 above) are free too, below the ephemeral range. Between
# looking and listening somebody else may look; so each process takes its ports from blocks that are its own: it listens on their first
# port itself for as long as it lives.
set ::port_block 0
set ::next_port 100   ;# behind its block: there is none yet
set ::port_guards {}   ;# ports held, sockets
proc free_port {{count 1}} {
    for {set tries 0} {$tries < 20000} {incr tries} {
        if {$::next_port + $count > $::port_block + 50} port_block_take
        set first $::next_port
        incr ::next_port $count
        set free 1
        for {set port $first} {$port < $first + $count && $free} {incr port} {
            set free [expr {[port_is_free $port] && [port_is_free [expr {$port + 10000}]]}]
        }
        if {$free} { return $first }
    }
    fail "no $count free ports in a row"
}

proc port_block_take {} {
    set blocks 200
    set begin [expr {([pid] * 7 + [llength $::port_guards] / 2) % $blocks}]
    for {set i 0} {$i < $blocks} {incr i} {
        set block [expr {11000 + ($begin + $i) % $blocks * 50}]
        # Ports that come round again are free again, as far as this process knows.
        if {[dict exists $::port_guards $block] || ![catch {socket -server {apply {{socket args} { close $socket }}} -myaddr 127.0.0.1 $block} guard]} {
            if {$block == $::port_block} continue
            if {![dict exists $::port_guards $block]} { dict set ::port_guards $block $guard }
            set ::port_block $block
            set ::next_port [expr {$block + 1}]
            return
        }
    }
    fail "no free block of ports"
}

proc port_is_free {port} {
    if {[catch {socket -server {} -myaddr 127.0.0.1 $port} s]} { return 0 }
    close $s
    return 1
}

proc write_file {path text} {
    set f [open $path w]
    fconfigure $f -translation binary
    puts -nonewline $f $text
    close $f
}

proc read_file {path} {
    set f [open $path r]
    fconfigure $f -translation binary
    set text [read $f]
    close $f
    return $text
}

# Starts a node. The options are names and values of redis.conf, and these of the harness:
#     @binary path    another server        @args {a b}   more arguments      @prefix {cmd}   what to start it with
#     @port n         a given port          @dir path     a given directory   @ready no       do not wait for it
#     @host address   where it listens, 127.0.0.1 if not given
proc node_start {name {options {}}} {
    set binary [dict_take options @binary [server_binary]]
    set args [dict_take options @args {}]
    set prefix [dict_take options @prefix {}]
    set ready [dict_take options @ready yes]
    set port [dict_take options @port 0]
    set host [dict_take options @host 127.0.0.1]
    set dir [dict_take options @dir [file join [test_dir] $::test_count $name]]
    if {$port == 0} { set port [free_port] }
    file mkdir $dir

    set conf "port $port\ndir $dir\n"
    if {![dict exists $options bind]} { append conf "bind $host\n" }
    if {[string match *redis-server* $binary]} { append conf "save \"\"\nappendonly no\nenable-debug-command yes\n" }
    if {![dict exists $options cluster-enabled]} { append conf "cluster-enabled no\n" }
    foreach {option value} $options {
        append conf "$option [expr {$value eq "" ? "\"\"" : $value}]\n"
    }
    set conf_file [file join $dir redis.conf]
    if {![dict exists $options @keep_config]} { write_file $conf_file $conf }

    set log [file join $dir log]
    set command [list setpriv --pdeathsig KILL {*}$prefix $binary $conf_file {*}$args >>$log 2>@1]
    set chan [open |$command w]
    set ::node($name,pid) [pid $chan]
    set ::node($name,chan) $chan
    set ::node($name,host) $host
    set ::node($name,port) $port
    set ::node($name,dir) $dir
    set ::node($name,binary) $binary
    set ::node($name,options) $options
    set ::node($name,prefix) $prefix
    set ::node($name,expect) alive
    # A node of the same name in another directory is somebody else.
    if {![info exists ::node($name,id_dir)] || $::node($name,id_dir) ne $dir} {
        unset -nocomplain ::node($name,id)
        set ::node($name,id_dir) $dir
    }
    if {$name ni $::node_names} { lappend ::node_names $name }
    if {$ready} { node_wait_ready $name }
    return $name
}

proc dict_take {dict_name key default} {
    upvar 1 $dict_name options
    if {[dict exists $options $key]} {
        set default [dict get $options $key]
        dict unset options $key
    }
    return $default
}

# Waits until it serves; a node that dies first fails the test. That a connection is made says only that the first of its addresses
# is listened on; a hang-up answered by a hang-up says that its loop runs, which begins when all of them are.
proc node_wait_ready {name {timeout_ms 60000}} {
    set deadline [expr {[clock milliseconds] + $timeout_ms}]
    set s ""
    while 1 {
        if {![node_is_alive $name]} { fail "$name ended while it started:\n[node_log $name]" }
        if {$s ne ""} {
            # An error is a connection reset: an end as well.
            if {[catch {read $s}] || [eof $s]} { break }
        } elseif {![catch {socket $::node($name,host) $::node($name,port)} made]} {
            set s $made
            fconfigure $s -blocking 0 -translation binary
            close $s write
            continue
        }
        if {[clock milliseconds] > $deadline} { fail "$name serves nobody:\n[node_log $name]" }
        wait_ms [expr {$s eq "" ? 10 : 1}]
    }
    close $s
}

# Running, not a zombie.
proc node_is_alive {name} {
    return [pid_is_alive $::node($name,pid)]
}

proc pid_is_alive {pid} {
    if {[catch {read_file /proc/$pid/stat} stat]} { return 0 }
    regexp {\) (\S)} $stat -> state
    return [expr {$state ni {Z X}}]
}

proc node_host {name} { return $::node($name,host) }
proc node_port {name} { return $::node($name,port) }
proc node_pid {name} { return $::node($name,pid) }
proc node_dir {name} { return $::node($name,dir) }

proc node_log {name} {
    set path [file join $::node($name,dir) log]
    return [expr {[file exists $path] ? [read_file $path] : ""}]
}

# Sends a signal and says that the end it may bring is meant.
proc node_signal {name signal} {
    if {$signal in {TERM INT KILL QUIT}} { set ::node($name,expect) ended }
    exec kill -s $signal $::node($name,pid)
}

# Waits for the process to end; gives "exit N" or "signal NAME".
proc node_wait_end {name {timeout_ms 60000}} {
    set deadline [expr {[clock milliseconds] + $timeout_ms}]
    while {[node_is_alive $name] && [clock milliseconds] < $deadline} { wait_ms 5 }
    set hung [node_is_alive $name]
    if {$hung} {
        # Its stacks are worth more than its corpse; ABRT gets them where the server prints them.
        catch { exec kill -s ABRT $::node($name,pid) }
        wait_ms 300
        catch { exec kill -s KILL $::node($name,pid) }
    }
    set how "exit 0"
    if {[catch {close $::node($name,chan)} message options]} {
        set code [dict get $options -errorcode]
        switch -exact -- [lindex $code 0] {
            CHILDSTATUS { set how "exit [lindex $code 2]" }
            CHILDKILLED { set how "signal [lindex $code 2]" }
            default { set how "exit 0" }
        }
    }
    resp::close $name
    if {$hung} { set how "hung, killed" }
    lappend ::node_past [list $name [node_log $name]]
    set ::node_names [lsearch -all -inline -not -exact $::node_names $name]
    set ::node($name,ended) $how
    return $how
}

# Ends a node politely; anything but a clean end fails the test.
proc node_stop {name} {
    if {$name ni $::node_names} return
    if {![node_is_alive $name]} {
        set how [node_wait_end $name]
        if {$::node($name,expect) eq "alive"} { fail "$name ended by itself: $how" }
        return
    }
    set ::node($name,expect) ended
    catch { exec kill -s CONT $::node($name,pid) }
    catch { exec kill -s TERM $::node($name,pid) }
    set how [node_wait_end $name]
    if {$how ni {"exit 0"}} { fail "$name did not end cleanly: $how" }
}

# Ends a node with SIGKILL.
proc node_kill {name} {
    node_signal $name KILL
    node_wait_end $name
}

# Starts it again on its port and directory, with what its configuration file says.
proc node_restart {name {options {}}} {
    set all [dict merge $::node($name,options) $options]
    node_start $name [dict merge $all [list @host $::node($name,host) @prefix $::node($name,prefix) @port $::node($name,port) @dir $::node($name,dir) @binary $::node($name,binary)]]
}

# The end of every test: all nodes stop cleanly, or the test fails.
proc nodes_end {} {
    set problems {}
    foreach name $::node_names {
        if {[catch {node_stop $name} message]} { lappend problems $message }
    }
    connections_end
    if {$problems ne {}} { fail [join $problems "; "] }
    set ::node_past {}
}

proc connections_end {} {
    traffic_end_hard
    foreach name [array names ::resp::chan] { resp::close $name }
}

# After a failure: nothing may be left over.
proc nodes_end_hard {} {
    network_end
    foreach name $::node_names {
        catch { exec kill -s KILL $::node($name,pid) }
        catch { close $::node($name,chan) }
    }
    set ::node_names {}
    set ::node_past {}
    connections_end
}

# The last lines of each log.
proc nodes_show_logs {{lines 40}} {
    set logs $::node_past
    foreach name $::node_names { lappend logs [list $name [node_log $name]] }
    foreach log $logs {
        lassign $log name text
        set tail [lrange [split [string trimright $text] \n] end-[expr {$lines - 1}] end]
        puts "          --- log of $name"
        foreach line $tail { puts "          | [string range $line 0 300]" }
    }
}

# Runs the body with one node: with_node ada {options} {body}.
proc with_node {name args} {
    if {[llength $args] == 1} { set options {} } else { set options [lindex $args 0] }
    node_start $name $options
    set code [catch {uplevel 1 [lindex $args end]} result return_options]
    if {$code == 0} { node_stop $name }
    return -options $return_options $result
}

# Sends a command to a node over its own connection; gives the plain reply, throws error replies.
proc on {name args} {
    if {![resp::is_open $name]} { resp::open $name $::node($name,host) $::node($name,port) }
    return [resp::do $name {*}$args]
}

# The same, as {type value}.
proc typed_on {name args} {
    if {![resp::is_open $name]} { resp::open $name $::node($name,host) $::node($name,port) }
    return [resp::ask $name {*}$args]
}

# The reply's bytes.
proc raw_on {name args} {
    typed_on $name {*}$args
    return [resp::raw $name]
}

# Another connection to a node.
proc connect {connection name} {
    resp::close $connection
    resp::open $connection $::node($name,host) $::node($name,port)
}

# What to start a node with so that its wall clock goes by a file: by as many seconds as that says, 0 at first (wall_clock.c). Skips the test where that cannot be.
proc wall_clock_by {file} {
    if {[server_is_redis] || ([info exists ::env(SAN)] && $::env(SAN) ne "")} { skip "the clock is set by a preloaded library" }
    set library [file join [test_dir] wall_clock.so]
    if {![file exists $library]} { exec cc -shared -fPIC -O1 -D_GNU_SOURCE -o $library [file join $::root tests support wall_clock.c] -ldl }
    write_file $file 0
    return [list env LD_PRELOAD=$library WALL_CLOCK_FILE=$file]
}

# One field of INFO, or "" where there is none.
proc info_field {name field} {
    return [field_of [on $name info everything] $field]
}

proc field_of {text field} {
    foreach line [split $text \n] {
        set line [string trimright $line "\r"]
        if {[string first "$field:" $line] == 0} { return [string range $line [string length $field]+1 end] }
    }
    return ""
}

# redis-cli against a node; gives its output, throws where it fails.
proc cli {name args} {
    return [exec redis-cli -h $::node($name,host) -p $::node($name,port) {*}$args << "" 2>@1]
}

# Removes this run's files.
proc harness_end {} {
    nodes_end_hard
    if {$::test_dir ne ""} { catch { file delete -force $::test_dir } }
}
