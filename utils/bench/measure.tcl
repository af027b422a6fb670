# measure.tcl: putting servers under load, in turns, and the medians of what comes of it.

set connections 50

# --- Load ---
proc load_command {name cpus arguments} {
    set protocol [expr {$::server($name,kind) eq "memcached" ? {-m} : {}}]
    return [list timeout -k 5 300 taskset -c $cpus build/bench/load -p $::server($name,port) -x $::server($name,pid) -c $::connections {*}$protocol \
        {*}$arguments]
}

# Runs the load generator to its end; gives its figures as a dict.
proc run_load {name args} {
    return [load_result [exec {*}[load_command $name $::load_cpu $args] 2>@1]]
}

proc load_result {output} {
    set result [fields_of $output]
    if {![dict exists $result errors] || [dict get $result errors]} { error "the load failed: $output" }
    return $result
}

# Of "a=1 b=2" a dict.
proc fields_of {text} {
    set fields {}
    foreach pair $text {
        lassign [split $pair =] field value
        dict set fields $field $value
    }
    return $fields
}

# Starts it without waiting: load_wait gives its figures.
proc load_start {name cpus args} {
    return [open |[concat [load_command $name $cpus $args] [list 2>@1]] r]
}

proc load_wait {channel} {
    set output [read $channel]
    close $channel
    return [load_result $output]
}

# Several generators at once, one on each of the CPUs; throughputs add up, the server's time is over the commands of all.
proc run_loads {name cpus args} {
    if {[llength $cpus] == 1} { return [load_wait [load_start $name [lindex $cpus 0] {*}$args]] }
    set channels {}
    set seed [expr {int(rand() * 30000)}]
    foreach cpu $cpus { lappend channels [load_start $name $cpu -r [incr seed] {*}$args] }
    set per_second 0
    set total_s 0
    foreach channel $channels {
        set result [load_wait $channel]
        set per_second [expr {$per_second + [dict get $result per_second]}]
        # All of them see the time of the whole server: the rate at which it used CPU is any one's.
        set total_s [expr {$total_s + [dict get $result server_busy] / [llength $cpus]}]
    }
    dict set result per_second $per_second
    set total_us [expr {$total_s * 1e6 / $per_second}]
    set user_share [ratio [dict get $result user_us] [expr {[dict get $result user_us] + [dict get $result system_us]}]]
    dict set result total_us $total_us
    dict set result user_us [expr {$total_us * $user_share}]
    dict set result system_us [expr {$total_us * (1 - $user_share)}]
    return $result
}

# Loads keys [0, count) and sees that they are there.
proc fill {name count args} {
    set result [run_load $name -t load -P 64 -k $count {*}$args]
    if {[dict get $result commands] != $count && "-o" ni $args} { error "$name: loaded [dict get $result commands] keys of $count" }
    return $result
}

# A timed workload of keys that are all there.
proc measure {name args} {
    set result [run_load $name -s $::seconds {*}$args]
    if {[dict get $result misses]} { error "$name $args: [dict get $result misses] misses" }
    return $result
}

# --- Turns ---
# Runs the body as often as there are runs.
proc each_run {body} {
    for {set ::run 1} {$::run <= $::runs} {incr ::run} { uplevel 1 $body }
}

# Who goes first changes from run to run, so that what else the machine does falls on all alike.
proc turn_order {names} { return [expr {$::run % 2 ? $names : [lreverse $names]}] }

# Both: the body for each of the names, in each run.
proc in_turns {name_variable names body} {
    upvar 1 $name_variable name
    each_run { foreach name [turn_order $names] { uplevel 1 $body } }
}

# --- Samples: a name and a key lead to the values of all runs ---
proc samples_clear {} { array unset ::samples; array set ::samples {} }

proc sample {key value} { lappend ::samples($key) $value }

proc sample_fields {key result} {
    foreach field {per_second user_us system_us total_us p50_us p99_us p999_us max_us server_busy load_busy arrived_p50_us arrived_p99_us arrived_p999_us waited} {
        sample $key,$field [dict get $result $field]
    }
    progress [format "%-28s %10.0f/s  p99 %8.1f us  user %.3f us, all %.3f us" $key [dict get $result per_second] [dict get $result p99_us] \
        [dict get $result user_us] [dict get $result total_us]]
}

proc progress {text} { puts stderr "   $text" }

proc middle {key} { return [median $::samples($key)] }

proc median {values} {
    set sorted [lsort -real $values]
    set n [llength $sorted]
    return [expr {([lindex $sorted [expr {($n - 1) / 2}]] + [lindex $sorted [expr {$n / 2}]]) / 2.0}]
}
