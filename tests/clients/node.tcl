# ioredis and node-redis, in RESP2 and RESP3, through a cluster and against a lone node.

source [file join [file dirname [info script]] clients_cases.tcl]
set ::clients_name "the Node clients"

# What npm says where the network or the registry is at fault. (124 is the status of `timeout`.)
set ::no_network {ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT|EPIPE|E429|E5\d\d|CHILDSTATUS \d+ 124}

# Installs what package-lock.json says, once. "" when it is there, else why not.
proc npm_install {} {
    set stamp [file join $::clients_dir node_modules .installed]
    set lock [read_file [file join $::clients_dir package-lock.json]]
    if {[file exists $stamp] && [read_file $stamp] eq $lock} { return "" }
    # A registry that does not answer may answer the next time.
    for {set tries 1} {[catch {exec -ignorestderr timeout 300 npm ci --prefix $::clients_dir </dev/null 2>@1} output options]} {incr tries} {
        append output "\n(npm: [dict get $options -errorcode])"
        if {$tries == 3 || ![regexp $::no_network $output]} { return $output }
        wait_ms [expr {$tries * 5000}]
    }
    write_file $stamp $lock
    return ""
}

set problem [npm_install]
test "npm ci installs what package-lock.json says" {
    # Without a network there is nothing to test; anything else is a mistake of ours.
    if {[regexp $::no_network $::problem]} { skip "npm reaches no registry" }
    assert_equal "" $::problem
}

if {$problem eq ""} {
    set node_command [list node [file join $::clients_dir checks.js]]
    set more {"speaks the protocol version it was asked for"}
    set clients {ioredis5 ioredis6 node-redis-resp2 node-redis-resp3}
    with_dev_cluster {
        foreach client $::clients { client_on_cluster $client $::node_command $::more }
    }
    foreach client $clients { client_on_solo_node $client $node_command $more }

    test "the example for ioredis runs" {
        with_node ada {
            set program [file join $::root utils/examples/cache_aside.js]
            set output [exec env NODE_PATH=[file join $::clients_dir node_modules] timeout 120 node $program [node_port ada] </dev/null 2>@1]
            assert_match "*the old row is refused*" $output
            assert_equal ok [lindex [split [string trim $output] \n] end]
        }
    }

    test "the example of a hot key for ioredis reads it at helpers" {
        with_cluster {ada bob carol} {@split yes} {
            set program [file join $::root utils/examples/hot_key.js]
            eventually {
                [set output [exec env NODE_PATH=[file join $::clients_dir node_modules] timeout 120 node $program [node_port ada] </dev/null 2>@1]
                 assert_equal ok [lindex [split [string trim $output] \n] end]
                 set home [owner_of star]
                 set hits 0
                 foreach node {ada bob carol} { if {$node ne $home} { incr hits [field_of [on $node info salting] salt_hits] } }
                 set hits] > 0
            }
        }
    }
}
