# Does memory come back? Values of one size, most of them deleted at random, then values of another size: each page that holds one survivor
# stays, and the new size cannot use what is free in it. Unless the survivors are moved together: our node once more with activedefrag.
section "Fragmentation" {
    set count [keys 2000000]
    set names {ours defragmented redis}
    set titles {redis-shard "with activedefrag" redis-server}
    set moments {"filled, values of 100 bytes" "80 % deleted at random" "as much again in values of 200 bytes" "the first fifth deleted too"}
    foreach each $names {
        set options [expr {$each eq "defragmented" ? {--activedefrag yes --active-defrag-ignore-bytes 4mb} : {}}]
        server_start $each [expr {$each eq "redis" ? "redis" : "ours"}] $options
        foreach moment $moments load [list [list -t load -d 100] [list -t delete -f 0.8] [list -t load -a new: -d 200 -k [expr {$count / 2}]] [list -t delete]] {
            run_load $each -P 64 -k $count {*}$load
            if {$each eq "defragmented"} { defrag_end $each }
            set resident [settled_bytes $each]
            sample "$each $moment,resident" $resident
            sample "$each $moment,allocated" [info_field $each used_memory]
        }
        if {$each eq "defragmented"} { set moved [info_field $each active_defrag_key_hits] }
        server_stop $each
    }
    set mib [expr {1024.0 * 1024}]
    say "One run: memory repeats itself. After `MEMORY PURGE`, each time; with activedefrag when that had come to its end, which moved $moved keys.\n"
    set heads moment
    foreach title $titles { lappend heads "$title: allocated, MiB" "resident, MiB" ratio }
    table $heads [lmap moment $moments {
        set row [list $moment]
        foreach each $names {
            set allocated [middle "$each $moment,allocated"]
            set resident [middle "$each $moment,resident"]
            lappend row [format %.0f [expr {$allocated / $mib}]] [format %.0f [expr {$resident / $mib}]] [format %.2f [ratio $resident $allocated]]
        }
        set row
    }]

    # What it costs those who read meanwhile: pipelines of one command, before, while and after.
    set moments {before while after}
    server_start defragmented ours {--active-defrag-ignore-bytes 4mb}
    run_load defragmented -P 64 -k $count -t load -d 100
    run_load defragmented -P 64 -k $count -t delete -f 0.8
    foreach moment $moments {
        if {$moment eq "while"} { ask defragmented config set activedefrag yes }
        set result [run_load defragmented -k $count -c 20 -t get -s [expr {$::short ? 0.3 : 1.5}]]
        foreach figure {per_second p50_us p99_us p999_us} { sample "$moment $figure" [dict get $result $figure] }
        sample "$moment moved" [info_field defragmented active_defrag_key_hits]
        if {$moment eq "while"} { defrag_end defragmented }
    }
    server_stop defragmented
    say "\nGETs by 20 connections of a node of which 80 % were deleted: before activedefrag is switched on, from then on, and when it has ended.\n"
    table {moment "GET/s" "p50, us" "p99, us" "p99.9, us" "keys moved by its end"} [lmap moment $moments {
        set row [list $moment]
        foreach figure {per_second p50_us p99_us p999_us moved} { lappend row [format %.0f [middle "$moment $figure"]] }
        set row
    }]
}

# It begins within a tenth of a second where there is something to do; a few times that, and none begins any more.
proc defrag_end {name} {
    set quiet 0
    wait_for "defragmentation of $name does not end" 300 {
        [set quiet [expr {[info_field $name active_defrag_running] == 0 ? $quiet + 1 : 0}]] > 20
    }
}
