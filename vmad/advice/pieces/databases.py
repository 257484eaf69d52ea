# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Database servers: a thread with a stack for each connection, files."""

from __future__ import annotations

from vmad.advice.pattern import Pattern as P
from vmad.advice.record import Advice, Documented, Measured, Whose
from vmad.model.program import Program

PIECES = (
    Advice(
        name="mariadb-pool",
        text="Set thread_handling=pool-of-threads: connections share some threads in place of one "
        "thread with two VMAs each.",
        whose=Whose.OPERATOR,
        programs=(Program.MARIADB,),
        patterns=(P.THREAD_GUARDS,),
        proof=Measured(
            1188, 192, "500 connections, MariaDB 10.11", ("mariadb-500", "mariadb-500-pool")
        ),
        cost="Long queries may hold up short ones.",
        check="Threads: in /proc/PID/status and the count fall together.",
        source="MariaDB documentation, thread pool",
    ),
    Advice(
        name="mysql-connections",
        text="Put a pool of connections before it (ProxySQL, or one in the clients) and lower "
        "max_connections: every connection has a thread with two mappings, and the community's "
        "server has no pool of threads.",
        whose=Whose.OPERATOR,
        programs=(Program.MYSQL,),
        patterns=(P.THREAD_GUARDS,),
        proof=Documented(0.9, "MariaDB with 500 connections: 1,188 VMAs, 170 without any"),
        cost="Clients beyond the bound wait, or are refused.",
        check="Threads: in /proc/PID/status and the count fall together.",
        source="MySQL manual, Connection Interfaces; docs/atlas.md",
    ),
    Advice(
        name="mongodb-connections",
        text="Keep net.maxIncomingConnections below half the limit: every connection has a thread "
        "with two mappings.",
        whose=Whose.OPERATOR,
        programs=(Program.MONGODB,),
        patterns=(P.THREAD_GUARDS, P.COROUTINE_GUARDS),
        proof=Documented(0.9),
        cost="Further clients are refused.",
        check="The count follows the number of connections.",
        source="docker-library/mongo #575; containers/podman #22857",
    ),
    Advice(
        name="clickhouse-guards",
        text="Use a release of ClickHouse with guard regions for its stacks (kernel 6.13 and "
        "later), and bound max_thread_pool_size.",
        whose=Whose.OPERATOR,
        programs=(Program.CLICKHOUSE,),
        patterns=(P.THREAD_GUARDS, P.COROUTINE_GUARDS),
        proof=Documented(0.9),
        cost="Another release.",
        check="No-access VMAs become fewer.",
        source="ClickHouse #43864, PR #79147, PR #109734",
    ),
    Advice(
        name="lmdb-environments",
        text="Open fewer LMDB environments, with several databases in each: every environment is "
        "three mappings.",
        whose=Whose.PROGRAMMER,
        programs=(Program.LMDB,),
        patterns=(P.MANY_OBJECTS,),
        proof=Documented(0.9, "2,000 environments are 6,088 VMAs"),
        cost="Their files have to be written anew.",
        check="VMAs of kind file become fewer.",
        source="LMDB mdb_env_set_maxdbs; docs/atlas.md",
    ),
)
