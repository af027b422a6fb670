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
