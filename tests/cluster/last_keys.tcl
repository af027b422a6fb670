# Slots are given up by a node that has no keys only, whatever is written at that moment.

test "FLUSHSLOTS and RESET while keys come and go leave none behind" {
    if {[server_is_redis]} { skip "redis-server runs one command at a time" }
    node_start ada [dict merge $::cluster_options {io-threads 4 cluster-require-full-coverage no}]
    for {set i 0} {$i < 1500} {incr i} { append coming_and_going [resp::encode set k v][resp::encode del k] }
    on ada ping
    foreach name {b c} { connect $name ada }
    set done 0
    for {set round 0} {$round < 60} {incr round} {
        on ada cluster addslotsrange 0 16383
        eventually { [field_of [on ada cluster info] cluster_state] eq "ok" }
        foreach name {b c} { resp::write $name $coming_and_going }
        # Where it is refused there was a key at that moment: it is said again.
        set until [expr {[clock milliseconds] + 60000}]
        while {[catch { on ada cluster {*}[expr {$round % 2 ? "flushslots" : "reset"}] }]} { assert {[clock milliseconds] < $until} }
        foreach name {b c} { for {set i 0} {$i < 3000} {incr i} { catch { resp::read $name } } }
        incr done
        assert_equal 0 [on ada dbsize] "round $round: keys that nobody serves"
    }
    assert_equal 60 $done
    # Inside EXEC all the locks are held already.
    on ada cluster addslotsrange 0 16383
    on ada multi
    on ada set k v
    on ada cluster flushslots
    on ada del k
    on ada cluster flushslots
    assert_match "OK *DB must be empty to perform CLUSTER FLUSHSLOTS.* 1 OK" [on ada exec]
}
