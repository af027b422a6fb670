# Does memory come back? Values of one size, most of them deleted at random, then values of another size: each page that holds one survivor
# stays, and the new size cannot use what is free in it.
section "Fragmentation" {
    set count [keys 2000000]
    set names {ours redis}
    set moments {"filled, values of 100 bytes" "80 % deleted at random" "as much again in values of 200 bytes" "the first fifth deleted too"}
    foreach each $names {
        server_start $each $each
        foreach moment $moments load [list [list -t load -d 100] [list -t delete -f 0.8] [list -t load -a new: -d 200 -k [expr {$count / 2}]] [list -t delete]] {
            run_load $each -P 64 -k $count {*}$load
            set resident [settled_bytes $each]
            sample "$each $moment,resident" $resident
            sample "$each $moment,allocated" [info_field $each used_memory]
        }
        server_stop $each
    }
    set mib [expr {1024.0 * 1024}]
    say "One run: memory repeats itself. After `MEMORY PURGE`, each time.\n"
    table {moment "redis-shard: allocated, MiB" "resident, MiB" ratio "redis-server: allocated, MiB" "resident, MiB" ratio} [lmap moment $moments {
        set row [list $moment]
        foreach each $names {
            set allocated [middle "$each $moment,allocated"]
            set resident [middle "$each $moment,resident"]
            lappend row [format %.0f [expr {$allocated / $mib}]] [format %.0f [expr {$resident / $mib}]] [format %.2f [ratio $resident $allocated]]
        }
        set row
    }]
}
