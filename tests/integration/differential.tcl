# The same commands to redis-server 7.0.15 and to us on one connection each, every reply compared byte by byte, in RESP2 and RESP3,
# with and without a cluster.
#
# What is meant to differ stands in differences.txt, each with its reason; nothing else may, and an entry that is not met any more
# fails the last test, so that the list stays true.
#     DIFFERENTIAL_SEED=n   the random part of an earlier run      DIFFERENTIAL_RANDOM=n   how many random cases (default 500)

source [file join [file dirname [info script]] differential_cases.tcl]

proc number_from_env {name default} {
    return [expr {[info exists ::env($name)] && $::env($name) ne "" ? $::env($name) : $default}]
}

set seed [number_from_env DIFFERENTIAL_SEED [expr {int(rand() * 1000000000)}]]
set random_count [number_from_env DIFFERENTIAL_RANDOM 500]
array set ::difference_seen {}
set ::runs 0

# {command-glob theirs-glob ours-glob reason}
proc read_differences {} {
    set out {}
    foreach line [split [read_file [file join $::root tests integration differences.txt]] \n] {
        if {[string trim $line] eq "" || [string index $line 0] eq "#"} continue
        set parts [lmap part [split $line |] { string trim $part }]
        if {[llength $parts] != 4} { error "differences.txt: not four parts: $line" }
        lappend out $parts
    }
    return $out
}

proc pick {list} { return [lindex $list [expr {int(rand() * [llength $list])}]] }

# A template with each of its classes' items drawn. (Not with expr's ?:, which would turn 0x10 into 16.)
proc draw {template} {
    return [lmap word $template { if {[info exists ::class($word)]} { pick $::class($word) } else { set word } }]
}

# What is sent for a word: text as UTF-8, or the bytes that it names.
proc bytes_of {word} {
    if {[regexp {^hex:([0-9a-f]*)$} $word - hex]} { return [binary decode hex $hex] }
    return [encoding convertto utf-8 $word]
}

# Every item of every class at its place once, the other places holding their classes' first items.
proc systematic_cases {} {
    set cases {}
    foreach template [concat $::templates $::templates_not_mutated] {
        set defaults [lmap word $template { if {[info exists ::class($word)]} { lindex $::class($word) 0 } else { set word } }]
        lappend cases $defaults
        for {set place 0} {$place < [llength $template]} {incr place} {
            set word [lindex $template $place]
            if {![info exists ::class($word)]} continue
            foreach item [lrange $::class($word) 1 end] { lappend cases [lreplace $defaults $place $place $item] }
        }
    }
    foreach set $::option_sets {
        lassign $set start options
        foreach a $options {
            lappend cases [concat $start $a]
            foreach b $options {
                lappend cases [concat $start $a $b]
                foreach c $options { if {rand() < 0.1} { lappend cases [concat $start $a $b $c] } }
            }
        }
    }
    return $cases
}

# Drawn at random; now and then a word is lost, or a strange one comes after the last.
proc random_case {} {
    set case [draw [pick $::templates]]
    if {rand() < 0.1 && [llength $case] > 1} { set at [expr {int(rand() * [llength $case])}]; set case [lreplace $case $at $at] }
    if {rand() < 0.1} { lappend case [pick $::edges] }
    return $case
}

# Every command that both have, with every number of arguments from none to seven.
proc arity_cases {} {
    set theirs [resp::do theirs command list]
    set out {}
    foreach name [lsort [resp::do ours command list]] {
        if {[string match *|* $name] || $name ni $theirs || $name in $::not_swept} continue
        for {set argc 0} {$argc <= 7} {incr argc} {
            lappend out [concat $name [lrange {k1 1 k2 2 n 3 f} 0 [expr {$argc - 1}]]]
            lappend out [concat $name [lrange {{} {} {} {} {} {} {}} 0 [expr {$argc - 1}]]]
        }
    }
    return $out
}

# Every subcommand that both have, with every number of arguments from none to four.
proc subcommand_cases {} {
    set out {}
    foreach name [lsort [resp::do ours command list]] {
        if {![regexp {^(.*)\|(.*)$} $name - container sub] || $name in $::subcommands_not_swept} continue
        if {$name ni [resp::do theirs command list]} continue
        for {set argc 0} {$argc <= 4} {incr argc} {
            lappend out [concat $container $sub [lrange {bogus k1 1 x} 0 [expr {$argc - 1}]]]
            lappend out [concat $container $sub [lrange {-1 {} {} {}} 0 [expr {$argc - 1}]]]
        }
    }
    return $out
}

# How every command describes itself. Not the containers, which list their subcommands: ours has fewer.
proc description_cases {} {
    set theirs [resp::do theirs command list]
    set out {}
    foreach name [lsort [resp::do ours command list]] {
        if {$name in $theirs && [lsearch -glob $theirs $name|*] < 0} { lappend out [list command info $name] }
    }
    return $out
}

proc is_kind_only {words} {
    set text [string tolower [join $words " "]]
    if {$text in $::kind_only_alone} { return 1 }
    foreach glob $::kind_only {
        if {[string match $glob $text] || [string match "$glob *" $text]} { return 1 }
    }
    return 0
}

# A reply as it is compared: its bytes, or only its kind where the rest tells of the process.
proc comparable {words raw reply} {
    lassign $reply type value
    if {$type eq "error"} { return $raw }
    if {[is_kind_only $words]} { return $type }
    if {[string tolower [lindex $words 0]] eq "keys"} { return [list $type [lsort $value]] }
    return $raw
}

# Deadlines are set and read at different moments: what the clock has moved in the time that the batch took is the same.
proc is_near {words theirs ours took_ms} {
    if {[string tolower [lindex $words 0]] ni {ttl pttl expiretime pexpiretime}} { return 0 }
    if {![regexp {^:([1-9]\d{0,18})\r\n$} $theirs - a] || ![regexp {^:([1-9]\d{0,18})\r\n$} $ours - b]} { return 0 }
    return [expr {abs($a - $b) <= ([string match -nocase p* [lindex $words 0]] ? 2000 + $took_ms : 1 + ($took_ms + 999) / 1000)}]
}

# A deadline so near that it passes on one node before it is looked at on both.
proc is_race {words} {
    set text [string tolower [join $words " "]]
    # The deadline of the state before: on one node the clock may have moved since.
    if {$text in {"expire exp 100 gt" "expire exp 100 lt"}} { return 1 }
    if {[regexp {(^(expire|setex) \S* |ex )(1|2|01)( |$)} $text]} { return 1 }
    return [regexp {(^(pexpire|psetex|restore|restore-asking) \S* |px )(1|2|10|100|1e2|01)( |$)} $text]
}

# What leaves a key whose deadline has passed already: redis-server counts it until it has come across it, at a time of its own.
proc leaves_expired {words} {
    return [regexp {^set .* (exat|pxat) } [string tolower [join $words " "]]]
}

# The bytes of a batch's replies, which end with that of the marker that was sent last.
proc batch_replies {name marker} {
    set end "\$[string length $marker]\r\n$marker\r\n"
    set length [string length $end]
    while {[string range $::resp::buf($name) end-[expr {$length - 1}] end] ne $end} { resp::fill $name }
    set bytes $::resp::buf($name)
    resp::rewind $name ""
    return $bytes
}

# Sends conversations (lists of commands) to both and compares; gives the number of replies. A batch is taken apart only where its
# bytes differ: parsing is the slow part.
proc compare {conversations} {
    set compared 0
    for {set from 0} {$from < [llength $conversations]} {incr from 20} {
        set part [lrange $conversations $from $from+19]
        set bytes ""
        foreach conversation $part {
            foreach words $conversation { append bytes [resp::encode {*}$words]; incr compared }
        }
        set marker "end of the batch that began with $from"
        append bytes [resp::encode echo $marker]
        set began [clock milliseconds]
        foreach name {theirs ours} { resp::write $name $bytes }
        foreach name {theirs ours} {
            if {[catch { set replies($name) [batch_replies $name $marker] } message]} {
                fail "$name: $message, after [resp::printable [resp::unread $name] 3000]\nin: [resp::printable $part 6000]"
            }
        }
        set took_ms [expr {[clock milliseconds] - $began}]
        if {$replies(theirs) eq $replies(ours)} continue
        foreach name {theirs ours} { resp::rewind $name $replies($name) }
        foreach conversation $part {
            foreach words $conversation {
                foreach name {theirs ours} {
                    set reply [resp::read $name]
                    # Behind a push (DEBUG PROTOCOL PUSH) comes the command's own reply.
                    if {[lindex $reply 0] eq "push"} { set reply [resp::read $name] }
                    set $name [comparable $words [resp::raw $name] $reply]
                }
                if {$theirs ne $ours && ![is_near $words $theirs $ours $took_ms]} { note_difference $words $theirs $ours $conversation }
            }
        }
        foreach name {theirs ours} { resp::rewind $name "" }
    }
    return $compared
}

# What comes next is read from these bytes.
proc resp::rewind {name bytes} {
    variable buf; variable pos; variable start
    set buf($name) $bytes
    set pos($name) 0
    set start($name) 0
}

proc note_difference {words theirs ours conversation} {
    set text [resp::printable [join $words " "]]
    set theirs [resp::printable $theirs]
    set ours [resp::printable $ours]
    set i -1
    foreach difference $::differences {
        incr i
        lassign $difference command_glob theirs_glob ours_glob
        if {[string match -nocase $command_glob $text] && [string match $theirs_glob $theirs] && [string match $ours_glob $ours]} {
            set ::difference_seen($i) 1
            return
        }
    }
    incr ::difference_count
    # One of a kind is shown.
    set kind [list [lrange $words 0 0] $theirs $ours]
    if {[info exists ::kinds_shown($kind)]} return
    set ::kinds_shown($kind) 1
    if {[llength $::difference_list] < 40} {
        set before [lrange $conversation [llength $::setup] [lsearch -exact $conversation $words]]
        set line "$text\n    theirs $theirs\n    ours   $ours"
        if {[llength $before] > 1} { append line "\n    in     [resp::printable $before 600]" }
        lappend ::difference_list $line
    }
}

# In cluster mode every key goes under one tag, so that commands of several keys are served.
proc tagged {words} {
    return [lmap word $words { if {$word in {k1 k2 n f long exp missing k a b e kk}} { string cat "{t}" $word } else { set word } }]
}

proc run_differential {options resp cluster} {
    if {[auto_execok redis-server] eq ""} { skip "redis-server is not installed" }
    set ::differences [read_differences]
    set ::difference_list {}
    set ::difference_count 0
    array unset ::kinds_shown
    # Without a cluster we have one database; so has the oracle.
    node_start theirs [dict merge [expr {$cluster ? {} : {databases 1}}] $options {enable-debug-command yes @binary redis-server}]
    node_start ours [dict merge $options {enable-debug-command yes}]
    foreach name {theirs ours} {
        connect $name $name
        if {$cluster} { resp::do $name cluster addslotsrange 0 16383 }
    }
    if {$cluster} {
        foreach name {theirs ours} { eventually { [field_of [resp::do $name cluster info] cluster_state] eq "ok" } }
    }
    set arities [concat [arity_cases] [subcommand_cases] [description_cases]]
    if {$resp == 3} {
        foreach name {theirs ours} { resp::hello3 $name }
    }
    expr {srand($::seed)}
    puts "          DIFFERENTIAL_SEED=$::seed"
    # What was read so far is still in the buffers.
    foreach name {theirs ours} { resp::rewind $name "" }
    set conversations {}
    foreach case [concat [systematic_cases] $arities] {
        if {[is_race $case]} continue
        lappend conversations [concat $::setup [list $case] $::observe]
    }
    for {set i 0} {$i < $::random_count} {incr i} {
        set conversation $::setup
        while {[llength $conversation] < 12} {
            set case [random_case]
            # A lost first word may leave SYNC, whose reply is a stream; two equal deadlines in a row are a race for GT and LT.
            if {![is_race $case] && ![leaves_expired $case] && [lindex $case 0] ne "sync" && [lindex $case end] ni {gt lt}} { lappend conversation $case }
        }
        lappend conversations [concat $conversation $::observe]
    }
    foreach stream $::streams { lappend conversations [concat $::setup $stream [list {discard}] $::observe] }
    if {$cluster} {
        # One conversation: a batch must not end inside a MULTI, where its marker would be queued.
        lappend conversations [concat {*}[lmap case $::cluster_cases { list $case {cluster countkeysinslot 0} }]]
    }
    set conversations [lmap conversation $conversations {
        lmap words $conversation {
            set words [lmap word $words { bytes_of $word }]
            # HELLO and RESET in the stream must not change the protocol under the comparison.
            if {[string tolower [lindex $words 0]] eq "hello" && [lindex $words 1] in {2 3}} { set words [lreplace $words 1 1 $resp] }
            if {[string tolower [lindex $words 0]] eq "reset" && [llength $words] == 1 && $resp == 3} { set words {client setname ""} }
            if {$cluster} { tagged $words } else { set words }
        }
    }]
    set compared [compare $conversations]
    puts "          [llength $conversations] cases, $compared replies compared, $::difference_count unlisted differences"
    incr ::runs
    if {$::difference_count > 0} {
        fail "$::difference_count replies differ (DIFFERENTIAL_SEED=$::seed):\n[join $::difference_list \n]"
    }
}

test "a node without a cluster answers as redis-server does, in RESP2" {
    run_differential {cluster-enabled no maxclients 1000} 2 0
}

test "a node without a cluster answers as redis-server does, in RESP3" {
    run_differential {cluster-enabled no maxclients 1000} 3 0
}

test "a node with every slot answers as redis-server does, in RESP2" {
    run_differential [dict merge $::cluster_options {maxclients 1000}] 2 1
}

test "a node with every slot answers as redis-server does, in RESP3" {
    run_differential [dict merge $::cluster_options {maxclients 1000}] 3 1
}

test "every difference that differences.txt lists still occurs" {
    if {$::runs < 4 || [server_is_redis]} { skip "only after the four comparisons with us" }
    set gone {}
    set i -1
    foreach difference $::differences {
        incr i
        if {![info exists ::difference_seen($i)]} { lappend gone [join $difference " | "] }
    }
    if {$gone ne {}} { fail "not met any more:\n[join $gone \n]" }
}
