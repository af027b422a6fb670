# A thousand keys: everything is in the CPU's caches, and what is left is what the code itself takes.
section "CPU per command, a thousand keys" {
    set names {ours redis memcached}
    set workloads {"GET, pipeline 16" "SET, pipeline 16"}
    foreach each $names {
        server_start $each $each
        fill $each 1000 -c 1
    }
    in_turns each $names {
        foreach work {get set} {
            sample_fields "$each [string toupper $work], pipeline 16" [measure $each -t $work -P 16 -k 1000]
        }
    }
    comparison "Server CPU per command, user" us user_us %.3f less $workloads $names
    comparison "Server CPU per command, total" us total_us %.3f less $workloads $names
    target "GET, pipeline 16, a thousand keys: user CPU over redis-server's" \
        [ratio [middle "ours GET, pipeline 16,user_us"] [middle "redis GET, pipeline 16,user_us"]] <= 0.40
}
