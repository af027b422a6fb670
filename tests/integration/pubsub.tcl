# Publish and subscribe on one node: both protocols, workers, slow readers, keyspace events.

# What a subscriber reads next, as a plain list.
proc next {connection} { return [resp::plain [resp::read $connection]] }

# A connection of its own that has subscribed: subscriber NAME NODE COMMAND ARGUMENT...; the confirmations are read.
proc subscriber {name node args} {
    connect $name $node
    resp::send $name {*}$args
    foreach argument [lrange $args 1 end] { assert_equal [lindex $args 0] [lindex [next $name] 0] }
}

# Nothing more has come to a RESP2 subscriber: what it is sent and what it is replied come in order.
proc assert_silence {connection} { assert_equal {pong {}} [resp::do $connection ping] }

test "a message comes to all who subscribe to its channel or to a pattern it matches" {
    with_node ada {io-threads 3} {
        for {set i 0} {$i < 6} {incr i} { subscriber s$i ada subscribe news sports }
        for {set i 0} {$i < 4} {incr i} { subscriber p$i ada psubscribe n?ws *s }
        subscriber both ada subscribe news
        assert_equal {psubscribe new* 2} [resp::do both psubscribe new*]
        assert_equal [expr {6 + 4 * 2 + 2}] [on ada publish news hello]
        for {set i 0} {$i < 6} {incr i} { assert_equal {message news hello} [next s$i] }
        for {set i 0} {$i < 4} {incr i} {
            assert_equal [lsort {{pmessage n?ws news hello} {pmessage *s news hello}}] [lsort [list [next p$i] [next p$i]]]
        }
        assert_equal {message news hello} [next both]
        assert_equal {pmessage new* news hello} [next both]
        assert_equal 0 [on ada publish nobody hello]
        foreach name {s0 p3 both} { assert_silence $name }
    }
}

test "a RESP3 client is sent pushes, and may run any command meanwhile" {
    with_node ada {
        connect reader ada
        resp::hello3 reader
        resp::send reader subscribe a b
        assert_equal {push {{bulk subscribe} {bulk a} {integer 1}}} [resp::read reader]
        assert_equal {push {{bulk subscribe} {bulk b} {integer 2}}} [resp::read reader]
        on ada publish a one
        assert_equal {push {{bulk message} {bulk a} {bulk one}}} [resp::read reader]
        assert_equal {simple OK} [resp::ask reader set k v]
        assert_equal {bulk v} [resp::ask reader get k]
        assert_equal {simple PONG} [resp::ask reader ping]
        assert_equal {push {{bulk psubscribe} {bulk a*} {integer 3}}} [resp::ask reader psubscribe a*]
        on ada publish a two
        assert_equal {push {{bulk message} {bulk a} {bulk two}}} [resp::read reader]
        assert_equal {push {{bulk pmessage} {bulk a*} {bulk a} {bulk two}}} [resp::read reader]
        # What it publishes itself comes behind its reply.
        assert_equal {integer 2} [resp::ask reader publish a three]
        assert_equal {push {{bulk message} {bulk a} {bulk three}}} [resp::read reader]
        assert_equal {push {{bulk pmessage} {bulk a*} {bulk a} {bulk three}}} [resp::read reader]
        resp::send reader unsubscribe
        assert_equal {push {{bulk unsubscribe} {bulk a} {integer 2}}} [resp::read reader]
        assert_equal {push {{bulk unsubscribe} {bulk b} {integer 1}}} [resp::read reader]
        assert_equal {push {{bulk unsubscribe} {null {}} {integer 1}}} [resp::ask reader unsubscribe]
        # Its connection becomes a RESP2 subscriber's.
        resp::send reader hello 2
        set ::resp::version(reader) 2
        resp::read reader
        assert_error "ERR Can't execute 'get'*" { resp::do reader get k }
    }
}

test "a RESP2 subscriber may subscribe, PING, RESET and QUIT, and nothing else" {
    with_node ada {
        subscriber reader ada subscribe a
        foreach words {{get k} {set k v} {publish a x} {spublish a x} {client list} {multi} {hello 3} {pubsub channels}} {
            set name [lindex $words 0]
            if {$name in {client pubsub}} { append name |[lindex $words 1] }
            assert_error "ERR Can't execute '$name': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context" {
                resp::do reader {*}$words
            }
        }
        assert_error "EXECABORT Transaction discarded because of: Can't execute 'exec': only (P|S)SUBSCRIBE / *" { resp::do reader exec }
        assert_error "ERR unknown command*" { resp::do reader nosuch }
        assert_error "ERR wrong number of arguments for 'get' command" { resp::do reader get }
        assert_equal {pong {}} [resp::do reader ping]
        assert_equal {pong hey} [resp::do reader ping hey]
        foreach {words reply} {{psubscribe p} {psubscribe p 2} {ssubscribe s} {ssubscribe s 1} {unsubscribe a} {unsubscribe a 1} {punsubscribe} {punsubscribe p 0}} {
            assert_equal $reply [resp::do reader {*}$words]
        }
        assert_equal {pong {}} [resp::do reader ping]
        assert_equal {sunsubscribe s 0} [resp::do reader sunsubscribe]
        assert_equal PONG [resp::do reader ping]
        assert_equal {} [resp::do reader get k]

        resp::do reader subscribe a
        assert_equal RESET [resp::do reader reset]
        assert_equal PONG [resp::do reader ping]
        assert_equal 0 [on ada publish a x]
        resp::do reader subscribe a
        assert_equal OK [resp::do reader quit]
        assert {[resp::is_closed reader]}
        eventually { [on ada pubsub numsub a] eq {a 0} }
    }
}

test "subscribing twice is once, and unsubscribing from what one has not is said all the same" {
    with_node ada {
        connect reader ada
        foreach {words reply} {
            {subscribe a} {subscribe a 1} {subscribe a} {subscribe a 1} {unsubscribe b} {unsubscribe b 1} {unsubscribe a} {unsubscribe a 0}
            {unsubscribe} {unsubscribe {} 0} {punsubscribe} {punsubscribe {} 0} {sunsubscribe} {sunsubscribe {} 0} {sunsubscribe x} {sunsubscribe x 0}
            {psubscribe ""} {psubscribe {} 1} {subscribe ""} {subscribe {} 2}
        } {
            assert_equal $reply [resp::do reader {*}$words]
        }
        assert_equal 2 [on ada publish "" x]
        assert_equal {message {} x} [next reader]
        assert_equal {pmessage {} {} x} [next reader]
    }
}

test "PUBSUB says who listens to what" {
    with_node ada {io-threads 2} {
        assert_equal {} [on ada pubsub channels]
        assert_equal 0 [on ada pubsub numpat]
        for {set i 0} {$i < 4} {incr i} { subscriber s$i ada subscribe a ab b }
        subscriber p ada psubscribe x* y*
        subscriber q ada psubscribe x*
        subscriber sharded ada ssubscribe "{t}1" "{t}2"
        assert_equal {a ab b} [lsort [on ada pubsub channels]]
        assert_equal {a ab} [lsort [on ada pubsub channels a*]]
        assert_equal {a 4 nobody 0 b 4} [on ada pubsub numsub a nobody b]
        assert_equal {} [on ada pubsub numsub]
        assert_equal 2 [on ada pubsub numpat]
        assert_equal {{{t}1} {{t}2}} [lsort [on ada pubsub shardchannels]]
        assert_equal {{{t}2}} [on ada pubsub shardchannels *2]
        assert_equal {{{t}1} 1 a 0} [on ada pubsub shardnumsub "{t}1" a]
        assert_error "ERR unknown subcommand or wrong number of arguments for 'channels'. Try PUBSUB HELP." { on ada pubsub channels a b }
        assert_error "ERR unknown subcommand 'x'. Try PUBSUB HELP." { on ada pubsub x }
        assert_match "PUBSUB <subcommand>*" [lindex [on ada pubsub help] 0]
        foreach {field number} {pubsub_channels 3 pubsub_patterns 2 pubsubshard_channels 2} {
            assert_equal $number [info_field ada $field] $field
        }
        foreach name {s0 s1 s2 s3 p q sharded} { resp::close $name }
        eventually { [on ada pubsub channels] eq "" && [on ada pubsub numpat] == 0 && [on ada pubsub shardchannels] eq "" }
    }
}

test "CLIENT LIST and CLIENT KILL know subscribers" {
    with_node ada {
        connect reader ada
        resp::do reader client setname reader
        resp::send reader subscribe a b c
        for {set i 0} {$i < 3} {incr i} { next reader }
        resp::do reader psubscribe x*
        resp::do reader ssubscribe y
        set line [string trimright [on ada client list type pubsub] \n]
        assert_equal 1 [llength [split $line \n]]
        assert_match "* name=reader * flags=P db=0 sub=3 psub=1 ssub=1 *" $line
        assert {[string first name=reader [on ada client list type normal]] < 0}
        assert_match "*name=reader*" [on ada client list]
        assert_equal 0 [on ada client kill type replica]
        assert_equal 1 [on ada client kill type pubsub]
        assert {[resp::is_closed reader]}
        assert_equal "" [on ada client list type pubsub]
    }
}

test "subscriptions and messages take part in MULTI" {
    with_node ada {
        subscriber other ada subscribe a
        connect reader ada
        resp::do reader multi
        foreach words {{subscribe a} {publish a one} {set k v} {ping}} { assert_equal QUEUED [resp::do reader {*}$words] }
        assert_equal {{subscribe a 1} 2 OK {pong {}}} [resp::do reader exec]
        assert_equal {message a one} [next reader]
        assert_equal {message a one} [next other]
        assert_error "ERR Can't execute 'get'*" { resp::do reader get k }
        # A transaction that is dropped has said nothing.
        on ada multi
        on ada publish a two
        on ada discard
        assert_silence other
        on ada multi
        on ada set k 1
        on ada spublish k x
        on ada incr k
        on ada publish a three
        on ada get k
        assert_equal {OK 0 2 2 2} [on ada exec]
        assert_equal {message a three} [next other]
    }
}

test "confirmations and messages come whatever CLIENT REPLY says" {
    with_node ada {
        connect reader ada
        resp::send reader client reply off
        resp::send reader subscribe a
        assert_equal {subscribe a 1} [next reader]
        on ada publish a x
        assert_equal {message a x} [next reader]
        resp::hello3 ada
        resp::send ada client reply off
        resp::send ada subscribe b
        assert_equal {subscribe b 1} [next ada]
        resp::send ada publish a y
        assert_equal {message a y} [next reader]
        assert_equal OK [resp::do ada client reply on]
    }
}

test "messages of one publisher arrive in order, whatever their size" {
    with_node ada {io-threads 3} {
        for {set i 0} {$i < 4} {incr i} { subscriber s$i ada psubscribe c* }
        set sizes {0 1 100 2000 2040 2100 5000 20000 300000}
        set batch ""
        set expected {}
        for {set i 0} {$i < 400} {incr i} {
            set message [string repeat x [lindex $sizes [expr {$i % 9}]]]$i
            append batch [resp::encode publish c$i $message]
            lappend expected [list pmessage c* c$i $message]
        }
        connect writer ada
        resp::write writer $batch
        foreach message $expected { assert_equal 4 [next writer] }
        for {set i 0} {$i < 4} {incr i} {
            foreach message $expected { if {[next s$i] ne $message} { fail "[lrange $message 0 2] is not what came next to s$i" } }
        }
    }
}

test "who subscribes is not sent what was published before, and who unsubscribes nothing more" {
    with_node ada {io-threads 3} {
        for {set i 0} {$i < 6} {incr i} { subscriber s$i ada subscribe a }
        set batch ""
        for {set i 0} {$i < 300} {incr i} { append batch [resp::encode publish a [string repeat $i 1000]] }
        connect writer ada
        resp::write writer $batch
        for {set i 0} {$i < 300} {incr i} { next writer }
        for {set i 0} {$i < 6} {incr i} { connect late$i ada; resp::send late$i subscribe a }
        for {set i 0} {$i < 6} {incr i} {
            assert_equal {subscribe a 1} [next late$i]
            assert_silence late$i
        }
        for {set i 0} {$i < 6} {incr i} {
            resp::send s$i unsubscribe a
            for {set n 0} {$n < 300} {incr n} { assert_equal message [lindex [next s$i] 0] }
            assert_equal {unsubscribe a 0} [next s$i]
        }
        assert_equal 6 [on ada publish a x]
        for {set i 0} {$i < 6} {incr i} {
            assert_equal {message a x} [next late$i]
            assert_equal PONG [resp::do s$i ping]
        }
    }
}

test "who publishes and then subscribes, at once, is not sent what it has published" {
    with_node ada {io-threads 1} {
        subscriber other ada subscribe a
        connect both ada
        set batch ""
        for {set i 0} {$i < 10} {incr i} { append batch [resp::encode publish a $i] }
        resp::write both $batch[resp::encode subscribe a][resp::encode ping]
        for {set i 0} {$i < 10} {incr i} { assert_equal 1 [next both] }
        assert_equal {subscribe a 1} [next both]
        assert_equal {pong {}} [next both]
        assert_silence both
        for {set i 0} {$i < 10} {incr i} { assert_equal [list message a $i] [next other] }
    }
}

test "a subscriber that does not read is disconnected at its limit, and others are not" {
    with_node ada {io-threads 2 client-output-buffer-limit {pubsub 4mb 0 0}} {
        for {set i 0} {$i < 3} {incr i} { subscriber slow$i ada subscribe a }
        for {set i 0} {$i < 3} {incr i} { subscriber good$i ada subscribe a b }
        connect writer ada
        # The kernel's buffers take some megabytes of them.
        set message [string repeat x 100000]
        set expected 0
        while {[llength [split [string trim [on ada client list type pubsub]] \n]] > 3} {
            if {$expected > 4000} { fail "400 MB were published, and nobody was disconnected" }
            resp::write writer [string repeat [resp::encode publish a $message] 10]
            for {set i 0} {$i < 10} {incr i} { next writer }
            incr expected 10
            for {set i 0} {$i < 3} {incr i} {
                for {set n 0} {$n < 10} {incr n} { assert_equal [list message a $message] [next good$i] }
            }
        }
        assert {[info_field ada mem_clients_normal] < 30000000}
        eventually { [on ada pubsub numsub a] eq {a 3} }
        assert_equal 3 [on ada publish b end]
        for {set i 0} {$i < 3} {incr i} { assert_equal {message b end} [next good$i] }
        for {set i 0} {$i < 3} {incr i} { assert {[resp::is_closed slow$i]} }
    }
}

test "the soft limit counts for subscribers too" {
    with_node ada {client-output-buffer-limit {pubsub 0 100kb 1}} {
        subscriber slow ada subscribe a
        # More than any kernel's buffers take: the rest stays above the limit.
        for {set i 0} {$i < 300 && [on ada publish a [string repeat x 100000]] == 1} {incr i} {}
        eventually { [on ada pubsub numsub a] eq {a 0} }
    }
}

test "a message that many do not read is in memory once" {
    with_node ada {io-threads 4 client-output-buffer-limit {pubsub 0 0 0}} {
        for {set i 0} {$i < 40} {incr i} { subscriber s$i ada subscribe a }
        connect writer ada
        resp::write writer [string repeat [resp::encode publish a [string repeat x 16000]] 2000]
        for {set i 0} {$i < 2000} {incr i} { assert_equal 40 [next writer] }
        assert_equal 0 [info_field ada pubsub_messages_lost]
        # 32 MB wait for each of them; the kernel has taken some.
        assert {[info_field ada used_memory] < 250000000}
    }
}

test "who publishes waits for a subscriber's worker, and nothing is lost" {
    with_node ada {io-threads 2 enable-debug-command yes client-output-buffer-limit {pubsub 0 0 0}} {
        on ada ping
        eventually { [info_field ada connected_clients] == 1 }
        # Connections are spread evenly: of those that come in twos from here on each worker has one.
        foreach name {odd s1 s2 sleeper writer} { connect $name ada; resp::do $name ping }
        foreach name {s1 s2} { assert_equal {subscribe a 1} [resp::do $name subscribe a] }
        set batch [string repeat [resp::encode publish a [string repeat x 400000]] 220]
        resp::send sleeper debug sleep 4
        resp::write writer $batch
        for {set i 0} {$i < 220} {incr i} { assert_equal 2 [next writer] }
        assert_equal OK [next sleeper]
        assert_equal 0 [info_field ada pubsub_messages_lost]
        assert_equal {a 2} [on ada pubsub numsub a]
    }
}

test "what a client subscribes to counts as its memory" {
    with_node ada {maxmemory-clients 4mb} {
        connect greedy ada
        set batch ""
        for {set i 0} {$i < 60000} {incr i} { append batch [resp::encode subscribe channel:$i] }
        catch { resp::write greedy $batch }
        catch { for {set i 0} {$i < 60000} {incr i} { next greedy } }
        eventually { [on ada pubsub channels] eq "" }
        assert {[info_field ada evicted_clients] >= 1}
    }
}

test "channels and patterns may be any bytes, and costly patterns cost their steps only" {
    with_node ada {
        set name "\x00\r\n\xff *?\[x\]"
        subscriber reader ada subscribe $name
        assert_equal 1 [on ada publish $name "\r\n\x00"]
        assert_equal [list message $name "\r\n\x00"] [next reader]
        subscriber patterns ada psubscribe [string repeat *a 2000]b [string repeat * 60000] "\[" "\\"
        assert_equal 1 [on ada publish [string repeat a 20000] x]
        assert_equal pmessage [lindex [next patterns] 0]
    }
}

# --- Keyspace events ---

# As redis-server does it: the same words, in the same order, to another connection.
test "what a transaction publishes comes among the events of its commands" {
    with_node ada {notify-keyspace-events KA} {
        subscriber bob ada psubscribe news __keyspace*
        connect carol ada
        foreach words {multi {publish news one} {set k v} {publish news two} {del k} {publish nobody x} {set k2 v} {publish news three}} {
            resp::do carol {*}$words
        }
        assert_equal {1 OK 1 1 0 OK 1} [resp::do carol exec]
        foreach expected {{news one} {__keyspace@0__:k set} {news two} {__keyspace@0__:k del} {__keyspace@0__:k2 set} {news three}} {
            assert_equal $expected [lrange [next bob] 2 3]
        }
        # Without keys nothing is locked; without events nothing has to be in order with them.
        foreach words {multi {publish news four} {publish news five}} { resp::do carol {*}$words }
        assert_equal {1 1} [resp::do carol exec]
        on ada config set notify-keyspace-events ""
        foreach words {multi {set k v} {publish news six} {get k}} { resp::do carol {*}$words }
        assert_equal {OK 1 v} [resp::do carol exec]
        foreach expected {four five six} { assert_equal $expected [lindex [next bob] 3] }
        assert_silence bob
    }
}

test "notify-keyspace-events is shown as redis-server shows it" {
    with_node ada {
        foreach {given shown} {KEA AKE AKE AKE Kg gK xE xE KEnm nKEm {} {} mK Km {KEg$lshzxet} g\$lshzxetKE {g$lshzxetd} A H H AHKE AKEH KEAn AKE nA A KEAmn AKEm {KEng$lshzxetd} AKE nK nK} {
            assert_equal OK [on ada config set notify-keyspace-events $given]
            assert_equal [list notify-keyspace-events $shown] [on ada config get notify-keyspace-events] $given
        }
        # What is not shown is kept all the same.
        assert_equal OK [on ada config set notify-keyspace-events KEAn]
        subscriber bob ada subscribe __keyevent@0__:new
        on ada set fresh 1
        assert_equal {message __keyevent@0__:new fresh} [next bob]
        assert_equal OK [on ada config set notify-keyspace-events AHKE]
        assert_error "*Invalid event class character*" { on ada config set notify-keyspace-events KEq }
        assert_equal {notify-keyspace-events AKEH} [on ada config get notify-keyspace-events]
    }
}

# Commands, each with what it does; a line may be several, with a pause in milliseconds as {wait N}.
set ::event_cases {
    {set a 1} {set a 2} {get a} {get missing} {set b 1 ex 100} {set b 1 keepttl} {set b 1 nx} {set c 1 nx px 100000} {set nope 1 xx} {set a 5 get}
    {set missing2 5 get} {set missing3 5 xx get} {{set d 1 exat 1} {get d}} {{set a 1 exat 1} {get a}} {set a 1} {{set a 1 pxat 1} {del a}} {setnx a 1} {setnx a 1} {setex e 100 v}
    {setex e 100 v} {psetex e 100000 v} {setex e 0 v} {getset a x} {getset newone x} {getex a} {getex a ex 100} {getex a persist} {getex a persist}
    {getex a exat 1} {getex missing5} {getex missing5 ex 3} {set a 1} {getdel a} {getdel a} {mset a 1 b 2 z 3} {mset a 1 a 2} {msetnx a 1 q 2} {msetnx q 1 r 2}
    {mget a missing b} {append a x} {append newapp x} {append newapp ""} {append newapp2 ""} {setrange a 3 x} {setrange newsr 2 x} {setrange newsr2 2 ""}
    {setrange a 2 ""} {strlen a} {strlen missing} {getrange a 0 1} {getrange missing 0 1} {substr missing 0 1} {set n 1} {incr n} {decr n} {incrby n 5} {decrby n 5}
    {incrbyfloat n 1.5} {incrbyfloat nf 1.5} {incr ni} {incr a} {lcs a b} {lcs a missing} {del a} {del a b missing z} {unlink n ni missing} {set a 1} {set b 2}
    {expire a 100} {expire a 100 nx} {expire a 200 xx} {pexpire a 100000} {expireat a 33177117420} {pexpireat a 33177117420000} {expire a -1} {expire a 10} {set a 1}
    {pexpireat a 1} {expire missing 10} {set a 1} {persist a} {expire a 100} {persist a} {persist missing} {rename a a2} {rename a2 b} {rename b b} {rename missing x}
    {set a 1} {renamenx a b} {renamenx a fresh} {renamenx fresh fresh} {copy fresh cp} {copy fresh cp} {copy fresh cp replace} {copy missing cp} {copy missing cp replace}
    {exists a missing} {touch a missing} {type fresh} {type missing} {ttl missing} {ttl fresh} {pttl missing} {expiretime missing} {object encoding missing}
    {object freq missing} {object idletime missing} {object refcount missing} {object encoding fresh} {dump missing} {dump fresh} {restore r 0 bogus} {restore r 0 @payload}
    {restore r 0 @payload} {restore r 0 @payload replace} {restore r 1 @payload replace absttl} {restore r 1 @payload absttl} {restore r 100000 @payload} {keys *} {scan 0}
    {memory usage missing} {watch missing} unwatch {set big @big} {append big @big} {setrange big 5 @big} {copy big big2} {rename big2 big3} {mset big @big big4 @big}
    {getset big @big} {set big @big get} flushall flushdb
    {{multi} {set t1 1} {get missing} {del t1} {exec}} {{multi} {set t1 1} {incr t1} {expire t1 100} {rename t1 t2} {exec}} {{multi} {set t1 1} {discard}}
    {{set short 1 px 1} {wait 300}} {{debug set-active-expire 0} {set short 1 px 1} {wait 30} {get short}} {{set short 1 px 1} {wait 30} {set short 2}}
    {{set short 1 px 1} {wait 30} {del short}} {{set short 1 px 1} {wait 30} {append short x}} {{del short} {set short 1 px 1} {wait 30} {copy short shorter}}
    {{mset m1 1 m2 2} {expire m1 100} {rename m1 m2}}
}

# Both nodes are told the same; what their subscribers saw must be the same, in the same order.
test "every command's events are those of redis-server" {
    if {[auto_execok redis-server] eq ""} { skip "redis-server is not installed" }
    node_start theirs {@binary redis-server enable-debug-command yes}
    node_start ours {enable-debug-command yes io-threads 3 cluster-enabled no}
    on theirs set r 1
    set payload [on theirs dump r]
    on theirs del r
    foreach name {theirs ours} {
        on $name config set notify-keyspace-events KEAmn
        subscriber $name.reader $name psubscribe __key*
    }
    set big [string repeat v 40000]
    foreach case $::event_cases {
        # One command, or several.
        if {[llength [lindex $case 0]] == 1} { set case [list $case] }
        foreach words $case {
            if {[lindex $words 0] eq "wait"} { wait_ms [lindex $words 1]; continue }
            set words [string map [list @payload $payload @big $big] $words]
            foreach name {theirs ours} { typed_on $name {*}$words }
        }
        foreach name {theirs ours} {
            # Not a key's event: what came before it is all there is.
            on $name publish __key:end end
            set seen($name) {}
            while {[set event [lrange [next $name.reader] 2 3]] ne {__key:end end}} { lappend seen($name) $event }
        }
        assert_equal $seen(theirs) $seen(ours) [string range $case 0 200]
    }
    node_stop theirs
    node_stop ours
}

test "only the classes that were asked for are told, on the channels that were asked for" {
    with_node ada {
        subscriber reader ada psubscribe __key*
        foreach {classes events} {
            "" {} K {} KEl {} {K$} {{__keyspace@0__:k set}} {E$} {{__keyevent@0__:set k}} {Kg} {{__keyspace@0__:k expire} {__keyspace@0__:k del}}
            {KEn} {{__keyspace@0__:k new} {__keyevent@0__:new k}} {Em} {{__keyevent@0__:keymiss k}} {EA} {{__keyevent@0__:set k} {__keyevent@0__:expire k} {__keyevent@0__:del k}}
        } {
            on ada config set notify-keyspace-events $classes
            on ada set k v ex 100
            on ada del k
            on ada get k
            on ada publish __key:end end
            set seen {}
            while {[set event [lrange [next reader] 2 3]] ne {__key:end end}} { lappend seen $event }
            assert_equal $events $seen $classes
        }
    }
}

test "evicted keys are told" {
    with_node ada {maxmemory 4mb maxmemory-policy allkeys-lru notify-keyspace-events Ee} {
        subscriber reader ada psubscribe __keyevent@0__:*
        for {set i 0} {[info_field ada evicted_keys] == 0 && $i < 100000} {incr i} {
            on ada set key:$i [string repeat x 2000]
        }
        assert_match {pmessage __keyevent@0__:\* __keyevent@0__:evicted key:*} [next reader]
    }
}

test "the events of a key come in the order in which it changed, whoever changed it" {
    with_node ada {io-threads 4 notify-keyspace-events {K$}} {
        subscriber reader ada subscribe __keyspace@0__:k
        # Each value is longer by one; APPEND's reply tells which came when. Every other append is a SETRANGE at the end, and no two events of
        # the same name may change places unseen.
        set batch ""
        for {set i 0} {$i < 300} {incr i} { append batch [resp::encode append k x] [resp::encode setrange k 0 yy] }
        for {set i 0} {$i < 4} {incr i} { connect w$i ada; resp::write w$i $batch }
        set order {}
        for {set i 0} {$i < 4} {incr i} { for {set n 0} {$n < 600} {incr n} { next w$i } }
        for {set n 0} {$n < 2400} {incr n} { dict incr seen [lindex [next reader] 2] }
        assert_equal {append 1200 setrange 1200} [lsort -stride 2 $seen]
        assert_silence reader
        assert_equal 0 [info_field ada keyspace_events_dropped]
    }
}

test "a publisher's message comes behind the events that it caused before" {
    with_node ada {io-threads 4 notify-keyspace-events KEA} {
        for {set i 0} {$i < 4} {incr i} { subscriber r$i ada psubscribe __keyspace@0__:k$i done$i }
        set rounds 200
        for {set i 0} {$i < 4} {incr i} {
            connect w$i ada
            set batch ""
            for {set n 0} {$n < $rounds} {incr n} { append batch [resp::encode set k$i $n] [resp::encode publish done$i $n] }
            resp::write w$i $batch
        }
        for {set i 0} {$i < 4} {incr i} {
            for {set n 0} {$n < $rounds} {incr n} {
                assert_equal [list pmessage __keyspace@0__:k$i __keyspace@0__:k$i set] [next r$i]
                assert_equal [list pmessage done$i done$i $n] [next r$i]
            }
        }
    }
}
