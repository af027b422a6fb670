# Slots that move to and fro under clients that write (tests/soak/moves.c). SOAK_SECONDS says for how long.

set seconds [expr {[info exists ::env(SOAK_SECONDS)] && $::env(SOAK_SECONDS) ne "" ? $::env(SOAK_SECONDS) : 10}]
set keys [expr {[info exists ::env(SAN)] && $::env(SAN) ne "" ? 20000 : 100000}]

proc moves {first second keys seconds args} {
    return [exec [file join $::root build/soak/moves] $keys $seconds 4 100 [node_port $first] [node_id $first] [node_port $second] [node_id $second] {*}$args 2>@1]
}

test "while slots move back and forth no acknowledged write is lost, and no wrong value is read" {
    # On a machine that is slow nobody is to be suspected for it.
    with_cluster {ada bob} {cluster-node-timeout 15000 io-threads 2} {
        set said [moves ada bob $::keys $::seconds]
        puts "          [string map {"filled\n" ""} $said]"
        assert_match "*whole=yes" $said
        # It was not for nothing: writers were sent from one to the other.
        foreach field {keys_moved slots_moved writes asked} {
            regexp "$field=(\\d+)" $said - count
            assert {$count > 0} "$field: $said"
        }
        cluster_wait_agreed {ada bob}
    }
}
