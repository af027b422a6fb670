# The end of a node that has everything to do: what waits is let go, what is on its way is dropped, and nothing is touched that is gone already.

# Clients that listen, wait, are held, or are in the middle of something, on all workers.
proc crowd {node target} {
    for {set i 0} {$i < 4} {incr i} {
        connect monitor$i $node
        resp::do monitor$i monitor
        connect listener$i $node
        resp::send listener$i psubscribe *
        resp::read listener$i
    }
    on $node mset moving 1 staying 2
    connect mover $node
    resp::send mover migrate 127.0.0.1 $target moving 0 60000
    eventually { "restore" in [heard_names] }
    connect loader $node
    resp::do loader fetch gone lease 60000
    for {set i 0} {$i < 8} {incr i} {
        connect waiter$i $node
        resp::send waiter$i fetch gone lease 60000 wait 60000
        connect late$i $node
        resp::send late$i append moving x
        connect idle$i $node
    }
    eventually { [info_field $node blocked_clients] >= 8 }
}

# What is still running when the end comes: each write is an event, and a line for those who monitor.
proc busy {node count} {
    set bytes ""
    for {set i 0} {$i < 1500} {incr i} { append bytes [resp::encode set key:$i value px 3] [resp::encode publish news $i] [resp::encode del gone] }
    for {set i 0} {$i < $count} {incr i} {
        connect busy$i $node
        resp::write busy$i $bytes
    }
}

test "it ends in the middle of everything, whatever waits" {
    for {set round 0} {$round < 6} {incr round} {
        node_start ada {io-threads 4 notify-keyspace-events KEA}
        set target [fake_start { return [expr {[lindex $words 0] ne "RESTORE" ? "+OK\r\n" : ""}] }]
        crowd ada $target
        busy ada 6
        node_signal ada TERM
        assert_equal "exit 0" [node_wait_end ada]
        fake_stop
        connections_end
    }
}

test "it ends in the middle of everything as a node of a cluster with policies, too" {
    for {set round 0} {$round < 6} {incr round} {
        node_start ada {io-threads 4 notify-keyspace-events KEA cluster-enabled yes}
        # While there are policies hot keys are looked at, ten times a second, and with them the workers' counts.
        assert_equal OK [on ada policy set key: ttl 100 salt 4]
        for {set i 0} {$i < 300} {incr i} { connect client$i ada }
        busy ada 4
        node_signal ada TERM
        assert_equal "exit 0" [node_wait_end ada]
        connections_end
    }
}
