# A node whose state file cannot be written: it serves, it says so, and it claims nothing that a restart would forget.

test "on a full disk a node serves what it was given, but claims it only when it is saved" {
    foreach name {ada bob} { node_start $name [dict merge $::cluster_options {cluster-require-full-coverage no}] }
    on ada cluster addslotsrange 0 865
    on bob cluster addslotsrange 867 16383
    # bob's is the greater one, so that there is something to bump.
    on ada cluster set-config-epoch 1
    on bob cluster set-config-epoch 2
    on ada cluster meet 127.0.0.1 [node_port bob]
    eventually { [owner_of_slot 0 bob] eq "ada" && [owner_of_slot 867 ada] eq "bob" }
    eventually { [field_of [on bob cluster info] cluster_my_epoch] eq [dict get [seen_by ada bob] epoch] }
    eventually { [field_of [on ada cluster info] cluster_my_epoch] eq [dict get [seen_by bob ada] epoch] }
    assert_equal 0 [info_field ada cluster_state_save_failures]

    set epoch [field_of [on ada cluster info] cluster_my_epoch]
    disk_fills ada
    assert_equal OK [on ada cluster addslots 866]
    assert_equal OK [on ada set hello world]
    assert_match "BUMPED *" [on ada cluster bumpepoch]
    eventually { [field_of [on ada cluster info] cluster_state_save_status] eq "err" }
    assert {[info_field ada cluster_state_save_failures] > 0}
    assert_match "*claims no slot and no epoch that is not on disk*" [node_log ada]
    assert_error "ERR error saving the cluster node config*" { on ada cluster saveconfig }

    # Heartbeats go on, and say nothing of it.
    set before [field_of [on bob cluster info] cluster_stats_messages_received]
    eventually { [field_of [on bob cluster info] cluster_stats_messages_received] > $before + 10 }
    assert_equal nobody [owner_of_slot 866 bob]
    assert_equal connected [dict get [seen_by bob ada] link]
    assert_equal $epoch [dict get [seen_by bob ada] epoch]
    assert_equal world [on ada get hello]

    disk_is_free_again ada
    eventually { [field_of [on ada cluster info] cluster_state_save_status] eq "ok" }
    eventually { [owner_of_slot 866 bob] eq "ada" }
    assert_equal [field_of [on ada cluster info] cluster_my_epoch] [dict get [seen_by bob ada] epoch]
    assert_match "*is on disk, after failures: others are told of it*" [node_log ada]
}

test "a slot that its target cannot save is not given up for it" {
    set options [dict merge $::cluster_options {cluster-require-full-coverage no}]
    node_start ada $options
    node_start bob [dict merge $options {cluster-slot-move-timeout 300}]
    on bob cluster addslotsrange 0 16383
    on ada cluster meet 127.0.0.1 [node_port bob]
    eventually { [owner_of_slot 5 ada] eq "bob" && [on bob cluster links] ne {} && [field_of [on ada cluster info] cluster_state_save_status] eq "ok" }
    assert_equal OK [on ada cluster setslot 5 importing [node_id bob]]
    on ada cluster saveconfig
    disk_fills ada
    # Nobody had found out yet: it is ada's, in memory, and who said so is told that this is all.
    assert_error "ERR The state of this node cannot be saved: the slot is its own,*" { on ada cluster setslot 5 node [node_id ada] }
    assert_equal ada [owner_of_slot 5 ada]
    assert_error "ERR The state of this node cannot be saved: the slot is its own,*" { on ada cluster setslot 5 node [node_id ada] }

    # bob goes on with what was left open, and sees that ada serves the slot.
    assert_equal OK [on bob cluster setslot 5 migrating [node_id ada]]
    eventually { [string match "*slot 5: left open, its move to*cannot be saved*" [node_log bob]] }
    assert_equal bob [owner_of_slot 5 bob]

    disk_is_free_again ada
    eventually { [owner_of_slot 5 bob] eq "ada" }
    assert_equal OK [on ada cluster setslot 5 node [node_id ada]]
}

proc ask_again {s} {
    puts -nonewline $s [resp::encode get k]
    return [read $s]
}

test "an EXEC that waits for the disk keeps nobody else waiting" {
    if {[server_is_redis]} { skip "redis-server runs one command at a time" }
    node_start ada [dict merge $::cluster_options {io-threads 2}]
    on ada set k before
    foreach name {a b c d} { connect $name ada }
    # A pipe that nobody reads where the new generation is to be written: a disk that does not answer.
    set pipe [file join [node_dir ada] nodes.conf.tmp]
    eventually { ![catch { exec mkfifo $pipe }] }
    resp::write a "[resp::encode multi][resp::encode set k v][resp::encode cluster saveconfig][resp::encode get k][resp::encode config rewrite][resp::encode exec]"
    # Those at the other worker.
    set heard ""
    foreach name {b c d} {
        set s($name) [socket 127.0.0.1 [node_port ada]]
        fconfigure $s($name) -blocking 0 -translation binary -buffering none
    }
    eventually { [string match "*\$1\r\nv\r\n*" [append heard [ask_again $s(b)] [ask_again $s(c)] [ask_again $s(d)]]] }
    set reader [open $pipe r]
    foreach expected {OK QUEUED QUEUED QUEUED QUEUED} { assert_equal $expected [resp::plain [resp::read a]] }
    # Replies that came last stand where their commands did. The save may have failed: a pipe is no disk.
    lassign [resp::plain [resp::read a]] set saved got rewritten
    assert_equal {OK v OK} [list $set $got $rewritten]
    assert {$saved eq "OK" || [string match "ERR error saving the cluster node config: *" $saved]} $saved
    close $reader
    foreach name {b c d} { close $s($name) }
    eventually { ![catch { on ada cluster saveconfig }] }
    on ada multi
    on ada cluster saveconfig
    on ada cluster saveconfig
    on ada get k
    assert_equal {OK OK v} [on ada exec]
    node_stop ada
}

test "who is given a slot says so when others can hear it, and serves clients meanwhile" {
    if {[info exists ::env(SAN)] && $::env(SAN) ne ""} { skip "the disk is slowed by a preloaded library" }
    set library [file join [test_dir] slow_disk.so]
    set slow [file join [test_dir] slow_disk]
    exec cc -shared -fPIC -O1 -D_GNU_SOURCE -o $library [file join $::root tests support slow_disk.c]
    with_cluster {ada bob} [list @split yes io-threads 1 @prefix [list env LD_PRELOAD=$library SLOW_DISK_FILE=$slow]] {
        set slot [slot_of moved]
        set from [owner_of moved]
        set to [expr {$from eq "ada" ? "bob" : "ada"}]
        open_slot $slot $from $to
        write_file $slow ""
        connect operator $to
        resp::write operator [resp::encode cluster setslot $slot node [node_id $to]][resp::encode ping after]
        # It is his already, as he sees it.
        eventually { [owner_of_slot $slot $to] eq $to }
        assert_equal OK [on $to set moved here]
        wait_ms 200
        assert_equal "" [resp::unread operator]
        assert_equal $from [owner_of_slot $slot $from]
        # In a transaction nobody waits.
        on $to multi
        on $to cluster setslot $slot node [node_id $to]
        assert_equal OK [on $to exec]
        file delete $slow
        assert_equal {simple OK} [resp::read operator]
        assert_equal {bulk after} [resp::read operator]
        eventually { [owner_of_slot $slot $from] eq $to }
        # Whoever waits does not keep the node from ending.
        set free [expr {$to eq "ada" ? 16383 : 0}]
        open_slot $free $from $to
        write_file $slow ""
        resp::send operator cluster setslot $free node [node_id $to]
        eventually { [owner_of_slot $free $to] eq $to }
        node_signal $to TERM
        wait_ms 50
        file delete $slow
        node_wait_end $to
        assert_equal "exit 0" $::node($to,ended)
    }
}
