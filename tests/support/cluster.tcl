# cluster.tcl: several nodes that know each other.

# Options every node of a test cluster starts with.
set ::cluster_options {cluster-enabled yes cluster-config-file nodes.conf cluster-node-timeout 3000}

# Runs the body with a cluster. The first node starts with every slot; with {@split yes} in the options the slots are spread evenly, and
# {@binaries {bob redis-server}} starts some of them with another server.
#     with_cluster {ada bob} {body}      with_cluster {ada bob} {@split yes} {body}
proc with_cluster {names args} {
    set options [expr {[llength $args] > 1 ? [lindex $args 0] : {}}]
    cluster_start $names $options
    set code [catch {uplevel 1 [lindex $args end]} result return_options]
    if {$code == 0} {
        foreach name $names { node_stop $name }
    }
    return -options $return_options $result
}

proc cluster_start {names {options {}}} {
    set split [dict_take options @split no]
    set binaries [dict_take options @binaries {}]
    foreach name $names {
        set own [dict merge $::cluster_options $options]
        if {[dict exists $binaries $name]} { dict set own @binary [dict get $binaries $name] }
        node_start $name $own
        node_id $name
    }
    set count [expr {$split ? [llength $names] : 1}]
    for {set i 0} {$i < $count} {incr i} {
        on [lindex $names $i] cluster addslotsrange [expr {16384 * $i / $count}] [expr {16384 * ($i + 1) / $count - 1}]
    }
    set epoch 0
    foreach name $names { on $name cluster set-config-epoch [incr epoch] }
    all_meet $names
    cluster_wait_agreed $names
    # Whoever is killed a moment later has whom it met on disk: nobody whom a node does not know is heard by it.
    foreach name $names { on $name cluster saveconfig }
}

# Each meets each: where one meets all others, those hear of each other by gossip, which takes a second.
proc all_meet {names} {
    set met {}
    foreach name $names {
        foreach other $met { on $name cluster meet [node_host $other] [node_port $other] }
        lappend met $name
    }
}

# Every node knows every other, says "ok", and all agree about who owns which slot.
proc cluster_wait_agreed {names {timeout_ms 60000}} {
    eventually { [cluster_disagreement $names] eq "" } $timeout_ms
}

# What they do not agree about yet, or "".
proc cluster_disagreement {names} {
    set first ""
    foreach name $names {
        set info [on $name cluster info]
        if {[field_of $info cluster_state] ne "ok"} { return "$name: cluster_state is not ok" }
        if {[field_of $info cluster_known_nodes] != [llength $names]} {
            return "$name knows [field_of $info cluster_known_nodes] nodes"
        }
        # A node in handshake is counted, but goes by a name that will not stay.
        foreach line [cluster_node_lines $name] {
            if {"handshake" in [dict get $line flags]} { return "$name is still in handshake" }
        }
        set signature [slots_signature $name]
        if {$first eq ""} { set first $signature }
        if {$signature ne $first} { return "$name sees other owners: $signature" }
    }
    return ""
}

# {start-end node-id} for every range that a node sees, in order.
proc slots_signature {name} {
    set out {}
    foreach line [cluster_node_lines $name] {
        foreach range [dict get $line slots] { lappend out [list $range [dict get $line id]] }
    }
    return [lsort $out]
}

# CLUSTER NODES as a list of dicts: id address flags primary link slots open epoch.
proc cluster_node_lines {name} {
    set out {}
    foreach line [split [string trimright [on $name cluster nodes] \n] \n] {
        set words [split $line " "]
        set slots {}
        set open {}
        foreach range [lrange $words 8 end] {
            if {[string index $range 0] eq "\["} { lappend open $range } else { lappend slots $range }
        }
        lappend out [dict create id [lindex $words 0] address [lindex $words 1] flags [split [lindex $words 2] ,] \
            primary [lindex $words 3] epoch [lindex $words 6] link [lindex $words 7] slots $slots open $open]
    }
    return $out
}

# How one node sees another: its CLUSTER NODES line as a dict, or {}.
proc seen_by {observer name} {
    set id [node_id $name]
    foreach line [cluster_node_lines $observer] {
        if {[dict get $line id] eq $id} { return $line }
    }
    return {}
}

# A node's id: asked once, so that it is known of a node that is stopped or gone.
proc node_id {name} {
    if {![info exists ::node($name,id)]} { set ::node($name,id) [on $name cluster myid] }
    return $::node($name,id)
}

proc name_of_id {id} {
    foreach name $::node_names {
        if {[node_id $name] eq $id} { return $name }
    }
    return "nobody"
}

# The first of a node's slots, as it sees them itself.
proc first_slot_of {name} { return [lindex [split [lindex [dict get [seen_by $name $name] slots] 0] -] 0] }

# The slot of a key, by the tests' own CRC-16/XMODEM: the server is not asked about what it is to be tested for.
set ::crc16_table {}
for {set i 0} {$i < 256} {incr i} {
    set crc [expr {$i << 8}]
    for {set bit 0} {$bit < 8} {incr bit} {
        set crc [expr {($crc & 0x8000) ? (($crc << 1) ^ 0x1021) & 0xffff : ($crc << 1) & 0xffff}]
    }
    lappend ::crc16_table $crc
}

proc slot_of {key} {
    set from [string first "\{" $key]
    if {$from >= 0} {
        set to [string first "\}" $key [expr {$from + 1}]]
        if {$to > $from + 1} { set key [string range $key [expr {$from + 1}] [expr {$to - 1}]] }
    }
    set crc 0
    foreach char [split $key ""] {
        scan $char %c byte
        set crc [expr {(($crc << 8) & 0xffff) ^ [lindex $::crc16_table [expr {($crc >> 8) ^ $byte}]]}]
    }
    return [expr {$crc % 16384}]
}

# The node that owns a slot as the first running node sees it.
proc owner_of_slot {slot {observer ""}} {
    if {$observer eq ""} { set observer [lindex $::node_names 0] }
    foreach line [cluster_node_lines $observer] {
        foreach range [dict get $line slots] {
            lassign [split $range -] from to
            if {$to eq ""} { set to $from }
            if {$slot >= $from && $slot <= $to} { return [name_of_id [dict get $line id]] }
        }
    }
    return "nobody"
}

proc owner_of {key {observer ""}} {
    return [owner_of_slot [slot_of $key] $observer]
}

# The same for many keys: as it was when somebody was last asked for all slots.
proc owner_name {key} {
    if {![info exists ::owner_map]} { map_owners }
    return [lindex $::owner_map [slot_of $key]]
}
proc map_owners {{observer ""}} {
    if {$observer eq ""} { set observer [lindex $::node_names 0] }
    set ::owner_map [lrepeat 16384 nobody]
    foreach line [cluster_node_lines $observer] {
        set name [name_of_id [dict get $line id]]
        foreach range [dict get $line slots] {
            lassign [split $range -] from to
            if {$to eq ""} { set to $from }
            for {set slot $from} {$slot <= $to} {incr slot} { lset ::owner_map $slot $name }
        }
    }
}

# A key of a slot: the same one each time for the same prefix. Those come by in the search are kept.
proc key_in_slot {slot {prefix k}} {
    if {![info exists ::searched_keys($prefix)]} { set ::searched_keys($prefix) 0 }
    while {![info exists ::key_of_slot($prefix,$slot)]} {
        if {$::searched_keys($prefix) >= 1000000} { fail "no key for slot $slot" }
        set key "$prefix:$::searched_keys($prefix)"
        incr ::searched_keys($prefix)
        set its_slot [slot_of $key]
        if {![info exists ::key_of_slot($prefix,$its_slot)]} { set ::key_of_slot($prefix,$its_slot) $key }
    }
    return $::key_of_slot($prefix,$slot)
}

# The steps by which redis-cli gives a slot from one node to another: it is opened, its keys are moved, it is handed over. An empty one is given.
proc open_slot {slot from to} {
    on $to cluster setslot $slot importing [node_id $from]
    on $from cluster setslot $slot migrating [node_id $to]
}
proc move_keys {slot from to} {
    while {[llength [set keys [on $from cluster getkeysinslot $slot 100]]] > 0} {
        assert_equal OK [on $from migrate [node_host $to] [node_port $to] "" 0 60000 keys {*}$keys]
    }
}
proc hand_over {slot from to} {
    on $to cluster setslot $slot node [node_id $to]
    on $from cluster setslot $slot node [node_id $to]
}
proc give_slot {slot from to} {
    open_slot $slot $from $to
    hand_over $slot $from $to
}

# A folder where the new generation of the state file is to be written stops every save, for root too. (A save that is under way has a
# file there.)
proc disk_fills {name} { eventually { ![catch { file mkdir [file join [node_dir $name] nodes.conf.tmp] }] } }
proc disk_is_free_again {name} { file delete [file join [node_dir $name] nodes.conf.tmp] }
