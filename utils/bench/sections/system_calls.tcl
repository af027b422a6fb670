# Which system calls a batch of commands costs: strace counts them while a fixed number of commands is run, once for so many and once for
# three times as many; the difference is free of what it takes to open and close the connections, and of what an idle server's timers make in the
# same time. strace slows the server down tenfold, which changes how many clients are ready in a turn, and with it epoll's calls; not what each
# client costs.

# The system calls that are made while the body runs: name, count; and how many seconds that was, as "seconds".
proc trace_calls {name body} {
    set trace [file join $::server($name,home) trace]
    file delete $trace
    set strace [exec setpriv --pdeathsig KILL strace -c -f -o $trace -p $::server($name,pid) </dev/null >&/dev/null &]
    wait_for "strace does not attach" 10 { [status_field $name TracerPid] == $strace }
    set began [clock milliseconds]
    uplevel 1 $body
    set calls [list seconds [expr {([clock milliseconds] - $began) / 1000.0}]]
    exec kill -INT $strace
    wait_for "strace wrote nothing" 10 { [file exists $trace] && ![pid_runs $strace] }
    set file [open $trace]
    foreach {- count call} [regexp -all -inline -line {^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$} [read $file]] {
        if {$call ne "total"} { dict set calls $call $count }
    }
    close $file
    return $calls
}

proc status_field {name field} {
    set file [open /proc/$::server($name,pid)/status]
    set text [read $file]
    close $file
    regexp -line "^$field:\\s+(\\d+)" $text - value
    return $value
}

set call_kinds {
    reads {read recvfrom recvmsg readv} writes {write sendto sendmsg writev} waits {epoll_wait epoll_pwait epoll_pwait2}
}

# Calls for each batch, by kind: reads, writes, waits, others.
proc calls_a_batch {name depth batches} {
    set idle [trace_calls $name { after 3000 }]
    set few [trace_calls $name { run_load $name -t get -P $depth -k 1000 -w 0 -s 120 -n [expr {$batches * $depth}] }]
    set many [trace_calls $name { run_load $name -t get -P $depth -k 1000 -w 0 -s 120 -n [expr {3 * $batches * $depth}] }]
    set seconds [expr {[dict get $many seconds] - [dict get $few seconds]}]
    set sums {reads 0 writes 0 waits 0 others 0}
    foreach call [lsearch -all -inline -not -exact [lsort -unique [concat [dict keys $few] [dict keys $many]]] seconds] {
        set of others
        foreach {kind calls} $::call_kinds { if {$call in $calls} { set of $kind } }
        set by_itself [expr {$seconds * [calls_of $idle $call] / [dict get $idle seconds]}]
        dict set sums $of [expr {[dict get $sums $of] + ([calls_of $many $call] - [calls_of $few $call] - $by_itself) / (2.0 * $batches)}]
    }
    return $sums
}

proc calls_of {calls call} {
    return [expr {[dict exists $calls $call] ? [dict get $calls $call] : 0}]
}

section "System calls" {
    set names {ours redis memcached}
    foreach each $names {
        server_start $each $each
        fill $each 1000 -c 1
    }
    set rows {}
    foreach each $names {
        foreach depth {1 16} {
            set calls($each,$depth) [calls_a_batch $each $depth [keys 20000]]
            lappend rows [concat [list "[title_of $each], pipeline $depth"] [lmap {kind count} $calls($each,$depth) { format %.3f $count }]]
        }
    }
    say "For each batch of GETs, from $::connections connections.\n"
    table {server reads writes "waits (epoll)" others} $rows
    # The timers of a busy server are not quite those of an idle one: hundredths are enough.
    set ours $calls(ours,1)
    target "System calls for an unpipelined GET, epoll's wait aside" \
        [format %.2f [expr {[dict get $ours reads] + [dict get $ours writes] + [dict get $ours others]}]] <= 2
}
