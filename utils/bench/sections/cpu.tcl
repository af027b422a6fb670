# A million keys, in no order: most commands wait for memory, which is what the table's shape and the look-ahead are for.
section "CPU per command, a million keys" {
    set names {ours redis memcached}
    set count [keys 1000000]
    set workloads {}
    each_run {
        foreach each $names {
            server_start $each $each
            fill $each $count
        }
        servers_rest $names
        foreach work {get set} {
            foreach depth {1 16 64} {
                set workload "[string toupper $work], pipeline $depth"
                if {$workload ni $workloads} { lappend workloads $workload }
                foreach each [turn_order $names] {
                    sample_fields "$each $workload" [measure $each -t $work -P $depth -k $count]
                }
            }
        }
        servers_stop
    }
    say "$::connections connections, $count keys of 16 bytes taken at random, values of 64 bytes. All servers are up at the same time and are measured in\
        turns. `total` is the time the kernel gave the server's threads; `user` and `system` are how it splits it, by samples. memcached speaks\
        its text protocol, in which it answers each `get` with a write of its own: its user time compares, its system time only in part.\n"
    comparison "Server CPU per command, user" us user_us %.3f less $workloads $names
    comparison "Server CPU per command, system" us system_us %.3f less $workloads $names
    comparison "Server CPU per command, total" us total_us %.3f less $workloads $names
    comparison "Throughput" thousand/s per_second %.1f more $workloads $names 1000
    comparison "Latency, p50" us p50_us %.0f less $workloads $names
    comparison "Latency, p99" us p99_us %.0f less $workloads $names
    comparison "Latency, p99.9" us p999_us %.0f less $workloads $names
    say "How busy server and load were; a server less than fully busy was not the limit.\n"
    table [concat workload [concat {*}[lmap each $names { list [title_of $each] "its load" }]]] [lmap workload $workloads {
        concat [list $workload] [concat {*}[lmap each $names {
            list [format "%.0f %%" [expr {100 * [middle "$each $workload,server_busy"]}]] [format "%.0f %%" [expr {100 * [middle "$each $workload,load_busy"]}]]
        }]]
    }]
    foreach {workload limit} {"GET, pipeline 16" 0.20 "GET, pipeline 64" 0.20 "SET, pipeline 16" 0.25 "SET, pipeline 64" 0.25} {
        target "$workload, a million keys: user CPU over redis-server's" [ratio [middle "ours $workload,user_us"] [middle "redis $workload,user_us"]] <= $limit
    }
}
