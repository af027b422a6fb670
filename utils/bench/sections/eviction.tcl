section "Eviction" { run_script utils/bench/eviction }
