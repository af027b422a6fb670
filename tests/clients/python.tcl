# redis-py as Debian ships it, through a cluster and against a lone node.

source [file join [file dirname [info script]] clients_cases.tcl]
set ::clients_name redis-py
set python [list /usr/bin/python3 [file join $::clients_dir checks.py]]
set more {"puts a pipeline of all slots together" "reads and writes a key under any of its names"}

with_dev_cluster { client_on_cluster redis-py $::python $::more }
client_on_solo_node redis-py $python $more
