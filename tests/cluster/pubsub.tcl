# Publish and subscribe across a cluster: messages to all nodes, shard channels where their slot is.

proc next {connection} { return [resp::plain [resp::read $connection]] }

proc subscriber {name node args} {
    connect $name $node
    resp::send $name {*}$args
    foreach argument [lrange $args 1 end] { assert_equal [lindex $args 0] [lindex [next $name] 0] }
}

# Publishes until the last message has come: links may have to be opened first, and one that is busy takes none. What comes before it is
# read, and no other node's message is taken for it.
set ::marks 0
proc reach {publisher connection channel} {
    for {set i 0} {$i < 600} {incr i} {
        set mark "mark [incr ::marks] of $publisher"
        on $publisher publish $channel $mark
        while {[has_more $connection 100]} {
            if {[lindex [next $connection] end] eq $mark} return
        }
    }
    fail "$publisher's messages do not come to $connection"
}

proc has_more {connection wait_ms} {
    set before $::resp::timeout_ms
    set ::resp::timeout_ms $wait_ms
    if {[resp::unread $connection] eq ""} { catch { resp::fill $connection } }
    set ::resp::timeout_ms $before
    return [expr {[resp::unread $connection] ne ""}]
}

# All nodes reach all of these subscribers of a channel, and nothing is on its way to them.
proc settle {nodes connections channel} {
    foreach from $nodes { foreach connection $connections { reach $from $connection $channel } }
    foreach from $nodes { on $from publish $channel settled:$from }
    foreach connection $connections {
        set left [lmap from $nodes { string cat settled: $from }]
        while {$left ne {}} {
            set at [lsearch -exact $left [lindex [next $connection] end]]
            if {$at >= 0} { set left [lreplace $left $at $at] }
        }
    }
}

test "a message comes to subscribers on every node, once and in order" {
    with_cluster {ada bob cleo} {@split yes} {
        foreach node {ada bob cleo} {
            subscriber $node.channel $node subscribe news
            subscriber $node.pattern $node psubscribe n*
        }
        settle {ada bob cleo} {ada.channel ada.pattern bob.channel bob.pattern cleo.channel cleo.pattern} news
        foreach from {ada bob cleo} {
            set batch ""
            for {set i 0} {$i < 300} {incr i} { append batch [resp::encode publish news "$from $i [string repeat x [expr {$i * 20}]]"] }
            connect writer $from
            resp::write writer $batch
            for {set i 0} {$i < 300} {incr i} { assert_equal 2 [next writer] "its own node's subscribers are counted" }
            foreach node {ada bob cleo} {
                for {set i 0} {$i < 300} {incr i} {
                    set message "$from $i [string repeat x [expr {$i * 20}]]"
                    assert {[next $node.channel] eq [list message news $message]} "$node, $from's message $i"
                    assert {[next $node.pattern] eq [list pmessage n* news $message]} "$node, $from's message $i by pattern"
                }
            }
        }
        assert_match "*cluster_stats_messages_publish_sent:*" [on ada cluster info]
        assert_match "*cluster_stats_messages_publish_received:*" [on bob cluster info]
        assert_equal 0 [info_field ada pubsub_messages_not_told]
    }
}

test "our messages come to redis-server's subscribers, and theirs to ours" {
    with_cluster {ada redis bob} {@split yes @binaries {redis redis-server}} {
        foreach node {ada redis bob} {
            subscriber $node.reader $node subscribe news
            subscriber $node.pattern $node psubscribe n*
        }
        settle {ada redis bob} {ada.reader redis.reader bob.reader} news
        foreach size {0 1 5000 400000} {
            foreach from {ada redis bob} {
                set message "$from\r\n\x00[string repeat y $size]"
                assert_equal 2 [on $from publish news $message]
                foreach to {ada redis bob} {
                    assert {[next $to.reader] eq [list message news $message]} "$from to $to, $size bytes"
                }
            }
        }
    }
}

test "a shard channel belongs to a slot, and so do its subscribers" {
    with_cluster {ada bob} {@split yes} {
        set channel [key_in_slot 1000]
        set other [key_in_slot 12000]
        assert_redirect MOVED bob { on ada ssubscribe $other }
        assert_redirect MOVED bob { on ada spublish $other x }
        assert_redirect MOVED ada { on bob sunsubscribe $channel }
        assert_error "CROSSSLOT *" { on ada ssubscribe $channel $other }
        subscriber reader ada ssubscribe $channel
        assert_equal {sunsubscribe {} 1} [lreplace [resp::do reader ping] 0 end sunsubscribe {} 1]
        assert_equal 1 [on ada spublish $channel hello]
        assert_equal [list smessage $channel hello] [next reader]
        # It is no channel of the other kind.
        assert_equal 0 [on ada publish $channel hello]
        assert_equal {pong {}} [resp::do reader ping]
        assert_equal [list $channel] [on ada pubsub shardchannels]
        assert_equal {} [on ada pubsub channels]
    }
}

test "subscribers of a slot's channels are told when it leaves" {
    with_cluster {ada bob} {@split yes} {
        set channel [key_in_slot 1000]
        set same [key_in_slot 1000 same]
        set stays [key_in_slot 1001]
        subscriber reader ada ssubscribe $channel $same
        resp::do reader subscribe news
        connect pushed ada
        resp::hello3 pushed
        resp::send pushed ssubscribe $channel
        next pushed
        resp::send pushed ssubscribe $stays
        next pushed
        # While it is on its way it is served here.
        open_slot 1000 ada bob
        assert_equal 2 [on ada spublish $channel hello]
        assert_equal [list smessage $channel hello] [next reader]
        assert_equal [list push [list {bulk smessage} [list bulk $channel] {bulk hello}]] [resp::read pushed]
        resp::do bob asking
        assert_equal 0 [on bob spublish $channel hello]

        on ada cluster setslot 1000 node [node_id bob]
        on bob cluster setslot 1000 node [node_id bob]
        set told [lsort [list [next reader] [next reader]]]
        assert_equal [lsort [list sunsubscribe sunsubscribe]] [lsort [lmap line $told { lindex $line 0 }]]
        assert_equal [lsort [list $channel $same]] [lsort [lmap line $told { lindex $line 1 }]]
        assert_equal {0 1} [lsort [lmap line $told { lindex $line 2 }]]
        assert_equal [list push [list {bulk sunsubscribe} [list bulk $channel] {integer 1}]] [resp::read pushed]
        assert_equal [list $stays] [on ada pubsub shardchannels]
        eventually { [owner_of_slot 1000 ada] eq "bob" && [owner_of_slot 1000 bob] eq "bob" }
        assert_redirect MOVED bob { on ada spublish $channel x }
        # What is not of a slot stays.
        assert_equal 1 [on ada publish news x]
        assert_equal {message news x} [next reader]
        assert_equal 1 [on ada spublish $stays x]

        # A slot that becomes nobody's has left as well.
        on ada cluster delslots 1001
        assert_equal smessage [lindex [next pushed] 0]
        assert_equal [list sunsubscribe $stays 0] [next pushed]
        assert_equal {} [on ada pubsub shardchannels]
    }
}

test "while the cluster is down shard channels go on, unless they may not" {
    with_cluster {ada bob} {@split yes cluster-node-timeout 1500} {
        set channel [key_in_slot 1000]
        subscriber reader ada ssubscribe $channel
        node_kill bob
        eventually { [string match "*cluster_state:fail*" [on ada cluster info]] }
        assert_error "CLUSTERDOWN The cluster is down" { on ada get $channel }
        assert_equal 1 [on ada spublish $channel x]
        assert_equal [list smessage $channel x] [next reader]
        on ada config set cluster-allow-pubsubshard-when-down no
        assert_error "CLUSTERDOWN The cluster is down" { on ada spublish $channel x }
        assert_error "CLUSTERDOWN The cluster is down" { resp::do reader ssubscribe $channel }
    }
}

test "a node that stands still is left out, and no heartbeat waits for messages" {
    with_cluster {ada bob cleo} {@split yes cluster-node-timeout 60000} {
        subscriber reader bob subscribe news
        reach ada reader news
        node_signal cleo STOP
        set message [string repeat x 100000]
        connect writer ada
        # Far more than its link takes; the others are told all of it, and in time.
        for {set round 0} {$round < 40} {incr round} {
            resp::write writer [string repeat [resp::encode publish news $message] 10]
            for {set i 0} {$i < 10} {incr i} { next writer }
            for {set i 0} {$i < 10} {incr i} { assert {[next reader] eq [list message news $message]} }
        }
        assert {[info_field ada pubsub_messages_not_told] > 0}
        # What waits on its link is bounded.
        foreach link [on ada cluster links] {
            assert {[dict get $link send-buffer-used] < 4000000}
        }
        node_signal cleo CONT
        subscriber late cleo subscribe news
        reach ada late news
        cluster_wait_agreed {ada bob cleo}
    }
}

test "a message longer than links are for stays on its node" {
    with_cluster {ada bob} {@split yes} {
        subscriber here ada subscribe news
        subscriber there bob subscribe news
        settle ada {here there} news
        set message [string repeat x 9000000]
        assert_equal 1 [on ada publish news $message]
        assert {[next here] eq [list message news $message]}
        assert_equal 1 [info_field ada pubsub_messages_not_told]
        on ada publish news after
        assert_equal {message news after} [next there]
    }
}
