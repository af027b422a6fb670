# Connections that say nothing: what they take, and what they cost those that do.
section "Idle connections" {
    set idle [keys 10000]
    set count [keys 100000]
    server_start ours ours {--maxclients 15000}
    server_start redis redis {--maxclients 15000}
    foreach each {ours redis} { fill $each $count }
    servers_rest {ours redis}
    in_turns each {ours redis} {
        set before [settled_bytes $each]
        sample_fields "$each alone" [measure $each -t get -P 1 -k $count]
        set holder [open |[list setpriv --pdeathsig KILL build/bench/load -t idle -p $::server($each,port) -c $idle 2>@1] r+]
        if {[gets $holder] ne "connected"} { error "no $idle connections: [read $holder]" }
        wait_for "not all are accepted" 20 { [info_field $each connected_clients] >= $idle }
        sample "$each bytes" [expr {([settled_bytes $each] - $before) / double($idle)}]
        sample_fields "$each crowded" [measure $each -t get -P 1 -k $count]
        close $holder
        wait_for "not all are closed" 20 { [info_field $each connected_clients] < 100 }
    }
    table [list "" redis-shard redis-server] [lmap {title key format} [list \
        "resident bytes for each of $idle idle connections" "bytes" %.0f \
        "p50 of 50 busy ones, without the idle, us" "alone,p50_us" %.1f "p50, with them" "crowded,p50_us" %.1f \
        "p99, without, us" "alone,p99_us" %.1f "p99, with them" "crowded,p99_us" %.1f \
        "CPU per command, without, us" "alone,total_us" %.3f "CPU per command, with them" "crowded,total_us" %.3f] {
        list $title [format $format [middle "ours $key"]] [format $format [middle "redis $key"]]
    }]
    target "An idle connection: resident bytes" [middle "ours bytes"] <= 1024 %.0f
    target "$idle idle connections: p50 of the busy ones, over p50 without" [ratio [middle "ours crowded,p50_us"] [middle "ours alone,p50_us"]] <= 1.05
    target "$idle idle connections: CPU per command, over that without" [ratio [middle "ours crowded,total_us"] [middle "ours alone,total_us"]] <= 1.05
}
