# FLUSHALL of a full node: how long the client waits, how long the others do, and until when the memory is back.
section "FLUSHALL" {
    set count [keys 10000000]
    set mib [expr {1024.0 * 1024}]
    server_start ours ours {} 0-[expr {$::cpus - 1}]
    set empty [info_field ours used_memory]
    set turns [expr {$::short ? 1 : 3}]
    for {set run 1} {$run <= $turns} {incr run} {
        foreach load {idle busy} {
            fill ours $count
            set full [info_field ours used_memory]
            if {$load eq "busy"} {
                set channel [load_start ours $::load_cpu -t get -P 16 -k 1000 -s 3 -w 0.2]
                after 1000
            }
            set began [clock microseconds]
            ask ours flushall
            sample "$load ms" [expr {([clock microseconds] - $began) / 1000.0}]
            if {[ask ours dbsize] != 0} { error "FLUSHALL left [ask ours dbsize] keys" }
            wait_for "the memory of $count keys did not come back" 100 { [info_field ours used_memory] < $empty + ($full - $empty) / 100 }
            sample "$load freed_s" [expr {([clock microseconds] - $began) / 1e6}]
            if {$load eq "busy"} { sample "busy max_ms" [expr {[dict get [load_wait $channel] max_us] / 1000.0}] }
            sample "$load left" [expr {([info_field ours used_memory] - $empty) / $mib}]
            progress "$load: FLUSHALL took [lindex $::samples($load\ ms) end] ms"
        }
    }
    table [list "$count keys" "nothing else to do" "under load"] [list \
        [list "FLUSHALL returns after, ms" [format %.1f [middle "idle ms"]] [format %.1f [middle "busy ms"]]] \
        [list "99 % of the memory is free after, s" [format %.2f [middle "idle freed_s"]] [format %.2f [middle "busy freed_s"]]] \
        [list "allocated then, beyond the empty node, MiB" [format %.1f [middle "idle left"]] [format %.1f [middle "busy left"]]] \
        [list "the longest that another command took meanwhile, ms" "" [format %.1f [middle "busy max_ms"]]]]
    target "FLUSHALL of $count keys, ms" [middle "idle ms"] <= 10 %.1f
    target "FLUSHALL of $count keys under load, ms" [middle "busy ms"] <= 10 %.1f
}
