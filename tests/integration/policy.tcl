# Policies: what holds for all keys that begin alike, on every path that makes a key or changes its deadline.

proc fields_of {name prefix} { return [dict remove [on $name policy get $prefix] swept-percent keys-without-ttl] }
proc without_ttl {name} { return [info_field $name keys_without_ttl] }
proc swept {name prefix} { return [expr {[dict get [on $name policy get $prefix] swept-percent] == 100}] }

test "policies are set, shown and removed" {
    with_node ada {
        assert_equal {} [on ada policy list]
        assert_equal {} [on ada policy get user:]
        assert_equal OK [on ada policy set user: ttl 100 guard yes]
        assert_equal {ttl 100 guard yes} [fields_of ada user:]
        assert_equal OK [on ada policy set user: TTL 200 jitter 5 ttl 300]
        assert_equal {ttl 300 jitter 5 guard yes} [fields_of ada user:]
        assert_equal OK [on ada policy set "" max-ttl 86400 refresh 80 coalesce 100 hold 7 salt 4]
        assert_equal OK [on ada policy set "a\x00\n\"b" ttl 1]
        assert_equal [list "" {max-ttl 86400 refresh 80 coalesce 100 hold 7 salt 4} "a\x00\n\"b" {ttl 1} \
                          user: {ttl 300 jitter 5 guard yes}] [on ada policy list]
        eventually { [swept ada user:] && [swept ada ""] }
        assert_equal 3 [info_field ada policies]
        assert_equal 1 [on ada policy del user:]
        assert_equal 0 [on ada policy del user:]
        assert_equal {} [on ada policy get user:]
        assert_equal 2 [info_field ada policies]
    }
}

test "in RESP3 they are maps, in RESP2 flat arrays, with the same in them" {
    with_node ada {
        on ada policy set user: ttl 100 guard yes
        eventually { [swept ada user:] }
        connect three ada
        resp::hello3 three
        assert_equal [on ada policy get user:] [resp::do three policy get user:]
        assert_equal map [lindex [resp::ask three policy get user:] 0]
        assert_equal array [lindex [resp::ask ada policy get user:] 0]
        assert_equal map [lindex [resp::ask three policy list] 0]
        assert_equal array [lindex [resp::ask ada policy list] 0]
        assert_equal [on ada policy list] [resp::do three policy list]
        assert_equal map [lindex [resp::ask three policy match user:1] 0]
        assert_equal [on ada policy match user:1] [resp::do three policy match user:1]
        assert_equal null [lindex [resp::ask three policy get missing] 0]
        assert_equal [list ttl {100 user:} max-ttl {0 {}} jitter {0 {}} refresh {0 {}} guard {yes user:} coalesce {0 {}} hold {0 {}} salt {1 {}}] \
            [on ada policy match user:1]
    }
}

test "the longest prefix that sets a field tells it" {
    with_node ada {
        on ada policy set "" max-ttl 1000 jitter 1
        on ada policy set user: ttl 100
        on ada policy set user:1 ttl 0 guard yes
        set match [on ada policy match user:12]
        assert_equal {0 user:1} [dict get $match ttl]
        assert_equal {1000 {}} [dict get $match max-ttl]
        assert_equal {yes user:1} [dict get $match guard]
        assert_equal {100 user:} [dict get [on ada policy match user:2] ttl]
        assert_equal {0 {}} [dict get [on ada policy match usel] ttl]
    }
}

test "what is wrong is refused, and nothing of it done" {
    with_node ada {
        foreach {arguments error} {
            {set}                              "ERR wrong number of arguments for 'policy|set' command"
            {set user:}                        "ERR wrong number of arguments for 'policy|set' command"
            {set user: ttl}                    "ERR wrong number of arguments for 'policy|set' command"
            {set user: ttl 1 guard}            "ERR wrong number of arguments for 'policy|set' command"
            {set user: ttl 1 nothing 1}        "ERR Unknown policy field 'nothing'"
            {set user: ttl 1 jitter 100}       "ERR Invalid policy value '100': jitter must be a percentage from 0 to 99"
            {set user: ttl -1}                 "ERR Invalid policy value '-1': ttl must be seconds from 0 to 3153600000"
            {set user: ttl 1.5}                "ERR Invalid policy value '1.5': ttl must be seconds from 0 to 3153600000"
            {set user: max-ttl 3153600001}     "ERR Invalid policy value '3153600001': max-ttl must be seconds from 0 to 3153600000"
            {set user: guard 1}                "ERR Invalid policy value '1': guard must be yes or no"
            {set user: salt 0}                 "ERR Invalid policy value '0': salt must be a factor from 1 to 256"
            {get}                              "ERR wrong number of arguments for 'policy|get' command"
            {get a b}                          "ERR wrong number of arguments for 'policy|get' command"
            {del}                              "ERR wrong number of arguments for 'policy|del' command"
            {list a}                           "ERR wrong number of arguments for 'policy|list' command"
            {match}                            "ERR wrong number of arguments for 'policy|match' command"
            {nothing}                          "ERR unknown subcommand 'nothing'. Try POLICY HELP."
        } {
            assert_error $error { on ada policy {*}$arguments }
        }
        assert_error "ERR The prefix is longer than 256 bytes" { on ada policy set [string repeat p 257] ttl 1 }
        assert_equal {} [on ada policy list]
        for {set i 0} {$i < 1024} {incr i} { on ada policy set p$i ttl 1 }
        assert_error "ERR There are 1024 policies already" { on ada policy set q ttl 1 }
        assert_equal OK [on ada policy set p5 ttl 2]
        assert_match "POLICY <subcommand>*" [lindex [on ada policy help] 0]
    }
}

test "POLICY is the administrator's, and of the category cache" {
    with_node ada {
        foreach sub {del get list match set} {
            set info [lindex [on ada command info policy|$sub] 0]
            assert {"admin" in [lindex $info 2]}
            foreach category {@admin @dangerous @cache} { assert {$category in [lindex $info 6]} $category }
            assert_equal {0 0 0} [lrange $info 3 5]
            assert {"policy|$sub" in [on ada acl cat cache]}
        }
        assert_error "ERR The command has no key arguments" { on ada command getkeys policy set a ttl 1 }
        on ada multi
        on ada policy set user: ttl 100
        on ada set user:1 v
        assert_equal {OK OK} [on ada exec]
    }
}

test "a key that comes without a deadline is given one, and one that has one keeps it" {
    with_node ada {
        on ada policy set user: ttl 10000
        on ada set user:1 v
        assert {[on ada ttl user:1] > 9000 && [on ada ttl user:1] <= 10000}
        on ada set user:2 v ex 500000
        assert {[on ada ttl user:2] > 490000}
        on ada set user:2 v keepttl
        assert {[on ada ttl user:2] > 490000}
        on ada set user:2 v
        assert {[on ada ttl user:2] <= 10000}
        on ada set other v
        assert_equal -1 [on ada ttl other]
        assert_equal 2 [info_field ada ttl_defaulted]
        assert_equal 0 [info_field ada ttl_clipped]
        assert_equal 1 [without_ttl ada]
    }
}

test "no deadline is beyond the birth of a value and max-ttl, however it is renewed" {
    with_node ada {
        on ada policy set "" max-ttl 10000
        on ada set k v ex 500000
        assert {[on ada ttl k] > 9000 && [on ada ttl k] <= 10000}
        assert_equal 1 [info_field ada ttl_clipped]
        assert_equal 1 [on ada expire k 500000]
        assert {[on ada ttl k] > 9000 && [on ada ttl k] <= 10000}
        assert_equal 1 [on ada expireat k 99999999999]
        on ada getex k pxat 99999999999999
        assert {[on ada ttl k] <= 10000}
        # It is born when it is overwritten, not when it is changed.
        on ada policy set short max-ttl 1
        on ada set short 1
        set born [clock milliseconds]
        while {[on ada exists short]} {
            on ada append short 1
            on ada expire short 1000
            on ada getex short ex 1000
            on ada set renewed v
            assert {[clock milliseconds] - $born < 60000}
        }
        on ada incr short
        assert {[on ada pttl short] > 0 && [on ada pttl short] <= 1000}
    }
}

test "a deadline cannot be taken away under a policy, and conditions look at what was asked for" {
    with_node ada {
        on ada policy set "" max-ttl 100000
        on ada set k v ex 10000
        assert_equal 0 [on ada persist k]
        assert {[on ada ttl k] > 9000 && [on ada ttl k] <= 10000}
        assert_equal v [on ada getex k persist]
        assert {[on ada ttl k] > 9000 && [on ada ttl k] <= 10000}
        assert_equal 1 [on ada expire k 500000 gt]
        assert {[on ada ttl k] > 90000 && [on ada ttl k] <= 100000}
        assert_equal 1 [on ada expire k 500000 gt]
        assert_equal 0 [on ada expire k 500000 lt]
        assert_equal 0 [on ada expire k 500000 nx]
        assert_equal 1 [on ada expire k 5000 xx]
        assert_equal 1 [on ada policy del ""]
        assert_equal 1 [on ada persist k]
        on ada policy set "" ttl 100000
        eventually { [on ada ttl k] > 90000 }
        assert_equal 0 [on ada persist k]
        on ada policy set "" ttl 0 jitter 50
        assert_equal 1 [on ada persist k]
    }
}

test "jitter only shortens, by chance, and once" {
    with_node ada {
        on ada policy set "" ttl 1000 jitter 50
        for {set i 0} {$i < 400} {incr i} { on ada set k:$i 1 ex 2000 }
        set least 2000000
        set most 0
        for {set i 0} {$i < 400} {incr i} {
            set ttl [on ada pttl k:$i]
            assert {$ttl <= 2000000 && $ttl > 900000}
            set least [expr {min($least, $ttl)}]
            set most [expr {max($most, $ttl)}]
        }
        assert {$least < 1200000 && $most > 1800000}
        # What changes a value, or its name, leaves its deadline alone.
        set before [on ada pexpiretime k:1]
        on ada incr k:1
        on ada incrby k:1 1000000
        on ada append k:1 0
        on ada setrange k:1 0 1
        on ada incrbyfloat k:1 0.5
        on ada set k:1 v keepttl
        on ada rename k:1 k:new
        on ada copy k:new k:copy
        assert_equal $before [on ada pexpiretime k:new]
        assert_equal $before [on ada pexpiretime k:copy]
    }
}

# What every write command does to the life of a key. makes: a key that is not there may be there afterwards; deadline: it may change when a key
# goes; neither: it only reads, deletes, or changes a value in no way that concerns its life. A command that is not here fails the test: whoever
# adds one says here what it does, and how it is called, where it makes a key (k) or sets a deadline far away.
set ::write_commands {
    set            {makes    {set k v} {set k v ex 999999} {set k v pxat 99999999999999} {set k v keepttl} {set k v nx} {set k v get}}
    setnx          {makes    {setnx k v}}
    setex          {makes    {setex k 999999 v}}
    psetex         {makes    {psetex k 999999999 v}}
    getset         {makes    {getset k v}}
    mset           {makes    {mset {{t}a} 1 k v}}
    msetnx         {makes    {msetnx k v}}
    append         {makes    {append k v}}
    setrange       {makes    {setrange k 3 v}}
    incr           {makes    {incr k}}
    decr           {makes    {decr k}}
    incrby         {makes    {incrby k 5}}
    decrby         {makes    {decrby k 5}}
    incrbyfloat    {makes    {incrbyfloat k 1.5}}
    restore        {makes    {restore k 0 PAYLOAD} {restore k 999999999 PAYLOAD} {restore k 99999999999999 PAYLOAD absttl}}
    restore-asking {makes    {restore-asking k 0 PAYLOAD} {restore-asking k 999999999 PAYLOAD}}
    rename         {makes    {rename FOREVER k}}
    renamenx       {makes    {renamenx FOREVER k}}
    copy           {makes    {copy FOREVER k}}
    getex          {deadline {getex k ex 999999} {getex k pxat 99999999999999} {getex k persist}}
    expire         {deadline {expire k 999999}}
    pexpire        {deadline {pexpire k 999999999}}
    expireat       {deadline {expireat k 99999999999}}
    pexpireat      {deadline {pexpireat k 99999999999999}}
    persist        {deadline {persist k}}
    del            {neither} unlink {neither} getdel {neither} delifeq {neither} flushall {neither} flushdb {neither}
    migrate        {neither} move {neither} swapdb {neither}
    fetch          {neither} invalidate {neither} salt {neither}
}

proc life_is_within {name key limit_s why} {
    set ttl [on $name pttl $key]
    assert {$ttl > 0 && $ttl <= $limit_s * 1000} "$why: $key has $ttl ms left"
}

test "every write command is known for what it does to the life of a key, and none gets past the backstop" {
    with_node ada {enable-debug-command yes} {
        set unknown {}
        foreach command [on ada command] {
            if {"write" in [lindex $command 2] && ![dict exists $::write_commands [lindex $command 0]]} {
                lappend unknown [lindex $command 0]
            }
        }
        assert_equal {} $unknown "a write command that nobody has said of what it does to the life of a key"
        foreach {key size} {k 5 {{t}big} 40000} {
            on ada flushall
            on ada policy set "" ttl 0 max-ttl 0
            on ada set payload [string repeat x $size]
            set payload [on ada dump payload]
            foreach {policy limit} {{ttl 50 max-ttl 100} 100 {ttl 0 max-ttl 100} 100} {
                dict for {command what} $::write_commands {
                    foreach call [lrange $what 1 end] {
                        on ada policy set "" ttl 0 max-ttl 0
                        on ada flushall
                        # A key from before there was a policy: nothing has looked at it yet, unless the sweep was faster.
                        on ada set forever 1
                        on ada policy set "" {*}$policy
                        if {[lindex $what 0] eq "deadline"} { on ada set k 1 ex 20 }
                        on ada {*}[lmap word $call { string map [list PAYLOAD $payload FOREVER forever] $word }]
                        life_is_within ada k $limit "[join $call] under $policy"
                        # Once more, on what is there.
                        catch { on ada {*}[lmap word $call { string map [list PAYLOAD $payload FOREVER forever] $word }] }
                        if {[on ada exists k]} { life_is_within ada k $limit "[join $call] twice under $policy" }
                    }
                }
                on ada debug populate 20 made 10
                foreach made [on ada keys made:*] { life_is_within ada $made $limit "DEBUG POPULATE" }
            }
        }
    }
}

test "keys that were there come under a policy that is new" {
    with_node ada {enable-debug-command yes} {
        on ada debug populate 30000 user
        on ada debug populate 1000 other
        assert_equal 31000 [without_ttl ada]
        on ada policy set user: ttl 1000 jitter 20
        eventually { [swept ada user:] }
        assert_equal 1000 [without_ttl ada]
        assert_equal 0 [dict get [on ada policy get user:] keys-without-ttl]
        assert_match "keys=31000,expires=30000,*" [info_field ada db0]
        for {set i 0} {$i < 50} {incr i} { assert {[on ada ttl user:$i] > 0 && [on ada ttl user:$i] <= 1000} }
        on ada policy set "" max-ttl 500
        eventually { [without_ttl ada] == 0 }
        eventually { [swept ada ""] }
        for {set i 0} {$i < 50} {incr i} { assert {[on ada ttl user:$i] > 0 && [on ada ttl user:$i] <= 500} }
        # The policies go, the deadlines stay.
        on ada policy del ""
        on ada policy del user:
        assert_equal 0 [without_ttl ada]
    }
}

test "a value that is watched and comes under a policy has changed" {
    with_node ada {
        connect second ada
        on ada set k v
        on ada watch k
        resp::do second policy set "" ttl 100
        eventually { [resp::do second ttl k] > 0 }
        on ada multi
        on ada set k w
        assert_equal {} [on ada exec]
    }
}

test "setting the clock by an hour, either way, changes no lifetime" {
    set hand [file join [test_dir] wall_clock]
    foreach hours {1 -1} {
        with_node ada [list @prefix [wall_clock_by $hand]] {
            on ada policy set "" max-ttl 1000
            on ada set k v
            write_file $hand [expr {$hours * 3600}]
            assert {abs([lindex [on ada time] 0] - [clock seconds] - $hours * 3600) <= 60} "the library does not work"
            assert {[on ada ttl k] > 900 && [on ada ttl k] <= 1000}
            assert_equal 1 [on ada expire k 5000]
            assert {[on ada ttl k] > 900 && [on ada ttl k] <= 1000}
            assert_equal 1 [on ada expireat k [expr {[lindex [on ada time] 0] + 500}]]
            assert {[on ada ttl k] > 400 && [on ada ttl k] <= 500}
            on ada set other v
            assert {[on ada ttl other] > 900 && [on ada ttl other] <= 1000}
        }
    }
}

test "directives set policies, and CONFIG REWRITE writes them" {
    with_node ada {@args {--policy {user: ttl 100 guard yes} --policy {a b} jitter 5 --default-ttl-ms 1500 --max-ttl-ms 90000}} {
        assert_equal [list "" {ttl 2 max-ttl 90} "a b" {jitter 5} user: {ttl 100 guard yes}] [on ada policy list]
        on ada set k v
        assert {[on ada pttl k] <= 1500}
        on ada config set default-ttl-ms 70000
        assert_equal {ttl 70 max-ttl 90} [fields_of ada ""]
        on ada set k v
        assert {[on ada pttl k] > 1500}
        on ada policy set "" max-ttl 80 salt 3
        assert_equal {max-ttl-ms 80000} [on ada config get max-ttl-ms]
        on ada policy set user: ttl 300
        on ada policy del "a b"
        assert_error "*can't set immutable config*" { on ada config set policy "x ttl 1" }
        assert_error "*must be between*" { on ada config set default-ttl-ms -1 }
        on ada config rewrite
        set conf [read_file [file join [node_dir ada] redis.conf]]
        foreach line {{policy "" salt 3} {policy user: ttl 300 guard yes} {default-ttl-ms 70000} {max-ttl-ms 80000}} {
            assert {[string match "*\n$line\n*" $conf]} $conf
        }
        assert {![string match {*a b*} $conf]}
    }
}

test "the configuration that was rewritten sets the same again" {
    with_node ada {
        on ada policy set user: ttl 100 guard yes
        on ada policy set "" max-ttl 1000 jitter 10
        on ada config rewrite
        set before [on ada policy list]
        node_stop ada
        node_restart ada {@keep_config yes}
        connect again ada
        assert_equal $before [resp::do again policy list]
    }
}

test "policies survive a restart, and a kill, without a rewrite" {
    with_node ada {cluster-enabled yes} {
        on ada policy set user: ttl 100 guard yes
        on ada policy set "" max-ttl 1000
        set before [on ada policy list]
        node_stop ada
        node_restart ada
        connect second ada
        assert_equal $before [resp::do second policy list]
        resp::do second policy set "" jitter 7
        set before [resp::do second policy list]
        node_kill ada
        node_restart ada
        connect third ada
        assert_equal $before [resp::do third policy list]
        resp::do third set user:1 v
        assert {[resp::do third ttl user:1] > 0}
    }
}

test "a directive counts against what was set when it is another than at the last start" {
    with_node ada {cluster-enabled yes default-ttl-ms 50000} {
        assert_equal {ttl 50} [fields_of ada ""]
        on ada policy set "" ttl 60
        node_stop ada
        node_restart ada
        connect second ada
        assert_equal {ttl 60} [dict remove [resp::do second policy get ""] swept-percent keys-without-ttl]
        node_stop ada
        set file [file join [node_dir ada] redis.conf]
        write_file $file [string map {"default-ttl-ms 50000" "default-ttl-ms 55000"} [read_file $file]]
        node_restart ada {@keep_config yes}
        connect third ada
        assert_equal {ttl 55} [dict remove [resp::do third policy get ""] swept-percent keys-without-ttl]
    }
}

test "a damaged file of the shared set is replaced by the former one, and two of them stop the start" {
    with_node ada {cluster-enabled yes} {
        on ada policy set one: ttl 100
        on ada policy set two: ttl 100
        node_stop ada
        set file [file join [node_dir ada] nodes.conf.shared]
        write_file $file [string map {two tow} [read_file $file]]
        node_restart ada
        connect second ada
        assert {"one:" in [resp::do second policy list]}
        assert_match "*nodes.conf.shared*" [node_log ada]
        node_stop ada
        foreach which {"" .old} { write_file $file$which "nothing of use, and longer than a line of forty bytes would be" }
        node_restart ada {@ready no}
        assert_equal "exit 1" [node_wait_end ada]
        assert_match "*nodes.conf.shared*" [node_log ada]
    }
}

test "the configuration for caches is one that a node starts with" {
    with_node ada {} {}
    set port [free_port]
    node_start ada [list @port $port @args [list --include [file join $::root utils cache.conf]]]
    connect c ada
    resp::do c set k v
    assert {[resp::do c ttl k] > 0 && [resp::do c ttl k] <= 86400}
    assert_equal [list "" {max-ttl 86400 jitter 10}] [resp::do c policy list]
    node_stop ada
}
