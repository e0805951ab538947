package dev.streamjob.flink;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;

/**
 * What the bench is told while the job runs: JSON lines on standard error.
 *
 * <p>Owns: the instants of the first row and of the middle row, with the CPU time of this process so far. Never: costs
 * more than a comparison per row.
 */
final class Marks {
    private static final AtomicBoolean STARTED = new AtomicBoolean();
    private static final AtomicBoolean HALF = new AtomicBoolean();
    private static final AtomicLong ROWS = new AtomicLong();
    private static volatile long half = Long.MAX_VALUE;

    private Marks() {}

    /** Behind how many rows it counts. */
    static void half(long rows) {
        half = rows;
    }

    static void first() {
        if (STARTED.compareAndSet(false, true)) {
            say("\"mark\":\"first\"");
        }
    }

    static void rows(long count) {
        long rows = ROWS.addAndGet(count);
        if (rows >= half && HALF.compareAndSet(false, true)) {
            say("\"mark\":\"half\",\"rows\":" + rows + ",\"cpu_s\":" + cpuSeconds());
        }
    }

    static synchronized void say(String fields) {
        System.err.println("{" + fields + "}");
        System.err.flush();
    }

    /** User and system seconds of all threads of this process: of the garbage collector and the compilers, too. */
    private static double cpuSeconds() {
        try {
            String stat = Files.readString(Path.of("/proc/self/stat"));
            String[] fields = stat.substring(stat.lastIndexOf(") ") + 2).split(" ");
            return (Long.parseLong(fields[11]) + Long.parseLong(fields[12])) / 100.0;
        } catch (IOException error) {
            throw new IllegalStateException("/proc/self/stat cannot be read", error);
        }
    }
}
