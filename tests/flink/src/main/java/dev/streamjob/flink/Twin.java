package dev.streamjob.flink;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Optional;
import java.util.stream.Stream;
import org.apache.flink.api.common.JobID;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.checkpoint.AbstractCheckpointStats;
import org.apache.flink.runtime.checkpoint.CheckpointStatsSnapshot;
import org.apache.flink.runtime.checkpoint.CompletedCheckpointStats;
import org.apache.flink.runtime.checkpoint.TaskStateStats;
import org.apache.flink.runtime.jobgraph.JobGraph;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Runs one of the bench's jobs on a Flink inside this process: to its end, or until standard input ends.
 *
 * <p>Owns: Flink's settings, the mini cluster, and what is told of checkpoints. Never: measures; see {@link Marks}.
 */
public final class Twin {
    private Twin() {}

    public static void main(String[] arguments) {
        try {
            run(arguments);
        } catch (Throwable error) {
            error.printStackTrace();
            // Flink's threads would keep the process alive.
            Runtime.getRuntime().halt(1);
        }
    }

    private static void run(String[] arguments) throws Exception {
        Options options = Options.parse(arguments);
        Marks.half(options.number("half"));
        Configuration configuration = configuration(options);
        StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment(configuration);
        Job.build(environment, options);
        JobGraph graph = environment.getStreamGraph().getJobGraph();

        MiniClusterConfiguration cluster = new MiniClusterConfiguration.Builder()
                .setConfiguration(configuration)
                .setNumTaskManagers(1)
                .setNumSlotsPerTaskManager((int) options.number("parallelism"))
                .build();
        MiniCluster flink = new MiniCluster(cluster);
        flink.start();
        JobID job = flink.submitJob(graph).get().getJobID();
        if (options.is("endless")) {
            endWithStandardInput(flink, job);
        }
        flink.requestJobResult(job).get().toJobExecutionResult(Twin.class.getClassLoader());
        tellCheckpoints(flink, job);
        // Orderly ends of Flink take seconds, and nothing of them is measured.
        Runtime.getRuntime().halt(0);
    }

    private static Configuration configuration(Options options) throws IOException {
        Configuration configuration = new Configuration();
        configuration.setString("parallelism.default", options.text("parallelism"));
        configuration.setString("pipeline.object-reuse", "true");
        configuration.setString("pipeline.generic-types", "false");
        configuration.setString("restart-strategy.type", "none");
        configuration.setString("rest.port", "0");
        configuration.setString("taskmanager.memory.managed.size", options.text("managed"));
        configuration.setString("state.backend.type", options.text("backend"));
        configuration.setString("execution.checkpointing.incremental", "true");
        Path checkpoints = options.path("checkpoints");
        configuration.setString("execution.checkpointing.storage", "filesystem");
        configuration.setString("execution.checkpointing.dir", checkpoints.toUri().toString());
        configuration.setString("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION");
        configuration.setString("web.checkpoints.history", "10000");
        if (options.number("interval-ms") > 0) {
            configuration.setString("execution.checkpointing.interval", options.text("interval-ms") + " ms");
        }
        Optional<Path> newest = newest(checkpoints);
        newest.ifPresent(path -> configuration.setString("execution.state-recovery.path", path.toUri().toString()));
        return configuration;
    }

    /** The newest checkpoint that is complete, if an earlier process left one. */
    private static Optional<Path> newest(Path folder) throws IOException {
        if (!Files.isDirectory(folder)) {
            return Optional.empty();
        }
        try (Stream<Path> found = Files.walk(folder, 3)) {
            return found.filter(path -> path.getFileName().toString().equals("_metadata"))
                    .max(Comparator.comparing(path -> path.toFile().lastModified()))
                    .map(Path::getParent);
        }
    }

    private static void endWithStandardInput(MiniCluster flink, JobID job) {
        Thread watcher = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {}
                tellCheckpoints(flink, job);
                Runtime.getRuntime().halt(0);
            } catch (Exception error) {
                error.printStackTrace();
                Runtime.getRuntime().halt(1);
            }
        });
        watcher.setDaemon(true);
        watcher.start();
    }

    private static void tellCheckpoints(MiniCluster flink, JobID job) throws Exception {
        CheckpointStatsSnapshot snapshot = flink.getExecutionGraph(job).get().getCheckpointStatsSnapshot();
        if (snapshot == null) {
            return;
        }
        for (AbstractCheckpointStats checkpoint : snapshot.getHistory().getCheckpoints()) {
            if (checkpoint instanceof CompletedCheckpointStats completed) {
                long sync = completed.getAllTaskStateStats().stream()
                        .map(TaskStateStats::getSummaryStats)
                        .mapToLong(summary -> summary.getSyncCheckpointDurationStats().getMaximum())
                        .max()
                        .orElse(0);
                Marks.say("\"mark\":\"checkpoint\",\"barrier_ms\":" + completed.getTriggerTimestamp()
                        + ",\"duration_ms\":" + completed.getEndToEndDuration()
                        + ",\"bytes\":" + completed.getCheckpointedSize()
                        + ",\"pause_ms\":" + sync);
            }
        }
    }
}
