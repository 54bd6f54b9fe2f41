package org.duoattention.examples.cli.peer;

import java.util.List;
import org.duoattention.examples.cli.bench.Contender;

/** Another engine that runs the same shape. Owns its processes and files. */
public interface Peer extends AutoCloseable {
    /**
     * Bytes of memory that it takes once it runs: the weights of each of its processes, and a cache for each of its settings.
     *
     * @param longest most tokens in a cache
     */
    long bytes(int longest);

    /**
     * Installs it if that has not happened yet, starts it, and returns a contender for each of its settings that is worth
     * measuring; to be called once.
     *
     * @param deepest depth up to which they take part
     * @param longest most tokens in a cache, of prefills and decodes up to that depth
     */
    List<Contender> contenders(int deepest, int longest);

    @Override
    void close();
}
