section "Expiry" { run_script utils/bench/expiry }
