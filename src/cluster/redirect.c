/* cluster/redirect.c
 *
 * The order of the checks is what clients were written against; tests/unit/cluster/test_redirect.c has a row for each. */
#include "cluster/redirect.h"

enum redirect redirect_for(const struct redirect_facts *facts)
{
    bool here = facts->owner.state == OWNER_HERE;
    bool migrating = here && (facts->owner.flags & OWNER_MIGRATING) != 0;
    bool importing = !migrating && (facts->owner.flags & OWNER_IMPORTING) != 0;

    if (facts->owner.state == OWNER_NOBODY) return REDIRECT_UNOWNED;
    if (!facts->cluster_ok && !facts->channels_when_down) {
        if (!facts->reads_when_down) return REDIRECT_DOWN;
        if (facts->writes) return REDIRECT_DOWN_READONLY;
    }

    /* MIGRATE moves what is here, wherever the rest of the slot is by now. */
    if ((migrating || importing) && facts->migrates) return REDIRECT_NONE;

    /* A key that is not here any more is at the target already, or is to be born there. */
    if (migrating && facts->keys_missing > 0) return facts->keys_present > 0 ? REDIRECT_TRYAGAIN : REDIRECT_ASK;

    /* A key that is not here may be born here, as the source has said that it has none; if it was the source that said so. */
    if (importing && facts->asking)
        return (facts->several_keys || facts->of_hearsay) && facts->keys_missing > 0 ? REDIRECT_TRYAGAIN
                                                                                     : REDIRECT_NONE;

    return here ? REDIRECT_NONE : REDIRECT_MOVED;
}
