# What a key takes beyond its bytes and its value's, and what a node takes that has none.

# jemalloc's size class of a request: 16 bytes apart up to 128, then four classes to each power of two.
proc size_class {bytes} {
    if {$bytes <= 128} { return [expr {($bytes + 15) / 16 * 16}] }
    set top 256
    while {$top < $bytes} { set top [expr {$top * 2}] }
    set step [expr {$top / 8}]
    return [expr {($bytes + $step - 1) / $step * $step}]
}

# The mean of an entry's header and of what the allocator adds, over the sizes of values.
proc entry_costs {from to header} {
    set rounding 0
    for {set value $from} {$value <= $to} {incr value} {
        set bytes [expr {$header + 16 + $value}]
        incr rounding [expr {[size_class [expr {max($bytes, 16)}]] - $bytes}]
    }
    return [expr {$rounding / double($to - $from + 1)}]
}

section "Memory" {
    set count [keys 1000000]
    set names {ours redis memcached}
    set kinds {
        "values of 1-200 bytes" 1-200 {} "values of 1-200 bytes, with TTL" 1-200 {-e 1000000}
        "values of 16 bytes" 16 {} "values of 16 bytes, with TTL" 16 {-e 1000000}
        "values of 100 bytes" 100 {} "values of 100 bytes, with TTL" 100 {-e 1000000}
    }
    in_turns each $names {
        foreach {kind sizes options} $kinds {
            server_start $each $each
            set before [settled_bytes $each]
            if {$each eq "ours"} { set allocated_before [info_field ours used_memory] }
            fill $each $count -d $sizes {*}$options
            lassign [split $sizes -] from to
            if {$to eq ""} { set to $from }
            set payload [expr {16 + ($from + $to) / 2.0}]
            sample "$each $kind" [expr {([settled_bytes $each] - $before) / double($count) - $payload}]
            if {$each eq "ours"} {
                sample "allocated $kind" [expr {([info_field ours used_memory] - $allocated_before) / double($count) - $payload}]
            }
            progress [format "%-12s %-36s %6.1f bytes beyond key and value" $each $kind [lindex $::samples($each\ $kind) end]]
            server_stop $each
        }
    }
    say "Growth of resident anonymous memory over the loading of $count keys of 16 bytes, less the bytes of keys and values, for each key. redis-shard and\
        redis-server were told to `MEMORY PURGE` before the second look; memcached's hash table doubles at 1.5 keys a bucket and is between two sizes here.\n"
    table {"bytes for each key beyond key and value" redis-shard redis-server ratio memcached ratio} [lmap {kind sizes options} $kinds {
        set ours [middle "ours $kind"]
        set row [list $kind [format %.1f $ours]]
        foreach each {redis memcached} { lappend row [format %.1f [middle "$each $kind"]] [format %.2f [ratio $ours [middle "$each $kind"]]] }
        set row
    }]
    say "The sum of it, in bytes for each key:\n"
    table {"" header deadline "the allocator's rounding" "table, and hints of deadlines" "pages not full, and the rest" sum} [lmap {kind sizes options} $kinds {
        lassign [split $sizes -] from to
        if {$to eq ""} { set to $from }
        set deadline [expr {$options eq {} ? 0 : 5}]
        set rounding [entry_costs $from $to [expr {3 + $deadline}]]
        set allocated [middle "allocated $kind"]
        set table [expr {$allocated - 3 - $deadline - $rounding}]
        set all [middle "ours $kind"]
        concat [list $kind 3 $deadline] [lmap n [list $rounding $table [expr {$all - $allocated}] $all] { format %.1f $n }]
    }]
    say "Header, deadline and rounding follow from the entry's layout and jemalloc's size classes; table and hints are what else was allocated (`used_memory`), the rest\
        what is resident beyond that: pages that are partly used, and the allocator's own notes. The 16384 slots are there before the first key and count as the empty node's.\n"
    target "Bytes for each key beyond key and value, values of 1-200 bytes" [middle "ours values of 1-200 bytes"] <= 30 %.1f
    target "Bytes for each key beyond key and value, values of 1-200 bytes, with TTL" [middle "ours values of 1-200 bytes, with TTL"] <= 34 %.1f

    # Side by side, once, and not told to purge: what they started with they are to give back by themselves.
    foreach each {ours idle redis} { server_start $each $each }
    after 15000
    foreach each {ours idle redis} { sample "empty $each" [anonymous_bytes $each] }
    set mib [expr {1024.0 * 1024}]
    table {"an empty node, 15 s after its start: resident anonymous memory" MiB} [list \
        [list "redis-shard, one worker, 16384 slots" [format %.2f [expr {[middle "empty ours"] / $mib}]]] \
        [list "an idle program with libev, jemalloc and one thread" [format %.2f [expr {[middle "empty idle"] / $mib}]]] \
        [list "redis-server" [format %.2f [expr {[middle "empty redis"] / $mib}]]]]
    target "An empty node beyond an idle libev program, MiB" [expr {([middle "empty ours"] - [middle "empty idle"]) / $mib}] <= 4
}
