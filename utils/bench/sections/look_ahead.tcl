# What the look-ahead over a batch is worth, where the table is far larger than any cache.
section "Look-ahead" {
    set count [keys 10000000]
    server_start ours ours
    if {[catch { ask ours config set look-ahead 64 } message]} {
        say "Skipped: the look-ahead cannot be switched off (`CONFIG SET look-ahead`: $message)."
        return
    }
    fill ours $count
    in_turns ahead {64 0} {
        ask ours config set look-ahead $ahead
        foreach work {get set} {
            foreach depth {16 64} { sample_fields "$ahead [string toupper $work], pipeline $depth" [measure ours -t $work -P $depth -k $count] }
        }
    }
    say "One node with $count keys; user CPU per command, with the look-ahead over 64 commands and without it.\n"
    table {workload "with, us" "without, us" ratio} [lmap workload {"GET, pipeline 16" "GET, pipeline 64" "SET, pipeline 16" "SET, pipeline 64"} {
        set with [middle "64 $workload,user_us"]
        set without [middle "0 $workload,user_us"]
        list $workload [format %.3f $with] [format %.3f $without] [format %.2f [ratio $with $without]]
    }]
    target "GET, pipeline 16, $count keys: user CPU with look-ahead over that without" \
        [ratio [middle "64 GET, pipeline 16,user_us"] [middle "0 GET, pipeline 16,user_us"]] <= 1
}
