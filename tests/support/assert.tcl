# assert.tcl: a test is a promise and a body; an assertion that does not hold ends the body with a message.

namespace eval testing {
    variable passed 0
    variable failed 0
    variable skipped 0
    variable only ""        ;# run only tests whose name has this in it
    variable running ""
}

# Runs the body; prints "ok" or what was wrong, with the logs of the nodes that ran in it.
proc test {name body} {
    if {$::testing::only ne "" && [string first $::testing::only $name] < 0} return
    set ::testing::running $name
    incr ::test_count
    set began [clock milliseconds]
    set code [catch {apply [list {} $body]} message options]
    if {$code == 0 || $code == 2} {
        set code [catch {nodes_end} message options]
    }
    if {$code == 0} { catch { file delete -force [file join [test_dir] $::test_count] } }
    set took [expr {[clock milliseconds] - $began}]
    if {$code == 0} {
        incr ::testing::passed
        puts "  ok      $name ($took ms)"
    } elseif {[dict exists $options -errorcode] && [lindex [dict get $options -errorcode] 0] eq "SKIP"} {
        incr ::testing::skipped
        puts "  SKIPPED $name: $message"
        nodes_end_hard
    } else {
        incr ::testing::failed
        puts "  FAILED  $name ($took ms)"
        puts "          [string map [list \n "\n          "] [string range $message 0 4000]]"
        if {[info exists ::env(TEST_TRACE)] && [dict exists $options -errorinfo]} { puts [dict get $options -errorinfo] }
        nodes_show_logs
        nodes_end_hard
    }
    flush stdout
}

# Ends a test that cannot run here; it is counted and shown.
proc skip {why} {
    return -code error -errorcode SKIP $why
}

proc fail {message} {
    return -code error -errorcode ASSERT $message
}

proc assert {condition {message ""}} {
    if {![uplevel 1 [list expr $condition]]} {
        if {$message eq ""} { set message "does not hold: [string trim $condition]" }
        # The values that were compared, as far as they can be had again.
        catch { append message "  ([uplevel 1 [list subst -nobackslashes $condition]])" }
        fail $message
    }
}

proc assert_equal {expected actual {what ""}} {
    if {$expected ne $actual} {
        fail "[expr {$what eq "" ? "" : "$what: "}]expected '[resp::printable $expected 1500]', got '[resp::printable $actual 1500]'"
    }
}

proc assert_match {pattern actual} {
    if {![string match $pattern $actual]} {
        fail "expected something like '$pattern', got '[resp::printable $actual 1500]'"
    }
}

# The body must fail, and its message match the pattern.
proc assert_error {pattern body} {
    if {![catch {uplevel 1 $body} message]} {
        fail "expected an error like '$pattern', got the reply '[resp::printable $message]'"
    }
    if {![string match $pattern $message]} { fail "expected an error like '$pattern', got '$message'" }
}

# The body must be answered with MOVED or ASK to that node, whose slot is the key's.
proc assert_redirect {kind node body} {
    if {![catch {uplevel 1 $body} message]} { fail "expected $kind to $node, got the reply '[resp::printable $message]'" }
    if {![regexp {^(MOVED|ASK) (\d+) (\S+):(\d+)$} $message -> got_kind slot host port]} {
        fail "expected $kind to $node, got '$message'"
    }
    assert_equal $kind $got_kind
    assert_equal [node_port $node] $port "the redirect's port"
    assert_equal [node_host $node] $host "the redirect's host"
    return $slot
}
