package dev.streamjob.flink;

import java.io.IOException;
import java.util.Arrays;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.file.src.reader.SimpleStreamFormat;
import org.apache.flink.connector.file.src.reader.StreamFormat;
import org.apache.flink.core.fs.FSDataInputStream;

/** JSON lines of a file. Owns: where a line ends. Never: makes a String of one. */
final class Lines extends SimpleStreamFormat<Tuple3<String, Long, Long>> {
    private static final long serialVersionUID = 1;

    @Override
    public Reader<Tuple3<String, Long, Long>> createReader(Configuration config, FSDataInputStream stream) {
        return new LineReader(stream);
    }

    @Override
    public TypeInformation<Tuple3<String, Long, Long>> getProducedType() {
        return Rows.TYPE;
    }

    private static final class LineReader implements StreamFormat.Reader<Tuple3<String, Long, Long>> {
        private final FSDataInputStream stream;
        private byte[] buffer = new byte[1 << 18];
        private int from;
        private int to;

        LineReader(FSDataInputStream stream) {
            this.stream = stream;
        }

        @Override
        public Tuple3<String, Long, Long> read() throws IOException {
            int end = from;
            while (true) {
                while (end < to && buffer[end] != '\n') {
                    end++;
                }
                if (end < to) {
                    break;
                }
                int searched = end - from;
                if (!fill()) {
                    return null;
                }
                end = from + searched;
            }
            Tuple3<String, Long, Long> row = Rows.parse(buffer, from, end - from);
            from = end + 1;
            return row;
        }

        /** Reads on behind what is not used yet. */
        private boolean fill() throws IOException {
            if (from > 0) {
                System.arraycopy(buffer, from, buffer, 0, to - from);
                to -= from;
                from = 0;
            }
            if (to == buffer.length) {
                buffer = Arrays.copyOf(buffer, buffer.length * 2);
            }
            int count = stream.read(buffer, to, buffer.length - to);
            to += Math.max(count, 0);
            return count > 0;
        }

        @Override
        public void close() throws IOException {
            stream.close();
        }
    }
}
