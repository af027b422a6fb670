# salting.tcl: what nodes say of salted keys.

# A field of INFO salting.
proc salting {name field} { return [field_of [on $name info salting] $field] }

# What a node's CLUSTER SALTS says of a key, as a dict, or {}.
proc entry_of {name key} {
    foreach entry [on $name cluster salts] { if {[dict get $entry key] eq $key} { return $entry } }
    return {}
}

# The ids of the connections of helpers at a node.
proc helper_clients {home} {
    set ids {}
    foreach line [split [on $home client list] \n] {
        if {[regexp {^id=(\d+) .*cmd=saltlink} $line -> id]} { lappend ids $id }
    }
    return $ids
}
