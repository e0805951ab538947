package dev.streamjob.flink;

import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.api.java.tuple.Tuple3;
import org.apache.flink.api.java.tuple.Tuple5;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

/** Sum and count of a key in a window. Owns: the aggregate, and telling {@link Marks} of rows. Never: keeps rows. */
final class SumAndCount
        implements AggregateFunction<Tuple3<String, Long, Long>, Tuple2<Long, Long>, Tuple2<Long, Long>> {
    static final TypeInformation<Tuple2<Long, Long>> TYPE = Types.TUPLE(Types.LONG, Types.LONG);
    private static final long serialVersionUID = 1;
    private static final int TOLD_EVERY = 1024;

    private transient int untold;

    @Override
    public Tuple2<Long, Long> createAccumulator() {
        return new Tuple2<>(0L, 0L);
    }

    @Override
    public Tuple2<Long, Long> add(Tuple3<String, Long, Long> row, Tuple2<Long, Long> sum) {
        sum.f0 += row.f2;
        sum.f1 += 1;
        if (untold++ == 0) {
            Marks.first();
        } else if (untold > TOLD_EVERY) {
            untold = 1;
            Marks.rows(TOLD_EVERY);
        }
        return sum;
    }

    @Override
    public Tuple2<Long, Long> getResult(Tuple2<Long, Long> sum) {
        return sum;
    }

    @Override
    public Tuple2<Long, Long> merge(Tuple2<Long, Long> a, Tuple2<Long, Long> b) {
        return new Tuple2<>(a.f0 + b.f0, a.f1 + b.f1);
    }

    /** Adds key and window to a result. */
    static final class Named
            extends ProcessWindowFunction<Tuple2<Long, Long>, Tuple5<String, Long, Long, Long, Long>, String, TimeWindow> {
        private static final long serialVersionUID = 1;

        @Override
        public void process(
                String key,
                Context context,
                Iterable<Tuple2<Long, Long>> sums,
                Collector<Tuple5<String, Long, Long, Long, Long>> out) {
            TimeWindow window = context.window();
            Tuple2<Long, Long> sum = sums.iterator().next();
            out.collect(new Tuple5<>(key, window.getStart(), window.getEnd(), sum.f0, sum.f1));
        }
    }
}
