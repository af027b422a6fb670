section "Slots on the move" { run_script utils/bench/moves }
