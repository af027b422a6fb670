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
            switch -exact -- $setting {
                alone { sample_fields "$each alone" [measure $each -t get -P 1 -k $count] }
                "no descriptors" { sample_fields "$each $setting" [measure_without_descriptors $each -t get -P 1 -k $count] }
                default {
                    with_bad_clients $each $here {
                        sample_fields "$each $setting" [measure $each -t get -P 1 -k $count]
                    }
                }
            }
        }
    }
    say "50 connections that read, one command at a time, among $count keys of 64 bytes, while others keep on: 16 *slow* ones that take 16 KiB of their megabytes each 20 ms, 16 that\
        *never* read the 1000 values of 1 MiB they asked for, 8 that ask for five of these and close their side (*half-closed*), 8 that send their requests byte by byte (*bytewise*), 8 that\
        leave in the middle of a value (*quitter*), 6 that announce 50 MB and send little (*liar*); all of these *together*; and a server that has *no descriptors* left while 64 connections\
        wait to be accepted. What half-closed clients move is work like any other, here some two gigabytes a second; redis-server answers none of them, so it is spared this also in *together*.\
        Those that never read are disconnected by redis-server at the limit it was given here, 8 MiB, and come back; without one it would hold all they asked for. The bad ones'\
        program has a lower priority than the good ones' on the CPU that they share.\n"
    foreach {title field} {"p99" p99_us "p99.9" p999_us} {
        table [list "$title of the others, us" redis-shard "over alone" redis-server "over alone"] [lmap setting $settings {
            concat [list $setting] [beside_alone ours $setting $field] [beside_alone redis $setting $field]
        }]
    }
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

# Runs the body while bad clients of these kinds are at the server, and for as long as they are.
proc with_bad_clients {name kinds body} {
    set seconds [expr {int(ceil($::seconds)) + 3}]
    set channel [open |[list setpriv --pdeathsig KILL nice -n 5 taskset -c $::load_cpu build/soak/load $::server($name,port) mix $seconds [join $kinds ,] 2>@1] r]
    # Until the first of them have got what they asked for.
    after 500
    uplevel 1 $body
    set said [read $channel]
    if {[catch { close $channel }]} { error "the bad clients: [string trim $said]" }
    progress "    the bad ones: [string trim $said]"
    wait_for "the bad ones stay" 20 { [info_field $name connected_clients] < 10 }
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
