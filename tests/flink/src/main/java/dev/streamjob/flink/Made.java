package dev.streamjob.flink;

import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.connector.datagen.source.GeneratorFunction;

/**
 * Row <i>i</i> as a pure function of <i>i</i>: the same rows as in the bench's files.
 *
 * <p>Owns: which key and value a row has. Never: makes a key's text twice.
 */
final class Made implements GeneratorFunction<Long, Tuple3<String, Long, Long>> {
    private static final long serialVersionUID = 1;
    private static final long START_MS = 1_700_000_000_000L;
    private static final long ROWS_PER_MS = 1_000;

    private final int keys;
    private final long rows;
    private final int parts;
    private transient String[] names;
    private transient Tuple3<String, Long, Long> row;

    Made(int keys, long rows, int parts) {
        this.keys = keys;
        this.rows = rows;
        this.parts = parts;
    }

    @Override
    public void open(SourceReaderContext context) {
        names = new String[keys];
        for (int key = 0; key < keys; key++) {
            names[key] = String.format("user-%08d", key);
        }
        row = new Tuple3<>();
    }

    @Override
    public Tuple3<String, Long, Long> map(Long number) {
        // Each subtask gets a range of numbers: the rows of all of them advance in event time together.
        long part = number / (rows / parts);
        long i = number % (rows / parts) * parts + part;
        long random = mix(i * 0x9E3779B97F4A7C15L);
        row.f0 = names[(int) (((random >>> 32) * keys) >>> 32)];
        row.f1 = START_MS + i / ROWS_PER_MS;
        row.f2 = random & 1023;
        return row;
    }

    private static long mix(long z) {
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }
}
