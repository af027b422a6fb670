# RESTORE is an input like any other: payloads that are wrong in any way are refused, and whatever is accepted is a value like any other.
# (The reader alone is in tests/unit/transfer and tests/fuzz; here is all that can be done with what it lets in.)
#
#     PAYLOADS_SEED=n   the run of an earlier one     PAYLOADS=n   how many (default 400)

proc number_from_env {name default} {
    return [expr {[info exists ::env($name)] && $::env($name) ne "" ? $::env($name) : $default}]
}
set ::seed [number_from_env PAYLOADS_SEED [expr {int(rand() * 1000000000)}]]
set ::count [number_from_env PAYLOADS 400]

proc pick {list} { return [lindex $list [expr {int(rand() * [llength $list])}]] }
proc chance {share} { return [expr {rand() < $share}] }

# CRC-64 as payloads have it: reflected, polynomial ad93d23594c935a9 (its bits turned round here), nothing before or after.
set ::crc64_table {}
for {set i 0} {$i < 256} {incr i} {
    set crc $i
    for {set bit 0} {$bit < 8} {incr bit} { set crc [expr {$crc & 1 ? ($crc >> 1) ^ 0x95ac9329ac4bc9b5 : $crc >> 1}] }
    lappend ::crc64_table $crc
}
proc crc64 {bytes} {
    set crc 0
    binary scan $bytes cu* numbers
    foreach byte $numbers { set crc [expr {[lindex $::crc64_table [expr {($crc ^ $byte) & 0xff}]] ^ ($crc >> 8)}] }
    return $crc
}

# A version and the right sum behind what is given.
proc framed {object {version 10}} {
    append object [binary format s $version]
    return $object[binary format w [crc64 $object]]
}
proc from_hex {hex} { return [binary format H* $hex] }

# --- Payloads that are right, near to right, or anything ---
proc length_text {length} {
    # As short as it can be, or longer than need be.
    switch [pick {short short short 14 32 64}] {
        short { if {$length < 64} { return [binary format c $length] } }
        14 {}
        32 { return [binary format cI 0x80 $length] }
        64 { return [binary format cW 0x81 $length] }
    }
    if {$length < 16384} { return [binary format S [expr {0x4000 | $length}]] }
    return [binary format cI 0x80 $length]
}

proc string_text {} {
    switch [pick {plain plain digits int8 int16 int32 lzf}] {
        plain { set text [pick [list "" a hello "with \r\n\x00\xff" 3.5 -0 007 1e5 " 1" [string repeat ab [expr {int(rand() * 200)}]]]] }
        digits { set text [pick {0 -1 12 127 128 -129 32768 2147483647 2147483648 9223372036854775807 9223372036854775808 -9223372036854775808 18446744073709551615}] }
        int8 { return [binary format cc 0xc0 [expr {int(rand() * 256)}]] }
        int16 { return [binary format cs 0xc1 [expr {int(rand() * 65536)}]] }
        int32 { return [binary format ci 0xc2 [expr {int(rand() * 4294967296)}]] }
        lzf { return [pick [list [from_hex c30615016161e00a00] [from_hex c3094064016161e05700016161] [from_hex c30b3c0361626361e02d02016263]]] }
    }
    return [length_text [string length $text]]$text
}

proc mutated {object} {
    for {set i [expr {1 + int(rand() * 3)}]} {$i > 0} {incr i -1} {
        set at [expr {int(rand() * ([string length $object] + 1))}]
        set byte [binary format c [pick {0 1 2 3 63 64 127 128 129 130 192 193 194 195 196 224 255}]]
        switch [pick {change insert remove cut}] {
            change { set object [string replace $object $at $at $byte] }
            insert { set object [string range $object 0 $at-1]$byte[string range $object $at end] }
            remove { set object [string replace $object $at $at] }
            cut { set object [string range $object 0 $at] }
        }
    }
    return $object
}

# {payload whether it is right}
proc payload {} {
    set object "\x00[string_text]"
    set is_right [chance 0.5]
    if {!$is_right} { set object "\x00[mutated [string range $object 1 end]]" }
    return [list [framed $object [pick {10 10 10 9 6 1}]] $is_right]
}

# --- What is done with what was accepted: every command that reads a string or writes to it, some with arguments at the edges ---
set ::reading {{get k} {strlen k} {getrange k 0 -1} {getrange k -3 100} {substr k 1 2} {mget k k} {exists k} {type k} {lcs k k} {lcs k other idx} {dump k} {touch k}}
set ::writing {{append k tail} {append k ""} {setrange k 0 x} {setrange k 30 y} {incr k} {decr k} {incrby k 9223372036854775807} {decrby k -5}
    {incrbyfloat k 1.5} {incrbyfloat k 1e17} {getset k new} {getdel k} {getex k persist} {set k v xx get} {set k v keepttl} {setnx k v} {copy k copied replace}
    {rename k k} {rename k moved} {renamenx k other} {expire k 1000} {persist k} {msetnx k 1} {mset k 1 other 2} {del k} {unlink k}}

proc both_say {words} {
    set theirs [typed_on theirs {*}$words]
    set ours [typed_on ours {*}$words]
    if {$theirs ne $ours} { fail "to '$words' (after payload [binary encode hex $::payload], PAYLOADS_SEED=$::seed) theirs is '$theirs', ours '$ours'" }
    return $ours
}

test "what RESTORE accepts redis-server accepts, and every command takes it for the same value (seed $::seed)" {
    node_start theirs {@binary redis-server rdbcompression no sanitize-dump-payload yes}
    node_start ours
    expr {srand($::seed)}
    set accepted 0
    for {set i 0} {$i < $::count} {incr i} {
        lassign [payload] ::payload is_right
        both_say {flushall}
        both_say {set other "another value"}
        # A redis-server takes what reaches into the version, or ends before it.
        if {[typed_on ours restore k 0 $::payload] ne {simple OK}} {
            assert {!$is_right} "[binary encode hex $::payload] was refused (PAYLOADS_SEED=$::seed)"
            continue
        }
        assert_equal {simple OK} [typed_on theirs restore k 0 $::payload]
        incr accepted
        foreach words $::reading { both_say $words }
        # What comes back out goes in again, and is the same.
        set value [on ours get k]
        assert_equal OK [on ours restore again 0 [on ours dump k]]
        assert_equal $value [on ours get again]
        on ours del again
        foreach words [list [pick $::writing] [pick $::writing] [pick $::writing]] {
            both_say [list restore k 0 $::payload replace]
            both_say $words
            foreach key {k other moved copied} { both_say [list get $key] }
        }
    }
    puts "          $accepted of $::count payloads were accepted"
    assert {$accepted > $::count / 4 && $accepted < $::count * 9 / 10}
    foreach words $::writing {
        both_say [list restore k 0 [framed "\x00\xc0\x07"] replace]
        both_say $words
    }
}

test "whatever bytes are restored, nothing but strings comes of them" {
    node_start ours
    expr {srand($::seed)}
    for {set i 0} {$i < $::count} {incr i} {
        # Any type, any bytes; now and then without the right sum.
        set bytes ""
        for {set n [expr {int(rand() * 40)}]} {$n > 0} {incr n -1} { append bytes [binary format c [expr {int(rand() * 256)}]] }
        set object [binary format c [expr {int(rand() * 256)}]]$bytes
        set ::payload [expr {[chance 0.8] ? [framed $object [pick {10 11}]] : $object}]
        set reply [typed_on ours restore k 0 $::payload replace]
        if {$reply eq {simple OK}} {
            assert_equal \x00 [string index $object 0] "PAYLOADS_SEED=$::seed"
            assert_equal string [on ours type k]
        } else {
            assert_match "ERR *" [lindex $reply 1]
            assert_equal error [lindex $reply 0]
        }
    }
    assert_equal PONG [on ours ping]
}

test "a length that is written longer than need be is read, and written as short as can be" {
    with_node ada {
        set shortest [framed \x00\x05hello]
        foreach hex {0005 004005 008000000005 00810000000000000005} {
            assert_equal OK [on ada restore k 0 [framed [from_hex $hex]hello] replace]
            assert_equal hello [on ada get k]
            assert_equal $shortest [on ada dump k]
        }
        # A number's text as text, and in each of its forms.
        foreach hex {000137 00c007 00c10700 00c207000000} {
            assert_equal OK [on ada restore k 0 [framed [from_hex $hex]] replace]
            assert_equal 7 [on ada get k]
            assert_equal [framed [from_hex 00c007]] [on ada dump k]
        }
    }
}

test "a length that cannot be is refused before anything is made for it" {
    with_node ada {
        # What the worker and this client need comes with their first request of that size.
        catch { on ada restore k 0 [framed \x00\x05hell] }
        set before [info_field ada used_memory]
        foreach hex {0081ffffffffffffffff 00817fffffffffffffff 0080ffffffff 0082 0083 00c300 00c381ffffffffffffffff01 00c30181ffffffffffffffff00 00c3018000ffffff00 00c30200e0ff} {
            catch { on ada restore k 0 [framed [from_hex $hex]] } message
            assert_equal "ERR Bad data format" $message $hex
        }
        assert {[info_field ada used_memory] < $before + 1000000}
        assert_equal 0 [on ada dbsize]
    }
}
