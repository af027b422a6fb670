section "Big values" { run_script utils/bench/big_values }
