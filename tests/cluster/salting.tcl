# Copies of salted keys: every name is read where it is, and once a write is acknowledged no name tells an older value, whatever happens meanwhile.

# Nodes whose names are read, and one that is home. A key of its own each time, so that nobody knows of it from before.
proc salted_key {home} { return [key_in_slot [expr {[first_slot_of $home] + 17}] "star:$::test_count:"] }
proc is_redirect {got} { return [regexp {^(ASK|MOVED) } $got] }

# A name's value where its slot is, as a client sees it that follows one redirect: {where value}, where is "copy" or "home".
proc read_name {name} {
    set owner [owner_of $name $::observer]
    if {![catch { on $owner get $name } got]} { return [list copy $got] }
    if {[regexp {^(ASK|MOVED) \d+ \S+:(\d+)$} $got -> kind port]} {
        foreach node $::nodes {
            if {[node_port $node] != $port} continue
            if {$kind eq "ASK"} { on $node asking }
            if {![catch { on $node get $name } got]} { return [list home $got] }
        }
    }
    return [list error $got]
}

# The first is the key itself.
proc is_answered_by_copies {names} {
    set key [lindex $names 0]
    set value [on [owner_of $key $::observer] get $key]
    foreach name $names {
        set owner [owner_of $name $::observer]
        if {[catch { on $owner get $name } got] || $got ne $value} { return 0 }
    }
    return 1
}

# Writes and then reads every name: none may be older. Nodes that are down or stopped are left out.
set ::stamp 0
# A new name of which its node has not heard yet is no key there: may_be_new lets it be none.
proc write_and_look {home key names {without {}} {may_be_new no}} {
    set value "v[incr ::stamp]"
    set reply [on $home set $key $value]
    assert_equal OK $reply
    foreach name $names {
        if {[owner_of $name $::observer] in $without} continue
        lassign [read_name $name] where got
        if {$where eq "error" || ($may_be_new && $got eq "")} continue
        assert_equal $value $got "$name, told by a $where"
    }
}

# A cluster with a salted key: sets home, key, names and helpers in the caller.
proc with_salted {factor options body} {
    set names_of_nodes {ada bob carol}
    cluster_start $names_of_nodes [dict merge {@split yes} $options]
    set ::nodes $names_of_nodes
    set ::observer ada
    uplevel 1 {
        set home ada
        set key [salted_key $home]
    }
    upvar 1 home home key key
    on $home set $key first
    uplevel 1 [list set names [on $home salt $key $factor]]
    upvar 1 names names
    assert_equal $factor [llength $names]
    eventually { [is_answered_by_copies $names] }
    set code [catch { uplevel 1 $body } result return_options]
    if {$code == 0} { foreach name $names_of_nodes { if {[node_is_alive $name]} { node_stop $name } } }
    return -options $return_options $result
}

test "every name of a salted key is read on its own node, from a copy" {
    with_salted 6 {} {
        set rounds 20
        foreach node {ada bob carol} { set before($node) [salting $node salt_hits]; set expected($node) 0 }
        for {set i 0} {$i < $rounds} {incr i} {
            foreach name $names {
                set owner [owner_of $name]
                assert_equal first [on $owner get $name]
                assert_equal 5 [on $owner strlen $name]
                assert_equal irs [on $owner getrange $name 1 3]
                assert_equal 1 [on $owner exists $name]
                assert_equal string [on $owner type $name]
                if {$owner ne $home} { incr expected($owner) 5 }
            }
        }
        foreach node {ada bob carol} { assert_equal $expected($node) [expr {[salting $node salt_hits] - $before($node)}] $node }
        assert {$expected(bob) > 0 && $expected(carol) > 0}
        # A copy is seen by who asks for a name of it, and by nobody else.
        foreach node {bob carol} {
            assert_equal 1 [salting $node salt_copies]
            assert_equal 0 [on $node dbsize]
            assert_equal {} [on $node keys *]
            assert_equal {0 {}} [on $node scan 0]
        }
        set entry [lindex [on bob cluster salts] 0]
        assert_equal valid [dict get $entry copy]
        assert {[dict get $entry copy-hits] >= $expected(bob)}
        set entry [lindex [on ada cluster salts] 0]
        assert_equal 2 [llength [dict get $entry helpers]]
        foreach helper [dict get $entry helpers] { assert_equal {linked copy} [lrange $helper 1 2] }
        assert_equal none [dict get $entry copy]
    }
}

# Each command that has keys and does not write: with what arguments, K being the key, and who answers when it is asked for under a name. `copy`: a copy, as home
# would; `home`: home alone, since it tells of more than the value, or leaves a trace.
set ::reads {
    get {copy K} mget {copy K K} strlen {copy K} getrange {copy K 1 3} substr {copy K -3 -1} exists {copy K K} type {copy K} lcs {copy K K LEN}
    ttl {home K} pttl {home K} expiretime {home K} pexpiretime {home K} touch {home K} dump {home K} watch {home K}
    {object encoding} {home K} {object freq} {home K} {object idletime} {home K} {object refcount} {home K} {memory usage} {home K} {debug object} {home K}
    ssubscribe channel sunsubscribe channel spublish channel
}
# Those that the node has.
proc commands_that_read {name} {
    set found {}
    foreach command [on $name command] {
        set children [lindex $command 9]
        foreach one [expr {$children eq "" ? [list $command] : $children}] {
            lassign $one its_name arity flags first
            if {$first > 0 && "write" ni $flags} { lappend found [string map {| { }} $its_name] }
        }
    }
    return $found
}

test "every command that reads is answered by a copy as at home, or leads there" {
    with_salted 4 {enable-debug-command yes} {
        set found [commands_that_read ada]
        foreach command $found { assert {[dict exists $::reads $command]} "who answers '$command' for a copy?" }
        foreach name $names { if {[owner_of $name] ne $home} break }
        set helper [owner_of $name]
        set answered 0
        foreach value [list {} 0 -17 12345678901234567890 text "\x00\xff\r\n" [string repeat 0123456789 300] [string repeat x 100000]] \
            life {{} {px 1000000} {} {ver 7} {ex 1000 ver 8} {fresh 1000000} {} {}} {
            assert_equal OK [on $home set $key $value {*}$life]
            eventually { [is_answered_by_copies $names] }
            dict for {command asked} $::reads {
                if {$asked eq "channel" || $command ni $found || ($command eq "lcs" && [string length $value] > 10000)} continue
                set here [string map [list K $key] [lrange $asked 1 end]]
                set there [string map [list K $name] [lrange $asked 1 end]]
                set hits [salting $helper salt_hits]
                set failed [catch { on $helper {*}$command {*}$there } got]
                if {[lindex $asked 0] eq "home"} {
                    assert {[string match "ASK [slot_of $name] *:[node_port $home]" $got]} "$command: $got"
                    assert_equal $hits [salting $helper salt_hits] $command
                } else {
                    # One that finds the lease over is answered at home.
                    if {$failed && [is_redirect $got]} continue
                    assert_equal [on $home {*}$command {*}$here] $got "$command of [string range $value 0 20] $life"
                    assert_equal [expr {$hits + 1}] [salting $helper salt_hits] $command
                    incr answered
                }
            }
        }
        assert {$answered > 40}
        # So are those that write, all of them.
        foreach write {{getex K} {getdel K} {fetch K} {invalidate K} {append K x} {expire K 100} {persist K} {salt K}} {
            catch { on $helper {*}[string map [list K $name] $write] } got
            assert {[string match "ASK [slot_of $name] *:[node_port $home]" $got]} "$write: $got"
        }
    }
}

test "no copy outlives its key, and none is told past its refresh point" {
    with_salted 4 {} {
        foreach name $names { if {[owner_of $name] ne $home} break }
        set helper [owner_of $name]
        set seen 0
        for {set round 0} {$round < 30} {incr round} {
            on $home set $key $round px 120
            for {set gone 0} {!$gone} {} {
                set gone [expr {[on $home get $key] eq ""}]
                set is_redirected [catch { on $helper get $name } got]
                if {$gone} { assert {$is_redirected} "home had none any more, and a copy told '$got'" }
                incr seen [expr {!$is_redirected}]
            }
        }
        assert {$seen > 0}
        # What is to be loaded anew is asked for at home, where one is told to do so.
        foreach ages {{set K v fresh 300} {invalidate K stale}} {
            on $home set $key v
            eventually { [is_answered_by_copies $names] }
            on $home {*}[string map [list K $key] $ages]
            eventually { [catch { on $helper get $name } got] && [string match "ASK *" $got] }
            wait_ms 500
            assert_error "ASK *" { on $helper get $name }
            assert_equal STALE [lindex [on $home fetch $name lease 100] 0]
        }
    }
}

test "a name in the slot of a hot key is read from its copy as any other" {
    with_salted 4 {hotkey-threshold 200} {
        foreach name $names { if {[owner_of $name] ne $home} break }
        set helper [owner_of $name]
        set hot [key_in_slot [slot_of $name] hot:]
        on $helper set $hot warm
        eventually {
            [for {set i 0} {$i < 300} {incr i} { on $helper get $hot }
             info_field $helper hot_reads_lock_free] > 0
        }
        for {set i 0} {$i < 40} {incr i} { write_and_look $home $key $names }
        eventually { [is_answered_by_copies $names] }
        for {set i 0} {$i < 100} {incr i} {
            assert_equal "v$::stamp" [lindex [read_name $name] 1]
            assert_equal warm [on $helper get $hot]
        }
    }
}

test "what is not read is sent home, and so is a transaction" {
    with_salted 4 {} {
        foreach name $names {
            set owner [owner_of $name]
            if {$owner eq $home} continue
            assert_error "ASK [slot_of $name] *:[node_port $home]" { on $owner set $name other }
            assert_error "ASK [slot_of $name] *:[node_port $home]" { on $owner getex $name ex 10 }
            on $owner multi
            assert_error "MOVED [slot_of $name] *:[node_port $home]" { on $owner get $name }
            on $owner discard
        }
        assert_equal first [on $home get $key]
    }
}

test "whatever changes a salted key is seen under all its names when it is acknowledged" {
    with_salted 6 {} {
        set changes [list [list set $key 1] [list incr $key] [list append $key 7] [list setrange $key 1 9] [list set [lindex $names 1] 5] \
                         [list getset $key 6] [list incrbyfloat $key 1.5] [list mset $key 8] [list set $key 9 ex 1000] [list persist $key] \
                         [list pexpire $key 100000] [list set $key [string repeat x 40000]] [list append $key y] [list getdel $key] \
                         [list set $key 10] [list del $key] [list setnx $key 11] [list unlink [lindex $names 2]] [list set $key 12] \
                         [list copy $key $key:other] [list pexpireat $key 1] [list set $key 13] [list flushall] [list set $key 14]]
        foreach change $changes {
            catch { on $home {*}$change }
            set expected [on $home get $key]
            foreach name $names {
                lassign [read_name $name] where got
                assert {$where ne "error"} "$name after [lindex $change 0]: $got"
                assert_equal $expected $got "$name, told by a $where, after [lrange $change 0 0]"
            }
            if {$expected ne ""} { eventually { [is_answered_by_copies $names] } }
        }
        # Of one step the names see all or nothing.
        foreach command [list {multi} [list set $key a] [list append $key b]] { on $home {*}$command }
        assert_equal {OK 2} [on $home exec]
        foreach name $names { assert_equal ab [lindex [read_name $name] 1] }
        # And one that expires is gone everywhere, whoever looks first.
        on $home set $key short px 300
        eventually { [on $home exists $key] == 0 }
        foreach name $names { assert_equal "" [lindex [read_name $name] 1] }
    }
}

test "writes wait for who has a copy, and then every name has the new value" {
    with_salted 6 {} {
        set withheld [salting $home salt_withheld]
        for {set i 0} {$i < 200} {incr i} {
            write_and_look $home $key $names
            if {$i % 10 == 0} { eventually { [is_answered_by_copies $names] } }
        }
        assert {[salting $home salt_withheld] > $withheld}
        assert_equal 0 [salting $home salt_waiting]
        # What comes behind a write that waits comes behind it.
        connect c $home
        resp::write c [resp::encode set $key p1][resp::encode get $key][resp::encode incr other{$key}][resp::encode set $key p2]
        assert_equal {OK p1 1 OK} [list [resp::plain [resp::read c]] [resp::plain [resp::read c]] [resp::plain [resp::read c]] [resp::plain [resp::read c]]]
        foreach name $names { assert_equal p2 [lindex [read_name $name] 1] }
    }
}

test "with salt-sync no a write waits for nobody, and the names follow" {
    with_salted 4 {salt-sync no} {
        set withheld [salting $home salt_withheld]
        foreach value {1 2 3} {
            on $home set $key $value
            foreach name $names { eventually { [lindex [read_name $name] 1] eq $value } }
        }
        assert_equal $withheld [salting $home salt_withheld]
    }
}

test "a helper that is killed holds a write up for its lease, and nobody is told an older value" {
    # Long enough for the writes: while one of them has failed the cluster is down.
    with_salted 6 {cluster-node-timeout 20000} {
        write_and_look $home $key $names
        node_kill bob
        for {set i 0} {$i < 20} {incr i} { write_and_look $home $key $names bob }
        node_start bob [dict merge $::cluster_options [list @port [node_port bob] @dir [node_dir bob]]]
        eventually { [is_answered_by_copies $names] }
        for {set i 0} {$i < 20} {incr i} { write_and_look $home $key $names }
    }
}

test "a helper that stands still tells nothing old when it goes on" {
    with_salted 6 {} {
        # The first write is to fall into the lease of the one that stands still: on a machine that does so itself it may not.
        for {set round 0} {$round < 3 || ([salting $home salt_released_by_lease] == 0 && $round < 50)} {incr round} {
            eventually { [is_answered_by_copies $names] }
            node_signal bob STOP
            write_and_look $home $key $names bob
            write_and_look $home $key $names bob
            node_signal bob CONT
            foreach name $names { assert_equal "v$::stamp" [lindex [read_name $name] 1] $name }
        }
        assert {[salting $home salt_released_by_lease] >= 1}
        eventually { [is_answered_by_copies $names] }
    }
}

test "a reply that waits for copies and for something else waits for both" {
    with_salted 6 {enable-debug-command yes} {
        on $home config set salt-lease-ms 3000
        eventually { [salting $home salt_lease_granted_ms] == 3000 }
        eventually { [is_answered_by_copies $names] }
        connect c $home
        foreach command [list multi [list set $key both] {debug withhold}] { resp::do c {*}$command }
        node_signal bob STOP
        set began [clock milliseconds]
        resp::send c exec
        eventually { [on $home debug release] == 1 }
        # Bob may tell the former value for as long as he has his lease.
        set closed [resp::is_closed c 300]
        if {[clock milliseconds] - $began < 2500} { assert {!$closed && [resp::unread c] eq ""} "it did not wait for bob's lease" }
        assert_equal {OK OK} [resp::plain [resp::read c]]
        node_signal bob CONT
        foreach name $names { assert_equal both [lindex [read_name $name] 1] $name }
    }
}

test "a link that is closed is opened again, and no name is older meanwhile" {
    with_salted 6 {} {
        assert_equal 2 [llength [helper_clients $home]]
        for {set i 0} {$i < 40} {incr i} {
            if {$i % 8 == 0} { foreach id [helper_clients $home] { on $home client kill id $id } }
            write_and_look $home $key $names
        }
        eventually { [is_answered_by_copies $names] }
        for {set i 0} {$i < 10} {incr i} { write_and_look $home $key $names }
    }
}

test "names come and go while the key is written" {
    with_salted 2 {} {
        set all $names
        foreach factor {8 4 1 6 2 8} {
            set names [on $home salt $key $factor]
            assert_equal $factor [llength $names]
            foreach name $names { if {$name ni $all} { lappend all $name } }
            for {set i 0} {$i < 10} {incr i} {
                write_and_look $home $key $names {} yes
                # One that is a name no more is an alias for an hour yet; where a node has not heard of a new one yet it is no key.
                foreach name $all {
                    lassign [read_name $name] where got
                    if {$where ne "error" && $got ne ""} { assert_equal "v$::stamp" $got "$name of [llength $names]" }
                }
            }
            eventually { [is_answered_by_copies $names] }
        }
    }
}

# Until all have heard of it.
proc move_slot_with_keys {slot from to} {
    open_slot $slot $from $to
    move_keys $slot $from $to
    hand_over $slot $from $to
    eventually { [owner_of_slot $slot ada] eq $to && [owner_of_slot $slot bob] eq $to && [owner_of_slot $slot carol] eq $to }
}

test "the slot of a salted key may move, there and back, and no name is older" {
    with_salted 6 {} {
        foreach {from to} {ada bob bob carol carol ada} {
            write_and_look $from $key $names
            move_slot_with_keys [slot_of $key] $from $to
            foreach name $names {
                lassign [read_name $name] where got
                if {$where ne "error"} { assert_equal "v$::stamp" $got "$name after $from -> $to" }
            }
            for {set i 0} {$i < 5} {incr i} { write_and_look $to $key $names }
            eventually { [is_answered_by_copies $names] }
            for {set i 0} {$i < 5} {incr i} { write_and_look $to $key $names }
        }
    }
}

test "while its slot is on the way a salted key is written where it is" {
    with_salted 6 {} {
        set slot [slot_of $key]
        open_slot $slot ada bob
        for {set i 0} {$i < 5} {incr i} { write_and_look ada $key $names }
        assert_equal OK [on ada migrate [node_host bob] [node_port bob] $key 0 60000]
        # It is at bob, who is not home yet: what he acknowledges nobody tells an older value of.
        for {set i 0} {$i < 5} {incr i} {
            set value "v[incr ::stamp]"
            on bob asking
            assert_equal OK [on bob set $key $value]
            foreach name $names {
                if {![catch { on [owner_of $name] get $name } got]} { assert_equal $value $got $name }
            }
        }
        hand_over $slot ada bob
        eventually { [owner_of_slot $slot carol] eq "bob" && [owner_of_slot $slot ada] eq "bob" }
        for {set i 0} {$i < 5} {incr i} { write_and_look bob $key $names }
        eventually { [is_answered_by_copies $names] }
    }
}

test "the slot of a name may move, and its new node has a copy soon" {
    with_salted 6 {} {
        set name [lindex [lsearch -all -inline -not $names $key] end]
        set from [owner_of $name]
        set to [expr {$from eq "bob" ? "carol" : "bob"}]
        give_slot [slot_of $name] $from $to
        eventually { [owner_of $name ada] eq $to && [owner_of $name bob] eq $to && [owner_of $name carol] eq $to }
        for {set i 0} {$i < 10} {incr i} { write_and_look $home $key $names }
        set owner $to
        eventually { ![catch { on $owner get $name } got] && $got eq "v$::stamp" }
        for {set i 0} {$i < 10} {incr i} { write_and_look $home $key $names }
    }
}

test "a home that is started again begins with nobody's copies" {
    with_salted 6 {} {
        write_and_look $home $key $names
        node_kill $home
        node_start $home [dict merge $::cluster_options [list @port [node_port $home] @dir [node_dir $home]]]
        eventually { ![catch { on $home set $key again } got] && $got eq "OK" }
        set ::stamp_value again
        foreach name $names {
            lassign [read_name $name] where got
            if {$where ne "error"} { assert_equal again $got $name }
        }
        for {set i 0} {$i < 10} {incr i} { write_and_look $home $key $names }
        eventually { [is_answered_by_copies $names] }
    }
}

test "nodes that grant leases of different lengths wait for the longest of them" {
    with_salted 6 {} {
        foreach node {ada bob carol} { assert_equal {200 200} [list [salting $node salt_lease_granted_ms] [salting $node salt_lease_longest_ms]] }
        # A shorter one is nobody else's business.
        on bob config set salt-lease-ms 100
        eventually { [salting bob salt_lease_granted_ms] == 100 }
        on ada config set salt-lease-ms 3000
        # It is announced, and granted when all have heard of it.
        eventually { [salting ada salt_lease_granted_ms] == 3000 }
        foreach node {ada bob carol} { assert_equal 3000 [salting $node salt_lease_longest_ms] }
        for {set i 0} {$i < 10} {incr i} { write_and_look ada $key $names }
        # Whoever is home after her waits for hers, though its own are shorter: the other node, and she herself when she comes back with shorter ones.
        set began [clock milliseconds]
        move_slot_with_keys [slot_of $key] ada bob
        assert_equal OK [on bob set $key moved]
        assert {[clock milliseconds] - $began >= 3000} "a new home waited for [expr {[clock milliseconds] - $began}] ms only"
        eventually { [is_answered_by_copies $names] }
        node_kill ada
        set began [clock milliseconds]
        node_start ada [dict merge $::cluster_options [list @port [node_port ada] @dir [node_dir ada]]]
        eventually { [salting ada salt_lease_longest_ms] == 3000 && [salting ada salt_lease_granted_ms] == 200 }
        # When none of them can be left it is forgotten.
        eventually { [salting bob salt_lease_longest_ms] == 200 && [salting carol salt_lease_longest_ms] == 200 && [salting ada salt_lease_longest_ms] == 200 }
        assert {[clock milliseconds] - $began >= 3000}
    }
}

test "links say the password that masterauth or requirepass has" {
    with_cluster {ada bob} {@split yes} {
        set ::nodes {ada bob}
        set ::observer ada
        set key [salted_key ada]
        on ada set $key 1
        on ada config set requirepass secret
        set names [on ada salt $key 4]
        # bob has none to say: nothing comes.
        eventually { [regexp {it takes no helpers|refuses the password} [node_log bob]] }
        assert_equal 0 [salting bob salt_copies]
        on bob config set masterauth secret
        eventually { [is_answered_by_copies $names] }
        on bob config set masterauth wrong
        foreach id [helper_clients ada] { on ada client kill id $id }
        eventually { [regexp {refuses the password} [node_log bob]] }
        on bob config set masterauth {}
        on bob config set requirepass secret
        eventually { [is_answered_by_copies $names] }
        write_and_look ada $key $names
    }
}

test "SALTLINK is for nodes: what it does not understand is an error, and HELLO comes first" {
    with_cluster {ada bob} {@split yes} {
        set id [string repeat 0123abcd 5]
        connect c ada
        foreach wrong {{} {bogus} {hello} {hello x 1} {renew} {renew x} {renew -1} {join a} {join a 1 2} {ack a 1} {fold a 1 2 x} {welcome 1} {value a 1 2 v -1 0 0 0}} {
            assert_match "ERR *" [lindex [resp::ask c saltlink {*}$wrong] 1]
        }
        foreach early {{renew 1} {join a 1 0} {leave a 1} {ack a 1 1} {fold a 1 1 5}} {
            assert_equal {error {ERR SALTLINK HELLO comes first}} [resp::ask c saltlink {*}$early]
        }
        assert_match "ERR invalid SALTLINK message" [lindex [resp::ask c saltlink join [string repeat x 513] 1 0] 1]
        # A stranger that says HELLO is taken for a node and may have what any client may read; no more.
        assert_equal {simple OK} [resp::ask c saltlink hello $id 1]
        assert_equal {array {{bulk WELCOME} {bulk 1}}} [resp::read c]
        resp::send c saltlink join nothing 1 0
        assert_equal {simple OK} [resp::read c]
        assert_equal {array {{bulk REFUSED} {bulk nothing} {bulk 1}}} [resp::read c]
        resp::send c saltlink renew 7
        assert_equal {simple OK} [resp::read c]
        assert_equal {array {{bulk RENEWED} {bulk 7} {bulk 200}}} [resp::read c]
        foreach harmless {{ack nothing 1 99} {leave nothing 1} {ack nothing 18446744073709551615 18446744073709551615}} {
            assert_equal {simple OK} [resp::ask c saltlink {*}$harmless]
        }
        # The same node comes by another connection: this one is over.
        connect d ada
        assert_equal {simple OK} [resp::ask d saltlink hello $id 2]
        assert {[resp::is_closed c]}
        connect e ada
        assert_equal {simple OK} [resp::ask e saltlink hello $id 2]
        assert_equal {array {{bulk STALE} {bulk 2}}} [resp::read e]
        assert {[resp::is_closed e]}
        on ada multi
        assert_error "ERR Command not allowed inside a transaction" { on ada saltlink hello $id 3 }
        on ada discard
        assert_equal PONG [on ada ping]
    }
    with_node carol {} {
        assert_error "ERR This instance has cluster support disabled" { on carol saltlink renew 1 }
    }
}
