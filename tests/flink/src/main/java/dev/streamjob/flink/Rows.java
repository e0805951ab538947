package dev.streamjob.flink;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple3;

/**
 * Rows of the input: key, event time, value.
 *
 * <p>Owns: reading one from JSON, by a streaming parser. Never: builds a tree of it.
 */
final class Rows implements DeserializationSchema<Tuple3<String, Long, Long>> {
    static final TypeInformation<Tuple3<String, Long, Long>> TYPE = Types.TUPLE(Types.STRING, Types.LONG, Types.LONG);
    private static final JsonFactory JSON = new JsonFactory();

    @Override
    public Tuple3<String, Long, Long> deserialize(byte[] message) throws IOException {
        return parse(message, 0, message.length);
    }

    static Tuple3<String, Long, Long> parse(byte[] bytes, int from, int length) throws IOException {
        String key = null;
        long time = 0;
        long value = 0;
        try (JsonParser parser = JSON.createParser(bytes, from, length)) {
            parser.nextToken();
            for (String field = parser.nextFieldName(); field != null; field = parser.nextFieldName()) {
                JsonToken token = parser.nextToken();
                switch (field) {
                    case "key" -> key = parser.getText();
                    case "ts" -> time = parser.getLongValue();
                    case "value" -> value = parser.getLongValue();
                    default -> {
                        if (token.isStructStart()) {
                            parser.skipChildren();
                        }
                    }
                }
            }
        }
        // A new one for each row: the fetching thread hands several at once to the task's.
        return new Tuple3<>(key, time, value);
    }

    @Override
    public boolean isEndOfStream(Tuple3<String, Long, Long> row) {
        return false;
    }

    @Override
    public TypeInformation<Tuple3<String, Long, Long>> getProducedType() {
        return TYPE;
    }
}
