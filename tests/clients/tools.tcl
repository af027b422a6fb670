# redis-cli and redis-benchmark, through a cluster and against a lone node.

source [file join [file dirname [info script]] clients_cases.tcl]
set ::clients_name "the redis tools"

# Gives redis-cli lines to run one after another on one connection; a list of {replies redirects}.
proc cli_lines {options port lines} {
    set output [exec timeout 300 redis-cli -h 127.0.0.1 -p $port {*}$options << "[join $lines \n]\n" 2>@1]
    set replies {}
    set redirects 0
    foreach line [split $output \n] {
        if {[string match "-> Redirected to slot *" $line]} { incr redirects } else { lappend replies $line }
    }
    return [list $replies $redirects]
}

proc cli_replies {options port lines} {
    return [lindex [cli_lines $options $port $lines] 0]
}

proc cli_keys_of_all_slots {options port is_cluster} {
    set writes {}
    set reads {}
    set values {}
    for {set i 0} {$i < 600} {incr i} {
        lappend writes "set cli:$i value-$i"
        lappend reads "get cli:$i"
        lappend values value-$i
    }
    lassign [cli_lines $options $port $writes] replies redirects
    assert_equal [lrepeat 600 OK] $replies
    # Two keys of three are elsewhere than where redis-cli stands.
    if {$is_cluster} { assert { $redirects > 200 } } else { assert_equal 0 $redirects }
    assert_equal $values [cli_replies $options $port $reads]
}

proc cli_deadline {options port} {
    assert_equal OK [cli_replies $options $port {{set cli:brief v px 150}}]
    # The PING keeps the empty line from being the last one, which exec would take away.
    eventually { [cli_replies $options $port {{get cli:brief} ping}] eq {{} PONG} }
    lassign [cli_replies $options $port {{set cli:longer v ex 100} {ttl cli:longer}}] ok left
    assert { $left > 50 && $left <= 100 } "$ok $left"
}

proc cli_counts {options port} {
    assert_equal {1 2 3} [cli_replies $options $port {{incr cli:count} {incr cli:count} {incr cli:count}}]
}

proc cli_one_tag {options port} {
    set lines {{mset {cli}:1 one {cli}:2 two {cli}:3 three} {mget {cli}:1 {cli}:2 {cli}:3}}
    assert_equal {OK one two three} [cli_replies $options $port $lines]
}

proc cli_transaction {options port} {
    # The read takes redis-cli to the node that owns the slot; a transaction does not move.
    set lines {{get {cli}:absent} multi {set {cli}:a v} {incr {cli}:n} {get {cli}:a} exec}
    assert_equal {{} OK QUEUED QUEUED QUEUED OK 1 v} [cli_replies $options $port $lines]
}

proc cli_told {options port} {
    set lines {{set cli:text text} {incr cli:text}}
    assert_equal {OK {ERR value is not an integer or out of range}} [lrange [cli_replies $options $port $lines] 0 1]
    assert_match "ERR unknown command 'nosuch'*" [lindex [cli_replies $options $port {nosuch}] 0]
}

proc cli_protocol {options port resp} {
    assert_match "* resp=$resp *" [cli_replies $options $port {{client info}}]
}

proc cli_tests {label options port is_cluster resp} {
    test "$label writes and reads back keys of all slots" [list cli_keys_of_all_slots $options $port $is_cluster]
    test "$label sees a key end at its deadline" [list cli_deadline $options $port]
    test "$label counts" [list cli_counts $options $port]
    test "$label reads many keys of one tag at once" [list cli_one_tag $options $port]
    test "$label runs a transaction on one slot" [list cli_transaction $options $port]
    test "$label is told what was wrong" [list cli_told $options $port]
    test "$label speaks RESP$resp" [list cli_protocol $options $port $resp]
}

# Every workload must have run to its end, and nothing been said but that.
proc benchmark {port args} {
    set output [exec timeout 300 redis-benchmark -h 127.0.0.1 -p $port -n 3000 -c 10 -r 10000 -q {*}$args 2>@1]
    assert_equal 3 [regexp -all {requests per second} $output] $output
    foreach word {error Error MOVED WARNING "not support"} { assert { [string first $word $output] < 0 } $output }
}

with_dev_cluster {
    set port [node_port dev1]
    foreach {label options resp} {"redis-cli -c" {-c} 2 "redis-cli -c -3" {-c -3} 3} {
        foreach i {1 2 3} { on dev$i flushall }
        cli_tests "$label, cluster:" $options $port 1 $resp
        test "$label, cluster: wrote to all nodes" { assert_all_nodes_have_keys 100 }
    }
    test "redis-cli, cluster: --cluster check and call find nothing wrong" {
        set output [exec redis-cli --cluster check 127.0.0.1:[node_port dev2] << "" 2>@1]
        assert_match "*All nodes agree about slots configuration*All 16384 slots covered*" $output
        set output [exec redis-cli --cluster call 127.0.0.1:[node_port dev2] ping << "" 2>@1]
        assert_equal 3 [regexp -all {PONG} $output] $output
    }
    foreach {label options} {"one by one" {} "pipelined" {-P 16}} {
        foreach i {1 2 3} { on dev$i flushall }
        test "redis-benchmark --cluster, $label: runs SET, GET and INCR on all nodes" {
            benchmark [node_port dev1] --cluster -t set,get,incr {*}$::options
            assert_all_nodes_have_keys 10
        }
    }
}

test "redis-cli, solo: a node that was told nothing serves it" {
    with_node ada {cluster-enabled yes} {
        cli_keys_of_all_slots {} [node_port ada] 0
        cli_deadline {} [node_port ada]
        cli_counts {} [node_port ada]
        cli_one_tag {} [node_port ada]
        cli_transaction {} [node_port ada]
        cli_told {} [node_port ada]
        cli_protocol {} [node_port ada] 2
    }
}

test "redis-cli -3, solo: a node that was told nothing serves it" {
    with_node ada {cluster-enabled yes} {
        cli_keys_of_all_slots -3 [node_port ada] 0
        cli_transaction -3 [node_port ada]
        cli_told -3 [node_port ada]
        cli_protocol -3 [node_port ada] 3
    }
}

test "redis-benchmark, solo: a node that was told nothing serves it" {
    with_node ada {cluster-enabled yes} {
        benchmark [node_port ada] -t set,get,incr
        benchmark [node_port ada] -t set,get,incr -P 16
        assert { [on ada dbsize] > 1000 }
    }
}
