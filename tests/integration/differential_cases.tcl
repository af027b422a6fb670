# differential_cases.tcl: what is asked of both servers.
#
# A template is a command whose words may be classes: @key, @int, @value... The generator puts every item of a class in its
# place once, the other places holding their first items, and then draws random ones. Lists of options are tried in every
# combination up to three.

# Numbers at every edge, and texts that look like numbers.
set ::edges [list 0 1 -1 2 10 100 -100 2147483647 2147483648 -2147483648 -2147483649 4294967295 4294967296 \
    9223372036854775807 9223372036854775806 -9223372036854775808 -9223372036854775807 9223372036854775808 -9223372036854775809 \
    18446744073709551615 18446744073709551616 99999999999999999999 9223372036854775 9223372036854776 \
    "" " " "1 " " 1" "+1" "01" "-0" "-" "1.0" "1e2" "1e400" "1e-400" nan NaN inf -inf infinity 0x10 0b1 abc "1\x00" "\x00" "1,5" "５"]

array set ::class {
    @key    {k1 k2 n f long exp missing ""}
    @value  {v "" 1 -5 9223372036854775807 3.5 "with space" "\r\n"}
    @word   {a "" bogus * get 1 "a b"}
    @float  {1 0.1 -2.5 1e10 1.5e-5 3.0 10000000000000000 123456789.123456789 1e17 0.00000000000000001 5e-324 1.7e308 -1.7e308 1e4000 99999999999999999999 .5 5. 1e 0x1p3 "1e5 " inf nan -0}
    @pattern {* k* ?1 [kn]* [^k]* [a-z]? \\k1 k[ [] k\\ "" **** *1* [z-a]1 k[1-} 
    @type   {string list STRING bogus ""}
}
set ::class(@int) $::edges
# Payloads of DUMP: of "hello", 128, 21 times "a" in compressed form, an empty string; then damaged, of a type there is none of, cut in its
# value (with a right sum), too short, and none.
set ::class(@payload) {
    hex:000568656c6c6f0a006372df766534200a hex:00c180000a00eb7ab3b510cf4b65 hex:00c30615016161e00a000a00fd0cb36807413f68 hex:00000a005d9b5c400f7fa2da
    hex:000568656c6c6f0a006372df766534200b hex:0568656c6c6f0a006372df76653420 hex:0a00 hex:0a005d9b5c400f7fa2da00 ""
}
set ::class(@float) [concat $::class(@float) $::edges]

# The state before every case: a text, another, a number, a float, a long text, one with a deadline.
set ::setup {
    {flushall}
    {mset k1 hello k2 "other value" n 10 f 3.25}
    {set long 0123456789012345678901234567890123456789012345678901234567890}
    {set exp gone ex 100}
}
# What is looked at after every case.
set ::observe {
    {mget k1 k2 n f long exp missing} {get ""}
    {ttl k1} {ttl exp} {object encoding k1} {object encoding n}
    {dbsize}
    {debug digest}
}

set ::templates {
    {get @key} {set @key @value} {setnx @key @value} {getset @key @value} {getdel @key} {strlen @key} {append @key @value}
    {setex @key @int @value} {psetex @key @int @value} {set k1 v ex @int} {set k1 v px @int} {set k1 v exat @int} {set k1 v pxat @int}
    {set exp @value keepttl} {set @key @value get} {set @key @value nx get} {set @key @value xx get}
    {getex @key} {getex @key ex @int} {getex @key px @int} {getex @key exat @int} {getex @key pxat @int} {getex exp persist} {getex k1 persist ex 10} {getex k1 bogus} {getex k1 ex}
    {getrange @key @int @int} {substr @key @int @int} {setrange @key 3 @value} {setrange k1 @int @value} {setrange missing @int ""}
    {incr @key} {decr @key} {incrby @key @int} {decrby @key @int} {incrbyfloat @key @float} {incrbyfloat f @float} {incrby n @int} {decrby n @int}
    {mget @key @key @key} {mset @key @value @key @value} {msetnx @key @value @key @value} {mset k1 a k1} {msetnx k1}
    {lcs @key @key} {lcs k1 k2 len} {lcs k1 k2 idx} {lcs k1 k2 idx minmatchlen @int} {lcs k1 k2 idx withmatchlen} {lcs k1 k2 len idx} {lcs k1 k2 bogus} {lcs k1 long idx minmatchlen 1 withmatchlen}
    {exists @key @key @key} {del @key @key} {unlink @key @key} {touch @key @key} {type @key} {persist @key}
    {rename @key @key} {renamenx @key @key} {copy @key @key} {copy @key @key replace} {copy k1 k1} {copy k1 k1 replace} {copy k1 k2 db 0} {copy k1 k2 db @int replace} {copy k1 k2 bogus}
    {expire @key @int} {pexpire @key @int} {expireat @key @int} {pexpireat @key @int} {expire exp @int gt} {expire exp @int lt}
    {ttl @key} {expiretime missing} {expiretime k1} {pexpiretime k2} {pttl missing} {pttl k1}
    {keys @pattern} {randomkey} {dbsize} {scan @int} {scan 0 match @pattern} {scan 0 count @int} {scan 0 type @type} {scan 0 bogus x} {scan 0 match} {scan @int count 10 match * type string}
    {object encoding @key} {object refcount missing} {object refcount k1} {object freq k1} {object idletime missing} {object help} {object bogus k1} {object encoding}
    {dump @key} {dump missing} {restore @key 0 @payload} {restore missing @int @payload} {restore missing @int @payload absttl} {restore k1 @int @payload absttl} {restore @key 0 @payload replace}
    {restore exp 1000000 @payload replace} {restore missing 0 @payload idletime @int} {restore missing 0 @payload freq @int} {restore missing 0 @payload replace absttl idletime 5}
    {restore missing @word @payload @word} {restore missing 0 @payload freq 1 idletime 1} {restore missing 0 @payload idletime 1 freq 1} {restore missing 0 @payload freq} {restore-asking missing @int @payload}
    {restore-asking @key 0 @payload replace}
    {migrate 127.0.0.1 1 @key 0 0} {migrate 127.0.0.1 1 @key 0 -1} {migrate 127.0.0.1 1 @key 0 100000} {migrate 127.0.0.1 1 missing @int @int} {migrate 127.0.0.1 1 @key @int 100 copy} {migrate 127.0.0.1 1 @key 0 100 @word} {migrate 127.0.0.1 @word @key 0 100 replace}
    {migrate 127.0.0.1 1 @key 0 100 keys @key} {migrate 127.0.0.1 1 "" 0 100 keys @key @key} {migrate 127.0.0.1 1 "" 0 100 keys missing} {migrate 127.0.0.1 1 "" 0 100 keys} {migrate 127.0.0.1 1 "" 0 100} {migrate 127.0.0.1 1 k1 0 100 keys}
    {migrate 127.0.0.1 1 @key 0 100 auth @word} {migrate 127.0.0.1 1 @key 0 100 auth} {migrate 127.0.0.1 1 @key 0 100 auth2 @word @word} {migrate 127.0.0.1 1 @key 0 100 auth2 @word} {migrate 127.0.0.1 1 "" 0 100 auth keys keys @key} {migrate 127.0.0.1 1 "" 0 100 auth2 keys keys copy keys @key}
    {migrate "" 1 @key 0 100} {migrate 127.0.0.1 1 @key x 100} {migrate 127.0.0.1 1 @key 0 x} {migrate 127.0.0.1 1 "" 0 100 copy replace auth @word keys @key @key}
    {function list} {function list @word} {function list longlonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglong} {function list withcode} {function list libraryname @word withcode} {function list libraryname} {function list withcode withcode} {function list libraryname a libraryname b} {function list libraryname a b}
    {function dump} {function dump x} {function stats} {function stats x} {function restore @payload} {function restore hex:0a005d9b5c400f7fa2da @word} {function restore hex:0a005d9b5c400f7fa2da replace} {function restore hex:0a005d9b5c400f7fa2da append x} {function restore x bogus}
    {module list} {module list x} {module} {module bogus} {module help x}
    {function flush} {function flush @word} {function flush sync} {function flush async} {function flush sync x} {function bogus}
    {flushall} {flushall async} {flushall sync} {flushall bogus} {flushdb} {flushdb async} {flushdb sync} {flushdb bogus} {flushall async sync}
    {echo @value} {ping} {ping @value} {select @int} {select 0}
    {config get nosuch} {config get} {config set} {config set a} {config set nosuch x} {config bogus} {config help} {config resetstat x}
    {client getname} {client setname @word} {client bogus} {client help} {client no-evict @word} {client no-evict on} {client no-evict off} {client id x}
   
    {client list type @word} {client list id @int} {client list bogus} {client unpause} {client unpause x}
    {client caching @word} {client getredir} {client trackinginfo}
    {slowlog len} {slowlog reset} {slowlog get @word} {slowlog bogus} {slowlog help} {slowlog get -2} {slowlog get 0}
    {command count x} {command getkeys get k} {command getkeys mset a 1 b 2} {command getkeys set} {command getkeys nosuch x} {command getkeys ping x} {command getkeys lcs a b} {command getkeys object encoding k}
    {command getkeys copy a b} {command getkeys rename a b} {command getkeys mget a b c} {command getkeys config get a} {command getkeysandflags get k} {command getkeysandflags mset a 1 b 2} {command getkeysandflags rename a b} {command getkeysandflags set k v}
    {command getkeys migrate h 1 k 0 100} {command getkeys migrate h 1 k 0 100 auth keys} {command getkeys migrate h 1 "" 0 100 auth2 keys keys keys a b} {command getkeys migrate h 1 "" 0 100 auth} {command getkeys migrate h 1 "" 0 100 keys} {command getkeys migrate h 1 k 0 100 keys a}
    {command getkeys migrate h 1 "" 0 100 copy replace keys a b} {command getkeysandflags migrate h 1 "" 0 100 keys a b} {command getkeysandflags migrate h 1 k 0 100}
    {command info nosuch} {command docs nosuch} {command bogus} {command help} {command list bogus} {command list filterby pattern zzz*} {command list filterby module x} {command list filterby aclcat bogus} {command list filterby bogus x}
    {latency bogus} {latency help} {latency latest} {latency history x} {latency reset} {latency reset x} {latency doctor x} {latency graph x}
    {memory bogus} {memory help} {memory usage missing} {memory usage k1 samples @word} {memory usage k1 bogus 1} {memory doctor x}
   
    {cluster bogus} {cluster help} {cluster info} {cluster nodes} {cluster keyslot @value} {cluster countkeysinslot @int} {asking} {readonly} {readwrite}
   
    {role x} {time x} {lastsave x} {info server x y nosuch} {quit2} {"" a} {nosuch a b c d} {GET k1} {gEt k1} {get} {get k1 k2}
    {exec x} {discard x} {watch} {unwatch x} {acl bogus} {acl whoami} {acl cat bogus} {acl cat categorycategorycategorycategorycategorycategorycategorycategorycategorycategorycategorycategorycategorycategorycategorycategorycategorycategorycategorycategory} {acl whoami x} {acl help}
}

# The same, but never with a word lost or added: that would end, block or change the process or the connection.
set ::templates_not_mutated {
    {client kill @word} {client kill id @int} {client kill addr @word} {client kill type @word} {client kill bogus x} {client kill id 1 skipme @word} {client kill user @word} {client kill laddr 1.2.3.4:5} {client kill id}
    {client pause @int bogus} {client pause @word}
    {client reply @word x}
    {client unblock @int} {client unblock 1 @word}
    {client tracking @word}
    {shutdown bogus} {shutdown nosave save} {shutdown nosave abort} {shutdown now bogus} {replicaof} {replicaof a} {slaveof a b c} {replicaof localhost x} {failover bogus}
    {monitor x}
    {subscribe} {psubscribe} {ssubscribe} {unsubscribe} {unsubscribe @word} {punsubscribe} {punsubscribe @word} {sunsubscribe} {sunsubscribe @key} {publish @word @word} {publish a} {publish a b c}
    {spublish @key @word} {spublish @key} {pubsub} {pubsub channels} {pubsub channels @word} {pubsub channels a b} {pubsub numsub} {pubsub numsub @word @word} {pubsub numpat} {pubsub numpat x}
    {pubsub shardchannels} {pubsub shardchannels @word} {pubsub shardnumsub} {pubsub shardnumsub @word} {pubsub @word}
    {acl getuser nobody} {acl getuser default} {acl setuser} {acl setuser default} {acl setuser default on} {acl setuser default nopass} {acl setuser default allkeys ~* &* +@all sanitize-payload}
    {acl deluser default} {acl deluser nobody} {acl deluser} {acl save} {acl load} {acl log} {acl log reset} {acl log x} {acl log -1} {acl log 1 2} {acl genpass} {acl genpass 5} {acl genpass 0} {acl genpass 4097} {acl genpass x} {acl genpass 1 2}
    {acl dryrun default get k} {acl dryrun default get} {acl dryrun default nosuch} {acl dryrun nobody get k} {acl dryrun default} {acl dryrun default client kill x} {acl dryrun default client bogus}
    {replconf} {replconf capa} {replconf foo bar} {replconf capa eof capa psync2} {replconf listening-port x} {replconf rdb-only x} {replconf rdb-only 2}
    {replconf rdb-only 1 rdb-only 0} {replconf rdb-filter-only keys} {replconf rdb-filter-only ""} {replconf ip-address 1.2.3.4 version 7.0.0}
    {psync} {psync ?} {psync ? x} {sync x}
    {debug digest x} {debug digest-value} {debug digest-value k1 n missing f} {debug populate 3} {debug populate 3 p 10} {debug populate 2 k} {debug populate -1} {debug populate x} {debug populate}
    {debug protocol string} {debug protocol integer} {debug protocol double} {debug protocol bignum} {debug protocol null} {debug protocol array} {debug protocol set} {debug protocol map}
    {debug protocol push} {debug protocol verbatim} {debug protocol true} {debug protocol false} {debug protocol bogus} {debug protocol} {debug quicklist-packed-threshold 10b} {debug quicklist-packed-threshold x}
    {debug} {debug bogus} {debug sleep}
    {reset x}
    {auth x} {auth default x} {auth a b c} {auth nobody x} {hello @int} {hello x y} {hello 2 bogus} {hello 2 setname} {hello 2 setname "a b"} {hello 2 auth a} {hello 2 auth a b}
    {swapdb @int @int}
    {multi x}
    {wait 0 0} {wait @int} {wait 0 0 0} {wait x 0} {wait 0 x} {wait 0 -1} {wait -1 0} {wait 1 1} {wait 99999999999999999999 0}
    {config set slowlog-log-slower-than @int} {config set slowlog-max-len @int} {config set slowlog-max-len 128} {config set slowlog-log-slower-than 10000}
    {config set appendonly bogus} {config set appendonly no} {config set lazyfree-lazy-user-flush @word} {config set loglevel @word} {config set loglevel notice} {config set hz @word}
    {config set maxmemory abc} {config set maxmemory ""} {config set maxmemory -1} {config set maxmemory 0} {config set maxmemory-policy @word} {config set hz 10 hz 10} {config set hz 10 nosuch 1} {config set hz 10 loglevel}
    {config set maxclients 0} {config set maxclients -1} {config set maxclients abc} {config set maxclients ""} {config set tcp-keepalive @word} {config set databases 4} {config set cluster-enabled yes} {config set cluster-node-timeout abc}
    {config set timeout -1} {config set timeout abc} {config set list-max-listpack-size abc} {config set proto-max-bulk-len 1} {config set client-output-buffer-limit @word} {config set client-output-buffer-limit "normal 1"} {config set client-output-buffer-limit "bogus 0 0 0"}
    {config set save bogus} {config set save "1"} {config set save "x y"} {config set requirepass ""} {config set maxmemory-samples 0} {config set dir @word} {config set latency-tracking-info-percentiles @word} {config set latency-tracking-info-percentiles "50 99 99.9"}
    {config set proc-title-template "\{x"} {config set oom-score-adj-values @word} {config set notify-keyspace-events @word} {config set cluster-announce-ip " a"} {config set cluster-announce-hostname "a b"} {config set cluster-preferred-endpoint-type @word}
}

# CLUSTER with arguments that change nothing, on a node that owns every slot; or that change and change back.
set ::cluster_cases {
    {cluster addslots} {cluster addslots 0} {cluster addslots -1} {cluster addslots 16384} {cluster addslots abc} {cluster addslots ""} {cluster addslots 1 1} {cluster addslots 99999999999999999999}
    {cluster addslotsrange} {cluster addslotsrange 0} {cluster addslotsrange 0 1} {cluster addslotsrange 1 0} {cluster addslotsrange 0 1 2} {cluster addslotsrange -1 5} {cluster addslotsrange 0 16384} {cluster addslotsrange a b} {cluster addslotsrange 0 5 3 4}
    {cluster delslots} {cluster delslots -1} {cluster delslots 16384} {cluster delslots x} {cluster delslots 5 5} {cluster delslots 5 x} {cluster delslots 5 99999}
    {cluster delslotsrange} {cluster delslotsrange 1} {cluster delslotsrange 5 4} {cluster delslotsrange 0 16384} {cluster delslotsrange 1 2 3} {cluster delslotsrange 3 4 4 5} {cluster delslotsrange a 5}
    {cluster delslots 77} {cluster delslots 77} {cluster addslots 76 77} {cluster countkeysinslot 77} {cluster addslots 77} {cluster delslotsrange 100 200} {cluster delslotsrange 150 250} {cluster addslotsrange 90 110} {cluster addslotsrange 100 200}
    {cluster setslot} {cluster setslot 0} {cluster setslot x stable} {cluster setslot -1 stable} {cluster setslot 16384 stable} {cluster setslot 0 stable} {cluster setslot 0 STABLE x} {cluster setslot 0 bogus} {cluster setslot 0 bogus x}
    {cluster setslot 0 node} {cluster setslot 0 node x} {cluster setslot 0 migrating} {cluster setslot 0 migrating x} {cluster setslot 0 importing} {cluster setslot 0 importing x} {cluster setslot 0 node 0123456789012345678901234567890123456789}
    {cluster setslot 0 migrating 0123456789012345678901234567890123456789} {cluster setslot 0 importing 0123456789012345678901234567890123456789} {cluster setslot x node y}
    {cluster meet} {cluster meet a} {cluster meet a 1} {cluster meet 127.0.0.1 x} {cluster meet 127.0.0.1 0} {cluster meet 127.0.0.1 -1} {cluster meet 127.0.0.1 65536} {cluster meet 127.0.0.1 1 x} {cluster meet 127.0.0.1 1 70000} {cluster meet 127.0.0.1 1 2 3} {cluster meet 127.0.0.1 60000} {cluster meet "" 1} {cluster meet 300.1.1.1 1}
    {cluster forget} {cluster forget x} {cluster replicas longlonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglong} {cluster meet 127.0.0.1 longlonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglong} {cluster forget 0123456789012345678901234567890123456789} {cluster forget x y}
    {cluster replicate} {cluster replicate x} {cluster replicate 0123456789012345678901234567890123456789} {cluster replicate x y}
    {cluster replicas x} {cluster slaves x} {cluster replicas} {cluster replicas 0123456789012345678901234567890123456789} {cluster count-failure-reports x} {cluster count-failure-reports} {cluster count-failure-reports 0123456789012345678901234567890123456789}
    {cluster failover bogus} {cluster failover} {cluster failover force} {cluster failover takeover} {cluster failover force x}
    {cluster set-config-epoch} {cluster set-config-epoch x} {cluster set-config-epoch -1} {cluster set-config-epoch ""} {cluster set-config-epoch 1 2} {cluster set-config-epoch 99999999999999999999}
    {cluster reset bogus} {cluster reset hard x} {cluster reset soft x} {cluster flushslots x} {cluster bumpepoch x} {cluster saveconfig x} {cluster saveconfig} {cluster myid x} {cluster links x} {cluster slots x} {cluster shards x} {cluster nodes x} {cluster info x}
    {cluster keyslot} {cluster keyslot a b} {cluster keyslot "{a}b"} {cluster keyslot "{}a"} {cluster keyslot "a\{"} {cluster keyslot "{{a}}"} {cluster keyslot "a{b}{c}"} {cluster keyslot "\}\{x"} {cluster keyslot "\{x"} {cluster keyslot ""}
    {cluster countkeysinslot} {cluster countkeysinslot x} {cluster countkeysinslot -1} {cluster countkeysinslot 16384} {cluster countkeysinslot 0 1} {cluster countkeysinslot ""} {cluster countkeysinslot 99999999999999999999}
    {cluster getkeysinslot} {cluster getkeysinslot 0} {cluster getkeysinslot 0 x} {cluster getkeysinslot 0 -1} {cluster getkeysinslot -1 1} {cluster getkeysinslot 16384 1} {cluster getkeysinslot 0 0} {cluster getkeysinslot 0 1 2} {cluster getkeysinslot x y} {cluster getkeysinslot 0 99999999999999999999} {cluster getkeysinslot 0 2147483648}
    {flushall} {set foo 1} {set bar 2} {mget foo bar} {mset foo 1 bar 2} {del foo bar} {exists foo foo} {rename foo bar} {copy foo bar} {lcs foo bar} {msetnx foo 1 bar 2} {multi} {get foo} {get bar} {exec} {multi} {mget foo bar} {exec} {watch foo bar}
    {cluster getkeysinslot 12182 10} {cluster countkeysinslot 12182} {cluster setslot 12182 stable} {asking x} {asking} {readonly x} {readonly} {readwrite} {cluster replicaof x} {select 1} {select 0} {select -1} {swapdb 0 1} {copy foo foo db 1} {copy "{t}a" "{t}b" db 1} {move foo 1} {move foo 0} {replicaof no one} {slaveof no one} {flushall}
}

# {command of the start} {options} {words of the end}: every combination of up to three options.
set ::option_sets {
    {{set k1 v} {nx xx get keepttl {ex 100} {px 100000} {exat 9999999999} {pxat 9999999999999} {ex 0} {px -1} {ex abc} ex bogus NX Get}}
    {{set missing v} {nx xx get keepttl {ex 100} {px 100000}}}
    {{set exp v} {nx xx get keepttl {ex 50}}}
    {{getex k1} {persist {ex 100} {px 100000} {exat 9999999999} {pxat 9999999999999} {ex 0} ex bogus PERSIST}}
    {{getex missing} {persist {ex 100} bogus}}
    {{expire k1 100} {nx xx gt lt NX bogus}}
    {{expire exp 50} {nx xx gt lt}}
    {{expire exp 500} {nx xx gt lt}}
    {{pexpire exp 50000} {nx xx gt lt}}
    {{expireat exp 1} {nx xx gt lt}}
    {{pexpireat missing 1} {nx xx gt lt bogus}}
    {{copy k1 k2} {replace {db 0} {db 1} {db x} db bogus}}
    {{lcs k1 k2} {len idx withmatchlen {minmatchlen 2} minmatchlen bogus}}
    {{scan 0} {{match k*} {count 1000} {type string} {count x} match bogus}}
    {{flushall} {async sync bogus}}
}

# Whole conversations, compared reply by reply.
set ::streams {
    {{multi} {set k1 a} {get k1} {exec} {get k1}}
    {{multi} {multi} {exec}}
    {{multi} {get k1} {ssubscribe s1} {exec}}
    {{exec} {discard} {unwatch}}
    {{multi} {get} {set k1 x} {exec} {get k1}}
    {{multi} {nosuch} {exec}}
    {{multi} {incr k1} {incr n} {set k1 z} {exec} {mget k1 n}}
    {{multi} {discard} {exec}}
    {{watch k1} {multi} {set k1 y} {exec}}
    {{watch k1} {set k1 q} {multi} {get k1} {exec}}
    {{watch k1} {set k1 q} {unwatch} {multi} {get k1} {exec}}
    {{watch missing} {set missing 1} {multi} {ping} {exec}}
    {{watch missing} {del missing} {multi} {ping} {exec}}
    {{watch k1} {expire k1 100} {multi} {ping} {exec}}
    {{watch k1} {persist k1} {multi} {ping} {exec}}
    {{watch exp} {persist exp} {multi} {ping} {exec}}
    {{watch k1} {flushall} {multi} {ping} {exec}}
    {{watch missing} {flushall} {multi} {ping} {exec}}
    {{watch k1} {getex k1} {multi} {ping} {exec}}
    {{watch k1} {getrange k1 0 1} {append k1 ""} {multi} {ping} {exec}}
    {{watch k1} {setrange k1 0 ""} {multi} {ping} {exec}}
    {{watch k2} {rename k1 k2} {multi} {ping} {exec}}
    {{watch k1} {touch k1} {multi} {ping} {exec}}
    {{watch k1} {set k1 v nx} {multi} {ping} {exec}}
    {{watch k1} {multi} {watch k2} {get k1} {exec}}
    {{multi} {config get nosuch} {client getname} {ping} {echo a} {exec}}
    {{multi} {flushall} {dbsize} {exec} {dbsize}}
    {{multi} {select 0} {get k1} {exec}}
    {{multi} {auth x} {exec}}
    {{multi} {quit2} {exec}}
    {{multi} {exec x} {exec}}
    {{multi} {discard x} {exec}}
    {{multi} {command count x} {exec}}
    {{multi} {object bogus x} {exec}}
    {{multi} {client bogus} {exec}}
    {{multi} {hello 4} {exec}}
    {{multi} {exec}}
    {{multi} {shutdown bogus} {exec}}
    {{multi} {client reply off x} {exec}}
    {{multi} {wait 0 0} {exec}}
    {{append long x} {object encoding long} {append missing short} {object encoding missing} {append missing x} {object encoding missing}}
    {{set k 1} {object encoding k} {incr k} {object encoding k} {append k 1} {object encoding k} {incr k} {object encoding k}}
    {{set k 1} {setrange k 0 2} {object encoding k} {get k} {incrbyfloat k 1} {object encoding k}}
    {{set k abc} {rename k kk} {object encoding kk} {copy kk k} {object encoding k}}
    {{set k 9223372036854775807} {object encoding k} {set k 9223372036854775808} {object encoding k} {set k 010} {object encoding k} {set k -0} {object encoding k} {set k ""} {object encoding k}}
    {{expire k1 100} {rename k1 k2} {ttl k2} {copy k2 k1} {ttl k1} {set k1 x} {ttl k1} {ttl k2}}
    {{expire k1 100} {incrby k1 1} {append k1 x} {setrange k1 0 y} {ttl k1} {getset k1 z} {ttl k1}}
    {{pexpireat k1 1} {exists k1} {set k1 v} {expireat k1 0} {exists k1} {set k1 v} {expire k1 -1} {exists k1} {dbsize}}
    {{client setname abc} {client getname} {reset} {client getname}}
    {{client reply bogus} {client reply on} {client reply}}
    {{set k1 1} {object refcount k1} {set "" v} {keys *} {keys ****} {keys ""}}
    {{set "" empty} {get ""} {rename "" e} {get e} {exists ""}}
    {{mset a 1 b 2 a 3} {get a} {mget a a b} {exists a a b} {touch a a} {unlink a a b}}
    {{msetnx a 1 a 2} {get a} {msetnx b 1 a 2} {exists b}}
    {{incrbyfloat f 1e-17} {incrbyfloat f 1e17} {incrbyfloat f -1e17} {get f}}
    {{set f 1.0} {incrbyfloat f 0} {set f 1e3} {incrbyfloat f 1} {set f " 1"} {incrbyfloat f 1} {set f "1 "} {incrbyfloat f 1} {set f 0x1} {incrbyfloat f 1}}
}

# Where replies tell of the process and not of the commands: only the kind of reply is compared, and errors whole.
set ::kind_only {scan time lastsave info {client id} {client list} {client info} {object idletime} {object freq} {memory *} {command docs}
    {command list} {command count} {slowlog get} {slowlog len} {latency *} {hello*} {* help} {client trackinginfo} {randomkey} {role} {config get*} {cluster info} {cluster nodes} {cluster myid} {cluster links} {cluster slots} {cluster shards} {acl *} {client kill *}}

# The same, but only for these words alone: with names after them the replies are compared.
set ::kind_only_alone {command {command info}}

# Never sent in the sweep over the numbers of arguments: they end, block or change the connection or the process.
set ::not_swept {subscribe psubscribe ssubscribe unsubscribe punsubscribe sunsubscribe shutdown monitor debug failover replicaof slaveof sync psync quit reset hello client wait swapdb select multi exec config acl auth cluster slowlog latency info command memory}

# Subcommands that end, block or change the process, the cluster or the connection.
set ::subcommands_not_swept {acl|setuser client|reply client|pause client|kill client|tracking client|unblock cluster|reset cluster|flushslots cluster|failover cluster|meet
    cluster|addslots cluster|delslots cluster|addslotsrange cluster|delslotsrange cluster|bumpepoch cluster|set-config-epoch cluster|replicate config|rewrite}
