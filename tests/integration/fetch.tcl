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
