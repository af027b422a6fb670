# What COMMAND says of every command that redis-server 7.0.15 has too: clients, proxies and redis-cli's hints are built from it.
#
# Texts (summary, complexity, the sentences of a history, notes) are ours; that there is one, and everything else, must agree. What is
# meant to differ is listed here, with its reason; an entry that is not met any more fails.

set ::meant {
    {config|set flags}              {passwords stay out of MONITOR and SLOWLOG}
    {set arguments/condition/*}     {IFEQ}
    {set arguments/version *}       {VER}
    {set arguments/token *}         {TOKEN}
    {set arguments/fresh-*}         {FRESH}
    {restore* arguments/version *}  {VER}
    {restore* arguments/birth-*}    {BIRTH}
    {restore* arguments/fresh-*}    {FRESH}
}

proc start_both {} {
    if {[auto_execok redis-server] eq ""} { skip "redis-server is not installed" }
    node_start theirs {@binary redis-server}
    node_start ours {}
    foreach name {theirs ours} { connect $name $name }
    set ::meant_seen {}
    set ::differences {}
}

proc differ {what theirs ours} {
    foreach {glob reason} $::meant {
        if {[string match $glob $what]} { dict set ::meant_seen $glob 1; return }
    }
    lappend ::differences "$what\n    theirs $theirs\n    ours   $ours"
}

proc expect_same {what theirs ours} {
    if {$theirs ne $ours} { differ $what $theirs $ours }
}

proc report {} {
    if {$::differences ne {}} { fail "[llength $::differences] differences:\n[join $::differences \n]" }
}

# The commands of both, subcommands too.
proc common_commands {} {
    set theirs [resp::do theirs command list]
    return [lsort [lmap name [resp::do ours command list] { if {$name ni $theirs} continue; set name }]]
}

proc is_after_7_0 {version} { return [expr {[package vcompare $version 7.1] >= 0}] }

# An argument and those inside it as "path key value" triples.
proc flatten_argument {path argument} {
    set path $path/[dict get $argument name]
    set out {}
    dict for {key value} $argument {
        if {$key eq "arguments"} {
            foreach inner $value { lappend out {*}[flatten_argument $path $inner] }
        } elseif {$key eq "flags"} {
            lappend out [list $path $key [lsort $value]]
        } else {
            lappend out [list $path $key $value]
        }
    }
    return $out
}

proc compare_docs {name theirs ours} {
    foreach key {since group doc_flags deprecated_since replaced_by module} {
        foreach side {theirs ours} { set shown($side) [expr {[dict exists [set $side] $key] ? [dict get [set $side] $key] : "none"}] }
        expect_same "$name $key" $shown(theirs) $shown(ours)
    }
    foreach key {summary complexity} {
        expect_same "$name has $key" [dict exists $theirs $key] [dict exists $ours $key]
    }
    foreach side {theirs ours} {
        set versions($side) {}
        set arguments($side) {}
        if {[dict exists [set $side] history]} {
            foreach change [dict get [set $side] history] {
                if {![is_after_7_0 [lindex $change 0]]} { lappend versions($side) [lindex $change 0] }
            }
        }
        if {[dict exists [set $side] arguments]} {
            foreach argument [dict get [set $side] arguments] { lappend arguments($side) {*}[flatten_argument "" $argument] }
        }
    }
    expect_same "$name history" [lsort $versions(theirs)] [lsort $versions(ours)]
    # Ours may have more, which is then meant.
    foreach side {theirs ours} other {ours theirs} {
        foreach fact $arguments($side) {
            if {$fact in $arguments($other)} continue
            lassign $fact path key value
            if {$side eq "theirs"} { differ "$name arguments$path $key" $value "none or other" } else { differ "$name arguments$path $key" "none or other" $value }
        }
    }
    # The order matters too: it is how arguments are typed.
    set common [lmap fact $arguments(theirs) { if {$fact ni $arguments(ours)} continue; set fact }]
    expect_same "$name order of arguments" $common [lmap fact $arguments(ours) { if {$fact ni $common} continue; set fact }]
}

test "COMMAND DOCS documents commands as redis-server does" {
    start_both
    foreach name [common_commands] {
        set theirs [lindex [resp::do theirs command docs $name] 1]
        set ours [lindex [resp::do ours command docs $name] 1]
        compare_docs $name $theirs $ours
    }
    report
    if {![dict exists $::meant_seen {set arguments/condition/*}]} { fail "SET's condition does not differ any more" }
}

test "COMMAND DOCS nests the documentation of subcommands, and replies in RESP3 as in RESP2" {
    start_both
    foreach name [common_commands] {
        if {[string first | $name] >= 0} continue
        set docs [lindex [resp::do ours command docs $name] 1]
        if {![dict exists $docs subcommands]} continue
        dict for {sub inner} [dict get $docs subcommands] {
            assert_equal [lindex [resp::do ours command docs $sub] 1] $inner
        }
    }
    # What is a map, a set or an array in RESP3.
    foreach name {getset set client|kill config|get debug object|encoding} {
        foreach side {theirs ours} {
            connect three $side
            resp::hello3 three
            resp::do three command docs $name
            resp::ask three command docs $name
            set shape($side) [regsub -all {\$\d+\r\n[^\r]*\r\n} [resp::raw three] ""]
            resp::close three
        }
        if {$name ne "set"} { expect_same "$name in RESP3" $shape(theirs) $shape(ours) }
    }
    report
}

# COMMAND INFO's ten fields; of the key specs all but the notes.
proc compare_info {name theirs ours} {
    foreach field {name arity flags first last step categories tips} t [lrange $theirs 0 7] o [lrange $ours 0 7] {
        if {$field in {flags categories}} { set t [lsort $t]; set o [lsort $o] }
        expect_same "$name $field" $t $o
    }
    set theirs_specs [lmap spec [lindex $theirs 8] { dict remove $spec notes }]
    set ours_specs [lmap spec [lindex $ours 8] { dict remove $spec notes }]
    expect_same "$name key specs" $theirs_specs $ours_specs
    foreach t [lindex $theirs 8] o [lindex $ours 8] { expect_same "$name has notes" [dict exists $t notes] [dict exists $o notes] }
}

test "COMMAND INFO describes commands as redis-server does" {
    start_both
    foreach name [common_commands] {
        compare_info $name [lindex [resp::do theirs command info $name] 0] [lindex [resp::do ours command info $name] 0]
    }
    report
    if {![dict exists $::meant_seen {config|set flags}]} {
        fail "CONFIG SET's flags do not differ any more"
    }
}

test "COMMAND LIST FILTERBY picks the commands that redis-server picks" {
    start_both
    set common [common_commands]
    set filters {{module x} {module *} {pattern *} {pattern get*} {pattern GET*} {pattern client|*} {pattern *|help} {pattern [gs]et} {pattern ""} {aclcat nosuch}}
    foreach category [resp::do theirs acl cat] { lappend filters [list aclcat $category] [list ACLCAT [string toupper $category]] }
    foreach filter $filters {
        foreach side {theirs ours} {
            set picked($side) [lsort [lmap name [resp::do $side command list filterby {*}$filter] { if {$name ni $common} continue; set name }]]
        }
        expect_same "filterby $filter" $picked(theirs) $picked(ours)
    }
    foreach category [resp::do theirs acl cat] {
        foreach side {theirs ours} {
            set picked($side) [lsort [lmap name [resp::do $side acl cat $category] { if {$name ni $common} continue; set name }]]
        }
        expect_same "acl cat $category" $picked(theirs) $picked(ours)
    }
    report
}

test "COMMAND GETKEYS names the keys that redis-server names" {
    start_both
    set words {k1 v1 k2 v2 k3 v3}
    foreach name [common_commands] {
        set line [split $name |]
        for {set argc 0} {$argc <= 6} {incr argc} {
            foreach how {getkeys getkeysandflags} {
                foreach side {theirs ours} {
                    if {[catch { resp::do $side command $how {*}$line {*}[lrange $words 0 $argc-1] } reply]} { set reply "error $reply" }
                    set got($side) $reply
                }
                expect_same "$how $line ($argc)" $got(theirs) $got(ours)
            }
        }
    }
    foreach line {{set k v get} {set k v ex 10} {set k v nx get} {getex k ex 10} {lcs a b idx} {copy a b replace} {memory usage k samples 5} {object encoding k}} {
        foreach how {getkeys getkeysandflags} {
            expect_same "$how $line" [resp::do theirs command $how {*}$line] [resp::do ours command $how {*}$line]
        }
    }
    report
}
