# eventually.tcl: waiting for a condition rather than for a duration.
#
# The times are for machines that are slow or busy: where the condition comes soon they cost nothing.

# Evaluates the condition until it holds; fails with its last value or error after the time.
proc eventually {condition {timeout_ms 60000}} {
    set deadline [expr {[clock milliseconds] + $timeout_ms}]
    set pause 5
    while 1 {
        set code [catch {uplevel 1 [list expr $condition]} value]
        if {$code == 0 && $value} return
        if {[clock milliseconds] > $deadline} {
            set seen ""
            if {$code} { set seen ": $value" } else { catch { set seen ": [uplevel 1 [list subst -nobackslashes $condition]]" } }
            fail "not within $timeout_ms ms: [string trim $condition]$seen"
        }
        wait_ms $pause
        if {$pause < 100} { incr pause 5 }
    }
}

# Lets time pass while channel events go on.
proc wait_ms {ms} {
    set ::eventually_woken 0
    after $ms {set ::eventually_woken 1}
    vwait ::eventually_woken
}
