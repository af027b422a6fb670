# How many instructions a command takes, counted by valgrind's callgrind: a number that no busy neighbour and no power saving changes, so
# that a few lines too many on the path of every command show in a test rather than in somebody's benchmark a year later.
#
# What is counted is the dispatch of batches alone (callgrind toggles at the function named below): neither the loop's idle turns and
# timers, nor the socket. Each family sends the same commands in batches of sixteen over one connection to a node with one worker. An
# ECHO ends a family: callgrind writes down what it has counted when its handler is entered, and begins again at nothing.
#
# recorded.txt holds what it was, and for which compiler and libraries; with others the counts are shown, but judged by nobody. A family
# that takes 5 % more than recorded fails. Where that is worth it, `make instructions-record` writes the file anew.

set ::counted_function worker_answer
set ::commands_a_family 2048
set ::commands_a_batch 16
set ::tolerance 0.05
set ::recorded_path [file join $::root tests/instructions/recorded.txt]

# --- The families: a name, and the n-th command of it. They run in this order, on what those before have left. ---
set ::families {}
proc family {name command} { lappend ::families $name $command }
proc key {n} { return key:[format %012d $n] }
proc in_one_slot {n} { return "{tag}:[format %010d $n]" }
set ::value [string repeat v 64]

family "PING" { list ping }
family "an unknown command" { list no-such-command }
family "SET a new key" { list set [key $n] $::value }
family "SET over a value" { list set [key $n] $::value }
family "GET" { list get [key $n] }
family "GET a missing key" { list get missing:$n }
family "SET with EX" { list set [key $n] $::value ex 1000 }
family "GET with a deadline" { list get [key $n] }
family "SET KEEPTTL XX GET" { list set [key $n] $::value keepttl xx get }
family "STRLEN" { list strlen [key $n] }
family "GETRANGE" { list getrange [key $n] 10 20 }
family "APPEND" { list append [key $n] x }
family "INCR" { list incr number:[expr {$n % 64}] }
family "INCRBYFLOAT" { list incrbyfloat float:[expr {$n % 64}] 0.5 }
family "MSET of 8" { list mset {*}[concat {*}[lmap i {0 1 2 3 4 5 6 7} { list [in_one_slot [expr {$n % 128 * 8 + $i}]] $::value }]] }
family "MGET of 8" { list mget {*}[lmap i {0 1 2 3 4 5 6 7} { in_one_slot [expr {$n % 128 * 8 + $i}] }] }
family "EXISTS" { list exists [key $n] }
family "TYPE" { list type [key $n] }
family "EXPIRE" { list expire [key $n] 2000 }
family "TTL" { list ttl [key $n] }
family "PERSIST" { list persist [key $n] }
family "MULTI, INCR, INCR, EXEC" { lindex {multi {incr {{t}}} {incr {{t}}} exec} [expr {$n % 4}] }
family "SCAN, COUNT 10" { list scan [expr {$n * 8}] count 10 }
family "DEL" { list del [key $n] }
family "DEL a missing key" { list del [key $n] }

# --- Counting ---
proc run_family {command} {
    for {set n 0} {$n < $::commands_a_family} {incr n $::commands_a_batch} {
        set out ""
        for {set i 0} {$i < $::commands_a_batch} {incr i} {
            append out [resp::encode {*}[apply [list n $command] [expr {$n + $i}]]]
        }
        resp::write ada $out
        for {set i 0} {$i < $::commands_a_batch} {incr i} { resp::read ada }
    }
}

# The counts in the order of the families: name, instructions for each command.
proc count_instructions {} {
    set out [file join [test_dir] callgrind]
    node_start ada [list io-threads 1 cluster-enabled yes @prefix [list valgrind --tool=callgrind --toggle-collect=$::counted_function \
        --dump-before=echo* --callgrind-out-file=$out]]
    on ada ping
    on ada echo begin
    foreach {name command} $::families {
        run_family $command
        on ada echo $name
    }
    node_stop ada
    set counts {}
    set dump 2   ;# the first is of what came before the families
    foreach {name command} $::families {
        set path $out.$dump
        assert {[file exists $path]} "callgrind wrote no $path: is the handler of ECHO still called echo?"
        assert {[regexp -line {^totals: (\d+)} [read_file $path] - total]} "no total in $path"
        assert {$total > $::commands_a_family} "nothing was counted: is $::counted_function still the function that runs a batch?"
        lappend counts $name [expr {$total / $::commands_a_family}]
        incr dump
    }
    return $counts
}

# What the counts depend on, beside our code. Functions of the C library and of xxhash are chosen by what the CPU can do.
proc environment {} {
    set flags {}
    regexp -line {^flags\s*:(.*)} [read_file /proc/cpuinfo] - flags
    set features [lmap feature {avx2 bmi2} { if {$feature ni $flags} continue; set feature }]
    regexp {GCC: [^\n\]]*|clang version [^\n\]]*} [exec readelf -p .comment [server_binary]] compiler
    return [list compiler $compiler libc [lindex [split [exec ldd --version] \n] 0] allocator [exec dpkg-query -W -f {${Package} ${Version}} libjemalloc2] \
        valgrind [exec valgrind --version] machine [string trim "[exec uname -m] $features"]]
}

# --- The record ---
proc record {environment counts} {
    set text "# Instructions for each command, by callgrind; `make instructions-record` writes this file, tests/instructions/instructions.tcl\n"
    append text "# says what is counted. The counts hold for what is named here.\n"
    foreach {what value} $environment { append text "# $what: $value\n" }
    foreach {name count} $counts { append text [format "%6d  %s\n" $count $name] }
    write_file $::recorded_path $text
}

# Two lists: the environment and the counts that were recorded.
proc recorded {} {
    set environment {}
    set counts {}
    foreach line [split [read_file $::recorded_path] \n] {
        if {[regexp {^# (\w+): (.*)$} $line - what value]} { lappend environment $what $value }
        if {[regexp {^ *(\d+)  (.*)$} $line - count name]} { lappend counts $name $count }
    }
    return [list $environment $counts]
}

test "no family of commands takes 5 % more instructions than recorded" {
    if {[server_is_redis]} { skip "the counts are of redis-shard" }
    if {[info exists ::env(SAN)] && $::env(SAN) ne ""} { skip "the counts are of the release build" }
    set environment [environment]
    set counts [count_instructions]
    if {[info exists ::env(RECORD)]} { record $environment $counts }
    lassign [recorded] former_environment former
    set judged [expr {$former_environment eq $environment}]
    set grown {}
    foreach {name count} $counts {
        if {![dict exists $former $name]} {
            puts [format "          %6d  %s (not recorded)" $count $name]
            lappend grown "$name is not recorded: make instructions-record"
            continue
        }
        set was [dict get $former $name]
        puts [format "          %6d  %+5.1f %%  %s" $count [expr {100.0 * $count / $was - 100}] $name]
        if {$count > $was * (1 + $::tolerance)} { lappend grown "$name: $was -> $count" }
    }
    if {!$judged} {
        foreach {what value} $environment {
            set was [expr {[dict exists $former_environment $what] ? [dict get $former_environment $what] : "unknown"}]
            if {$was ne $value} { puts "          not judged: $what is '$value', recorded for '$was'" }
        }
        return
    }
    if {$grown ne {}} { fail "more instructions than recorded:\n[join $grown \n]" }
}
