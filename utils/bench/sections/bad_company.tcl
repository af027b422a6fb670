# What clients that behave badly cost those that do: the same GETs alone, and beside some of each kind. Their promises are tests (the soak
# suite, whose clients these are); here is their price.
section "Among bad clients" {
    set count [keys 100000]
    set kinds {slow never half-closed bytewise quitter liar}
    set settings [list alone {*}$kinds together "no descriptors"]
    server_start ours ours {--maxclients 15000}
    server_start redis redis {--maxclients 15000 --client-output-buffer-limit "normal 8388608 0 0"}
    foreach each {ours redis} {
        fill $each $count
        exec build/soak/load $::server($each,port) fill
    }
    in_turns each {ours redis} {
        foreach setting $settings {
            # redis-server answers nobody who has closed his side.
            set here [expr {$setting eq "together" ? $kinds : [list $setting]}]
            if {$each eq "redis"} { set here [lsearch -all -inline -not -exact $here half-closed] }
            if {$here eq {}} continue
            set work [list -A -t get -P 1 -k $count]
            switch -exact -- $setting {
                alone { sample_fields "$each alone" [measure $each {*}$work] }
                "no descriptors" { sample_fields "$each $setting" [measure_without_descriptors $each {*}$work] }
                default {
                    with_bad_clients $each $setting $here { sample_fields "$each $setting" [measure $each {*}$work] }
                }
            }
        }
    }
    say "50 connections that read, one command at a time, among $count keys of 64 bytes, while others keep on: 16 *slow* ones that take 16 KiB of their megabytes each 20 ms, 16 that\
        *never* read the 1000 values of 1 MiB they asked for, 8 that ask for five of these and close their side (*half-closed*), 8 that send their requests byte by byte (*bytewise*), 8 that\
        leave in the middle of a value (*quitter*), 6 that announce 50 MB and send little (*liar*); all of these *together*; and a server that has *no descriptors* left while 64 connections\
        wait to be accepted. What half-closed clients move is work like any other; redis-server answers none of them, so it is spared this also in *together*.\
        Those that never read are disconnected by redis-server at the limit it was given here, 8 MiB, and come back; without one it would hold all they asked for.\n"
    say "The bad ones' program shares the CPU of the good ones', at a lower priority, so it does its work cheaply: a big value is sent from where it lies, 64 KiB a call, and the kernel\
        throws away what is read of one. What the bad ones did, each second, is in the last table. *Until it arrives* is the time until a reply was at its client's socket, as the kernel\
        noted: what it waited for there was that CPU, and not the server.\n"
    foreach {title field} {"p99 of the others" p99_us "p99.9 of the others" p999_us "p99 until it arrives" arrived_p99_us "p99.9 until it arrives" arrived_p999_us} {
        table [list "$title, us" redis-shard "over alone" redis-server "over alone"] [lmap setting $settings {
            concat [list $setting] [beside_alone ours $setting $field] [beside_alone redis $setting $field]
        }]
    }
    table [list "what the bad ones did, a second" "redis-shard: times" "MB read" "MB written" "% of a CPU" "redis-server: times" "MB read" "MB written" "% of a CPU"] \
        [bad_rows [lrange $settings 1 end-1] $kinds]
    foreach setting [lrange $settings 1 end] {
        target "Beside bad clients ($setting): p99 of the others, over that alone" [ratio [middle "ours $setting,p99_us"] [middle "ours alone,p99_us"]] <= 2
    }
}

# A figure, and how often it is that without the others; nothing where it was not measured.
proc beside_alone {name setting field} {
    if {![info exists ::samples($name\ $setting,$field)]} { return [list "" ""] }
    set value [middle "$name $setting,$field"]
    return [list [format %.0f $value] [format %.2f [ratio $value [middle "$name alone,$field"]]]]
}

# Runs the body while bad clients of these kinds are at the server, and for as long as they are. What they take of the CPU that they share with the good ones is felt
# by those whatever the server does, so they are light. (Of the lowest class, SCHED_IDLE, they would be felt still less, but then half of what they do is not done.)
proc with_bad_clients {name setting kinds body} {
    set seconds [expr {int(ceil($::seconds)) + 3}]
    set channel [open |[list setpriv --pdeathsig KILL nice -n 5 taskset -c $::load_cpu build/soak/load $::server($name,port) mix $seconds \
        [join $kinds ,] light 2>@1] r]
    # Until the first of them have got what they asked for.
    after 500
    uplevel 1 $body
    set said [string trim [read $channel]]
    if {[catch { close $channel }]} { error "the bad clients: $said" }
    progress "    the bad ones: $said"
    sample_bad "$name $setting" $said
    wait_for "the bad ones stay" 20 { [info_field $name connected_clients] < 10 }
}

# What they did, each second.
proc sample_bad {key said} {
    set parts [lmap part [split $said |] { string trim $part }]
    set whole [fields_of [lindex $parts 0]]
    set seconds [dict get $whole seconds]
    sample $key,bad_busy [expr {([dict get $whole user_s] + [dict get $whole system_s]) / $seconds}]
    foreach part [lrange $parts 1 end] {
        dict for {field value} [fields_of [lrange $part 1 end]] { sample "$key,[lindex $part 0] $field" [expr {$value / $seconds}] }
    }
}

# A row for each setting, and one for each kind in that of all together.
proc bad_rows {settings kinds} {
    set rows {}
    foreach setting $settings {
        set busy [lmap name {ours redis} {
            expr {[info exists ::samples($name\ $setting,bad_busy)] ? [format %.0f [expr {100 * [middle "$name $setting,bad_busy"]}]] : ""}
        }]
        if {$setting ne "together"} {
            lappend rows [concat [list $setting] [bad_cells ours $setting $setting] [lindex $busy 0] [bad_cells redis $setting $setting] [lrange $busy 1 1]]
            continue
        }
        lappend rows [list $setting "" "" "" [lindex $busy 0] "" "" "" [lindex $busy 1]]
        foreach kind $kinds {
            lappend rows [concat [list "$setting: $kind"] [bad_cells ours $setting $kind] [list ""] [bad_cells redis $setting $kind] [list ""]]
        }
    }
    return $rows
}

# Nothing where it was not measured.
proc bad_cells {name setting kind} {
    if {![info exists ::samples($name\ $setting,$kind\ done)]} { return [list "" "" ""] }
    return [list [format %.0f [middle "$name $setting,$kind done"]] {*}[lmap field {in out} {
        format %.1f [expr {[middle "$name $setting,$kind $field"] / 1e6}]
    }]]
}

# As measure does, but as soon as its connections are made the server may open nothing more, and 64 others wait to be accepted.
proc measure_without_descriptors {name args} {
    set pid $::server($name,pid)
    set before [info_field $name connected_clients]
    set channel [load_start $name $::load_cpu -s $::seconds -w 1 {*}$args]
    wait_for "the load does not come" 5 { [info_field $name connected_clients] >= $before + $::connections }
    exec prlimit --pid $pid --nofile=[llength [glob /proc/$pid/fd/*]]:20000
    set waiting {}
    for {set i 0} {$i < 64} {incr i} { lappend waiting [socket -async 127.0.0.1 $::server($name,port)] }
    set result [load_wait $channel]
    foreach channel $waiting { close $channel }
    exec prlimit --pid $pid --nofile=20000:20000
    return $result
}
