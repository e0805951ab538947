package dev.streamjob.flink;

import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/** What the bench asks for, as {@code --name value} pairs. Owns: their names. Never: decides what they mean. */
record Options(Map<String, String> values) {
    static Options parse(String[] arguments) {
        Map<String, String> values = new HashMap<>();
        if (arguments.length % 2 != 0) {
            throw new IllegalArgumentException("arguments are pairs: --name value");
        }
        for (int i = 0; i < arguments.length; i += 2) {
            if (!arguments[i].startsWith("--")) {
                throw new IllegalArgumentException(arguments[i] + " is no --name");
            }
            values.put(arguments[i].substring(2), arguments[i + 1]);
        }
        return new Options(values);
    }

    String text(String name) {
        String value = values.get(name);
        if (value == null) {
            throw new IllegalArgumentException("--" + name + " is missing");
        }
        return value;
    }

    long number(String name) {
        return Long.parseLong(text(name));
    }

    boolean is(String name) {
        return "true".equals(values.get(name));
    }

    Path path(String name) {
        return Path.of(text(name)).toAbsolutePath();
    }
}
