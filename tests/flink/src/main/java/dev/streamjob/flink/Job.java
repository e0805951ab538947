package dev.streamjob.flink;

import java.nio.file.Path;
import java.time.Duration;
import java.util.Properties;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.api.java.tuple.Tuple5;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.file.sink.FileSink;
import org.apache.flink.connector.file.src.FileSource;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.KafkaSourceBuilder;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.filesystem.bucketassigners.BasePathBucketAssigner;
import org.apache.flink.streaming.api.functions.sink.filesystem.rollingpolicies.OnCheckpointRollingPolicy;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;

/**
 * The job: rows, keyed by text, sum and count in tumbling windows of event time, results as JSON.
 *
 * <p>Owns: sources, sinks and operators. Never: where it runs.
 */
final class Job {
    private Job() {}

    static void build(StreamExecutionEnvironment environment, Options options) {
        WatermarkStrategy<Tuple3<String, Long, Long>> time = WatermarkStrategy
                .<Tuple3<String, Long, Long>>forBoundedOutOfOrderness(Duration.ofSeconds(1))
                .withTimestampAssigner((row, before) -> row.f1);
        environment
                .fromSource(source(options), time, "source", Rows.TYPE)
                .uid("source")
                .keyBy(row -> row.f0, Types.STRING)
                .window(TumblingEventTimeWindows.of(Duration.ofMillis(options.number("window-ms"))))
                .aggregate(new SumAndCount(), new SumAndCount.Named(), SumAndCount.TYPE, SumAndCount.TYPE, Results.TYPE)
                .uid("window")
                .sinkTo(sink(options))
                .uid("sink");
    }

    private static Source<Tuple3<String, Long, Long>, ?, ?> source(Options options) {
        return switch (options.text("source")) {
            case "files" -> FileSource.forRecordStreamFormat(new Lines(), path(options.path("input"))).build();
            case "made" -> {
                long rows = options.number("rows");
                int parts = (int) options.number("parallelism");
                Made made = new Made((int) options.number("keys"), rows, parts);
                yield new DataGeneratorSource<>(made, rows, Rows.TYPE);
            }
            case "kafka" -> {
                KafkaSourceBuilder<Tuple3<String, Long, Long>> source = KafkaSource.<Tuple3<String, Long, Long>>builder()
                        .setBootstrapServers(options.text("servers"))
                        .setTopics(options.text("input"))
                        .setStartingOffsets(OffsetsInitializer.earliest())
                        .setProperty("isolation.level", "read_committed")
                        .setValueOnlyDeserializer(new Rows());
                yield options.is("endless") ? source.build() : source.setBounded(OffsetsInitializer.latest()).build();
            }
            default -> throw new IllegalArgumentException("no such source: " + options.text("source"));
        };
    }

    private static Sink<Tuple5<String, Long, Long, Long, Long>> sink(Options options) {
        return switch (options.text("delivery")) {
            case "files" -> FileSink.forRowFormat(path(options.path("output")), new Results.ToLine())
                    .withBucketAssigner(new BasePathBucketAssigner<>())
                    .withRollingPolicy(OnCheckpointRollingPolicy.build())
                    .build();
            case "exactly-once" -> kafka(options, DeliveryGuarantee.EXACTLY_ONCE);
            case "at-least-once" -> kafka(options, DeliveryGuarantee.AT_LEAST_ONCE);
            default -> throw new IllegalArgumentException("no such delivery: " + options.text("delivery"));
        };
    }

    private static KafkaSink<Tuple5<String, Long, Long, Long, Long>> kafka(Options options, DeliveryGuarantee guarantee) {
        Properties properties = new Properties();
        // Below the broker's limit of 15 minutes, which the connector's default exceeds.
        properties.setProperty("transaction.timeout.ms", "600000");
        return KafkaSink.<Tuple5<String, Long, Long, Long, Long>>builder()
                .setBootstrapServers(options.text("servers"))
                .setRecordSerializer(new Results.ToRecord(options.text("output")))
                .setDeliveryGuarantee(guarantee)
                .setTransactionalIdPrefix(options.text("output"))
                .setKafkaProducerConfig(properties)
                .build();
    }

    private static org.apache.flink.core.fs.Path path(Path path) {
        return new org.apache.flink.core.fs.Path(path.toUri());
    }
}
