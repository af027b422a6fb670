# report.tcl: what is told, as Markdown; and the targets, each with its figure and whether it was met.

set report_lines {}
set targets {}      ;# rows of the list that opens the report
set targets_met 0
set targets_missed 0

proc say {text} {
    puts $text
    lappend ::report_lines $text
}

# --- Tables ---
# The first column is words, the others are numbers; a column named "" is for remarks.
proc table {columns rows} {
    say "| [join $columns { | }] |"
    say "|---|[join [lmap column [lrange $columns 1 end] { expr {$column eq "" ? "---" : "---:"} }] |]|"
    foreach row $rows { say "| [join $row { | }] |" }
    say ""
}

# Ours beside each other server, and the ratio. Worse by more than 2 % is "lost", whichever direction is better.
proc comparison {title unit field format better workloads names {scale 1}} {
    set columns [list $title "redis-shard, $unit"]
    foreach name [lrange $names 1 end] { lappend columns "[title_of $name]" "ratio" "" }
    set rows {}
    foreach workload $workloads {
        set ours [middle "[lindex $names 0] $workload,$field"]
        set row [list $workload [format $format [expr {$ours / double($scale)}]]]
        foreach name [lrange $names 1 end] {
            set theirs [middle "$name $workload,$field"]
            lappend row [format $format [expr {$theirs / double($scale)}]] [format %.2f [ratio $ours $theirs]] [verdict $ours $theirs $better]
        }
        lappend rows $row
    }
    table $columns $rows
}

proc ratio {a b} { return [expr {$b == 0 ? 0.0 : $a / double($b)}] }

proc verdict {ours theirs better} {
    set ratio [ratio $ours $theirs]
    if {$better eq "more"} { set ratio [ratio $theirs $ours] }
    return [expr {$ratio > 1.02 ? "**lost**" : $ratio > 0.98 ? "even" : ""}]
}

proc title_of {name} {
    return [expr {$name eq "ours" ? "redis-shard" : $name eq "redis" ? "redis-server" : $name}]
}

# --- Targets ---
# The relation is <= or >=. Printed where it is measured, and once more at the top.
proc target {what value relation limit {format %.2f}} {
    set met [expr "$value $relation $limit"]
    set row [list $what [format $format $value] "$relation [format $format $limit]" [expr {$met ? "met" : "**missed**"}]]
    lappend ::targets $row
    incr ::targets_[expr {$met ? "met" : "missed"}]
    say "- $what: [lindex $row 1], target [lindex $row 2]: [lindex $row 3]"
}

# --- Sections that programs of their own measure: each prints Markdown ---
proc run_script {path} {
    if {![file executable $path]} {
        say "Not here yet: `$path`."
        return
    }
    set ::env(RUNS) $::runs
    set ::env(BENCH_SECONDS) $::seconds
    set output [exec timeout -k 5 400 setpriv --pdeathsig TERM $path </dev/null 2>@stderr]
    say [string trim $output]
    # Its targets belong to the list, too.
    foreach {- what value wanted verdict} [regexp -all -inline -line {^- (.*): (\S+), target (.*): (met|\*\*missed\*\*)$} $output] {
        lappend ::targets [list $what $value $wanted $verdict]
        incr ::targets_[expr {$verdict eq "met" ? "met" : "missed"}]
    }
}

# --- The whole ---
proc report_begin {} {
    set ::load_before [load_average]
}

proc report_end {path failed} {
    set body $::report_lines
    set ::report_lines {}
    puts "\n----\n"
    say "$::runs run[expr {$::runs > 1 ? "s" : ""}] of $::seconds s for each workload, medians, [clock format [clock seconds] -format %Y-%m-%d -gmt 1].\
        Server on CPU $::server_cpu, load on CPU $::load_cpu of $::cpus ([cpu_name]), unless a section says otherwise. Linux [kernel],\
        [version_of redis], [version_of memcached]. Load average before: $::load_before, after: [load_average]\
        (the benchmark's own is between 1 and $::cpus)."
    if {$::short} { say "\nThis was a quick look (`SHORT=1`): too short, and with too few keys, to be believed." }
    say "\n## Targets: $::targets_met met, $::targets_missed missed\n"
    table {target measured wanted ""} $::targets
    if {$failed ne {}} { say "Not measured: [join $failed {, }]." }
    set file [open $path.tmp w]
    puts $file [string trim [join [concat $::report_lines $body] \n]]
    close $file
    file rename -force $path.tmp $path
    puts stderr "bench: written to $path"
}

proc cpu_name {} {
    set name "unknown CPU"
    catch { regexp {model name\s*:\s*([^\n]+)} [exec cat /proc/cpuinfo] - name }
    return $name
}

proc kernel {} { return [join [lrange [split [exec uname -r] .-] 0 1] .] }

proc load_average {} { return [lindex [exec cat /proc/loadavg] 0] }

proc version_of {kind} {
    if {[catch { exec $::binary($kind) --version } text]} { return "no $kind" }
    regexp {(?:v=|memcached )(\S+)} $text - version
    return "[title_of $kind] $version"
}
