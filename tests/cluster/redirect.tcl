# Redirects: who answers for a key, and what everybody else says.

test "the slots of keys are those of the published algorithm" {
    with_cluster {ada} {
        foreach {key slot} [list "" 0 foo 12182 bar 5061 hello 866 123456789 12739 {{user1000}.following} 3443 foo{}{bar} 8363 \
            foo\{\{bar\}\}zap 4015 foo{bar}{zap} 5061 {{}foo} 9500 \{foo 13308 foo\} 15679 \}\{a\} 15495 {{a}} 15495 a\{b 13340 key\{ 2667 \
            \{\{\}\}x 4092 "\x00\xff" 7920] {
            assert_equal $slot [on ada cluster keyslot $key] $key
            assert_equal $slot [slot_of $key] "the tests' own: $key"
        }
        for {set i 0} {$i < 300} {incr i} {
            set key [string range "key{$i}abc{}" 0 [expr {$i % 12}]]$i
            assert_equal [slot_of $key] [on ada cluster keyslot $key]
        }
    }
}

test "every node sends a client to the owner of the key" {
    with_cluster {ada bob cleo} {@split yes} {
        for {set i 0} {$i < 60} {incr i} {
            set key key:$i
            set owner [owner_of $key]
            assert_equal OK [on $owner set $key $owner]
            foreach other {ada bob cleo} {
                if {$other eq $owner} continue
                assert_equal [slot_of $key] [assert_redirect MOVED $owner { on $other get $key }]
                assert_redirect MOVED $owner { on $other set $key stolen }
                assert_redirect MOVED $owner { on $other mget $key $key }
            }
            assert_equal $owner [on $owner get $key]
        }
    }
}

test "a large value for another node costs nobody his place" {
    with_cluster {ada bob} {@split yes maxmemory 20mb} {
        # ada has the lower half of the slots.
        set small 0
        while {[info_field ada used_memory_data] < 20000000 && $small < 100000} {
            set batch ""
            for {set i 0} {$i < 500} {incr i} {
                while {[slot_of small:$small] >= 8192} { incr small }
                append batch [resp::encode set small:$small [string repeat x 1000]]
                incr small
            }
            resp::write ada $batch
            for {set i 0} {$i < 500} {incr i} { assert_equal {simple OK} [resp::read ada] }
        }
        set evicted [info_field ada evicted_keys]
        set value [string repeat v 4000000]
        foreach key {a b c d e f g h} {
            if {[owner_of_slot [slot_of $key] ada] ne "bob"} continue
            assert_redirect MOVED bob { on ada set $key $value }
            on bob set $key $value
            set payload [on bob dump $key]
            assert_redirect MOVED bob { on ada restore $key 0 $payload replace }
        }
        assert_equal $evicted [info_field ada evicted_keys]
        foreach key {a b c d e f g h} {
            if {[owner_of_slot [slot_of $key] ada] eq "ada"} { assert_equal OK [on ada set $key $value] }
        }
        assert {[info_field ada evicted_keys] > $evicted}
    }
}

test "keys of several slots are refused, keys with one tag are served" {
    with_cluster {ada bob} {@split yes} {
        set owner [owner_of {{tag}}]
        assert_equal OK [on $owner mset {a{tag}} 1 {b{tag}} 2]
        assert_equal {1 2} [on $owner mget {a{tag}} {b{tag}}]
        foreach words {{mget foo bar} {mset foo 1 bar 2} {del foo bar} {exists foo hello} {unlink foo bar} {rename foo bar} {touch foo bar} {msetnx foo 1 bar 2}} {
            assert_error "CROSSSLOT Keys in request don't hash to the same slot" { on ada {*}$words }
            assert_error "CROSSSLOT Keys in request don't hash to the same slot" { on bob {*}$words }
        }
    }
}

test "a transaction that goes astray is refused as a whole" {
    with_cluster {ada bob} {@split yes} {
        set mine [key_in_slot 1]
        set theirs [key_in_slot 16000]
        on ada multi
        assert_equal QUEUED [on ada set $mine 1]
        assert_error "MOVED 16000 *" { on ada set $theirs 1 }
        assert_error "EXECABORT*" { on ada exec }
        assert_equal 0 [on ada exists $mine]
        on ada multi
        on ada set $mine 1
        on ada set [key_in_slot 2] 1
        assert_error "CROSSSLOT*" { on ada exec }
        assert_equal 0 [on ada exists $mine]
        on ada multi
        on ada set $mine 1
        on ada get $mine
        on ada dbsize
        assert_equal {OK 1 1} [on ada exec]
        # Slots that leave between MULTI and EXEC.
        on ada multi
        on ada get $mine
        assert_error "MOVED 16000 *" { on ada watch $theirs }
    }
}

test "commands without keys are served by every node" {
    with_cluster {ada bob} {@split yes} {
        on ada set [key_in_slot 1] v
        assert_equal 1 [on ada dbsize]
        assert_equal 0 [on bob dbsize]
        foreach name {ada bob} {
            assert_equal PONG [on $name ping]
            on $name flushall
            on $name keys *
            on $name scan 0
            on $name randomkey
        }
        assert_equal 0 [on ada dbsize]
    }
}

test "SLOTS, SHARDS and NODES name the owner that redirects name" {
    with_cluster {ada bob cleo} {@split yes} {
        # A slot moved away leaves holes in the ranges.
        give_slot 100 ada bob
        give_slot 16383 cleo ada
        eventually { [owner_of_slot 100 cleo] eq "bob" && [owner_of_slot 16383 bob] eq "ada" }
        foreach observer {ada bob cleo} {
            array unset by
            foreach range [on $observer cluster slots] {
                lassign $range from to node
                assert_equal 127.0.0.1 [lindex $node 0]
                assert_equal [node_port [name_of_id [lindex $node 2]]] [lindex $node 1]
                for {set slot $from} {$slot <= $to} {incr slot} { set by(slots,$slot) [name_of_id [lindex $node 2]] }
            }
            foreach shard [on $observer cluster shards] {
                set node [lindex [dict get $shard nodes] 0]
                assert_equal master [dict get $node role]
                assert_equal online [dict get $node health]
                foreach {from to} [dict get $shard slots] {
                    for {set slot $from} {$slot <= $to} {incr slot} { set by(shards,$slot) [name_of_id [dict get $node id]] }
                }
            }
            for {set slot 0} {$slot < 16384} {incr slot} {
                assert {[info exists by(slots,$slot)] && $by(slots,$slot) eq $by(shards,$slot)} "slot $slot"
            }
            foreach slot {0 99 100 101 5460 5461 8192 10923 16382 16383} {
                set key [key_in_slot $slot]
                set owner [owner_of_slot $slot $observer]
                assert_equal $owner $by(slots,$slot)
                if {$owner eq $observer} { assert_equal 0 [on $observer exists $key] } else { assert_redirect MOVED $owner { on $observer exists $key } }
            }
        }
    }
}

test "a migrating slot serves what is still there and asks for the rest" {
    with_cluster {ada bob} {
        set slot [slot_of {{m}}]
        on ada mset {{m}1} one {{m}2} two
        open_slot $slot ada bob
        assert_equal one [on ada get {{m}1}]
        assert_redirect ASK bob { on ada get {{m}missing} }
        assert_error "TRYAGAIN *" { on ada mget {{m}1} {{m}missing} }
        assert_redirect MOVED ada { on bob get {{m}missing} }
        assert_equal OK [on bob asking]
        assert_equal OK [on bob set {{m}missing} there]
        assert_redirect MOVED ada { on bob get {{m}missing} }
        on bob asking
        assert_equal there [on bob get {{m}missing}]
        # It holds for one command, also for one that nobody knows.
        on bob asking
        assert_error "ERR unknown command*" { on bob nonsense }
        assert_redirect MOVED ada { on bob get {{m}missing} }
        on bob asking
        assert_error "TRYAGAIN *" { on bob mget {{m}missing} {{m}1} }
        assert_match "*\\\[$slot->-[node_id bob]\\\]*" [on ada cluster nodes]
        assert_match "*\\\[$slot-<-[node_id ada]\\\]*" [on bob cluster nodes]
        assert_error "ERR Can't assign hashslot $slot to a different node while I still hold keys for this hash slot." {
            on ada cluster setslot $slot node [node_id bob]
        }
        on ada cluster setslot $slot stable
        on bob cluster setslot $slot stable
        assert_equal {null {}} [typed_on ada get {{m}missing}]
        assert {[string first "\[" [on ada cluster nodes]] < 0}
    }
}

test "RESTORE-ASKING brings a key into a slot that is being imported, RESTORE does not" {
    with_cluster {ada bob} {
        set slot [slot_of {{m}}]
        on ada mset {{m}1} one {{m}2} two
        set payload [on ada dump {{m}1}]
        assert_redirect MOVED ada { on bob restore-asking {{m}1} 0 $payload }
        open_slot $slot ada bob
        assert_redirect MOVED ada { on bob restore {{m}1} 0 $payload }
        assert_equal OK [on bob restore-asking {{m}1} 0 $payload]
        assert_error "BUSYKEY *" { on bob restore-asking {{m}1} 0 $payload }
        assert_equal OK [on bob restore-asking {{m}2} 0 [on ada dump {{m}2}]]
        assert_equal 2 [on ada del {{m}1} {{m}2}]
        # Where a key was, DUMP and RESTORE follow it as any command does.
        assert_redirect ASK bob { on ada dump {{m}1} }
        assert_redirect ASK bob { on ada restore {{m}1} 0 $payload }
        hand_over $slot ada bob
        assert_equal {one two} [list [on bob get {{m}1}] [on bob get {{m}2}]]
        assert_redirect MOVED bob { on ada restore-asking {{m}3} 0 $payload }
    }
}

test "an empty slot changes hands and everybody learns of it" {
    with_cluster {ada bob cleo} {
        give_slot 866 ada bob
        eventually { [owner_of_slot 866 ada] eq "bob" && [owner_of_slot 866 bob] eq "bob" && [owner_of_slot 866 cleo] eq "bob" }
        assert_redirect MOVED bob { on cleo get hello }
        assert_redirect MOVED bob { on ada get hello }
        assert_equal OK [on bob set hello world]
        assert_equal 1 [on bob cluster countkeysinslot 866]
        assert_equal hello [on bob cluster getkeysinslot 866 10]
    }
}

test "READONLY, READWRITE and ASKING are taken" {
    with_cluster {ada} {
        assert_equal OK [on ada readonly]
        assert_equal OK [on ada readwrite]
        assert_equal OK [on ada asking]
    }
}

test "CLUSTER COUNTKEYSINSLOT and GETKEYSINSLOT tell what is in a slot" {
    with_cluster {ada} {
        set slot [slot_of {{t}}]
        for {set i 0} {$i < 20} {incr i} { on ada set "{t}$i" v }
        assert_equal 20 [on ada cluster countkeysinslot $slot]
        assert_equal 20 [llength [on ada cluster getkeysinslot $slot 100]]
        assert_equal 5 [llength [on ada cluster getkeysinslot $slot 5]]
        assert_error "ERR Invalid slot*" { on ada cluster countkeysinslot 16384 }
        assert_error "ERR Invalid slot or number of keys" { on ada cluster getkeysinslot $slot -1 }
        on ada set "{t}0" v px 1
        eventually { [on ada cluster countkeysinslot $slot] == 19 }
    }
}

test "without a cluster its commands say so" {
    with_node ada {
        foreach words {{cluster info} {cluster nodes} {cluster slots} {asking} {readonly} {readwrite}} {
            assert_error "ERR This instance has cluster support disabled" { on ada {*}$words }
        }
        # And keys of different slots go together.
        assert_equal OK [on ada mset foo 1 bar 2]
    }
}
