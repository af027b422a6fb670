/* tests/support/slow_names.c
 *
 * Loaded into a server by LD_PRELOAD, it is a name service that has the names *.slow, all of them this machine's, and says so only when there is
 * a file $SLOW_NAMES_FILE. */
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int resolver(const char *host, const char *service, const struct addrinfo *wanted, struct addrinfo **found);

int getaddrinfo(const char *host, const char *service, const struct addrinfo *wanted, struct addrinfo **found)
{
    resolver *system_resolver = (resolver *)dlsym(RTLD_NEXT, "getaddrinfo");
    const char *end = host ? strrchr(host, '.') : NULL;

    if (!end || strcmp(end, ".slow") != 0 || (wanted && wanted->ai_flags & AI_NUMERICHOST))
        return system_resolver(host, service, wanted, found);
    while (access(getenv("SLOW_NAMES_FILE"), F_OK) != 0) usleep(10000);
    return system_resolver("127.0.0.1", service, wanted, found);
}
