# One command at a time, the kernel is nearly all there is: so the measure is a server that does nothing else.
section "One command at a time, beside a server that does nothing" {
    set names {ours floor redis}
    set count [keys 1000000]
    set workloads {"GET, unpipelined" "SET, unpipelined"}
    foreach each $names { server_start $each $each }
    foreach each {ours redis} { fill $each $count }
    servers_rest {ours redis}
    in_turns each $names {
        foreach work {get set} { sample_fields "$each [string toupper $work], unpipelined" [measure $each -t $work -P 1 -k $count] }
    }
    say "`floor` (`utils/bench/floor.c`) is a bare epoll loop that answers whatever it reads from a constant.\n"
    comparison "Server CPU per command, total" us total_us %.3f less $workloads $names
    comparison "Server CPU per command, user" us user_us %.3f less $workloads $names
    comparison "Throughput" thousand/s per_second %.1f more $workloads $names 1000
    foreach workload $workloads {
        target "$workload, a million keys: total CPU over the floor's" [ratio [middle "ours $workload,total_us"] [middle "floor $workload,total_us"]] <= 1.10
    }
}
