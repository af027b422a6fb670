/* utils/experiments/bulk.c: as many commands as one likes, in pipelines. */
#include "conn.h"
#include "experiment.h"
#include "task.h"

#define BULK_CONNECTIONS 8u
#define BULK_DEPTH 128u

struct share {
    const struct bulk *bulk;
    struct conn *conn;
    uint64_t *next;
};

static void run_share(void *context)
{
    const struct share *share = context;
    const struct bulk *bulk = share->bulk;
    struct awaited awaited[BULK_DEPTH];

    while (*share->next < bulk->count) {
        uint64_t first = *share->next, left = bulk->count - first, count = left < BULK_DEPTH ? left : BULK_DEPTH;

        *share->next += count;
        for (uint64_t i = 0; i < count; i++) bulk->ask_one(share->conn, &awaited[i], first + i);
        for (uint64_t i = 0; i < count; i++) {
            redisReply *reply = await(&awaited[i]);

            if (reply == NULL) die("the connection ended");
            if (bulk->got_one != NULL)
                bulk->got_one(first + i, reply);
            else if (reply->type == REDIS_REPLY_ERROR)
                die("%s", reply->str);
            freeReplyObject(reply);
        }
    }
}

void run_bulk(int port, const struct bulk *bulk)
{
    struct share shares[BULK_CONNECTIONS];
    uint64_t next = 0;

    for (unsigned i = 0; i < BULK_CONNECTIONS; i++) {
        shares[i] = (struct share){ .bulk = bulk, .conn = conn_open(port), .next = &next };
        task_start(run_share, &shares[i]);
    }
    tasks_run();
    for (unsigned i = 0; i < BULK_CONNECTIONS; i++) conn_close(&shares[i].conn);
}
