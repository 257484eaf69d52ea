# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The Java virtual machine and what runs in it."""

from __future__ import annotations

from vmad.advice.pattern import Pattern as P
from vmad.advice.record import Advice, Documented, Measured, Whose
from vmad.model.program import Program

PIECES = (
    Advice(
        name="virtual-threads",
        text="Use virtual threads (Thread.ofVirtual or an executor of them): they have no stack of "
        "their own in the address space. -Xss changes nothing.",
        whose=Whose.PROGRAMMER,
        programs=(Program.HOTSPOT,),
        since=(21,),
        patterns=(P.THREAD_GUARDS,),
        proof=Measured(
            2180, 190, "1,000 threads that wait, JDK 25", ("java-25-threads", "java-25-virtual")
        ),
        cost="Code that pins its carrier thread scales worse.",
        check="Threads: in /proc/PID/status and the count fall together.",
        source="JEP 444",
    ),
    Advice(
        name="jdk-21",
        text="Run it on JDK 21 or later, and use virtual threads there (Thread.ofVirtual or an "
        "executor of them): they have no stack of their own in the address space. -Xss changes "
        "nothing.",
        whose=Whose.PROGRAMMER,
        programs=(Program.HOTSPOT,),
        until=(21,),
        patterns=(P.THREAD_GUARDS,),
        proof=Documented(
            0.91, "1,000 threads: 2,187 VMAs on JDK 17, 190 as virtual threads on JDK 25"
        ),
        cost="Another JDK; code that pins its carrier thread scales worse.",
        check="Threads: in /proc/PID/status and the count fall together.",
        source="JEP 444; docs/atlas.md",
    ),
    Advice(
        name="zgc-limit",
        text="Size vm.max_map_count for ZGC, whose heap is many pieces of one memory object: at "
        "least (maximum heap / 2 MiB) x 3 x 1.2, that is 88,473 for 48 GiB. A smaller -Xmx "
        "does not make it fewer pieces.",
        whose=Whose.OPERATOR,
        programs=(Program.ZGC,),
        patterns=(P.OBJECT_IN_PIECES,),
        proof=Documented(0.7, "138 to 867 pieces for 2 GiB on JDK 17, from run to run"),
        cost="Kernel memory for each VMA that is made.",
        check="The JVM no longer warns of the limit at its start.",
        source="OpenJDK, zPhysicalMemoryBacking_linux.cpp, warn_max_map_count",
    ),
    Advice(
        name="zgc-newer-jdk",
        text="Run ZGC in JDK 21 or later: its heap is mapped once, not three times.",
        whose=Whose.OPERATOR,
        programs=(Program.ZGC,),
        until=(21,),
        patterns=(P.OBJECT_IN_PIECES,),
        proof=Documented(0.5, "varies much from run to run"),
        cost="Another JDK.",
        check="The heap's pieces in maps become fewer.",
        source="JEP 439",
    ),
    Advice(
        name="lucene-permits",
        text="Start the JVM with "
        "-Dorg.apache.lucene.store.MMapDirectory.sharedArenaMaxPermits=1: with more, files of one "
        "segment are unmapped only all together, and deleted ones pile up.",
        whose=Whose.OPERATOR,
        programs=(Program.LUCENE, Program.ELASTICSEARCH, Program.OPENSEARCH),
        patterns=(P.DELETED_FILES, P.MANY_OBJECTS),
        proof=Documented(0.9),
        cost="Closing a file waits for its readers one by one.",
        check="VMAs of kind deleted file become fewer.",
        source="OpenSearch #18226, #19482, PR #19503; elasticsearch #118623",
    ),
    Advice(
        name="lucene-limit",
        text="Give Elasticsearch and OpenSearch the limit that they ask for: at least 262,144, "
        "1,048,576 recommended since 8.16. Each segment file is a mapping.",
        whose=Whose.OPERATOR,
        programs=(Program.LUCENE, Program.ELASTICSEARCH, Program.OPENSEARCH),
        patterns=(P.MANY_OBJECTS, P.OBJECT_SPLIT, P.OBJECT_IN_PIECES),
        proof=Documented(0.95),
        cost="Kernel memory for each VMA that is made.",
        check="The bootstrap check passes.",
        source="Elasticsearch reference, virtual memory; elasticsearch #118623, #128441",
    ),
    Advice(
        name="kafka-segments",
        text="Count two mappings for each log segment (its index and its time index): use larger "
        "segments (segment.bytes, log.segment.bytes), shorter retention or fewer partitions on "
        "this broker, and size the limit for what is left.",
        whose=Whose.OPERATOR,
        programs=(Program.KAFKA,),
        patterns=(P.MANY_OBJECTS, P.DELETED_FILES),
        proof=Documented(0.9),
        cost="Log is deleted in larger pieces.",
        check="VMAs of kind file become fewer.",
        source="Kafka documentation, OS settings; core AbstractIndex",
    ),
)
