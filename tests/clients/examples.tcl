# The programs of utils/examples run, and do what they say. (The one in JavaScript is run by node.tcl, which installs its library.)

set ::examples [file join $::root utils/examples]

proc run_example {args} {
    return [exec timeout 120 {*}$args </dev/null 2>@1]
}

proc example_output {output} {
    assert_match "read: *Ada* - loads so far: 1\nread: *Ada* - loads so far: 1\nread after the write: *Grace* - loads so far: 2\nthe old row is refused*" $output
    assert_equal ok [lindex [split [string trim $output] \n] end]
}

test "the example for redis-py runs" {
    with_node ada {
        # And again: the node remembers what was there.
        for {set i 0} {$i < 2} {incr i} { example_output [run_example /usr/bin/python3 [file join $::examples cache_aside.py] [node_port ada]] }
    }
}

test "the example for hiredis runs" {
    exec make -s -C $::root examples 2>@1
    with_node ada {
        for {set i 0} {$i < 2} {incr i} { example_output [run_example [file join $::root build/examples/cache_aside] [node_port ada]] }
    }
}

# Runs a program that reads a key under its names through a cluster: helpers answer some of that.
proc hot_key_example {args} {
    with_cluster {ada bob carol} {@split yes} {
        # Until copies are there all is read at home.
        eventually {
            [set output [run_example {*}$args [node_port ada]]
             assert_match "names: star star~*\nafter a write each of them has the new value\nok" [string trim $output]
             set home [owner_of star]
             set hits 0
             foreach node {ada bob carol} { if {$node ne $home} { incr hits [field_of [on $node info salting] salt_hits] } }
             set hits] > 0
        }
    }
}

test "the example of a hot key for redis-py reads it at helpers" {
    hot_key_example /usr/bin/python3 [file join $::examples hot_key.py]
}

test "the example of a hot key for hiredis reads it at helpers" {
    exec make -s -C $::root examples 2>@1
    hot_key_example [file join $::root build/examples/hot_key]
}

test "the example for redis-py notices a server without the commands" {
    node_start eve [list @binary redis-server]
    assert { [catch { run_example /usr/bin/python3 [file join $::examples cache_aside.py] [node_port eve] } output] }
    assert_match "*unknown command 'FETCH'*" $output
}

# It asserts by itself that no read through FETCH was stale, that the databases were asked less, and that no invalidation was lost.
test "the shop on a sharded PostgreSQL reads nothing stale through FETCH" {
    if {[auto_execok postgres] eq "" && [glob -nocomplain /usr/lib/postgresql/*/bin/postgres] eq {}} { skip "there is no PostgreSQL: deps/install.sh examples" }
    if {[catch { exec /usr/bin/python3 -c "import psycopg2" 2>@1 }]} { skip "there is no psycopg2: deps/install.sh examples" }
    set before [glob -nocomplain [file join [test_dir] tmp.*]]
    set ::env(TMPDIR) [test_dir]
    file attributes [test_dir] -permissions 0755
    set output [exec env SERVER_BINARY=[file normalize [server_binary]] timeout 200 [file join $::examples sharded_postgres/run] 2 </dev/null 2>@1]
    puts [regsub -all -line {^} $output "          "]
    assert_match "*times without the cache*" $output
    # Nothing of it is left.
    assert_equal $before [glob -nocomplain [file join [test_dir] tmp.*]]
}
