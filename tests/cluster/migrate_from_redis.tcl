# docs/migrate-from-redis.md, command by command: a live cluster of redis-servers becomes one of ours while clients go on.

nodes_in_memory

# The recipe's commands: {heading {block block ...}}, in its order.
proc recipe {} {
    set steps {}
    set heading ""
    set block ""
    set inside 0
    foreach line [split [read_file [file join $::root docs migrate-from-redis.md]] \n] {
        if {$line eq "```sh"} {
            set inside 1
            set block ""
        } elseif {$line eq "```"} {
            set inside 0
            dict lappend steps $heading $block
        } elseif {$inside} {
            append block $line \n
        } elseif {[regexp {^## (.*)$} $line -> heading]} {
        }
    }
    return $steps
}

# Runs what stands under a heading, with our own nodes' names, while clients go on.
proc follow_recipe {heading {names_of_test {OLD {theo vera wim} REPLICAS rex NEW {ada bob cleo}}} {more ""}} {
    set steps [recipe]
    assert {[dict exists $steps $heading]} "the recipe has no step '$heading'"
    # Of what is to know before: the names, which are put in, and the functions.
    lassign [dict get $steps "What to know before"] names functions
    set prelude $more
    foreach {name nodes} $names_of_test {
        assert_match "*$name=*" $names
        append prelude "$name=\"[lmap node $nodes { address_of $node }]\"\n"
    }
    set out ""
    foreach block [dict get $steps $heading] { append out [sh_meanwhile "set -e\nWATCH_SECONDS=1\n$prelude$functions$block"] }
    return $out
}

proc address_of {name} { return "[node_host $name]:[node_port $name]" }

# What a redis-server had to say as a warning, less what it says by itself.
proc complaints {name} {
    set out {}
    foreach line [split [node_log $name] \n] {
        if {![regexp {^\d+:[A-Z] \d+ \w+ \d+ [0-9:.]+ # (.*)$} $line -> said]} continue
        set usual 0
        foreach pattern {
            "*Redis is starting*" "Redis version=*" "Configuration loaded" "Server initialized" "WARNING Memory overcommit*" "WARNING: The TCP backlog*"
            "WARNING You have Transparent Huge Pages*" "configEpoch set to*" "IP address for this node updated*" "Cluster state changed: ok" "Diskless rdb transfer*"
            "Connection with replica*" "Connection with master lost*" "User requested shutdown*" "*now ready to exit*" "New configEpoch set to*" "Cluster reset (user request)*"
            "*Setting secondary replication ID*" "Cluster state changed: fail" "configEpoch collision with node*" "Configuration change detected*" "configEpoch updated after importing slot *"
            "Redis is now ready to exit*" "Removing the pid file*"
        } { if {[string match $pattern $said]} { set usual 1 } }
        if {!$usual} { lappend out $said }
    }
    return $out
}

# A cluster of three redis-servers, theo, vera and wim, and rex, a replica of vera's; all may have a password.
proc redis_cluster_start {{password ""}} {
    foreach name {theo vera wim rex} {
        node_start $name [dict merge $::cluster_options [password_options $password] {@binary redis-server repl-diskless-sync-delay 0}]
        if {$password ne ""} { on $name auth $password }
    }
    set login [expr {$password eq "" ? "" : "export REDISCLI_AUTH=$password\n"}]
    sh_meanwhile "${login}redis-cli --cluster create [lmap name {theo vera wim} { address_of $name }] --cluster-yes"
    cluster_wait_agreed {theo vera wim}
    foreach name {theo vera wim} { on rex cluster meet 127.0.0.1 [node_port $name] }
    eventually { ![catch { on rex cluster replicate [node_id vera] }] }
    eventually { [info_field rex master_link_status] eq "up" }
    cluster_wait_agreed {theo vera wim rex}
}
proc password_options {password} { return [expr {$password eq "" ? {} : [list requirepass $password masterauth $password]}] }

test "the recipe moves a live cluster of redis-servers to us, and back, while clients lose nothing and see redirects only" {
    if {[server_is_redis]} { skip "ours only" }
    redis_cluster_start
    foreach name {ada bob cleo} { node_start $name $::cluster_options }
    set old [lmap name {theo vera wim} { address_of $name }]
    traffic_start w $old {role write keys 1000}
    traffic_start r $old {role read of w}
    # One with a deadline, one with one soon, one that is big, and the empty one.
    set owner [owner_of lasting theo]
    on $owner set lasting v
    on $owner pexpireat lasting 4000000000000
    set big [string repeat 0123456789abcdef 30000]
    on [owner_of big theo] set big $big
    on [owner_of "" theo] set "" empty
    on [owner_of soon theo] set soon v px 20000

    follow_recipe "1. Look at what there is"
    foreach name {theo vera wim rex} { assert_equal {cluster-allow-replica-migration no} [on $name config get cluster-allow-replica-migration] }
    follow_recipe "2. Join"
    cluster_wait_agreed {theo vera wim rex ada bob cleo}

    follow_recipe "3. Move one slot, then some"
    cluster_wait_agreed {theo vera wim rex ada bob cleo}
    set moved 0
    foreach range [dict get [seen_by theo ada] slots] {
        lassign [split $range -] from to
        incr moved [expr {$to eq "" ? 1 : $to - $from + 1}]
    }
    assert_equal 301 $moved "slots that ada has"
    assert {[on ada dbsize] > 0}

    follow_recipe "4. Going back"
    cluster_wait_agreed {theo vera wim rex ada bob cleo}
    foreach name {ada bob cleo} {
        assert_equal {} [dict get [seen_by theo $name] slots]
        assert_equal 0 [on $name dbsize]
    }

    follow_recipe "5. Move the rest"
    cluster_wait_agreed {theo vera wim rex ada bob cleo}
    foreach name {theo vera wim} {
        assert_equal {} [dict get [seen_by ada $name] slots]
        assert {"master" in [dict get [seen_by ada $name] flags]} "$name made itself a replica"
    }

    # The clients are told of the new nodes.
    foreach name {w r} {
        set ::traffic($name,seeds) [lmap node {ada bob cleo} { address_of $node }]
        set ::traffic($name,owners) {}
    }
    set done $::traffic(w,done)
    eventually { $::traffic(w,done) > $done + 10 }
    set out [follow_recipe "6. Forget the old nodes"]
    assert {![regexp {cmdstat_(get|set):} $out]} "clients still asked the old nodes"
    foreach name {ada bob cleo} { eventually { [llength [cluster_node_lines $name]] == 3 } }
    cluster_wait_agreed {ada bob cleo}
    foreach name {theo vera wim rex} {
        assert_equal 1 [field_of [on $name cluster info] cluster_known_nodes] "nodes that $name knows"
        node_stop $name
    }
    # The cluster goes on without them.
    set done $::traffic(w,done)
    eventually { $::traffic(w,done) > $done + 50 }
    traffic_stop w r
    traffic_was_well w r
    assert {$::traffic(w,redirects) > 100 && $::traffic(r,redirects) > 100}
    cluster_wait_agreed {ada bob cleo}
    map_owners ada
    proc ask_owner {args} { return [on [owner_name [lindex $args 1]] {*}$args] }
    traffic_check_content w ask_owner
    # It was sent as what was left of its time, four times at most.
    assert {abs([on [owner_of lasting ada] pexpiretime lasting] - 4000000000000) < 60000}
    assert_equal $big [on [owner_of big ada] get big]
    assert_equal empty [on [owner_of "" ada] get ""]
    eventually { [on [owner_of soon ada] exists soon] == 0 }
    foreach past $::node_past {
        lassign $past name log
        if {$name in {theo vera wim rex}} { assert_equal {} [complaints $name] "what $name complained of" }
    }
}

test "the recipe goes as well where all nodes have a password" {
    if {[server_is_redis]} { skip "ours only" }
    redis_cluster_start secret
    node_start ada [dict merge $::cluster_options [password_options secret]]
    on ada auth secret
    set password "export REDISCLI_AUTH=secret\n"
    set names {OLD {theo vera wim} REPLICAS rex NEW ada}
    map_owners theo
    for {set i 0} {$i < 2000} {incr i} { on [owner_name key:$i] set key:$i $i }

    follow_recipe "1. Look at what there is" $names $password
    follow_recipe "2. Join" $names $password
    cluster_wait_agreed {theo vera wim rex ada}
    follow_recipe "3. Move one slot, then some" $names $password
    cluster_wait_agreed {theo vera wim rex ada}
    assert {[on ada dbsize] > 0}
    # Who has no password is told so, by whom it asks.
    connect stranger ada
    assert_error "NOAUTH *" { resp::do stranger dbsize }
    follow_recipe "4. Going back" $names $password
    cluster_wait_agreed {theo vera wim rex ada}
    assert_equal 0 [on ada dbsize]
    assert_equal 2000 [expr {[on theo dbsize] + [on vera dbsize] + [on wim dbsize]}]
    map_owners theo
    for {set i 0} {$i < 2000} {incr i} { assert_equal $i [on [owner_name key:$i] get key:$i] }
    foreach name {rex ada theo vera wim} { node_stop $name }
}

test "a key of a type that we lack stays with the redis-server and is served, and the recipe closes its slot" {
    if {[server_is_redis]} { skip "ours only" }
    with_cluster {theo ada} {@binaries {theo redis-server}} {
        set slot 20
        set tag [key_in_slot $slot]
        on ada cluster setslot $slot importing [node_id theo]
        foreach make {{xadd 1-1 f v} {zadd 1 m} {hset f v} {sadd m} {rpush m}} {
            on theo del "{$tag}lacking"
            on theo [lindex $make 0] "{$tag}lacking" {*}[lrange $make 1 end]
            if {[catch { on ada restore-asking "{$tag}lacking" 0 [on theo dump "{$tag}lacking"] replace } why]} break
        }
        if {$why eq "OK"} { skip "there is no type that we lack" }
        assert_match "ERR Bad data format: *this node has*" $why
        on ada cluster setslot $slot stable
        set kept [on theo dump "{$tag}lacking"]
        for {set i 0} {$i < 30} {incr i} { on theo set "{$tag}$i" $i }
        # reshard takes the first slots first: here all before this one are given to ada, so that this one is the first.
        set before [expr {$slot + 1}]
        assert {[catch { sh_meanwhile "redis-cli --cluster reshard [address_of theo] --cluster-from [node_id theo] --cluster-to [node_id ada] --cluster-slots $before --cluster-yes" } out]}
        assert_match "*Target instance replied with error: ERR Bad data format*" $out
        # Open, and all of it served: each key where it is.
        assert_equal $kept [on theo dump "{$tag}lacking"]
        for {set i 0} {$i < 30} {incr i} {
            if {[catch { on theo get "{$tag}$i" } value]} {
                assert_match "ASK $slot *" $value
                on ada asking
                set value [on ada get "{$tag}$i"]
            }
            assert_equal $i $value
        }
        # As the recipe has it: out of the way, and the slot is finished.
        on theo del "{$tag}lacking"
        follow_recipe "When a step fails" {OLD theo NEW ada} "SLOT=$slot\nFROM=[address_of theo]\nTO=[address_of ada]\n"
        cluster_wait_agreed {theo ada}
        foreach name {theo ada} { foreach line [cluster_node_lines $name] { assert_equal {} [dict get $line open] } }
        assert_equal ada [owner_of_slot $slot theo]
        for {set i 0} {$i < 30} {incr i} { assert_equal $i [on ada get "{$tag}$i"] }
        assert_equal 0 [on theo cluster countkeysinslot $slot]
    }
}

test "a redis-server that makes itself our replica asks to follow once a second, not all the time" {
    if {[server_is_redis]} { skip "ours only" }
    with_cluster {ada bob} {@binaries {bob redis-server}} {
        eventually { ![catch { on bob cluster replicate [node_id ada] }] }
        eventually { [string match "*NOMASTERLINK*" [node_log bob]] }
        set before [regexp -all {MASTER <-> REPLICA sync started} [node_log bob]]
        set began [clock milliseconds]
        wait_ms 3000
        set seconds [expr {([clock milliseconds] - $began) / 1000.0}]
        # Without the word it is thousands.
        assert {[regexp -all {MASTER <-> REPLICA sync started} [node_log bob]] - $before < 10 * $seconds}
        assert_equal PONG [on ada ping]
    }
}
