# servers.tcl: the servers that are measured. Each is a child on a free port, pinned to given CPUs, with a directory of its own; it dies
# with this process, however that ends.
#
#     server(NAME,kind)   ours, redis, memcached or floor; several servers may be of one kind
#     server(NAME,pid), server(NAME,port), server(NAME,link)

array set server {}
set server_dir [file normalize build/bench/servers]
array set binary [list \
    ours [file normalize [env_or SERVER_BINARY redis-shard]] \
    redis [env_or REDIS_SERVER redis-server] \
    memcached [env_or MEMCACHED memcached] \
    floor [file normalize build/bench/floor] \
    idle [file normalize build/bench/idle]]

proc wait_for {what seconds condition} {
    set deadline [expr {[clock milliseconds] + $seconds * 1000}]
    while 1 {
        if {![catch {uplevel 1 [list expr $condition]} yes] && $yes} return
        if {[clock milliseconds] > $deadline} { error $what }
        after 20
    }
}

# --- Processes ---
proc port_is_free {port} {
    if {[catch {socket -server {} -myaddr 127.0.0.1 $port} s]} { return 0 }
    close $s
    return 1
}

set next_port [expr {12000 + [pid] % 8000}]
proc free_port {} {
    while {[incr ::next_port] < 21000} {
        if {[port_is_free $::next_port] && [port_is_free [expr {$::next_port + 10000}]]} { return $::next_port }
    }
    error "no free port"
}

proc pid_runs {pid} {
    if {[catch {open /proc/$pid/stat r} file]} { return 0 }
    set stat [read $file]
    close $file
    return [expr {[regexp {\) (\S)} $stat - state] && $state ni {Z X}}]
}

proc server_command {kind port home options} {
    set binary $::binary($kind)
    switch -exact -- $kind {
        ours - redis {
            # Later options win over earlier ones.
            return [list $binary --port $port --bind 127.0.0.1 --dir $home --cluster-enabled yes --io-threads 1 --save "" --appendonly no \
                --daemonize no {*}$options]
        }
        memcached {
            set user [expr {[exec id -u] == 0 ? {-u root} : {}}]
            return [list $binary {*}$user -l 127.0.0.1 -p $port -U 0 -t 1 -m 16384 -c 20000 {*}$options]
        }
        floor { return [list $binary $port] }
        idle { return [list $binary] }
    }
}

# Starts a server of a kind; the CPUs are as for taskset.
proc server_start {name kind {options {}} {cpus ""}} {
    if {$cpus eq ""} { set cpus $::server_cpu }
    set port [free_port]
    set home [file join $::server_dir $name-$port]
    file mkdir $home
    # exec keeps the pid through setpriv and taskset.
    set pid [exec setpriv --pdeathsig KILL taskset -c $cpus {*}[server_command $kind $port $home $options] </dev/null >$home/log 2>@1 &]
    set ::server($name,pid) $pid
    set ::server($name,kind) $kind
    set ::server($name,port) $port
    set ::server($name,home) $home
    if {$kind eq "idle"} { after 300; return }
    wait_for "$name does not start: see $home/log" 20 { ![catch { close [socket 127.0.0.1 $port] }] }
    if {$kind ni {ours redis}} return
    if {"no" in $options} return
    catch { ask $name cluster addslotsrange 0 16383 }
    wait_for "$name has no slots" 20 { [string match "*cluster_state:ok*" [ask $name cluster info]] }
}

proc server_stop {name} {
    if {![info exists ::server($name,pid)]} return
    set pid $::server($name,pid)
    catch { close $::server($name,link) }
    catch { exec kill $pid }
    # A child of this process: gone when there is nothing left of it but a zombie.
    for {set i 0} {$i < 500 && [pid_runs $pid]} {incr i} { after 20 }
    if {[pid_runs $pid]} { catch { exec kill -KILL $pid } }
    catch { file delete -force $::server($name,home) }
    array unset ::server $name,*
}

proc servers_stop {} {
    foreach key [array names ::server *,pid] { server_stop [lindex [split $key ,] 0] }
}

proc files_clear {} {
    catch { file delete -force $::server_dir }
}

# --- Asking: a connection kept open, so that a question costs what it costs and not a process ---
proc ask {name args} {
    if {![info exists ::server($name,link)]} {
        set link [socket 127.0.0.1 $::server($name,port)]
        fconfigure $link -translation binary -buffering full -buffersize 1000000
        set ::server($name,link) $link
    }
    set link $::server($name,link)
    puts -nonewline $link "*[llength $args]\r\n"
    foreach arg $args { puts -nonewline $link "\$[string length $arg]\r\n$arg\r\n" }
    flush $link
    return [answer_of $link]
}

proc answer_of {link} {
    if {[gets $link line] < 0} { error "the server closed the connection" }
    set line [string trimright $line \r]
    set rest [string range $line 1 end]
    switch -exact -- [string index $line 0] {
        - { error $rest }
        $ {
            if {$rest < 0} { return "" }
            set value [read $link $rest]
            read $link 2
            return $value
        }
        * {
            set out {}
            for {set i 0} {$i < $rest} {incr i} { lappend out [answer_of $link] }
            return $out
        }
        default { return $rest }
    }
}

proc field_of {text field} {
    if {[regexp -line "^$field:(.*?)\r?$" $text - value]} { return $value }
    return ""
}

proc info_field {name field} {
    return [field_of [ask $name info everything] $field]
}

# --- What the system knows of a server ---
proc status_bytes {name field} {
    set file [open /proc/$::server($name,pid)/status r]
    set text [read $file]
    close $file
    if {![regexp "$field:\\s+(\\d+) kB" $text - kb]} { error "no $field" }
    return [expr {$kb * 1024}]
}

proc anonymous_bytes {name} { return [status_bytes $name RssAnon] }

# Nanoseconds of CPU that a server's threads have used.
proc cpu_ns {name} {
    set sum 0
    foreach path [glob -nocomplain /proc/$::server($name,pid)/task/*/schedstat] {
        if {[catch { set file [open $path r] }]} continue
        incr sum [lindex [read $file] 0]
        close $file
    }
    return $sum
}

# Waits, 20 s at most, until none of these works at anything by itself: memcached enlarges its table long after it was filled, and whoever is measured
# on the same CPU meanwhile has milliseconds added.
proc servers_rest {names} {
    for {set i 0} {$i < 40} {incr i} {
        set before [lmap name $names { cpu_ns $name }]
        after 500
        set busy 0
        foreach name $names was $before { if {[cpu_ns $name] - $was > 15000000} { set busy 1 } }
        if {!$busy} return
    }
}

# What a server holds after it has given back what it can: freed memory that it merely keeps for later is not what keys take. Two seconds
# are for what it does by itself once a load has ended.
proc settled_bytes {name} {
    after 2000
    if {$::server($name,kind) in {ours redis}} { ask $name memory purge }
    after 100
    return [anonymous_bytes $name]
}
