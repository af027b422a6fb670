# FETCH, SET's VER, TOKEN and FRESH, INVALIDATE: who may fill a key, with what, and who waits for it.

# Waits until so many clients wait for a key.
proc eventually_waiting {node count} {
    eventually { [info_field $node blocked_clients] == $count }
}
proc token_of {reply} { return [lindex $reply 3] }
proc state_of {reply} { return [lindex $reply 0] }

# A lease that nobody waits long for, and one that no slow machine outlives.
set ::long 60000

test "every reply of FETCH is four, in both protocols" {
    with_node ada {
        foreach proto {2 3} {
            connect c ada
            if {$proto == 3} { resp::hello3 c }
            resp::do c flushall
            set null [expr {$proto == 3 ? "_" : "\$-1"}]
            proc raw {args} { resp::ask c {*}$args; return [resp::raw c] }
            assert_equal "*4\r\n+MISS\r\n$null\r\n$null\r\n$null\r\n" [raw fetch key]
            assert {[regexp "^\\*4\r\n\\+MISS\r\n[string map {\$ \\$} $null]\r\n[string map {\$ \\$} $null]\r\n\\$\\d+\r\n\\d+-\\d+\r\n\$" [raw fetch key lease $::long]]}
            assert_equal "*4\r\n+MISS\r\n$null\r\n$null\r\n$null\r\n" [raw fetch key lease $::long] "while another loads"
            assert_equal "*4\r\n+MISS\r\n$null\r\n:7\r\n$null\r\n" [raw fetch other ver 7]
            assert_equal "*4\r\n+MISS\r\n$null\r\n:7\r\n$null\r\n" [raw fetch other] "the floor that was left"
            resp::do c set key value
            assert_equal "*4\r\n+HIT\r\n\$5\r\nvalue\r\n$null\r\n$null\r\n" [raw fetch key]
            resp::do c set other value ver 8
            assert_equal "*4\r\n+HIT\r\n\$5\r\nvalue\r\n:8\r\n$null\r\n" [raw fetch other ver 8]
            resp::do c invalidate other stale
            assert_equal "*4\r\n+STALE\r\n\$5\r\nvalue\r\n:8\r\n$null\r\n" [raw fetch other]
            assert {[regexp "^\\*4\r\n\\+STALE\r\n\\\$5\r\nvalue\r\n:8\r\n\\$\\d+\r\n\\d+-\\d+\r\n\$" [raw fetch other lease $::long]]}
            assert_equal "*4\r\n+STALE\r\n\$5\r\nvalue\r\n:8\r\n$null\r\n" [raw fetch other lease $::long] "while another loads"
        }
    }
}

test "a token is good until something happens to its key, whatever it is" {
    with_node ada {
        connect other ada
        foreach {what command} {
            "a deletion of nothing" {del key}       "an unlink of nothing" {unlink key}    "a write" {set key v}
            "an invalidation" {invalidate key}      "an older one" {invalidate key ver 1}  "a counter" {incr key}
            "an append" {append key x}              "a rename to it" {rename from key}     "a copy to it" {copy from key replace}
            "a flush" {flushall}                    "a deadline in the past" {set key v pxat 1000}
            "a restore" {restore key 0 "\x00\x01x\x0a\x00\xd9\x0e\x5a\x1f\x52\x12\xe3\x9f" replace}
            "a transaction" {multi}
        } {
            on ada flushall
            on ada set from v
            set token [token_of [on ada fetch key lease $::long]]
            if {$command eq "multi"} {
                resp::do other multi
                resp::do other del key
                resp::do other exec
            } elseif {[lindex $command 0] eq "restore"} {
                on ada set dumped x
                resp::do other restore key 0 [on ada dump dumped] replace
            } else {
                resp::do other {*}$command
            }
            assert_equal "" [on ada set key stale token $token] $what
            assert {[on ada get key] ne "stale"}
            set token [token_of [on ada fetch gone:$what lease $::long]]
            assert_equal OK [on ada set gone:$what fresh token $token]
        }
        assert {[info_field ada fills_refused_token] >= 12}
    }
}

test "a DEL of nothing, and a write to another key, before the fill: one is refused, the other is not" {
    with_node ada {
        set token [token_of [on ada fetch a lease $::long]]
        on ada set unrelated:key v
        on ada set a fill token $token ex 100
        # One slot has 64 stripes; with 16384 slots two keys that share one are rare, and these do not.
        assert_equal fill [on ada get a]
        assert {[on ada ttl a] > 90}
        set token [token_of [on ada fetch b lease $::long]]
        assert_equal 0 [on ada del b]
        assert_equal "" [on ada set b stale token $token]
        assert_equal 0 [on ada exists b]
        # A token is of one life of the node.
        set token [token_of [on ada fetch c lease $::long]]
        node_kill ada
        resp::close ada
        node_restart ada
        assert_equal "" [on ada set c stale token $token]
    }
}

test "versions only rise, also when the value that had one is gone" {
    with_node ada {
        assert_equal OK [on ada set k five ver 5]
        assert_equal "" [on ada set k four ver 4]
        assert_equal OK [on ada set k "five again" ver 5]
        assert_equal {HIT {five again} 5 {}} [on ada fetch k]
        assert_equal OK [on ada set k six ver 6]
        assert_equal 1 [on ada del k]
        assert_equal {MISS {} 6 {}} [on ada fetch k]
        assert_equal "" [on ada set k five ver 5]
        assert_equal OK [on ada set k six ver 6]
        # A plain write: nobody knows which version that is, so the one it replaced is not good any more either.
        on ada set k plain
        assert_equal {HIT plain {} {}} [on ada fetch k]
        assert_equal "" [on ada set k six ver 6]
        assert_equal OK [on ada set k seven ver 7]
        # What is made of a value has no version; the one that it was made of is below what may come.
        foreach {change version} {{append K x} "" {setrange K 0 S} "" {getset K v} "" {copy K to} 7 {rename K to} 7} {
            set key "after:[lindex $change 0]"
            on ada del to
            on ada set $key v ver 7
            on ada {*}[string map [list K $key] $change]
            assert_equal $version [lindex [on ada fetch $key] 2] $change
            if {[on ada exists to]} { assert_equal "" [lindex [on ada fetch to] 2] $change }
            assert_equal [expr {$version eq "" ? "" : "OK"}] [on ada set $key again ver 7] "the same version after $change"
        }
        on ada flushall
        on ada set n 1 ver 3
        on ada incr n
        assert_equal {HIT 2 {} {}} [on ada fetch n]
        on ada expire n 100
        on ada set n 5 ver 4
        on ada expire n 100
        assert_equal {HIT 5 4 {}} [on ada fetch n] "a deadline leaves the version"
        # The extremes.
        assert_equal OK [on ada set big v ver 9223372036854775807]
        assert_equal {HIT v 9223372036854775807 {}} [on ada fetch big ver 9223372036854775807]
        assert_equal "" [on ada set big v ver 9223372036854775806]
        assert_equal OK [on ada set zero v ver 0]
        assert_equal {HIT v 0 {}} [on ada fetch zero ver 0]
        assert_error {ERR value is not an integer*} { on ada set big v ver 9223372036854775808 }
        assert_error {ERR invalid version in 'set' command} { on ada set big v ver -1 }
        assert {[info_field ada fills_refused_version] >= 6}
    }
}

test "a floor is remembered for floor-ttl" {
    with_node ada {floor-ttl 300} {
        on ada invalidate k ver 9
        assert_equal {MISS {} 9 {}} [on ada fetch k]
        assert_equal "" [on ada set k old ver 8]
        eventually { [on ada set k old ver 8] eq "OK" }
        on ada config set floor-ttl 100000
        on ada invalidate k ver 9
        assert_equal "" [on ada set k old ver 8]
    }
}

test "a reader who asks for a version makes up for a lost invalidation" {
    with_node ada {
        on ada set k one ver 1
        assert_equal {HIT one 1 {}} [on ada fetch k ver 1]
        set reply [on ada fetch k ver 2 lease $::long]
        assert_equal {MISS {} 2} [lrange $reply 0 2]
        assert_equal 0 [on ada exists k] "for everybody"
        assert_equal "" [on ada set k one ver 1 token [token_of $reply]]
        # That has ended his lease. Asking again for what is known voids nobody's token.
        set reply [on ada fetch k lease $::long]
        assert_equal {MISS {} 2} [lrange $reply 0 2]
        assert_equal {MISS {} 2 {}} [on ada fetch k ver 2]
        assert_equal OK [on ada set k two ver 2 token [token_of $reply]]
        # A value of which nobody knows the version.
        on ada set k plain
        assert_equal {MISS {} 2 {}} [on ada fetch k ver 2]
        assert_equal 0 [on ada exists k]
        assert_equal 2 [info_field ada invalidations_made_up_for]
    }
}

test "INVALIDATE drops what is older, marks what is to be stale, and holds what comes too soon" {
    with_node ada {
        assert_equal 0 [on ada invalidate k]
        on ada set k v
        assert_equal 1 [on ada invalidate k]
        on ada set k three ver 3 ex 1000
        assert_equal 0 [on ada invalidate k ver 3]
        assert_equal 0 [on ada invalidate k ver 2]
        assert_equal three [on ada get k]
        # Nothing of it is kept or forgotten: it may come again and in any order.
        assert_equal 1 [on ada invalidate k ver 5]
        assert_equal 0 [on ada invalidate k ver 4]
        assert_equal {MISS {} 5 {}} [on ada fetch k]
        on ada set k five ver 5 ex 1000
        assert_equal 1 [on ada invalidate k stale]
        assert_equal {STALE five 5} [lrange [on ada fetch k] 0 2]
        assert {[on ada ttl k] > 900}
        assert_equal OK [on ada set k five ver 5]
        assert_equal {HIT five 5 {}} [on ada fetch k] "set again it is fresh"
        assert_equal 1 [on ada invalidate k ver 6 stale]
        assert_equal {STALE five 5} [lrange [on ada fetch k] 0 2]
        assert_equal "" [on ada set k five ver 5] "that would be what is stale"
        # A fill within a hold is kept until it ends, with whatever deadline of its own that is earlier.
        assert_equal 0 [on ada invalidate held hold 50000]
        assert_equal OK [on ada set held v token [token_of [on ada fetch held lease $::long]]]
        set pttl [on ada pttl held]
        assert {$pttl > 0 && $pttl <= 50000}
        on ada set held w ver 1 px 1000
        assert {[on ada pttl held] <= 1000}
        on ada set held plain
        assert_equal -1 [on ada ttl held] "a plain write is no fill"
        assert_equal 1 [info_field ada fills_refused_hold]
    }
}

test "INVALIDATE TAG takes all keys with the tag, and no others" {
    with_node ada {
        for {set i 0} {$i < 6000} {incr i} { on ada set "{u}$i" $i }
        on ada set u "the bare one is in the slot, and its tag is the same"
        # Another tag of the same slot.
        for {set i 0} {[slot_of [set other "x$i"]] != [slot_of u]} {incr i} {}
        on ada set "{$other}1" stays
        set token [token_of [on ada fetch "{u}new" lease $::long]]
        assert_equal 6001 [on ada invalidate "{u}" tag]
        assert_equal 0 [on ada exists u "{u}1" "{u}5999"]
        assert_equal stays [on ada get "{$other}1"]
        assert_equal "" [on ada set "{u}new" v token $token]
        for {set i 0} {$i < 10} {incr i} { on ada set "{u}$i" $i ver 1 }
        assert_equal 10 [on ada invalidate "{u}whatever" tag stale]
        assert_equal {STALE 3 1 {}} [on ada fetch "{u}3"]
        assert_equal 10 [on ada invalidate "{u}" tag hold 50000]
        assert_equal OK [on ada set "{u}1" v token [token_of [on ada fetch "{u}1" lease $::long]]]
        assert {[on ada pttl "{u}1"] > 0}
        assert_error "ERR syntax error" { on ada invalidate "{u}" tag ver 3 }
        # Within a transaction it is one step.
        on ada multi
        on ada invalidate "{u}" tag
        on ada exists "{u}1"
        assert_equal {1 0} [on ada exec]
    }
}

test "a value is fresh for its time and there for its own" {
    with_node ada {
        on ada set k v fresh 100000 ex 1000
        assert_equal {HIT v {} {}} [on ada fetch k]
        on ada set k v fresh 50 ex 1000
        eventually { [on ada fetch k] eq {STALE v {} {}} }
        assert_equal v [on ada get k]
        set reply [on ada fetch k lease $::long]
        assert_equal {STALE v {}} [lrange $reply 0 2]
        assert_equal {STALE v {} {}} [on ada fetch k lease $::long] "one refreshes it"
        assert_equal OK [on ada set k w token [token_of $reply] fresh 100000]
        assert_equal {HIT w {} {}} [on ada fetch k lease $::long]
        on ada set big [string repeat x 100000] fresh 1 ver 3
        eventually { [lindex [on ada fetch big] 0] eq "STALE" }
        assert_equal 100000 [string length [lindex [on ada fetch big] 1]]
        assert {[info_field ada stale_served] >= 4}
    }
}

test "wrong options are told so" {
    with_node ada {
        foreach bad {{k foo} {k ver} {k lease} {k lease 10 wait}} { assert_error "ERR syntax error" { on ada fetch {*}$bad } }
        foreach bad {{k lease 0} {k lease -1} {k wait -1} {k lease 4294967295}} {
            assert_error "ERR invalid number of milliseconds in 'fetch' command" { on ada fetch {*}$bad }
        }
        assert_error "ERR value is not an integer or out of range" { on ada fetch k lease x }
        assert_error "ERR wrong number of arguments for 'fetch' command" { on ada fetch }
        foreach bad {{k v get ver 1} {k v ver 1 get} {k v ifeq a token 1-1} {k v token 1-1 ifeq a} {k v ver} {k v fresh} {k v token} {k v fresh 5 get}} {
            assert_error "ERR syntax error" { on ada set {*}$bad }
        }
        foreach bad {x 1 1- -1 1-1x 01-1} { assert_error "ERR invalid token in 'set' command" { on ada set k v token $bad } }
        assert_error "ERR invalid number of milliseconds in 'set' command" { on ada set k v fresh 0 }
        assert_error "ERR syntax error" { on ada invalidate k foo }
        assert_error "ERR syntax error" { on ada invalidate k ver }
        assert_error "ERR invalid number of milliseconds in 'invalidate' command" { on ada invalidate k hold 0 }
        assert_equal 0 [on ada exists k]
        # SET's own conditions count as well, and what they refuse ends the lease.
        set token [token_of [on ada fetch k lease $::long]]
        assert_equal "" [on ada set k v xx token $token]
        set token [token_of [on ada fetch k lease $::long]]
        assert {$token ne ""}
        assert_equal OK [on ada set k v nx token $token]
    }
}

# --- Waiting ---

test "one is elected, the others wait and have the value when it comes" {
    with_node ada {io-threads 3} {
        set reply [on ada fetch k lease $::long wait $::long]
        assert {[token_of $reply] ne ""}
        for {set i 0} {$i < 20} {incr i} {
            connect c$i ada
            resp::send c$i fetch k lease $::long wait $::long
        }
        eventually_waiting ada 20
        assert_match "*flags=b *cmd=fetch*" [on ada client list]
        on ada set k v token [token_of $reply] ver 4
        for {set i 0} {$i < 20} {incr i} { assert_equal {HIT v 4 {}} [resp::plain [resp::read c$i]] }
        assert_equal 0 [info_field ada blocked_clients]
        assert_equal 1 [info_field ada leases_granted]
        assert_equal 20 [info_field ada leases_waited]
        # Counted once each, as long as they ran and not as long as they waited.
        assert_match "*cmdstat_fetch:calls=21,*" [on ada info commandstats]
    }
}

test "a plain SET is a fill too, and so is any other write" {
    with_node ada {
        foreach write {{set k v} {mset k v} {append k v} {rename from k}} {
            on ada del k
            on ada set from v
            on ada fetch k lease $::long
            connect c ada
            resp::send c fetch k wait $::long
            eventually_waiting ada 1
            on ada {*}$write
            assert_equal {HIT v {} {}} [resp::plain [resp::read c]]
        }
    }
}

test "when who loads is gone, late, or has failed, the first who waits is elected" {
    with_node ada {io-threads 2} {
        foreach way {closed killed refused invalidated late} {
            on ada flushall
            connect loader ada
            set id [resp::do loader client id]
            set reply [resp::do loader fetch k lease [expr {$way eq "late" ? 2000 : $::long}]]
            foreach c {first second} {
                connect $c ada
                resp::send $c fetch k lease $::long wait $::long
                eventually_waiting ada [expr {$c eq "first" ? 1 : 2}]
            }
            switch $way {
                closed { resp::close loader }
                killed { on ada client kill id $id }
                refused { on ada set other v; resp::do loader set k v xx token [token_of $reply] }
                invalidated { on ada invalidate k ver 3 }
            }
            set reply [resp::plain [resp::read first]]
            assert_equal MISS [state_of $reply] $way
            assert {[token_of $reply] ne ""} $way
            assert_equal 1 [info_field ada blocked_clients] $way
            assert_equal OK [resp::do first set k v ver 3 token [token_of $reply]] $way
            assert_equal {HIT v 3 {}} [resp::plain [resp::read second]] $way
        }
    }
}

test "who was elected while he waited and is gone before he comes for it is passed by" {
    with_node ada {io-threads 2} {
        for {set round 0} {$round < 20} {incr round} {
            on ada flushall
            connect loader ada
            resp::do loader fetch k lease $::long
            foreach c {first second} {
                connect $c ada
                resp::send $c fetch k lease $::long wait $::long
                eventually_waiting ada [expr {$c eq "first" ? 1 : 2}]
            }
            resp::close first
            resp::close loader
            set reply [resp::plain [resp::read second]]
            assert {[token_of $reply] ne ""}
        }
    }
}

test "a wait ends at its time, by CLIENT UNBLOCK, and with its connection" {
    with_node ada {
        set began [clock milliseconds]
        assert_equal {MISS {} {} {}} [on ada fetch k wait 200]
        assert {[clock milliseconds] - $began >= 199}
        connect c ada
        set id [resp::do c client id]
        assert_equal 0 [on ada client unblock $id]
        resp::send c fetch k wait $::long
        eventually_waiting ada 1
        assert_equal 1 [on ada client unblock $id]
        assert_equal {MISS {} {} {}} [resp::plain [resp::read c]]
        resp::send c fetch k wait $::long
        eventually_waiting ada 1
        assert_equal 1 [on ada client unblock $id error]
        assert_error "UNBLOCKED client unblocked via CLIENT UNBLOCK" { resp::plain [resp::read c] }
        resp::send c fetch k lease $::long wait $::long
        assert {[token_of [resp::plain [resp::read c]]] ne ""} "the next is not concerned"
        # Who waits is not idle; who does not, is closed in that time.
        connect d ada
        connect idle ada
        on ada config set timeout 1
        resp::send d fetch k wait 4000
        assert {[resp::is_closed idle]}
        assert_equal {MISS {} {} {}} [resp::plain [resp::read d]]
        connect ada ada
        on ada config set timeout 0
        # Gone while it waits: noticed at once, long before its time.
        connect e ada
        resp::send e fetch other wait $::long
        eventually_waiting ada 1
        resp::close e
        eventually_waiting ada 0
        connect e ada
        resp::send e fetch other wait $::long
        eventually_waiting ada 1
        regexp {id=(\d+) [^\n]*flags=b} [on ada client list] -> id
        on ada client kill id $id
        assert {[resp::is_closed e]}
        assert_equal 0 [info_field ada blocked_clients]
    }
}

test "what a client sends behind a FETCH that waits is answered after it, in order" {
    with_node ada {
        connect c ada
        resp::write c [resp::encode fetch k wait $::long][resp::encode ping]
        eventually_waiting ada 1
        resp::send c get k
        resp::send c fetch k2 wait $::long
        resp::send c echo end
        on ada set k v
        assert_equal {HIT v {} {}} [resp::plain [resp::read c]]
        assert_equal PONG [resp::plain [resp::read c]]
        assert_equal v [resp::plain [resp::read c]]
        eventually_waiting ada 1
        on ada set k2 w
        assert_equal {HIT w {} {}} [resp::plain [resp::read c]]
        assert_equal end [resp::plain [resp::read c]]
    }
}

test "within a transaction nobody waits" {
    with_node ada {
        on ada multi
        on ada fetch k lease $::long wait $::long
        on ada fetch k wait $::long
        lassign [on ada exec] first second
        assert {[token_of $first] ne ""}
        assert_equal {MISS {} {} {}} $second
    }
}

test "FETCH and INVALIDATE are known as what they are" {
    with_node ada {
        assert_equal {fetch -2 {fast write} 1 1 1} [lreplace [lrange [lindex [on ada command info fetch] 0] 0 5] 2 2 [lsort [lindex [on ada command info fetch] 0 2]]]
        assert_equal {@cache @fast @read @string @write} [lsort [lindex [on ada command info fetch] 0 6]]
        assert_equal {@cache @keyspace @slow @write} [lsort [lindex [on ada command info invalidate] 0 6]]
        assert_equal {fetch invalidate} [lsort [lsearch -all -inline -regexp [on ada acl cat cache] {^(fetch|invalidate)$}]]
        assert_equal k [on ada command getkeys fetch k lease 10]
        # It is read although memory is full.
        on ada set k v
        on ada config set maxmemory-policy noeviction
        on ada config set maxmemory 1
        assert_error "OOM*" { on ada set k2 v }
        assert_equal {HIT v {} {}} [on ada fetch k]
        assert_equal 1 [on ada invalidate k]
        on ada config set maxmemory 0
        on ada config set slowlog-log-slower-than 0
        on ada fetch k
        assert_match "*fetch k*" [on ada slowlog get 1]
    }
}

test "many clients fetch, fill and invalidate the same keys and nobody waits for ever" {
    with_node ada {io-threads 4} {
        # Each key's true version is in a counter; a fill has what it was when its token was given. A value older than an invalidation
        # that was answered must never be read.
        set clients 12
        for {set i 0} {$i < $clients} {incr i} { connect c$i ada }
        expr {srand(7)}
        for {set k 0} {$k < 3} {incr k} { set truth($k) 0 }
        for {set round 0} {$round < 300} {incr round} {
            for {set i 0} {$i < $clients} {incr i} {
                set k [expr {int(rand() * 3)}]
                set key($i) $k
                set seen($i) $truth($k)
                resp::send c$i fetch "{s}$k" lease 5000 wait 3
            }
            for {set i 0} {$i < $clients} {incr i} {
                lassign [resp::plain [resp::read c$i]] state value - token
                if {$state eq "HIT"} { assert {$value >= $seen($i)} }
                set loaded($i) $truth($key($i))
                set tokens($i) $token
            }
            if {$round % 3 == 0} {
                set k [expr {int(rand() * 3)}]
                incr truth($k)
                on ada invalidate "{s}$k"
            }
            for {set i 0} {$i < $clients} {incr i} {
                if {$tokens($i) ne ""} { resp::send c$i set "{s}$key($i)" $loaded($i) token $tokens($i) } else { resp::send c$i ping }
            }
            for {set i 0} {$i < $clients} {incr i} { resp::read c$i }
            for {set k 0} {$k < 3} {incr k} {
                set value [on ada get "{s}$k"]
                if {$value ne ""} { assert {$value == $truth($k)} }
            }
        }
        assert {[info_field ada fills_refused_token] > 0}
        assert_equal 0 [info_field ada blocked_clients]
    }
}

# --- Clients that know nothing of it ---

test "under guard a plain SET after a miss is kept only if nothing has happened since" {
    with_node ada {
        on ada policy set g: guard yes
        connect reader ada
        connect other ada
        foreach {fill has} {{set KEY v} 1 {set KEY v ex 100} 1 {setex KEY 100 v} 1 {psetex KEY 100000 v} 1 {mset KEY v} 1} {
            foreach read {{get KEY} {mget KEY} {getex KEY}} {
                set key g:[incr n]
                # On another connection, as with a pool.
                resp::do reader {*}[string map [list KEY $key] $read]
                assert_match "*OK*" [resp::do other {*}[string map [list KEY $key] $fill]]
                assert_equal v [on ada get $key] "$read, $fill"
                set key g:[incr n]
                resp::do reader {*}[string map [list KEY $key] $read]
                on ada del $key
                assert_match "*OK*" [resp::do other {*}[string map [list KEY $key] $fill]]
                assert_equal 0 [on ada exists $key] "$read, DEL, $fill"
                # And the next one is as good as any.
                on ada get $key
                on ada set $key v
                assert_equal v [on ada get $key]
            }
        }
        assert_equal 15 [info_field ada fills_refused_guard]
        # Two who loaded at once: both fills are good, and the later one stays.
        resp::do reader get g:two
        resp::do other get g:two
        resp::do reader set g:two one
        resp::do other set g:two two
        assert_equal two [on ada get g:two]
        # A value that was refused takes what was there with it: Redis would not have it any more either.
        resp::do reader get g:gone
        on ada del g:gone
        on ada set g:gone later
        assert_equal "" [on ada get g:gone]
        # Big ones too, and not without a policy.
        on ada get g:big
        on ada del g:big
        on ada set g:big [string repeat x 100000]
        assert_equal 0 [on ada exists g:big]
        on ada get free
        on ada del free
        on ada set free v
        assert_equal v [on ada get free]
    }
}

test "under refresh one GET has nothing, and loads it, while all others have the old value" {
    with_node ada {
        on ada policy set r: guard yes refresh 10
        on ada set r:k old px 20000
        connect a ada
        connect b ada
        assert_equal old [resp::do a get r:k]
        set nils 0
        eventually { [resp::do a get r:k] eq "" }
        for {set i 0} {$i < 20} {incr i} {
            assert_equal old [resp::do b get r:k]
            assert_equal old [resp::do a get r:k]
        }
        assert_equal STALE [lindex [on ada fetch r:k] 0]
        assert_equal OK [resp::do a set r:k new px 100000]
        assert_equal new [resp::do b get r:k]
        assert_equal {HIT new {} {}} [on ada fetch r:k]
        # Without a guard GET is as ever, and FETCH refreshes.
        on ada policy set f: refresh 10
        on ada set f:k v px 10000
        eventually { [lindex [on ada fetch f:k] 0] eq "STALE" }
        assert_equal v [on ada get f:k]
        assert {[token_of [on ada fetch f:k lease 1000]] ne ""}
    }
}

test "under coalesce a GET waits for what another connection loads, and never where that could hold it up" {
    with_node ada {io-threads 2} {
        on ada policy set c: coalesce $::long guard yes
        connect loader ada
        assert_equal "" [resp::do loader get c:k]
        for {set i 0} {$i < 10} {incr i} {
            connect c$i ada
            resp::send c$i get c:k
        }
        eventually_waiting ada 10
        assert_match "*flags=b *cmd=get*" [on ada client list]
        resp::do loader set c:k v
        for {set i 0} {$i < 10} {incr i} { assert_equal v [resp::plain [resp::read c$i]] }
        # Who sends more is answered at once, and so is who has sent more already.
        resp::do loader get c:k2
        resp::send c0 get c:k2
        eventually_waiting ada 1
        resp::send c0 ping
        assert_equal "" [resp::plain [resp::read c0]]
        assert_equal PONG [resp::plain [resp::read c0]]
        resp::write c1 [resp::encode get c:k2][resp::encode ping]
        assert_equal "" [resp::plain [resp::read c1]]
        assert_equal PONG [resp::plain [resp::read c1]]
        # Who loads something does not wait for others.
        assert_equal "" [resp::do c2 get c:k3]
        assert_equal "" [resp::do c2 get c:k2]
        assert_equal OK [resp::do c2 set c:k3 v]
        # Nor does a transaction.
        resp::do c3 multi
        resp::do c3 get c:k2
        assert_equal {{}} [resp::do c3 exec]
        assert_equal 0 [info_field ada blocked_clients]
        # Who loads goes away: the next has nothing, at once, and loads.
        resp::send c4 get c:k2
        eventually_waiting ada 1
        resp::close loader
        assert_equal "" [resp::plain [resp::read c4]]
        # And all of it ends by its time.
        on ada policy set c: coalesce 100
        connect loader ada
        resp::do loader get c:late
        assert_equal "" [resp::do c5 get c:late]
    }
}

proc client_field {name id field} {
    foreach line [split [on $name client list] \n] {
        if {[regexp "^id=$id " $line] && [regexp " $field=(\\S*)" " $line" -> value]} { return $value }
    }
    return ""
}

test "the same GET again on a connection waits with the first, and whatever else comes ends it for all of them" {
    with_node ada {io-threads 2} {
        on ada policy set c: coalesce $::long guard yes
        connect loader ada
        connect many ada
        set id [resp::do many client id]
        # Has the node read so much that has not run?
        proc eventually_kept {bytes} { upvar id id; eventually { [client_field ada $id qbuf] == $bytes } }
        proc assert_replies {name replies} {
            foreach wanted $replies { assert_equal $wanted [resp::plain [resp::read $name]] }
        }
        # At once, one by one, and cut anywhere.
        set get [resp::encode get c:k]
        set length [string length $get]
        assert_equal "" [resp::do loader get c:k]
        resp::write many $get$get$get
        eventually_waiting ada 1
        eventually_kept [expr {3 * $length}]
        resp::write many $get[string range $get 0 10]
        eventually_kept [expr {4 * $length + 11}]
        resp::write many [string range $get 11 end]
        eventually_kept [expr {5 * $length}]
        assert_equal 1 [info_field ada blocked_clients]
        resp::do loader set c:k v
        assert_replies many {v v v v v}
        # Who had a value has not missed: after the DEL there is no fill under way, and a SET is kept.
        on ada del c:k
        on ada set c:k w
        assert_equal w [on ada get c:k]

        # What is not the same ends the wait at once, and is itself answered.
        foreach {behind answer} [list [resp::encode ping] PONG [resp::encode set c:own v] OK [resp::encode get free] ""] {
            set key c:k[incr n]
            set get [resp::encode get $key]
            assert_equal "" [resp::do loader get $key]
            resp::write many $get$get
            eventually_waiting ada 1
            resp::write many $behind
            assert_replies many [list "" "" $answer]
            resp::do loader set $key v
        }
        # Two bytes tell that it is something else.
        set get [resp::encode get c:cut]
        assert_equal "" [resp::do loader get c:cut]
        resp::write many $get$get
        eventually_waiting ada 1
        resp::write many "*1"
        assert_replies many {"" ""}
        resp::write many "\r\n\$4\r\nping\r\n"
        assert_replies many {PONG}
        # The same in other words is something else, and may wait in its turn.
        resp::write many $get$get
        eventually_waiting ada 1
        resp::write many [resp::encode GET c:cut]
        assert_replies many {"" ""}
        eventually_waiting ada 1
        resp::do loader set c:cut v
        assert_replies many {v}
        # Each that was answered nil has missed: so many SETs may be stale after the DEL, and the next is not.
        assert_equal "" [resp::do loader get c:m]
        set get [resp::encode get c:m]
        resp::write many $get$get$get
        eventually_waiting ada 1
        resp::write many [resp::encode ping]
        assert_replies many {"" "" "" PONG}
        on ada del c:m
        for {set i 0} {$i < 4} {incr i} {
            on ada set c:m stale
            assert_equal 0 [on ada exists c:m] "fill $i"
        }
        on ada set c:m new
        assert_equal new [on ada get c:m]

        # The end of the wait is that of all: none begins to wait anew.
        assert_equal "" [resp::do loader get c:u]
        set get [resp::encode get c:u]
        resp::write many $get$get$get
        eventually_waiting ada 1
        assert_equal 1 [on ada client unblock $id]
        assert_replies many {"" "" ""}
        resp::write many $get$get
        eventually_waiting ada 1
        assert_equal 1 [on ada client unblock $id error]
        assert_error "UNBLOCKED client unblocked via CLIENT UNBLOCK" { resp::plain [resp::read many] }
        assert_replies many {""}
        # And the next one that comes may wait as ever.
        resp::write many $get$get
        eventually_waiting ada 1
        resp::close loader
        # Who loaded is gone: the first is to load, and nobody waits for himself.
        assert_replies many {"" ""}
        assert_equal OK [resp::do many set c:u v]
        # One that goes while it waits, with others behind it, leaves nothing behind.
        connect loader ada
        assert_equal "" [resp::do loader get c:gone]
        set get [resp::encode get c:gone]
        resp::write many $get$get$get
        eventually_waiting ada 1
        resp::close many
        eventually_waiting ada 0
        assert_equal OK [resp::do loader set c:gone v]
    }
}

test "under hold what is filled soon after a DEL is kept for a moment only" {
    with_node ada {
        on ada policy set h: hold 40000
        foreach write {{del KEY} {unlink KEY} {invalidate KEY}} {
            set key h:[incr n]
            on ada {*}[string map [list KEY $key] $write]
            on ada set $key v
            set pttl [on ada pttl $key]
            assert {$pttl > 0 && $pttl <= 40000} $write
            assert_equal OK [on ada set $key v token [token_of [on ada fetch $key lease $::long ver 1]] ver 1]
            assert {[on ada pttl $key] > 0}
        }
        on ada set h:other v
        on ada set free v
        assert_equal -1 [on ada pttl free]
    }
}
