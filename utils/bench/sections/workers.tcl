# What a second worker costs: locks that are now contended, cache lines that now travel.
proc cpu_range {from count} { return $from-[expr {$from + $count - 1}] }

# The CPUs of the load where the server has `workers`: the others, or, where there are too few, all.
proc load_cpus {workers} {
    set cpus {}
    for {set i $workers} {$i < $::cpus && [llength $cpus] < 8} {incr i} { lappend cpus $i }
    if {$::cpus < 2 * $workers} {
        set cpus {}
        for {set i 0} {$i < min($workers, $::cpus)} {incr i} { lappend cpus $i }
    }
    return $cpus
}

section "Workers" {
    set count [keys 1000000]
    set shared [expr {$::cpus < 4}]
    set places [expr {$shared ? $::cpus : 2}]
    foreach {name workers} {one 1 two 2} {
        server_start $name ours [list --io-threads $workers] [cpu_range 0 $places]
        fill $name $count
    }
    foreach depth {1 16} {
        in_turns each {one two} { sample_fields "$each mix x$depth" [run_loads $each [load_cpus 2] -t mix -P $depth -k $count -s $::seconds] }
        in_turns keys {all one} {
            sample_fields "$keys key x$depth" [run_loads two [load_cpus 2] -t get -P $depth -k [expr {$keys eq "one" ? 1 : $count}] -s $::seconds]
        }
    }
    if {$shared} {
        say "This machine has $::cpus CPUs: server and load share them, so throughputs are of both together, and only the server's CPU per command is its own.\n"
    } else {
        say "Server on CPUs [cpu_range 0 $places], load on CPUs [load_cpus 2].\n"
    }
    table {"GET and SET, half and half, uniform keys" "one worker" "two workers" ratio} [concat {*}[lmap depth {1 16} {
        lmap {title field} {"CPU per command, us" total_us "commands a second" per_second} {
            set one [middle "one mix x$depth,$field"]
            set two [middle "two mix x$depth,$field"]
            list "$title, pipeline $depth" [format %.6g $one] [format %.6g $two] [format %.2f [ratio $two $one]]
        }
    }]]
    table {"GET through two workers" "uniform keys" "one hot key" ratio} [lmap depth {1 16} {
        set all [middle "all key x$depth,per_second"]
        set hot [middle "one key x$depth,per_second"]
        list "commands a second, pipeline $depth" [format %.0f $all] [format %.0f $hot] [format %.2f [ratio $hot $all]]
    }]
    foreach depth {1 16} {
        target "Two workers, half GET, half SET, pipeline $depth: CPU per command over one worker's" \
            [ratio [middle "two mix x$depth,total_us"] [middle "one mix x$depth,total_us"]] <= 1.10
        target "One hot key, two workers, pipeline $depth: throughput over that of uniform keys" \
            [ratio [middle "one key x$depth,per_second"] [middle "all key x$depth,per_second"]] >= 0.8
    }
    if {$::cpus < 4} return

    servers_stop
    set rows {}
    foreach workers {1 2 4 8} {
        if {2 * $workers > $::cpus} break
        server_start many ours [list --io-threads $workers] [cpu_range 0 $workers]
        fill many $count
        in_turns run_of {many} { sample_fields "$workers workers" [run_loads many [load_cpus $workers] -t mix -P 16 -k $count -s $::seconds] }
        server_stop many
        lappend rows [list $workers [format %.0f [middle "$workers workers,per_second"]] [format %.3f [middle "$workers workers,total_us"]] \
            [format %.2f [ratio [middle "$workers workers,per_second"] [middle "1 workers,per_second"]]]]
    }
    table {workers "commands a second" "CPU per command, us" "times one worker"} $rows
}
