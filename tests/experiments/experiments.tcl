# Stampedes, expiry, policies, hot keys.

source [file join [file dirname [info script]] run_cases.tcl]

test "a thousand misses are one load, also when the loader is killed" { experiment stampede }
test "so are those of clients that know GET and SET only" { experiment coalesce }
test "a popular key is refreshed by one of its readers" { experiment refresh }
test "keys that were set at once do not end at once" { experiment jitter }
test "under a policy no key is without a deadline or beyond its value's life" { experiment backstop }
test "a policy reaches the keys that were there before it" { experiment sweep }
test "hot keys are found, by operations, bytes and CPU time" { experiment hot }
test "one hot key is read without its lock" { experiment hotread }

test "an experiment nobody has described is refused" {
    assert { [catch { exec [file join $::root build/experiments/experiments] nosuch 2>@1 } output] }
    assert_match "there is no experiment 'nosuch'; there are: staleness *" $output
}
