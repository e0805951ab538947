package dev.streamjob.flink;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import org.apache.flink.api.common.serialization.Encoder;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple5;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * Results: key, window start, window end, total, rows.
 *
 * <p>Owns: what one looks like as JSON, in a file and in a topic. Never: differs from what StreamJob writes.
 */
final class Results {
    static final TypeInformation<Tuple5<String, Long, Long, Long, Long>> TYPE =
            Types.TUPLE(Types.STRING, Types.LONG, Types.LONG, Types.LONG, Types.LONG);

    private Results() {}

    private static byte[] json(Tuple5<String, Long, Long, Long, Long> result, String end) {
        // Keys of the bench need no escapes.
        String text = "{\"key\":\"" + result.f0 + "\",\"window_start\":" + result.f1 + ",\"window_end\":" + result.f2
                + ",\"total\":" + result.f3 + ",\"rows\":" + result.f4 + "}" + end;
        return text.getBytes(StandardCharsets.UTF_8);
    }

    /** A line of a file. */
    static final class ToLine implements Encoder<Tuple5<String, Long, Long, Long, Long>> {
        private static final long serialVersionUID = 1;

        @Override
        public void encode(Tuple5<String, Long, Long, Long, Long> result, OutputStream stream) throws IOException {
            stream.write(json(result, "\n"));
        }
    }

    /** A record of a topic, with the key's text as its key. */
    static final class ToRecord implements KafkaRecordSerializationSchema<Tuple5<String, Long, Long, Long, Long>> {
        private static final long serialVersionUID = 1;
        private final String topic;

        ToRecord(String topic) {
            this.topic = topic;
        }

        @Override
        public ProducerRecord<byte[], byte[]> serialize(
                Tuple5<String, Long, Long, Long, Long> result, KafkaSinkContext context, Long timestamp) {
            return new ProducerRecord<>(topic, result.f0.getBytes(StandardCharsets.UTF_8), json(result, ""));
        }
    }
}
