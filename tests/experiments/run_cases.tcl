# The short form of each experiment (make experiments runs the long one). What holds on any machine is judged, never how long it took; and that the
# same script finds what is wrong with a plain cache on redis-server.

proc experiment {args} {
    set program [file join $::root build/experiments/experiments]
    set log [file join [test_dir] notes]
    file mkdir [test_dir]
    set failed [catch { exec env SHORT=1 SERVER_BINARY=[file normalize [server_binary]] TMPDIR=[test_dir] timeout -k 5 300 $program {*}$args </dev/null 2>$log } output]
    foreach line [split $output \n] {
        if {[string match "| E*" $line] || [string match "Seed*" $line]} { puts "          $line" }
    }
    if {$failed} { fail "[lsearch -all -inline [split $output \n] *MISS*]\n[read_file $log]" }
    assert_match "*PASS*" $output
}
