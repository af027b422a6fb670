# What holds a worker holds nobody's heartbeat: no node suspects another while one of them is busy with what takes long.

# ada has every slot, and two workers. Each node says in its log whom it suspects, with for how long he was silent.
proc with_busy_node {body} {
    with_cluster {ada bob cleo} {cluster-node-timeout 2000 loglevel verbose io-threads 2 enable-debug-command yes client-query-buffer-limit 1gb} {
        set before [lmap name {ada bob cleo} { suspicions $name }]
        uplevel 1 $body
        assert_equal $before [lmap name {ada bob cleo} { suspicions $name }]
        foreach name {ada bob cleo} { assert_equal ok [field_of [on $name cluster info] cluster_state] }
    }
}

proc suspicions {name} { return [regexp -all {: suspected, silent for} [node_log $name]] }

test "a worker that sleeps for ten seconds makes nobody suspect its node" {
    with_busy_node {
        connect held ada
        resp::send held debug sleep 10
        assert_equal OK [resp::plain [resp::read held]]
    }
}

test "KEYS over five million keys makes nobody suspect its node" {
    with_busy_node {
        connect held ada
        resp::send held debug populate 5000000
        assert_equal OK [resp::plain [resp::read held]]
        resp::send held keys *:4999999
        assert_equal {key:4999999} [resp::plain [resp::read held]]
    }
}

test "a value of 500 MB, written and read, makes nobody suspect its node" {
    with_busy_node {
        set size 500000000
        set s [socket 127.0.0.1 [node_port ada]]
        fconfigure $s -translation binary -buffersize 1000000
        puts -nonewline $s "*3\r\n\$3\r\nset\r\n\$3\r\nbig\r\n\$$size\r\n"
        set part [string repeat v 1000000]
        for {set i 0} {$i < 500} {incr i} { puts -nonewline $s $part }
        puts -nonewline $s "\r\n*2\r\n\$6\r\nstrlen\r\n\$3\r\nbig\r\n*2\r\n\$3\r\nget\r\n\$3\r\nbig\r\n"
        flush $s
        assert_equal "+OK" [string trimright [gets $s] \r]
        assert_equal ":$size" [string trimright [gets $s] \r]
        assert_equal "\$$size" [string trimright [gets $s] \r]
        for {set left $size} {$left > 0} {incr left -[string length [read $s [expr {min($left, 1000000)}]]]} {
            if {[eof $s]} { fail "the connection ended, $left bytes before the value did" }
        }
        puts -nonewline $s "\r\n*2\r\n\$3\r\ndel\r\n\$3\r\nbig\r\n"
        flush $s
        gets $s
        assert_equal ":1" [string trimright [gets $s] \r]
        close $s
    }
}
