# redis-cli --cluster backup: a file for each node, which together hold the cluster's keys.

test "redis-cli --cluster backup saves what every node has" {
    if {[server_is_redis]} { skip "ours only" }
    with_cluster {ada bob cleo} {
        for {set i 0} {$i < 300} {incr i} {
            set key key$i
            on [owner_of $key] set $key value$i
        }
        set dir [file join [test_dir] backup]
        file mkdir $dir
        exec redis-cli --cluster backup 127.0.0.1:[node_port ada] $dir 2>@1
        set files [glob -directory $dir *.rdb]
        assert_equal 3 [llength $files]
        set all ""
        foreach file $files {
            assert_match "*RDB looks OK*" [exec redis-check-rdb $file]
            append all [read_file $file]
        }
        for {set i 0} {$i < 300} {incr i} { assert_equal 1 [regexp -all "key$i.value$i\[^0-9\]" $all] }
        assert {[file exists [file join $dir nodes.json]]}
    }
}
