# traffic.tcl: clients that go on while a test does something else.
#
# A client is an event handler: it has one request on its way, follows redirects as libraries do, and remembers what was acknowledged. So
# it goes on wherever the test waits for events (eventually, wait_ms, a reply), and stands still with it where it does not.
#
#     traffic_start w {127.0.0.1:7000 ...} {role write}      a writer: SET of ever greater numbers to keys of its own
#     traffic_start r {127.0.0.1:7000 ...} {role read of w}  a reader of the writer's keys
#     traffic_stop w                                          lets the last request end
#     $::traffic(w,done)        requests that were answered        $::traffic(w,wrong)      what must not have happened, a list of texts
#     $::traffic(w,redirects)   MOVED, ASK and TRYAGAIN            $::traffic(w,refused)    error -> how often, of those allowed
#     $::traffic(w,unknown)     requests without an answer
#
# More options:  keys n         how many keys there are (100)         tag t      all keys in the slot of {t}
#                timeout_ms n   after which a request counts as lost, and the connection is given up (30000)
#                refusals p     errors that may come, as a list of patterns
#                losses yes     connections may fail, and answers be missing
#
# What a value may be: not less than what was acknowledged before it was asked for, nor more than what was tried. A key whose write had no
# answer is not written again, for nobody knows when that write will be carried out.

array set ::traffic {}
set ::traffic_names {}

proc traffic_start {name seeds options} {
    array unset ::traffic $name,*
    foreach {option default} {role write of "" keys 100 tag "" timeout_ms 30000 refusals {} losses no} {
        set ::traffic($name,$option) [expr {[dict exists $options $option] ? [dict get $options $option] : $default}]
    }
    if {$::traffic($name,of) eq ""} { set ::traffic($name,of) $name }
    set ::traffic($name,seeds) $seeds
    set ::traffic($name,owners) {}   ;# slot -> address, as far as it is known
    foreach counter {done redirects unknown maps} { set ::traffic($name,$counter) 0 }
    foreach list {wrong refused} { set ::traffic($name,$list) {} }
    set ::traffic($name,state) running
    set ::traffic($name,turn) 0
    if {$::traffic($name,role) eq "write"} {
        for {set i 0} {$i < $::traffic($name,keys)} {incr i} { traffic_new_key $name $i }
    }
    lappend ::traffic_names $name
    after 0 [list traffic_next $name]
}

# A key by its number: the name, what was tried last, and what of it was acknowledged.
proc traffic_new_key {name i} {
    set tag $::traffic($name,tag)
    set key "$name:$i:[incr ::traffic($name,made)]"
    if {$tag ne ""} { set key "{$tag}$key" }
    set ::traffic($name,key,$i) $key
    set ::traffic($name,slot,$i) [slot_of $key]
    set ::traffic($name,tried,$key) 0
    set ::traffic($name,acked,$key) 0
}

proc traffic_next {name} {
    if {$::traffic($name,state) ne "running"} { set ::traffic($name,state) stopped; return }
    set of $::traffic($name,of)
    set i [expr {int(rand() * $::traffic($of,keys))}]
    set ::traffic($name,number) $i
    set key $::traffic($of,key,$i)
    set slot $::traffic($of,slot,$i)
    set ::traffic($name,asked) $key
    set ::traffic($name,floor) $::traffic($of,acked,$key)
    # A writer reads what it has written as well.
    if {$::traffic($name,role) eq "write" && [incr ::traffic($name,turn)] % 3} {
        set ::traffic($name,words) [list set $key [incr ::traffic($name,tried,$key)]]
    } else {
        set ::traffic($name,words) [list get $key]
    }
    set ::traffic($name,hops) 0
    if {[dict exists $::traffic($name,owners) $slot]} {
        set address [dict get $::traffic($name,owners) $slot]
    } else {
        set address [lindex $::traffic($name,seeds) [expr {int(rand() * [llength $::traffic($name,seeds)])}]]
    }
    traffic_send $name $address 0
}

proc traffic_send {name address asking} {
    set ::traffic($name,asking) $asking
    set ::traffic($name,to) $address
    set ::traffic($name,buf) ""
    set bytes [resp::encode {*}$::traffic($name,words)]
    if {$asking} { set bytes "[resp::encode asking]$bytes" }
    set ::traffic($name,timer) [after $::traffic($name,timeout_ms) [list traffic_lost $name "no answer within $::traffic($name,timeout_ms) ms"]]
    if {![info exists ::traffic($name,conn,$address)]} {
        regexp {^(.*):(\d+)$} $address -> host port
        if {[catch { socket -async $host $port } s]} { traffic_lost $name $s; return }
        fconfigure $s -translation binary -blocking 0 -buffering none
        set ::traffic($name,conn,$address) $s
        fileevent $s writable [list traffic_connected $name $address $bytes]
    } elseif {[catch { puts -nonewline $::traffic($name,conn,$address) $bytes } why]} {
        traffic_lost $name $why
    }
}

proc traffic_connected {name address bytes} {
    set s $::traffic($name,conn,$address)
    fileevent $s writable {}
    set why [fconfigure $s -error]
    if {$why eq "" && ![catch { puts -nonewline $s $bytes } why]} {
        fileevent $s readable [list traffic_readable $name $address]
    } else {
        traffic_lost $name $why
    }
}

proc traffic_readable {name address} {
    set s $::traffic($name,conn,$address)
    if {[catch { read $s } more] || ($more eq "" && [eof $s])} {
        # Nothing was asked for on a connection that is not the current one.
        if {$address eq $::traffic($name,to)} { traffic_lost $name "closed" } else { traffic_drop $name $address }
        return
    }
    append ::traffic($name,buf) $more
    if {$::traffic($name,asking)} {
        if {[string first "\r\n" $::traffic($name,buf)] < 0} return
        if {![string match "+OK\r\n*" $::traffic($name,buf)]} { traffic_wrong $name "ASKING: $::traffic($name,buf)" }
        set ::traffic($name,buf) [string range $::traffic($name,buf) 5 end]
        set ::traffic($name,asking) 0
    }
    set end [string first "\r\n" $::traffic($name,buf)]
    if {$end < 0} return
    set line [string range $::traffic($name,buf) 0 [expr {$end - 1}]]
    if {[string match {$*} $line] && $line ne {$-1}} {
        if {[string length $::traffic($name,buf)] < $end + 4 + [string range $line 1 end]} return
        set line "=[string range $::traffic($name,buf) [expr {$end + 2}] end-2]"
    }
    after cancel $::traffic($name,timer)
    traffic_answered $name $line
}

# A line: +OK, -an error, =a value, or $-1.
proc traffic_answered {name line} {
    set key $::traffic($name,asked)
    set of $::traffic($name,of)
    if {[regexp {^-(MOVED|ASK) (\d+) (\S+:\d+)$} $line -> kind slot address]} {
        incr ::traffic($name,redirects)
        if {$kind eq "MOVED"} { dict set ::traffic($name,owners) $slot $address }
        if {[incr ::traffic($name,hops)] > 1000} { traffic_wrong $name "sent round for ever: $line"; traffic_later $name 100; return }
        # Two nodes that do not know of each other yet: libraries wait a little as well, from the third time on.
        after [expr {$::traffic($name,hops) > 2 ? 5 : 0}] [list traffic_send $name $address [expr {$kind eq "ASK"}]]
        return
    }
    if {[string match "-TRYAGAIN*" $line]} {
        incr ::traffic($name,redirects)
        after 2 [list traffic_send $name $::traffic($name,to) 0]
        return
    }
    if {[string index $line 0] eq "-"} {
        foreach pattern $::traffic($name,refusals) {
            if {![string match $pattern [string range $line 1 end]]} continue
            dict incr ::traffic($name,refused) [string range $line 1 end]
            if {[lindex $::traffic($name,words) 0] eq "set"} { incr ::traffic($name,tried,$key) -1 }
            traffic_later $name 20
            return
        }
        traffic_wrong $name "$::traffic($name,words) to $::traffic($name,to): [string range $line 0 200]"
        traffic_later $name 20
        return
    }
    incr ::traffic($name,done)
    if {[lindex $::traffic($name,words) 0] eq "set"} {
        if {$line eq "+OK"} { set ::traffic($name,acked,$key) [lindex $::traffic($name,words) 2] } else { traffic_wrong $name "$::traffic($name,words): $line" }
    } else {
        set value [expr {[string index $line 0] eq "=" ? [string range $line 1 end] : 0}]
        if {![string is integer -strict $value] || $value < $::traffic($name,floor) || $value > $::traffic($of,tried,$key)} {
            traffic_wrong $name "$key at $::traffic($name,to): '$line' where $::traffic($name,floor) was acknowledged, $::traffic($of,tried,$key) tried"
        }
    }
    traffic_later $name 0
}

# Its pace leaves the machine to what is tested.
proc traffic_later {name ms} { after [expr {$ms + 1}] [list traffic_next $name] }

proc traffic_wrong {name what} {
    if {[llength $::traffic($name,wrong)] < 20} { lappend ::traffic($name,wrong) $what }
}

proc traffic_drop {name address} {
    catch { close $::traffic($name,conn,$address) }
    unset -nocomplain ::traffic($name,conn,$address)
}

proc traffic_lost {name why} {
    after cancel $::traffic($name,timer)
    incr ::traffic($name,unknown)
    set address $::traffic($name,to)
    traffic_drop $name $address
    if {!$::traffic($name,losses)} { traffic_wrong $name "$::traffic($name,words) to $address: $why" }
    # Libraries forget where a slot was when its owner does not answer.
    dict for {slot owner} $::traffic($name,owners) { if {$owner eq $address} { dict unset ::traffic($name,owners) $slot } }
    if {[lindex $::traffic($name,words) 0] eq "set"} {
        lappend ::traffic($name,retired) $::traffic($name,asked)
        traffic_new_key $name $::traffic($name,number)
    }
    traffic_later $name 20
}

proc traffic_stop {args} {
    foreach name $args {
        if {$::traffic($name,state) eq "running"} { set ::traffic($name,state) stopping }
    }
    foreach name $args {
        eventually { $::traffic($name,state) eq "stopped" } [expr {$::traffic($name,timeout_ms) + 60000}]
        foreach slot [array names ::traffic $name,conn,*] { catch { close $::traffic($slot) } }
        array unset ::traffic $name,conn,*
        set ::traffic_names [lsearch -all -inline -not -exact $::traffic_names $name]
    }
}

# After a failure: nothing goes on into the next test.
proc traffic_end_hard {} {
    foreach name $::traffic_names {
        foreach slot [array names ::traffic $name,conn,*] { catch { close $::traffic($slot) } }
    }
    foreach id [after info] {
        if {[string match traffic_* [lindex [after info $id] 0 0]]} { after cancel $id }
    }
    set ::traffic_names {}
}

# Every key that a writer has written is asked for with `ask` (a command prefix that takes the words of a command and gives the plain reply): it has
# what was acknowledged, or what was tried after that.
proc traffic_check_content {name ask} {
    foreach field [array names ::traffic $name,acked,*] {
        set key [string range $field [string length "$name,acked,"] end]
        set value [{*}$ask get $key]
        if {$value eq ""} { set value 0 }
        assert {$value >= $::traffic($field) && $value <= $::traffic($name,tried,$key)} \
            "$key: '$value' where $::traffic($field) was acknowledged, $::traffic($name,tried,$key) tried"
    }
}

# Nothing happened to these clients that must not have, and they did something.
proc traffic_was_well {args} {
    foreach name $args {
        assert_equal {} $::traffic($name,wrong) "what happened to $name"
        assert {$::traffic($name,done) > 0} "$name had no answer at all"
    }
}

# A shell command's output, or its failure thrown, while clients go on.
proc sh_meanwhile {script {limit_s 900}} {
    set chan [open |[list timeout $limit_s sh -c $script </dev/null 2>@1] r]
    fconfigure $chan -blocking 0
    set ::sh_output($chan) ""
    set ::sh_ended($chan) 0
    fileevent $chan readable [list sh_gather $chan]
    vwait ::sh_ended($chan)
    fconfigure $chan -blocking 1
    set output $::sh_output($chan)
    unset ::sh_output($chan) ::sh_ended($chan)
    if {[catch { close $chan } why]} { fail "$script\n$output\n$why" }
    return $output
}

proc sh_gather {chan} {
    append ::sh_output($chan) [read $chan]
    if {![eof $chan]} return
    fileevent $chan readable {}
    set ::sh_ended($chan) 1
}
