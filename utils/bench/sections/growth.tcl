# One slot that grows to millions of keys: no command may pay for the growth of the table it happens to find full.
section "Growth of one slot" {
    set count [keys 5000000]
    set names {ours redis}
    foreach each $names {
        server_start $each $each
        catch { ask $each config resetstat }
        # Many small batches: a pause shows as a slow command, not as a slow batch.
        sample_fields "$each growing" [fill $each $count -a "{a}:" -P 16]
        set histogram($each) [histogram_of [ask $each latency histogram set]]
        server_stop $each
    }
    say "$count keys set into one slot, one worker. How many commands took how long on the server, as its own `LATENCY HISTOGRAM` says: time on the clock, so a\
        command during which the kernel gave the CPU to somebody else counts with that.\n"
    set bounds [lsort -integer -unique [concat [dict keys $histogram(ours)] [dict keys $histogram(redis)]]]
    table {"took, us, up to" redis-shard redis-server} [lmap bound $bounds {
        concat $bound [lmap each $names { expr {[dict exists $histogram($each) $bound] ? [dict get $histogram($each) $bound] : 0} }]
    }]
    set slow 0
    foreach {bound commands} $histogram(ours) { if {$bound > 1024} { incr slow $commands } }
    say "What the clients saw: p99.9 [format %.0f [middle "ours growing,p999_us"]] us, the longest [format %.1f [expr {[middle "ours growing,max_us"] / 1000}]] ms\
        (redis-server: [format %.0f [middle "redis growing,p999_us"]] us, [format %.1f [expr {[middle "redis growing,max_us"] / 1000}]] ms), in batches of 16 from $::connections connections.\n"
    target "Growth of one slot to $count keys: commands that took more than a millisecond" $slow <= 0 %.0f
}

# LATENCY HISTOGRAM counts up to each bound; this gives how many fell between it and the one before.
proc histogram_of {reply} {
    set out {}
    set before 0
    foreach {bound up_to} [lindex [dict get $reply set] 3] {
        lappend out $bound [expr {$up_to - $before}]
        set before $up_to
    }
    return $out
}
