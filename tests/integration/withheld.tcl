# Replies that are there and must not leave yet: DEBUG WITHHOLD and RELEASE stand for whoever has to agree.

# One worker serves everybody: what another connection is answered comes after all that ran before, and after the replies of that have left.
set ::withheld_options {enable-debug-command yes io-threads 1}

# Does nothing of it leave?
proc assert_silent {connection} {
    assert_equal PONG [on ada ping]
    assert_equal PONG [on ada ping]
    assert {![resp::is_closed $connection 1]}
    assert_equal "" [resp::unread $connection]
}

test "a withheld reply leaves when it is released, and what was sent behind it runs after that" {
    with_node ada $::withheld_options {
        connect c ada
        resp::write c [resp::encode set before 1][resp::encode debug withhold][resp::encode incr behind][resp::encode get behind]
        eventually { [on ada get before] eq 1 }
        assert_silent c
        assert_equal {} [on ada get behind]
        assert_equal 1 [on ada debug release]
        assert_equal OK [resp::plain [resp::read c]]
        assert_equal OK [resp::plain [resp::read c]]
        assert_equal 1 [resp::plain [resp::read c]]
        assert_equal 1 [resp::plain [resp::read c]]
        assert_equal 0 [on ada debug release]
        assert_equal PONG [resp::do c ping]
    }
}

test "the reply of a transaction waits as a whole, and what it did is there" {
    with_node ada $::withheld_options {
        connect c ada
        foreach command {{multi} {set k v} {debug withhold} {debug withhold} {get k}} { resp::do c {*}$command }
        resp::write c [resp::encode exec][resp::encode append k w]
        eventually { [on ada get k] eq "v" }
        assert_silent c
        assert_equal v [on ada get k]
        assert_equal 2 [on ada debug release]
        assert_equal {OK OK OK v} [resp::plain [resp::read c]]
        assert_equal 2 [resp::plain [resp::read c]]
    }
}

test "a withheld reply is in the protocol it was made in, also where it is big" {
    with_node ada $::withheld_options {
        set big [string repeat x 300000]
        on ada set big $big
        connect c ada
        resp::hello3 c
        foreach command {{multi} {debug withhold} {debug protocol map} {debug protocol null} {get big}} { resp::do c {*}$command }
        resp::send c exec
        assert_silent c
        eventually { [on ada debug release] == 1 }
        assert_equal [list array [list {simple OK} {map {{integer 0} {boolean f} {integer 1} {boolean t} {integer 2} {boolean f}}} {null {}} [list bulk $big]]] [resp::read c]
        assert_equal PONG [resp::do c ping]
    }
}

test "CLIENT REPLY OFF and SKIP leave out a withheld reply, and what comes behind it waits" {
    with_node ada $::withheld_options {
        connect c ada
        resp::write c [resp::encode client reply skip][resp::encode debug withhold][resp::encode incr skipped]
        assert_silent c
        assert_equal {} [on ada get skipped]
        eventually { [on ada debug release] == 1 }
        assert_equal 1 [resp::plain [resp::read c]]
        resp::write c [resp::encode client reply off][resp::encode debug withhold][resp::encode incr off][resp::encode client reply on]
        assert_silent c
        assert_equal {} [on ada get off]
        eventually { [on ada debug release] == 1 }
        assert_equal OK [resp::plain [resp::read c]]
        assert_equal 1 [on ada get off]
    }
}

test "a client whose reply is withheld may be closed, by itself or by others" {
    with_node ada $::withheld_options {
        connect c ada
        set id [resp::do c client id]
        resp::write c [resp::encode set ran 1][resp::encode debug withhold]
        eventually { [on ada get ran] eq 1 }
        assert_equal 1 [on ada client kill id $id]
        assert {[resp::is_closed c]}
        assert_equal 1 [on ada debug release]
        # It asked for its own end: the reply comes first.
        connect d ada
        set id [resp::do d client id]
        foreach command [list {multi} {debug withhold} [list client kill id $id skipme no] {set gone 1}] { resp::do d {*}$command }
        resp::send d exec
        eventually { [on ada get gone] eq 1 }
        assert_silent d
        assert_equal 1 [on ada debug release]
        assert_equal {OK 1 OK} [resp::plain [resp::read d]]
        assert {[resp::is_closed d]}
        # And a node that ends while replies wait, does.
        connect e ada
        resp::write e [resp::encode set last 1][resp::encode debug withhold]
        eventually { [on ada get last] eq 1 }
    }
}

test "a reply that waits for a time and for a word waits for both" {
    with_node ada [dict merge $::withheld_options {requirepass secret}] {
        on ada auth secret
        connect c ada
        resp::do c auth secret
        foreach command {{multi} {debug withhold} {auth wrong} {set both 1}} { resp::do c {*}$command }
        resp::send c exec
        eventually { [on ada get both] eq 1 }
        assert_equal 1 [on ada debug release]
        assert_match "OK {WRONGPASS *} OK" [resp::plain [resp::read c]]
        foreach command {{multi} {debug withhold} {auth wrong} {set both 2}} { resp::do c {*}$command }
        resp::send c exec
        eventually { [on ada get both] eq 2 }
        wait_ms 1200
        assert_silent c
        assert_equal 1 [on ada debug release]
        assert_match "OK {WRONGPASS *} OK" [resp::plain [resp::read c]]
    }
}

test "what withheld replies take is in the client's memory, and RELEASE is not said within a transaction" {
    with_node ada $::withheld_options {
        on ada set big [string repeat x 1000000]
        connect c ada
        set id [resp::do c client id]
        foreach command {{multi} {debug withhold} {get big} {get big} {set ran 1}} { resp::do c {*}$command }
        resp::send c exec
        eventually { [on ada get ran] eq 1 }
        assert {[regexp {tot-mem=(\d+)} [on ada client list id $id] -> bytes] && $bytes > 2000000} [on ada client list id $id]
        foreach command {multi {debug release}} { on ada {*}$command }
        assert_equal {error {ERR not within a transaction}} [lindex [typed_on ada exec] 1 0]
        assert_equal 1 [on ada debug release]
        resp::read c
        eventually { [regexp {tot-mem=(\d+)} [on ada client list id $id] -> bytes] && $bytes < 100000 }
    }
}
