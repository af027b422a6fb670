# Strings: what one node answers to GET, SET and their kin.

test "a key has the value it was given, whatever bytes are in it" {
    with_node ada {
        set all ""
        for {set i 0} {$i < 256} {incr i} { append all [format %c $i] }
        foreach value [list hello "" "\r\n" "\x00" $all [string repeat $all 1000]] {
            assert_equal OK [on ada set key $value]
            assert_equal $value [on ada get key]
            assert_equal [string length $value] [on ada strlen key]
            assert_equal OK [on ada set $value back]
            assert_equal back [on ada get $value]
        }
        assert_equal "\$-1\r\n" [raw_on ada get missing]
    }
}

test "SET's conditions decide whether it is done, and GET gives what was there" {
    with_node ada {
        assert_equal {null {}} [typed_on ada set key one xx]
        assert_equal OK [on ada set key one nx]
        assert_equal {null {}} [typed_on ada set key two nx]
        assert_equal OK [on ada set key two xx]
        assert_equal two [on ada set key three get]
        assert_equal three [on ada set key four nx get]
        assert_equal three [on ada get key]
        assert_equal {null {}} [typed_on ada set other new get]
        assert_equal {null {}} [typed_on ada set another new nx get]
        assert_equal new [on ada get another]
        assert_error "ERR syntax error" { on ada set key x nx xx }
        assert_error "ERR syntax error" { on ada set key x ex 10 px 10 }
        assert_error "ERR syntax error" { on ada set key x keepttl ex 10 }
        assert_error "ERR syntax error" { on ada set key x ex }
        assert_equal three [on ada get key]
    }
}

test "SET takes away a deadline unless it is told to keep it" {
    with_node ada {
        on ada set key v ex 100
        assert {[on ada ttl key] in {99 100}}
        on ada set key w keepttl
        assert {[on ada ttl key] in {99 100}}
        on ada set key x
        assert_equal -1 [on ada ttl key]
        on ada set key v px 100000
        on ada incrby counter 1
        on ada append key more
        assert {[on ada ttl key] > 90} "APPEND keeps the deadline"
    }
}

test "numbers count to the edge of 64 bits and not beyond" {
    with_node ada {
        assert_equal 1 [on ada incr n]
        assert_equal -1 [on ada decrby n 2]
        on ada set n 9223372036854775806
        assert_equal 9223372036854775807 [on ada incr n]
        assert_error "ERR increment or decrement would overflow" { on ada incr n }
        on ada set n -9223372036854775807
        assert_equal -9223372036854775808 [on ada decr n]
        assert_error "ERR increment or decrement would overflow" { on ada decr n }
        assert_error "ERR *overflow*" { on ada decrby n -9223372036854775808 }
        foreach text {" 1" "1 " "01" "-0" "+1" "0x1" "1.0" "" "9223372036854775808" "a"} {
            on ada set n $text
            assert_error "ERR value is not an integer or out of range" { on ada incr n }
        }
    }
}

test "INCRBYFLOAT adds as people write numbers" {
    with_node ada {
        on ada set f 10.50
        assert_equal 10.6 [on ada incrbyfloat f 0.1]
        assert_equal 5.6 [on ada incrbyfloat f -5]
        on ada set f 5.0e3
        assert_equal 5200 [on ada incrbyfloat f 2.0e2]
        on ada set f 3
        assert_equal 3 [on ada incrbyfloat f 0]
        foreach bad {abc nan "1 " " 1" ""} { assert_error "ERR value is not a valid float" { on ada incrbyfloat f $bad } }
        assert_error "ERR increment would produce NaN or Infinity" { on ada incrbyfloat f inf }
        assert_equal 3 [on ada get f]
    }
}

test "parts of a value are read, written and added" {
    with_node ada {
        assert_equal 5 [on ada append key hello]
        assert_equal 11 [on ada append key " world"]
        assert_equal world [on ada getrange key 6 -1]
        assert_equal world [on ada substr key 6 -1]
        assert_equal hello [on ada getrange key -100 4]
        assert_equal "" [on ada getrange key 5 2]
        assert_equal "" [on ada getrange missing 0 -1]
        assert_equal 11 [on ada setrange key 6 there]
        assert_equal "hello there" [on ada get key]
        assert_equal 8 [on ada setrange gap 5 abc]
        assert_equal "\x00\x00\x00\x00\x00abc" [on ada get gap]
        assert_equal 0 [on ada setrange missing 10 ""]
        assert_equal 0 [on ada exists missing]
        assert_error "ERR offset is out of range" { on ada setrange key -1 x }
        assert_error "ERR string exceeds maximum allowed size*" { on ada setrange key 536870912 x }
        assert_error "ERR string exceeds maximum allowed size*" { on ada setrange key 9223372036854775807 x }
    }
}

test "no value grows beyond proto-max-bulk-len, however small its pieces are" {
    with_node ada {proto-max-bulk-len 1mb} {
        set refused "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
        assert_equal OK [on ada set key [string repeat x 1000000]]
        assert_error $refused { on ada append key [string repeat y 48577] }
        assert_equal 1000000 [on ada strlen key]
        assert_equal 1048576 [on ada append key [string repeat y 48576]]
        assert_error $refused { on ada append key z }
        assert_error $refused { on ada setrange key 1048575 zz }
        assert_equal 1048576 [on ada setrange key 1048575 z]
        assert_error $refused { on ada setrange new 1048576 z }
        assert_error $refused { on ada setrange new 4294967296 z }
        assert_equal 0 [on ada exists new]
        # A limit that was lowered leaves what is there, and nothing is added to it.
        assert_equal OK [on ada config set proto-max-bulk-len 2mb]
        assert_equal 1048577 [on ada append key z]
        assert_equal OK [on ada config set proto-max-bulk-len 1mb]
        assert_error $refused { on ada append key z }
        assert_equal 1048577 [on ada strlen key]
    }
}

test "many keys are read and written in one command" {
    with_node ada {
        assert_equal OK [on ada mset a 1 b 2 c 3]
        assert_equal {1 2 3 {}} [on ada mget a b c d]
        assert_equal 0 [on ada msetnx d 4 a 5]
        assert_equal 0 [on ada exists d]
        assert_equal 1 [on ada msetnx d 4 e 5]
        assert_equal OK [on ada mset x 1 x 2]
        assert_equal 2 [on ada get x]
        assert_error "ERR wrong number of arguments for 'mset' command" { on ada mset a 1 b }
        # A key that is named twice counts twice.
        assert_equal 2 [on ada exists a a]
        assert_equal {1 1} [on ada mget a a]
        assert_equal 1 [on ada del a a]
    }
}

test "GETDEL and GETEX read and change in one step" {
    with_node ada {
        on ada set key v
        assert_equal v [on ada getex key ex 100]
        assert {[on ada ttl key] > 90}
        assert_equal v [on ada getex key persist]
        assert_equal -1 [on ada ttl key]
        assert_equal v [on ada getex key]
        assert_equal v [on ada getdel key]
        assert_equal {null {}} [typed_on ada getdel key]
        on ada set key v
        assert_equal v [on ada getex key exat 1]
        assert_equal 0 [on ada exists key]
    }
}

test "OBJECT ENCODING tells how a value is kept" {
    with_node ada {
        on ada set n 123
        assert_equal int [on ada object encoding n]
        on ada set s [string repeat x 44]
        assert_equal embstr [on ada object encoding s]
        on ada set s [string repeat x 45]
        assert_equal raw [on ada object encoding s]
        on ada set s short
        on ada append s er
        assert_equal raw [on ada object encoding s]
        assert_equal {null {}} [typed_on ada object encoding missing]
    }
}

test "LCS finds what two values have in common" {
    with_node ada {
        on ada mset {{t}1} ohmytext {{t}2} mynewtext
        assert_equal mytext [on ada lcs {{t}1} {{t}2}]
        assert_equal 6 [on ada lcs {{t}1} {{t}2} len]
        assert_equal {matches {{{4 7} {5 8}} {{2 3} {0 1}}} len 6} [on ada lcs {{t}1} {{t}2} idx]
        assert_equal {matches {{{4 7} {5 8} 4}} len 6} [on ada lcs {{t}1} {{t}2} idx minmatchlen 4 withmatchlen]
        assert_equal "" [on ada lcs {{t}1} missing]
    }
}

test "values of every size come back as they were" {
    with_node ada {
        set seed [expr {int(rand() * 1000000)}]
        puts "          seed $seed"
        expr {srand($seed)}
        array set kept {}
        for {set i 0} {$i < 3000} {incr i} {
            set key k[expr {int(rand() * 500)}]
            set size [expr {int(exp(rand() * 11))}]
            set value [string repeat [format %c [expr {int(rand() * 256)}]] $size]
            on ada set $key $value
            set kept($key) $value
        }
        foreach key [array names kept] { assert {[on ada get $key] eq $kept($key)} "$key changed" }
        assert_equal [array size kept] [on ada dbsize]
    }
}

# The reply to a long LCS comes from the values as they were, while writers of the same slot are served by other workers.
#
# What is sent to `long` makes {t}begun 1 as the last thing before its LCS; when the writer sees that, it changes the values. Gives 1
# when that was done before half of the time was over that LCS took. Else something longer is to be tried: a writer that LCS keeps waiting
# never is so early, however long it takes.
proc written_meanwhile {size_a size_b times in_transaction} {
    set a [string repeat ab [expr {$size_a / 2}]]
    set b [string repeat b $size_b]
    resp::do writer mset {{t}a} $a {{t}b} $b {{t}begun} 0
    resp::do writer config resetstat
    set sent [clock milliseconds]
    set lcs [resp::encode set {{t}begun} 1][string repeat [resp::encode lcs {{t}a} {{t}b} len] $times]
    resp::write long [expr {$in_transaction ? "[resp::encode multi]$lcs[resp::encode exec]" : $lcs}]
    eventually { [resp::do writer get {{t}begun}] == 1 }
    resp::do writer setrange {{t}a} 0 [string repeat x $size_a]
    resp::do writer set {{t}b} x
    # A command is counted when it has ended.
    set last [expr {$in_transaction ? "cmdstat_exec" : "cmdstat_lcs"}]
    set ran_on [expr {[string first $last: [resp::do writer info commandstats]] < 0}]
    set written [clock milliseconds]
    set right [expr {min($size_a / 2, $size_b)}]
    if {$in_transaction} {
        for {set i 0} {$i < $times + 2} {incr i} { resp::read long }
        # It took its values in one step with the SET.
        assert_equal [list OK {*}[lrepeat $times $right]] [resp::plain [resp::read long]]
        return [expr {$ran_on && [clock milliseconds] - $written > $written - $sent}]
    }
    resp::read long
    set found [resp::plain [resp::read long]]
    # Between the SET and the LCS the writer may have come first, with both changes or with one.
    if {$found <= 1} { return 0 }
    assert_equal $right $found
    return [expr {$ran_on && [clock milliseconds] - $written > $written - $sent}]
}

test "a long LCS holds no lock" {
    with_node ada {io-threads 2 proto-max-bulk-len 64gb} {
        connect long ada
        connect writer ada
        # Big values are held, small ones copied: both must stay what they were. Small ones make a long LCS only many at a time.
        set until [expr {[clock milliseconds] + 90000}]
        for {set size 3000} {![written_meanwhile 40000 $size 1 0]} {set size [expr {min($size * 2, 96000)}]} {
            assert {[clock milliseconds] < $until} "writers wait for LCS"
        }
        for {set times 1} {![written_meanwhile 11000 11000 $times 1]} {set times [expr {min($times * 2, 32)}]} {
            assert {[clock milliseconds] < $until} "writers wait for EXEC with LCS"
        }
        # In a transaction the replies stay in order.
        resp::do writer multi
        resp::do writer lcs {{t}b} {{t}b}
        resp::do writer lcs {{t}b} {{t}b} len
        resp::do writer get {{t}b}
        assert_equal {x 1 x} [resp::do writer exec]
    }
}
