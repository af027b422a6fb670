# Clients: CLIENT and its subcommands, limits on connections.

# The CLIENT LIST line of a connection as a dict.
proc client_line {name id} {
    foreach line [split [on $name client list id $id] \n] {
        set out [dict create]
        foreach word [split $line " "] {
            set at [string first = $word]
            dict set out [string range $word 0 $at-1] [string range $word $at+1 end]
        }
        if {[dict exists $out id] && [dict get $out id] == $id} { return $out }
    }
    return {}
}

test "CLIENT LIST has a line for each connection, with the fields tools read" {
    with_node ada {
        connect c ada
        set id [resp::do c client id]
        resp::do c client setname visitor
        resp::do c get x
        set line [client_line ada $id]
        foreach field {id addr laddr fd name age idle flags db sub psub ssub multi qbuf qbuf-free argv-mem multi-mem rbs rbp obl oll omem tot-mem events cmd user redir resp} {
            assert {[dict exists $line $field]} "no $field in $line"
        }
        assert_equal visitor [dict get $line name]
        assert_equal get [dict get $line cmd]
        assert_equal 2 [dict get $line resp]
        assert_equal -1 [dict get $line multi]
        assert_equal 127.0.0.1:[node_port ada] [dict get $line laddr]
        resp::do c multi
        resp::do c set a b
        assert_equal 1 [dict get [client_line ada $id] multi]
        assert_match "*x*" [dict get [client_line ada $id] flags]
        assert_equal $id [dict get [client_line ada $id] id]
        assert_equal 2 [llength [split [string trim [on ada client list]] \n]]
        assert_match "id=*" [on ada client info]
    }
}

test "a connection's name is one word without spaces" {
    with_node ada {
        assert_equal {} [on ada client getname]
        assert_equal OK [on ada client setname a-name]
        assert_equal a-name [on ada client getname]
        foreach bad {"a b" "a\nb"} {
            assert_error "ERR Client names cannot contain spaces, newlines or special characters." { on ada client setname $bad }
        }
        assert_equal a-name [on ada client getname]
        assert_equal OK [on ada client setname ""]
        assert_equal {} [on ada client getname]
    }
}

test "CLIENT KILL ends the connections that all its filters choose" {
    with_node ada {
        foreach c {a b c} { connect $c ada; set id($c) [resp::do $c client id] }
        assert_equal 1 [on ada client kill id $id(a)]
        assert {[resp::is_closed a]}
        assert_equal 0 [on ada client kill id $id(a)]
        set addr [dict get [client_line ada $id(b)] addr]
        assert_equal OK [on ada client kill $addr]
        assert {[resp::is_closed b]}
        assert_error "ERR No such client" { on ada client kill $addr }
        assert_equal 0 [on ada client kill id $id(c) addr 1.2.3.4:5]
        assert_equal 1 [on ada client kill type normal skipme yes]
        assert {[resp::is_closed c]}
        assert_equal PONG [on ada ping]
        # One's own connection: the reply comes first.
        assert_equal 0 [on ada client kill id [on ada client id]]
        assert_equal 1 [on ada client kill id [on ada client id] skipme no]
        assert {[resp::is_closed ada]}
        resp::close ada
        assert_error "ERR client-id should be greater than 0" { on ada client kill id 0 }
        assert_error "ERR syntax error" { on ada client kill id 1 bogus x }
    }
}

test "CLIENT KILL ends a hundred busy connections and no other" {
    with_node ada {
        for {set i 0} {$i < 100} {incr i} {
            connect k$i ada
            resp::send k$i client setname victim
            # They are in the middle of something.
            resp::write k$i "*2\r\n\$3\r\nget\r\n\$100\r\nhalf"
        }
        for {set i 0} {$i < 100} {incr i} { assert_equal {simple OK} [resp::read k$i] }
        connect survivor ada
        set mine [list [on ada client id] [resp::do survivor client id]]
        foreach line [split [string trim [on ada client list]] \n] {
            regexp {^id=(\d+)} $line -> id
            if {$id ni $mine} { assert_equal 1 [on ada client kill id $id] }
        }
        for {set i 0} {$i < 100} {incr i} { assert {[resp::is_closed k$i]} "k$i is open" }
        assert_equal PONG [resp::do survivor ping]
        eventually { [info_field ada connected_clients] == 2 }
    }
}

test "CLIENT KILL from one worker ends clients that another is answering" {
    with_node ada {io-threads 2} {
        # Of four connections each worker has two, so that killers and victims are on both.
        foreach name {a b c d} { connect $name ada }
        foreach name {a b} { set id($name) [resp::do $name client id] }
        foreach name {a b} { resp::write $name [string repeat [resp::encode ping] 20000] }
        foreach killer {c d} {
            for {set i 0} {$i < 50} {incr i} { assert_equal 0 [resp::do $killer client kill id 999999] }
            foreach name {a b} { resp::do $killer client kill id $id($name) }
        }
        foreach name {a b} { eventually { [lsearch -regexp [split [on ada client list] \n] "^id=$id($name) "] < 0 } }
        foreach killer {c d} { assert_equal PONG [resp::do $killer ping] }
    }
}

test "CLIENT PAUSE holds writes back and lets them go on" {
    with_node ada {
        connect w ada
        connect r ada
        on ada client pause 60000 write
        resp::send w set key v
        assert_equal {null {}} [resp::ask r get key]
        wait_ms 100
        assert_equal "" [resp::unread w]
        assert_equal 0 [on ada exists key]
        assert_equal OK [on ada client unpause]
        assert_equal {simple OK} [resp::read w]
        assert_equal v [on ada get key]
        # By itself, after its time, and not before. (The clock is read before the pause begins: a slow test sees a longer one.)
        set began [clock milliseconds]
        on ada client pause 200 all
        assert_equal v [resp::do r get key]
        assert {[clock milliseconds] - $began >= 199}
        assert_error "ERR timeout is not an integer or out of range" { on ada client pause x }
        assert_error "ERR timeout is negative" { on ada client pause -1 }
    }
}

test "CLIENT REPLY silences all, or the next, and then nothing is out of step" {
    with_node ada {
        connect c ada
        resp::write c "[resp::encode client reply off][resp::encode set a 1][resp::encode get a][resp::encode client reply on][resp::encode get a]"
        assert_equal {simple OK} [resp::read c]
        assert_equal {bulk 1} [resp::read c]
        resp::write c "[resp::encode client reply skip][resp::encode get a][resp::encode strlen a]"
        assert_equal {integer 1} [resp::read c]
        assert_equal {error {ERR syntax error}} [resp::ask c client reply bogus]
    }
}

test "CLIENT SETINFO and NO-EVICT and NO-TOUCH are taken" {
    if {[server_is_redis]} { skip "7.2 commands" }
    with_node ada {
        assert_equal OK [on ada client setinfo lib-name tests]
        assert_equal OK [on ada client setinfo LIB-VER 1.2.3]
        assert_match "*lib-name=tests lib-ver=1.2.3*" [on ada client info]
        assert_error "ERR *" { on ada client setinfo lib-name "a b" }
        assert_error "ERR *" { on ada client setinfo bogus x }
        assert_equal OK [on ada client no-evict on]
        assert_equal OK [on ada client no-touch on]
        assert_equal OK [on ada client no-touch off]
        assert_error "ERR syntax error" { on ada client no-touch maybe }
    }
}

test "beyond maxclients a connection is refused with a word" {
    with_node ada {maxclients 20} {
        for {set i 0} {$i < 20} {incr i} { connect m$i ada; resp::do m$i ping }
        connect late ada
        assert_equal {error {ERR max number of clients reached}} [resp::read late]
        assert {[resp::is_closed late]}
        resp::close m0
        eventually { [catch {connect again ada; resp::do again ping} reply] == 0 && $reply eq "PONG" }
        assert_equal 20 [lindex [resp::do again config get maxclients] 1]
        assert {[field_of [resp::do again info stats] rejected_connections] >= 1}
    }
}

test "an idle connection is closed after its time, a busy one is not" {
    with_node ada {timeout 1} {
        connect idle ada
        connect busy ada
        resp::do idle ping
        set said [clock milliseconds]
        set until [expr {$said + 2500}]
        while {[clock milliseconds] < $until} {
            set says [clock milliseconds]
            set failed [catch {resp::do busy ping} reply]
            # On a machine that lets this test pause for so long it was not busy: it begins again.
            if {[clock milliseconds] - $said >= 900} {
                connect busy ada
                resp::do busy ping
                set until [expr {[clock milliseconds] + 2500}]
            } else {
                assert {!$failed && $reply eq "PONG"}
            }
            set said $says
            wait_ms 100
        }
        assert {[resp::is_closed idle]}
    }
}

test "a client that does not read is dropped at its limit, and nobody else suffers" {
    with_node ada {client-output-buffer-limit "normal 20mb 0 0"} {
        on ada set big [string repeat x 1000000]
        connect deaf ada
        set id [resp::do deaf client id]
        set batch ""
        for {set i 0} {$i < 64} {incr i} { append batch [resp::encode get big] }
        resp::write deaf $batch
        eventually { [client_line ada $id] eq {} }
        assert_equal PONG [on ada ping]
    }
}

test "a request larger than client-query-buffer-limit ends its connection" {
    with_node ada {client-query-buffer-limit 1mb} {
        connect c ada
        catch { resp::write c "*3\r\n\$3\r\nset\r\n\$1\r\nk\r\n\$3000000\r\n[string repeat y 2500000]" }
        assert {[resp::is_closed c]}
        assert_equal PONG [on ada ping]
    }
}

test "a thousand connections are served and leave nothing behind" {
    with_node ada {
        for {set i 0} {$i < 1000} {incr i} { connect i$i ada }
        for {set i 0} {$i < 1000} {incr i} { resp::send i$i set i$i $i }
        for {set i 0} {$i < 1000} {incr i} { assert_equal {simple OK} [resp::read i$i] }
        assert_equal 1001 [info_field ada connected_clients]
        for {set i 0} {$i < 1000} {incr i} { resp::close i$i }
        eventually { [info_field ada connected_clients] == 1 }
    }
}

test "ACL LOG shows who could not come in, and is bounded" {
    with_node ada {requirepass secret acllog-max-len 3} {
        connect guest ada
        foreach try {{auth x} {auth nobody y} {auth nobody y} {hello 2 auth bob z}} { catch { resp::do guest {*}$try } }
        resp::do guest auth secret
        set log [resp::do guest acl log]
        assert_equal {1 2 1} [lmap entry $log { dict get $entry count }]
        assert_equal {bob nobody default} [lmap entry $log { dict get $entry username }]
        assert_equal {hello auth auth} [lmap entry $log { dict get $entry object }]
        assert_match "id=* addr=127.0.0.1:* resp=2*" [dict get [lindex $log 0] client-info]
        assert_equal 1 [llength [resp::do guest acl log 1]]
        connect other ada
        foreach user {a b c d} { catch { resp::do other auth $user x } }
        assert_equal {d c b} [lmap entry [resp::do guest acl log] { dict get $entry username }]
        resp::do guest acl log reset
        assert_equal {} [resp::do guest acl log]
        resp::do guest config set acllog-max-len 0
        catch { resp::do other auth e x }
        assert_equal {} [resp::do guest acl log]
    }
}

test "ACL SETUSER sets the password, and refuses what it cannot do" {
    with_node ada {} {
        connect admin ada
        assert_equal OK [resp::do admin acl setuser default on >first >secret]
        assert_equal secret [lindex [resp::do admin config get requirepass] 1]
        assert_equal {{user default on ~* &* +@all}} [resp::do admin acl list]
        assert_equal {on} [dict get [resp::do admin acl getuser default] flags]
        connect guest ada
        assert_error "NOAUTH *" { resp::do guest get k }
        assert_error "ERR *user of this node may do everything*" { resp::do admin acl setuser default >other -get }
        assert_error "ERR *no users but 'default'" { resp::do admin acl setuser bob on >x }
        assert_error "ERR *after resetpass*" { resp::do admin acl setuser default >other resetpass }
        assert_equal OK [resp::do guest auth secret]
        assert_equal OK [resp::do admin acl setuser default resetpass nopass]
        assert_equal "" [lindex [resp::do admin config get requirepass] 1]
        assert_equal {on nopass} [dict get [resp::do admin acl getuser default] flags]
        resp::do admin config set slowlog-log-slower-than 0
        resp::do admin acl setuser default >hidden
        assert {[string first hidden [resp::do admin slowlog get]] < 0}
        foreach bits {1 4 5 256 4096} digits {1 1 2 64 1024} { assert_equal $digits [string length [resp::do admin acl genpass $bits]] }
    }
}

# While the node stands still the client reads all that was sent, and asks more: then the rest of the old replies leaves in the same
# turn in which the new ones are made.
test "QUIT in the turn in which earlier replies leave loses none" {
    with_node ada {io-threads 1} {
        on ada set key [string repeat x 20000]
        connect slow ada
        set id [resp::do slow client id]
        set asked 0
        while {[dict get [client_line ada $id] omem] == 0} {
            resp::send slow get key
            incr asked
        }
        node_signal ada STOP
        set before ""
        for {set quiet 0} {$quiet < 20} {wait_ms 10} {
            set more [read $resp::chan(slow)]
            append before $more
            set quiet [expr {$more eq "" ? $quiet + 1 : 0}]
        }
        resp::write slow "[string repeat [resp::encode ping [string repeat y 100]] 20][resp::encode quit]"
        node_signal ada CONT
        append resp::buf(slow) $before
        for {set i 0} {$i < $asked} {incr i} { assert_equal 20000 [string length [lindex [resp::read slow] 1]] }
        for {set i 0} {$i < 20} {incr i} { assert_equal [string repeat y 100] [lindex [resp::read slow] 1] }
        assert_equal {simple OK} [resp::read slow]
        assert {[resp::is_closed slow]}
    }
}
