# clients_cases.tcl: a development cluster and a solo node for client libraries, and their promises as tests.
#
# A client's script runs once and prints a line for each promise; each is a test of its own here. The list is kept here and not taken from
# the script, so that one that ends early or leaves something out is found.

set ::clients_dir [file dirname [file normalize [info script]]]
set ::client_promises {
    "writes and reads back keys of all slots"
    "keeps any bytes"
    "loses a key at its deadline"
    "counts"
    "reads many keys of one tag at once"
    "runs a transaction on one slot"
    "is told what was wrong"
    "hears what others publish"
}

# Runs the body with `redis-shard --dev-cluster 3`, whose nodes are then known to the harness's connections as dev1, dev2, dev3.
proc with_dev_cluster {body} {
    set port [free_port 3]
    set dir [file join [test_dir] dev-$port]
    file mkdir $dir
    set log [file join $dir log]
    # INT and TERM end it; a harness that is killed takes it along.
    set chan [open |[list setpriv --pdeathsig TERM [server_binary] --dev-cluster 3 --port $port --dir $dir >$log 2>@1] w]
    set pid [pid $chan]
    catch { eventually { [string match "*Ready to accept connections*" [read_file $log]] || ![pid_is_alive $pid] } }
    set ready [string match "*Ready to accept connections*" [read_file $log]]
    set code 0
    if {$ready} {
        foreach i {1 2 3} {
            set ::node(dev$i,host) 127.0.0.1
            set ::node(dev$i,port) [expr {$port + $i - 1}]
        }
        set code [catch {uplevel 1 $body} result options]
        connections_end
    }
    test "a development cluster for $::clients_name starts and ends cleanly" [list dev_cluster_end $ready $pid $chan $log]
    if {$code} { return -options $options $result }
}

proc dev_cluster_end {ready pid chan log} {
    catch { exec kill -s TERM $pid }
    catch { eventually { ![pid_is_alive $pid] } }
    set ended [expr {![pid_is_alive $pid]}]
    if {!$ended} { catch { exec kill -s KILL $pid } }
    set how [catch {close $chan} message]
    if {!$ready} { fail "it did not start:\n[read_file $log]" }
    if {!$ended} { fail "it did not end:\n[read_file $log]" }
    if {$how} { fail "it did not end cleanly: $message\n[read_file $log]" }
}

# Runs a client's script and makes a test of each promise: client_run redis-py cluster 7000 {python3 checks.py}.
proc client_run {client mode port command {more {}}} {
    set promises [concat $::client_promises $more]
    if {$mode eq "cluster"} { lappend promises "follows a slot that moved" }
    set wanted 0
    foreach promise $promises {
        if {$::testing::only eq "" || [string first $::testing::only "$client, $mode: $promise"] >= 0} { set wanted 1 }
    }
    if {!$wanted} return
    set failed [catch {exec -ignorestderr timeout 300 {*}$command $client $mode $port </dev/null 2>@1} output]
    set said [dict create]
    foreach line [split $output \n] {
        if {[regexp {^ok (.*)$} $line - promise]} { dict set said $promise "" }
        if {[regexp {^failed ([^:]*): (.*)$} $line - promise why]} { dict set said $promise $why }
    }
    foreach promise $promises {
        test "$client, $mode: $promise" [list client_promise $promise $said $output]
    }
    # What the list does not know would be counted by nobody.
    test "$client, $mode: ends well, with no other promise" [list client_ended $failed $promises $said $output]
}

proc client_promise {promise said output} {
    if {![dict exists $said $promise]} { fail "the script did not come to it:\n$output" }
    if {[dict get $said $promise] ne ""} { fail [dict get $said $promise] }
}

proc client_ended {failed promises said output} {
    foreach promise [dict keys $said] {
        if {$promise ni $promises} { fail "not in clients_cases.tcl: $promise" }
    }
    if {$failed} { fail $output }
}

# Every node of the development cluster holds keys, so the client found its way to all of them.
proc assert_all_nodes_have_keys {min} {
    foreach i {1 2 3} {
        set keys [on dev$i dbsize]
        assert { $keys >= $min } "dev$i holds $keys keys"
    }
}

# How many redirects the nodes have given.
proc redirects_given {} {
    set sum 0
    foreach i {1 2 3} {
        if {[regexp {count=(\d+)} [field_of [on dev$i info errorstats] errorstat_MOVED] - count]} { incr sum $count }
    }
    return $sum
}

proc redirects_grew {before} {
    set after [redirects_given]
    assert { $after > $before } "$before redirects before, $after after"
}

# For each client in turn: a cluster without keys, the client's promises, and what the nodes saw of it.
proc client_on_cluster {client command {more {}}} {
    foreach i {1 2 3} { on dev$i flushall }
    set before [redirects_given]
    client_run $client cluster [node_port dev1] $command $more
    test "$client, cluster: wrote to all nodes" { assert_all_nodes_have_keys 100 }
    test "$client, cluster: was redirected" [list redirects_grew $before]
}

# A fresh node that is told nothing: no slots, no MEET, and a client that knows nothing of clusters.
proc client_on_solo_node {client command {more {}}} {
    set port [free_port]
    # The promises are tests of their own, so the node belongs to none of them; it is started apart and ended by a test.
    set dir [file join [test_dir] solo-$port]
    file mkdir $dir
    set log [file join $dir log]
    set chan [open |[list setpriv --pdeathsig KILL [server_binary] --port $port --bind 127.0.0.1 --dir $dir --cluster-enabled yes >$log 2>@1] w]
    set pid [pid $chan]
    catch { eventually { [string match "*Ready to accept connections*" [read_file $log]] || ![pid_is_alive $pid] } }
    set ready [string match "*Ready to accept connections*" [read_file $log]]
    if {$ready} { client_run $client solo $port $command $more }
    test "$client, solo: the node ends cleanly" [list dev_cluster_end $ready $pid $chan $log]
}
