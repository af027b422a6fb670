# Random commands through a slot that moves back and forth, every reply checked against a model.
#
# The model of a node is what it knows of slots, kept here and decided on by the published rules in the published order, and what its keys
# hold, kept by a redis-server of its own without a cluster: what a node is to serve is asked of that, too, and the replies have to be equal. So
# a key that is on both sides, or on none, is seen at once.
#
#     MOVING_SEED=n     the run of an earlier one     MOVING_STEPS=n   how long it goes on (default 800)

proc number_from_env {name default} {
    return [expr {[info exists ::env($name)] && $::env($name) ne "" ? $::env($name) : $default}]
}
set ::seed [number_from_env MOVING_SEED [expr {int(rand() * 1000000000)}]]
set ::steps [number_from_env MOVING_STEPS 800]

proc pick {list} { return [lindex $list [expr {int(rand() * [llength $list])}]] }
proc chance {share} { return [expr {rand() < $share}] }
proc other {node} { return [expr {$node eq "ada" ? "bob" : "ada"}] }

# --- What is asked ---
# K is a key, V a value, N a number, F a number with a fraction, I an index, S and M what is left of a deadline in s and ms, T and U the moment
# itself. Deadlines are drawn far apart, so that a machine's haste changes no comparison of two.
set ::templates {
    {get K} {get K} {get K} {set K V} {set K V} {set K N} {set K V nx} {set K V xx} {set K V get} {set K V nx get} {set K V ex S} {set K V px M}
    {set K V exat T} {set K V pxat U} {set K V keepttl} {set K V xx get keepttl} {setnx K V} {setex K S V} {psetex K M V} {getset K V} {getdel K}
    {getex K} {getex K persist} {getex K ex S} {getex K px M} {getex K exat T} {getex K pxat U} {append K V} {strlen K} {setrange K I V}
    {getrange K I N} {substr K 0 I} {incr K} {decr K} {incrby K N} {decrby K N} {incrbyfloat K F} {lcs K K} {lcs K K len} {lcs K K idx}
    {mget K} {mget K K} {mget K K K} {mset K V} {mset K V K V} {mset K V K V K V} {msetnx K V} {msetnx K V K V}
    {del K} {del K} {del K K} {del K K K} {unlink K} {unlink K K} {exists K} {exists K K} {exists K K K} {touch K} {touch K K} {type K}
    {copy K K} {copy K K replace} {rename K K} {renamenx K K} {dump K}
    {expire K S} {expire K S nx} {expire K S xx} {expire K S gt} {expire K S lt} {pexpire K M} {pexpire K M gt} {expireat K T} {expireat K T lt}
    {pexpireat K U} {pexpireat K U gt} {expire K -1} {expireat K 1} {persist K} {ttl K} {ttl K} {pttl K} {expiretime K} {pexpiretime K}
    {psetex K 1 V} {pexpire K 1}
}
set ::tells_time {ttl pttl expiretime pexpiretime}

proc draw_key {} {
    # Mostly of the slot that moves; some of one that stays at ada, some of one that stays at bob.
    if {[chance 0.94]} { return "{moves}[pick {1 2 3 4 5 6 7 8 9 10}]" }
    return [pick {"{stays:1}a" "{stays:1}b" "{stays:2}a" "{stays:2}b"}]
}

proc draw_word {word} {
    switch -exact -- $word {
        K { return [draw_key] }
        V { return [pick [list v "" 1 12 -7 hello "hello world" 1.5 "\x00\xff\r\n" [string repeat ab [expr {int(rand() * 9)}]]]] }
        N { return [pick {0 1 -1 7 100 -100 9223372036854775807}] }
        F { return [pick {1 0.5 -2.25 1e3}] }
        I { return [expr {int(rand() * 6)}] }
        S { return [expr {1000 + int(rand() * 100000000)}] }
        M { return [expr {1000000 + int(rand() * 100000000000)}] }
        T { return [expr {[clock seconds] + 1000 + int(rand() * 100000000)}] }
        U { return [expr {[clock milliseconds] + 1000000 + int(rand() * 100000000000)}] }
    }
    return $word
}

# {words keys}: a command, and which keys are in it.
proc draw_command {} {
    set keys {}
    set words {}
    foreach word [pick $::templates] {
        set drawn [draw_word $word]
        lappend words $drawn
        if {$word eq "K"} { lappend keys $drawn }
    }
    return [list $words $keys]
}

# --- The model ---
# ::owner(slot): who owns it, as both know. ::state(node): none, migrating or importing, of the slot that moves.

# How many of the keys a node has.
proc count_there {node keys} {
    set there 0
    foreach key $keys { incr there [on model:$node exists $key] }
    return $there
}

# What a node is to say to a command with these keys: "" that it serves it, or the error. By the rules' order.
proc decide {node keys asking {migrates 0}} {
    if {$keys eq {}} { return "" }
    set slot [slot_of [lindex $keys 0]]
    foreach key $keys { if {[slot_of $key] != $slot} { return "CROSSSLOT Keys in request don't hash to the same slot" } }
    set state [expr {$slot == $::slot ? $::state($node) : "none"}]
    set there [expr {$state eq "none" ? 0 : [count_there $node $keys]}]
    set missing [expr {[llength $keys] - $there}]
    if {$state ne "none" && $migrates} { return "" }
    if {$state eq "migrating" && $missing > 0} {
        if {$there > 0} { return "TRYAGAIN Multiple keys request during rehashing of slot" }
        return "ASK $slot 127.0.0.1:[node_port [other $node]]"
    }
    if {$state eq "importing" && $asking} {
        if {[llength [lsort -unique $keys]] > 1 && $missing > 0} { return "TRYAGAIN Multiple keys request during rehashing of slot" }
        return ""
    }
    if {$::owner($slot) eq $node} { return "" }
    return "MOVED $slot 127.0.0.1:[node_port $::owner($slot)]"
}

# --- Asking and comparing ---
proc trace {text} {
    lappend ::traced $text
    if {[llength $::traced] > 40} { set ::traced [lrange $::traced end-39 end] }
}

proc wrong {what} {
    set shown [lmap line $::traced { resp::printable $line 1000 }]
    fail "$what\n(MOVING_SEED=$::seed; ada is $::state(ada), bob is $::state(bob))\n[join $shown \n]"
}

proc ask_node {connection args} {
    set reply [resp::ask $connection {*}$args]
    trace "$connection: $args -> $reply"
    return $reply
}

# What is left of a deadline was told a moment later.
proc is_same {words expected got} {
    if {$expected eq $got} { return 1 }
    lassign $expected type number
    if {[lindex $words 0] ni $::tells_time || $type ne "integer" || [lindex $got 0] ne "integer"} { return 0 }
    return [expr {$number > 0 && [lindex $got 1] > 0 && abs($number - [lindex $got 1]) < 600000}]
}

proc check_reply {words expected got} {
    if {![is_same $words $expected $got]} { wrong "to '$words' the answer should be '$expected', and is '$got'" }
}

# What is over in a millisecond is over before anything else happens.
proc let_expire {words} {
    if {[lindex $words 0] in {psetex pexpire} && [lindex $words 2] == 1} { after 12 }
}

proc command_once {node asking} {
    lassign [draw_command] words keys
    if {$asking} { check_reply asking {simple OK} [ask_node $node asking] }
    set refusal [decide $node $keys $asking]
    set expected [expr {$refusal eq "" ? [typed_on model:$node {*}$words] : [list error $refusal]}]
    set got [ask_node $node {*}$words]
    check_reply $words $expected $got
    if {$refusal eq ""} { let_expire $words }
    return $expected
}

# As clients do: where it says ASK the other is asked with ASKING.
proc command {} {
    set node [pick {ada bob}]
    command_once $node [chance 0.25]
}

# A command between two that say ASKING has used it up.
proc asking_is_for_one {} {
    set node [pick {ada bob}]
    check_reply asking {simple OK} [ask_node $node asking]
    set word [pick {ping "cluster myid" nonsense "get"}]
    ask_node $node {*}$word
    command_once $node 0
}

# A transaction, perhaps one that watches, perhaps one that asks: as a whole it is served or refused.
proc transaction {} {
    set node [pick {ada bob}]
    set asking [chance 0.4]
    set model model:$node
    set dirty 0
    set stale 0
    set queued {}
    set keys {}
    if {[chance 0.3]} {
        set key [draw_key]
        set expected [decide $node [list $key] 0]
        check_reply {watch} [expr {$expected eq "" ? "simple OK" : [list error $expected]}] [ask_node $node watch $key]
        if {$expected eq ""} {
            on $model watch $key
            if {[chance 0.5]} {
                set reply [ask_node $node:beside append $key w]
                check_reply {append} [typed_on $model:beside append $key w] $reply
                # After that a redis-server keeps nothing of what is queued, and does not look at its keys.
                set stale [string match *redis-server* $::node($node,binary)]
            }
        }
    }
    if {$asking} { check_reply asking {simple OK} [ask_node $node asking] }
    check_reply multi {simple OK} [ask_node $node multi]
    for {set i [expr {1 + int(rand() * 4)}]} {$i > 0} {incr i -1} {
        lassign [draw_command] words its_keys
        if {[lindex $words 2] == 1 && [lindex $words 0] in {psetex pexpire}} continue
        set refusal [decide $node $its_keys $asking]
        check_reply $words [expr {$refusal eq "" ? "simple QUEUED" : [list error $refusal]}] [ask_node $node {*}$words]
        if {$refusal ne ""} {
            set dirty 1
        } elseif {!$dirty} {
            lappend queued $words
            if {!$stale} { lappend keys {*}$its_keys }
        }
    }
    if {[chance 0.1]} {
        check_reply discard {simple OK} [ask_node $node discard]
        on $model unwatch
        return
    }
    set refusal [decide $node $keys $asking]
    if {$refusal eq "" && $dirty} { set refusal "EXECABORT Transaction discarded because of previous errors." }
    if {$refusal ne ""} {
        check_reply exec [list error $refusal] [ask_node $node exec]
        on $model unwatch
        return
    }
    on $model multi
    foreach words $queued { on $model {*}$words }
    set expected [typed_on $model exec]
    set got [ask_node $node exec]
    if {[lindex $expected 0] eq "null" || [lindex $got 0] eq "null"} { check_reply exec $expected $got; return }
    foreach words $queued a [lindex $expected 1] b [lindex $got 1] { check_reply $words $a $b }
}

# --- Keys that move ---
proc keys_at {node} { return [lsort [on model:$node keys "{moves}*"]] }

# MIGRATE of some keys, between the models as the rules say.
proc migrate {from keys args} {
    set to [other $from]
    set copies [expr {"copy" in $args}]
    set replaces [expr {"replace" in $args}]
    set expected [decide $from $keys 0 1]
    if {$expected ne ""} {
        set expected [list error $expected]
    } elseif {[count_there $from $keys] == 0} {
        set expected {simple NOKEY}
    } else {
        set error ""
        foreach key $keys {
            if {![on model:$from exists $key]} continue
            set refusal [decide $to [list $key] 1]
            if {$refusal eq "" && !$replaces && [on model:$to exists $key]} { set refusal "BUSYKEY Target key name already exists." }
            if {$refusal ne ""} {
                if {$error eq ""} { set error $refusal }
                continue
            }
            set at [on model:$from pexpiretime $key]
            set payload [on model:$from dump $key]
            on model:$to restore $key [expr {max($at, 0)}] $payload absttl replace
            if {!$copies} { on model:$from del $key }
        }
        set expected [expr {$error eq "" ? "simple OK" : [list error "ERR Target instance replied with error: $error"]}]
    }
    set words [list migrate 127.0.0.1 [node_port $to]]
    set words [expr {[llength $keys] == 1 && [chance 0.5] ? [concat $words $keys 0 60000 $args] : [concat $words [list ""] 0 60000 $args keys $keys]}]
    check_reply $words $expected [ask_node $from {*}$words]
}

# {node-id epoch} as a node knows them.
proc epochs {observer} { return [lsort [lmap line [cluster_node_lines $observer] { list [dict get $line id] [dict get $line epoch] }]] }

proc is_known_to_be {owner} { return [expr {[owner_of_slot $::slot ada] eq $owner && [owner_of_slot $::slot bob] eq $owner}] }

proc some_keys {} {
    set keys {}
    for {set i [expr {1 + int(rand() * 4)}]} {$i > 0} {incr i -1} { lappend keys "{moves}[expr {1 + int(rand() * 10)}]" }
    return [lsort -unique $keys]
}

proc setslot {node args} { return [ask_node $node cluster setslot $::slot {*}$args] }

# What each has of the slot is what it should have, once what has expired has gone.
proc check_keys {} {
    foreach node {ada bob} {
        set keys [keys_at $node]
        if {[catch { eventually { [lsort [on $node cluster getkeysinslot $::slot 1000]] eq $keys } }]} {
            wrong "$node should have '$keys', and has '[lsort [on $node cluster getkeysinslot $::slot 1000]]'"
        }
    }
}

# One move from the owner to the other, with commands all the way; or one that is given up.
proc move_slot {} {
    set from $::owner($::slot)
    set to [other $from]
    check_reply setslot [list error "ERR I'm already the owner of hash slot $::slot"] [setslot $from importing [node_id $to]]
    check_reply setslot [list error "ERR I'm not the owner of hash slot $::slot"] [setslot $to migrating [node_id $from]]
    # A migrating slot whose target does not know yet, now and then: it says MOVED, and so does MIGRATE.
    foreach node [expr {[chance 0.7] ? "$to $from" : "$from $to"}] {
        set ::state($node) [expr {$node eq $from ? "migrating" : "importing"}]
        check_reply setslot {simple OK} [setslot $node $::state($node) [node_id [other $node]]]
        commands [expr {int(rand() * 5)}]
        if {[chance 0.5]} { migrate $from [some_keys] }
    }
    set gives_up [chance 0.15]
    for {set i [expr {int(rand() * 12)}]} {$i > 0} {incr i -1} {
        commands [expr {int(rand() * 10)}]
        migrate [expr {[chance 0.8] ? $from : $to}] [some_keys] {*}[pick {{} {} {} replace copy {copy replace}}]
    }
    if {$gives_up && [keys_at $to] eq {}} {
        foreach node [list $to $from] { check_reply setslot {simple OK} [setslot $node stable]; set ::state($node) none }
        return
    }
    while {[set left [keys_at $from]] ne {}} {
        check_reply setslot [list error "ERR Can't assign hashslot $::slot to a different node while I still hold keys for this hash slot."] \
            [setslot $from node [node_id $to]]
        commands [expr {int(rand() * 10)}]
        migrate $from [lrange $left 0 [expr {int(rand() * 5)}]] replace
        if {[chance 0.2]} check_keys
    }
    commands [expr {int(rand() * 10)}]
    check_keys
    # What one says between these two depends on what it has heard from the other.
    check_reply setslot {simple OK} [setslot $to node [node_id $to]]
    check_reply setslot {simple OK} [setslot $from node [node_id $to]]
    set ::owner($::slot) $to
    foreach node {ada bob} { set ::state($node) none }
    trace "the slot is $to's"
    # A redis-server that gets a slot does not outbid an epoch it has not heard of, and gives the slot back, without its keys, when it does.
    if {[catch { eventually { [is_known_to_be $to] && [epochs ada] eq [epochs bob] } } message]} {
        foreach node {ada bob} { trace "$node: [on $node cluster nodes]" }
        wrong $message
    }
    check_keys
    incr ::moves
}

proc commands {count} {
    for {} {$count > 0} {incr count -1} {
        incr ::done
        switch [pick {command command command command command command transaction asking_is_for_one}] {
            command command
            transaction transaction
            asking_is_for_one asking_is_for_one
        }
    }
}

foreach ::second {"a node of ours" redis-server} {
    test "every reply is the model's while a slot moves between a node of ours and $::second (seed $::seed)" {
        set binaries [expr {$::second eq "redis-server" ? {bob redis-server} : {}}]
        # Nobody is to be suspected, however slow the machine.
        with_cluster {ada bob} [list @split yes @binaries $binaries cluster-node-timeout 60000] {
            foreach node {ada bob} {
                node_start model:$node {@binary redis-server rdbcompression no}
                connect $node:beside $node
                connect model:$node:beside model:$node
                set ::state($node) none
            }
            foreach slot {stays:1 stays:2} node {ada bob} { set ::owner([slot_of "{$slot}"]) $node }
            assert_equal {ada bob} [lmap key {"{stays:1}" "{stays:2}"} { owner_of $key }]
            set ::slot [slot_of "{moves}"]
            set ::owner($::slot) [owner_of "{moves}"]
            set ::traced {}
            set ::moves 0
            set ::done 0
            expr {srand($::seed)}
            while {$::done < $::steps} { commands [expr {int(rand() * 20)}]; move_slot }
            puts "          $::done commands, $::moves moves"
            foreach node {ada bob} { node_stop model:$node }
        }
    }
}
